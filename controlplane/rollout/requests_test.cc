#include "controlplane/rollout/requests.h"

#include <gtest/gtest.h>

#include "controlplane/rollout/test_rollout.h"

namespace jetmon::rollout {
namespace {

using std::chrono::milliseconds;

v1::ErrorReason RangeReason(bool has_min, uint32_t min, bool has_max, uint32_t max) {
  return ReasonOf(CheckRange(has_min, min, has_max, max, 512).status());
}

TEST(RequestsTest, Range) {
  EXPECT_EQ(*CheckRange(true, 0, true, 511, 512), (store::Range{0, 511}));
  EXPECT_EQ(*CheckRange(true, 7, true, 7, 512), (store::Range{7, 7}));
  EXPECT_EQ(RangeReason(false, 0, true, 9), v1::INVALID_BUCKET_RANGE);
  EXPECT_EQ(RangeReason(true, 0, false, 0), v1::INVALID_BUCKET_RANGE);
  EXPECT_EQ(RangeReason(true, 9, true, 8), v1::INVALID_BUCKET_RANGE);
  EXPECT_EQ(RangeReason(true, 0, true, 512), v1::INVALID_BUCKET_RANGE);
  EXPECT_EQ(RangeReason(true, 4'000'000'000u, true, 4'294'967'295u), v1::INVALID_BUCKET_RANGE);
}

TEST(RequestsTest, Host) {
  EXPECT_TRUE(CheckHost("").ok());
  EXPECT_TRUE(CheckHost("monitor-a.dc1_x").ok());
  EXPECT_TRUE(CheckHost(std::string(128, 'a')).ok());
  EXPECT_EQ(ReasonOf(CheckHost(std::string(129, 'a'))), v1::INVALID_FIELD);
  EXPECT_EQ(ReasonOf(CheckHost("monitor a")), v1::INVALID_FIELD);
  EXPECT_EQ(ReasonOf(CheckHost("a\nb")), v1::INVALID_FIELD);
  EXPECT_EQ(ReasonOf(CheckHost("h\xc3\xb6st")), v1::INVALID_FIELD);
}

TEST(RequestsTest, Wait) {
  EXPECT_EQ(*WaitOf(""), milliseconds(10'000));
  EXPECT_EQ(*WaitOf("0s"), milliseconds(0));
  EXPECT_EQ(*WaitOf("1.5s"), milliseconds(1500));
  EXPECT_EQ(*WaitOf("60s"), milliseconds(60'000));
  for (const char* wrong : {"61s", "-1s", "10", "soon", "inf", "-inf"}) {
    EXPECT_EQ(ReasonOf(WaitOf(wrong).status()), v1::INVALID_FIELD) << wrong;
  }
}

TEST(RequestsTest, SampleSize) {
  EXPECT_EQ(*SampleSizeOf(""), 100u);
  EXPECT_EQ(*SampleSizeOf("1"), 1u);
  EXPECT_EQ(*SampleSizeOf("10000000"), 10'000'000u);
  for (const char* wrong : {"0", "-1", "10000001", "5%", " 5", "1e3", "99999999999999999999"}) {
    EXPECT_EQ(ReasonOf(SampleSizeOf(wrong).status()), v1::INVALID_SIZE) << wrong;
  }
}

TEST(RequestsTest, Since) {
  constexpr int64_t kNow = 1'700'000'000'000;  // 2023-11-14T22:13:20Z
  EXPECT_EQ(*SinceOf("", kNow), kNow - 15 * 60'000);
  EXPECT_EQ(*SinceOf("90s", kNow), kNow - 90'000);
  EXPECT_EQ(*SinceOf("2023-11-14T22:13:20Z", kNow), kNow);
  EXPECT_EQ(*SinceOf("2023-11-14T23:13:19+01:00", kNow), kNow - 1000);
  for (const char* wrong : {"0s", "-5m", "2023-11-14T22:13:21Z", "yesterday", "2023-11-14", "inf",
                            "15", "1000000h", "0001-01-01T00:00:00Z", "infinite-past"}) {
    EXPECT_EQ(ReasonOf(SinceOf(wrong, kNow).status()), v1::INVALID_SINCE) << wrong;
  }
}

TEST(RequestsTest, Run) {
  TestRollout rollout;
  rollout.AddSession("rol_1", {2, 5}, "monitor-a");
  rollout.AddSession("rol_2", {2, 5}, "monitor-a");
  rollout.Write([](sql::Transaction& tx) {
    return store::CloseSession(tx, "rol_2", "done", TestRollout::kNow).status();
  });
  rollout.Read([](sql::Transaction& tx) {
    EXPECT_EQ(CheckRun(tx, "rol_1", store::Range{2, 5}, false)->run_id, "rol_1");
    EXPECT_TRUE(CheckRun(tx, "rol_1", store::Range{3, 3}, false).ok());
    EXPECT_TRUE(CheckRun(tx, "rol_1", std::nullopt, false).ok());
    EXPECT_EQ(ReasonOf(CheckRun(tx, "rol_1", store::Range{2, 6}, false).status()),
              v1::RUN_RANGE_MISMATCH);
    EXPECT_EQ(ReasonOf(CheckRun(tx, "rol_3", store::Range{2, 5}, false).status()),
              v1::RUN_NOT_FOUND);
    EXPECT_EQ(ReasonOf(CheckRun(tx, "", store::Range{2, 5}, false).status()), v1::RUN_NOT_FOUND);
    EXPECT_EQ(ReasonOf(CheckRun(tx, "rol_2", store::Range{2, 5}, false).status()), v1::RUN_CLOSED);
    EXPECT_TRUE(CheckRun(tx, "rol_2", store::Range{2, 5}, true).ok());
    return absl::OkStatus();
  });
}

TEST(RequestsTest, StageSize) {
  EXPECT_EQ(StageSizeOf("7")->Of(100), 7u);
  EXPECT_EQ(StageSizeOf("7")->Of(5), 5u);
  EXPECT_EQ(StageSizeOf("10000000")->Of(20'000'000), 10'000'000u);
  EXPECT_EQ(StageSizeOf("1%")->Of(1), 1u);
  EXPECT_EQ(StageSizeOf("1%")->Of(0), 0u);
  EXPECT_EQ(StageSizeOf("1%")->Of(101), 2u);
  EXPECT_EQ(StageSizeOf("33%")->Of(300), 99u);
  EXPECT_EQ(StageSizeOf("100%")->Of(3'557'537), 3'557'537u);
  EXPECT_EQ(ReasonOf(StageSizeOf("").status()), v1::SIZE_REQUIRED);
  for (const char* size : {"0", "-1", "+1", "101%", "1e9", "5 %", "0%", "%", "05", "10000001",
                           "99999999999999999999", "5%5", "1.5%"}) {
    EXPECT_EQ(ReasonOf(StageSizeOf(size).status()), v1::INVALID_SIZE) << size;
  }
}

}  // namespace
}  // namespace jetmon::rollout
