#include "store/notifications.h"

#include <algorithm>
#include <set>
#include <tuple>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"

namespace jetmon::store {
namespace {

constexpr char kColumns[] =
    "notification_id, event_id, kind, site_id, blog_id, bucket_no, url, status_id, "
    "status_change_ms, checks, state, attempts, next_attempt_at_ms, created_at_ms, "
    "delivered_at_ms, dialect, sent_at_ms";

// Pages of candidates that one call looks through at most.
constexpr int kMaxPages = 20;

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
  n.dialect = ParseLegacyDialect(row.Text(15)).value_or(LegacyDialect::kJetmon2);
  n.sent_at_ms = row.Int(16);
  return n;
}

absl::StatusOr<std::vector<Notification>> Select(sql::Transaction& tx, std::string_view rest,
                                                 const std::vector<sql::Value>& values) {
  std::vector<Notification> rows;
  auto s =
      tx.Query(absl::StrCat("SELECT ", kColumns, " FROM jetmon_notifications ", std::string(rest)),
               values, [&](const sql::Row& row) {
                 rows.push_back(NotificationOf(row));
                 return absl::OkStatus();
               });
  if (!s.ok()) return s;
  return rows;
}

// Order per site: only the oldest queued one of a site is due; `down` goes before `up` of one
// event. Asked for each candidate by what an index leads to at once: as one statement with the
// candidates, what it costs depends on how an optimizer feels about a table that has just grown,
// and in an outage of thousands of sites that was the square of the queue.
absl::StatusOr<bool> OlderWaits(sql::Transaction& tx, const Notification& n) {
  bool waits = false;
  auto s = tx.Query(
      "SELECT event_id, kind, bucket_no FROM jetmon_notifications WHERE site_id = ? AND state IN "
      "('queued', 'sending')",
      {n.site_id}, [&](const sql::Row& row) {
        const bool older =
            row.Uint(0) < n.event_id || (row.Uint(0) == n.event_id && row.Text(1) < n.kind);
        waits = waits || (older && row.Int(2) == n.bucket);
        return absl::OkStatus();
      });
  if (!s.ok()) return s;
  return waits;
}

absl::StatusOr<uint64_t> CountStates(sql::Transaction& tx, Range range,
                                     std::string_view condition) {
  uint64_t count = 0;
  auto s = tx.Query(absl::StrCat("SELECT COUNT(*) FROM jetmon_notifications WHERE ",
                                 std::string(condition), " AND bucket_no BETWEEN ? AND ?"),
                    {range.min, range.max}, [&](const sql::Row& row) {
                      count = row.Uint(0);
                      return absl::OkStatus();
                    });
  if (!s.ok()) return s;
  return count;
}

// Adds those of one state: up to `limit`, one a site.
absl::Status AddDue(sql::Transaction& tx, Range range, std::string_view state, int64_t now_ms,
                    int limit, std::vector<Notification>* due) {
  std::set<uint64_t> seen;  // sites
  Notification last;        // of the page before
  const size_t most = due->size() + static_cast<size_t>(limit);
  for (int page = 0; page < kMaxPages && due->size() < most; ++page) {
    // A sum is no column: the index in the order of events is the one to use.
    auto rows = Select(
        tx,
        "WHERE state = ? AND bucket_no + 0 BETWEEN ? AND ? AND next_attempt_at_ms + 0 <= ? AND "
        "event_id >= ? AND (event_id > ? OR kind > ?) ORDER BY event_id, kind LIMIT ?",
        {state, range.min, range.max, now_ms, last.event_id, last.event_id, last.kind, limit});
    if (!rows.ok()) return rows.status();
    for (Notification& n : *rows) {
      last.event_id = n.event_id;
      last.kind = n.kind;
      if (!seen.insert(n.site_id).second || due->size() >= most) continue;
      auto waits = OlderWaits(tx, n);
      if (!waits.ok()) return waits.status();
      if (!*waits) due->push_back(std::move(n));
    }
    if (static_cast<int>(rows->size()) < limit) break;
  }
  return absl::OkStatus();
}

}  // namespace

bool IsNotificationState(std::string_view state) {
  constexpr std::string_view kStates[] = {"queued",   "sending",   "delivered",
                                          "recorded", "cancelled", "superseded"};
  return std::find(std::begin(kStates), std::end(kStates), state) != std::end(kStates);
}

absl::StatusOr<bool> QueueNotification(sql::Transaction& tx, const Notification& n) {
  return tx.InsertIfNew(
      std::string("INSERT INTO jetmon_notifications (") + kColumns +
          ") VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
      {n.notification_id, n.event_id, n.kind, n.site_id, n.blog_id, n.bucket, n.url, n.status_id,
       n.status_change_ms, n.checks_json, n.state, n.attempts, n.next_attempt_at_ms,
       n.created_at_ms, n.delivered_at_ms, NameOf(n.dialect), n.sent_at_ms});
}

