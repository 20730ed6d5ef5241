#ifndef JETMON_CONTROLPLANE_ROLLOUT_PLAN_POLICY_H_
#define JETMON_CONTROLPLANE_ROLLOUT_PLAN_POLICY_H_

#include <functional>
#include <string>
#include <vector>

#include "controlplane/rollout/plan.h"
#include "store/jobs.h"

namespace jetmon::rollout {

// Looks at the sites that a stage means, and how they stand to it, as far as they do while this
// reads. Does nothing for another mode or operation. Cancelled when the caller went away.
absl::Status LookAtSites(sql::Database& db, const std::function<bool()>& cancelled,
                         PlannedCall* call);

// Blockers: stage_under_way, nothing_to_stage, nothing_to_pause, nothing_to_roll_back,
// bucket_range_conflict.
absl::Status PlanPolicy(sql::Transaction& tx, const PlannedCall& call, Plan* plan,
                        std::vector<std::string>* digest);

// What executing the plan begins with, in the transaction that makes its job.
absl::Status BeginPolicy(sql::Transaction& tx, const PlannedCall& call, const Plan& plan,
                         const store::Job& job);

}  // namespace jetmon::rollout

#endif  // JETMON_CONTROLPLANE_ROLLOUT_PLAN_POLICY_H_
