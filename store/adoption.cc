// Taking v1's view of a site over.
#include "store/adoption.h"

#include <algorithm>
#include <map>
#include <unordered_map>
#include <utility>

#include "absl/strings/str_cat.h"
#include "store/event_rows.h"
#include "store/site_rows.h"
#include "store/tells.h"

namespace jetmon::store {
namespace {

// v1's word as a severity. What is no word of v1's counts as Seems Down in dialect jetmon2: it will
// be checked.
Severity SeverityOf(LegacyDialect dialect, int site_status) {
  switch (MeaningOf(dialect, site_status)) {
    case LegacyMeaning::kUp:
      return Severity::kUp;
    case LegacyMeaning::kToldDown:
      return Severity::kDown;
    default:
      return Severity::kSeemsDown;
  }
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
  e.severity = SeverityOf(actor.dialect, site.site_status);
  e.source = actor.source;
  e.started_at_ms = ChangedAt(site, actor);
  e.dialect = actor.dialect;
  if (e.severity == Severity::kDown) {
    e.notified = kAdoptedDown;
    e.confirmed_at_ms = e.started_at_ms;
    if (actor.dialect == LegacyDialect::kV1) e.told_at_ms = e.started_at_ms;
  }
  e.projected_status = site.site_status;
  e.projected_change = site.last_status_change;
  return e;
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

// Dialect v1: nobody is told of it any more.
absl::Status CancelUntold(sql::Transaction& tx, const Event& e) {
  const bool queued = e.dialect == LegacyDialect::kV1 && e.notified == 1 && e.told_at_ms == 0;
  return queued ? CancelQueuedDown(tx, e.event_id) : absl::OkStatus();
}

absl::Status EndSilently(sql::Transaction& tx, const Event& seen, const char* reason,
                         const Site& site, const Actor& actor) {
  Event after = seen;
  after.severity = Severity::kUp;
  after.ended_at_ms = actor.now_ms;
  after.end_reason = reason;
  if (auto s = CancelUntold(tx, seen); !s.ok()) return s;
  return ChangeSilently(tx, seen, after, std::nullopt, reason, site, actor);
}

// Have the site's columns changed since we wrote them, or took them over, for this event?
bool V1HasSpoken(const Event& e, const Site& site) {
  return e.projected_status != site.site_status || e.projected_change != site.last_status_change;
}

// Has v1 begun an incident after this one?
bool V1BeganNewer(const Event& e, const Site& site) {
  if (!V1HasSpoken(e, site)) return false;
  if (e.severity == Severity::kDown &&
      MeaningOf(LegacyDialect::kJetmon2, site.site_status) != LegacyMeaning::kToldDown) {
    return site.site_status == kStatusDown;
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
  if (actor.dialect == LegacyDialect::kV1) after.told_at_ms = after.confirmed_at_ms;
  after.projected_status = site.site_status;
  after.projected_change = site.last_status_change;
  return after;
}

absl::Status TakeOver(sql::Transaction& tx, const Site& site, const Event& open, const char* reason,
                      bool anew, const Actor& actor) {
  auto s = EndSilently(tx, open, reason, site, actor);
  return s.ok() && anew ? OpenAdopted(tx, site, actor) : s;
}

absl::Status KeepAs(sql::Transaction& tx, const Site& site, const Event& open, const Actor& actor) {
  if (!V1HasSpoken(open, site)) return absl::OkStatus();
  return StoreProjected(tx, open, site.site_status, site.last_status_change, AdopterOf(actor));
}

absl::Status Promote(sql::Transaction& tx, const Site& site, const Event& open,
                     const Actor& actor) {
  if (auto s = CancelUntold(tx, open); !s.ok()) return s;
  return ChangeSilently(tx, open, Promoted(open, site, actor), AdopterOf(actor),
                        transition::kPromoted, site, actor);
}

struct Step {
  Adopted adopted;
  absl::Status status;
};

// A site that has an open event, by the rules of dialect jetmon2.
Step AdoptAsJetmon2(sql::Transaction& tx, const Site& site, const Event& open, const Actor& actor) {
  const Severity v1 = SeverityOf(actor.dialect, site.site_status);
  if (v1 == Severity::kUp) {
    return {Adopted::kClosed, TakeOver(tx, site, open, transition::kV1Recovered, false, actor)};
  }
  if (open.bucket == site.bucket && v1 > open.severity) {
    return {Adopted::kPromoted, Promote(tx, site, open, actor)};
  }
  if (open.bucket != site.bucket || V1BeganNewer(open, site)) {
    return {Adopted::kReopened, TakeOver(tx, site, open, transition::kSuperseded, true, actor)};
  }
  return {Adopted::kNothing, KeepAs(tx, site, open, actor)};
}

// The same by those of dialect v1. An event of the other dialect, of an older build or before a
// change of the flag, does not say when it was told: it makes way for one that does.
Step AdoptAsV1(sql::Transaction& tx, const Site& site, const Event& open, const Actor& actor) {
  const bool told = open.told_at_ms != 0;
  const bool left = open.bucket != site.bucket || open.dialect != LegacyDialect::kV1;
  switch (MeaningOf(LegacyDialect::kV1, site.site_status)) {
    case LegacyMeaning::kUp:
      return {Adopted::kClosed, TakeOver(tx, site, open, transition::kV1Recovered, false, actor)};
    case LegacyMeaning::kToldDown:
      if (left) {
        return {Adopted::kReopened, TakeOver(tx, site, open, transition::kSuperseded, true, actor)};
      }
      if (!told) return {Adopted::kPromoted, Promote(tx, site, open, actor)};
      return {Adopted::kNothing, KeepAs(tx, site, open, actor)};
    default:
      if (left) {
        return {Adopted::kClosed, TakeOver(tx, site, open, transition::kSuperseded, false, actor)};
      }
      return {Adopted::kNothing, KeepAs(tx, site, open, actor)};
  }
}

// Counts what became of a site of the slice that had an event open in `bucket`.
void Count(Adopted adoption, uint32_t bucket, const Slice& slice, AdoptionCounts* counts) {
  const bool here = slice.buckets.Contains(bucket);
  switch (adoption) {
    case Adopted::kPromoted:
      ++counts->promoted;
      break;
    case Adopted::kClosed:
      ++(here ? counts->closed : counts->left[bucket]);
      break;
    case Adopted::kReopened:
      ++(here ? counts->reopened : counts->opened);
      if (!here) ++counts->left[bucket];
      break;
    case Adopted::kNothing:
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

absl::Status OpenAdopted(sql::Transaction& tx, const Site& site, const Actor& actor) {
  Event e = AdoptedEvent(site, actor);
  return InsertEvent(tx, &e, transition::kAdopted, WordOf(site), actor, AdopterOf(actor));
}

absl::StatusOr<Adopted> AdoptOpen(sql::Transaction& tx, const Site& site, const Event& open,
                                  const Actor& actor) {
  const Step step = actor.dialect == LegacyDialect::kV1 ? AdoptAsV1(tx, site, open, actor)
                                                        : AdoptAsJetmon2(tx, site, open, actor);
  if (!step.status.ok()) return step.status;
  return step.adopted;
}

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
    const LegacyMeaning said = MeaningOf(actor.dialect, site.site_status);
    const bool told = said == LegacyMeaning::kToldDown;
    // In dialect v1 what is no word of v1's begins nothing: it proves nothing.
    const bool begins = told || (said != LegacyMeaning::kUp && actor.dialect != LegacyDialect::kV1);
    if (told) ++counts.down;
    if (begins && !told) ++counts.seems_down;
    const auto at = open.find(site.site_id);
    if (at != open.end()) {
      auto adoption = AdoptOpen(tx, site, at->second, actor);
      if (!adoption.ok()) return adoption.status();
      Count(*adoption, at->second.bucket, slice, &counts);
    } else if (begins) {
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

}  // namespace jetmon::store