absl::StatusOr<std::optional<Notification>> GetNotification(sql::Transaction& tx,
                                                            std::string_view notification_id) {
  auto rows = Select(tx, "WHERE notification_id = ?", {notification_id});
  if (!rows.ok()) return rows.status();
  return rows->empty() ? std::nullopt : std::optional(std::move(rows->front()));
}

absl::StatusOr<Page<Notification>> ListNotifications(sql::Transaction& tx, Range range,
                                                     std::string_view state,
                                                     const PageRequest& page) {
  auto after = KeyOfPageToken(page.token);
  if (!after.ok()) return after.status();
  uint64_t event_id = 0;
  std::string kind;
  if (!after->empty()) {
    const std::pair<std::string, std::string> parts =
        absl::StrSplit(*after, absl::MaxSplits(':', 1));
    if (!absl::SimpleAtoi(parts.first, &event_id)) {
      return absl::InvalidArgumentError("not a page token of notifications");
    }
    kind = parts.second;
  }
  auto rows = Select(tx,
                     "WHERE state = ? AND bucket_no + 0 BETWEEN ? AND ? AND event_id >= ? AND "
                     "(event_id > ? OR kind > ?) ORDER BY event_id, kind LIMIT ?",
                     {state, range.min, range.max, event_id, event_id, kind, page.size + 1});
  if (!rows.ok()) return rows.status();
  return MakePage(std::move(*rows), page.size,
                  [](const Notification& n) { return absl::StrCat(n.event_id, ":", n.kind); });
}

absl::StatusOr<std::vector<Notification>> DueNotifications(sql::Transaction& tx, Range range,
                                                           int64_t now_ms, int limit) {
  std::vector<Notification> due;
  for (const char* state : {"sending", "queued"}) {
    if (auto s = AddDue(tx, range, state, now_ms, limit, &due); !s.ok()) return s;
  }
  std::sort(due.begin(), due.end(), [](const Notification& a, const Notification& b) {
    return std::tie(a.event_id, a.kind) < std::tie(b.event_id, b.kind);
  });
  if (static_cast<int>(due.size()) > limit) due.resize(static_cast<size_t>(limit));
  return due;
}

absl::StatusOr<bool> MarkDelivered(sql::Transaction& tx, const Notification& n, int64_t now_ms) {
  return tx.ExecuteOne(
      "UPDATE jetmon_notifications SET state = 'delivered', attempts = attempts + 1, "
      "delivered_at_ms = ? WHERE notification_id = ? AND attempts = ? AND state = ?",
      {now_ms, n.notification_id, n.attempts, n.state});
}

absl::StatusOr<bool> MarkFailedAttempt(sql::Transaction& tx, const Notification& n,
                                       int64_t next_attempt_at_ms) {
  return tx.ExecuteOne(
      "UPDATE jetmon_notifications SET attempts = attempts + 1, next_attempt_at_ms = ? WHERE "
      "notification_id = ? AND attempts = ? AND state = ?",
      {next_attempt_at_ms, n.notification_id, n.attempts, n.state});
}

absl::StatusOr<uint64_t> CountQueued(sql::Transaction& tx, Range range) {
  return CountStates(tx, range, "state IN ('queued', 'sending')");
}

absl::StatusOr<uint64_t> CountSending(sql::Transaction& tx, Range range) {
  return CountStates(tx, range, "state = 'sending'");
}

absl::StatusOr<uint64_t> CancelQueued(sql::Transaction& tx, Range range) {
  return tx.Execute(
      "UPDATE jetmon_notifications SET state = 'cancelled' WHERE state = 'queued' AND dialect = "
      "'v1' AND bucket_no BETWEEN ? AND ?",
      {range.min, range.max});
}

absl::Status HurrySending(sql::Transaction& tx, Range range, int64_t now_ms) {
  return tx
      .Execute(
          "UPDATE jetmon_notifications SET next_attempt_at_ms = ? WHERE state = 'sending' AND "
          "bucket_no BETWEEN ? AND ? AND next_attempt_at_ms > ?",
          {now_ms, range.min, range.max, now_ms})
      .status();
}

absl::StatusOr<bool> AnyDeliveredSince(sql::Transaction& tx, Range range, int64_t since_ms) {
  bool any = false;
  auto s = tx.Query(
      "SELECT notification_id FROM jetmon_notifications WHERE delivered_at_ms >= ? AND bucket_no "
      "BETWEEN ? AND ? LIMIT 1",
      {since_ms, range.min, range.max}, [&](const sql::Row&) {
        any = true;
        return absl::OkStatus();
      });
  if (!s.ok()) return s;
  return any;
}

}  // namespace jetmon::store
