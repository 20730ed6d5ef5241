// Dialect v1: what stands in the legacy columns at every step of an incident, and the commit point
// of a tell.
#include "store/test_tells.h"

namespace jetmon::store {
namespace {

TEST_F(TellsTest, TheColumnsSayWhatWasTold) {
  Fail();
  EXPECT_EQ(Columns(), Before());  // a suspicion
  EXPECT_EQ(Drift(), 0u);
  Confirm();
  EXPECT_EQ(Columns(), Before());  // confirmed, and not yet sending
  EXPECT_EQ(Drift(), 0u);
  EXPECT_EQ(Outbox(), "down:queued");
  Pass(1500);
  const int64_t told = actor_.now_ms;
  EXPECT_EQ(Commit(), TellOutcome::kCommitted);
  EXPECT_EQ(Columns(), At(0, told));
  EXPECT_EQ(Open()->told_at_ms, told);
  EXPECT_EQ(Drift(), 0u);
  Deliver();
  EXPECT_EQ(Columns(), At(0, told));
  Pass(kMinute);
  EXPECT_EQ(Close(*Open()), ChangeOutcome::kChanged);
  EXPECT_EQ(Columns(), At(0, told));  // its end is not told yet
  EXPECT_EQ(Drift(), 0u);
  EXPECT_EQ(Outbox(), "down:delivered up:queued");
  EXPECT_EQ(Due()->status_id, 1);
  Pass(kSecond);
  EXPECT_EQ(Commit(), TellOutcome::kCommitted);
  EXPECT_EQ(Columns(), At(1, actor_.now_ms));
  EXPECT_EQ(Drift(), 0u);
  Deliver();
  EXPECT_EQ(Outbox(), "down:delivered up:delivered");
}

TEST_F(TellsTest, ATimeIsWrittenInWholeSecondsAndFound) {
  actor_.now_ms += 999;
  TellDown();
  EXPECT_EQ(Columns(), At(0, actor_.now_ms / 1000 * 1000));
  Deliver();
  Close(*Open());
  EXPECT_EQ(Commit(), TellOutcome::kCommitted);
}

TEST_F(TellsTest, AColumnWithoutATimeIsFound) {
  SetColumns(1, "");
  TellDown();
  EXPECT_EQ(Columns(), At(0, actor_.now_ms));
}

TEST_F(TellsTest, WhatEndsUntoldTellsNobody) {
  Fail();
  Close(*Open(), transition::kProbeCleared);
  EXPECT_EQ(Outbox(), "");
  Fail();
  Confirm();
  Close(*Open());
  EXPECT_EQ(Outbox(), "down:cancelled");
  EXPECT_EQ(Columns(), Before());
  EXPECT_FALSE(Due().has_value());
}

// The decider's picture of the event is older than the tell.
TEST_F(TellsTest, WhatWasToldMeanwhileOwesItsEnd) {
  Fail();
  Confirm();
  const Event seen = *Open();
  EXPECT_EQ(seen.told_at_ms, 0);
  Commit();
  EXPECT_EQ(Close(seen), ChangeOutcome::kChanged);
  EXPECT_EQ(Outbox(), "down:sending up:queued");
  EXPECT_EQ(Due()->kind, "down");  // in order
}

TEST_F(TellsTest, OnlyWhatIsQueuedIsCancelled) {
  Fail();
  Confirm();
  const uint64_t event = Open()->event_id;
  const auto cancel = [&] {
    absl::Status status;
    Write([&](sql::Transaction& tx) -> absl::Status {
      status = CancelQueuedDown(tx, event);
      return absl::OkStatus();
    });
    return status;
  };
  const auto up_waits = [&] {
    return Did<bool>([](sql::Transaction& tx) { return UpIsQueued(tx, 1, 3); });
  };
  EXPECT_TRUE(cancel().ok());
  EXPECT_TRUE(cancel().ok());  // it is
  EXPECT_EQ(Outbox(), "down:cancelled");
  Close(*Open());
  EXPECT_FALSE(up_waits());
  TellDown();
  const uint64_t told = Open()->event_id;
  Write([&](sql::Transaction& tx) -> absl::Status {
    EXPECT_TRUE(absl::IsAborted(CancelQueuedDown(tx, told)));
    return absl::OkStatus();
  });
  Deliver();
  Close(*Open());
  EXPECT_TRUE(up_waits());
  Commit();
  EXPECT_FALSE(up_waits());
}

TEST_F(TellsTest, ACommitIsMadeOnce) {
  Fail();
  Confirm();
  const Notification n = *Due();
  EXPECT_EQ(Commit(n), TellOutcome::kCommitted);
  const std::string columns = Columns();
  Pass(kSecond);
  EXPECT_EQ(Commit(n), TellOutcome::kStale);
  EXPECT_EQ(Columns(), columns);
  EXPECT_EQ(Outbox(), "down:sending");
}

TEST_F(TellsTest, WhatIsCancelledIsNotCommitted) {
  Fail();
  Confirm();
  const Notification n = *Due();
  Close(*Open());
  EXPECT_EQ(Commit(n), TellOutcome::kStale);
  EXPECT_EQ(Outbox(), "down:cancelled");
  EXPECT_EQ(Columns(), Before());
}

// A release has cancelled it since it was read; the incident goes on.
TEST_F(TellsTest, WhatAReleaseCancelledIsNotCommitted) {
  Fail();
  Confirm();
  const Notification n = *Due();
  EXPECT_EQ(Did<uint64_t>([](sql::Transaction& tx) { return CancelQueued(tx, {3, 3}); }), 1u);
  EXPECT_TRUE(absl::IsAborted(Refusal(n)));
  EXPECT_EQ(Outbox(), "down:cancelled");
  EXPECT_EQ(Columns(), Before());
  EXPECT_EQ(Open()->told_at_ms, 0);
}

// Another process has committed it, reached nobody, and taken it back since it was read.
TEST_F(TellsTest, AnOlderAttemptIsNotCommitted) {
  Fail();
  Confirm();
  const Notification n = *Due();
  Commit(n);
  EXPECT_TRUE(TakeBack());
  EXPECT_TRUE(absl::IsAborted(Refusal(n)));
  EXPECT_EQ(Outbox(), "down:queued");
  EXPECT_EQ(Columns(), Before());
  EXPECT_EQ(Commit(), TellOutcome::kCommitted);
}

TEST_F(TellsTest, WhoeverToldFirstIsTakenOver) {
  Fail();
  Confirm();
  SetColumns(0, "2023-11-14 22:13:25");  // v1's last word, written late
  EXPECT_EQ(Commit(), TellOutcome::kSuperseded);
  EXPECT_EQ(Outbox(), "down:superseded");
  EXPECT_EQ(Columns(), "0 2023-11-14 22:13:25");
  EXPECT_EQ(Open()->notified, 2);
  EXPECT_NE(Open()->told_at_ms, 0);
  EXPECT_EQ(Drift(), 0u);
  // Its end is ours to tell.
  Close(*Open());
  EXPECT_EQ(Outbox(), "down:superseded up:queued");
  EXPECT_EQ(Commit(), TellOutcome::kCommitted);
  EXPECT_EQ(Columns(), At(1, actor_.now_ms));
}

// A receiver's second write of the end of the incident before.
TEST_F(TellsTest, TheSameWordAtAnotherTimeIsNoTell) {
  Fail();
  Confirm();
  SetColumns(1, "2023-11-14 22:13:25");
  EXPECT_EQ(Commit(), TellOutcome::kCommitted);
  EXPECT_EQ(Columns(), At(0, actor_.now_ms));
  Deliver();
  Close(*Open());
  actor_.echo_ms = 0;
  Pass(kSecond);
  SetColumns(2, "2023-11-14 22:14:00");
  EXPECT_EQ(Commit(), TellOutcome::kCommitted);
  EXPECT_EQ(Columns(), At(1, actor_.now_ms));
  EXPECT_EQ(Outbox(), "down:delivered up:sending");
}

TEST_F(TellsTest, AnEndThatSomebodyElseToldIsNotToldAgain) {
  TellDown();
  Deliver();
  Close(*Open());
  SetColumns(1, "2023-11-14 22:14:00");
  EXPECT_EQ(Commit(), TellOutcome::kSuperseded);
  EXPECT_EQ(Outbox(), "down:delivered up:superseded");
  EXPECT_EQ(Columns(), "1 2023-11-14 22:14:00");
  EXPECT_FALSE(Open().has_value());
}

TEST_F(TellsTest, AnEchoIsOurOwnWord) {
  TellDown();
  const int64_t told = actor_.now_ms;
  Deliver();
  SetColumns(0, LegacyTime(told + 20 * kSecond));  // the receiver writes what we told it
  EXPECT_EQ(Drift(), 0u);
  Pass(30 * kSecond);
  Close(*Open());
  EXPECT_EQ(Commit(), TellOutcome::kCommitted);
  EXPECT_EQ(Columns(), At(1, actor_.now_ms));
}

// The column says 0 when the second outage is to be told: v1's receiver wrote the first one late,
// which is no tell of the second; or somebody else told the second.
TEST_F(TellsTest, AnEchoIsOneByWhenItWasWritten) {
  for (const bool echo : {true, false}) {
    SCOPED_TRACE(echo);
    TellDown();
    Pass(kSecond);
    Deliver();
    const int64_t delivered = actor_.now_ms;
    Close(*Open());
    Commit();
    Deliver();
    Pass(10 * kMinute);
    Fail();
    Confirm();
    SetColumns(0, LegacyTime(delivered + kMinute + (echo ? 0 : 2 * kSecond)));
    EXPECT_EQ(Commit(), echo ? TellOutcome::kCommitted : TellOutcome::kSuperseded);
    if (echo) Deliver();
    Close(*Open());
    EXPECT_EQ(Commit(), TellOutcome::kCommitted);
    Deliver();
    Pass(10 * kMinute);
  }
}

TEST_F(TellsTest, WhileARowIsSendingItsEchoIsOne) {
  TellDown();  // and its receiver does not answer for long
  Pass(10 * kMinute);
  SetColumns(0, LegacyTime(actor_.now_ms));
  Write([&](sql::Transaction& tx) -> absl::Status {
    EXPECT_TRUE(*IsEcho(tx, **GetSite(tx, 1), actor_));
    return absl::OkStatus();
  });
}

TEST_F(TellsTest, AStaleEchoIsRewrittenBeforeARelease) {
  TellOutage();
  const std::string columns = Columns();
  SetColumns(0, LegacyTime(actor_.now_ms));  // the down, written after the up
  EXPECT_EQ(Drift(), 1u);
  Write([&](sql::Transaction& tx) -> absl::Status {
    EXPECT_EQ(*ProjectBucket(tx, 3, actor_), 1u);
    EXPECT_EQ(*ProjectBucket(tx, 3, actor_), 0u);
    return absl::OkStatus();
  });
  EXPECT_EQ(Columns(), columns);
  // And the other way round: the up, written after the next down.
  Pass(kSecond);
  TellDown();
  const std::string down = Columns();
  SetColumns(1, LegacyTime(actor_.now_ms));
  Write([&](sql::Transaction& tx) -> absl::Status {
    EXPECT_EQ(*ProjectBucket(tx, 3, actor_), 1u);
    return absl::OkStatus();
  });
  EXPECT_EQ(Columns(), down);
}

TEST_F(TellsTest, AReleaseWritesNothingOfWhatNobodyWasTold) {
  Fail();
  Confirm();
  Write([&](sql::Transaction& tx) -> absl::Status {
    EXPECT_EQ(*ProjectBucket(tx, 3, actor_), 0u);
    return absl::OkStatus();
  });
  EXPECT_EQ(Columns(), Before());
}

TEST_F(TellsTest, AnUnreachedReceiverWasToldNothing) {
  TellDown();
  EXPECT_TRUE(TakeBack());
  EXPECT_EQ(Columns(), Before());
  EXPECT_EQ(Outbox(), "down:queued");
  EXPECT_EQ(Open()->told_at_ms, 0);
  Pass(kSecond);
  EXPECT_EQ(Commit(), TellOutcome::kCommitted);
  const std::string down = Columns();
  Deliver();
  Close(*Open());
  EXPECT_EQ(Commit(), TellOutcome::kCommitted);
  EXPECT_TRUE(TakeBack());
  EXPECT_EQ(Columns(), down);
  EXPECT_EQ(Outbox(), "down:delivered up:queued");
  EXPECT_EQ(Commit(), TellOutcome::kCommitted);
}

TEST_F(TellsTest, AnOutageThatNobodyHeardOfHasNoEnd) {
  TellDown();
  const Notification n = *Due();
  Close(*Open());
  EXPECT_EQ(Outbox(), "down:sending up:queued");
  EXPECT_TRUE(
      Did<bool>([&](sql::Transaction& tx) { return TakeBackTell(tx, n, actor_, actor_.now_ms); }));
  EXPECT_EQ(Outbox(), "down:cancelled up:cancelled");
  EXPECT_EQ(Columns(), Before());
}

TEST_F(TellsTest, WhatChangedMeanwhileIsNotTakenBack) {
  TellDown();
  SetColumns(1, "2023-11-14 22:14:00");
  EXPECT_FALSE(TakeBack());
  EXPECT_EQ(Outbox(), "down:sending");
  EXPECT_EQ(Columns(), "1 2023-11-14 22:14:00");
}

TEST_F(TellsTest, ANewIncidentBeforeTheEndOfTheLastIsTold) {
  TellDown();
  Deliver();
  Close(*Open());
  Pass(kSecond);
  EXPECT_EQ(Fail(), ChangeOutcome::kChanged);
  EXPECT_EQ(Open()->notified, 0);  // not adopted: that 0 is ours, and its end is queued
  Confirm();
  EXPECT_EQ(Outbox(), "down:delivered up:queued down:queued");
  EXPECT_EQ(Commit(), TellOutcome::kCommitted);
  Deliver();
  EXPECT_EQ(Due()->kind, "down");
  EXPECT_EQ(Commit(), TellOutcome::kCommitted);
  EXPECT_EQ(Columns(), At(0, actor_.now_ms));
  EXPECT_EQ(Outbox(), "down:delivered up:delivered down:sending");
}

TEST_F(TellsTest, AFailureOfASiteThatIsToldDownIsTakenOver) {
  SetColumns(0, "2023-11-14 22:00:00");
  EXPECT_EQ(Fail(), ChangeOutcome::kChanged);
  EXPECT_EQ(Open()->severity, Severity::kDown);
  EXPECT_EQ(Open()->notified, 2);
  EXPECT_EQ(Outbox(), "");
}

TEST_F(TellsTest, WhatIsNoWordOfV1sIsWrittenOver) {
  SetColumns(7, kBefore);
  TellDown();
  EXPECT_EQ(Columns(), At(0, actor_.now_ms));
  SetColumns(7, kBefore);
  Deliver();
  Close(*Open());
  EXPECT_EQ(Commit(), TellOutcome::kCommitted);
  EXPECT_EQ(Columns(), At(1, actor_.now_ms));
}

TEST_F(TellsTest, ASiteThatLeftIsToldOfByNobody) {
  Fail();
  Confirm();
  Write([&](sql::Transaction& tx) {
    return tx.Execute("UPDATE jetpack_monitor_sites SET monitor_active = 0", {}).status();
  });
  EXPECT_EQ(Commit(), TellOutcome::kCancelled);
  EXPECT_EQ(Outbox(), "down:cancelled");
  EXPECT_EQ(Columns(), Before());
  EXPECT_EQ(Fail(), ChangeOutcome::kStale);
  actor_.project = false;
  Close(*Open(), transition::kSiteRemoved);
  EXPECT_EQ(Outbox(), "down:cancelled");
}

TEST_F(TellsTest, MutedNothingNewIsTold) {
  actor_.muted = true;
  Fail();
  Confirm();
  EXPECT_EQ(Outbox(), "");
  EXPECT_EQ(Open()->notified, 0);
  EXPECT_EQ(Columns(), Before());
  Close(*Open());
  EXPECT_EQ(Outbox(), "");
  actor_.muted = false;
  TellDown();
  const std::string down = Columns();
  Deliver();
  actor_.muted = true;
  Close(*Open());
  EXPECT_EQ(Outbox(), "down:delivered");  // v1 finds the 0, and tells the end itself
  EXPECT_EQ(Columns(), down);
  Write([&](sql::Transaction& tx) -> absl::Status {
    EXPECT_EQ(*ProjectBucket(tx, 3, actor_), 0u);
    return absl::OkStatus();
  });
  EXPECT_EQ(Columns(), down);
}

TEST_F(TellsTest, AnEndIsToldFromItsCommitOn) {
  TellDown();
  Deliver();
  const Event e = *Open();
  const auto told = [&] {
    return Did<bool>([&](sql::Transaction& tx) { return EndWasTold(tx, e); });
  };
  EXPECT_FALSE(told());
  Close(e);
  EXPECT_EQ(Outbox(), "down:delivered up:queued");
  EXPECT_FALSE(told());
  Commit();
  EXPECT_TRUE(told());
  Deliver();
  EXPECT_TRUE(told());
}

TEST_F(TellsTest, WithoutAReceiverWhatIsRecordedCountsAsTold) {
  actor_.notify_sends = false;
  Fail();
  Confirm();
  EXPECT_EQ(Outbox(), "down:recorded");
  EXPECT_EQ(Columns(), At(0, actor_.now_ms));
  Pass(kSecond);
  const Event down = *Open();
  Close(down);
  EXPECT_EQ(Outbox(), "down:recorded up:recorded");
  EXPECT_EQ(Columns(), At(1, actor_.now_ms));
  EXPECT_TRUE(Did<bool>([&](sql::Transaction& tx) { return EndWasTold(tx, down); }));
}

TEST_F(TellsTest, StillDownIsWrittenOnceAndTellsNobody) {
  constexpr int64_t kAfter = kStillDownAfterMinutes * kMinute;
  TellDown();
  Deliver();
  const int64_t told = actor_.now_ms;
  const auto write = [&] {
    bool written = false;
    const Event e = *Open();
    Write([&](sql::Transaction& tx) -> absl::Status {
      written = *WriteStillDown(tx, e, kAfter, actor_);
      return absl::OkStatus();
    });
    return written;
  };
  Pass(kAfter - 1);
  EXPECT_FALSE(write());
  EXPECT_EQ(Columns(), At(0, told));
  Pass(1 + kMinute);
  EXPECT_TRUE(write());
  EXPECT_EQ(Columns(), At(2, told + kAfter));
  EXPECT_FALSE(write());
  EXPECT_EQ(Drift(), 0u);
  EXPECT_EQ(Outbox(), "down:delivered");
  Close(*Open());
  EXPECT_EQ(Commit(), TellOutcome::kCommitted);
  EXPECT_EQ(Columns(), At(1, actor_.now_ms));
}

// What is still being sent says what is not so any more: whoever told people since is right.
TEST_F(TellsTest, WhatPeopleWereToldOtherwiseIsNotSentAgain) {
  TellDown();
  const Notification down = *Due();
  const auto stands = [&](const Notification& n) {
    return Did<bool>([&](sql::Transaction& tx) { return StillStands(tx, n, actor_); });
  };
  EXPECT_TRUE(stands(down));
  SetColumns(2, LegacyTime(actor_.now_ms));
  EXPECT_TRUE(stands(down));
  Notification older = down;
  older.attempts = 7;
  EXPECT_FALSE(stands(older));
  EXPECT_EQ(Outbox(), "down:sending");
  SetColumns(1, LegacyTime(actor_.now_ms));
  EXPECT_FALSE(stands(down));
  EXPECT_EQ(Outbox(), "down:superseded");
  EXPECT_FALSE(stands(down));
}

// The receiver writes the end of the outage before, while the next one is being sent.
TEST_F(TellsTest, ALateEchoDoesNotKeepAWordFromBeingSent) {
  TellDown();
  Deliver();
  Close(*Open());
  Commit();
  Deliver();
  TellDown();
  SetColumns(1, LegacyTime(actor_.now_ms));
  const Notification down = *Due();
  EXPECT_TRUE(Did<bool>([&](sql::Transaction& tx) { return StillStands(tx, down, actor_); }));
  EXPECT_EQ(Outbox(), "down:delivered up:delivered down:sending");
}

}  // namespace
}  // namespace jetmon::store
