#ifndef JETMON_CONTROLPLANE_ROLLOUT_SERVICE_H_
#define JETMON_CONTROLPLANE_ROLLOUT_SERVICE_H_

#include <functional>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "controlplane/rollout/job_runner.h"
#include "controlplane/rollout/observer.h"
#include "controlplane/rollout/options.h"
#include "controlplane/rollout/plan.h"
#include "controlplane/rollout/planned_call.h"
#include "controlplane/rollout/stop_times.h"
#include "jetmon/v1/rollout.pb.h"

namespace jetmon::rollout {

// The rollout domain: sessions, checkpoints, preflight, planned operations, jobs, gates, status.
// Methods answer with messages; an error carries a reason (controlplane/error). Blocking;
// thread-safe. Between Start and Stop it also runs jobs and observes leases.
class Service {
 public:
  Service(Parts parts, Options options);
  ~Service();
  // Makes missing bucket rows, then starts observing and running jobs.
  absl::Status Start();
  void Stop();
  // Instead of Start and Stop, for tests that decide what happens when: one turn, in the calling
  // thread, of what observes, of the sweep, and of what runs jobs (see JobRunner).
  absl::Status Observe() { return observer_.Read(); }
  absl::Status Sweep() { return runner_.Sweep(); }
  bool RunOneJob(const std::function<bool()>& stopping) { return runner_.RunOne(stopping); }

  const Options& options() const { return options_; }

  absl::Status CreateSession(const Caller& caller, const v1::CreateSessionRequest& request,
                             v1::Session* response);
  absl::Status GetSession(const std::string& run_id, v1::Session* response);
  absl::Status ListSessions(const v1::ListSessionsRequest& request,
                            v1::ListSessionsResponse* response);
  absl::Status CloseSession(const Caller& caller, const v1::CloseSessionRequest& request,
                            v1::Session* response);
  absl::Status GetTimeline(const v1::GetTimelineRequest& request, v1::Timeline* response);
  absl::Status RecordCheckpoint(const Caller& caller, const v1::RecordCheckpointRequest& request,
                                v1::Checkpoint* response);
  // The checkpoint that an earlier equal request made: "run_id/ordinal".
  absl::Status ReplayCheckpoint(const std::string& id, v1::Checkpoint* response);

  absl::Status Preflight(const Caller& caller, const v1::PreflightRequest& request,
                         v1::OperationResponse* response);
  absl::Status Smoke(const Caller& caller, const v1::SmokeRequest& request,
                     const std::function<bool()>& cancelled, v1::OperationResponse* response);
  absl::Status CompareMethods(const Caller& caller, const v1::CompareMethodsRequest& request,
                              const std::function<bool()>& cancelled,
                              v1::OperationResponse* response);
  absl::Status ListComparisonResults(const v1::ListComparisonResultsRequest& request,
                                     v1::ListComparisonResultsResponse* response);
  // Plans (dry_run) or executes.
  absl::Status Planned(const Caller& caller, Operation op, const v1::PlannedRequest& request,
                       const std::function<bool()>& cancelled, v1::OperationResponse* response);

  absl::Status StagePolicy(const Caller& caller, const v1::StagePolicyRequest& request,
                           const std::function<bool()>& cancelled, v1::OperationResponse* response);

  absl::Status ListNotifications(const v1::ListNotificationsRequest& request,
                                 v1::ListNotificationsResponse* response);
  absl::Status DecideNotifications(const Caller& caller,
                                   const v1::DecideNotificationsRequest& request,
                                   v1::DecideNotificationsResponse* response);

  absl::Status GetStatus(v1::RolloutStatus* response);
  absl::Status ListMonitors(std::vector<v1::MonitorStatus>* monitors);
  enum class Gate { kCoverage, kActivity, kDrift };
  absl::Status LookAtGate(Gate gate, const v1::GateRequest& request,
                          v1::OperationResponse* response);

  absl::Status GetJob(const std::string& job_id, v1::OperationResponse* response);
  absl::Status ListJobs(const v1::ListJobsRequest& request, v1::ListJobsResponse* response);
  absl::Status CancelJob(const Caller& caller, const std::string& job_id,
                         v1::OperationResponse* response);
  // Sends the job now and at every change until it ends, `write` answers false, or cancelled.
  absl::Status WatchJob(const std::string& job_id, const std::function<bool()>& cancelled,
                        const std::function<bool(const v1::OperationResponse&)>& write);

 private:
  absl::Status LookAtRange(const std::function<bool()>& cancelled, PlannedCall* call);
  absl::Status PlanOrExecute(const Caller& caller, absl::StatusOr<PlannedCall> read,
                             const std::function<bool()>& cancelled,
                             v1::OperationResponse* response);
  // Queues a probing job, if the run is open and covers the range, and answers with it.
  absl::Status QueueProbing(const Caller& caller, const char* operation, const std::string& run_id,
                            store::Range range, const std::string& owner_host,
                            const std::string& request, std::chrono::milliseconds wait,
                            const std::function<bool()>& cancelled,
                            v1::OperationResponse* response);
  absl::Status MakeToken(const Caller& caller, const Plan& plan, const std::string& request_hash,
                         v1::OperationResponse* response);
  // Right after a start no Monitor was heard of yet: waits a little for the one that is to own the
  // range, before anything is concluded from its silence.
  void HearOfOwner(const PlannedCall& call);
  // `job_id`: of the job that does it, or that did it before; empty when blocked.
  absl::Status Execute(const Caller& caller, const PlannedCall& call,
                       v1::OperationResponse* response, std::string* job_id);
  absl::Status ExecuteIn(sql::Transaction& tx, const Caller& caller, const PlannedCall& call,
                         v1::OperationResponse* response, std::string* job_id);
  absl::Status AnswerWithJob(const std::string& job_id, std::chrono::milliseconds wait,
                             const std::function<bool()>& cancelled,
                             v1::OperationResponse* response);
  // For how long the owner of a new grant must hold its tells, in ms.
  int64_t HoldOfTells(const Plan& plan);
  store::Job NewJob(const Caller& caller, const std::string& operation, const std::string& run_id,
                    store::Range range, const std::string& owner_host) const;

  const Parts parts_;
  const Options options_;
  Observer observer_;
  JobRunner runner_;
  StopTimes stops_;
};

// The operations that jobs run.
std::map<std::string, Executor> Executors();

}  // namespace jetmon::rollout

#endif  // JETMON_CONTROLPLANE_ROLLOUT_SERVICE_H_
