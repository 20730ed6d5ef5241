#include "controlplane/rollout/observer.h"

#include <gtest/gtest.h>

#include "controlplane/rollout/test_rollout.h"

namespace jetmon::rollout {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

// A host with a range that is active, seen by an observer that reads when told to.
class ObserverTest : public ::testing::Test {
 protected:
  ObserverTest() : observer_(rollout_.db(), clock_, Times{}) {
    monitor_.Poll();
    lock_ = rollout_.AddGrant({0, 3}, "monitor-a", "a-1", "rol_1", "rjob_1");
    rollout_.Write([this](sql::Transaction& tx) {
      return store::BeginActivating(tx, lock_.epoch, 1).status();
    });
    monitor_.Poll();  // acknowledges
  }
  void ReadAfter(milliseconds d) {
    clock_.Advance(d);
    ASSERT_TRUE(observer_.Read().ok());
  }

  TestRollout rollout_;
  ManualClock clock_;
  Observer observer_;
  FakeMonitor monitor_{rollout_.db(), "monitor-a", "a-1"};
  store::RangeLock lock_;
};

TEST_F(ObserverTest, KnowsNothingBeforeItsFirstRead) {
  EXPECT_FALSE(observer_.Lease(lock_.epoch).has_value());
  EXPECT_FALSE(observer_.Dead(observer_.Lease(lock_.epoch)));
}

TEST_F(ObserverTest, ALeaseIsDeadWhenSeenUnchangedForTheWholeGrace) {
  ReadAfter(seconds(0));
  for (int i = 0; i < 31; ++i) ReadAfter(seconds(1));
  EXPECT_FALSE(observer_.Dead(observer_.Lease(lock_.epoch)));
  ReadAfter(seconds(1));
  EXPECT_TRUE(observer_.Dead(observer_.Lease(lock_.epoch)));
  EXPECT_FALSE(observer_.Lease(lock_.epoch)->seen_to_change);
}

TEST_F(ObserverTest, ARenewalBeginsTheCountAgain) {
  ReadAfter(seconds(0));
  for (int i = 0; i < 31; ++i) ReadAfter(seconds(1));
  monitor_.Poll();
  for (int i = 0; i < 31; ++i) ReadAfter(seconds(1));
  const auto sight = observer_.Lease(lock_.epoch);
  EXPECT_FALSE(observer_.Dead(sight));
  EXPECT_TRUE(sight->seen_to_change);
  ReadAfter(seconds(2));
  EXPECT_TRUE(observer_.Dead(observer_.Lease(lock_.epoch)));
}

TEST_F(ObserverTest, TimeThatWasNotReadThroughDoesNotCount) {
  ReadAfter(seconds(0));
  clock_.Advance(seconds(60));
  EXPECT_FALSE(observer_.Dead(observer_.Lease(lock_.epoch)));
  // After more than 5 s without a good read everything begins again.
  ReadAfter(seconds(0));
  EXPECT_EQ(observer_.Lease(lock_.epoch)->unchanged, seconds(0));
  for (int i = 0; i < 6; ++i) ReadAfter(seconds(5));
  EXPECT_FALSE(observer_.Dead(observer_.Lease(lock_.epoch)));
  ReadAfter(seconds(2));
  EXPECT_TRUE(observer_.Dead(observer_.Lease(lock_.epoch)));
}

TEST_F(ObserverTest, AFailedReadIsNoGoodRead) {
  if (!rollout_.embedded()) GTEST_SKIP() << "changes the schema";
  ReadAfter(seconds(0));
  for (int i = 0; i < 20; ++i) ReadAfter(seconds(1));
  rollout_.Write([](sql::Transaction& tx) {
    return tx.Execute("ALTER TABLE jetmon_rollout_jobs RENAME TO jobs_gone").status();
  });
  for (int i = 0; i < 6; ++i) {
    clock_.Advance(seconds(1));
    EXPECT_FALSE(observer_.Read().ok());
  }
  rollout_.Write([](sql::Transaction& tx) {
    return tx.Execute("ALTER TABLE jobs_gone RENAME TO jetmon_rollout_jobs").status();
  });
  ReadAfter(seconds(1));
  EXPECT_EQ(observer_.Lease(lock_.epoch)->unchanged, seconds(0));
}

// Looked at for the n-th time, it shows the n-th time.
class ScriptedClock final : public Clock {
 public:
  explicit ScriptedClock(std::vector<int64_t> seconds) : seconds_(std::move(seconds)) {}
  BootTime Boot() const override { return BootTime{seconds_.at(looks_++) * 1'000'000'000}; }
  int64_t WallMs() const override { return 0; }

 private:
  const std::vector<int64_t> seconds_;
  mutable size_t looks_ = 0;
};

TEST_F(ObserverTest, TheTimeThatAReadTakesIsNotCounted) {
  // The first read takes from 1 s to 5 s: what it saw may have been written just before 5 s.
  ScriptedClock clock({1, 5, 6, 9});
  Observer observer(rollout_.db(), clock, Times{});
  ASSERT_TRUE(observer.Read().ok());
  EXPECT_EQ(observer.Lease(lock_.epoch)->unchanged, seconds(0));
  ASSERT_TRUE(observer.Read().ok());
  EXPECT_EQ(observer.Lease(lock_.epoch)->unchanged, seconds(1));
}

TEST_F(ObserverTest, SeesProcessesAndJobs) {
  rollout_.AddJob("rjob_9", "seed", "rol_1", {0, 3});
  ReadAfter(seconds(0));
  ASSERT_TRUE(observer_.Process("a-1").has_value());
  EXPECT_FALSE(observer_.Process("a-1")->seen_to_change);
  EXPECT_FALSE(observer_.Process("a-2").has_value());
  monitor_.Poll();
  rollout_.Claim("rjob_9");
  ReadAfter(seconds(1));
  EXPECT_TRUE(observer_.Process("a-1")->seen_to_change);
  ASSERT_TRUE(observer_.JobWorker("rjob_9").has_value());
  EXPECT_EQ(observer_.JobWorker("rjob_9")->seq, rollout_.Job("rjob_9").seq);
  EXPECT_EQ(observer_.JobWorker("rjob_9")->unchanged, seconds(0));
}

TEST_F(ObserverTest, WaitsUntilAHostIsHeardOf) {
  ReadAfter(seconds(0));
  EXPECT_FALSE(observer_.WaitUntilHeard("monitor-a", milliseconds(1)));
  std::thread reader([this] {
    monitor_.Poll();
    ReadAfter(seconds(1));
  });
  EXPECT_TRUE(observer_.WaitUntilHeard("monitor-a", seconds(30)));
  reader.join();
  EXPECT_FALSE(observer_.WaitUntilHeard("monitor-b", milliseconds(1)));
}

TEST_F(ObserverTest, ReadsOnAThreadUntilStopped) {
  Times times;
  times.observe = milliseconds(1);
  Observer observer(rollout_.db(), SystemClock(), times);
  observer.Run();
  monitor_.Run();
  EXPECT_TRUE(observer.WaitUntilHeard("monitor-a", seconds(30)));
  observer.Stop();
}

}  // namespace
}  // namespace jetmon::rollout
