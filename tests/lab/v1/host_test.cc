#include "tests/lab/v1/host.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <deque>
#include <map>
#include <thread>

#include "absl/strings/str_cat.h"

namespace jetmon::lab {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

constexpr int64_t kNow = 1'700'000'000'000;
constexpr int64_t kSecond = 1'000, kMinute = 60'000;

// A world on one thread and a clock of its own: jobs are done when the test says so.
class FakeWorld final : public V1World {
 public:
  int64_t NowMs() override { return now; }
  void PostCheck(std::function<void()> job) override { checks.push_back(std::move(job)); }
  void PostTell(std::function<void()> job) override { tells.push_back(std::move(job)); }
  absl::StatusOr<std::vector<LegacyRow>> Read(BucketRange range) override {
    reads.push_back(absl::StrCat(range.min, "-", range.max));
    std::vector<LegacyRow> found;
    for (const LegacyRow& row : rows) {
      if (row.active && range.Contains(row.bucket)) found.push_back(row);
    }
    return found;
  }
  int Check(const std::string& url, const std::string& source) override {
    checked.push_back(absl::StrCat(url, " ", source));
    return codes.count(url) ? codes[url] : 200;
  }
  void WriteStatus(const LegacyRow& row, int status) override {
    events.push_back(absl::StrCat("write ", row.url, " ", status));
  }
  bool Tell(const V1Tell& tell, int attempt) override {
    events.push_back(absl::StrCat("tell ", tell.site.row.url, " ", tell.status, " #", attempt));
    if (on_tell) on_tell();
    if (failing == 0) return true;
    --failing;
    return false;
  }

  void Add(const std::string& url, uint32_t bucket, int status = 1) {
    LegacyRow row;
    row.site_id = rows.size() + 1;
    row.blog_id = row.site_id;
    row.url = url;
    row.bucket = bucket;
    row.site_status = status;
    row.last_status_change_s = kNow / 1000;
    rows.push_back(row);
  }
  static void RunAll(std::deque<std::function<void()>>& jobs) {
    while (!jobs.empty()) {
      const auto job = jobs.front();
      jobs.pop_front();
      job();
    }
  }
  // Turns, checks and tells, second by second.
  void Pass(V1Host& host, int64_t ms) {
    for (const int64_t end = now + ms; now < end; now += kSecond) {
      do {
        host.Turn();
        const bool more = !checks.empty();
        RunAll(checks);
        if (!more) break;
      } while (true);
      RunAll(tells);
    }
  }

