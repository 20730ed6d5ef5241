#include "tests/lab/v1_schedule.h"

#include <gtest/gtest.h>

#include <atomic>
#include <thread>

namespace jetmon::lab {
namespace {

using std::chrono::milliseconds;

LegacySite Site(uint64_t id, uint32_t bucket) {
  LegacySite site;
  site.site_id = id;
  site.bucket = bucket;
  return site;
}

TEST(JudgeAsV1, FirstFailureSeemsDownThirdIsDownAndTells) {
  V1Site site;
  V1Change change = JudgeAsV1(site, false);
  EXPECT_EQ(change.status, 0);
  EXPECT_FALSE(change.notify);
  EXPECT_TRUE(change.retry_soon);
  change = JudgeAsV1(site, false);
  EXPECT_FALSE(change.status.has_value());
  EXPECT_TRUE(change.retry_soon);
  change = JudgeAsV1(site, false);
  EXPECT_EQ(change.status, 2);
  EXPECT_TRUE(change.notify);
  EXPECT_FALSE(change.retry_soon);
  change = JudgeAsV1(site, false);
  EXPECT_FALSE(change.status.has_value());
  change = JudgeAsV1(site, true);
  EXPECT_EQ(change.status, 1);
  EXPECT_TRUE(change.notify);
}

TEST(JudgeAsV1, RecoveryBeforeConfirmationIsSilent) {
  V1Site site;
  JudgeAsV1(site, false);
  const V1Change change = JudgeAsV1(site, true);
  EXPECT_EQ(change.status, 1);
  EXPECT_FALSE(change.notify);
}

TEST(JudgeAsV1, TakesOverWhatTheTableSays) {
  V1Site site;
  site.row.site_status = 2;
  EXPECT_FALSE(JudgeAsV1(site, false).status.has_value());
  EXPECT_TRUE(JudgeAsV1(site, true).notify);
}

TEST(V1Schedule, StopWaitsForWhatIsHeldAndNothingOfTheRangeComesAfter) {
  V1Schedule schedule(milliseconds(1));
  schedule.Start({0, 1}, {Site(1, 0), Site(2, 1)});
  auto first = schedule.Take();
  auto second = schedule.Take();
  ASSERT_NE(first->row.bucket, second->row.bucket);
  const auto of_0 = first->row.bucket == 0 ? first : second;
  const auto of_1 = first->row.bucket == 0 ? second : first;
  std::atomic<bool> stopped{false};
  std::thread stopper([&] {
    schedule.Stop({0, 0});
    stopped = true;
  });
  // The stopper can't get past a site that a worker holds, however often others come and go.
  schedule.GiveBack(of_1, true);
  for (int i = 0; i < 50; ++i) {
    auto other = schedule.Take();
    EXPECT_EQ(other->row.site_id, 2u);
    schedule.GiveBack(other, true);
  }
  EXPECT_FALSE(stopped);
  schedule.GiveBack(of_0, true);
  stopper.join();
  for (int i = 0; i < 50; ++i) {
    auto other = schedule.Take();
    EXPECT_EQ(other->row.bucket, 1u);
    schedule.GiveBack(other, true);
  }
  EXPECT_EQ(schedule.size(), 1u);
  schedule.Start({0, 0}, {Site(1, 0)});
  bool seen = false;
  for (int i = 0; i < 1000 && !seen; ++i) {
    auto site = schedule.Take();
    seen = site->row.site_id == 1;
    schedule.GiveBack(site, false);
  }
  EXPECT_TRUE(seen);
}

TEST(V1Schedule, StartedTwiceASiteIsCheckedOnce) {
  V1Schedule schedule(milliseconds(200));
  schedule.Start({0, 0}, {Site(1, 0)});
  auto held = schedule.Take();
  schedule.Start({0, 0}, {Site(1, 0)});
  schedule.GiveBack(held, true);
  auto again = schedule.Take();
  EXPECT_NE(again, held);
  schedule.GiveBack(again, false);
  EXPECT_EQ(schedule.Take(), again);
}

TEST(V1Schedule, CloseEndsWaitingWorkers) {
  V1Schedule schedule(milliseconds(1000));
  std::thread worker([&] { EXPECT_EQ(schedule.Take(), nullptr); });
  schedule.Close();
  worker.join();
}

}  // namespace
}  // namespace jetmon::lab
