// Dialect v1: what a release waits for before the range drains, while its owner checks on.
#include <thread>

#include "controlplane/rollout/test_mute.h"
#include "store/parts.h"

namespace jetmon::rollout {
namespace {

namespace rs = store::range_state;
using std::chrono::milliseconds;

constexpr store::Range kPrefix{2, 3}, kRest{4, 5};

TEST_F(MuteTest, AGrantSaysItsDialectAndHowLongTellsAreHeld) {
  const store::RangeLock lock = rollout_.Lock(epoch_);
  EXPECT_EQ(lock.dialect, store::LegacyDialect::kV1);
  EXPECT_GT(lock.hold_tells_ms, 0);
  EXPECT_LE(lock.hold_tells_ms, 250);
  EXPECT_FALSE(lock.mute.has_value());
}

// The hold counts from the checkpoint that the activation rests on, as this process recorded it.
TEST_F(MuteTest, TheHoldCountsFromTheStopThatCounts) {
  EXPECT_EQ(End(Begin(kRange)).status(), "ok");
  const auto hold = [&](const std::string& run) {
    const auto activation = Overridden(On<v1::PlannedRequest>(run));
    Do(Operation::kActivate, activation);
    const int64_t ms = Held().front().hold_tells_ms;
    v1::OperationResponse answer;
    EXPECT_TRUE(Planned(Operation::kRelease,
                        Executing(On<v1::PlannedRequest>(run),
                                  Token(Operation::kRelease, On<v1::PlannedRequest>(run))),
                        &answer)
                    .ok());
    EXPECT_EQ(answer.status(), "ok");
    return ms;
  };
  const std::string run = OpenSession();
  Checkpoint(run, "v1_stopped");
  std::this_thread::sleep_for(milliseconds(300));  // and the Monitor goes on
  EXPECT_EQ(hold(run), 0);
  // That stop is older than the change of owner: it counts no more.
  EXPECT_GT(hold(run), 200);
  // As if another replica had recorded it.
  const std::string other = OpenSession();
  rollout_.AddCheckpoint(other, store::checkpoint::kV1Stopped, kRange, "");
  std::this_thread::sleep_for(milliseconds(300));  // and the Monitor goes on
  EXPECT_GT(hold(other), 200);
}

// By this process's own clock: what it does not know of was just now.
TEST_F(MuteTest, AGrantHoldsTellsUntilV1HasSaidItsLastWord) {
  const auto hold = [&](bool restart) {
    LongAgo();
    EXPECT_EQ(End(Begin(kRange)).status(), "ok");
    run_ = OpenSession(kRange);
    Checkpoint(run_, store::checkpoint::kV1Stopped);
    std::this_thread::sleep_for(milliseconds(300));
    if (restart) NewService();
    Do(Operation::kActivate, Overridden(On<v1::PlannedRequest>(run_, kRange)));
    epoch_ = Held().front().epoch;
    return rollout_.Lock(epoch_).hold_tells_ms;
  };
  EXPECT_EQ(hold(/*restart=*/false), 0);
  EXPECT_EQ(hold(/*restart=*/true), 250);
}

TEST_F(MuteTest, WhereNothingWasToldLatelyTheRangeDrainsAtOnce) {
  LongAgo();
  const std::string job = Begin(kRange);
  EXPECT_EQ(End(job).status(), "ok");
  const store::RangeLock lock = rollout_.Lock(epoch_);
  EXPECT_EQ(lock.state, rs::kReleased);
  ASSERT_TRUE(lock.mute.has_value());
  EXPECT_LE(lock.draining_at_ms - lock.mute->at_ms, 5'000);
  for (const auto& b :
       rollout_.Get([](sql::Transaction& tx) { return store::ListBuckets(tx, kRange); })) {
    EXPECT_EQ(b.pool, store::kPoolV1);
  }
}

TEST_F(MuteTest, NothingIsToldFromTheExecutionOn) {
  Queue(1, "sending", 3);  // holds the release up
  Begin(kRange);
  const auto tells = [&](const char* instance) {
    bool may = false;
    rollout_.Write([&](sql::Transaction& tx) -> absl::Status {
      auto fence = store::FenceTell(tx, 3, epoch_, instance);
      if (fence.ok()) may = *fence;
      return fence.status();
    });
    return may;
  };
  EXPECT_FALSE(tells(monitor_.instance().c_str()));
  bool checks = false;
  rollout_.Write([&](sql::Transaction& tx) -> absl::Status {
    auto fence = store::FenceBucket(tx, 3, epoch_, monitor_.instance());
    if (fence.ok()) checks = *fence;
    return fence.status();
  });
  EXPECT_TRUE(checks);
  EXPECT_TRUE(IsActive());
}

TEST_F(MuteTest, WhatIsQueuedIsCancelledAndWhatIsSendingWaitedFor) {
  LongAgo();
  rollout_.options().legacy.deliver_within = std::chrono::minutes(1);
  NewService();
  Queue(1, "queued", 3);
  Queue(2, "sending", 4);
  Queue(3, "queued", 7);  // of another range
  const std::string job = Begin(kRange);
  EXPECT_TRUE(Comes([&] { return StateOf(1) == "cancelled"; }));
  std::this_thread::sleep_for(milliseconds(300));  // many looks
  EXPECT_TRUE(IsActive());
  Deliver(2);
  // The receiver's delay and v1's orphans: 250 ms from there on.
  EXPECT_GE(UntilItDrains(), milliseconds(200));
  EXPECT_EQ(End(job).status(), "ok");
  EXPECT_EQ(StateOf(2), "delivered");
  EXPECT_EQ(StateOf(3), "queued");
}

TEST_F(MuteTest, WhatWasToldLatelyHasItsDelay) {
  LongAgo();
  Queue(1, "delivered", 3, rollout_.clock().WallMs());
  const std::string job = Begin(kRange);
  EXPECT_GE(UntilItDrains(), milliseconds(200));
  EXPECT_EQ(End(job).status(), "ok");
}

TEST_F(MuteTest, WhatV1ToldRightBeforeTheGrantHasItsDelay) {
  const std::string job = Begin(kRange);
  EXPECT_GE(UntilItDrains(), milliseconds(150));
  EXPECT_EQ(End(job).status(), "ok");
}

// The owner had not read of the mute yet when it confirmed an outage.
TEST_F(MuteTest, WhatIsQueuedAfterTheMuteIsCancelledToo) {
  LongAgo();
  rollout_.options().legacy.deliver_within = std::chrono::minutes(1);
  NewService();
  Queue(1, "sending", 3);
  Queue(3, "queued", 5);
  const std::string job = Begin(kRange);
  EXPECT_TRUE(Comes([&] { return StateOf(3) == "cancelled"; }));
  Queue(2, "queued", 4);
  Deliver(1);
  const v1::OperationResponse answer = End(job);
  EXPECT_EQ(answer.status(), "ok");
  EXPECT_NE(answer.summary().find("; 2 outages that nobody was told of"), std::string::npos)
      << answer.summary();
  EXPECT_EQ(StateOf(2), "cancelled");
}

TEST_F(MuteTest, WhatIsQueuedWhileItDrainsIsCancelledToo) {
  LongAgo();
  monitor_.drains = false;
  const std::string job = Begin(kRange);
  EXPECT_TRUE(Comes([&] { return !IsActive(); }));
  Queue(1, "queued", 3);
  monitor_.drains = true;
  EXPECT_EQ(End(job).status(), "ok");
  EXPECT_EQ(StateOf(1), "cancelled");
}

// The receiver wrote the down after the up. v1's replicas have to show what is written over it.
TEST_F(MuteTest, AStaleEchoIsWrittenOverAndTheReplicasAreWaitedFor) {
  rollout_.options().legacy.replica_lag = std::chrono::seconds(2);
  NewService();
  LongAgo();
  const int64_t told_ms = rollout_.clock().WallMs() - 3'600'000;
  TellOfAnOutage(told_ms);
  EXPECT_EQ(Status(3), 1);
  rollout_.Write([&](sql::Transaction& tx) {
    return tx
        .Execute("UPDATE jetpack_monitor_sites SET site_status = 0, last_status_change = ?",
                 {store::LegacyTime(told_ms)})
        .status();
  });
  const std::string job = Begin(kRange);
  EXPECT_TRUE(Comes([&] { return Status(3) == 1; }));
  EXPECT_GE(UntilItDrains(), std::chrono::seconds(1));
  EXPECT_EQ(End(job).status(), "ok");
  EXPECT_EQ(Status(3), 1);
}

// What that build wrote for a suspicion counts as told to v1.
TEST_F(MuteTest, AnOlderBuildsRangeGoesBackInV1sWords) {
  const store::Site site = rollout_.AddSite(3, 3);
  rollout_.Write([&](sql::Transaction& tx) -> absl::Status {
    auto older = tx.Execute(
        "UPDATE jetmon_rollout_range_locks SET dialect = 'jetmon2' WHERE epoch = ?", {epoch_});
    if (!older.ok()) return older.status();
    return store::OpenEvent(tx, site, {1, 0, "intermittent", ""},
                            ActorAt(rollout_.clock().WallMs(), store::LegacyDialect::kJetmon2),
                            nullptr)
        .status();
  });
  EXPECT_EQ(Status(3), 0);
  EXPECT_EQ(End(Begin(kRange)).status(), "ok");
  EXPECT_EQ(Status(3), 1);
}

TEST_F(MuteTest, APartIsMutedAlone) {
  LongAgo();
  Queue(1, "queued", 3);
  Queue(2, "queued", 4);  // of what stays
  const std::string job = Begin(kPrefix);
  EXPECT_EQ(End(job).status(), "ok");
  const store::RangeLock lock = rollout_.Lock(epoch_);
  EXPECT_EQ(lock.state, rs::kActive);
  EXPECT_EQ(lock.range, kRest);
  EXPECT_FALSE(lock.mute.has_value());
  EXPECT_EQ(StateOf(1), "cancelled");
  EXPECT_EQ(StateOf(2), "queued");
  EXPECT_EQ(End(Begin(kRest)).status(), "ok");
}

TEST_F(MuteTest, WhileSomeAreMutedNothingElseOfTheRangeIsReleased) {
  LongAgo();
  rollout_.options().legacy.deliver_within = std::chrono::minutes(1);
  NewService();
  Queue(1, "sending", 3);
  const std::string job = Begin(kPrefix);
  v1::OperationResponse answer;
  answer = Plan(Operation::kRelease, Of(kRange));
  ASSERT_EQ(answer.blockers_size(), 1);
  EXPECT_EQ(answer.blockers(0).code(), "owner_range_conflict");
  EXPECT_NE(answer.blockers(0).text().find(job), std::string::npos);
  // The same release again is the one that is on its way.
  EXPECT_EQ(Plan(Operation::kRelease, Of(kPrefix)).job_id(), job);
  Deliver(1);
  EXPECT_EQ(End(job).status(), "ok");
}

TEST_F(MuteTest, TheSweepGoesOnWithAMutedRangeThatHasNoJob) {
  LongAgo();
  service_->Stop();
  rollout_.Write([&](sql::Transaction& tx) -> absl::Status {
    EXPECT_TRUE(*store::MuteRange(tx, epoch_, kPrefix, "rjob_gone", TestRollout::kNow));
    EXPECT_FALSE(*store::MuteRange(tx, epoch_, kPrefix, "rjob_other", TestRollout::kNow));
    EXPECT_FALSE(*store::BeginRelease(tx, epoch_, "rjob_other", TestRollout::kNow));
    return absl::OkStatus();
  });
  service_ = MakeService();
  EXPECT_TRUE(Comes([&] { return Held().front().range == kRest; }));
}

TEST_F(MuteTest, WhatSomebodyElseWroteIsDriftOfItsOwnCause) {
  rollout_.AddSite(1, 3, /*status=*/0);
  const auto drift = Gate(Service::Gate::kDrift).drift();
  ASSERT_EQ(drift.rows_size(), 1);
  EXPECT_EQ(drift.rows(0).cause(), "foreign_write");
}

TEST_F(MuteTest, AMonitorOfAnotherDialectGetsNoRange) {
  EXPECT_EQ(End(Begin(kRange)).status(), "ok");
  monitor_.Kill();
  FakeMonitor other(rollout_.db(), "monitor-b", "b-1");
  other.Run();
  const v1::PlannedRequest request =
      On<v1::PlannedRequest>(OpenSession(kRange, "monitor-b"), kRange);
  EXPECT_TRUE(Comes([&] {
    return Codes(Plan(Operation::kActivate, request)).contains("legacy_dialect_mismatch");
  }));
}

}  // namespace
}  // namespace jetmon::rollout
