#ifndef JETMON_CONTROLPLANE_ROLLOUT_MUTE_H_
#define JETMON_CONTROLPLANE_ROLLOUT_MUTE_H_

#include <optional>

#include "controlplane/rollout/job_runner.h"
#include "store/locks.h"

namespace jetmon::rollout {

// The first part of a release in dialect v1. The owner tells nothing more, and checks on: none of
// the waits here leaves a site unchecked. In order:
//
//   1. what is queued is cancelled: v1 finds those sites as nobody was told of them, and tells;
//   2. what has passed its commit point is delivered. What is not after LegacyTimes::deliver_within
//      nobody knows the end of: the job is shown as blocked (notifications_undecided), until the
//      last is delivered after all, or an operator says of it what came of it (decisions.cc);
//   3. the receiver has its delay to write what it was told, by us or by v1 before;
//   4. what it wrote over a newer word of ours is rewritten;
//   5. the replicas that v1 reads have their lag to show the last write.
//
// Then the range drains. All of it may be done again by another worker, which begins anew.
class MutePhase {
 public:
  explicit MutePhase(JobRun& run) : run_(run) {}

  // One look at the muted range. True: it drains now, or has changed meanwhile.
  absl::StatusOr<bool> Turn(const store::RangeLock& lock);
  // Tells that were cancelled, by this worker.
  uint64_t cancelled() const { return cancelled_; }

 private:
  absl::Status Cancel();
  absl::StatusOr<uint64_t> CountSending();
  // What the job shows while it waits for an operator: `sending` notifications. 0: it does not.
  absl::Status ShowUndecided(const store::RangeLock& lock, uint64_t sending);
  // What is being sent does not back off while a release waits for it.
  absl::Status Hurry(BootTime now);
  // Whether something was told so lately that the receiver may still be writing it.
  absl::StatusOr<bool> ToldLately(const store::RangeLock& lock);
  // Whether nothing is sent any more.
  absl::StatusOr<bool> IsQuiet(const store::RangeLock& lock);
  absl::Status Rewrite(const store::RangeLock& lock);
  absl::StatusOr<bool> Drain(const store::RangeLock& lock);

  JobRun& run_;
  uint64_t cancelled_ = 0, rewritten_ = 0;
  std::optional<BootTime> since_;  // the mute was first seen
  std::optional<BootTime> hurried_;
  std::optional<uint64_t> undecided_;  // as shown
  std::optional<BootTime> told_;       // when the last tell was still under way, if there was one
  std::optional<BootTime> written_;    // when a column can have been written last
  bool sent_ = false, quiet_ = false, rewrote_ = false;
};

}  // namespace jetmon::rollout

#endif  // JETMON_CONTROLPLANE_ROLLOUT_MUTE_H_
