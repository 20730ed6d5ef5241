#include "controlplane/rollout/seed.h"

#include <algorithm>
#include <map>
#include <unordered_map>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "controlplane/rollout/messages.h"
#include "controlplane/rollout/plan.h"
#include "store/events.h"
#include "store/locks.h"
#include "store/sessions.h"
#include "store/sites.h"

namespace jetmon::rollout {
namespace {

constexpr int kSitesABatch = 1000;
constexpr std::chrono::milliseconds kLongestPause{100};
constexpr char kCancelledByOperator[] = "cancelled by an operator";

// Where a pass is: the next bucket, and the last site of it that is done.
struct Cursor {
  uint32_t bucket = 0;
  uint64_t after = 0;
};

Cursor ReadCursor(const std::string& text, uint32_t first) {
  Cursor c{first, 0};
  const size_t colon = text.find(':');
  uint32_t bucket = 0;
  uint64_t after = 0;
  if (colon != std::string::npos && absl::SimpleAtoi(text.substr(0, colon), &bucket) &&
      absl::SimpleAtoi(text.substr(colon + 1), &after)) {
    c = {bucket, after};
  }
  return c;
}

void Count(store::Adoption adoption, v1::SeedResult* r) {
  switch (adoption) {
    case store::Adoption::kOpened:
      r->set_adopted(r->adopted() + 1);
      break;
    case store::Adoption::kPromoted:
      r->set_promoted(r->promoted() + 1);
      break;
    case store::Adoption::kClosed:
      r->set_closed(r->closed() + 1);
      break;
    case store::Adoption::kReopened:
      r->set_reopened(r->reopened() + 1);
      break;
    case store::Adoption::kNothing:
      break;
  }
}

// Targets of this page that are missing or stale are written, those without a site removed.
absl::Status SyncTargets(sql::Transaction& tx, uint32_t bucket, uint64_t after,
                         const std::vector<store::Site>& sites, bool last_page, int64_t now_ms,
                         v1::SeedResult* r) {
  std::unordered_map<uint64_t, std::string> known;
  const uint64_t upto = last_page || sites.empty() ? UINT64_MAX : sites.back().site_id;
  for (uint64_t from = after;;) {
    auto page = store::TargetsOfBucket(tx, bucket, from, kSitesABatch);
    if (!page.ok()) return page.status();
    for (const store::Target& t : *page) {
      if (t.site_id <= upto) known[t.site_id] = t.config_hash;
    }
    if (page->size() < static_cast<size_t>(kSitesABatch) || page->back().site_id >= upto) break;
    from = page->back().site_id;
  }
  std::vector<store::Target> write;
  for (const store::Site& site : sites) {
    auto at = known.find(site.site_id);
    store::Target target = store::TargetOf(site);
    if (at == known.end() || at->second != target.config_hash) write.push_back(std::move(target));
    if (at != known.end()) known.erase(at);
  }
  std::vector<uint64_t> gone;
  for (const auto& [site_id, hash] : known) gone.push_back(site_id);
  if (auto s = store::UpsertTargets(tx, write, now_ms); !s.ok()) return s;
  if (auto s = store::DeleteTargets(tx, gone); !s.ok()) return s;
  r->set_targets_written(r->targets_written() + write.size());
  r->set_targets_removed(r->targets_removed() + gone.size());
  return absl::OkStatus();
}

// Events whose site is not active in the bucket any more end silently.
absl::Status EndGoneEvents(sql::Transaction& tx, uint32_t bucket, store::Actor actor) {
  actor.project = false;
  auto events = store::OpenEventsOfBucket(tx, bucket);
  if (!events.ok()) return events.status();
  for (const store::Event& e : *events) {
    auto site = store::GetSite(tx, e.site_id);
    if (!site.ok()) return site.status();
    if (site->has_value() && (*site)->active && (*site)->bucket == bucket) continue;
    auto closed = store::CloseEvent(tx, e, store::transition::kSiteRemoved, "", "[]", actor);
    if (!closed.ok()) return closed.status();
  }
  return absl::OkStatus();
}

absl::StatusOr<uint64_t> CountOpen(sql::Transaction& tx, store::Range range) {
  uint64_t open = 0;
  for (uint32_t bucket = range.min; bucket <= range.max; ++bucket) {
    auto events = store::OpenEventsOfBucket(tx, bucket);
    if (!events.ok()) return events.status();
    open += events->size();
  }
  return open;
}

// The counts before.
absl::Status CountBefore(sql::Transaction& tx, store::Range range, v1::SeedResult* r,
                         uint64_t* total) {
  auto sites = store::CountSites(tx, range);
  if (!sites.ok()) return sites.status();
  auto targets = store::CountTargets(tx, range);
  if (!targets.ok()) return targets.status();
  auto open = CountOpen(tx, range);
  if (!open.ok()) return open.status();
  r->set_active_sites(sites->active);
  r->set_targets_before(*targets);
  r->set_open_events_before(*open);
  r->set_legacy_up(sites->up);
  r->set_legacy_seems_down(sites->seems_down + sites->other);
  r->set_legacy_down(sites->down);
  *total = sites->active;
  return absl::OkStatus();
}

}  // namespace

absl::Status SeedPass(JobRun& run, uint64_t epoch, bool save, v1::SeedResult* result,
                      std::string* conflict) {
  const store::Range range = run.job.range;
  Cursor cursor{range.min, 0};
  uint64_t done = 0, total = run.job.total;
  if (save) {
    cursor = ReadCursor(run.job.cursor, range.min);
    done = run.job.done;
    if (!run.job.progress.empty() && !result->ParseFromString(run.job.progress)) {
      return absl::InternalError("the job's progress can't be read");
    }
  }
  if (!save || run.job.cursor.empty()) {
    // Kept with the first batch. Counting may take long: not while others wait to write.
    const absl::Status s = run.parts.db->Read(
        [&](sql::Transaction& tx) { return CountBefore(tx, range, result, &total); });
    if (!s.ok()) return s;
  }
  while (cursor.bucket <= range.max && !run.stopping()) {
    const BootTime began = run.parts.clock->Boot();
    const int64_t now_ms = run.parts.clock->WallMs();
    v1::SeedResult next;
    Cursor after;
    size_t sites_done = 0;
    const absl::Status s = run.Write([&](sql::Transaction& tx) -> absl::Status {
      next = *result;
      conflict->clear();
      if (save) {
        auto row = store::GetJob(tx, run.job.job_id);
        if (!row.ok()) return row.status();
        if (row->has_value() && (*row)->cancel_requested) {
          *conflict = kCancelledByOperator;
          return absl::OkStatus();
        }
      }
      auto passed = store::FenceForSeed(tx, cursor.bucket, epoch);
      if (!passed.ok()) return passed.status();
      if (!*passed) {
        *conflict = absl::StrCat("bucket ", cursor.bucket, " changed its owner meanwhile");
        return absl::OkStatus();
      }
      auto sites = store::ActiveSitesOfBucket(tx, cursor.bucket, cursor.after, kSitesABatch);
      if (!sites.ok()) return sites.status();
      const bool last = sites->size() < static_cast<size_t>(kSitesABatch);
      auto synced = SyncTargets(tx, cursor.bucket, cursor.after, *sites, last, now_ms, &next);
      if (!synced.ok()) return synced;
      store::Actor actor;
      actor.source = "rollout:seed";
      actor.epoch = epoch;
      actor.instance = run.options.instance;
      actor.now_ms = now_ms;
      for (const store::Site& site : *sites) {
        auto adoption = store::AdoptSite(tx, site, actor);
        if (!adoption.ok()) return adoption.status();
        Count(*adoption, &next);
      }
      if (last) {
        if (auto ended = EndGoneEvents(tx, cursor.bucket, actor); !ended.ok()) return ended;
      }
      sites_done = sites->size();
      after = last ? Cursor{cursor.bucket + 1, 0} : Cursor{cursor.bucket, sites->back().site_id};
      if (!save) return absl::OkStatus();
      auto saved = store::SaveJobProgress(tx, run.lease, done + sites_done, total,
                                          absl::StrCat(after.bucket, ":", after.after),
                                          next.SerializeAsString());
      if (!saved.ok()) return saved.status();
      return *saved ? absl::OkStatus() : absl::CancelledError("the job is another worker's");
    });
    if (!s.ok()) return s;
    if (!conflict->empty()) return absl::OkStatus();
    *result = next;
    cursor = after;
    done += sites_done;
    // Others get the database for as long as this batch had it.
    const auto took =
        std::chrono::duration_cast<std::chrono::milliseconds>(run.parts.clock->Boot() - began);
    run.Pause(std::min(took, kLongestPause));
  }
  return absl::OkStatus();
}

absl::Status ExecuteSeed(JobRun& run) {
  v1::SeedResult result;
  std::string conflict;
  if (auto s = SeedPass(run, 0, /*save=*/true, &result, &conflict); !s.ok()) return s;
  if (run.stopping()) return absl::OkStatus();
  v1::OperationResponse answer =
      Head(run.job.operation, run.job.run_id, run.job.range, run.job.owner_host);
  if (conflict == kCancelledByOperator) {
    return run.Finish(store::job_state::kCancelled, "", conflict);
  }
  if (!conflict.empty()) {
    *answer.add_blockers() =
        MakeFinding("bucket_range_conflict", conflict, "look at the range's status, plan again");
    SetStatusByBlockers(&answer);
    return run.Finish(store::job_state::kBlocked, answer.SerializeAsString(), conflict);
  }
  const bool final = run.job.operation == OperationName(Operation::kFinalReconcile);
  absl::Status s = run.parts.db->Read([&](sql::Transaction& tx) -> absl::Status {
    auto targets = store::CountTargets(tx, run.job.range);
    if (!targets.ok()) return targets.status();
    auto open = CountOpen(tx, run.job.range);
    if (!open.ok()) return open.status();
    result.set_targets_after(*targets);
    result.set_open_events_after(*open);
    return absl::OkStatus();
  });
  if (!s.ok()) return s;
  *answer.mutable_seed() = result;
  answer.set_status("ok");
  answer.set_summary(absl::StrCat(result.active_sites(), " sites: ", result.targets_written(),
                                  " targets written, ", result.targets_removed(), " removed; ",
                                  result.adopted(), " incidents adopted, ", result.promoted(),
                                  " promoted, ", result.closed(), " closed, ", result.reopened(),
                                  " begun anew; nobody was notified"));
  answer.set_next_action(final ? "plan activate-buckets"
                               : "stop v1 for the range, record v1_stopped, then final-reconcile");
  return run.Finish(
      store::job_state::kCompleted, answer.SerializeAsString(), "", [&](sql::Transaction& tx) {
        return run.Record(tx, final ? store::checkpoint::kFinalReconcile : store::checkpoint::kSeed,
                          "");
      });
}

}  // namespace jetmon::rollout
