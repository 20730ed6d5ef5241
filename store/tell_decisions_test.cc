// What an operator says of tells that nobody knows the end of, in a range that is about to be v1's.
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
