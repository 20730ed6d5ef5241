#ifndef JETMON_CONTROLPLANE_ROLLOUT_PLAN_H_
#define JETMON_CONTROLPLANE_ROLLOUT_PLAN_H_

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "controlplane/rollout/observer.h"
#include "controlplane/rollout/options.h"
#include "controlplane/rollout/planned_call.h"
#include "jetmon/v1/rollout.pb.h"
#include "store/locks.h"
#include "store/policy_stages.h"
#include "store/sessions.h"

namespace jetmon::rollout {

// What an operation would do to a range as things stand, seen within one transaction.
struct Plan {
  Operation op = Operation::kSeed;
  store::Session session;
  store::Range range;
  std::string owner_host;
  v1::OperationResponse response;  // head, blockers, warnings, summary, result
  std::map<std::string, uint64_t> counts;
  std::string digest;
  // Activation: whom it would be given to.
  std::string owner_instance;
  uint64_t owner_generation = 0;
  uint64_t v1_stopped = 0;  // of an activation: Evidence::v1_stopped
  std::string overrides_json;
  // Release: the lock it would release.
  std::optional<store::RangeLock> lock;
  // Stage policy: the stages that it pauses or rolls back, newest first.
  std::vector<store::PolicyStage> stages;
  // What was asked for is done or under way already, by this job.
  std::string existing_job;

  bool blocked() const { return response.blockers_size() > 0; }
  void Block(std::string code, std::string text, std::string action);
  void Warn(std::string code, std::string text, std::string action);
};

// Fills in the call's figures, as far as its operation has them.
absl::Status CountRange(sql::Transaction& tx, PlannedCall* call);

// `call` has passed its run checks, and its range was counted.
absl::StatusOr<Plan> MakePlan(sql::Transaction& tx, const Observer& observer,
                              const PlannedCall& call, const store::Session& session,
                              int64_t now_ms);

// Counts are outside of the digest, but one that grew by more than max(100, 10 %) changes the plan:
// the words that say so, "" if none did.
std::string GrownCounts(const std::string& before_json, const std::map<std::string, uint64_t>& now);
std::string CountsJson(const std::map<std::string, uint64_t>& counts);

}  // namespace jetmon::rollout

#endif  // JETMON_CONTROLPLANE_ROLLOUT_PLAN_H_
