// One small registry behind both transports, driven by a gRPC client and by libcurl: what a call
// passes must not depend on how it came.
#include <curl/curl.h>
#include <grpcpp/generic/generic_stub.h>
#include <grpcpp/grpcpp.h>

#include <latch>
#include <map>
#include <string>
#include <thread>

#include "absl/strings/ascii.h"
#include "controlplane/error/error.h"
#include "controlplane/gateway/gateway.h"
#include "controlplane/gateway/http_server.h"
#include "controlplane/gateway/test_socket.h"
#include "controlplane/rpc/dispatcher.h"
#include "controlplane/rpc/grpc_server.h"
#include "controlplane/rpc/test_access.h"
#include "controlplane/rpc/test_cancelled.h"
#include "google/rpc/error_details.pb.h"
#include "google/rpc/status.pb.h"
#include "gtest/gtest.h"
#include "jetmon/v1/discovery.grpc.pb.h"
#include "jetmon/v1/identity.grpc.pb.h"
#include "jetmon/v1/rollout.grpc.pb.h"

namespace jetmon {
namespace {

using google::protobuf::Message;
using std::chrono::milliseconds;
using std::chrono::seconds;

struct HttpAnswer {
  long status = 0;
  std::map<std::string, std::string> headers;
  std::string body;
};

size_t TakeBody(char* data, size_t size, size_t n, void* out) {
  static_cast<std::string*>(out)->append(data, size * n);
  return size * n;
}

size_t TakeHeader(char* data, size_t size, size_t n, void* out) {
  const std::string line(data, size * n);
  const size_t colon = line.find(':');
  if (colon != std::string::npos) {
    (*static_cast<std::map<std::string, std::string>*>(out))[line.substr(0, colon)] =
        std::string(absl::StripAsciiWhitespace(line.substr(colon + 1)));
  }
  return size * n;
}

class TransportsTest : public ::testing::Test {
 protected:
  TransportsTest() {
    AddHandlers();
    EXPECT_TRUE(gateway_.Init().ok());
    auto http = gateway::HttpServer::Start("127.0.0.1:0", gateway_, {});
    auto grpc = rpc::GrpcServer::Start(
        "127.0.0.1:0", {&registry_, &access_.chain(), &dispatcher_, &SystemClock(), nullptr});
    EXPECT_TRUE(http.ok() && grpc.ok());
    http_ = *std::move(http);
    grpc_ = *std::move(grpc);
    channel_ = grpc::CreateChannel("127.0.0.1:" + std::to_string(grpc_->port()),
                                   grpc::InsecureChannelCredentials());
    admin_ = access_.AddKey("ops", "admin");
    reader_ = access_.AddKey("dash", "read");
  }
  ~TransportsTest() override {
    dispatcher_.CancelStreams();
    http_->Shutdown(milliseconds(0));
    grpc_->Shutdown(milliseconds(0));
    dispatcher_.CancelAll();
    dispatcher_.Stop();
  }

  void AddHandlers() {
    registry_.AddUnary<v1::GetMeRequest, v1::Me>(
        "jetmon.v1.IdentityService/GetMe",
        [](rpc::CallContext& call, const v1::GetMeRequest&, v1::Me* me) {
          me->set_consumer(call.caller().consumer);
          return absl::OkStatus();
        });
    registry_.AddUnary<v1::CreateSessionRequest, v1::Session>(
        "jetmon.v1.RolloutService/CreateSession",
        [this](rpc::CallContext& call, const v1::CreateSessionRequest& request,
               v1::Session* session) {
          session->set_run_id("rol_1");
          session->set_bucket_max(request.bucket_max());
          call.AuditRun("rol_1");
          return access_.db().Write([&](sql::Transaction& tx) {
            return call.CompleteIdempotency(tx, "session", "rol_1");
          });
        });
    registry_.AddReplay<v1::Session>(
        "jetmon.v1.RolloutService/CreateSession",
        [](rpc::CallContext&, std::string_view, std::string_view id, v1::Session* session) {
          session->set_run_id(std::string(id));
          return absl::OkStatus();
        });
    registry_.AddUnary<v1::GetSessionRequest, v1::Session>(
        "jetmon.v1.RolloutService/GetSession",
        [](rpc::CallContext&, const v1::GetSessionRequest& request, v1::Session*) {
          absl::Status status = Error(v1::RUN_NOT_FOUND, "no run " + request.run_id());
          AddMetadata(status, "run_id", request.run_id());
          return status;
        });
    // Sends what is asked for: "3" sends three and ends, "wait" one and waits, else an error.
    registry_.AddStream<v1::GetJobRequest, v1::OperationResponse>(
        "jetmon.v1.RolloutService/WatchJob",
        [this](rpc::CallContext& call, const v1::GetJobRequest& request,
               rpc::Sink<v1::OperationResponse>& sink) -> absl::Status {
          v1::OperationResponse response;
          response.set_job_id(request.job_id());
          if (request.job_id() == "3") {
            for (int i = 0; i < 3; ++i) sink.Write(response);
            return absl::OkStatus();
          }
          if (request.job_id() != "wait") return Error(v1::JOB_NOT_FOUND, "no such job");
          sink.Write(response);
          EXPECT_TRUE(rpc::AwaitCancel(call));
          watch_ended_.count_down();
          return call.CheckActive();
        });
  }

