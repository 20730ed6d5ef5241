// Taking v1's view of a site over, and where the legacy table and the events differ.
#include <algorithm>
#include <map>
#include <unordered_map>
#include <utility>

#include "absl/strings/str_cat.h"
#include "store/event_rows.h"
#include "store/events.h"
#include "store/site_rows.h"

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

// When v1 says that it changed; now if it gives no time, or one that is still to come.
int64_t ChangedAt(const Site& site, const Actor& actor) {
  const int64_t changed = ParseLegacyTime(site.last_status_change);
  return changed != 0 ? std::min(changed, actor.now_ms) : actor.now_ms;
}

Event AdoptedEvent(const Site& site, const Actor& actor) {
  Event e;
  e.site_id = site.site_id;
  e.blog_id = site.blog_id;
  e.bucket = site.bucket;
  e.severity = SeverityOf(site.site_status);
  e.source = actor.source;
  e.started_at_ms = ChangedAt(site, actor);
  if (e.severity == Severity::kDown) {
    e.notified = kAdoptedDown;
    e.confirmed_at_ms = e.started_at_ms;
  }
  e.projected_status = site.site_status;
  e.projected_change = site.last_status_change;
  return e;
}

absl::Status OpenAdopted(sql::Transaction& tx, const Site& site, const Actor& actor) {
  Event e = AdoptedEvent(site, actor);
  return InsertEvent(tx, &e, transition::kAdopted, WordOf(site), actor, AdopterOf(actor));
}

// Changes an open event silently: no notification, no projection. A projector: `after` counts what
// the columns say as projected.
absl::Status ChangeSilently(sql::Transaction& tx, const Event& seen, Event after,
                            const std::optional<Projector>& projector, const char* reason,
                            const Site& site, const Actor& actor) {
  auto updated = UpdateEventRow(tx, seen, after, projector);
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
  return ChangeSilently(tx, seen, after, std::nullopt, reason, site, actor);
}

// Have the site's columns changed since we wrote them, or took them over, for this event?
bool V1HasSpoken(const Event& e, const Site& site) {
  return e.projected_status != site.site_status || e.projected_change != site.last_status_change;
}

// Has v1 begun an incident after this one?
bool V1BeganNewer(const Event& e, const Site& site) {
  if (!V1HasSpoken(e, site)) return false;
  if (e.severity == Severity::kDown && SeverityOf(site.site_status) != Severity::kDown) {
    return site.site_status == static_cast<int>(SiteStatus::kSeemsDown);
  }
  const int64_t changed = ParseLegacyTime(site.last_status_change);
  if (changed == 0 || site.last_status_change == e.projected_change) return false;
  // Two hosts' clocks are compared only where we do not know what was there.
  return e.projected_status.has_value() || changed / 1000 > e.started_at_ms / 1000;
}

Event Promoted(const Event& seen, const Site& site, const Actor& actor) {
  Event after = seen;
  after.severity = Severity::kDown;
  after.confirmed_at_ms = ChangedAt(site, actor);
  after.notified = kAdoptedDown;
  after.projected_status = site.site_status;
  after.projected_change = site.last_status_change;
  return after;
}

// What became of the open event of a site.
enum class Adoption { kNothing, kPromoted, kClosed, kReopened };

// A site that has an open event.
absl::StatusOr<Adoption> Adopt(sql::Transaction& tx, const Site& site, const Event& open,
                               const Actor& actor) {
  const Severity v1 = SeverityOf(site.site_status);
  absl::Status s;
  Adoption adoption = Adoption::kNothing;
  if (v1 == Severity::kUp) {
    s = EndSilently(tx, open, transition::kV1Recovered, site, actor);
    adoption = Adoption::kClosed;
  } else if (open.bucket == site.bucket && v1 > open.severity) {
    s = ChangeSilently(tx, open, Promoted(open, site, actor), AdopterOf(actor),
                       transition::kPromoted, site, actor);
    adoption = Adoption::kPromoted;
  } else if (open.bucket != site.bucket || V1BeganNewer(open, site)) {
    s = EndSilently(tx, open, transition::kSuperseded, site, actor);
    if (s.ok()) s = OpenAdopted(tx, site, actor);
    adoption = Adoption::kReopened;
  } else if (V1HasSpoken(open, site)) {
    s = StoreProjected(tx, open, site.site_status, site.last_status_change, AdopterOf(actor));
  }
  if (!s.ok()) return s;
  return adoption;
}

