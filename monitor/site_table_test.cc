#include "monitor/site_table.h"

#include <gtest/gtest.h>

namespace jetmon::monitor {
namespace {

using std::chrono::seconds;

class SiteTableTest : public testing::Test {
 protected:
  SiteTableTest() {
    config_.unit = milliseconds(1000);
    for (uint64_t id = 1; id <= 200; ++id) {
      store::Site site;
      site.site_id = id;
      site.bucket = id % 4;
      site.url = "http://127.0.0.1:80/s/" + std::to_string(id);
      site.check_interval = 5;
      table_.Put(site, nullptr);
    }
  }
  Config config_;
  ManualClock clock_;
  SiteTable table_{config_};
};

TEST_F(SiteTableTest, ChecksAllInTimeAndEvenly) {
  const BootTime began = clock_.Boot();
  for (size_t i = 0; i < table_.size(); ++i) table_.ScheduleFirst(i, began, began);
  std::vector<std::vector<BootTime>> checks(table_.size());
  size_t most_a_second = 0, this_second = 0;
  for (int tick = 0; tick < 50 * 60; ++tick) {  // a minute, in steps of 20 ms
    clock_.Advance(milliseconds(20));
    const BootTime now = clock_.Boot();
    for (size_t index : table_.TakeDue(now, 1000)) {
      checks[index].push_back(now);
      table_.at(index).last_check = now;
      table_.Finished(index, SiteTable::Next::kRegular, now);
      ++this_second;
    }
    if (tick % 50 == 49) {
      most_a_second = std::max(most_a_second, this_second);
      this_second = 0;
    }
  }
  for (const auto& times : checks) {
    ASSERT_GE(times.size(), 11u);
    EXPECT_LE(times[0] - began, seconds(5));
    for (size_t i = 1; i < times.size(); ++i) {
      EXPECT_LE(times[i] - times[i - 1], milliseconds(5020));
    }
  }
  EXPECT_LT(most_a_second, 100u);  // 40 would be perfect
}

// Whatever passed before they are planned comes off the time over which they are spread, down to
// half of what is allowed.
TEST_F(SiteTableTest, FirstChecksAreSpreadOverWhatIsLeft) {
  const struct {
    milliseconds passed, from, until;
  } cases[] = {{seconds(0), seconds(0), seconds(4)},
               {milliseconds(1000), milliseconds(1000), seconds(4)},
               {milliseconds(1500), milliseconds(1500), seconds(4)},
               {milliseconds(3000), milliseconds(3000), milliseconds(5500)},
               {seconds(60), seconds(60), milliseconds(62'500)}};
  const BootTime since = clock_.Boot();
  for (const auto& c : cases) {
    const BootTime now = since + c.passed;
    for (size_t i = 0; i < table_.size(); ++i) table_.ScheduleFirst(i, since, now);
    size_t in_the_middle = 0;
    for (size_t i = 0; i < table_.size(); ++i) {
      const auto due = table_.at(i).due - since;
      EXPECT_GE(due, c.from);
      EXPECT_LT(due, c.until);
      const milliseconds third = (c.until - c.from) / 3;
      if (due >= c.from + third && due < c.until - third) ++in_the_middle;
    }
    EXPECT_NEAR(static_cast<double>(in_the_middle), table_.size() / 3.0, table_.size() / 9.0);
  }
}

// The Monitor's longest check bounds a site's own, at production's unit and in a lab, for every
// check that --longest_check takes.
TEST_F(SiteTableTest, NoCheckIsLongerThanTheMonitorsLongest) {
  auto own = std::make_shared<CheckPolicy>();
  store::Site site = table_.at(0).site;
  table_.Put(site, own);
  for (const milliseconds unit : {milliseconds(60'000), milliseconds(1'000)}) {
    config_.unit = unit;
    for (int check = 1; check <= 20; ++check) {
      config_.budget = *DeadlineBudget::Of(seconds(check));
      const milliseconds longest = config_.Deadlines().check();
      if (unit == seconds(60)) {
        EXPECT_EQ(longest, seconds(check));
      }
      own->timeout = milliseconds(0);
      EXPECT_EQ(table_.Timeout(0), longest);
      EXPECT_EQ(table_.Timeout(1), longest);  // without a policy
      own->timeout = milliseconds(20'000);
      EXPECT_EQ(table_.Timeout(0), longest);
      own->timeout = milliseconds(100);
      EXPECT_EQ(table_.Timeout(0), milliseconds(100));
      EXPECT_GE(config_.Deadlines().round(), longest + seconds(2));
    }
  }
}

TEST_F(SiteTableTest, ARunningCheckIsNotDueAgain) {
  table_.ScheduleFirst(0, clock_.Boot(), clock_.Boot());
  clock_.Advance(seconds(6));
  EXPECT_EQ(table_.TakeDue(clock_.Boot(), 10).size(), 1u);
  clock_.Advance(seconds(20));
  EXPECT_TRUE(table_.TakeDue(clock_.Boot(), 10).empty());
  table_.Finished(0, SiteTable::Next::kRegular, clock_.Boot());
  EXPECT_EQ(table_.TakeDue(clock_.Boot(), 10).size(), 1u);  // overdue: at once
}

TEST_F(SiteTableTest, ASiteThatIsScheduledTwiceForAMomentIsCheckedOnce) {
  table_.ScheduleFirst(0, clock_.Boot(), clock_.Boot());
  table_.ScheduleFirst(0, clock_.Boot(), clock_.Boot());
  clock_.Advance(seconds(6));
  EXPECT_EQ(table_.TakeDue(clock_.Boot(), 10).size(), 1u);
  EXPECT_TRUE(table_.TakeDue(clock_.Boot(), 10).empty());
}

TEST_F(SiteTableTest, ARetryComesSoonerNeverLater) {
  for (size_t i = 0; i < table_.size(); ++i) table_.ScheduleFirst(i, clock_.Boot(), clock_.Boot());
  clock_.Advance(seconds(5));
  const auto first = table_.TakeDue(clock_.Boot(), 1000);
  ASSERT_EQ(first.size(), table_.size());
  for (const size_t index : first) {
    table_.Finished(index, SiteTable::Next::kRetry, clock_.Boot());
  }
  // All of them, though some would not be due for almost five seconds.
  clock_.Advance(config_.RetryDelay());
  EXPECT_EQ(table_.TakeDue(clock_.Boot(), 1000).size(), table_.size());
}

TEST_F(SiteTableTest, GoneOnesAreNeverDue) {
  table_.ScheduleFirst(3, clock_.Boot(), clock_.Boot());
  table_.MarkGone(3);
  clock_.Advance(seconds(60));
  EXPECT_TRUE(table_.TakeDue(clock_.Boot(), 10).empty());
}

TEST_F(SiteTableTest, AHostNameOverTlsIsASiteAsAnyOther) {
  store::Site https;
  https.site_id = 900;
  https.bucket = 9;
  https.url = "https://example.com/";
  const size_t index = table_.Put(https, nullptr);
  table_.ScheduleFirst(index, clock_.Boot(), clock_.Boot());
  clock_.Advance(seconds(60));
  EXPECT_EQ(table_.TakeDue(clock_.Boot(), 10), std::vector<size_t>{index});
  EXPECT_EQ(table_.Summarise(9, clock_.Boot(), clock_.Boot()).sites, 1u);
}

TEST_F(SiteTableTest, WhatTargetSafetyRefusesIsCountedApart) {
  const BootTime began = clock_.Boot();
  const uint32_t bucket = table_.at(0).site.bucket;
  table_.at(0).refused = true;
  clock_.Advance(milliseconds(6001));
  const store::BucketActivity a = table_.Summarise(bucket, clock_.Boot(), began);
  EXPECT_EQ(a.sites, 49u);
  EXPECT_EQ(a.late, 49u);
  const SiteTable::Backlog backlog = table_.Overdue(clock_.Boot());
  EXPECT_EQ(backlog.targets, 200u);
  EXPECT_EQ(backlog.refused, 1u);
  EXPECT_EQ(backlog.refused_site, table_.at(0).site.site_id);
}

TEST_F(SiteTableTest, SummarisesABucket) {
  const BootTime began = clock_.Boot();
  const uint32_t bucket = table_.at(0).site.bucket;
  store::BucketActivity a = table_.Summarise(bucket, began, began);
  EXPECT_EQ(a.sites, 50u);
  EXPECT_EQ(a.checked, 0u);
  EXPECT_EQ(a.late, 0u);
  clock_.Advance(milliseconds(6001));  // 5 s, and 1 s allowed
  a = table_.Summarise(bucket, clock_.Boot(), began);
  EXPECT_EQ(a.late, 50u);
  EXPECT_EQ(a.oldest_check_ms, 0);
  for (size_t i : table_.buckets().at(bucket)) {
    table_.at(i).last_check = clock_.Boot();
    table_.at(i).last_check_wall_ms = 1000 + static_cast<int64_t>(i);
  }
  a = table_.Summarise(bucket, clock_.Boot(), began);
  EXPECT_EQ(a.late, 0u);
  EXPECT_EQ(a.checked, 50u);
  EXPECT_EQ(a.oldest_check_ms, 1000);
  EXPECT_TRUE(a.late_sites.empty());
}

TEST_F(SiteTableTest, NamesTheSitesThatAreLateForLongest) {
  const BootTime began = clock_.Boot();
  const uint32_t bucket = table_.at(0).site.bucket;
  const std::vector<size_t>& indices = table_.buckets().at(bucket);
  ASSERT_GT(indices.size(), store::kMostLateSites + 10);
  // One was never checked; the others one after the other, the last in the table first.
  clock_.Advance(milliseconds(100'000));
  for (size_t i = 1; i < indices.size(); ++i) {
    WatchedSite& w = table_.at(indices[i]);
    w.last_check = began + milliseconds(100 * (indices.size() - i));
    w.last_check_wall_ms = static_cast<int64_t>(5000 + indices.size() - i);
  }
  table_.at(indices.back()).running = true;  // under way: not late
  const store::BucketActivity a = table_.Summarise(bucket, clock_.Boot(), began);
  EXPECT_EQ(a.late, indices.size() - 1);
  ASSERT_EQ(a.late_sites.size(), store::kMostLateSites);
  EXPECT_EQ(a.late_sites[0].site_id, table_.at(indices[0]).site.site_id);
  EXPECT_EQ(a.late_sites[0].last_check_ms, 0);
  for (size_t i = 1; i < a.late_sites.size(); ++i) {
    const size_t index = indices[indices.size() - 1 - i];
    EXPECT_EQ(a.late_sites[i].site_id, table_.at(index).site.site_id);
    EXPECT_EQ(a.late_sites[i].last_check_ms, table_.at(index).last_check_wall_ms);
  }
}

TEST_F(SiteTableTest, ABucketThatLeavesIsNotScheduledAnyMore) {
  const BootTime began = clock_.Boot();
  for (size_t i = 0; i < table_.size(); ++i) table_.ScheduleFirst(i, began, began);
  clock_.Advance(milliseconds(500));
  const std::vector<size_t> running = table_.TakeDue(clock_.Boot(), 1000);
  const std::vector<size_t> left = table_.Leave(1);
  EXPECT_EQ(left.size(), 50u);
  EXPECT_TRUE(table_.Leave(77).empty());
  clock_.Advance(seconds(10));
  for (size_t index : running) table_.Finished(index, SiteTable::Next::kSoon, clock_.Boot());
  table_.ScheduleFirst(left[0], clock_.Boot(), clock_.Boot());
  clock_.Advance(seconds(10));
  size_t due = 0;
  for (size_t index : table_.TakeDue(clock_.Boot(), 1000)) {
    EXPECT_NE(table_.at(index).site.bucket, 1u);
    ++due;
  }
  EXPECT_EQ(due, 150u);
  EXPECT_EQ(table_.Overdue(clock_.Boot()).due, 0u);
}

TEST_F(SiteTableTest, ABucketThatIsForgottenIsGoneButForWhatIsUnderWay) {
  for (size_t i = 0; i < table_.size(); ++i) table_.ScheduleFirst(i, clock_.Boot(), clock_.Boot());
  clock_.Advance(milliseconds(500));
  std::optional<size_t> running;
  for (size_t index : table_.TakeDue(clock_.Boot(), 1000)) {
    if (table_.at(index).site.bucket == 2) running = index;
  }
  ASSERT_TRUE(running.has_value());
  table_.Forget(2);
  table_.Forget(77);
  EXPECT_EQ(table_.Overdue(clock_.Boot()).targets, 150u);
  EXPECT_FALSE(table_.Find(2).has_value());
  EXPECT_TRUE(table_.Find(3).has_value());
  EXPECT_EQ(table_.buckets().count(2), 0u);
  EXPECT_EQ(table_.Summarise(2, clock_.Boot(), clock_.Boot()).sites, 0u);
  EXPECT_TRUE(table_.at(*running).dropped);
  EXPECT_EQ(table_.at(*running).site.bucket, 2u);  // who holds the index still reads it
  table_.Finished(*running, SiteTable::Next::kSoon, clock_.Boot());
  clock_.Advance(seconds(10));
  for (size_t index : table_.TakeDue(clock_.Boot(), 1000)) EXPECT_FALSE(table_.at(index).dropped);
}

TEST_F(SiteTableTest, ASiteOfAnotherBucketIsNewAndItsOldIndexStays) {
  const size_t old = *table_.Find(6);
  store::Site moved = table_.at(old).site;
  moved.bucket = 3;
  table_.at(old).failures = 2;
  const size_t now = table_.Put(moved, nullptr);
  EXPECT_NE(now, old);
  EXPECT_EQ(*table_.Find(6), now);
  EXPECT_EQ(table_.at(old).site.bucket, 2u);
  EXPECT_EQ(table_.at(now).failures, 0);
  EXPECT_EQ(table_.buckets().at(3).size(), 51u);
  EXPECT_EQ(table_.Put(moved, nullptr), now);
  // Its old bucket takes with it only what is its own.
  table_.MarkGone(old);
  table_.Forget(2);
  EXPECT_EQ(*table_.Find(6), now);
}

}  // namespace
}  // namespace jetmon::monitor
