#include "store/event_rows.h"

#include "absl/strings/str_cat.h"
#include "store/bounded.h"
#include "store/rows.h"

namespace jetmon::store {
namespace {

constexpr char kColumns[] =
    "event_id, jetmon_events.blog_id, site_id, jetmon_events.bucket_no, severity, source, "
    "notified, error_code, http_code, failure_class, started_at_ms, confirmed_at_ms, ended_at_ms, "
    "end_reason, last_seq, projected_status, projected_change, told_at_ms, jetmon_events.dialect";
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
  e.told_at_ms = row.Int(17);
  e.dialect = ParseLegacyDialect(row.Text(18)).value_or(LegacyDialect::kJetmon2);
  return e;
}

sql::Value OptionalText(const std::string& text) {
  return text.empty() ? sql::Value() : sql::Value(text);
}

constexpr char kInsertEvent[] =
    "INSERT INTO jetmon_events (blog_id, site_id, bucket_no, check_type, severity, source, "
    "notified, error_code, http_code, failure_class, started_at_ms, confirmed_at_ms, last_seq, "
    "projected_status, projected_change, projected_epoch, projected_instance, projected_host, "
    "projected_at_ms, told_at_ms, dialect) VALUES ";
constexpr size_t kInserted = 21;

// `by` counts if something was projected.
std::vector<sql::Value> InsertedValues(const Event& e, Projector by) {
  if (!e.projected_status.has_value()) by = Projector();
  return {e.blog_id,
          e.site_id,
          e.bucket,
          kCheckType,
          static_cast<int>(e.severity),
          e.source,
          e.notified,
          e.error_code,
          e.http_code,
          e.failure_class,
          e.started_at_ms,
          e.confirmed_at_ms,
          1,
          e.projected_status,
          OptionalText(e.projected_change),
          by.epoch,
          by.instance,
          by.host,
          by.at_ms,
          e.told_at_ms,
          NameOf(e.dialect)};
}

constexpr char kSetProjected[] =
    "projected_status = ?, projected_change = ?, projected_epoch = ?, projected_instance = ?, "
    "projected_host = ?, projected_at_ms = ?";

std::vector<sql::Value> ProjectedValues(const std::optional<int>& status,
                                        const std::string& changed, const Projector& by) {
  return {status, OptionalText(changed), by.epoch, by.instance, by.host, by.at_ms};
}

// Another process opened an event since we looked, which the unique key of what is open tells on a
// server: run again, the transaction finds it.
absl::Status OpenedMeanwhile() {
  return absl::AbortedError("another event of this site was opened meanwhile");
}

constexpr char kInsertTransition[] =
    "INSERT INTO jetmon_event_transitions (event_id, seq, site_id, reason, from_severity, "
    "to_severity, notified, ended, source, epoch, instance, host, detail, at_ms) ";
constexpr size_t kTransitionColumns = 14;

std::vector<sql::Value> TransitionValues(const Event& seen, const Event& after, const char* reason,
                                         const std::string& detail, const Actor& actor) {
  return {after.event_id,
          seen.last_seq + 1,
          after.site_id,
          reason,
          static_cast<int>(seen.severity),
          static_cast<int>(after.severity),
          after.notified,
          after.ended_at_ms.has_value(),
          actor.source,
          actor.epoch,
          actor.instance,
          actor.host,
          Bounded(detail, kMaxDetail),
          actor.now_ms};
}

// From Up, of an event that was just inserted.
std::vector<sql::Value> FirstTransition(const Event& e, const char* reason,
                                        const std::string& detail, const Actor& actor) {
  Event before = e;
  before.severity = Severity::kUp;
  before.last_seq = 0;
  return TransitionValues(before, e, reason, detail, actor);
}

absl::Status InsertTransitions(sql::Transaction& tx,
                               const std::vector<std::vector<sql::Value>>& rows) {
  return InsertRows(tx, absl::StrCat(kInsertTransition, "VALUES "), "", kTransitionColumns, rows);
}

}  // namespace

Projector ProjectorOf(const Actor& actor) {
  return {actor.epoch, actor.instance, actor.host, actor.now_ms};
}

