#include "controlplane/rollout/gates.h"

#include <algorithm>
#include <map>

#include "absl/strings/str_cat.h"
#include "controlplane/rollout/messages.h"
#include "store/activity.h"
#include "store/events.h"
#include "store/locks.h"

namespace jetmon::rollout {
namespace {

namespace rs = store::range_state;

constexpr int kMostRows = 100;
// Every site could have been checked once by then: 60 s, and what a check may be late.
constexpr int64_t kFirstRoundMs = 66'000;
// A bucket's summary is written every 5 s; older than this its Monitor has fallen silent.
constexpr int64_t kSummarySilentMs = 20'000;

void AddGap(const store::BucketLock& b, v1::CoverageResult* result) {
  const int last = result->gaps_size() - 1;
  if (last >= 0) {
    v1::BucketRun* run = result->mutable_gaps(last);
    if (run->bucket_max() + 1 == b.bucket && run->pool() == b.pool &&
        run->owner_host() == b.owner_host && run->state() == b.state && run->epoch() == b.epoch) {
      run->set_bucket_max(b.bucket);
      return;
    }
  }
  v1::BucketRun* run = result->add_gaps();
  run->set_bucket_min(b.bucket);
  run->set_bucket_max(b.bucket);
  run->set_pool(b.pool);
  run->set_owner_host(b.owner_host);
  run->set_state(b.state);
  run->set_epoch(b.epoch);
}

}  // namespace

absl::Status CoverageGate(sql::Transaction& tx, const Observer& observer, store::Range range,
                          std::string owner_host, v1::OperationResponse* answer) {
  auto buckets = store::ListBuckets(tx, range);
  if (!buckets.ok()) return buckets.status();
  v1::CoverageResult* result = answer->mutable_coverage();
  result->set_buckets(range.size());
  if (owner_host.empty()) {
    for (const auto& b : *buckets) {
      if (owner_host.empty()) owner_host = b.owner_host;
    }
  }
  answer->set_owner_host(owner_host);
  std::map<uint64_t, bool> epochs;
  for (const store::BucketLock& b : *buckets) {
    if (b.state == rs::kActive && b.owner_host == owner_host && !owner_host.empty()) {
      result->set_covered(result->covered() + 1);
      epochs[b.epoch] = true;
    } else {
      AddGap(b, result);
    }
  }
  if (result->covered() < range.size()) {
    *answer->add_blockers() = MakeFinding(
        "coverage_gap",
        absl::StrCat(range.size() - result->covered(), " of ", range.size(),
                     " buckets are not active under ", owner_host.empty() ? "anybody" : owner_host),
        "see gaps: who holds the rest");
  }
  for (const auto& [epoch, ignored] : epochs) {
    if (!observer.Dead(observer.Lease(epoch))) continue;
    result->set_owner_dead(true);
    *answer->add_blockers() = MakeFinding(
        "owner_unavailable",
        absl::StrCat("the lease of epoch ", epoch, " was not renewed for 30 s: ", owner_host,
                     " is dead, nobody checks its sites"),
        "restart the Monitor, or release the range");
  }
  SetStatusByBlockers(answer);
  answer->set_summary(absl::StrCat(result->covered(), " of ", range.size(),
                                   " buckets are active under ",
                                   owner_host.empty() ? "nobody" : owner_host));
  return absl::OkStatus();
}

absl::Status ActivityGate(sql::Transaction& tx, store::Range range, int64_t since_ms,
                          int64_t now_ms, v1::OperationResponse* answer) {
  auto buckets = store::ListBuckets(tx, range);
  if (!buckets.ok()) return buckets.status();
  auto rows = store::ListActivity(tx, range);
  if (!rows.ok()) return rows.status();
  auto locks = store::ListHeldRanges(tx);
  if (!locks.ok()) return locks.status();
  int64_t acknowledged = 0;
  for (const auto& l : *locks) {
    if (l.range.Overlaps(range)) acknowledged = std::max(acknowledged, l.acknowledged_at_ms);
  }
  std::map<uint32_t, const store::BucketActivity*> by_bucket;
  for (const auto& a : *rows) by_bucket[a.bucket] = &a;
  v1::ActivityResult* result = answer->mutable_activity();
  const int64_t since = std::max(since_ms, acknowledged);
  SetTime(result->mutable_since(), since);
  if (acknowledged != 0) SetTime(result->mutable_acknowledged_at(), acknowledged);
  uint64_t silent = 0, not_active = 0;
  int64_t oldest = now_ms, first = 0;
  bool some_never = false;
  for (const store::BucketLock& b : *buckets) {
    auto at = by_bucket.find(b.bucket);
    const bool active = b.state == rs::kActive;
    const bool reported = at != by_bucket.end() && at->second->epoch == b.epoch &&
                          now_ms - at->second->updated_at_ms <= kSummarySilentMs;
    not_active += active ? 0 : 1;
    silent += active && !reported ? 1 : 0;
    const bool late = reported && (at->second->late > 0 || at->second->checked < at->second->sites);
    if ((!active || !reported || late) && result->buckets_size() < kMostRows) {
      v1::BucketActivity* row = result->add_buckets();
      row->set_bucket(b.bucket);
      if (reported) {
        row->set_sites(at->second->sites);
        row->set_checked(at->second->checked);
        row->set_late(at->second->late);
      }
    }
    if (!active || !reported) continue;
    const store::BucketActivity& a = *at->second;
    result->set_sites(result->sites() + a.sites);
    result->set_checked(result->checked() + a.checked);
    result->set_late(result->late() + a.late);
    result->set_not_available(result->not_available() + a.not_available);
    if (a.oldest_check_ms == 0 && a.sites > 0) some_never = true;
    if (a.oldest_check_ms != 0) oldest = std::min(oldest, a.oldest_check_ms);
    if (a.first_check_ms != 0 && (first == 0 || a.first_check_ms < first)) first = a.first_check_ms;
  }
  if (!some_never) result->set_oldest_check_s(static_cast<double>(now_ms - oldest) / 1000);
  if (first != 0) SetTime(result->mutable_first_check_at(), first);
  const bool young = acknowledged != 0 && now_ms - acknowledged < kFirstRoundMs;
  if (not_active > 0) {
    *answer->add_blockers() = MakeFinding(
        "coverage_gap", absl::StrCat(not_active, " buckets are not active"), "see bucket-coverage");
  } else if (silent > 0 || result->checked() < result->sites()) {
    *answer->add_blockers() =
        MakeFinding(young        ? "not_yet_due"
                    : silent > 0 ? "activity_missing"
                                 : "sites_late",
                    absl::StrCat(result->checked(), " of ", result->sites(),
                                 " sites were checked since the acknowledgement; ", silent,
                                 " buckets have no fresh summary"),
                    young ? "ask again: not every site could have been checked once"
                          : "look at the Monitor's health");
  }
  if (result->late() > 0) {
    *answer->add_blockers() =
        MakeFinding("sites_late", absl::StrCat(result->late(), " sites are late"),
                    "look at the Monitor's health: backlog, oldest due, warnings");
  }
  SetStatusByBlockers(answer);
  answer->set_summary(absl::StrCat(result->checked(), " of ", result->sites(),
                                   " sites checked since the acknowledgement, ", result->late(),
                                   " late"));
  return absl::OkStatus();
}

absl::Status DriftGate(sql::Transaction& tx, store::Range range, v1::OperationResponse* answer) {
  auto report = store::FindDrift(tx, range, kMostRows);
  if (!report.ok()) return report.status();
  v1::DriftResult* result = answer->mutable_drift();
  result->set_count(report->count);
  for (const auto& g : report->groups) {
    v1::DriftGroup* group = result->add_groups();
    group->set_bucket(g.bucket);
    group->set_cause(g.cause);
    group->set_count(g.count);
  }
  for (const auto& d : report->rows) {
    v1::DriftRow* row = result->add_rows();
    row->set_site_id(d.site_id);
    row->set_bucket(d.bucket);
    row->set_site_status(d.site_status);
    row->set_expected_status(d.expected_status);
    row->set_event_id(d.event_id);
    row->set_cause(d.cause);
  }
  if (report->count > 0) {
    *answer->add_blockers() = MakeFinding(
        "drift_found", absl::StrCat(report->count, " sites differ from what their open events say"),
        "see the groups by bucket and cause");
  }
  SetStatusByBlockers(answer);
  answer->set_summary(absl::StrCat(report->count, " sites drift"));
  return absl::OkStatus();
}

}  // namespace jetmon::rollout
