// What probes: preflight and smoke.
#include "absl/strings/str_cat.h"
#include "controlplane/rollout/commits.h"
#include "controlplane/rollout/messages.h"
#include "controlplane/rollout/preflight.h"
#include "controlplane/rollout/requests.h"
#include "controlplane/rollout/service.h"
#include "probe/check.h"

namespace jetmon::rollout {
namespace {

absl::Status CanariesLater(int n) {
  if (n == 0) return absl::OkStatus();
  return Error(v1::NOT_AVAILABLE, "canaries are not available in this build; leave them out");
}

}  // namespace

absl::Status Service::Preflight(const Caller& caller, const v1::PreflightRequest& request,
                                v1::OperationResponse* response) {
  auto range = RangeOf(request, options_.bucket_total);
  if (!range.ok()) return range.status();
  if (auto s = CheckHost(request.owner_host()); !s.ok()) return s;
  if (auto s = CanariesLater(request.canaries_size()); !s.ok()) return s;
  store::Session session;
  absl::Status s = parts_.db->Read([&](sql::Transaction& tx) -> absl::Status {
    auto found = CheckRun(tx, request.run_id(), *range, /*closed_too=*/false);
    if (found.ok()) session = *found;
    return found.status();
  });
  if (!s.ok()) return s;
  const std::string owner =
      request.owner_host().empty() ? session.owner_host : request.owner_host();
  if (owner.empty()) return InvalidField("owner_host", "is required: who shall own the range?");
  store::Job job = NewJob(caller, "preflight", request.run_id(), *range, owner);
  v1::OperationResponse answer = Head(job.operation, job.run_id, *range, owner);
  answer.set_change_ref(session.change_ref);
  s = RunPreflight(parts_, options_, observer_, session, *range, owner, &answer);
  if (!s.ok()) return s;
  const bool passed = answer.blockers().empty();
  job.state = passed ? store::job_state::kCompleted : store::job_state::kBlocked;
  job.done = job.total = answer.preflight().items_size();
  job.started_at_ms = job.created_at_ms;
  job.finished_at_ms = parts_.clock->WallMs();
  job.result = answer.SerializeAsString();
  s = parts_.Commit(commits::kRecordPreflight, [&](sql::Transaction& tx) -> absl::Status {
    if (auto inserted = store::InsertJob(tx, job); !inserted.ok()) return inserted;
    if (passed) {
      store::Checkpoint c;
      c.run_id = job.run_id;
      c.kind = store::checkpoint::kPreflight;
      c.range = *range;
      c.owner_host = owner;
      c.job_id = job.job_id;
      c.key_id = caller.key_id;
      c.consumer = caller.consumer;
      c.created_at_ms = job.finished_at_ms;
      auto recorded = store::InsertCheckpoint(tx, std::move(c));
      if (!recorded.ok()) return recorded.status();
      auto touched = store::TouchSession(tx, job.run_id, job.finished_at_ms);
      if (!touched.ok()) return touched;
    }
    return caller.on_commit ? caller.on_commit(tx, "job", job.job_id) : absl::OkStatus();
  });
  if (!s.ok()) return s;
  *response = JobResponse(job);
  return absl::OkStatus();
}

absl::Status Service::Smoke(const Caller& caller, const v1::SmokeRequest& request,
                            const std::function<bool()>& cancelled,
                            v1::OperationResponse* response) {
  auto range = RangeOf(request, options_.bucket_total);
  if (!range.ok()) return range.status();
  if (!request.read_only()) {
    return Error(v1::READ_ONLY_REQUIRED, "smoke writes nothing; say so with read_only = true");
  }
  if (auto s = CheckHost(request.owner_host()); !s.ok()) return s;
  if (auto s = CanariesLater(request.canaries_size()); !s.ok()) return s;
  if (!request.mode().empty() && !probe::ParseMode(request.mode()).ok()) {
    return Error(v1::INVALID_MODE,
                 "mode takes head-legacy, head-simple, get-legacy, get-simple or get-full");
  }
  if (request.mode() == "get-full") {
    return Error(v1::NOT_AVAILABLE, "get-full is not available in this build; use get-simple");
  }
  if (auto size = SampleSizeOf(request.sample_size()); !size.ok()) return size.status();
  auto wait = WaitOf(request.wait());
  if (!wait.ok()) return wait.status();
  std::string job_id;
  const absl::Status s =
      parts_.Commit(commits::kQueueJob, [&](sql::Transaction& tx) -> absl::Status {
        if (auto turn = store::BeginDecision(tx); !turn.ok()) return turn;
        auto session = CheckRun(tx, request.run_id(), *range, /*closed_too=*/false);
        if (!session.ok()) return session.status();
        const std::string owner =
            request.owner_host().empty() ? session->owner_host : request.owner_host();
        store::Job job = NewJob(caller, "smoke", request.run_id(), *range, owner);
        job.request = request.SerializeAsString();
        job_id = job.job_id;
        if (auto inserted = store::InsertJob(tx, job); !inserted.ok()) return inserted;
        return caller.on_commit ? caller.on_commit(tx, "job", job.job_id) : absl::OkStatus();
      });
  if (!s.ok()) return s;
  runner_.Wake();
  return AnswerWithJob(job_id, *wait, cancelled, response);
}

}  // namespace jetmon::rollout