  HttpAnswer Http(const std::string& method, const std::string& path, const std::string& token,
                  const std::string& body = "", const std::vector<std::string>& headers = {}) {
    HttpAnswer answer;
    CURL* curl = curl_easy_init();
    const std::string url = "http://127.0.0.1:" + std::to_string(http_->port()) + path;
    curl_slist* list = nullptr;
    if (!token.empty()) list = curl_slist_append(list, ("authorization: " + token).c_str());
    for (const auto& header : headers) list = curl_slist_append(list, header.c_str());
    if (method != "GET" && headers.empty()) {
      list = curl_slist_append(list, "content-type: application/json");
    }
    curl_easy_setopt(curl, CURLOPT_URL, url.c_str());
    curl_easy_setopt(curl, CURLOPT_CUSTOMREQUEST, method.c_str());
    curl_easy_setopt(curl, CURLOPT_TIMEOUT, 30L);
    if (method != "GET") {
      curl_easy_setopt(curl, CURLOPT_POSTFIELDS, body.c_str());
      curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE, static_cast<long>(body.size()));
    }
    curl_easy_setopt(curl, CURLOPT_HTTPHEADER, list);
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, TakeBody);
    curl_easy_setopt(curl, CURLOPT_WRITEDATA, &answer.body);
    curl_easy_setopt(curl, CURLOPT_HEADERFUNCTION, TakeHeader);
    curl_easy_setopt(curl, CURLOPT_HEADERDATA, &answer.headers);
    EXPECT_EQ(curl_easy_perform(curl), CURLE_OK) << path;
    curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &answer.status);
    curl_slist_free_all(list);
    curl_easy_cleanup(curl);
    return answer;
  }
  void ExpectError(const HttpAnswer& answer, long status, const std::string& code) {
    EXPECT_EQ(answer.status, status) << answer.body;
    EXPECT_TRUE(answer.body.starts_with("{\"error\":{\"code\":\"" + code + "\"")) << answer.body;
    const auto id = answer.headers.find("x-request-id");
    ASSERT_NE(id, answer.headers.end());
    EXPECT_NE(answer.body.find("\"request_id\":\"" + id->second + "\""), std::string::npos);
  }
  static std::string ReasonIn(const grpc::Status& status) {
    google::rpc::Status rpc_status;
    google::rpc::ErrorInfo info;
    EXPECT_TRUE(rpc_status.ParseFromString(status.error_details()));
    EXPECT_EQ(rpc_status.code(), static_cast<int>(status.error_code()));
    EXPECT_GT(rpc_status.details_size(), 0);
    if (rpc_status.details_size() == 0) return "";
    EXPECT_TRUE(rpc_status.details(0).UnpackTo(&info));
    EXPECT_EQ(info.domain(), "jetmon");
    return info.reason();
  }

  rpc::TestAccess access_;
  rpc::Registry registry_;
  rpc::Dispatcher dispatcher_{rpc::Dispatcher::Sizes()};
  gateway::Gateway gateway_{{&registry_, &access_.chain(), &dispatcher_, &access_.statistics(),
                             &SystemClock(), milliseconds(20)}};
  std::unique_ptr<gateway::HttpServer> http_;
  std::unique_ptr<rpc::GrpcServer> grpc_;
  std::shared_ptr<grpc::Channel> channel_;
  std::string admin_, reader_;
  std::latch watch_ended_{1};
};

constexpr char kSessions[] = "/api/v1/rollout/sessions";

