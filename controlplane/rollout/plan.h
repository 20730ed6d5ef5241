#ifndef JETMON_CONTROLPLANE_ROLLOUT_PLAN_H_
#define JETMON_CONTROLPLANE_ROLLOUT_PLAN_H_

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "controlplane/rollout/observer.h"
#include "controlplane/rollout/options.h"
#include "jetmon/v1/rollout.pb.h"
#include "store/locks.h"
#include "store/sessions.h"

namespace jetmon::rollout {

enum class Operation { kSeed, kFinalReconcile, kActivate, kRelease };
// seed, final_reconcile, activate_buckets, release_buckets: as in answers, jobs and tokens.
std::string OperationName(Operation op);

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
  std::string overrides_json;
  // Release: the lock it would release.
  std::optional<store::RangeLock> lock;
  // What was asked for is done or under way already, by this job.
  std::string existing_job;

  bool blocked() const { return response.blockers_size() > 0; }
};

// `request` has passed its form and run checks.
absl::StatusOr<Plan> MakePlan(sql::Transaction& tx, const Observer& observer, Operation op,
                              const store::Session& session, store::Range range,
                              const v1::PlannedRequest& request, int64_t now_ms);

// The host that the request is about: its own word, or the session's.
const std::string& OwnerOf(const v1::PlannedRequest& request, const store::Session& session);

// SHA-256 over the request with its defaults filled in, without dry_run, execute, confirm and wait.
std::string RequestHash(Operation op, const v1::PlannedRequest& request, store::Range range,
                        const store::Session& session);

// Counts are outside of the digest, but one that grew by more than max(100, 10 %) changes the plan:
// the words that say so, "" if none did.
std::string GrownCounts(const std::string& before_json, const std::map<std::string, uint64_t>& now);
std::string CountsJson(const std::map<std::string, uint64_t>& counts);

}  // namespace jetmon::rollout

#endif  // JETMON_CONTROLPLANE_ROLLOUT_PLAN_H_