Projector AdopterOf(const Actor& actor) {
  return actor.host.empty() ? Projector() : ProjectorOf(actor);
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

absl::StatusOr<std::vector<Event>> OpenEventsOfSites(sql::Transaction& tx,
                                                     const std::vector<uint64_t>& site_ids) {
  std::vector<Event> events;
  auto s = InPieces(site_ids.size(), [&](size_t at, size_t n) {
    const std::vector<sql::Value> ids(site_ids.begin() + at, site_ids.begin() + at + n);
    auto found =
        SelectEvents(tx, absl::StrCat("WHERE ended_at_ms IS NULL AND site_id IN ", Marks(n)), ids);
    if (!found.ok()) return found.status();
    events.insert(events.end(), found->begin(), found->end());
    return absl::OkStatus();
  });
  if (!s.ok()) return s;
  return events;
}

absl::Status InsertEvent(sql::Transaction& tx, Event* e, const char* reason,
                         const std::string& detail, const Actor& actor,
                         const Projector& projector) {
  auto id = tx.Insert(absl::StrCat(kInsertEvent, Marks(kInserted)), InsertedValues(*e, projector));
  if (absl::IsAlreadyExists(id.status())) return OpenedMeanwhile();
  if (!id.ok()) return id.status();
  e->event_id = static_cast<uint64_t>(*id);
  e->last_seq = 1;
  return InsertTransitions(tx, {FirstTransition(*e, reason, detail, actor)});
}

absl::Status InsertAdopted(sql::Transaction& tx, const std::vector<Event>& events,
                           const Actor& actor) {
  std::vector<std::vector<sql::Value>> rows;
  for (const Event& e : events) rows.push_back(InsertedValues(e, AdopterOf(actor)));
  absl::Status s = InsertRows(tx, kInsertEvent, "", kInserted, rows);
  if (s.ok()) {
    s = InPieces(events.size(), [&](size_t at, size_t n) {
      std::vector<sql::Value> values = {transition::kAdopted, actor.epoch, actor.instance,
                                        actor.host, actor.now_ms};
      for (size_t i = at; i < at + n; ++i) values.emplace_back(events[i].site_id);
      return tx
          .Execute(absl::StrCat(
                       kInsertTransition,
                       "SELECT event_id, 1, site_id, ?, 0, severity, notified, 0, source, ?, ?, ?, "
                       "'site_status ' || projected_status || ', last_status_change ' || "
                       "COALESCE(projected_change, 'NULL'), ? FROM jetmon_events WHERE "
                       "ended_at_ms IS NULL AND site_id IN ",
                       Marks(n)),
                   values)
          .status();
    });
  }
  return absl::IsAlreadyExists(s) ? OpenedMeanwhile() : s;
}

absl::StatusOr<bool> UpdateEventRow(sql::Transaction& tx, const Event& seen, const Event& after,
                                    const std::optional<Projector>& projector) {
  std::vector<sql::Value> values = {static_cast<int>(after.severity),
                                    after.notified,
                                    after.confirmed_at_ms,
                                    after.ended_at_ms,
                                    after.end_reason,
                                    after.told_at_ms};
  if (projector.has_value()) {
    const auto projected =
        ProjectedValues(after.projected_status, after.projected_change, *projector);
    values.insert(values.end(), projected.begin(), projected.end());
  }
  values.insert(values.end(), {seen.event_id, seen.last_seq, static_cast<int>(seen.severity)});
  return tx.ExecuteOne(
      absl::StrCat("UPDATE jetmon_events SET severity = ?, notified = ?, confirmed_at_ms = ?, "
                   "ended_at_ms = ?, end_reason = ?, told_at_ms = ?, last_seq = last_seq + 1",
                   projector.has_value() ? absl::StrCat(", ", kSetProjected) : "",
                   " WHERE event_id = ? AND last_seq = ? AND severity = ? AND ended_at_ms IS NULL"),
      values);
}

absl::Status InsertTransition(sql::Transaction& tx, const Event& seen, const Event& after,
                              const char* reason, const std::string& detail, const Actor& actor) {
  return InsertTransitions(tx, {TransitionValues(seen, after, reason, detail, actor)});
}

absl::Status StoreProjected(sql::Transaction& tx, const Event& e, int status,
                            const std::string& changed, const Projector& projector) {
  std::vector<sql::Value> values = ProjectedValues(status, changed, projector);
  values.emplace_back(e.event_id);
  values.emplace_back(e.last_seq);
  auto stored = tx.ExecuteOne(absl::StrCat("UPDATE jetmon_events SET ", kSetProjected,
                                           " WHERE event_id = ? AND last_seq = ?"),
                              values);
  if (!stored.ok()) return stored.status();
  return *stored ? absl::OkStatus() : absl::AbortedError("an event changed between two statements");
}

}  // namespace jetmon::store
