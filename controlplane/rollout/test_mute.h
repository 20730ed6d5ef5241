#ifndef JETMON_CONTROLPLANE_ROLLOUT_TEST_MUTE_H_
#define JETMON_CONTROLPLANE_ROLLOUT_TEST_MUTE_H_

#include <string>

#include "controlplane/rollout/test_active_range.h"
#include "store/events.h"
#include "store/notifications.h"
#include "store/tells.h"

namespace jetmon::rollout {

// Dialect v1: a release that has its mute before it.
class MuteTest : public ActiveRangeTest {
 protected:
  // kRange is active, held by this run under dialect v1.
  void SetUp() override {
    monitor_.dialect = store::LegacyDialect::kV1;
    LegacyTimes& legacy = rollout_.options().legacy;
    legacy.dialect = store::LegacyDialect::kV1;
    legacy.receiver_delay = std::chrono::milliseconds(150);
    legacy.replica_lag = std::chrono::milliseconds(100);
    legacy.deliver_within = std::chrono::milliseconds(400);
    rollout_.options().unit = std::chrono::milliseconds(300);  // v1's workers outlive it by 100 ms
    NewService();
    monitor_.Run();
    ActivateRange();
  }
  // With the options as they are now.
  void NewService() {
    service_.reset();
    service_ = MakeService();
  }
  // The grant was long ago, so that v1 has said its last word.
  void LongAgo() {
    rollout_.Write([&](sql::Transaction& tx) {
      return tx
          .Execute("UPDATE jetmon_rollout_range_locks SET granted_at_ms = 1 WHERE epoch = ?",
                   {epoch_})
          .status();
    });
  }
  void Queue(uint64_t event, const std::string& state, uint32_t bucket, int64_t delivered_ms = 0) {
    store::Notification n;
    n.notification_id = "ntf_" + std::to_string(event) + "_down";
    n.event_id = event;
    n.kind = "down";
    n.site_id = event;
    n.bucket = bucket;
    n.checks_json = "[]";
    n.state = state;
    n.dialect = store::LegacyDialect::kV1;
    n.delivered_at_ms = delivered_ms;
    n.sent_at_ms = state == "queued" ? 0 : 1;
    rollout_.Write([&](sql::Transaction& tx) { return store::QueueNotification(tx, n).status(); });
  }
  std::string StateOf(uint64_t event) {
    std::string state;
    rollout_.Read([&](sql::Transaction& tx) {
      return tx.Query("SELECT state FROM jetmon_notifications WHERE event_id = ?", {event},
                      [&](const sql::Row& row) {
                        state = row.Text(0);
                        return absl::OkStatus();
                      });
    });
    return state;
  }
  void Deliver(uint64_t event) {
    rollout_.Write([&](sql::Transaction& tx) {
      return tx
          .Execute(
              "UPDATE jetmon_notifications SET state = 'delivered', delivered_at_ms = ? WHERE "
              "event_id = ?",
              {rollout_.clock().WallMs(), event})
          .status();
    });
  }
  // An outage of site 3, in bucket 3, that people were told of at that time: its row is sending.
  void TellOfADown(int64_t at_ms) {
    const store::Site site = rollout_.AddSite(3, 3);
    const store::Actor actor = ActorAt(at_ms, store::LegacyDialect::kV1);
    rollout_.Write([&](sql::Transaction& tx) -> absl::Status {
      store::Event e;
      auto did = store::OpenEvent(tx, site, {1, 0, "intermittent", ""}, actor, &e);
      if (!did.ok()) return did.status();
      did = store::ConfirmDown(tx, e, "verifier_confirmed", site.url, "[]", actor);
      return did.ok() ? CommitNext(tx, actor).status() : did.status();
    });
  }
  // An outage of it whose end was told, too.
  void TellOfAnOutage(int64_t at_ms) {
    TellOfADown(at_ms);
    const store::Actor actor = ActorAt(at_ms, store::LegacyDialect::kV1);
    rollout_.Write([&](sql::Transaction& tx) -> absl::Status {
      auto sending = store::ListNotifications(tx, kRange, "sending", {1, ""});
      if (!sending.ok()) return sending.status();
      auto s = store::MarkDelivered(tx, sending->rows.at(0), at_ms).status();
      if (!s.ok()) return s;
      auto did = store::CloseEvent(tx, **store::OpenEventOfSite(tx, 3),
                                   store::transition::kRecovered, "", "[]", actor);
      if (!did.ok()) return did.status();
      auto up = CommitNext(tx, actor);
      return up.ok() ? store::MarkDelivered(tx, *up, at_ms).status() : up.status();
    });
  }
  // Turns the only one that is due to sending.
  absl::StatusOr<store::Notification> CommitNext(sql::Transaction& tx, const store::Actor& actor) {
    auto due = store::DueNotifications(tx, kRange, actor.now_ms, 1);
    if (!due.ok()) return due.status();
    store::Notification n = due->at(0);
    EXPECT_EQ(*store::CommitTell(tx, n, actor), store::TellOutcome::kCommitted);
    n.state = "sending";
    return n;
  }
  store::Actor ActorAt(int64_t at_ms, store::LegacyDialect dialect) {
    store::Actor actor;
    actor.source = "monitor";
    actor.epoch = epoch_;
    actor.instance = monitor_.instance();
    actor.host = monitor_.host();
    actor.notify_sends = true;
    actor.dialect = dialect;
    actor.now_ms = at_ms;
    return actor;
  }
  int Status(uint64_t site) {
    return rollout_.Get([&](sql::Transaction& tx) { return store::GetSite(tx, site); })
        .value()
        .site_status;
  }
  bool IsActive() { return rollout_.Lock(epoch_).state == store::range_state::kActive; }
  // How long the range stayed active from now on.
  std::chrono::milliseconds UntilItDrains() {
    const BootTime from = SystemClock().Boot();
    EXPECT_TRUE(Comes([&] { return !IsActive(); }));
    return std::chrono::duration_cast<std::chrono::milliseconds>(SystemClock().Boot() - from);
  }
};

}  // namespace jetmon::rollout

#endif  // JETMON_CONTROLPLANE_ROLLOUT_TEST_MUTE_H_
