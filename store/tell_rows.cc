#include "store/tell_rows.h"

#include "store/event_rows.h"

namespace jetmon::store {

absl::StatusOr<bool> CancelRow(sql::Transaction& tx, const std::string& id) {
  return tx.ExecuteOne(
      "UPDATE jetmon_notifications SET state = 'cancelled' WHERE notification_id = ? AND state = "
      "'queued'",
      {id});
}

absl::StatusOr<bool> SupersedeSending(sql::Transaction& tx, const Notification& n) {
  return tx.ExecuteOne(
      "UPDATE jetmon_notifications SET state = 'superseded' WHERE notification_id = ? AND attempts "
      "= ? AND state = 'sending'",
      {n.notification_id, n.attempts});
}

absl::StatusOr<bool> IsSendingAs(sql::Transaction& tx, const Notification& n) {
  auto row = GetNotification(tx, n.notification_id);
  if (!row.ok()) return row.status();
  return row->has_value() && (*row)->state == "sending" && (*row)->attempts == n.attempts;
}

absl::StatusOr<LegacyColumns> PriorOf(sql::Transaction& tx, const std::string& notification_id) {
  LegacyColumns prior;
  auto s = tx.Query(
      "SELECT prior_status, prior_change FROM jetmon_notifications WHERE notification_id = ?",
      {notification_id}, [&](const sql::Row& row) {
        prior = {static_cast<int>(row.OptInt(0).value_or(kStatusUp)), row.Text(1)};
        return absl::OkStatus();
      });
  if (!s.ok()) return s;
  return prior;
}

LegacyMeaning SaidBy(const Notification& n) {
  return n.kind == "up" ? LegacyMeaning::kUp : LegacyMeaning::kToldDown;
}

absl::StatusOr<std::optional<Event>> EventOf(sql::Transaction& tx, uint64_t event_id) {
  auto events = SelectEvents(tx, "WHERE event_id = ?", {event_id});
  if (!events.ok()) return events.status();
  return events->empty() ? std::nullopt : std::optional(events->front());
}

LegacyColumns Expected(const Event& e) {
  return {e.projected_status.value_or(kStatusUp), e.projected_change};
}

absl::Status Remember(sql::Transaction& tx, const Event& e, const LegacyColumns& columns,
                      int64_t told_at_ms, const Actor& actor) {
  if (auto s = StoreProjected(tx, e, columns.status, columns.changed, ProjectorOf(actor));
      !s.ok()) {
    return s;
  }
  auto told = tx.ExecuteOne("UPDATE jetmon_events SET told_at_ms = ? WHERE event_id = ?",
                            {told_at_ms, e.event_id});
  if (!told.ok()) return told.status();
  return *told ? absl::OkStatus() : absl::InternalError("an event is gone");
}

absl::Status MoveOn(sql::Transaction& tx, const Event& ended, const LegacyColumns& before,
                    const LegacyColumns& now, const Actor& actor) {
  auto open = OpenEventOfSite(tx, ended.site_id);
  if (!open.ok() || !open->has_value() || (*open)->told_at_ms != 0) return open.status();
  if (Expected(**open) != before) return absl::OkStatus();
  return StoreProjected(tx, **open, now.status, now.changed, ProjectorOf(actor));
}

}  // namespace jetmon::store