// Counts what became of a site of the slice that had an event open in `bucket`.
void Count(Adoption adoption, uint32_t bucket, const Slice& slice, AdoptionCounts* counts) {
  const bool here = slice.buckets.Contains(bucket);
  switch (adoption) {
    case Adoption::kPromoted:
      ++counts->promoted;
      break;
    case Adoption::kClosed:
      ++(here ? counts->closed : counts->left[bucket]);
      break;
    case Adoption::kReopened:
      ++(here ? counts->reopened : counts->opened);
      if (!here) ++counts->left[bucket];
      break;
    case Adoption::kNothing:
      break;
  }
}

// Sites of the slice that v1 has as up and we do not.
absl::StatusOr<std::vector<Site>> SitesWithOpenEvent(sql::Transaction& tx, const Slice& slice) {
  const SliceCondition in = SitesIn(slice);
  std::vector<sql::Value> values = in.values;
  std::string events;
  if (slice.by_site) {
    events = "e.site_id > ? AND e.site_id <= ? AND ";
    values.insert(values.begin(), {slice.after, slice.upto});
  }
  std::vector<Site> sites;
  auto s =
      tx.Query(absl::StrCat("SELECT ", kSiteColumns, " FROM ",
                            slice.by_site ? "jetmon_events e CROSS JOIN jetpack_monitor_sites s"
                                          : "jetpack_monitor_sites s CROSS JOIN jetmon_events e",
                            " ON e.site_id = s.jetpack_monitor_site_id WHERE e.ended_at_ms IS "
                            "NULL AND ",
                            events, in.sql, " AND s.site_status = 1"),
               values, [&](const sql::Row& row) {
                 sites.push_back(SiteOf(row));
                 return absl::OkStatus();
               });
  if (!s.ok()) return s;
  return sites;
}

// Ends, silently, the open events of the slice whose site is not active in their bucket any more.
// How many.
absl::StatusOr<uint64_t> EndGoneEvents(sql::Transaction& tx, const Slice& slice, Actor actor) {
  actor.project = false;
  uint64_t ended = 0;
  const SliceCondition in = RowsIn(slice, "jetmon_events.");
  auto gone = SelectEvents(
      tx,
      absl::StrCat("LEFT JOIN jetpack_monitor_sites s ON s.jetpack_monitor_site_id = site_id AND "
                   "s.bucket_no + 0 = jetmon_events.bucket_no AND s.monitor_active + 0 = 1 WHERE "
                   "ended_at_ms IS NULL AND ",
                   in.sql, " AND s.jetpack_monitor_site_id IS NULL"),
      in.values);
  if (!gone.ok()) return gone.status();
  for (const Event& e : *gone) {
    auto closed = CloseEvent(tx, e, transition::kSiteRemoved, "", "[]", actor);
    if (!closed.ok()) return closed.status();
    if (*closed == ChangeOutcome::kChanged) ++ended;
  }
  return ended;
}

// By site: whatever the events' bucket, which their site may have left. By bucket such an event is
// not among those of the bucket, and there may always be one.
absl::StatusOr<bool> MayHaveOpenEvents(sql::Transaction& tx, const Slice& slice) {
  if (!slice.by_site) return true;
  bool any = false;
  auto s = tx.Query(
      "SELECT event_id FROM jetmon_events WHERE ended_at_ms IS NULL AND site_id > ? AND site_id <= "
      "? LIMIT 1",
      {slice.after, slice.upto}, [&](const sql::Row&) {
        any = true;
        return absl::OkStatus();
      });
  if (!s.ok()) return s;
  return any;
}

