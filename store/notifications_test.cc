#include "store/notifications.h"

#include <atomic>
#include <thread>

#include "store/test_database.h"

namespace jetmon::store {
namespace {

Notification Make(uint64_t event, const std::string& kind, uint64_t site, uint32_t bucket = 3) {
  Notification n;
  n.notification_id = "ntf_" + std::to_string(event) + "_" + kind;
  n.event_id = event;
  n.kind = kind;
  n.site_id = site;
  n.bucket = bucket;
  n.state = "queued";
  n.next_attempt_at_ms = 100;
  return n;
}

// As a sender saw it.
Notification Seen(const std::string& id, int attempts, const std::string& state = "queued") {
  Notification n;
  n.notification_id = id;
  n.attempts = attempts;
  n.state = state;
  return n;
}

TEST(Notifications, AreUniquePerEventAndKind) {
  TestDatabase db;
  ASSERT_TRUE(db->Write([](sql::Transaction& tx) -> absl::Status {
                  EXPECT_TRUE(*QueueNotification(tx, Make(1, "down", 10)));
                  EXPECT_FALSE(*QueueNotification(tx, Make(1, "down", 10)));
                  Notification other = Make(1, "down", 10);
                  other.notification_id = "ntf_other";
                  EXPECT_FALSE(*QueueNotification(tx, other));
                  EXPECT_TRUE(*QueueNotification(tx, Make(1, "up", 10)));
                  EXPECT_EQ(*CountQueued(tx, {0, 9}), 2u);
                  EXPECT_EQ(*CountQueued(tx, {4, 9}), 0u);
                  return absl::OkStatus();
                }).ok());
}

TEST(Notifications, AreDueInOrderPerSite) {
  TestDatabase db;
  ASSERT_TRUE(db->Write([](sql::Transaction& tx) -> absl::Status {
                  for (const auto& n : {Make(1, "up", 10), Make(1, "down", 10), Make(2, "down", 10),
                                        Make(3, "down", 11), Make(4, "down", 12, 5)}) {
                    EXPECT_TRUE(*QueueNotification(tx, n));
                  }
                  const auto ids = [&tx](int64_t now) {
                    std::string text;
                    const auto due = DueNotifications(tx, {0, 4}, now, 10);
                    for (const auto& n : *due) {
                      text += n.notification_id + " ";
                    }
                    return text;
                  };
                  EXPECT_EQ(ids(99), "");
                  EXPECT_EQ(ids(100), "ntf_1_down ntf_3_down ");
                  // The end of an outage waits for its beginning, also while that is tried again.
                  EXPECT_TRUE(*QueueNotification(tx, Make(8, "down", 18)));
                  EXPECT_TRUE(*QueueNotification(tx, Make(8, "up", 18)));
                  EXPECT_TRUE(*MarkFailedAttempt(tx, Seen("ntf_8_down", 0), 9000));
                  EXPECT_EQ(ids(100), "ntf_1_down ntf_3_down ");
                  EXPECT_TRUE(*MarkDelivered(tx, Seen("ntf_1_down", 0), 101));
                  EXPECT_FALSE(*MarkDelivered(tx, Seen("ntf_1_down", 0), 101));
                  EXPECT_EQ(ids(100), "ntf_1_up ntf_3_down ");
                  EXPECT_TRUE(*MarkFailedAttempt(tx, Seen("ntf_1_up", 0), 500));
                  EXPECT_FALSE(*MarkFailedAttempt(tx, Seen("ntf_1_up", 0), 500));
                  EXPECT_EQ(ids(100), "ntf_3_down ");  // and event 2 of that site waits behind
                  EXPECT_EQ(ids(500), "ntf_1_up ntf_3_down ");
                  return absl::OkStatus();
                }).ok());
}

// A Monitor that claims one counts an attempt, and is the only one that may say what came of it.
TEST(Notifications, WhoseAttemptIsOverMarksNothing) {
  TestDatabase db;
  ASSERT_TRUE(db->Write([](sql::Transaction& tx) -> absl::Status {
                  EXPECT_TRUE(*QueueNotification(tx, Make(1, "down", 10)));
                  EXPECT_TRUE(*MarkFailedAttempt(tx, Seen("ntf_1_down", 0), 500));
                  EXPECT_FALSE(*MarkFailedAttempt(tx, Seen("ntf_1_down", 0), 900));
                  EXPECT_FALSE(*MarkDelivered(tx, Seen("ntf_1_down", 0), 101));
                  EXPECT_EQ(*CountQueued(tx, {0, 9}), 1u);
                  EXPECT_TRUE(*MarkDelivered(tx, Seen("ntf_1_down", 1), 102));
                  EXPECT_EQ(*CountQueued(tx, {0, 9}), 0u);
                  return absl::OkStatus();
                }).ok());
}

// Dialect v1: what has passed its commit point is due like what has not, and keeps its place.
TEST(Notifications, WhatIsSendingIsDueAndMarkedAsSuch) {
  TestDatabase db;
  ASSERT_TRUE(
      db->Write([](sql::Transaction& tx) -> absl::Status {
          Notification sending = Make(1, "down", 10);
          sending.state = "sending";
          sending.dialect = LegacyDialect::kV1;
          EXPECT_TRUE(*QueueNotification(tx, sending));
          EXPECT_TRUE(*QueueNotification(tx, Make(1, "up", 10)));
          EXPECT_TRUE(*QueueNotification(tx, Make(2, "down", 12)));
          const auto due = *DueNotifications(tx, {0, 9}, 100, 10);
          if (due.size() != 2) return absl::InternalError("not the two that are due");
          EXPECT_EQ(due[0].state, "sending");
          EXPECT_EQ(due[0].dialect, LegacyDialect::kV1);
          EXPECT_EQ(due[1].notification_id, "ntf_2_down");
          EXPECT_EQ(due[1].dialect, LegacyDialect::kJetmon2);
          EXPECT_EQ(*CountQueued(tx, {0, 9}), 3u);
          EXPECT_EQ(DueNotifications(tx, {0, 9}, 100, 1)->size(), 1u);
          // A sender that saw it queued is too late.
          EXPECT_FALSE(*MarkDelivered(tx, Seen("ntf_1_down", 0), 101));
          EXPECT_FALSE(*MarkFailedAttempt(tx, Seen("ntf_1_down", 0), 900));
          EXPECT_TRUE(*MarkFailedAttempt(tx, Seen("ntf_1_down", 0, "sending"), 900));
          EXPECT_TRUE(*MarkDelivered(tx, Seen("ntf_1_down", 1, "sending"), 101));
          EXPECT_EQ(DueNotifications(tx, {0, 9}, 100, 10)->at(0).notification_id, "ntf_1_up");
          return absl::OkStatus();
        }).ok());
}

// What a release of buckets 2 and 3 looks at and does.
TEST(Notifications, ARangeThatIsReleasedIsCountedAndCancelled) {
  TestDatabase db;
  ASSERT_TRUE(db->Write([](sql::Transaction& tx) -> absl::Status {
                  uint64_t event = 0;
                  const auto add = [&](uint32_t bucket, const char* state, LegacyDialect dialect,
                                       int64_t delivered_ms = 0) {
                    ++event;
                    Notification n = Make(event, "down", event);
                    n.bucket = bucket;
                    n.state = state;
                    n.dialect = dialect;
                    n.delivered_at_ms = delivered_ms;
                    EXPECT_TRUE(*QueueNotification(tx, n));
                  };
                  add(2, "queued", LegacyDialect::kV1);
                  add(3, "queued", LegacyDialect::kV1);
                  add(3, "queued", LegacyDialect::kJetmon2);
                  add(3, "sending", LegacyDialect::kV1);
                  add(2, "delivered", LegacyDialect::kV1, 1000);
                  add(4, "queued", LegacyDialect::kV1);
                  add(4, "sending", LegacyDialect::kV1);
                  EXPECT_EQ(*CountSending(tx, {2, 3}), 1u);
                  EXPECT_EQ(*CountSending(tx, {2, 4}), 2u);
                  EXPECT_EQ(DueNotifications(tx, {4, 4}, -5, 10)->size(), 0u);
                  EXPECT_TRUE(HurrySending(tx, {4, 4}, -5).ok());
                  EXPECT_EQ(DueNotifications(tx, {4, 4}, -5, 10)->size(), 1u);
                  EXPECT_EQ(DueNotifications(tx, {2, 3}, -5, 10)->size(), 0u);
                  EXPECT_TRUE(*AnyDeliveredSince(tx, {2, 3}, 1000));
                  EXPECT_FALSE(*AnyDeliveredSince(tx, {2, 3}, 1001));
                  EXPECT_FALSE(*AnyDeliveredSince(tx, {3, 4}, 1000));
                  EXPECT_EQ(*CancelQueued(tx, {2, 3}), 2u);
                  EXPECT_EQ(*CancelQueued(tx, {2, 3}), 0u);
                  // What an older build queued is delivered by whoever runs.
                  EXPECT_EQ(*CountQueued(tx, {2, 3}), 2u);
                  EXPECT_EQ(*CountQueued(tx, {4, 4}), 2u);
                  return absl::OkStatus();
                }).ok());
}

TEST(Notifications, InAnOutageOfThousandsAreStillFoundInOneTransaction) {
  TestDatabase db;
  constexpr uint64_t kSites = 20'000;  // their square would pass the transaction's limit
  const absl::Status s = db->Write([](sql::Transaction& tx) -> absl::Status {
    for (uint64_t site = 1; site <= kSites; ++site) {
      auto queued = QueueNotification(tx, Make(site, "down", site));
      if (!queued.ok()) return queued.status();
    }
    return absl::OkStatus();
  });
  ASSERT_TRUE(s.ok()) << s;
  ASSERT_TRUE(db->Read([](sql::Transaction& tx) -> absl::Status {
                  const auto due = DueNotifications(tx, {0, 9}, 100, 50);
                  if (!due.ok()) return due.status();
                  EXPECT_EQ(due->size(), 50u);
                  EXPECT_EQ(due->at(49).event_id, 50u);
                  return absl::OkStatus();
                }).ok());
}

TEST(Notifications, OfTwoWhoDeliverOneMarksIt) {
  TestDatabase db;
  const auto other = db.OpenAnother();
  for (int round = 0; round < 20; ++round) {
    const std::string id = "ntf_" + std::to_string(round) + "_down";
    ASSERT_TRUE(db->Write([&](sql::Transaction& tx) {
                    return QueueNotification(tx, Make(round, "down", 10)).status();
                  }).ok());
    std::atomic<int> marked{0};
    std::vector<std::thread> threads;
    for (sql::Database* d : {&*db, other.get(), &*db, other.get()}) {
      threads.emplace_back([&, d] {
        bool won = false;
        EXPECT_TRUE(d->Write([&](sql::Transaction& tx) -> absl::Status {
                       auto done = MarkDelivered(tx, Seen(id, 0), 101);
                       if (done.ok()) won = *done;
                       return done.status();
                     }).ok());
        if (won) ++marked;
      });
    }
    for (std::thread& t : threads) t.join();
    ASSERT_EQ(marked, 1) << "round " << round;
  }
}

TEST(Notifications, AreListedByState) {
  for (const char* state :
       {"queued", "sending", "delivered", "recorded", "cancelled", "superseded"}) {
    EXPECT_TRUE(IsNotificationState(state)) << state;
  }
  for (const char* other : {"", "sent", "Queued"}) EXPECT_FALSE(IsNotificationState(other));
  TestDatabase db;
  ASSERT_TRUE(db->Write([](sql::Transaction& tx) -> absl::Status {
                  for (uint64_t e = 9; e <= 12; ++e) {
                    for (const char* kind : {"up", "down"}) {
                      Notification n = Make(e, kind, e, e == 11 ? 5 : 3);
                      if (e != 12) n.state = "sending";
                      n.sent_at_ms = 7;
                      EXPECT_TRUE(*QueueNotification(tx, n));
                    }
                  }
                  std::string ids, token;
                  do {
                    const auto page = ListNotifications(tx, {0, 4}, "sending", {3, token});
                    for (const auto& n : page->rows) ids += n.notification_id + " ";
                    ids += "| ";
                    token = page->next_token;
                  } while (!token.empty());
                  EXPECT_EQ(ids, "ntf_9_down ntf_9_up ntf_10_down | ntf_10_up | ");
                  for (const std::string& bad : {std::string("p1.x"), PageToken("x:down")}) {
                    EXPECT_TRUE(absl::IsInvalidArgument(
                        ListNotifications(tx, {0, 4}, "sending", {3, bad}).status()))
                        << bad;
                  }
                  EXPECT_EQ((*GetNotification(tx, "ntf_9_up"))->sent_at_ms, 7);
                  EXPECT_FALSE(GetNotification(tx, "ntf_90_up")->has_value());
                  return absl::OkStatus();
                }).ok());
}

}  // namespace
}  // namespace jetmon::store