TEST_F(TransportsTest, UnaryOverBoth) {
  const HttpAnswer http = Http("GET", "/api/v1/me", reader_, "", {"x-request-id: my_request-1"});
  EXPECT_EQ(http.status, 200);
  EXPECT_NE(http.body.find("\"consumer\":\"dash\""), std::string::npos);
  EXPECT_EQ(http.headers.at("x-request-id"), "my_request-1");
  EXPECT_EQ(http.headers.at("ratelimit-limit"), "200");
  EXPECT_EQ(http.headers.at("content-type"), "application/json");

  const auto stub = v1::IdentityService::NewStub(channel_);
  grpc::ClientContext context;
  context.AddMetadata("authorization", reader_);
  context.AddMetadata("x-request-id", "my_request-2");
  v1::Me me;
  const grpc::Status status = stub->GetMe(&context, {}, &me);
  EXPECT_TRUE(status.ok()) << status.error_message();
  EXPECT_EQ(me.consumer(), "dash");
  const auto& metadata = context.GetServerInitialMetadata();
  ASSERT_NE(metadata.find("x-request-id"), metadata.end());
  EXPECT_EQ(metadata.find("x-request-id")->second, "my_request-2");
  EXPECT_NE(metadata.find("ratelimit-remaining"), metadata.end());
}

TEST_F(TransportsTest, ErrorsOverBoth) {
  const HttpAnswer http = Http("GET", std::string(kSessions) + "/rol_x", reader_);
  ExpectError(http, 404, "run_not_found");
  EXPECT_NE(http.body.find("\"metadata\":{\"run_id\":\"rol_x\"}"), std::string::npos);

  const auto stub = v1::RolloutService::NewStub(channel_);
  grpc::ClientContext context;
  context.AddMetadata("authorization", reader_);
  v1::GetSessionRequest request;
  request.set_run_id("rol_x");
  v1::Session session;
  const grpc::Status status = stub->GetSession(&context, request, &session);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::NOT_FOUND);
  EXPECT_EQ(ReasonIn(status), "run_not_found");
  EXPECT_EQ(status.error_message(), "no run rol_x");
}

TEST_F(TransportsTest, UnservedOverBoth) {
  ExpectError(Http("POST", "/api/v1/rollout/seed", admin_, "{}"), 501, "not_available");
  ExpectError(Http("GET", "/api/v1/openapi.json", admin_), 501, "not_available");
  const auto stub = v1::RolloutService::NewStub(channel_);
  grpc::ClientContext context;
  context.AddMetadata("authorization", admin_);
  v1::OperationResponse response;
  const grpc::Status status = stub->Seed(&context, {}, &response);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::UNIMPLEMENTED);
  EXPECT_EQ(ReasonIn(status), "not_available");
  const auto discovery = v1::DiscoveryService::NewStub(channel_);
  grpc::ClientContext stream_context;
  const auto stream = discovery->Register(&stream_context);
  v1::ControlMessage message;
  EXPECT_FALSE(stream->Read(&message));
  EXPECT_EQ(ReasonIn(stream->Finish()), "not_available");
}

// A key used over REST is replayed over gRPC: it is one chain.
TEST_F(TransportsTest, IdempotencyAcrossTransports) {
  const std::vector<std::string> headers = {"idempotency-key: k-1",
                                            "content-type: application/json"};
  const HttpAnswer first = Http("POST", kSessions, admin_, R"({"bucket_max":7})", headers);
  EXPECT_EQ(first.status, 200) << first.body;
  EXPECT_EQ(first.headers.count("idempotency-replayed"), 0u);
  const auto stub = v1::RolloutService::NewStub(channel_);
  v1::CreateSessionRequest request;
  request.set_bucket_max(7);
  v1::Session session;
  grpc::ClientContext context;
  context.AddMetadata("authorization", admin_);
  context.AddMetadata("idempotency-key", "k-1");
  EXPECT_TRUE(stub->CreateSession(&context, request, &session).ok());
  EXPECT_EQ(session.run_id(), "rol_1");
  EXPECT_EQ(context.GetServerInitialMetadata().count("idempotency-replayed"), 1u);
  ExpectError(Http("POST", kSessions, admin_, R"({"bucket_max":8})", headers), 409,
              "idempotency_conflict");
  const auto rows = access_.AuditOf("rol_1");
  ASSERT_EQ(rows.size(), 2u);  // the conflict never knew the run
  EXPECT_EQ(rows[0].detail, "");
  EXPECT_EQ(rows[1].detail, "replayed session rol_1");
}

