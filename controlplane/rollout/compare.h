#ifndef JETMON_CONTROLPLANE_ROLLOUT_COMPARE_H_
#define JETMON_CONTROLPLANE_ROLLOUT_COMPARE_H_

#include <string_view>

#include "absl/status/status.h"
#include "controlplane/rollout/job_runner.h"
#include "jetmon/v1/rollout.pb.h"
#include "store/comparison_results.h"

namespace jetmon::rollout {

// same, get_better, get_worse, different_failure: see CompareResult.
std::string_view ComparisonClass(const store::ComparedCheck& from, const store::ComparedCheck& to);

v1::ComparisonRow ComparisonMessage(const store::Comparison& row);

// Probes the sample that a smoke of the run takes with two modes, read-only: the second check of a
// site begins when the first has ended, and which mode goes first alternates from site to site.
// Stores a row for each site that both gave a verdict on, some at a time; a worker that takes it
// over goes on behind them and probes none of those sites again. Holds what a smoke holds, and the
// rows that are not stored yet. The summary is made of the rows.
absl::Status ExecuteCompare(JobRun& run);

}  // namespace jetmon::rollout

#endif  // JETMON_CONTROLPLANE_ROLLOUT_COMPARE_H_
