#include "store/notifications.h"

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

TEST(Notifications, AreUniquePerEventAndKind) {
  TestDatabase db;
  ASSERT_TRUE(db->Write([](sql::Transaction& tx) -> absl::Status {
                  EXPECT_TRUE(*QueueNotification(tx, Make(1, "down", 10)));
                  EXPECT_FALSE(*QueueNotification(tx, Make(1, "down", 10)));
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
                  EXPECT_TRUE(*MarkDelivered(tx, "ntf_1_down", 0, 101));
                  EXPECT_FALSE(*MarkDelivered(tx, "ntf_1_down", 0, 101));
                  EXPECT_EQ(ids(100), "ntf_1_up ntf_3_down ");
                  EXPECT_TRUE(*MarkFailedAttempt(tx, "ntf_1_up", 0, 500));
                  EXPECT_FALSE(*MarkFailedAttempt(tx, "ntf_1_up", 0, 500));
                  EXPECT_EQ(ids(100), "ntf_3_down ");  // and event 2 of that site waits behind
                  EXPECT_EQ(ids(500), "ntf_1_up ntf_3_down ");
                  return absl::OkStatus();
                }).ok());
}

}  // namespace
}  // namespace jetmon::store
