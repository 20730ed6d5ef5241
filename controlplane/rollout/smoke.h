#ifndef JETMON_CONTROLPLANE_ROLLOUT_SMOKE_H_
#define JETMON_CONTROLPLANE_ROLLOUT_SMOKE_H_

#include "absl/status/status.h"
#include "controlplane/rollout/job_runner.h"

namespace jetmon::rollout {

// Probes the sample, read-only, of any size: it holds what a Sampler and RunProbes hold, some 2,500
// sites, and 32 bytes for each site taken of one bucket. Failures of sites that v1 has as up block;
// passing is evidence. It writes nothing but its job, so a worker that takes it over starts again.
absl::Status ExecuteSmoke(JobRun& run);

}  // namespace jetmon::rollout

#endif  // JETMON_CONTROLPLANE_ROLLOUT_SMOKE_H_
