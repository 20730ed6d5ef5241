#include <algorithm>

#include "absl/strings/str_cat.h"
#include "controlplane/rollout/commits.h"
#include "controlplane/rollout/messages.h"
#include "controlplane/rollout/mute.h"
#include "controlplane/rollout/range_jobs.h"
#include "daemon/log.h"
#include "store/events.h"
#include "store/hosts.h"
#include "store/locks.h"
#include "store/notifications.h"
#include "store/parts.h"
#include "store/sessions.h"

namespace jetmon::rollout {
namespace {

namespace rs = store::range_state;

constexpr uint32_t kBucketsATransaction = 32;

// What leaves: a range, or a part of one that stays active.
struct View {
  store::RangeLock lock;
  bool muted = false;  // it does not leave yet: its owner tells nothing more, and checks on
  bool part = false;
  store::RangePart leaving;  // of a whole range: as its lock says
  store::LastWords owner;
};

store::RangePart WholeOf(const store::RangeLock& lock) {
  store::RangePart whole;
  whole.epoch = lock.epoch;
  whole.range = lock.range;
  whole.state = lock.state;
  whole.drained = lock.drained;
  whole.notifications_left = lock.notifications_left;
  whole.draining_at_ms = lock.draining_at_ms;
  whole.drained_at_ms = lock.drained_at_ms;
  whole.revoked_at_ms = lock.revoked_at_ms;
  whole.released_at_ms = lock.released_at_ms;
  return whole;
}

absl::Status LookIn(sql::Transaction& tx, const store::Job& job, View* view) {
  auto lock = store::GetRangeLock(tx, job.epoch);
  if (!lock.ok()) return lock.status();
  if (!lock->has_value()) return absl::InternalError("the job's range lock is gone");
  view->lock = **lock;
  // A range that is released whole keeps its buckets in its row; a part was, or will be, cut off.
  view->part = view->lock.range != job.range;
  view->muted = view->lock.state == rs::kActive && !view->lock.part.has_value() &&
                view->lock.mute.has_value() && view->lock.mute->range == job.range;
  if (!view->part || view->muted) {
    view->leaving = WholeOf(view->lock);
  } else {
    auto part = store::FindRangePart(tx, job.epoch, job.range);
    if (!part.ok()) return part.status();
    if (!part->has_value()) {
      return absl::InternalError(absl::StrCat("epoch ", job.epoch, " has no part ",
                                              job.range.ToString(), " that leaves it"));
    }
    view->leaving = **part;
  }
  auto owner = store::LastWordsOf(tx, view->lock.owner_instance);
  if (owner.ok()) view->owner = *owner;
  return owner.status();
}

absl::StatusOr<View> Look(JobRun& run) {
  View view;
  const absl::Status s = run.Write(commits::kReleaseLook, [&](sql::Transaction& tx) {
    view = View();
    return LookIn(tx, run.job, &view);
  });
  if (!s.ok()) return s;
  return view;
}

// The legacy columns say what the open incidents say, whoever wrote them: v1 goes on from there.
absl::Status ProjectAll(JobRun& run, const store::RangeLock& lock, uint64_t* written) {
  const store::Range range = run.job.range;
  for (uint32_t first = range.min; first <= range.max; first += kBucketsATransaction) {
    uint64_t n = 0;
    const absl::Status s = run.Write(commits::kProject, [&](sql::Transaction& tx) -> absl::Status {
      n = 0;
      const store::Actor actor = ReleasingActor(run.options, lock, run.parts.clock->WallMs());
      for (uint32_t b = first; b <= range.max && b < first + kBucketsATransaction; ++b) {
        auto projected = store::ProjectBucket(tx, b, actor);
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

// Told from the row, so that it holds whichever worker finds the buckets released.
std::string HowItEnded(const store::RangePart& leaving) {
  if (leaving.drained) return "drained";
  return leaving.revoked_at_ms != 0 ? "revoked" : "owner_dead";
}

absl::Status Complete(JobRun& run, const View& view, uint64_t projected, uint64_t cancelled) {
  const store::RangeLock& lock = view.lock;
  const store::RangePart& left = view.leaving;
  const std::string how = HowItEnded(left);
  v1::OperationResponse answer =
      Head(run.job.operation, run.job.run_id, run.job.range, lock.owner_host);
  v1::ReleaseResult* result = answer.mutable_release();
  result->set_epoch(lock.epoch);
  result->set_range_state(left.state);
  result->set_drained(left.drained);
  result->set_v1_may_start(true);
  result->set_notifications_left(left.notifications_left);
  result->set_projected(projected);
  result->set_how(how);
  SetTime(result->mutable_draining_at(), left.draining_at_ms);
  if (left.drained_at_ms != 0) SetTime(result->mutable_drained_at(), left.drained_at_ms);
  SetTime(result->mutable_released_at(), left.released_at_ms);
  std::string kept;
  if (view.part) {
    result->set_part(true);
    if (lock.state != rs::kReleased) {
      result->set_kept_bucket_min(lock.range.min);
      result->set_kept_bucket_max(lock.range.max);
      kept = absl::StrCat("; ", lock.owner_host, " keeps ", lock.range.ToString());
    }
  }
  if (cancelled > 0) {
    absl::StrAppend(&kept, "; ", cancelled, " outages that nobody was told of are v1's to tell");
  }
  answer.set_status("ok");
  answer.set_summary(absl::StrCat("buckets ", left.range.ToString(), " are v1's again (", how, ", ",
                                  left.released_at_ms - left.draining_at_ms,
                                  " ms after the release began); v1 may be started", kept));
  answer.set_next_action(view.part
                             ? absl::StrCat("record the checkpoint v1_started for buckets ",
                                            left.range.ToString(), ", then start v1 for them")
                             : "record the checkpoint v1_started, then start v1 for the range");
  return run.Finish(store::job_state::kCompleted, answer.SerializeAsString(), "",
                    [&](sql::Transaction& tx) {
                      return run.Record(tx, store::checkpoint::kReleased, lock.owner_host);
                    });
}

// When an owner that renews no more has ended. One that was started with longer checks than this
// control plane counts with is given the time that these take.
std::chrono::milliseconds GraceOf(const JobRun& run, const View& view) {
  const auto longest = DeadlineBudget::Announced(view.owner.longest_check_ms).check();
  const auto beyond = longest - run.options.times.budget.check();
  return run.options.times.grace + std::max(beyond, std::chrono::milliseconds(0));
}

// Its part was revoked so long ago that it has read of it, or has ended.
bool PartIsOver(const JobRun& run, const View& view, const std::optional<BootTime>& revoked_since) {
  return view.part && revoked_since.has_value() &&
         run.parts.clock->Boot() - *revoked_since >= GraceOf(run, view);
}

// The Monitor said that it is done; or it is dead: its lease was seen unrenewed for a grace, or it
// said goodbye, and who says that had stopped sending before. Of a revoked part, whose owner goes
// on renewing for the rest: it did so only after it had read of it, and a grace is over for whoever
// had not.
bool MayFree(const JobRun& run, const View& view, const std::optional<BootTime>& revoked_since) {
  if (view.leaving.drained || view.owner.goodbye) return true;
  if (PartIsOver(run, view, revoked_since)) return true;
  const auto sight = run.observer.Lease(view.lock.epoch);
  return sight.has_value() && sight->unchanged >= GraceOf(run, view) &&
         sight->seq == view.lock.lease_seq;
}

absl::StatusOr<bool> FreePart(sql::Transaction& tx, const JobRun& run, const View& seen,
                              const std::optional<BootTime>& revoked_since, int64_t now_ms) {
  const std::string& job_id = seen.leaving.job_id;
  if (seen.leaving.drained && seen.leaving.state == rs::kDraining) {
    return store::FreePartDrained(tx, job_id, now_ms);
  }
  if (PartIsOver(run, seen, revoked_since)) return store::FreePartRevoked(tx, job_id, now_ms);
  return store::FreePartDead(tx, job_id, seen.lock.lease_seq, now_ms);
}

absl::StatusOr<bool> FreeWhole(sql::Transaction& tx, const store::RangeLock& seen, int64_t now_ms) {
  if (seen.drained && seen.state == rs::kDraining) {
    return store::FreeDrained(tx, seen.epoch, now_ms);
  }
  return store::FreeDead(tx, seen.epoch, seen.lease_seq, now_ms);
}

// Conditional on what was seen; if that does not hold any more, the lock is read again. Who is dead
// may have written until just now: its incidents are projected in the transaction that shuts it
// out.
absl::Status Free(JobRun& run, const View& seen, const std::optional<BootTime>& revoked_since,
                  uint64_t* projected) {
  uint64_t last = 0;
  const auto body = [&](sql::Transaction& tx) -> absl::Status {
    last = 0;
    const store::Actor actor = ReleasingActor(run.options, seen.lock, run.parts.clock->WallMs());
    auto freed = seen.part ? FreePart(tx, run, seen, revoked_since, actor.now_ms)
                           : FreeWhole(tx, seen.lock, actor.now_ms);
    if (!freed.ok() || !*freed) return freed.status();
    // v1 tells what nobody was told of.
    if (auto left = store::CancelQueued(tx, seen.leaving.range); !left.ok()) return left.status();
    if (seen.leaving.drained) return absl::OkStatus();
    const store::Range range = seen.leaving.range;
    for (uint32_t bucket = range.min; bucket <= range.max; ++bucket) {
      auto written = store::ProjectBucket(tx, bucket, actor);
      if (!written.ok()) return written.status();
      last += *written;
    }
    return absl::OkStatus();
  };
  const absl::Status s = run.Write(seen.part ? commits::kFreePart : commits::kFree, body);
  if (s.ok()) *projected += last;
  return s;
}

absl::Status Revoke(JobRun& run, const View& view) {
  LogWarning(absl::StrCat(run.job.job_id, ": ", view.lock.owner_host,
                          " renews but does not drain; ",
                          view.part ? "the part is revoked" : "the range is revoked"));
  return run.Write(view.part ? commits::kRevokePart : commits::kRevoke, [&](sql::Transaction& tx) {
    const int64_t now = run.parts.clock->WallMs();
    return view.part ? store::RevokePart(tx, view.leaving.job_id, now).status()
                     : store::RevokeRange(tx, view.lock.epoch, now).status();
  });
}

}  // namespace

store::Actor ReleasingActor(const Options& options, const store::RangeLock& lock, int64_t now_ms) {
  store::Actor actor;
  actor.source = "rollout:release";
  actor.epoch = lock.epoch;
  actor.instance = options.instance;
  actor.dialect = lock.dialect;
  // A range of an older build goes back to v1 in v1's own words.
  actor.hand_to_v1 = lock.dialect != store::LegacyDialect::kV1 &&
                     options.legacy.dialect == store::LegacyDialect::kV1;
  actor.echo_ms = options.legacy.receiver_delay.count();
  actor.now_ms = now_ms;
  return actor;
}

absl::Status ExecuteRelease(JobRun& run) {
  std::optional<BootTime> draining_since, revoked_since;
  uint64_t projected = 0;
  MutePhase mute(run);
  while (!run.stopping()) {
    auto view = Look(run);
    if (!view.ok()) return view.status();
    if (view->muted) {
      auto over = mute.Turn(view->lock);
      if (!over.ok()) return over.status();
      if (!*over) run.Pause(run.options.times.look);
      continue;
    }
    const std::string& state = view->leaving.state;
    if (state == rs::kReleased) return Complete(run, *view, projected, mute.cancelled());
    if (state != rs::kDraining && state != rs::kRevoked) {
      return absl::InternalError(absl::StrCat("the range is ", state, ", not draining"));
    }
    const BootTime now = run.parts.clock->Boot();
    if (!draining_since.has_value()) draining_since = now;
    if (state == rs::kRevoked && !revoked_since.has_value()) revoked_since = now;
    if (MayFree(run, *view, revoked_since)) {
      if (auto s = ProjectAll(run, view->lock, &projected); !s.ok()) return s;
      if (auto s = Free(run, *view, revoked_since, &projected); !s.ok()) return s;
      continue;
    }
    if (state == rs::kDraining && now - *draining_since >= run.options.times.drain_within) {
      if (auto s = Revoke(run, *view); !s.ok()) return s;
      continue;
    }
    run.Pause(run.options.times.look);
  }
  return absl::OkStatus();
}

}  // namespace jetmon::rollout