  int64_t now = kNow;
  std::vector<LegacyRow> rows;
  std::map<std::string, int> codes;
  int failing = 0;  // so many tells fail
  std::function<void()> on_tell;
  std::deque<std::function<void()>> checks, tells;
  std::vector<std::string> reads, checked, events;
};

V1Config Config(BucketRange range, uint32_t batch = 32) {
  V1Config config;
  config.range = range;
  config.batch_size = batch;
  config.source = "v1";
  config.verifliers = {"a", "b"};
  config.limit = 2;
  return config;
}

std::shared_ptr<V1Host> Host(FakeWorld& world, const V1Config& config) {
  return std::make_shared<V1Host>(config, world);
}

TEST(V1Host, ReadsEachRowOnceARoundAndChecksItOnce) {
  FakeWorld world;
  world.Add("x", 3);
  world.Add("y", 10);
  world.Add("z", 11);
  const auto host = Host(world, Config({0, 10}, 4));
  world.Pass(*host, 5 * kMinute);
  EXPECT_THAT(world.reads, ElementsAre("0-3", "4-7", "8-10"));
  EXPECT_THAT(world.checked, ElementsAre("x v1", "y v1"));
  world.Pass(*host, 5 * kMinute);
  EXPECT_EQ(world.reads.size(), 6u);
  EXPECT_EQ(world.checked.size(), 4u);
  EXPECT_EQ(host->figures().rounds, 2u);
  EXPECT_THAT(world.events, IsEmpty());
}

TEST(V1Host, ABatchIsReadWhenTheLastOneHasBeenBegun) {
  FakeWorld world;
  world.Add("x", 0);
  const auto host = Host(world, Config({0, 10}, 4));
  host->Turn();
  FakeWorld::RunAll(world.checks);  // the read, and the check that it posts
  ASSERT_THAT(world.checked, ElementsAre("x v1"));
  host->Turn();
  auto read = world.checks.front();
  world.Add("y", 4);
  world.checks.clear();
  read();
  host->Turn();  // y's check waits
  EXPECT_THAT(world.reads, ElementsAre("0-3", "4-7"));
  FakeWorld::RunAll(world.checks);
  host->Turn();
  FakeWorld::RunAll(world.checks);
  EXPECT_THAT(world.reads, ElementsAre("0-3", "4-7", "8-10"));
}

TEST(V1Host, AnOutageIsConfirmedByVerifliersAndTold) {
  FakeWorld world;
  world.Add("x", 0);
  world.codes["x"] = 500;
  const auto host = Host(world, Config({0, 7}));
  world.Pass(*host, 4 * kMinute);
  EXPECT_THAT(world.checked, ElementsAre("x v1", "x v1", "x v1", "x a", "x b"));
  EXPECT_THAT(world.events, ElementsAre("tell x 0 #1"));
  EXPECT_EQ(host->figures().confirming, 0u);
}

TEST(V1Host, IsToldUntilTheColumnHasChanged) {
  FakeWorld world;
  world.Add("x", 0);
  world.codes["x"] = 500;
  const auto host = Host(world, Config({0, 7}));
  world.Pass(*host, 10 * kMinute);
  EXPECT_THAT(world.events, ElementsAre("tell x 0 #1", "tell x 0 #1"));
  world.rows[0].site_status = 0;
  world.Pass(*host, 5 * kMinute);
  EXPECT_EQ(world.events.size(), 2u);
  world.codes.clear();
  world.Pass(*host, 10 * kMinute);
  world.rows[0].site_status = 1;
  world.Pass(*host, 10 * kMinute);
  EXPECT_THAT(world.events,
              ElementsAre("tell x 0 #1", "tell x 0 #1", "tell x 1 #1", "tell x 1 #1"));
}

TEST(V1Host, ARowIsNotReadAgainDuringAConfirmation) {
  for (const int change : {0, 1, 2}) {
    FakeWorld world;
    world.Add("x", 0);
    world.codes["x"] = 500;
    const auto host = Host(world, Config({0, 7}));
    world.Pass(*host, 10 * kSecond);
    if (change == 0) world.rows[0].active = false;
    if (change == 1) world.rows[0].bucket = 99;
    if (change == 2) world.rows[0].site_status = 0;
    world.Pass(*host, 10 * kMinute);
    EXPECT_THAT(world.events, ElementsAre("tell x 0 #1")) << change;
  }
}

TEST(V1Host, AFailedTellIsMadeOnceMoreAtOnceAndThenInTheNextRound) {
  FakeWorld world;
  world.Add("x", 0, /*status=*/2);
  world.failing = 2;
  const auto host = Host(world, Config({0, 7}));
  world.Pass(*host, 4 * kMinute);
  EXPECT_THAT(world.events, ElementsAre("tell x 1 #1", "tell x 1 #2"));
  world.Pass(*host, 5 * kMinute);
  EXPECT_THAT(world.events, ElementsAre("tell x 1 #1", "tell x 1 #2", "tell x 1 #1"));
}

TEST(V1Host, InTestModeItWritesJustBeforeItTells) {
  FakeWorld world;
  world.Add("x", 0, /*status=*/2);
  world.failing = 1;
  V1Config config = Config({0, 7});
  config.db_updates = true;
  const auto host = Host(world, config);
  world.Pass(*host, kMinute);
  EXPECT_THAT(world.events, ElementsAre("write x 1", "tell x 1 #1", "tell x 1 #2"));
}

// --- the end

TEST(V1Host, StopForgetsWhatWasConfirmed) {
  FakeWorld world;
  world.Add("x", 0);
  world.codes["x"] = 500;
  const auto host = Host(world, Config({0, 7}));
  world.Pass(*host, 40 * kSecond);
  EXPECT_EQ(host->figures().confirming, 1u);
  host->Stop();
  EXPECT_TRUE(host->ended());
  EXPECT_EQ(host->figures().confirming, 0u);
  const size_t checked = world.checked.size(), reads = world.reads.size();
  world.Pass(*host, 20 * kMinute);
  EXPECT_THAT(world.events, IsEmpty());
  EXPECT_EQ(world.checked.size(), checked);
  EXPECT_EQ(world.reads.size(), reads);
}

TEST(V1Host, WhatWaitsIsNeitherCheckedNorToldAfterAStop) {
  for (const bool killed : {false, true}) {
    FakeWorld world;
    world.Add("x", 0, /*status=*/0);
    world.Add("y", 0, /*status=*/0);
    const auto host = Host(world, Config({0, 7}));
    host->Turn();
    world.checks.front()();  // the read
    world.checks.pop_front();
    world.checks.front()();  // x
    world.checks.pop_front();
    ASSERT_EQ(world.tells.size(), 1u);
    killed ? host->Kill() : host->Stop();
    FakeWorld::RunAll(world.checks);
    FakeWorld::RunAll(world.tells);
    EXPECT_THAT(world.checked, ElementsAre("x v1"));
    EXPECT_THAT(world.events, IsEmpty());
  }
}

TEST(V1Host, ATellUnderWayIsNotMadeAgainAfterAKill) {
  FakeWorld world;
  world.Add("x", 0, /*status=*/0);
  world.failing = 1;
  const auto host = Host(world, Config({0, 7}));
  world.on_tell = [&] { host->Kill(); };
  world.Pass(*host, kMinute);
  EXPECT_THAT(world.events, ElementsAre("tell x 1 #1"));
}

TEST(V1Host, StopWaitsForWhatIsUnderWay) {
  FakeWorld world;
  world.Add("x", 0, /*status=*/0);
  world.failing = 1;
  const auto host = Host(world, Config({0, 7}));
  std::atomic<bool> told{false}, stopped{false};
  std::thread stopper;
  world.on_tell = [&] {
    stopper = std::thread([&] {
      host->Stop();
      EXPECT_TRUE(told);
      stopped = true;
    });
    while (!host->ended()) std::this_thread::yield();
    EXPECT_FALSE(stopped);
    told = true;
  };
  world.Pass(*host, kMinute);
  stopper.join();
  EXPECT_TRUE(stopped);
  EXPECT_THAT(world.events, ElementsAre("tell x 1 #1"));
}

TEST(V1Host, OrphansCheckOnForAWhileAndTellNothing) {
  for (const bool orphans : {false, true}) {
    FakeWorld world;
    for (const char* url : {"x", "y", "z"}) world.Add(url, 0, /*status=*/0);
    V1Config config = Config({0, 7});
    config.orphans = orphans;
    const auto host = Host(world, config);
    host->Turn();
    world.checks.front()();  // the read
    world.checks.pop_front();
    host->Kill();
    world.now += 19 * kSecond;
    world.checks.front()();
    world.checks.pop_front();
    world.now += kSecond;
    FakeWorld::RunAll(world.checks);
    FakeWorld::RunAll(world.tells);
    EXPECT_EQ(world.checked.size(), orphans ? 1u : 0u);
    EXPECT_THAT(world.events, IsEmpty());
  }
}

TEST(V1Host, EachHostHasAMemoryOfItsOwn) {
  FakeWorld world;
  world.Add("x", 0);
  world.Add("y", 8);
  world.codes = {{"x", 500}, {"y", 500}};
  const auto one = Host(world, Config({0, 7}, 8)), two = Host(world, Config({8, 15}, 8));
  world.Pass(*one, 40 * kSecond);
  world.Pass(*two, 40 * kSecond);
  one->Kill();
  EXPECT_EQ(one->figures().confirming, 0u);
  EXPECT_EQ(two->figures().confirming, 1u);
  world.Pass(*two, kMinute);
  EXPECT_THAT(world.events, ElementsAre("tell y 0 #1"));
}

// --- SIGHUP

TEST(V1Host, AfterASighupTheRangeIsReadForOneMoreRoundAndTold) {
  FakeWorld world;
  world.Add("x", 0);
  const auto host = Host(world, Config({0, 10}, 4));
  world.Pass(*host, kMinute);
  ASSERT_EQ(world.reads.size(), 3u);
  host->LeaveByHup();
  EXPECT_TRUE(host->leaving());
  world.codes["x"] = 500;
  world.Pass(*host, 4 * kMinute);
  EXPECT_FALSE(host->ended());
  world.Pass(*host, kMinute);
  EXPECT_THAT(world.reads, ElementsAre("0-3", "4-7", "8-10", "0-3", "4-7", "8-10"));
  EXPECT_FALSE(host->ended());  // it is confirming
  world.Pass(*host, kMinute);
  EXPECT_THAT(world.events, ElementsAre("tell x 0 #1"));
  EXPECT_TRUE(host->ended());
  world.Pass(*host, 10 * kMinute);
  EXPECT_EQ(world.reads.size(), 6u);
}

TEST(V1Host, WithAnotherRangeItIsReadAfterTheOldOne) {
  FakeWorld world;
  const auto host = Host(world, Config({0, 10}, 4));
  world.Pass(*host, kMinute);
  world.reads.clear();
  host->Configure({16, 20});
  EXPECT_EQ(host->range().min, 16u);
  world.Pass(*host, 5 * kMinute);
  EXPECT_THAT(world.reads, ElementsAre("0-3", "4-7", "8-11", "12-15"));
  world.Pass(*host, 5 * kMinute);
  EXPECT_THAT(world.reads, ElementsAre("0-3", "4-7", "8-11", "12-15", "16-19"));
}

// --- a failed query

TEST(V1Host, AfterAFailedLastQueryItChecksBelowItsRange) {
  FakeWorld world;
  world.Add("below", 97);
  world.Add("x", 100);
  const auto host = Host(world, Config({100, 110}, 4));
  host->FailLastRead();
  world.Pass(*host, 5 * kMinute);
  EXPECT_THAT(world.reads, ElementsAre("100-103", "104-107"));
  world.Pass(*host, 5 * kMinute);
  EXPECT_THAT(world.reads, ElementsAre("100-103", "104-107", "96-99"));
  EXPECT_THAT(world.checked, ElementsAre("x v1", "below v1"));
  world.Pass(*host, 5 * kMinute);
  EXPECT_EQ(world.reads.back(), "108-110");
}

}  // namespace
}  // namespace jetmon::lab