TEST_F(TransportsTest, BadRequests) {
  ExpectError(Http("POST", kSessions, "", "{}"), 401, "missing_token");
  ExpectError(Http("POST", kSessions, reader_, "{}"), 403, "insufficient_scope");
  ExpectError(Http("POST", kSessions, admin_, "{'bucket_min':1}"), 400, "malformed_json");
  ExpectError(Http("POST", kSessions, admin_, R"({"bucket_mni":1})"), 400, "unknown_field");
  ExpectError(Http("POST", kSessions, admin_, R"({"bucket_min":"x"})"), 400, "invalid_field");
  ExpectError(Http("POST", kSessions, admin_, "{}", {"content-type: text/plain"}), 415,
              "unsupported_media_type");
  ExpectError(Http("POST", kSessions, admin_, std::string((1 << 20) + 1, ' ')), 413,
              "body_too_large");
  ExpectError(Http("POST", std::string(kSessions) + "?x=1", admin_, "{}"), 400, "unknown_field");
  ExpectError(Http("GET", std::string(kSessions) + "/x?y=1", admin_), 400, "unknown_field");
  ExpectError(Http("GET", "/api/v1/me", admin_, "", {"accept: text/html"}), 406, "not_acceptable");
  ExpectError(Http("GET", "/nowhere", admin_), 404, "not_found");
  const HttpAnswer method = Http("DELETE", kSessions, admin_);
  ExpectError(method, 405, "method_not_allowed");
  EXPECT_EQ(method.headers.at("allow"), "GET, POST");
}

TEST_F(TransportsTest, CompressedBodies) {
  const auto post = [&](const std::string& encoding) {
    return Http("POST", kSessions, admin_, "{}",
                {"content-type: application/json", "content-encoding: " + encoding});
  };
  for (const char* encoding : {"gzip", "deflate", "br", "x", "identity, gzip", "gzip, identity"}) {
    ExpectError(post(encoding), 415, "unsupported_media_type");
  }
  ExpectError(Http("POST", kSessions, admin_, "{}",
                   {"content-type: application/json", "content-encoding: identity",
                    "content-encoding: gzip"}),
              415, "unsupported_media_type");
  EXPECT_EQ(post("identity").status, 200);
  EXPECT_EQ(post("Identity").status, 200);
}

