#ifndef JETMON_CONTROLPLANE_ROLLOUT_TEST_SERVICE_H_
#define JETMON_CONTROLPLANE_ROLLOUT_TEST_SERVICE_H_

#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <set>
#include <string>

#include "controlplane/error/error.h"
#include "controlplane/rollout/service.h"
#include "controlplane/rollout/test_rollout.h"
#include "jetmon/v1/rollout.pb.h"
#include "probe/test_server.h"
#include "store/ids.h"
#include "store/tokens.h"
#include "store/vantages.h"

namespace jetmon::rollout {

// The whole domain over a test database: one Monitor, three vantages, sites that answer 200.
class ServiceTest : public ::testing::Test {
 protected:
  static constexpr store::Range kRange{2, 5};

  ServiceTest() {
    rollout_.options().peer_offline_limit = 3;
    rollout_.parts().ask_status =
        [this](const confirm::Vantage& v, std::chrono::milliseconds,
               const std::function<void(absl::StatusOr<confirm::Facts>)>& done) {
          done(Ask(v.vantage_id));
        };
    for (const char* id : {"v-1", "v-2", "v-3"}) AddVantage(id);
    service_ = MakeService();
  }
  std::unique_ptr<Service> MakeService() {
    auto service = std::make_unique<Service>(rollout_.parts(), rollout_.options());
    const absl::Status s = service->Start();
    EXPECT_TRUE(s.ok()) << s;
    return service;
  }
  void AddVantage(const std::string& id) {
    rollout_.Write([&](sql::Transaction& tx) {
      store::Vantage v;
      v.vantage_id = id;
      v.trust = "trusted";
      v.endpoint = "127.0.0.1:" + id.substr(2);
      v.revision = 1;
      return store::InsertVantage(tx, v).status();
    });
  }
  // What a vantage answers; tests change `silent_` or `answers_`.
  absl::StatusOr<confirm::Facts> Ask(const std::string& id) {
    if (silent_.count(id) > 0) return absl::UnavailableError("connection refused");
    if (answers_.count(id) > 0) return answers_[id];
    confirm::Facts facts;
    facts.vantage_id = id;
    facts.agent_id = "agent-" + id;
    facts.protocol_min = facts.protocol_max = confirm::kProtocol;
    return facts;
  }

