#ifndef JETMON_CONTROLPLANE_ROLLOUT_POLICY_H_
#define JETMON_CONTROLPLANE_ROLLOUT_POLICY_H_

#include "controlplane/rollout/job_runner.h"

namespace jetmon::rollout {

// What an executed stage_policy goes on with: writes the policy of its stage's cohort, or restores
// what stood before the stages that it takes back, newest first, or waits for the stage that a
// pause has cancelled. Goes on from the job's cursor. What a cancelled stage wrote stays, and can
// be rolled back; a cancelled rollback can be begun again.
absl::Status ExecuteStagePolicy(JobRun& run);

}  // namespace jetmon::rollout

#endif  // JETMON_CONTROLPLANE_ROLLOUT_POLICY_H_
