#ifndef JETMON_CONTROLPLANE_ROLLOUT_RANGE_JOBS_H_
#define JETMON_CONTROLPLANE_ROLLOUT_RANGE_JOBS_H_

#include "controlplane/rollout/job_runner.h"
#include "store/events.h"
#include "store/locks.h"

namespace jetmon::rollout {

// Drives a granted range from preparing (a last adoption pass) over activating to the Monitor's
// acknowledgement; gives up after Times::acknowledge_within. Idempotent from any state of the lock.
absl::Status ExecuteActivate(JobRun& run);

// Drives a muted or draining range, or a part of one, to v1: ends the mute (mute.h), waits for the
// Monitor's word, or for its death, or revokes it; writes the projection of open incidents; frees
// the buckets. Ends only when v1 may be started.
absl::Status ExecuteRelease(JobRun& run);

// Who writes the legacy columns at a release: this control plane, which is no Monitor, under the
// range's own epoch.
store::Actor ReleasingActor(const Options& options, const store::RangeLock& lock, int64_t now_ms);

}  // namespace jetmon::rollout

#endif  // JETMON_CONTROLPLANE_ROLLOUT_RANGE_JOBS_H_