  Caller Key(const std::string& key_id = "key_1") {
    Caller caller;
    caller.key_id = key_id;
    caller.consumer = "tester";
    return caller;
  }
  std::string OpenSession(store::Range range = kRange, const std::string& owner = "monitor-a") {
    v1::CreateSessionRequest request;
    request.set_bucket_min(range.min);
    request.set_bucket_max(range.max);
    request.set_owner_host(owner);
    v1::Session session;
    const absl::Status s = service_->CreateSession(Key(), request, &session);
    EXPECT_TRUE(s.ok()) << s;
    return session.run_id();
  }
  std::string ClosedSession() {
    v1::CloseSessionRequest request;
    request.set_run_id(OpenSession());
    v1::Session session;
    const absl::Status s = service_->CloseSession(Key(), request, &session);
    EXPECT_TRUE(s.ok()) << s;
    return session.run_id();
  }
  template <typename Request>
  static Request On(const std::string& run_id, store::Range range = kRange) {
    Request request;
    request.set_run_id(run_id);
    request.set_bucket_min(range.min);
    request.set_bucket_max(range.max);
    return request;
  }
  static v1::PlannedRequest Overridden(v1::PlannedRequest request) {
    v1::Override* o = request.add_override();
    o->set_code("evidence_missing");
    o->set_reason("a test");
    return request;
  }
  absl::Status Planned(Operation op, v1::PlannedRequest request, v1::OperationResponse* answer,
                       const std::string& key = "key_1") {
    return service_->Planned(Key(key), op, request, {}, answer);
  }
  // A plan's answer.
  v1::OperationResponse Plan(Operation op, v1::PlannedRequest request) {
    request.set_dry_run(true);
    v1::OperationResponse answer;
    const absl::Status s = Planned(op, request, &answer);
    EXPECT_TRUE(s.ok()) << s;
    return answer;
  }
  // The token of a plan that must not be blocked.
  std::string Token(Operation op, const v1::PlannedRequest& request) {
    const auto answer = Plan(op, request);
    EXPECT_EQ(answer.status(), "ok") << answer.ShortDebugString();
    EXPECT_NE(answer.confirmation_token(), "");
    return answer.confirmation_token();
  }
  static v1::PlannedRequest Executing(v1::PlannedRequest request, const std::string& token,
                                      const std::string& wait = "30s") {
    request.set_execute(true);
    request.set_confirm(token);
    request.set_wait(wait);
    return request;
  }
  // Plans, executes, waits; must end well.
  v1::OperationResponse Do(Operation op, const v1::PlannedRequest& request) {
    v1::OperationResponse answer;
    const absl::Status s = Planned(op, Executing(request, Token(op, request)), &answer);
    EXPECT_TRUE(s.ok()) << s;
    EXPECT_EQ(answer.status(), "ok") << answer.ShortDebugString();
    return answer;
  }
  v1::ErrorReason Refused(Operation op, const v1::PlannedRequest& request,
                          const std::string& key = "key_1") {
    v1::OperationResponse answer;
    const absl::Status s = Planned(op, request, &answer, key);
    EXPECT_FALSE(s.ok()) << answer.ShortDebugString();
    return ReasonOf(s);
  }
  static std::set<std::string> Codes(const v1::OperationResponse& answer) {
    std::set<std::string> codes;
    for (const auto& b : answer.blockers()) codes.insert(b.code());
    return codes;
  }
  using CodeSet = std::set<std::string>;
  bool Consumed(const std::string& token) {
    return rollout_
               .Get([&](sql::Transaction& tx) {
                 return store::GetToken(tx, store::Sha256Hex(token));
               })
               .value()
               .consumed_at_ms != 0;
  }
  v1::Checkpoint Checkpoint(const std::string& run_id, const std::string& kind) {
    v1::RecordCheckpointRequest request;
    request.set_run_id(run_id);
    request.set_kind(kind);
    v1::Checkpoint checkpoint;
    const absl::Status s = service_->RecordCheckpoint(Key(), request, &checkpoint);
    EXPECT_TRUE(s.ok()) << s;
    return checkpoint;
  }
  v1::OperationResponse Preflight(const std::string& run_id) {
    v1::OperationResponse answer;
    const absl::Status s = service_->Preflight(Key(), On<v1::PreflightRequest>(run_id), &answer);
    EXPECT_TRUE(s.ok()) << s;
    return answer;
  }
  v1::OperationResponse Smoke(v1::SmokeRequest request) {
    request.set_read_only(true);
    request.set_wait("30s");
    v1::OperationResponse answer;
    const absl::Status s = service_->Smoke(Key(), request, {}, &answer);
    EXPECT_TRUE(s.ok()) << s;
    return answer;
  }
  v1::OperationResponse Gate(Service::Gate gate, store::Range range = kRange) {
    v1::OperationResponse answer;
    const absl::Status s = service_->LookAtGate(gate, On<v1::GateRequest>("", range), &answer);
    EXPECT_TRUE(s.ok()) << s;
    return answer;
  }
  // Makes the range active, without its evidence.
  std::string Activate(store::Range range = kRange) {
    const std::string run_id = OpenSession(range);
    Do(Operation::kActivate, Overridden(On<v1::PlannedRequest>(run_id, range)));
    return run_id;
  }

  std::set<std::string> silent_;
  std::map<std::string, confirm::Facts> answers_;
  TestRollout rollout_;
  probe::TestServer sites_{[](probe::TestServer::Connection& c, const std::string& request) {
    c.Send(request.find(" /down") == std::string::npos
               ? "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
               : "HTTP/1.1 500 Broken\r\nContent-Length: 0\r\n\r\n");
  }};
  FakeMonitor monitor_{rollout_.db(), "monitor-a", "a-1"};
  std::unique_ptr<Service> service_;
};

}  // namespace jetmon::rollout

#endif  // JETMON_CONTROLPLANE_ROLLOUT_TEST_SERVICE_H_