// What can't be read as a request is refused in the same form as what can.
TEST_F(TransportsTest, WhatIsNoRequest) {
  const struct {
    std::string bytes, status, code;
  } kCases[] = {
      {"GARBAGE\r\n\r\n", "400 Bad Request", "malformed_request"},
      {"GET / HTTP/1.1\r\nHost: x\r\na: " + std::string(20'000, 'a') + "\r\n\r\n",
       "431 Request Header Fields Too Large", "header_too_large"},
      {"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip\r\n\r\n", "501 Not Implemented",
       "unsupported_transfer_coding"},
  };
  for (const auto& c : kCases) {
    gateway::TestSocket client(http_->port());
    client.Send("GET /nowhere HTTP/1.1\r\nHost: x\r\n\r\n");
    ASSERT_TRUE(client.ReadUntil("not_found"));
    ASSERT_TRUE(client.ReadUntil("}\n"));
    client.got().clear();
    client.Send(c.bytes);
    EXPECT_TRUE(client.ReadToEnd());
    const std::string& got = client.got();
    EXPECT_TRUE(got.starts_with("HTTP/1.1 " + c.status + "\r\n")) << got;
    EXPECT_NE(got.find("{\"error\":{\"code\":\"" + c.code + "\""), std::string::npos) << got;
    const size_t id = got.find("x-request-id: ");
    ASSERT_NE(id, std::string::npos) << got;
    const std::string request_id = got.substr(id + 14, got.find('\r', id) - id - 14);
    EXPECT_NE(got.find("\"request_id\":\"" + request_id + "\""), std::string::npos) << got;
    EXPECT_NE(
        Http("GET", "/metrics", "").body.find("method=\"none\",outcome=\"" + c.code + "\"} 1\n"),
        std::string::npos);
  }
}

TEST_F(TransportsTest, StreamsOverGrpc) {
  const auto stub = v1::RolloutService::NewStub(channel_);
  const auto watch = [&](const std::string& job, int* count) {
    grpc::ClientContext context;
    context.AddMetadata("authorization", reader_);
    v1::GetJobRequest request;
    request.set_job_id(job);
    const auto reader = stub->WatchJob(&context, request);
    v1::OperationResponse response;
    while (reader->Read(&response)) {
      ++*count;
      if (job == "wait") context.TryCancel();
    }
    return reader->Finish();
  };
  int count = 0;
  EXPECT_TRUE(watch("3", &count).ok());
  EXPECT_EQ(count, 3);
  EXPECT_EQ(ReasonIn(watch("x", &count)), "job_not_found");
  EXPECT_EQ(watch("wait", &count).error_code(), grpc::StatusCode::CANCELLED);
  watch_ended_.wait();
}

TEST_F(TransportsTest, StreamsOverRest) {
  const HttpAnswer lines = Http("GET", "/api/v1/rollout/jobs/3:watch", reader_);
  EXPECT_EQ(lines.status, 200);
  EXPECT_EQ(lines.headers.at("content-type"), "application/x-ndjson");
  EXPECT_TRUE(lines.body.starts_with("{\"result\":{\"status\":\"\",")) << lines.body;
  EXPECT_TRUE(lines.body.ends_with("}\n{\"end\":{\"code\":\"ok\"}}\n")) << lines.body;
  const HttpAnswer events =
      Http("GET", "/api/v1/rollout/jobs/3:watch", reader_, "", {"accept: text/event-stream"});
  EXPECT_EQ(events.headers.at("content-type"), "text/event-stream");
  EXPECT_TRUE(events.body.starts_with("data: {")) << events.body;
  EXPECT_TRUE(events.body.ends_with("event: end\ndata: {\"code\":\"ok\"}\n\n")) << events.body;
  const HttpAnswer none = Http("GET", "/api/v1/rollout/jobs/x:watch", reader_);
  EXPECT_NE(none.body.find("{\"error\":{\"code\":\"job_not_found\""), std::string::npos);
  ExpectError(Http("GET", "/api/v1/rollout/jobs/3:watch", ""), 401, "missing_token");
}

TEST_F(TransportsTest, RestClientThatGoesCancels) {
  gateway::TestSocket client(http_->port());
  client.Send("GET /api/v1/rollout/jobs/wait:watch HTTP/1.1\r\nHost: x\r\nauthorization: " +
              reader_ + "\r\n\r\n");
  ASSERT_TRUE(client.ReadUntil("\"job_id\":\"wait\""));
  ASSERT_TRUE(client.ReadUntil("{\"heartbeat\":{}}\n"));
  client.Close();
  watch_ended_.wait();
}

TEST_F(TransportsTest, Metrics) {
  Http("GET", "/api/v1/me", reader_);
  const HttpAnswer metrics = Http("GET", "/metrics", "");
  EXPECT_EQ(metrics.status, 200);
  EXPECT_NE(
      metrics.body.find("jetmon_calls_total{method=\"IdentityService/GetMe\",outcome=\"ok\"} 1\n"),
      std::string::npos);
}

// One message to a method that we have no stub for, and the first one back.
std::string AskRaw(const std::shared_ptr<grpc::Channel>& channel, const std::string& method,
                   const std::string& bytes) {
  grpc::GenericStub stub(channel);
  grpc::ClientContext context;
  grpc::CompletionQueue queue;
  const auto call = stub.PrepareCall(&context, method, &queue);
  const auto wait = [&] {
    void* tag = nullptr;
    bool ok = false;
    return queue.Next(&tag, &ok) && ok;
  };
  const grpc::Slice slice(bytes);
  grpc::ByteBuffer answer;
  call->StartCall(nullptr);
  EXPECT_TRUE(wait());
  call->WriteLast(grpc::ByteBuffer(&slice, 1), grpc::WriteOptions(), nullptr);
  EXPECT_TRUE(wait());
  call->Read(&answer, nullptr);
  EXPECT_TRUE(wait());
  std::vector<grpc::Slice> slices;
  EXPECT_TRUE(answer.Dump(&slices).ok());
  std::string text;
  for (const auto& part : slices) {
    text.append(reinterpret_cast<const char*>(part.begin()), part.size());
  }
  context.TryCancel();
  grpc::Status status;
  call->Finish(&status, nullptr);
  wait();
  queue.Shutdown();
  while (wait()) {
  }
  return text;
}

TEST_F(TransportsTest, HealthAndReflection) {
  // HealthCheckResponse{status: SERVING}.
  EXPECT_EQ(AskRaw(channel_, "/grpc.health.v1.Health/Check", ""), "\x08\x01");
  // ServerReflectionRequest{list_services: "*"}.
  const std::string services = AskRaw(
      channel_, "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo", "\x3a\x01*");
  for (const char* name :
       {"jetmon.v1.RolloutService", "jetmon.v1.DiscoveryService", "jetmon.v1.FleetService",
        "jetmon.v1.SiteService", "jetmon.v1.IdentityService", "grpc.health.v1.Health"}) {
    EXPECT_NE(services.find(name), std::string::npos) << name;
  }
}

TEST_F(TransportsTest, ThePortIsTaken) {
  const auto again =
      rpc::GrpcServer::Start("127.0.0.1:" + std::to_string(grpc_->port()),
                             {&registry_, &access_.chain(), &dispatcher_, &SystemClock(), nullptr});
  EXPECT_EQ(again.status().code(), absl::StatusCode::kUnavailable);
}

}  // namespace
}  // namespace jetmon