// Opens an event for each of these sites, which have none.
absl::Status OpenAll(sql::Transaction& tx, const std::vector<const Site*>& sites,
                     const Actor& actor) {
  std::vector<Event> events;
  for (const Site* site : sites) events.push_back(AdoptedEvent(*site, actor));
  return InsertAdopted(tx, events, actor);
}

}  // namespace

absl::StatusOr<AdoptionCounts> AdoptSlice(sql::Transaction& tx, const Slice& slice,
                                          const Actor& actor) {
  auto sites = SitesNotUp(tx, slice);
  if (!sites.ok()) return sites.status();
  auto any = MayHaveOpenEvents(tx, slice);
  if (!any.ok()) return any.status();
  AdoptionCounts counts;
  std::unordered_map<uint64_t, Event> open;
  if (*any) {
    auto gone = EndGoneEvents(tx, slice, actor);
    if (!gone.ok()) return gone.status();
    counts.gone = *gone;
    auto up = SitesWithOpenEvent(tx, slice);
    if (!up.ok()) return up.status();
    sites->insert(sites->end(), up->begin(), up->end());
    std::vector<uint64_t> site_ids;
    for (const Site& site : *sites) site_ids.push_back(site.site_id);
    auto events = OpenEventsOfSites(tx, site_ids);
    if (!events.ok()) return events.status();
    for (Event& e : *events) {
      const uint64_t site_id = e.site_id;
      if (!open.emplace(site_id, std::move(e)).second) {
        return absl::InternalError(absl::StrCat("site ", site_id, " has several open events"));
      }
    }
  }
  std::vector<const Site*> begun;
  for (const Site& site : *sites) {
    if (SeverityOf(site.site_status) == Severity::kSeemsDown) ++counts.seems_down;
    if (SeverityOf(site.site_status) == Severity::kDown) ++counts.down;
    const auto at = open.find(site.site_id);
    if (at != open.end()) {
      auto adoption = Adopt(tx, site, at->second, actor);
      if (!adoption.ok()) return adoption.status();
      Count(*adoption, at->second.bucket, slice, &counts);
    } else if (SeverityOf(site.site_status) != Severity::kUp) {
      begun.push_back(&site);
    }
  }
  counts.opened += begun.size();
  if (auto s = OpenAll(tx, begun, actor); !s.ok()) return s;
  return counts;
}

absl::StatusOr<uint64_t> CountOpenEvents(sql::Transaction& tx, Range range) {
  uint64_t open = 0;
  // Bucket by bucket: over a range the index would be read with all that has ended.
  for (uint32_t bucket = range.min; bucket <= range.max; ++bucket) {
    auto s =
        tx.Query("SELECT COUNT(*) FROM jetmon_events WHERE bucket_no = ? AND ended_at_ms IS NULL",
                 {bucket}, [&](const sql::Row& row) {
                   open += row.Uint(0);
                   return absl::OkStatus();
                 });
    if (!s.ok()) return s;
  }
  return open;
}

namespace {

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
      "SELECT s.jetpack_monitor_site_id, s.site_status, e.event_id, e.severity, e.bucket_no FROM "
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
        c.drift.expected_status = LegacyStatusOf(static_cast<Severity>(c.severity));
        c.event_bucket = static_cast<uint32_t>(row.Int(4));
        return absl::OkStatus();
      });
  if (!s.ok()) return s;
  std::vector<Drift> found;
  for (auto& [id, c] : candidates) {
    c.drift.cause = CauseOf(c.drift, c.event_bucket);
    if (!c.drift.cause.empty()) found.push_back(std::move(c.drift));
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
