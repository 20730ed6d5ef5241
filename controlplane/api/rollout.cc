#include "controlplane/api/rollout.h"

#include "absl/strings/str_cat.h"
#include "jetmon/v1/fleet.pb.h"

namespace jetmon::api {
namespace {

using rpc::CallContext;

std::string Name(const char* method) { return absl::StrCat("jetmon.v1.RolloutService/", method); }

rollout::Caller CallerOf(CallContext& call) {
  rollout::Caller caller;
  caller.key_id = call.caller().key_id;
  caller.consumer = call.caller().consumer;
  caller.on_commit = [&call](sql::Transaction& tx, std::string_view kind, std::string_view id) {
    return call.CompleteIdempotency(tx, kind, id);
  };
  return caller;
}

// The audit row says `blocked` where the answer does.
absl::Status Audited(CallContext& call, const absl::Status& status,
                     const v1::OperationResponse& response) {
  if (status.ok() && response.status() == "blocked") call.AuditOutcome("blocked");
  return status;
}

// How the audit row's detail begins: which of the two a call of an operation that is planned was.
template <typename Request>
const char* PlanOrExecute(const Request& request) {
  return request.dry_run() ? "plan" : "execute";
}

void AuditOverrides(CallContext& call, std::string detail,
                    const google::protobuf::RepeatedPtrField<v1::Override>& overrides) {
  for (const auto& o : overrides) {
    absl::StrAppend(&detail, "; override ", o.code(), ": ", o.reason());
  }
  call.AuditDetail(detail);
}

template <typename Request>
void AddPlanned(rpc::Registry& registry, rollout::Service& service, const char* method,
                rollout::Operation op) {
  registry.AddUnary<Request, v1::OperationResponse>(
      Name(method),
      [&service, op](CallContext& call, const Request& request,
                     v1::OperationResponse* response) -> absl::Status {
        AuditOverrides(call, PlanOrExecute(request), request.override());
        return Audited(
            call,
            service.Planned(
                CallerOf(call), op, request, [&call] { return call.Cancelled(); }, response),
            *response);
      });
}

void AddReplays(rpc::Registry& registry, rollout::Service& service) {
  for (const char* method : {"Preflight", "Smoke", "Seed", "FinalReconcile", "ActivateBuckets",
                             "ReleaseBuckets", "CompareMethods", "StagePolicy", "CancelJob"}) {
    registry.AddReplay<v1::OperationResponse>(
        Name(method), [&service](CallContext&, std::string_view, std::string_view id,
                                 v1::OperationResponse* response) {
          return service.GetJob(std::string(id), response);
        });
  }
  for (const char* method : {"CreateSession", "CloseSession"}) {
    registry.AddReplay<v1::Session>(
        Name(method),
        [&service](CallContext&, std::string_view, std::string_view id, v1::Session* response) {
          return service.GetSession(std::string(id), response);
        });
  }
  registry.AddReplay<v1::Checkpoint>(
      Name("RecordCheckpoint"),
      [&service](CallContext&, std::string_view, std::string_view id, v1::Checkpoint* response) {
        return service.ReplayCheckpoint(std::string(id), response);
      });
}

void AddSessions(rpc::Registry& registry, rollout::Service& service) {
  registry.AddUnary<v1::CreateSessionRequest, v1::Session>(
      Name("CreateSession"), [&service](CallContext& call, const v1::CreateSessionRequest& request,
                                        v1::Session* response) {
        absl::Status s = service.CreateSession(CallerOf(call), request, response);
        if (s.ok()) call.AuditRun(response->run_id());
        return s;
      });
  registry.AddUnary<v1::GetSessionRequest, v1::Session>(
      Name("GetSession"),
      [&service](CallContext&, const v1::GetSessionRequest& request, v1::Session* response) {
        return service.GetSession(request.run_id(), response);
      });
  registry.AddUnary<v1::ListSessionsRequest, v1::ListSessionsResponse>(
      Name("ListSessions"), [&service](CallContext&, const v1::ListSessionsRequest& request,
                                       v1::ListSessionsResponse* response) {
        return service.ListSessions(request, response);
      });
  registry.AddUnary<v1::CloseSessionRequest, v1::Session>(
      Name("CloseSession"),
      [&service](CallContext& call, const v1::CloseSessionRequest& request, v1::Session* response) {
        return service.CloseSession(CallerOf(call), request, response);
      });
  registry.AddUnary<v1::GetTimelineRequest, v1::Timeline>(
      Name("GetTimeline"),
      [&service](CallContext&, const v1::GetTimelineRequest& request, v1::Timeline* response) {
        return service.GetTimeline(request, response);
      });
  registry.AddUnary<v1::RecordCheckpointRequest, v1::Checkpoint>(
      Name("RecordCheckpoint"),
      [&service](CallContext& call, const v1::RecordCheckpointRequest& request,
                 v1::Checkpoint* response) {
        call.AuditDetail(absl::StrCat(request.kind().substr(0, 64), ": ", request.note()));
        return service.RecordCheckpoint(CallerOf(call), request, response);
      });
}

void AddJobs(rpc::Registry& registry, rollout::Service& service) {
  registry.AddUnary<v1::GetJobRequest, v1::OperationResponse>(
      Name("GetJob"),
      [&service](CallContext&, const v1::GetJobRequest& request, v1::OperationResponse* response) {
        return service.GetJob(request.job_id(), response);
      });
  registry.AddUnary<v1::ListJobsRequest, v1::ListJobsResponse>(
      Name("ListJobs"),
      [&service](CallContext&, const v1::ListJobsRequest& request, v1::ListJobsResponse* response) {
        return service.ListJobs(request, response);
      });
  registry.AddUnary<v1::CancelJobRequest, v1::OperationResponse>(
      Name("CancelJob"), [&service](CallContext& call, const v1::CancelJobRequest& request,
                                    v1::OperationResponse* response) {
        return service.CancelJob(CallerOf(call), request.job_id(), response);
      });
  registry.AddStream<v1::GetJobRequest, v1::OperationResponse>(
      Name("WatchJob"), [&service](CallContext& call, const v1::GetJobRequest& request,
                                   rpc::Sink<v1::OperationResponse>& sink) {
        return service.WatchJob(
            request.job_id(), [&call] { return call.Cancelled(); },
            [&sink](const v1::OperationResponse& r) { return sink.Write(r); });
      });
}

void AddNotifications(rpc::Registry& registry, rollout::Service& service) {
  registry.AddUnary<v1::ListNotificationsRequest, v1::ListNotificationsResponse>(
      Name("ListNotifications"),
      [&service](CallContext&, const v1::ListNotificationsRequest& request,
                 v1::ListNotificationsResponse* response) {
        return service.ListNotifications(request, response);
      });
  registry.AddUnary<v1::DecideNotificationsRequest, v1::DecideNotificationsResponse>(
      Name("DecideNotifications"),
      [&service](CallContext& call, const v1::DecideNotificationsRequest& request,
                 v1::DecideNotificationsResponse* response) {
        // What it did stands in the run, row by row.
        call.AuditDetail(absl::StrCat(
            request.decision().substr(0, 16), ": ",
            request.all() ? "all" : absl::StrCat(request.notification_ids_size(), " named"),
            request.note().empty() ? "" : "; ", request.note()));
        return service.DecideNotifications(CallerOf(call), request, response);
      });
}

void AddProbing(rpc::Registry& registry, rollout::Service& service) {
  registry.AddUnary<v1::PreflightRequest, v1::OperationResponse>(
      Name("Preflight"), [&service](CallContext& call, const v1::PreflightRequest& request,
                                    v1::OperationResponse* response) {
        AuditOverrides(call, "preflight", request.override());
        return Audited(call, service.Preflight(CallerOf(call), request, response), *response);
      });
  registry.AddUnary<v1::SmokeRequest, v1::OperationResponse>(
      Name("Smoke"), [&service](CallContext& call, const v1::SmokeRequest& request,
                                v1::OperationResponse* response) {
        return Audited(call,
                       service.Smoke(
                           CallerOf(call), request, [&call] { return call.Cancelled(); }, response),
                       *response);
      });
  registry.AddUnary<v1::CompareMethodsRequest, v1::OperationResponse>(
      Name("CompareMethods"),
      [&service](CallContext& call, const v1::CompareMethodsRequest& request,
                 v1::OperationResponse* response) {
        return Audited(call,
                       service.CompareMethods(
                           CallerOf(call), request, [&call] { return call.Cancelled(); }, response),
                       *response);
      });
  registry.AddUnary<v1::ListComparisonResultsRequest, v1::ListComparisonResultsResponse>(
      Name("ListComparisonResults"),
      [&service](CallContext&, const v1::ListComparisonResultsRequest& request,
                 v1::ListComparisonResultsResponse* response) {
        return service.ListComparisonResults(request, response);
      });
}

void AddGates(rpc::Registry& registry, rollout::Service& service) {
  using Gate = rollout::Service::Gate;
  for (const auto& [method, gate] : {std::pair{"GetBucketCoverage", Gate::kCoverage},
                                     {"CheckActivity", Gate::kActivity},
                                     {"GetProjectionDrift", Gate::kDrift}}) {
    const Gate g = gate;
    registry.AddUnary<v1::GateRequest, v1::OperationResponse>(
        Name(method), [&service, g](CallContext&, const v1::GateRequest& request,
                                    v1::OperationResponse* response) {
          return service.LookAtGate(g, request, response);
        });
  }
}

void AddCapabilities(rpc::Registry& registry, rollout::Service& service) {
  registry.AddUnary<v1::GetCapabilitiesRequest, v1::Capabilities>(
      Name("GetCapabilities"),
      [&registry, &service](CallContext&, const v1::GetCapabilitiesRequest&,
                            v1::Capabilities* response) -> absl::Status {
        std::vector<v1::MonitorStatus> monitors;
        if (auto s = service.ListMonitors(&monitors); !s.ok()) return s;
        std::map<std::string, int> modes;
        for (const auto& m : monitors) {
          if (m.live()) ++modes[m.mode()];
        }
        std::string mode;
        for (const auto& [name, n] : modes) {
          absl::StrAppend(&mode, mode.empty() ? "" : ", ", name, ": ", n);
        }
        const rollout::Options& o = service.options();
        response->set_api_version("v1");
        response->set_server_host(o.server_host);
        response->set_version(o.version);
        response->set_rollout_mode(mode);
        response->set_confirmation_token_ttl_seconds(15 * 60);
        response->set_bucket_total(o.bucket_total);
        response->set_peer_offline_limit(o.peer_offline_limit);
        for (const std::string& f : registry.AvailableFeatures()) response->add_features(f);
        response->add_requirements("preflight and smoke passed within 24 hours for the owner");
        response->add_requirements("seed completed");
        response->add_requirements("checkpoint v1_stopped, and a final reconcile begun after it");
        return absl::OkStatus();
      });
  registry.AddUnary<v1::GetStatusRequest, v1::RolloutStatus>(
      Name("GetStatus"),
      [&service](CallContext&, const v1::GetStatusRequest&, v1::RolloutStatus* response) {
        return service.GetStatus(response);
      });
}

}  // namespace

void AddRolloutService(rpc::Registry& registry, rollout::Service& service) {
  AddCapabilities(registry, service);
  AddSessions(registry, service);
  AddProbing(registry, service);
  AddPlanned<v1::PlannedRequest>(registry, service, "Seed", rollout::Operation::kSeed);
  AddPlanned<v1::PlannedRequest>(registry, service, "FinalReconcile",
                                 rollout::Operation::kFinalReconcile);
  AddPlanned<v1::PlannedRequest>(registry, service, "ActivateBuckets",
                                 rollout::Operation::kActivate);
  AddPlanned<v1::PlannedRequest>(registry, service, "ReleaseBuckets", rollout::Operation::kRelease);
  registry.AddUnary<v1::StagePolicyRequest, v1::OperationResponse>(
      Name("StagePolicy"), [&service](CallContext& call, const v1::StagePolicyRequest& request,
                                      v1::OperationResponse* response) {
        call.AuditDetail(absl::StrCat(PlanOrExecute(request), "; ", request.mode().substr(0, 32),
                                      " ", request.method().substr(0, 8), " ",
                                      request.profile().substr(0, 16), " ",
                                      request.size().substr(0, 16)));
        return Audited(call,
                       service.StagePolicy(
                           CallerOf(call), request, [&call] { return call.Cancelled(); }, response),
                       *response);
      });
  AddGates(registry, service);
  AddJobs(registry, service);
  AddNotifications(registry, service);
  AddReplays(registry, service);
}

void AddFleetService(rpc::Registry& registry, rollout::Service& service) {
  registry.AddUnary<v1::ListMonitorsRequest, v1::ListMonitorsResponse>(
      "jetmon.v1.FleetService/ListMonitors",
      [&service](CallContext&, const v1::ListMonitorsRequest&,
                 v1::ListMonitorsResponse* response) -> absl::Status {
        std::vector<v1::MonitorStatus> monitors;
        if (auto s = service.ListMonitors(&monitors); !s.ok()) return s;
        for (auto& m : monitors) *response->add_monitors() = std::move(m);
        return absl::OkStatus();
      });
}

}  // namespace jetmon::api
