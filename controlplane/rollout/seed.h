#ifndef JETMON_CONTROLPLANE_ROLLOUT_SEED_H_
#define JETMON_CONTROLPLANE_ROLLOUT_SEED_H_

#include "controlplane/rollout/job_runner.h"
#include "jetmon/v1/operation.pb.h"

namespace jetmon::rollout {

// Seed and final reconcile: for each bucket of the range, check targets that are missing or changed
// are written, those whose site is gone are removed, and v1's view of each site is adopted,
// silently. Goes on from the job's cursor. Refuses (blocks) when a bucket is not v1's any more.
absl::Status ExecuteSeed(JobRun& run);

// One pass of the same over a range that is `preparing` under `epoch` (0: v1's). `result` holds the
// counts; with `save` the job's cursor is kept. Cancelled, Unavailable as JobRun::Write; OK with
// `conflict` set when a bucket is not as expected.
absl::Status SeedPass(JobRun& run, uint64_t epoch, bool save, v1::SeedResult* result,
                      std::string* conflict);

}  // namespace jetmon::rollout

#endif  // JETMON_CONTROLPLANE_ROLLOUT_SEED_H_
