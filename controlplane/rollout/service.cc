#include "controlplane/rollout/service.h"

#include "controlplane/rollout/commits.h"
#include "controlplane/rollout/compare.h"
#include "controlplane/rollout/gates.h"
#include "controlplane/rollout/messages.h"
#include "controlplane/rollout/policy.h"
#include "controlplane/rollout/preflight.h"
#include "controlplane/rollout/range_jobs.h"
#include "controlplane/rollout/requests.h"
#include "controlplane/rollout/seed.h"
#include "controlplane/rollout/smoke.h"

namespace jetmon::rollout {

std::map<std::string, Executor> Executors() {
  return {{OperationName(Operation::kSeed), ExecuteSeed},
          {OperationName(Operation::kFinalReconcile), ExecuteSeed},
          {OperationName(Operation::kActivate), ExecuteActivate},
          {OperationName(Operation::kRelease), ExecuteRelease},
          {OperationName(Operation::kStagePolicy), ExecuteStagePolicy},
          {"smoke", ExecuteSmoke},
          {"compare_methods", ExecuteCompare},
          {"preflight", EndAbandonedPreflight}};
}

Service::Service(Parts parts, Options options)
    : parts_(std::move(parts)),
      options_(std::move(options)),
      observer_(*parts_.db, *parts_.clock, options_.times),
      runner_(parts_, options_, observer_, Executors()) {}

Service::~Service() { Stop(); }

absl::Status Service::Start() {
  const absl::Status s = parts_.Commit(commits::kEnsureBuckets, [&](sql::Transaction& tx) {
    return store::EnsureBuckets(tx, options_.bucket_total, parts_.clock->WallMs());
  });
  if (!s.ok()) return s;
  observer_.Run();
  runner_.Run();
  return absl::OkStatus();
}

void Service::Stop() {
  runner_.Stop();
  observer_.Stop();
}

absl::Status Service::LookAtGate(Gate gate, const v1::GateRequest& request,
                                 v1::OperationResponse* response) {
  auto range = RangeOf(request, options_.bucket_total);
  if (!range.ok()) return range.status();
  if (auto s = CheckHost(request.owner_host()); !s.ok()) return s;
  const int64_t now = parts_.clock->WallMs();
  auto since = SinceOf(request.since(), now);
  if (!since.ok()) return since.status();
  static constexpr const char* kNames[] = {"bucket_coverage", "activity_check", "projection_drift"};
  const absl::Status s = parts_.db->Read([&](sql::Transaction& tx) -> absl::Status {
    std::string owner = request.owner_host();
    if (!request.run_id().empty()) {
      auto session = CheckRun(tx, request.run_id(), *range, /*closed_too=*/true);
      if (!session.ok()) return session.status();
      if (owner.empty()) owner = session->owner_host;
    }
    *response = Head(kNames[static_cast<int>(gate)], request.run_id(), *range, owner);
    switch (gate) {
      case Gate::kCoverage:
        return CoverageGate(tx, observer_, *range, owner, response);
      case Gate::kActivity:
        return ActivityGate(tx, observer_, *range, {now - *since, !request.since().empty()}, now,
                            options_.unit, response);
      case Gate::kDrift:
        return WarnNotHeld(tx, *range, response);
    }
    return absl::InternalError("an unknown gate");
  });
  return s.ok() && gate == Gate::kDrift ? DriftGate(*parts_.db, *range, response) : s;
}

}  // namespace jetmon::rollout
