#ifndef JETMON_CONTROLPLANE_ROLLOUT_PLANNED_CALL_H_
#define JETMON_CONTROLPLANE_ROLLOUT_PLANNED_CALL_H_

#include <chrono>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "controlplane/rollout/cohort.h"
#include "controlplane/rollout/requests.h"
#include "jetmon/v1/rollout.pb.h"
#include "store/range.h"
#include "store/sessions.h"
#include "store/sites.h"

namespace jetmon::rollout {

enum class Operation { kSeed, kFinalReconcile, kActivate, kRelease, kStagePolicy };
// seed, final_reconcile, activate_buckets, release_buckets, stage_policy: as in answers, jobs and
// tokens.
std::string OperationName(Operation op);

// What the operation stage_policy is to do.
enum class PolicyMode { kStage, kPause, kRollbackLast, kRollbackAll };
// stage, pause, rollback-last-stage, rollback-all; invalid_mode for anything else.
absl::StatusOr<PolicyMode> PolicyModeOf(const std::string& name);

// The part of a call of stage_policy that is its own.
struct PolicyCall {
  PolicyMode mode = PolicyMode::kStage;
  std::string mode_name;
  // Of a stage.
  std::string method, profile;
  std::string size_text;
  StageSize size;
  // How the sites stand to it, as they were looked at before the call is decided on: that takes
  // longer than a transaction may. Of a stage; no value until then.
  std::optional<Cohort> cohort;
  Stands stands;
};

// What a range has, counted before the call is decided on: that takes longer than a transaction of
// a writer may. Counts are outside of a plan's digest.
struct RangeFigures {
  store::SiteCounts sites;  // of an activation only `active`
  uint64_t targets = 0;     // of seed and final reconcile
};

// A planned operation as it was asked for, whichever message it came in. Its form is right; whether
// its run exists and has that range is seen later.
struct PlannedCall {
  Operation op = Operation::kSeed;
  std::string run_id;
  store::Range range;
  std::string owner_host;  // "" = the session's
  bool execute = false;    // else a plan is wanted
  std::string confirm;
  std::chrono::milliseconds wait{0};
  std::vector<v1::Override> overrides;  // of an activation
  RangeFigures figures;                 // of seed, final reconcile, activation; see CountRange
  PolicyCall policy;                    // of stage_policy
  // What of these the request's hash covers, as words.
  std::vector<std::string> parameters;
  store::LegacyDialect dialect = store::LegacyDialect::kJetmon2;  // of this control plane
  // Legal in a closed run too.
  bool closed_too = false;
  // The message, serialised: the job reads it.
  std::string request;

  // The host that the call is about: its own word, or the session's.
  const std::string& OwnerIn(const store::Session& session) const {
    return owner_host.empty() ? session.owner_host : owner_host;
  }
};

// invalid_bucket_range, invalid_field.
absl::StatusOr<PlannedCall> ReadCall(Operation op, const v1::PlannedRequest& request,
                                     uint32_t bucket_total);
// These, and invalid_mode, size_required, invalid_size.
absl::StatusOr<PlannedCall> ReadCall(const v1::StagePolicyRequest& request, uint32_t bucket_total);

// SHA-256 over the call with its defaults filled in, without dry_run, execute, confirm and wait.
std::string RequestHash(const PlannedCall& call, const store::Session& session);

}  // namespace jetmon::rollout

#endif  // JETMON_CONTROLPLANE_ROLLOUT_PLANNED_CALL_H_
