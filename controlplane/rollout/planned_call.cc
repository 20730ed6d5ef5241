#include "controlplane/rollout/planned_call.h"

#include <set>

#include "absl/strings/str_cat.h"
#include "controlplane/rollout/evidence.h"
#include "controlplane/rollout/requests.h"
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
    if (o.reason().find_first_not_of(" \t\r\n") == std::string::npos || o.reason().size() > 255) {
      return InvalidField("override", "a reason of 1 to 255 characters is required");
    }
  }
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
  }
  return "";
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

std::string RequestHash(const PlannedCall& call, const store::Session& session) {
  std::string text = absl::StrCat(OperationName(call.op), "\n", call.run_id, "\n",
                                  call.range.ToString(), "\n", call.OwnerIn(session));
  for (const std::string& p : call.parameters) absl::StrAppend(&text, "\n", p);
  return store::Sha256Hex(text);
}

}  // namespace jetmon::rollout
