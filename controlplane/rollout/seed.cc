#include "controlplane/rollout/seed.h"

#include <algorithm>
#include <map>

#include "absl/strings/str_cat.h"
#include "controlplane/rollout/commits.h"
#include "controlplane/rollout/messages.h"
#include "controlplane/rollout/pace.h"
#include "controlplane/rollout/plan.h"
#include "controlplane/rollout/slice_cursor.h"
#include "store/events.h"
#include "store/locks.h"
#include "store/sessions.h"
#include "store/sites.h"
#include "store/slices.h"

namespace jetmon::rollout {
namespace {

// Of counts by bucket, those of the range's.
uint64_t Within(store::Range range, const std::map<uint32_t, uint64_t>& by_bucket) {
  uint64_t sum = 0;
  for (const auto& [bucket, count] : by_bucket) sum += range.Contains(bucket) ? count : 0;
  return sum;
}

uint64_t Sum(const std::map<uint32_t, uint64_t>& by_bucket) {
  uint64_t sum = 0;
  for (const auto& [bucket, count] : by_bucket) sum += count;
  return sum;
}

// Brings one slice of the range up to date; adds what it did.
absl::Status SeedSlice(sql::Transaction& tx, store::Range range, const store::Slice& slice,
                       const store::Actor& actor, v1::SeedResult* r, uint64_t* sites) {
  auto synced = store::SyncTargets(tx, slice, actor.now_ms);
  if (!synced.ok()) return synced.status();
  auto adopted = store::AdoptSlice(tx, slice, actor);
  if (!adopted.ok()) return adopted.status();
  // On a server v1 may have written between two statements.
  const uint64_t not_up = adopted->seems_down + adopted->down;
  const uint64_t active = std::max(synced->active, not_up);
  // What comes from another bucket of the range is not new in it.
  const uint64_t within = Within(range, synced->moved);
  const uint64_t inserted = synced->inserted + Sum(synced->moved) - within;
  const uint64_t changed = synced->changed + within;
  r->set_active_sites(r->active_sites() + active);
  r->set_legacy_up(r->legacy_up() + active - not_up);
  r->set_legacy_seems_down(r->legacy_seems_down() + adopted->seems_down);
  r->set_legacy_down(r->legacy_down() + adopted->down);
  r->set_targets_written(r->targets_written() + inserted + changed);
  r->set_targets_inserted(r->targets_inserted() + inserted);
  r->set_targets_changed(r->targets_changed() + changed);
  r->set_targets_removed(r->targets_removed() + synced->removed);
  r->set_adopted(r->adopted() + adopted->opened);
  r->set_promoted(r->promoted() + adopted->promoted);
  r->set_closed(r->closed() + adopted->closed);
  r->set_reopened(r->reopened() + adopted->reopened);
  r->set_gone(r->gone() + adopted->gone + Within(range, adopted->left));
  *sites += active;
  return absl::OkStatus();
}

// Says so if the counts before, and what was done, do not make the counts after.
void WarnUnlessItAddsUp(const v1::SeedResult& r, v1::OperationResponse* answer) {
  std::string wrong;
  if (r.targets_before() + r.targets_inserted() - r.targets_removed() != r.targets_after()) {
    wrong = absl::StrCat("targets: ", r.targets_before(), " + ", r.targets_inserted(), " - ",
                         r.targets_removed(), " is not ", r.targets_after());
  }
  if (r.open_events_before() + r.adopted() - r.closed() - r.gone() != r.open_events_after()) {
    absl::StrAppend(&wrong, wrong.empty() ? "" : "; ", "open incidents: ", r.open_events_before(),
                    " + ", r.adopted(), " - ", r.closed(), " - ", r.gone(), " is not ",
                    r.open_events_after());
  }
  if (wrong.empty()) return;
  *answer->add_warnings() =
      MakeFinding("counts_do_not_add_up",
                  absl::StrCat("something else changed targets or incidents of the range while "
                               "this ran (",
                               wrong, ")"),
                  "sites that moved between ranges do that; if there are none, look who writes; "
                  "run it again");
}

// One pass over a range.
class Pass {
 public:
  Pass(JobRun& run, uint64_t epoch, bool save)
      : run_(run),
        range_(run.job.range),
        epoch_(epoch),
        save_(save),
        pace_(run.parts.db->dialect(), run.options.seed_rows) {}

  absl::Status Run(v1::SeedResult* result, std::string* conflict) {
    if (auto s = Begin(result); !s.ok()) return s;
    while (!cursor_.AtEnd(range_) && !run_.stopping()) {
      Batch batch;
      const absl::Status s = run_.Write(commits::kSeedBatch, [&](sql::Transaction& tx) {
        batch = {};
        batch.began = Now();
        batch.after = cursor_;
        batch.result = *result;
        auto done = Do(tx, &batch);
        batch.held = Now() - batch.began;
        return done;
      });
      if (!s.ok()) return s;
      *conflict = batch.conflict;
      if (!conflict->empty()) return absl::OkStatus();
      *result = batch.result;
      cursor_ = batch.after;
      done_ += batch.sites;
      pace_.Rest(run_, batch.held);
    }
    return absl::OkStatus();
  }

 private:
  struct Batch {
    BootTime began;
    // Until COMMIT: after that SQLite still moves what was written into its file, and holds nobody
    // up.
    std::chrono::nanoseconds held{0};
    SliceCursor after;
    v1::SeedResult result;
    uint64_t sites = 0;
    std::string conflict;
  };

