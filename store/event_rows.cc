#include "store/event_rows.h"

#include "absl/strings/str_cat.h"
#include "store/bounded.h"

namespace jetmon::store {
namespace {

constexpr char kColumns[] =
    "event_id, blog_id, site_id, bucket_no, severity, source, notified, error_code, http_code, "
    "failure_class, started_at_ms, confirmed_at_ms, ended_at_ms, end_reason, last_seq, "
    "projected_status, projected_change";
constexpr char kCheckType[] = "http";

Event EventOf(const sql::Row& row) {
  Event e;
  e.event_id = row.Uint(0);
  e.blog_id = row.Uint(1);
  e.site_id = row.Uint(2);
  e.bucket = static_cast<uint32_t>(row.Int(3));
  e.severity = static_cast<Severity>(row.Int(4));
  e.source = row.Text(5);
  e.notified = static_cast<int>(row.Int(6));
  e.error_code = static_cast<int>(row.Int(7));
  e.http_code = static_cast<int>(row.Int(8));
  e.failure_class = row.Text(9);
  e.started_at_ms = row.Int(10);
  e.confirmed_at_ms = row.Int(11);
  e.ended_at_ms = row.OptInt(12);
  e.end_reason = row.Text(13);
  e.last_seq = row.Uint(14);
  if (auto status = row.OptInt(15); status.has_value()) {
    e.projected_status = static_cast<int>(*status);
  }
  e.projected_change = row.Text(16);
  return e;
}

sql::Value OptionalText(const std::string& text) {
  return text.empty() ? sql::Value() : sql::Value(text);
}

}  // namespace

int LegacyStatusOf(Severity severity) {
  switch (severity) {
    case Severity::kSeemsDown:
      return static_cast<int>(SiteStatus::kSeemsDown);
    case Severity::kDown:
      return static_cast<int>(SiteStatus::kDown);
    default:
      return static_cast<int>(SiteStatus::kUp);
  }
}

absl::StatusOr<std::vector<Event>> SelectEvents(sql::Transaction& tx, const std::string& rest,
                                                sql::Params params) {
  std::vector<Event> events;
  auto s = tx.Query(absl::StrCat("SELECT ", kColumns, " FROM jetmon_events ", rest), params,
                    [&](const sql::Row& row) {
                      events.push_back(EventOf(row));
                      return absl::OkStatus();
                    });
  if (!s.ok()) return s;
  return events;
}

absl::Status InsertEvent(sql::Transaction& tx, Event* e, const char* reason,
                         const std::string& detail, const Actor& actor) {
  auto id = tx.Insert(
      "INSERT INTO jetmon_events (blog_id, site_id, bucket_no, check_type, severity, source, "
      "notified, error_code, http_code, failure_class, started_at_ms, confirmed_at_ms, last_seq, "
      "projected_status, projected_change) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 1, ?, ?)",
      {e->blog_id, e->site_id, e->bucket, kCheckType, static_cast<int>(e->severity), e->source,
       e->notified, e->error_code, e->http_code, e->failure_class, e->started_at_ms,
       e->confirmed_at_ms, e->projected_status, OptionalText(e->projected_change)});
  // Another process opened one since we looked, which the unique key of what is open tells on a
  // server: run again, the transaction finds it.
  if (absl::IsAlreadyExists(id.status())) {
    return absl::AbortedError("another event of this site was opened meanwhile");
  }
  if (!id.ok()) return id.status();
  e->event_id = static_cast<uint64_t>(*id);
  e->last_seq = 1;
  Event before = *e;
  before.severity = Severity::kUp;
  before.last_seq = 0;
  return InsertTransition(tx, before, *e, reason, detail, actor);
}

absl::StatusOr<bool> UpdateEventRow(sql::Transaction& tx, const Event& seen, const Event& after) {
  return tx.ExecuteOne(
      "UPDATE jetmon_events SET severity = ?, notified = ?, confirmed_at_ms = ?, ended_at_ms = ?, "
      "end_reason = ?, last_seq = last_seq + 1, projected_status = ?, projected_change = ? WHERE "
      "event_id = ? AND last_seq = ? AND severity = ? AND ended_at_ms IS NULL",
      {static_cast<int>(after.severity), after.notified, after.confirmed_at_ms, after.ended_at_ms,
       after.end_reason, after.projected_status, OptionalText(after.projected_change),
       seen.event_id, seen.last_seq, static_cast<int>(seen.severity)});
}

absl::Status InsertTransition(sql::Transaction& tx, const Event& seen, const Event& after,
                              const char* reason, const std::string& detail, const Actor& actor) {
  return tx
      .Insert(
          "INSERT INTO jetmon_event_transitions (event_id, seq, site_id, reason, from_severity, "
          "to_severity, notified, ended, source, epoch, instance, detail, at_ms) VALUES (?, ?, ?, "
          "?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
          {after.event_id, seen.last_seq + 1, after.site_id, reason,
           static_cast<int>(seen.severity), static_cast<int>(after.severity), after.notified,
           after.ended_at_ms.has_value(), actor.source, actor.epoch, actor.instance,
           Bounded(detail, kMaxDetail), actor.now_ms})
      .status();
}

absl::Status StoreProjected(sql::Transaction& tx, const Event& e, int status,
                            const std::string& changed) {
  auto stored = tx.ExecuteOne(
      "UPDATE jetmon_events SET projected_status = ?, projected_change = ? WHERE event_id = ? AND "
      "last_seq = ?",
      {status, changed, e.event_id, e.last_seq});
  if (!stored.ok()) return stored.status();
  return *stored ? absl::OkStatus() : absl::AbortedError("an event changed between two statements");
}

}  // namespace jetmon::store
