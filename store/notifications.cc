#include "store/notifications.h"

namespace jetmon::store {
namespace {

constexpr char kColumns[] =
    "notification_id, event_id, kind, site_id, blog_id, bucket_no, url, status_id, "
    "status_change_ms, checks, state, attempts, next_attempt_at_ms, created_at_ms, "
    "delivered_at_ms";

Notification NotificationOf(const sql::Row& row) {
  Notification n;
  n.notification_id = row.Text(0);
  n.event_id = row.Uint(1);
  n.kind = row.Text(2);
  n.site_id = row.Uint(3);
  n.blog_id = row.Uint(4);
  n.bucket = static_cast<uint32_t>(row.Int(5));
  n.url = row.Text(6);
  n.status_id = static_cast<int>(row.Int(7));
  n.status_change_ms = row.Int(8);
  n.checks_json = row.Text(9);
  n.state = row.Text(10);
  n.attempts = static_cast<int>(row.Int(11));
  n.next_attempt_at_ms = row.Int(12);
  n.created_at_ms = row.Int(13);
  n.delivered_at_ms = row.Int(14);
  return n;
}

}  // namespace

absl::StatusOr<bool> QueueNotification(sql::Transaction& tx, const Notification& n) {
  return tx.ExecuteOne(std::string(tx.dialect().InsertIgnore()) + " jetmon_notifications (" +
                           kColumns + ") VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                       {n.notification_id, n.event_id, n.kind, n.site_id, n.blog_id, n.bucket,
                        n.url, n.status_id, n.status_change_ms, n.checks_json, n.state, n.attempts,
                        n.next_attempt_at_ms, n.created_at_ms, n.delivered_at_ms});
}

absl::StatusOr<std::vector<Notification>> DueNotifications(sql::Transaction& tx, Range range,
                                                           int64_t now_ms, int limit) {
  std::vector<Notification> rows;
  // Order per site: only the oldest queued one of a site; `down` goes before `up` of one event.
  auto s = tx.Query(
      std::string("SELECT ") + kColumns +
          " FROM jetmon_notifications n WHERE n.state = 'queued' AND n.bucket_no BETWEEN ? AND ? "
          "AND n.next_attempt_at_ms <= ? AND NOT EXISTS (SELECT 1 FROM jetmon_notifications o "
          "WHERE o.site_id = n.site_id AND o.state = 'queued' AND o.event_id <= n.event_id AND "
          "o.bucket_no = n.bucket_no AND (o.event_id < n.event_id OR o.kind < n.kind)) ORDER BY "
          "n.event_id, n.kind LIMIT ?",
      {range.min, range.max, now_ms, limit}, [&](const sql::Row& row) {
        rows.push_back(NotificationOf(row));
        return absl::OkStatus();
      });
  if (!s.ok()) return s;
  return rows;
}

absl::StatusOr<bool> MarkDelivered(sql::Transaction& tx, std::string_view id, int attempts,
                                   int64_t now_ms) {
  return tx.ExecuteOne(
      "UPDATE jetmon_notifications SET state = 'delivered', attempts = attempts + 1, "
      "delivered_at_ms = ? WHERE notification_id = ? AND attempts = ? AND state = 'queued'",
      {now_ms, id, attempts});
}

absl::StatusOr<bool> MarkFailedAttempt(sql::Transaction& tx, std::string_view id, int attempts,
                                       int64_t next_attempt_at_ms) {
  return tx.ExecuteOne(
      "UPDATE jetmon_notifications SET attempts = attempts + 1, next_attempt_at_ms = ? WHERE "
      "notification_id = ? AND attempts = ? AND state = 'queued'",
      {next_attempt_at_ms, id, attempts});
}

absl::StatusOr<uint64_t> CountQueued(sql::Transaction& tx, Range range) {
  uint64_t count = 0;
  auto s = tx.Query(
      "SELECT COUNT(*) FROM jetmon_notifications WHERE state = 'queued' AND bucket_no BETWEEN ? "
      "AND ?",
      {range.min, range.max}, [&](const sql::Row& row) {
        count = row.Uint(0);
        return absl::OkStatus();
      });
  if (!s.ok()) return s;
  return count;
}

}  // namespace jetmon::store