  BootTime Now() const { return run_.parts.clock->Boot(); }

  // From where the job was, or from the counts before. They are kept with the first batch: counting
  // may take long, which is no matter for a write transaction.
  absl::Status Begin(v1::SeedResult* result) {
    auto s = run_.parts.db->Read([&](sql::Transaction& tx) {
      auto ids = store::GetSiteIds(tx);
      if (ids.ok()) ids_ = *ids;
      return ids.status();
    });
    if (!s.ok()) return s;
    if (save_ && !run_.job.cursor.empty()) {
      auto cursor = SliceCursor::Read(run_.job.cursor);
      if (!cursor.ok()) return cursor.status();
      cursor_ = *cursor;
      done_ = run_.job.done;
      total_ = run_.job.total;
      if (run_.job.progress.empty() || result->ParseFromString(run_.job.progress)) {
        return absl::OkStatus();
      }
      return absl::InternalError("the job's progress can't be read");
    }
    return run_.parts.db->Read([&](sql::Transaction& tx) -> absl::Status {
      auto active = store::CountActiveSites(tx, range_);
      if (!active.ok()) return active.status();
      auto targets = store::CountTargets(tx, range_);
      if (!targets.ok()) return targets.status();
      auto open = store::CountOpenEvents(tx, range_);
      if (!open.ok()) return open.status();
      cursor_ = SliceCursor::First(range_, *active, ids_);
      total_ = *active;
      result->set_targets_before(*targets);
      result->set_open_events_before(*open);
      return absl::OkStatus();
    });
  }

  absl::Status Do(sql::Transaction& tx, Batch* batch) {
    if (save_) {
      auto cancelled = run_.IsCancelled(tx);
      if (!cancelled.ok()) return cancelled.status();
      if (*cancelled) {
        batch->conflict = kCancelledByOperator;
        return absl::OkStatus();
      }
    }
    store::Actor actor;
    actor.source = "rollout:seed";
    actor.epoch = epoch_;
    actor.instance = run_.options.instance;
    actor.dialect = run_.options.legacy.dialect;
    actor.now_ms = run_.parts.clock->WallMs();
    // Small buckets go together.
    do {
      auto s = Hold(tx, batch->after.Buckets(range_), batch);
      if (!s.ok() || !batch->conflict.empty()) return s;
      auto slice = batch->after.Next(tx, range_, ids_, pace_.rows());
      if (!slice.ok()) return slice.status();
      s = SeedSlice(tx, range_, *slice, actor, &batch->result, &batch->sites);
      if (!s.ok()) return s;
      batch->after = batch->after.Behind(*slice);
    } while (!batch->after.by_site && !batch->after.AtEnd(range_) &&
             batch->sites < pace_.rows() / 2 && Now() - batch->began < Pace::kHold / 2);
    if (!save_) return absl::OkStatus();
    auto saved = store::SaveJobProgress(tx, run_.lease, done_ + batch->sites, total_,
                                        batch->after.ToString(), batch->result.SerializeAsString());
    if (!saved.ok()) return saved.status();
    return *saved ? absl::OkStatus() : absl::CancelledError("the job is another worker's");
  }

  // Sees to it that the buckets stay whose they are until the batch is committed.
  absl::Status Hold(sql::Transaction& tx, store::Range buckets, Batch* batch) {
    auto held = store::HoldBuckets(tx, buckets, epoch_);
    if (!held.ok() || *held) return held.status();
    batch->conflict =
        absl::StrCat("a bucket of ", buckets.ToString(), " changed its owner meanwhile");
    return absl::OkStatus();
  }

  JobRun& run_;
  const store::Range range_;
  const uint64_t epoch_;
  const bool save_;
  Pace pace_;
  store::SiteIds ids_;
  SliceCursor cursor_;
  uint64_t done_ = 0, total_ = 0;
};

}  // namespace

absl::Status SeedPass(JobRun& run, uint64_t epoch, bool save, v1::SeedResult* result,
                      std::string* conflict) {
  return Pass(run, epoch, save).Run(result, conflict);
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
    auto open = store::CountOpenEvents(tx, run.job.range);
    if (!open.ok()) return open.status();
    result.set_targets_after(*targets);
    result.set_open_events_after(*open);
    return absl::OkStatus();
  });
  if (!s.ok()) return s;
  *answer.mutable_seed() = result;
  answer.set_status("ok");
  WarnUnlessItAddsUp(result, &answer);
  answer.set_summary(absl::StrCat(result.active_sites(), " sites: ", result.targets_inserted(),
                                  " targets added, ", result.targets_changed(), " changed, ",
                                  result.targets_removed(), " removed; ", result.adopted(),
                                  " incidents adopted, ", result.promoted(), " promoted, ",
                                  result.closed(), " closed, ", result.reopened(), " begun anew, ",
                                  result.gone(), " of sites that are gone; nobody was notified"));
  answer.set_next_action(final ? "plan activate-buckets"
                               : "stop v1 for the range, record v1_stopped, then final-reconcile");
  return run.Finish(
      store::job_state::kCompleted, answer.SerializeAsString(), "", [&](sql::Transaction& tx) {
        return run.Record(tx, final ? store::checkpoint::kFinalReconcile : store::checkpoint::kSeed,
                          "");
      });
}

}  // namespace jetmon::rollout
