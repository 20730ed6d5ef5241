#ifndef JETMON_CONTROLPLANE_ROLLOUT_SMOKE_H_
#define JETMON_CONTROLPLANE_ROLLOUT_SMOKE_H_

#include <string>
#include <vector>

#include "controlplane/rollout/job_runner.h"
#include "store/sites.h"

namespace jetmon::rollout {

// Of `sites` (one bucket), the `count` that come first in an order that depends on run and site
// only: the same run always takes the same ones, and a larger sample contains a smaller one.
std::vector<store::Site> PickSites(const std::string& run_id, std::vector<store::Site> sites,
                                   size_t count);

// How many of each bucket's sites a sample takes: in proportion, `size` in all (all of them when
// there are fewer).
std::vector<size_t> Stratify(const std::vector<size_t>& sites_by_bucket, uint64_t size);

// Probes the sample, read-only. Failures of sites that v1 has as up block; passing is evidence.
absl::Status ExecuteSmoke(JobRun& run);

}  // namespace jetmon::rollout

#endif  // JETMON_CONTROLPLANE_ROLLOUT_SMOKE_H_
