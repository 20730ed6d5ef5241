// What an operator says of tells that nobody knows the end of, in a range that is about to be v1's.
#include "store/tell_decisions.h"

#include "store/late_words.h"
#include "store/test_tells.h"

namespace jetmon::store {
namespace {

class TellDecisionsTest : public TellsTest {
 protected:
  DecisionOutcome Decide(TellDecision decision) { return Decide(Sending(), decision); }
  DecisionOutcome Decide(const Notification& n, TellDecision decision) {
    return Did<DecisionOutcome>(
        [&](sql::Transaction& tx) { return DecideTell(tx, n, decision, actor_); });
  }
  // The only one that is.
  Notification Sending() {
    std::vector<Notification> rows;
    Write([&](sql::Transaction& tx) -> absl::Status {
      rows = ListNotifications(tx, {3, 3}, "sending", {10, ""})->rows;
      return absl::OkStatus();
    });
    EXPECT_EQ(rows.size(), 1u);
    return rows.empty() ? Notification() : rows[0];
  }
};

TEST_F(TellDecisionsTest, WhatWasToldIsDelivered) {
  TellDown();
  const std::string down = Columns();
  Pass(kMinute);
  EXPECT_EQ(Decide(TellDecision::kTold), DecisionOutcome::kDecided);
  EXPECT_EQ(Outbox(), "down:delivered");
  EXPECT_EQ(Columns(), down);
  EXPECT_NE(Open()->told_at_ms, 0);
  EXPECT_EQ(Drift(), 0u);
}

TEST_F(TellDecisionsTest, AnUntoldDownIsV1sToTell) {
  TellDown();
  Pass(kMinute);
  EXPECT_EQ(Decide(TellDecision::kUntold), DecisionOutcome::kDecided);
  EXPECT_EQ(Outbox(), "down:cancelled");
  EXPECT_EQ(Columns(), Before());
  EXPECT_EQ(Open()->told_at_ms, 0);
  EXPECT_EQ(Drift(), 0u);
  EXPECT_FALSE(Due().has_value());
}

TEST_F(TellDecisionsTest, AnUntoldUpIsV1sToTell) {
  TellDown();
  const std::string down = Columns();
  Deliver();
  Pass(kMinute);
  Close(*Open());
  Commit();
  EXPECT_EQ(Decide(TellDecision::kUntold), DecisionOutcome::kDecided);
  EXPECT_EQ(Outbox(), "down:delivered up:cancelled");
  EXPECT_EQ(Columns(), down);
}

// Its end was queued behind it: nobody heard of either.
TEST_F(TellDecisionsTest, AnUntoldDownThatIsOverTellsNothingMore) {
  TellDown();
  const Notification down = Sending();
  Pass(kMinute);
  Close(*Open());
  EXPECT_EQ(Outbox(), "down:sending up:queued");
  EXPECT_EQ(Decide(down, TellDecision::kUntold), DecisionOutcome::kDecided);
  EXPECT_EQ(Outbox(), "down:cancelled up:cancelled");
  EXPECT_EQ(Columns(), Before());
}

// The receiver has written the columns: it has got what it wrote.
TEST_F(TellDecisionsTest, WhatTheReceiverWroteWasTold) {
  TellDown();
  const std::string theirs = LegacyTime(actor_.now_ms + kSecond);
  SetColumns(0, theirs);
  Pass(kMinute);
  EXPECT_EQ(Decide(TellDecision::kUntold), DecisionOutcome::kToldSince);
  EXPECT_EQ(Outbox(), "down:superseded");
  EXPECT_EQ(Columns(), "0 " + theirs);
}

// Its owner has read that write before anybody decided, and remembers it as its own.
TEST_F(TellDecisionsTest, WhatTheReceiverWroteWasToldWhoeverHasReadIt) {
  TellDown();
  const std::string theirs = LegacyTime(actor_.now_ms + kSecond);
  SetColumns(0, theirs);
  Pass(kMinute);
  Did<LateWord>([&](sql::Transaction& tx) { return TakeLateWord(tx, 1, 3, true, actor_); });
  EXPECT_EQ(Open()->projected_change, theirs);
  EXPECT_EQ(Decide(TellDecision::kUntold), DecisionOutcome::kToldSince);
  EXPECT_EQ(Columns(), "0 " + theirs);
}

// 59 minutes after the tell we wrote the column ourselves.
TEST_F(TellDecisionsTest, WhatIsStillDownIsPutBack) {
  TellDown();
  Pass(60 * kMinute);
  const Event e = *Open();
  EXPECT_TRUE(
      Did<bool>([&](sql::Transaction& tx) { return WriteStillDown(tx, e, kMinute, actor_); }));
  EXPECT_EQ(Columns().substr(0, 1), "2");
  EXPECT_EQ(Decide(TellDecision::kUntold), DecisionOutcome::kDecided);
  EXPECT_EQ(Columns(), Before());
}

// The opposite stands in the columns: v1 tells what it finds.
TEST_F(TellDecisionsTest, WhatStandsAsUntoldIsLeftAlone) {
  TellDown();
  SetColumns(1, "2023-11-20 00:00:00");
  EXPECT_EQ(Decide(TellDecision::kUntold), DecisionOutcome::kDecided);
  EXPECT_EQ(Outbox(), "down:cancelled");
  EXPECT_EQ(Columns(), "1 2023-11-20 00:00:00");
  EXPECT_EQ(Open()->told_at_ms, 0);
  EXPECT_EQ(Drift(), 0u);
}

// What the commit found was a receiver's late write of the outage before: v1 must not take it for
// told.
TEST_F(TellDecisionsTest, AnEchoIsNotPutBack) {
  TellOutage();
  Pass(kSecond);
  SetColumns(0, LegacyTime(actor_.now_ms));  // the first one's down
  TellDown();
  EXPECT_EQ(Decide(TellDecision::kUntold), DecisionOutcome::kDecided);
  EXPECT_EQ(Columns().substr(0, 1), "1");
}

TEST_F(TellDecisionsTest, OfASiteThatLeftNobodyTellsAnything) {
  TellDown();
  Write([](sql::Transaction& tx) {
    return tx.Execute("UPDATE jetpack_monitor_sites SET monitor_active = 0").status();
  });
  EXPECT_EQ(Decide(TellDecision::kUntold), DecisionOutcome::kDecided);
  EXPECT_EQ(Outbox(), "down:cancelled");
}

// The site came up and failed again while it was being sent: what was opened then rests on it.
TEST_F(TellDecisionsTest, TheNextOutageIsUntoldWithIt) {
  TellDown();
  const Notification down = Sending();
  actor_.muted = true;
  Pass(kSecond);
  Close(*Open());
  Pass(kSecond);
  EXPECT_EQ(Fail(), ChangeOutcome::kChanged);
  EXPECT_NE(Open()->told_at_ms, 0);
  EXPECT_EQ(Decide(down, TellDecision::kUntold), DecisionOutcome::kDecided);
  EXPECT_EQ(Open()->told_at_ms, 0);
  EXPECT_EQ(Columns(), Before());
  EXPECT_EQ(Drift(), 0u);
}

TEST_F(TellDecisionsTest, TwinsAreUntoldTogether) {
  Site twin = site_;
  twin.site_id = 2;
  twin.last_status_change = kBefore;
  Write([&](sql::Transaction& tx) { return InsertSites(tx, {twin}); });
  TellDown();
  const Notification down = Sending();
  const Site first = site_;
  site_ = twin;
  EXPECT_EQ(Fail(), ChangeOutcome::kChanged);
  Event e;
  Write([&](sql::Transaction& tx) -> absl::Status {
    e = **OpenEventOfSite(tx, 2);
    return absl::OkStatus();
  });
  Did<ChangeOutcome>([&](sql::Transaction& tx) {
    return ConfirmDown(tx, e, transition::kVerifierConfirmed, site_.url, "[]", actor_);
  });
  std::vector<Notification> queued;
  Write([&](sql::Transaction& tx) -> absl::Status {
    queued = ListNotifications(tx, {3, 3}, "queued", {10, ""})->rows;
    return absl::OkStatus();
  });
  ASSERT_EQ(queued.size(), 1u);
  EXPECT_EQ(Commit(queued[0]), TellOutcome::kToldByTwin);
  site_ = first;
  EXPECT_EQ(Decide(down, TellDecision::kUntold), DecisionOutcome::kDecided);
  EXPECT_EQ(Outbox(), "down:cancelled down:cancelled");
  for (const uint64_t id : {1u, 2u}) {
    Write([&](sql::Transaction& tx) -> absl::Status {
      EXPECT_EQ((*GetSite(tx, id))->site_status, 1) << id;
      EXPECT_EQ((*OpenEventOfSite(tx, id))->told_at_ms, 0) << id;
      return absl::OkStatus();
    });
  }
  EXPECT_EQ(Drift(), 0u);
}

// The request was under way when it was called untold, and the receiver has taken it.
TEST_F(TellDecisionsTest, WhatIsTakenAfterAllCountsAsTold) {
  const auto taken = [&](const Notification& n) {
    return Did<bool>([&](sql::Transaction& tx) { return TakenAfterAll(tx, n, actor_); });
  };
  TellDown();
  const Notification down = Sending();
  EXPECT_FALSE(taken(down));  // nobody has called it untold
  Decide(TellDecision::kUntold);
  Pass(kSecond);
  EXPECT_TRUE(taken(down));
  EXPECT_EQ(Outbox(), "down:delivered");
  EXPECT_EQ(Columns(), At(0, actor_.now_ms));
  EXPECT_NE(Open()->told_at_ms, 0);
  EXPECT_EQ(Drift(), 0u);
  EXPECT_FALSE(taken(down));
  Pass(kMinute);
  Close(*Open());
  Commit();
  const Notification up = Sending();
  Decide(TellDecision::kUntold);
  EXPECT_EQ(Columns().substr(0, 1), "0");
  EXPECT_TRUE(taken(up));
  EXPECT_EQ(Outbox(), "down:delivered up:delivered");
  EXPECT_EQ(Columns(), At(1, actor_.now_ms));
}

TEST_F(TellDecisionsTest, WhatIsNotSendingIsNotDecided) {
  Fail();
  Confirm();
  const Notification queued = *Due();
  for (const TellDecision d : {TellDecision::kTold, TellDecision::kUntold}) {
    EXPECT_EQ(Decide(queued, d), DecisionOutcome::kNotSending);
  }
  EXPECT_EQ(Outbox(), "down:queued");
  Commit();
  const Notification sending = Sending();
  Deliver();
  for (const TellDecision d : {TellDecision::kTold, TellDecision::kUntold}) {
    EXPECT_EQ(Decide(sending, d), DecisionOutcome::kNotSending);
  }
  EXPECT_EQ(Outbox(), "down:delivered");
  EXPECT_EQ(Columns().substr(0, 1), "0");
}

}  // namespace
}  // namespace jetmon::store
