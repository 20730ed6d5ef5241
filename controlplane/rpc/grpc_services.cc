#include "controlplane/rpc/grpc_services.h"

#include "controlplane/error/error.h"
#include "controlplane/rpc/grpc_call.h"
#include "jetmon/v1/discovery.grpc.pb.h"
#include "jetmon/v1/fleet.grpc.pb.h"
#include "jetmon/v1/identity.grpc.pb.h"
#include "jetmon/v1/rollout.grpc.pb.h"
#include "jetmon/v1/sites.grpc.pb.h"

// One line a method: its registry entry is called. The registry's test over the descriptors says
// when a method is missing here.
#define JETMON_UNARY(service, method, request_type, response_type)                               \
  grpc::ServerUnaryReactor* method(grpc::CallbackServerContext* context,                         \
                                   const v1::request_type* request, v1::response_type* response) \
      override {                                                                                 \
    return StartUnary(parts_, context, "jetmon.v1." #service "/" #method, *request, response);   \
  }
#define JETMON_STREAM(service, method, request_type, response_type)                               \
  grpc::ServerWriteReactor<v1::response_type>* method(grpc::CallbackServerContext* context,       \
                                                      const v1::request_type* request) override { \
    return StartStream<v1::response_type>(parts_, context, "jetmon.v1." #service "/" #method,     \
                                          *request);                                              \
  }

namespace jetmon::rpc {
namespace {

// Register when nobody serves it.
class RefusedStream final : public grpc::ServerBidiReactor<v1::AgentMessage, v1::ControlMessage> {
 public:
  RefusedStream() {
    Finish(ToGrpcStatus(Error(v1::NOT_AVAILABLE, "this build serves no Verifliers")));
  }
  void OnDone() override { delete this; }
};

class DiscoveryService final : public v1::DiscoveryService::CallbackService {
 public:
  explicit DiscoveryService(const GrpcServer::Parts& parts) : parts_(parts) {}
  grpc::ServerBidiReactor<v1::AgentMessage, v1::ControlMessage>* Register(
      grpc::CallbackServerContext* context) override {
    if (parts_.register_stream) return parts_.register_stream(context);
    return new RefusedStream();
  }
  JETMON_UNARY(DiscoveryService, ListVantages, ListVantagesRequest, ListVantagesResponse)
  JETMON_UNARY(DiscoveryService, GetVantage, GetVantageRequest, Vantage)
  JETMON_UNARY(DiscoveryService, PutVantage, PutVantageRequest, PutVantageResponse)
  JETMON_UNARY(DiscoveryService, DeleteVantage, GetVantageRequest, DeleteVantageResponse)
  JETMON_UNARY(DiscoveryService, ListAgents, ListAgentsRequest, ListAgentsResponse)
  JETMON_UNARY(DiscoveryService, GetDiscoveryReport, GetDiscoveryReportRequest, DiscoveryReport)

 private:
  const GrpcServer::Parts& parts_;
};

class FleetService final : public v1::FleetService::CallbackService {
 public:
  explicit FleetService(const GrpcServer::Parts& parts) : parts_(parts) {}
  JETMON_UNARY(FleetService, ListMonitors, ListMonitorsRequest, ListMonitorsResponse)
  JETMON_UNARY(FleetService, GetOverview, GetOverviewRequest, Overview)
  JETMON_STREAM(FleetService, WatchOverview, GetOverviewRequest, Overview)

 private:
  const GrpcServer::Parts& parts_;
};

class IdentityService final : public v1::IdentityService::CallbackService {
 public:
  explicit IdentityService(const GrpcServer::Parts& parts) : parts_(parts) {}
  JETMON_UNARY(IdentityService, GetHealth, GetHealthRequest, Health)
  JETMON_UNARY(IdentityService, GetMe, GetMeRequest, Me)

 private:
  const GrpcServer::Parts& parts_;
};

class RolloutService final : public v1::RolloutService::CallbackService {
 public:
  explicit RolloutService(const GrpcServer::Parts& parts) : parts_(parts) {}
  JETMON_UNARY(RolloutService, GetCapabilities, GetCapabilitiesRequest, Capabilities)
  JETMON_UNARY(RolloutService, CreateSession, CreateSessionRequest, Session)
  JETMON_UNARY(RolloutService, GetSession, GetSessionRequest, Session)
  JETMON_UNARY(RolloutService, ListSessions, ListSessionsRequest, ListSessionsResponse)
  JETMON_UNARY(RolloutService, CloseSession, CloseSessionRequest, Session)
  JETMON_UNARY(RolloutService, GetTimeline, GetTimelineRequest, Timeline)
  JETMON_UNARY(RolloutService, RecordCheckpoint, RecordCheckpointRequest, Checkpoint)
  JETMON_UNARY(RolloutService, Preflight, PreflightRequest, OperationResponse)
  JETMON_UNARY(RolloutService, Smoke, SmokeRequest, OperationResponse)
  JETMON_UNARY(RolloutService, Seed, PlannedRequest, OperationResponse)
  JETMON_UNARY(RolloutService, FinalReconcile, PlannedRequest, OperationResponse)
  JETMON_UNARY(RolloutService, ActivateBuckets, PlannedRequest, OperationResponse)
  JETMON_UNARY(RolloutService, ReleaseBuckets, PlannedRequest, OperationResponse)
  JETMON_UNARY(RolloutService, GetStatus, GetStatusRequest, RolloutStatus)
  JETMON_UNARY(RolloutService, GetBucketCoverage, GateRequest, OperationResponse)
  JETMON_UNARY(RolloutService, CheckActivity, GateRequest, OperationResponse)
  JETMON_UNARY(RolloutService, GetProjectionDrift, GateRequest, OperationResponse)
  JETMON_UNARY(RolloutService, CompareMethods, CompareMethodsRequest, OperationResponse)
  JETMON_UNARY(RolloutService, StagePolicy, StagePolicyRequest, OperationResponse)
  JETMON_UNARY(RolloutService, CreateStagePlan, CreateStagePlanRequest, OperationResponse)
  JETMON_UNARY(RolloutService, GetStagePlan, StagePlanRequest, StagePlan)
  JETMON_UNARY(RolloutService, ListStagePlans, ListStagePlansRequest, ListStagePlansResponse)
  JETMON_UNARY(RolloutService, PauseStagePlan, StagePlanRequest, StagePlan)
  JETMON_UNARY(RolloutService, ResumeStagePlan, StagePlanRequest, StagePlan)
  JETMON_UNARY(RolloutService, AbortStagePlan, StagePlanRequest, StagePlan)
  JETMON_UNARY(RolloutService, GetJob, GetJobRequest, OperationResponse)
  JETMON_UNARY(RolloutService, ListJobs, ListJobsRequest, ListJobsResponse)
  JETMON_UNARY(RolloutService, CancelJob, CancelJobRequest, OperationResponse)
  JETMON_STREAM(RolloutService, WatchJob, GetJobRequest, OperationResponse)
  JETMON_UNARY(RolloutService, ListComparisonResults, ListComparisonResultsRequest,
               ListComparisonResultsResponse)

 private:
  const GrpcServer::Parts& parts_;
};

class SiteService final : public v1::SiteService::CallbackService {
 public:
  explicit SiteService(const GrpcServer::Parts& parts) : parts_(parts) {}
  JETMON_UNARY(SiteService, ListSites, ListSitesRequest, ListSitesResponse)
  JETMON_UNARY(SiteService, GetSite, GetSiteRequest, Site)
  JETMON_UNARY(SiteService, ImportSites, ImportSitesRequest, ImportSitesResponse)
  JETMON_UNARY(SiteService, ListEvents, ListEventsRequest, ListEventsResponse)
  JETMON_UNARY(SiteService, ListTransitions, ListTransitionsRequest, ListTransitionsResponse)

 private:
  const GrpcServer::Parts& parts_;
};

}  // namespace

std::vector<std::unique_ptr<grpc::Service>> MakeServices(const GrpcServer::Parts& parts) {
  std::vector<std::unique_ptr<grpc::Service>> services;
  services.push_back(std::make_unique<DiscoveryService>(parts));
  services.push_back(std::make_unique<FleetService>(parts));
  services.push_back(std::make_unique<IdentityService>(parts));
  services.push_back(std::make_unique<RolloutService>(parts));
  services.push_back(std::make_unique<SiteService>(parts));
  return services;
}

}  // namespace jetmon::rpc
