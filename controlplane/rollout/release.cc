#include "absl/strings/str_cat.h"
#include "controlplane/rollout/commits.h"
#include "controlplane/rollout/messages.h"
#include "controlplane/rollout/range_jobs.h"
#include "daemon/log.h"
#include "store/events.h"
#include "store/hosts.h"
#include "store/locks.h"
#include "store/sessions.h"

namespace jetmon::rollout {
namespace {

namespace rs = store::range_state;

constexpr uint32_t kBucketsATransaction = 32;

struct View {
  store::RangeLock lock;
  bool owner_said_goodbye = false;
};

absl::StatusOr<View> Look(JobRun& run) {
  std::optional<store::RangeLock> lock;
  bool goodbye = false;
  const absl::Status s =
      run.Write(commits::kReleaseLook, [&](sql::Transaction& tx) -> absl::Status {
        auto row = store::GetRangeLock(tx, run.job.epoch);
        if (!row.ok()) return row.status();
        lock = *row;
        if (!lock.has_value()) return absl::OkStatus();
        auto said = store::SaidGoodbye(tx, lock->owner_instance);
        if (said.ok()) goodbye = *said;
        return said.status();
      });
  if (!s.ok()) return s;
  if (!lock.has_value()) return absl::InternalError("the job's range lock is gone");
  return View{*lock, goodbye};
}

// The legacy columns say what the open incidents say, whoever wrote them: v1 goes on from there.
absl::Status ProjectAll(JobRun& run, uint64_t* written) {
  const store::Range range = run.job.range;
  for (uint32_t first = range.min; first <= range.max; first += kBucketsATransaction) {
    uint64_t n = 0;
    const absl::Status s = run.Write(commits::kProject, [&](sql::Transaction& tx) -> absl::Status {
      n = 0;
      for (uint32_t b = first; b <= range.max && b < first + kBucketsATransaction; ++b) {
        auto projected = store::ProjectBucket(tx, b, run.parts.clock->WallMs());
        if (!projected.ok()) return projected.status();
        n += *projected;
      }
      return absl::OkStatus();
    });
    if (!s.ok()) return s;
    *written += n;
  }
  return absl::OkStatus();
}

// Told from the row, so that it holds whichever worker finds the range released.
std::string HowItEnded(const store::RangeLock& lock) {
  if (lock.drained) return "drained";
  return lock.revoked_at_ms != 0 ? "revoked" : "owner_dead";
}

absl::Status Complete(JobRun& run, const store::RangeLock& lock, uint64_t projected) {
  const std::string how = HowItEnded(lock);
  v1::OperationResponse answer =
      Head(run.job.operation, run.job.run_id, run.job.range, lock.owner_host);
  v1::ReleaseResult* result = answer.mutable_release();
  result->set_epoch(lock.epoch);
  result->set_range_state(lock.state);
  result->set_drained(lock.drained);
  result->set_v1_may_start(true);
  result->set_notifications_left(lock.notifications_left);
  result->set_projected(projected);
  result->set_how(how);
  SetTime(result->mutable_draining_at(), lock.draining_at_ms);
  if (lock.drained_at_ms != 0) SetTime(result->mutable_drained_at(), lock.drained_at_ms);
  SetTime(result->mutable_released_at(), lock.released_at_ms);
  answer.set_status("ok");
  answer.set_summary(absl::StrCat("buckets ", lock.range.ToString(), " are v1's again (", how, ", ",
                                  lock.released_at_ms - lock.draining_at_ms,
                                  " ms after the release began); v1 may be started"));
  answer.set_next_action("record the checkpoint v1_started, then start v1 for the range");
  return run.Finish(store::job_state::kCompleted, answer.SerializeAsString(), "",
                    [&](sql::Transaction& tx) {
                      return run.Record(tx, store::checkpoint::kReleased, lock.owner_host);
                    });
}

// The Monitor said that it is done; or it is dead: its lease was seen unrenewed for a grace, or it
// said goodbye, and who says that had stopped sending before.
bool MayFree(const JobRun& run, const View& view) {
  if (view.lock.drained || view.owner_said_goodbye) return true;
  const auto sight = run.observer.Lease(view.lock.epoch);
  return run.observer.Dead(sight) && sight->seq == view.lock.lease_seq;
}

// Conditional on what was seen; if that does not hold any more, the lock is read again. Who is dead
// may have written until just now: its incidents are projected in the transaction that shuts it
// out.
absl::Status Free(JobRun& run, const store::RangeLock& seen, uint64_t* projected) {
  uint64_t last = 0;
  const absl::Status s = run.Write(commits::kFree, [&](sql::Transaction& tx) -> absl::Status {
    last = 0;
    const int64_t now = run.parts.clock->WallMs();
    if (seen.drained && seen.state == rs::kDraining) {
      return store::FreeDrained(tx, seen.epoch, now).status();
    }
    auto freed = store::FreeDead(tx, seen.epoch, seen.lease_seq, now);
    if (!freed.ok() || !*freed) return freed.status();
    for (uint32_t bucket = seen.range.min; bucket <= seen.range.max; ++bucket) {
      auto written = store::ProjectBucket(tx, bucket, now);
      if (!written.ok()) return written.status();
      last += *written;
    }
    return absl::OkStatus();
  });
  if (s.ok()) *projected += last;
  return s;
}

}  // namespace

absl::Status ExecuteRelease(JobRun& run) {
  std::optional<BootTime> draining_since;
  uint64_t projected = 0;
  while (!run.stopping()) {
    auto view = Look(run);
    if (!view.ok()) return view.status();
    const store::RangeLock& lock = view->lock;
    if (lock.state == rs::kReleased) return Complete(run, lock, projected);
    if (lock.state != rs::kDraining && lock.state != rs::kRevoked) {
      return absl::InternalError(absl::StrCat("the range is ", lock.state, ", not draining"));
    }
    if (MayFree(run, *view)) {
      if (auto s = ProjectAll(run, &projected); !s.ok()) return s;
      if (auto s = Free(run, lock, &projected); !s.ok()) return s;
      continue;
    }
    const BootTime now = run.parts.clock->Boot();
    if (!draining_since.has_value()) draining_since = now;
    if (lock.state == rs::kDraining && now - *draining_since >= run.options.times.drain_within) {
      LogWarning(absl::StrCat(run.job.job_id, ": ", lock.owner_host,
                              " renews but does not drain; the range is revoked"));
      auto s = run.Write(commits::kRevoke, [&](sql::Transaction& tx) {
        return store::RevokeRange(tx, lock.epoch, run.parts.clock->WallMs()).status();
      });
      if (!s.ok()) return s;
      continue;
    }
    run.Pause(run.options.times.look);
  }
  return absl::OkStatus();
}

}  // namespace jetmon::rollout
