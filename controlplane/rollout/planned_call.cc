#include "controlplane/rollout/planned_call.h"

#include <set>

#include "absl/strings/str_cat.h"
#include "controlplane/rollout/evidence.h"
#include "controlplane/rollout/requests.h"
#include "probe/check.h"
#include "store/bounded.h"
#include "store/ids.h"

namespace jetmon::rollout {
namespace {

constexpr int kMostOverrides = 10;

// At most 10, each of a code that lets something pass, none twice, each with a reason.
absl::Status CheckOverrides(Operation op, const v1::PlannedRequest& r) {
  if (!r.override().empty() && op != Operation::kActivate) {
    return InvalidField("override", "only an activation takes overrides");
  }
  if (r.override_size() > kMostOverrides) {
    return InvalidField("override", absl::StrCat("at most ", kMostOverrides, " overrides"));
  }
  std::set<std::string> codes;
  for (const v1::Override& o : r.override()) {
    const std::string code = store::Bounded(o.code(), 64);
    if (!IsOverrideCode(o.code())) {
      return InvalidField("override",
                          absl::StrCat("'", code,
                                       "' can't be overridden; only evidence_missing and its parts "
                                       "can: evidence_missing.preflight, .smoke, .seed, "
                                       ".v1_stopped, .final_reconcile"));
    }
    if (!codes.insert(code).second) {
      return InvalidField("override", absl::StrCat("'", code, "' stands there twice"));
    }
    if (auto s = CheckReason(o); !s.ok()) return s;
  }
  return absl::OkStatus();
}

// method, profile and size belong to a stage, and to nothing else.
absl::Status ReadStage(const v1::StagePolicyRequest& r, PolicyCall* policy) {
  if (policy->mode != PolicyMode::kStage) {
    if (r.method().empty() && r.profile().empty() && r.size().empty()) return absl::OkStatus();
    return InvalidField(!r.method().empty()    ? "method"
                        : !r.profile().empty() ? "profile"
                                               : "size",
                        "belongs to mode stage only");
  }
  if (r.method() != "HEAD" && r.method() != "GET") {
    return InvalidField("method", "takes HEAD or GET");
  }
  auto mode = probe::ParseMode(r.method(), r.profile());
  if (!mode.ok()) return InvalidField("profile", "takes legacy, simple_http or full");
  if (r.profile() == "full" && r.method() == "HEAD") {
    return InvalidField("profile", "full needs GET: HEAD reads no body; use simple_http");
  }
  auto size = StageSizeOf(r.size());
  if (!size.ok()) return size.status();
  policy->method = r.method();
  policy->profile = r.profile();
  policy->size_text = r.size();
  policy->size = *size;
  return absl::OkStatus();
}

// What every planned message has.
template <typename Request>
absl::StatusOr<PlannedCall> ReadCommon(Operation op, const Request& r, uint32_t bucket_total) {
  auto range = RangeOf(r, bucket_total);
  if (!range.ok()) return range.status();
  if (r.dry_run() == r.execute()) {
    return InvalidField("dry_run", "exactly one of dry_run and execute must be true");
  }
  auto wait = WaitOf(r.wait());
  if (!wait.ok()) return wait.status();
  PlannedCall call;
  call.op = op;
  call.run_id = r.run_id();
  call.range = *range;
  call.execute = r.execute();
  call.confirm = r.confirm();
  call.wait = *wait;
  call.request = r.SerializeAsString();
  return call;
}

}  // namespace

std::string OperationName(Operation op) {
  switch (op) {
    case Operation::kSeed:
      return "seed";
    case Operation::kFinalReconcile:
      return "final_reconcile";
    case Operation::kActivate:
      return "activate_buckets";
    case Operation::kRelease:
      return "release_buckets";
    case Operation::kStagePolicy:
      return "stage_policy";
  }
  return "";
}

absl::StatusOr<PolicyMode> PolicyModeOf(const std::string& name) {
  if (name == "stage") return PolicyMode::kStage;
  if (name == "pause") return PolicyMode::kPause;
  if (name == "rollback-last-stage") return PolicyMode::kRollbackLast;
  if (name == "rollback-all") return PolicyMode::kRollbackAll;
  return Error(v1::INVALID_MODE, "mode takes stage, pause, rollback-last-stage or rollback-all");
}

absl::StatusOr<PlannedCall> ReadCall(Operation op, const v1::PlannedRequest& request,
                                     uint32_t bucket_total) {
  auto call = ReadCommon(op, request, bucket_total);
  if (!call.ok()) return call.status();
  if (auto s = CheckHost(request.owner_host()); !s.ok()) return s;
  if (auto s = CheckOverrides(op, request); !s.ok()) return s;
  call->owner_host = request.owner_host();
  call->closed_too = op == Operation::kRelease;
  for (const v1::Override& o : request.override()) {
    call->overrides.push_back(o);
    call->parameters.push_back(absl::StrCat(o.code(), "=", o.reason()));
  }
  return call;
}

absl::StatusOr<PlannedCall> ReadCall(const v1::StagePolicyRequest& request, uint32_t bucket_total) {
  auto call = ReadCommon(Operation::kStagePolicy, request, bucket_total);
  if (!call.ok()) return call.status();
  auto mode = PolicyModeOf(request.mode());
  if (!mode.ok()) return mode.status();
  PolicyCall& policy = call->policy;
  policy.mode = *mode;
  policy.mode_name = request.mode();
  if (auto s = ReadStage(request, &policy); !s.ok()) return s;
  // A policy can be taken back after the run was closed.
  call->closed_too = *mode == PolicyMode::kRollbackLast || *mode == PolicyMode::kRollbackAll;
  call->parameters = {policy.mode_name, policy.method, policy.profile, policy.size_text};
  return call;
}

std::string RequestHash(const PlannedCall& call, const store::Session& session) {
  std::string text = absl::StrCat(OperationName(call.op), "\n", call.run_id, "\n",
                                  call.range.ToString(), "\n", call.OwnerIn(session));
  for (const std::string& p : call.parameters) absl::StrAppend(&text, "\n", p);
  return store::Sha256Hex(text);
}

}  // namespace jetmon::rollout
