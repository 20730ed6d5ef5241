#include "monitor/notifier.h"

#include "store/hosts.h"
#include "store/locks.h"
#include "store/tell_decisions.h"
#include "store/test_database.h"

namespace jetmon::monitor {
namespace {

class NotifierTest : public testing::Test {
 protected:
  NotifierTest() {
    config_.host = "monitor-a";
    config_.instance = "ins_1";
    EXPECT_TRUE(
        db_->Write([&](sql::Transaction& tx) -> absl::Status {
             EXPECT_TRUE(store::EnsureBuckets(tx, 8, 1).ok());
             store::ProcessHealth h;
             h.instance = "ins_1";
             h.kind = "monitor";
             h.host = "monitor-a";
             EXPECT_TRUE(store::ReportHealth(tx, h).ok());
             store::Grant grant{{0, 7}, "monitor-a", "ins_1", 0, "rol_1", "rjob_1", "[]", 1};
             EXPECT_EQ(store::GrantRange(tx, grant)->outcome, store::GrantOutcome::kGranted);
             return absl::OkStatus();
           })
            .ok());
  }
  void Queue(uint64_t event, const std::string& kind, uint64_t site, uint32_t bucket = 3) {
    store::Notification n;
    n.notification_id = "ntf_" + std::to_string(event) + "_" + kind;
    n.event_id = event;
    n.kind = kind;
    n.site_id = site;
    n.bucket = bucket;
    n.url = "http://x/\"q\"";
    n.checks_json = "[]";
    n.state = "queued";
    n.next_attempt_at_ms = clock_.WallMs();
    EXPECT_TRUE(
        db_->Write([&](sql::Transaction& tx) { return store::QueueNotification(tx, n).status(); })
            .ok());
  }
  Notifier::Post Receiver() {
    return [this](const std::string& id, const std::string&) {
      posted_.push_back(id);
      return up_ ? Notifier::Posted::kTaken : Notifier::Posted::kUnknown;
    };
  }
  store::TestDatabase db_;
  Config config_;
  ManualClock clock_;
  TellGate gate_;
  std::vector<std::string> posted_;
  bool up_ = true;
};

TEST_F(NotifierTest, DeliversInOrderPerSiteAndOnce) {
  Notifier notifier(config_, clock_, *db_, gate_, Receiver());
  Queue(1, "down", 10);
  Queue(1, "up", 10);
  Queue(2, "down", 11);
  EXPECT_EQ(notifier.Turn(), 2);  // the first of each site
  EXPECT_EQ(notifier.Turn(), 1);
  EXPECT_EQ(notifier.Turn(), 0);
  EXPECT_EQ(posted_, (std::vector<std::string>{"ntf_1_down", "ntf_2_down", "ntf_1_up"}));
}

TEST_F(NotifierTest, BacksOffAndNeverDrops) {
  Notifier notifier(config_, clock_, *db_, gate_, Receiver());
  Queue(1, "down", 10);
  up_ = false;
  EXPECT_EQ(notifier.Turn(), 0);
  EXPECT_EQ(notifier.Turn(), 0);
  EXPECT_EQ(posted_.size(), 1u);  // not due again yet
  clock_.Advance(milliseconds(1000));
  up_ = true;
  EXPECT_EQ(notifier.Turn(), 1);
}

TEST_F(NotifierTest, TheBreakerOpensAfterFive) {
  Notifier notifier(config_, clock_, *db_, gate_, Receiver());
  for (uint64_t i = 1; i <= 9; ++i) Queue(i, "down", 100 + i);
  up_ = false;
  notifier.Turn();
  EXPECT_EQ(posted_.size(), 5u);
  clock_.Advance(std::chrono::seconds(59));
  notifier.Turn();
  EXPECT_EQ(posted_.size(), 5u);
  clock_.Advance(std::chrono::seconds(2));
  up_ = true;
  EXPECT_EQ(notifier.Turn(), 9);
}

TEST_F(NotifierTest, AnotherInstanceDeliversNothing) {
  config_.instance = "ins_2";
  Notifier notifier(config_, clock_, *db_, gate_, Receiver());
  Queue(1, "down", 10);
  EXPECT_EQ(notifier.Turn(), 0);
}

// Dialect v1: an operator can't know of the request that is under way.
TEST_F(NotifierTest, WhatIsCalledUntoldWhileItIsTakenCountsAsTold) {
  Queue(1, "down", 10);
  uint64_t epoch = 0;
  ASSERT_TRUE(
      db_->Write([&](sql::Transaction& tx) -> absl::Status {
           epoch = store::ListHeldRanges(tx)->front().epoch;
           EXPECT_TRUE(*store::BeginActivating(tx, epoch, 1));
           const auto lock = **store::GetRangeLock(tx, epoch);
           EXPECT_TRUE(*store::AcknowledgeRange(tx, epoch, "ins_1", lock.revision, 2));
           return tx
               .Execute(
                   "UPDATE jetmon_notifications SET dialect = 'v1', state = 'sending', sent_at_ms "
                   "= 1",
                   {})
               .status();
         })
          .ok());
  gate_.Open(epoch, clock_.Boot());
  gate_.Renewed(epoch, clock_.Boot());
  Notifier notifier(config_, clock_, *db_, gate_, [&](const std::string&, const std::string&) {
    EXPECT_TRUE(db_->Write([&](sql::Transaction& tx) -> absl::Status {
                     const auto n = **store::GetNotification(tx, "ntf_1_down");
                     EXPECT_EQ(*store::DecideTell(tx, n, store::TellDecision::kUntold, {}),
                               store::DecisionOutcome::kDecided);
                     return absl::OkStatus();
                   })
                    .ok());
    return Notifier::Posted::kTaken;
  });
  notifier.Turn();
  ASSERT_TRUE(db_->Read([](sql::Transaction& tx) -> absl::Status {
                   EXPECT_EQ((*store::GetNotification(tx, "ntf_1_down"))->state, "delivered");
                   return absl::OkStatus();
                 })
                  .ok());
}

constexpr uint32_t kNobodys = 8;

class LeftBehindTest : public NotifierTest {
 protected:
  LeftBehindTest() {
    config_.host = "monitor-b";
    config_.instance = "ins_2";
    other_.host = "monitor-c";
    other_.instance = "ins_3";
  }
  Config other_;
};

TEST_F(LeftBehindTest, OneWithoutARangeDeliversWhatNobodyHolds) {
  Notifier notifier(config_, clock_, *db_, gate_, Receiver());
  Queue(1, "down", 10);
  Queue(2, "down", 11, kNobodys);
  Queue(3, "down", 12, 65'535);
  EXPECT_EQ(notifier.Turn(), 2);
  EXPECT_EQ(posted_, (std::vector<std::string>{"ntf_2_down", "ntf_3_down"}));
}

TEST_F(LeftBehindTest, AnOwnerDeliversItsOwnAndWhatNobodyHolds) {
  config_.host = "monitor-a";
  config_.instance = "ins_1";
  Notifier notifier(config_, clock_, *db_, gate_, Receiver());
  Queue(1, "down", 11, kNobodys);
  Queue(2, "down", 10);
  EXPECT_EQ(notifier.Turn(), 2);
  EXPECT_EQ(posted_, (std::vector<std::string>{"ntf_2_down", "ntf_1_down"}));
}

TEST_F(LeftBehindTest, OneOfThemDelivers) {
  Notifier other(other_, clock_, *db_, gate_, Receiver());
  int delivered = 0;
  // The other one looks while this one has it under way.
  Notifier notifier(config_, clock_, *db_, gate_, [&](const std::string& id, const std::string&) {
    posted_.push_back(id);
    delivered += other.Turn();
    return Notifier::Posted::kTaken;
  });
  Queue(1, "down", 11, kNobodys);
  delivered += notifier.Turn();
  EXPECT_EQ(delivered, 1);
  EXPECT_EQ(posted_.size(), 1u);
}

TEST_F(LeftBehindTest, OneOfTwoThatReadTheSameDelivers) {
  Notifier other(other_, clock_, *db_, gate_, Receiver());
  int turns = 0;
  Notifier notifier(config_, clock_, *db_, gate_, [&](const std::string& id, const std::string&) {
    posted_.push_back(id);
    if (++turns == 1) other.Turn();  // takes the second one, which this one has read too
    return Notifier::Posted::kTaken;
  });
  Queue(1, "down", 11, kNobodys);
  Queue(2, "down", 12, kNobodys);
  EXPECT_EQ(notifier.Turn(), 1);
  EXPECT_EQ(posted_, (std::vector<std::string>{"ntf_1_down", "ntf_2_down"}));
}

// Dialect v1: what is not begun is v1's to tell; what is has to be delivered.
TEST_F(LeftBehindTest, WhatNobodyHasBegunToTellIsV1s) {
  Notifier notifier(config_, clock_, *db_, gate_, Receiver());
  Queue(1, "down", 11, kNobodys);
  Queue(2, "down", 12, kNobodys);
  ASSERT_TRUE(
      db_->Write([](sql::Transaction& tx) -> absl::Status {
           auto s = tx.Execute("UPDATE jetmon_notifications SET dialect = 'v1'", {});
           if (!s.ok()) return s.status();
           return tx
               .Execute("UPDATE jetmon_notifications SET state = 'sending' WHERE event_id = 2", {})
               .status();
         })
          .ok());
  EXPECT_EQ(notifier.Turn(), 1);
  EXPECT_EQ(posted_, (std::vector<std::string>{"ntf_2_down"}));
}

TEST_F(LeftBehindTest, LooksEveryFiveSecondsAndTriesAgain) {
  Notifier notifier(config_, clock_, *db_, gate_, Receiver());
  EXPECT_EQ(notifier.Turn(), 0);
  Queue(1, "down", 11, kNobodys);
  EXPECT_EQ(notifier.Turn(), 0);
  up_ = false;
  clock_.Advance(std::chrono::seconds(5));
  EXPECT_EQ(notifier.Turn(), 0);
  EXPECT_EQ(posted_.size(), 1u);
  up_ = true;
  clock_.Advance(std::chrono::seconds(5));
  EXPECT_EQ(notifier.Turn(), 1);
}

TEST_F(LeftBehindTest, WhatItsTakerDidNotMarkIsTriedAgain) {
  Queue(1, "down", 11, kNobodys);
  ASSERT_TRUE(db_->Write([&](sql::Transaction& tx) {
                   // As one that was killed while it delivered leaves it.
                   store::Notification n;
                   n.notification_id = "ntf_1_down";
                   n.state = "queued";
                   return store::MarkFailedAttempt(tx, n, clock_.WallMs() + 30'000).status();
                 })
                  .ok());
  Notifier notifier(config_, clock_, *db_, gate_, Receiver());
  EXPECT_EQ(notifier.Turn(), 0);
  clock_.Advance(std::chrono::seconds(31));
  EXPECT_EQ(notifier.Turn(), 1);
}

TEST(NotificationBody, EscapesText) {
  store::Notification n;
  n.notification_id = "ntf_1_down";
  n.kind = "down";
  n.url = "http://x/\"\n";
  n.status_id = 2;
  n.checks_json = "[{\"type\":1}]";
  EXPECT_EQ(
      NotificationBody(n, 5000),
      "{\"notification_id\":\"ntf_1_down\",\"blog_id\":0,\"monitor_url\":\"http://x/\\\"\\u000a\","
      "\"status_id\":2,\"last_check\":5,\"last_status_change\":0,\"status_type\":\"down\","
      "\"checks\":[{\"type\":1}]}");
}

}  // namespace
}  // namespace jetmon::monitor
