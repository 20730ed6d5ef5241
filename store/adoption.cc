// Taking v1's view of a site over, and where the legacy table and the events differ.
#include <map>
#include <utility>

#include "absl/strings/str_cat.h"
#include "store/event_rows.h"
#include "store/events.h"

namespace jetmon::store {
namespace {

constexpr int kAdoptedDown = 2;  // Event.notified: v1 told people

// v1's word as a severity; what v1 never wrote counts as Seems Down: it will be checked.
Severity SeverityOf(int site_status) {
  if (site_status == static_cast<int>(SiteStatus::kUp)) return Severity::kUp;
  if (site_status == static_cast<int>(SiteStatus::kDown)) return Severity::kDown;
  return Severity::kSeemsDown;
}

// What v1 said, for the transition: with it a replay knows the times that v1 gave.
std::string WordOf(const Site& site) {
  return absl::StrCat(
      "site_status ", site.site_status, ", last_status_change ",
      site.last_status_change.empty() ? std::string("NULL") : site.last_status_change);
}

absl::Status OpenAdopted(sql::Transaction& tx, const Site& site, const Actor& actor) {
  Event e;
  e.site_id = site.site_id;
  e.blog_id = site.blog_id;
  e.bucket = site.bucket;
  e.severity = SeverityOf(site.site_status);
  e.source = actor.source;
  const int64_t changed = ParseLegacyTime(site.last_status_change);
  e.started_at_ms = changed != 0 ? changed : actor.now_ms;
  if (e.severity == Severity::kDown) {
    e.notified = kAdoptedDown;
    e.confirmed_at_ms = e.started_at_ms;
  }
  e.projected_status = site.site_status;
  e.projected_change = site.last_status_change;
  return InsertEvent(tx, &e, transition::kAdopted, WordOf(site), actor);
}

// Changes an open event silently: no notification, no projection.
absl::Status ChangeSilently(sql::Transaction& tx, const Event& seen, Event after,
                            const char* reason, const Site& site, const Actor& actor) {
  auto updated = UpdateEventRow(tx, seen, after);
  if (!updated.ok()) return updated.status();
  if (!*updated) return absl::AbortedError("an event changed between two statements");
  return InsertTransition(tx, seen, after, reason, WordOf(site), actor);
}

absl::Status EndSilently(sql::Transaction& tx, const Event& seen, const char* reason,
                         const Site& site, const Actor& actor) {
  Event after = seen;
  after.severity = Severity::kUp;
  after.ended_at_ms = actor.now_ms;
  after.end_reason = reason;
  return ChangeSilently(tx, seen, after, reason, site, actor);
}

// Has v1 begun an incident after this one? Its last change is none that we projected, and later
// than the event's start (to the second, as the legacy table keeps it).
bool V1BeganNewer(const Event& e, const Site& site) {
  if (site.last_status_change.empty() || site.last_status_change == e.projected_change) {
    return false;
  }
  return ParseLegacyTime(site.last_status_change) / 1000 > e.started_at_ms / 1000;
}

Event Promoted(const Event& seen, const Site& site, const Actor& actor) {
  Event after = seen;
  after.severity = Severity::kDown;
  const int64_t changed = ParseLegacyTime(site.last_status_change);
  after.confirmed_at_ms = changed != 0 ? changed : actor.now_ms;
  after.notified = kAdoptedDown;
  after.projected_status = site.site_status;
  after.projected_change = site.last_status_change;
  return after;
}

}  // namespace

absl::StatusOr<Adoption> AdoptSite(sql::Transaction& tx, const Site& site, const Actor& actor) {
  auto open = OpenEventOfSite(tx, site.site_id);
  if (!open.ok()) return open.status();
  const Severity v1 = SeverityOf(site.site_status);
  absl::Status s;
  Adoption adoption = Adoption::kNothing;
  if (!open->has_value()) {
    if (v1 == Severity::kUp) return Adoption::kNothing;
    s = OpenAdopted(tx, site, actor);
    adoption = Adoption::kOpened;
  } else if (v1 == Severity::kUp) {
    s = EndSilently(tx, **open, transition::kV1Recovered, site, actor);
    adoption = Adoption::kClosed;
  } else if ((*open)->bucket == site.bucket && v1 > (*open)->severity) {
    s = ChangeSilently(tx, **open, Promoted(**open, site, actor), transition::kPromoted, site,
                       actor);
    adoption = Adoption::kPromoted;
  } else if ((*open)->bucket != site.bucket || V1BeganNewer(**open, site)) {
    s = EndSilently(tx, **open, transition::kSuperseded, site, actor);
    if (s.ok()) s = OpenAdopted(tx, site, actor);
    adoption = Adoption::kReopened;
  }
  if (!s.ok()) return s;
  return adoption;
}

absl::StatusOr<DriftReport> FindDrift(sql::Transaction& tx, Range range, int limit) {
  DriftReport report;
  std::map<std::pair<uint32_t, std::string>, uint64_t> groups;
  auto s = tx.Query(
      "SELECT s.jetpack_monitor_site_id, s.bucket_no, s.site_status, e.event_id, e.severity FROM "
      "jetpack_monitor_sites s LEFT JOIN jetmon_events e ON e.site_id = s.jetpack_monitor_site_id "
      "AND e.ended_at_ms IS NULL WHERE s.bucket_no BETWEEN ? AND ? AND s.monitor_active = 1 AND "
      "(s.site_status <> 1 OR e.event_id IS NOT NULL)",
      {range.min, range.max}, [&](const sql::Row& row) {
        Drift d;
        d.site_id = row.Uint(0);
        d.bucket = static_cast<uint32_t>(row.Int(1));
        d.site_status = static_cast<int>(row.Int(2));
        d.event_id = row.Uint(3);
        d.expected_status = row.IsNull(4) ? static_cast<int>(SiteStatus::kUp)
                                          : LegacyStatusOf(static_cast<Severity>(row.Int(4)));
        if (d.site_status == d.expected_status) return absl::OkStatus();
        if (d.site_status < 0 || d.site_status > 2) {
          d.cause = "unexpected_status";
        } else {
          d.cause = d.event_id == 0 ? "missing_event" : "stale_projection";
        }
        ++report.count;
        ++groups[{d.bucket, d.cause}];
        if (static_cast<int>(report.rows.size()) < limit) report.rows.push_back(std::move(d));
        return absl::OkStatus();
      });
  if (!s.ok()) return s;
  for (const auto& [key, count] : groups) {
    if (report.groups.size() >= 1000) break;
    report.groups.push_back({key.first, key.second, count});
  }
  return report;
}

}  // namespace jetmon::store
