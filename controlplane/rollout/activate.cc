#include "absl/strings/str_cat.h"
#include "controlplane/rollout/commits.h"
#include "controlplane/rollout/messages.h"
#include "controlplane/rollout/range_jobs.h"
#include "controlplane/rollout/seed.h"
#include "store/locks.h"
#include "store/sessions.h"
#include "store/sites.h"

namespace jetmon::rollout {
namespace {

namespace rs = store::range_state;

absl::StatusOr<store::RangeLock> LockOf(JobRun& run) {
  std::optional<store::RangeLock> lock;
  const absl::Status s = run.Write(commits::kActivateLook, [&](sql::Transaction& tx) {
    auto row = store::GetRangeLock(tx, run.job.epoch);
    if (row.ok()) lock = *row;
    return row.status();
  });
  if (!s.ok()) return s;
  if (!lock.has_value()) return absl::InternalError("the job's range lock is gone");
  return *lock;
}

absl::Status Complete(JobRun& run, const store::RangeLock& lock) {
  uint64_t sites = 0;
  const absl::Status s = run.parts.db->Read([&](sql::Transaction& tx) {
    auto counted = store::CountActiveSites(tx, lock.range);
    if (counted.ok()) sites = *counted;
    return counted.status();
  });
  if (!s.ok()) return s;
  v1::OperationResponse answer =
      Head(run.job.operation, run.job.run_id, run.job.range, lock.owner_host);
  v1::ActivateResult* result = answer.mutable_activate();
  result->set_active_sites(sites);
  for (const v1::Override& o : OverridesOf(lock.overrides)) result->add_overrides(o.code());
  result->set_epoch(lock.epoch);
  result->set_range_state(lock.state);
  result->set_owner_instance(lock.owner_instance);
  SetTime(result->mutable_granted_at(), lock.granted_at_ms);
  SetTime(result->mutable_acknowledged_at(), lock.acknowledged_at_ms);
  answer.set_status("ok");
  answer.set_summary(absl::StrCat(lock.owner_host, " acknowledged buckets ", lock.range.ToString(),
                                  " ", lock.acknowledged_at_ms - lock.granted_at_ms,
                                  " ms after the grant, epoch ", lock.epoch));
  answer.set_next_action("look at bucket-coverage, activity-check, projection-drift");
  return run.Finish(store::job_state::kCompleted, answer.SerializeAsString(), "",
                    [&](sql::Transaction& tx) {
                      return run.Record(tx, store::checkpoint::kActivated, lock.owner_host);
                    });
}

absl::Status Prepare(JobRun& run, const store::RangeLock& lock) {
  v1::SeedResult counts;
  std::string conflict;
  if (auto s = SeedPass(run, lock.epoch, /*save=*/false, &counts, &conflict); !s.ok()) return s;
  // A conflict, or one lost race: the loop reads the lock again and sees what it is now.
  if (!conflict.empty()) run.Pause(run.options.times.look);
  if (run.stopping() || !conflict.empty()) return absl::OkStatus();
  return run.Write(commits::kBeginActivating, [&](sql::Transaction& tx) {
    return store::BeginActivating(tx, lock.epoch, run.parts.clock->WallMs()).status();
  });
}

// The range drains like any other; its release job begins with it, and the lock names that job. If
// the condition does not hold any more, the lock says why.
absl::Status GiveUp(JobRun& run, uint64_t epoch) {
  return run.Write(commits::kGiveUp, [&](sql::Transaction& tx) -> absl::Status {
    const int64_t now = run.parts.clock->WallMs();
    const std::string release_id = NewJobId(now);
    auto given_up = store::GiveUpActivation(tx, epoch, release_id, now);
    if (!given_up.ok() || !*given_up) return given_up.status();
    auto lock = store::GetRangeLock(tx, epoch);
    if (!lock.ok()) return lock.status();
    if (!lock->has_value()) return absl::InternalError("the job's range lock is gone");
    store::Job release = JobForRange(**lock, run.job.consumer, now);
    release.job_id = release_id;
    release.key_id = run.job.key_id;
    return store::InsertJob(tx, release);
  });
}

}  // namespace

absl::Status ExecuteActivate(JobRun& run) {
  std::optional<BootTime> waiting_since;
  while (!run.stopping()) {
    auto lock = LockOf(run);
    if (!lock.ok()) return lock.status();
    if (lock->state == rs::kActive) return Complete(run, *lock);
    if (lock->state == rs::kPreparing) {
      if (auto s = Prepare(run, *lock); !s.ok()) return s;
      continue;
    }
    if (lock->state != rs::kActivating) {
      const std::string why =
          lock->gave_up ? absl::StrCat(lock->owner_host, " did not acknowledge within ",
                                       run.options.times.acknowledge_within.count() / 1000,
                                       " s; the range goes back to v1, see its release job")
                        : absl::StrCat("the range was released before ",
                                       lock->acknowledged_at_ms != 0
                                           ? "this job saw that it had been acknowledged"
                                           : "it was acknowledged",
                                       " (now ", lock->state, ")");
      return run.Finish(store::job_state::kFailed, "", why);
    }
    const BootTime now = run.parts.clock->Boot();
    if (!waiting_since.has_value()) waiting_since = now;
    if (now - *waiting_since >= run.options.times.acknowledge_within) {
      if (auto s = GiveUp(run, lock->epoch); !s.ok()) return s;
      continue;
    }
    run.Pause(run.options.times.look);
  }
  return absl::OkStatus();
}

}  // namespace jetmon::rollout
