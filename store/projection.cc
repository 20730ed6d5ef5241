// What the legacy columns say of our incidents: written before a release, and where they differ.
#include <map>
#include <optional>
#include <set>
#include <utility>

#include "store/event_rows.h"
#include "store/events.h"
#include "store/legacy_columns.h"
#include "store/tells.h"

namespace jetmon::store {
namespace {

// Has the last incident of a site, which has none open, been ended by a check of ours since v1
// wrote its columns? That incident, then.
absl::StatusOr<std::optional<Event>> EndedSinceV1Wrote(sql::Transaction& tx, const Site& site) {
  auto events =
      SelectEvents(tx, "WHERE site_id = ? ORDER BY event_id DESC LIMIT 1", {site.site_id});
  if (!events.ok()) return events.status();
  if (events->empty()) return std::nullopt;
  const Event& e = (*events)[0];
  const bool ours = e.end_reason == transition::kRecovered ||
                    e.end_reason == transition::kProbeCleared ||
                    e.end_reason == transition::kFalseAlarm;
  if (!e.ended_at_ms.has_value() || !ours || e.bucket != site.bucket ||
      ParseLegacyTime(site.last_status_change) > *e.ended_at_ms) {
    return std::nullopt;
  }
  return e;
}

// Writes the columns for an event, and remembers it. False: the site is gone, or its columns do not
// say `seen` any more.
absl::StatusOr<bool> Rewrite(sql::Transaction& tx, const Event& e, const LegacyColumns& now,
                             const std::optional<LegacyColumns>& seen, const Actor& actor) {
  auto written = WriteColumns(tx, e.site_id, e.bucket, now, seen);
  if (!written.ok()) return written.status();
  if (*written != ColumnWrite::kWritten) return false;
  auto s = StoreProjected(tx, e, now.status, now.changed, ProjectorOf(actor));
  if (!s.ok()) return s;
  return true;
}

// Dialect jetmon2: the columns say what the open incidents say.
absl::StatusOr<uint64_t> ProjectSeverities(sql::Transaction& tx, uint32_t bucket,
                                           const Actor& actor) {
  auto events = OpenEventsOfBucket(tx, bucket);
  if (!events.ok()) return events.status();
  uint64_t written = 0;
  std::set<uint64_t> open;
  for (const Event& e : *events) {
    open.insert(e.site_id);
    auto site = ActiveSiteOf(tx, e.site_id, bucket);
    if (!site.ok()) return site.status();
    const Standing standing = {
        .severity = e.severity,
        .told = e.severity == Severity::kDown && e.notified != 0,
        .still_down = actor.now_ms - e.confirmed_at_ms >= kStillDownAfterMinutes * 60'000};
    const int expected =
        StatusFor(actor.hand_to_v1 ? LegacyDialect::kV1 : LegacyDialect::kJetmon2, standing);
    if (!site->has_value() || (*site)->site_status == expected) continue;
    auto done =
        Rewrite(tx, e,
                {expected, LegacyTime(e.severity == Severity::kDown && e.confirmed_at_ms != 0
                                          ? e.confirmed_at_ms
                                          : actor.now_ms)},
                std::nullopt, actor);
    if (!done.ok()) return done.status();
    written += *done ? 1 : 0;
  }
  auto not_up = SitesNotUp(tx, {.buckets = {bucket, bucket}});
  if (!not_up.ok()) return not_up.status();
  for (const Site& site : *not_up) {
    if (open.contains(site.site_id)) continue;
    auto ended = EndedSinceV1Wrote(tx, site);
    if (!ended.ok()) return ended.status();
    if (!ended->has_value()) continue;
    auto done =
        Rewrite(tx, **ended, {kStatusUp, LegacyTime(*(*ended)->ended_at_ms)}, std::nullopt, actor);
    if (!done.ok()) return done.status();
    written += *done ? 1 : 0;
  }
  return written;
}

// Dialect v1: every tell wrote the columns when it was committed. All that can differ is what the
// receiver wrote later over a newer word of ours; what anybody else wrote is theirs.
absl::StatusOr<uint64_t> RewriteEchoes(sql::Transaction& tx, uint32_t bucket, const Actor& actor) {
  auto events = OpenEventsOfBucket(tx, bucket);
  if (!events.ok()) return events.status();
  uint64_t written = 0;
  std::set<uint64_t> open;
  for (const Event& e : *events) {
    open.insert(e.site_id);
    if (e.told_at_ms == 0 || !e.projected_status.has_value()) continue;
    auto site = ActiveSiteOf(tx, e.site_id, bucket);
    if (!site.ok()) return site.status();
    if (!site->has_value() || (*site)->site_status != kStatusUp) continue;
    auto echo = IsEcho(tx, **site, actor);
    if (!echo.ok()) return echo.status();
    if (!*echo) continue;
    auto done = Rewrite(tx, e, {*e.projected_status, e.projected_change}, ColumnsOf(**site), actor);
    if (!done.ok()) return done.status();
    written += *done ? 1 : 0;
  }
  auto not_up = SitesNotUp(tx, {.buckets = {bucket, bucket}});
  if (!not_up.ok()) return not_up.status();
  for (const Site& site : *not_up) {
    if (open.contains(site.site_id)) continue;
    auto echo = IsEcho(tx, site, actor);
    if (!echo.ok()) return echo.status();
    if (!*echo) continue;
    auto last =
        SelectEvents(tx, "WHERE site_id = ? ORDER BY event_id DESC LIMIT 1", {site.site_id});
    if (!last.ok()) return last.status();
    if (last->empty()) continue;
    auto told = EndWasTold(tx, last->front());
    if (!told.ok()) return told.status();
    if (!*told || !last->front().projected_status.has_value()) continue;
    auto done = Rewrite(tx, last->front(), {kStatusUp, last->front().projected_change},
                        ColumnsOf(site), actor);
    if (!done.ok()) return done.status();
    written += *done ? 1 : 0;
  }
  return written;
}

}  // namespace

absl::StatusOr<uint64_t> ProjectBucket(sql::Transaction& tx, uint32_t bucket, const Actor& actor) {
  return actor.dialect == LegacyDialect::kV1 ? RewriteEchoes(tx, bucket, actor)
                                             : ProjectSeverities(tx, bucket, actor);
}

namespace {

// Whether a range of dialect v1 has the bucket.
absl::StatusOr<bool> IsHeldInV1sWords(sql::Transaction& tx, uint32_t bucket) {
  bool v1 = false;
  auto s = tx.Query(
      "SELECT l.dialect FROM jetmon_rollout_bucket_locks b JOIN jetmon_rollout_range_locks l ON "
      "l.epoch = b.epoch WHERE b.bucket_no = ?",
      {bucket}, [&](const sql::Row& row) {
        v1 = row.Text(0) == NameOf(LegacyDialect::kV1);
        return absl::OkStatus();
      });
  if (!s.ok()) return s;
  return v1;
}

// Why the column and the events differ; "" if they agree.
std::string CauseOf(const Drift& d, uint32_t event_bucket) {
  if (d.site_status == d.expected_status) return "";
  if (d.site_status < 0 || d.site_status > 2) return "unexpected_status";
  if (d.event_id == 0) return "missing_event";
  return event_bucket == d.bucket ? "stale_projection" : "event_elsewhere";
}

// The differing sites of one bucket, by id. Of several open events the worst one counts: it is what
// a projection would write.
absl::StatusOr<std::vector<Drift>> FindDriftOfBucket(sql::Transaction& tx, uint32_t bucket) {
  struct Candidate {
    Drift drift;
    int severity = -1;
    uint32_t event_bucket = 0;
  };
  std::map<uint64_t, Candidate> candidates;
  auto s = tx.Query(
      "SELECT s.jetpack_monitor_site_id, s.site_status, e.event_id, e.severity, e.bucket_no, "
      "e.dialect, e.told_at_ms FROM "
      "jetpack_monitor_sites s LEFT JOIN jetmon_events e ON e.site_id = s.jetpack_monitor_site_id "
      "AND e.ended_at_ms IS NULL WHERE s.bucket_no = ? AND s.monitor_active = 1 AND "
      "(s.site_status <> 1 OR e.event_id IS NOT NULL)",
      {bucket}, [&](const sql::Row& row) {
        Candidate& c = candidates[row.Uint(0)];
        c.drift.site_id = row.Uint(0);
        c.drift.bucket = bucket;
        c.drift.site_status = static_cast<int>(row.Int(1));
        if (row.IsNull(3) || row.Int(3) <= c.severity) return absl::OkStatus();
        c.severity = static_cast<int>(row.Int(3));
        c.drift.event_id = row.Uint(2);
        const Standing standing = {.severity = static_cast<Severity>(c.severity),
                                   .told = row.Int(6) != 0,
                                   .still_down = c.drift.site_status == kStatusStillDown};
        c.drift.expected_status =
            StatusFor(ParseLegacyDialect(row.Text(5)).value_or(LegacyDialect::kJetmon2), standing);
        c.event_bucket = static_cast<uint32_t>(row.Int(4));
        return absl::OkStatus();
      });
  if (!s.ok()) return s;
  if (candidates.empty()) return std::vector<Drift>();
  auto v1 = IsHeldInV1sWords(tx, bucket);
  if (!v1.ok()) return v1.status();
  std::vector<Drift> found;
  for (auto& [id, c] : candidates) {
    c.drift.cause = CauseOf(c.drift, c.event_bucket);
    if (c.drift.cause.empty()) continue;
    if (*v1 && c.drift.cause == "missing_event") c.drift.cause = "foreign_write";
    // Dialect v1: until the end of an incident is told, the columns say that it goes on.
    auto waits = UpIsQueued(tx, id, c.drift.bucket);
    if (!waits.ok()) return waits.status();
    const bool down =
        MeaningOf(LegacyDialect::kV1, c.drift.site_status) == LegacyMeaning::kToldDown;
    if (!(*waits && down)) found.push_back(std::move(c.drift));
  }
  return found;
}

}  // namespace

absl::StatusOr<DriftReport> FindDrift(sql::Transaction& tx, Range range, int limit) {
  DriftReport report;
  for (uint32_t bucket = range.min; bucket <= range.max; ++bucket) {
    auto found = FindDriftOfBucket(tx, bucket);
    if (!found.ok()) return found.status();
    report.count += found->size();
    std::map<std::string, uint64_t> causes;
    for (Drift& d : *found) {
      ++causes[d.cause];
      if (static_cast<int>(report.rows.size()) < limit) report.rows.push_back(std::move(d));
    }
    for (const auto& [cause, count] : causes) {
      if (report.groups.size() < kMostDriftGroups) report.groups.push_back({bucket, cause, count});
    }
  }
  return report;
}

}  // namespace jetmon::store
