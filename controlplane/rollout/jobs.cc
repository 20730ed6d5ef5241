// Jobs as their callers see them.
#include "absl/strings/str_cat.h"
#include "controlplane/rollout/commits.h"
#include "controlplane/rollout/messages.h"
#include "controlplane/rollout/requests.h"
#include "controlplane/rollout/service.h"
#include "store/policy_stages.h"

namespace jetmon::rollout {

absl::Status Service::GetJob(const std::string& job_id, v1::OperationResponse* response) {
  return parts_.db->Read([&](sql::Transaction& tx) -> absl::Status {
    auto job = CheckJob(tx, job_id);
    if (!job.ok()) return job.status();
    *response = JobResponse(*job);
    return absl::OkStatus();
  });
}

absl::Status Service::ListJobs(const v1::ListJobsRequest& request, v1::ListJobsResponse* response) {
  auto page = PageOf(request.page_size(), request.page_token());
  if (!page.ok()) return page.status();
  if (!request.state().empty() && !store::IsJobState(request.state())) {
    return InvalidField("state", "takes queued, running, completed, blocked, failed or cancelled");
  }
  return PageError(parts_.db->Read([&](sql::Transaction& tx) -> absl::Status {
    response->Clear();
    auto rows = store::ListJobs(tx, request.run_id(), request.state(), *page);
    if (!rows.ok()) return rows.status();
    for (const auto& j : rows->rows) *response->add_jobs() = JobMessage(j);
    response->set_next_page_token(rows->next_token);
    return absl::OkStatus();
  }));
}

absl::Status Service::CancelJob(const Caller& caller, const std::string& job_id,
                                v1::OperationResponse* response) {
  const absl::Status s =
      parts_.Commit(commits::kRequestCancel, [&](sql::Transaction& tx) -> absl::Status {
        auto job = store::GetJob(tx, job_id);
        if (!job.ok()) return job.status();
        if (!job->has_value()) return Error(v1::JOB_NOT_FOUND, "there is no such job");
        const std::string operation = (*job)->operation;
        if (operation == OperationName(Operation::kActivate) ||
            operation == OperationName(Operation::kRelease)) {
          return Error(v1::NOT_CANCELLABLE,
                       "an activation or release can't be cancelled; release the range instead");
        }
        auto cancelled = store::RequestCancel(tx, job_id, parts_.clock->WallMs());
        if (!cancelled.ok()) return cancelled.status();
        if (!*cancelled) return Error(v1::NOT_CANCELLABLE, "the job has ended");
        // One that was queued has ended by that, and nobody will run it.
        if (job = store::GetJob(tx, job_id); !job.ok()) return job.status();
        if (operation == OperationName(Operation::kStagePolicy) && job->has_value() &&
            store::IsFinished((*job)->state)) {
          if (auto ended = store::EndStageOfJob(tx, job_id); !ended.ok()) return ended;
        }
        return caller.on_commit ? caller.on_commit(tx, "job", job_id) : absl::OkStatus();
      });
  if (!s.ok()) return s;
  runner_.Wake();  // who waits for it sees it at once
  return GetJob(job_id, response);
}

absl::Status Service::WatchJob(const std::string& job_id, const std::function<bool()>& cancelled,
                               const std::function<bool(const v1::OperationResponse&)>& write) {
  std::optional<uint64_t> seq;
  std::string sent;
  for (;;) {
    auto job = runner_.WaitForChange(
        job_id, seq, std::chrono::milliseconds(seq.has_value() ? 10'000 : 0), cancelled);
    if (!job.ok()) return job.status();
    if (cancelled && cancelled()) return absl::OkStatus();
    // A worker that shows that it lives changes nothing that is shown.
    const v1::OperationResponse answer = JobResponse(*job);
    std::string text = answer.SerializeAsString();
    if (text != sent && !write(answer)) return absl::OkStatus();
    if (store::IsFinished(job->state)) return absl::OkStatus();
    sent = std::move(text);
    seq = job->seq;
  }
}

}  // namespace jetmon::rollout
