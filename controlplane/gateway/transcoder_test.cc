#include "controlplane/gateway/transcoder.h"

#include <string>

#include "controlplane/error/error.h"
#include "gtest/gtest.h"
#include "jetmon/v1/rollout.pb.h"

namespace jetmon::gateway {
namespace {

bool Holds(const absl::Status& status, const std::string& text) {
  return std::string(status.message()).find(text) != std::string::npos;
}

TEST(FromJsonTest, FillsTheMessage) {
  v1::CreateSessionRequest request;
  ASSERT_TRUE(FromJson(R"({"bucket_min":0,"bucket_max":"255","owner_host":"monitor-a",
                           "metadata":{"ticket":"X-1","n":[1,2]}})",
                       &request)
                  .ok());
  EXPECT_TRUE(request.has_bucket_min());
  EXPECT_EQ(request.bucket_min(), 0u);
  EXPECT_EQ(request.bucket_max(), 255u);
  EXPECT_EQ(request.owner_host(), "monitor-a");
  EXPECT_EQ(request.metadata().fields_size(), 2);
}

TEST(FromJsonTest, EmptyIsAnEmptyObject) {
  v1::CreateSessionRequest request;
  EXPECT_TRUE(FromJson("", &request).ok());
  EXPECT_TRUE(FromJson("{}", &request).ok());
}

TEST(FromJsonTest, NamesAnUnknownField) {
  v1::PreflightRequest request;
  const absl::Status top = FromJson(R"({"bucket_mni":1})", &request);
  EXPECT_EQ(ReasonOf(top), v1::UNKNOWN_FIELD);
  EXPECT_TRUE(Holds(top, "bucket_mni")) << top;
  const absl::Status nested = FromJson(R"({"canaries":[{"ur":"x"}]})", &request);
  EXPECT_EQ(ReasonOf(nested), v1::UNKNOWN_FIELD);
  EXPECT_TRUE(Holds(nested, "ur")) << nested;
}

TEST(FromJsonTest, WhatDoesNotFit) {
  v1::CreateSessionRequest request;
  for (const char* body :
       {R"({"bucket_min":"x"})", R"({"bucket_min":-1})", R"({"bucket_min":4294967296})",
        R"({"bucket_min":1.5})", R"({"owner_host":[]})", R"({"owner_host":5})",
        R"({"bucket_min":{}})", R"({"metadata":1})", R"({"metadata":[]})"}) {
    const absl::Status status = FromJson(body, &request);
    EXPECT_EQ(ReasonOf(status), v1::INVALID_FIELD) << body << " " << status;
  }
  for (const char* body : {"[]", "1", "null", "\"x\"", "{'a':1}", "{owner_host:\"x\"}", "x"}) {
    EXPECT_EQ(ReasonOf(FromJson(body, &request)), v1::MALFORMED_JSON) << body;
  }
}

TEST(FromQueryTest, SetsScalars) {
  v1::ListSessionsRequest request;
  ASSERT_TRUE(FromQuery("page_size=20&state=open&page_token=a%2Bb+c&", &request).ok());
  EXPECT_EQ(request.page_size(), 20u);
  EXPECT_EQ(request.state(), "open");
  EXPECT_EQ(request.page_token(), "a+b c");
  v1::GateRequest gate;
  ASSERT_TRUE(FromQuery("bucket_min=0&bucket_max=5&since=15m", &gate).ok());
  EXPECT_TRUE(gate.has_bucket_min());
  EXPECT_EQ(gate.since(), "15m");
}

TEST(FromQueryTest, RefusesTheRest) {
  const auto refusal = [](const char* query) {
    v1::ListSessionsRequest request;
    return ReasonOf(FromQuery(query, &request));
  };
  EXPECT_EQ(refusal("page=1"), v1::UNKNOWN_FIELD);
  EXPECT_EQ(refusal("page_size=x"), v1::INVALID_FIELD);
  EXPECT_EQ(refusal("page_size=-1"), v1::INVALID_FIELD);
  EXPECT_EQ(refusal("page_size=99999999999"), v1::INVALID_FIELD);
  EXPECT_EQ(refusal("page_size"), v1::INVALID_FIELD);
  EXPECT_EQ(refusal("state=%"), v1::INVALID_FIELD);
  EXPECT_EQ(refusal("state=a&state=b"), v1::INVALID_FIELD);
  v1::CreateSessionRequest request;
  EXPECT_EQ(ReasonOf(FromQuery("metadata=1", &request)), v1::UNKNOWN_FIELD);
}

TEST(FromPathTest, ThePathMustAgreeWithTheBody) {
  v1::CloseSessionRequest request;
  ASSERT_TRUE(FromPath({{"run_id", "rol_1"}}, &request).ok());
  EXPECT_EQ(request.run_id(), "rol_1");
  EXPECT_TRUE(FromPath({{"run_id", "rol_1"}}, &request).ok());
  EXPECT_EQ(ReasonOf(FromPath({{"run_id", "rol_2"}}, &request)), v1::INVALID_FIELD);
}

TEST(ToJsonTest, ProtoNamesAndDefaults) {
  v1::Session session;
  session.set_run_id("rol_1");
  session.set_sequence(1ULL << 60);
  session.mutable_created_at()->set_seconds(1);
  const auto json = ToJson(session);
  ASSERT_TRUE(json.ok());
  EXPECT_NE(json->find("\"run_id\":\"rol_1\""), std::string::npos);
  EXPECT_NE(json->find("\"bucket_min\":0"), std::string::npos);
  EXPECT_NE(json->find("\"sequence\":\"1152921504606846976\""), std::string::npos);
  EXPECT_NE(json->find("\"created_at\":\"1970-01-01T00:00:01Z\""), std::string::npos);
  EXPECT_EQ(json->find('\n'), std::string::npos);
}

TEST(ErrorJsonTest, OneShape) {
  absl::Status status = InvalidField("wait", "says \"never\"\n");
  AddMetadata(status, "job_id", "rjob_1");
  EXPECT_EQ(ErrorJson(status, "req_1"),
            "{\"error\":{\"code\":\"invalid_field\",\"message\":\"wait: says "
            "\\\"never\\\"\\u000a\",\"request_id\":\"req_1\",\"details\":["
            "{\"@type\":\"type.googleapis.com/google.rpc.ErrorInfo\",\"reason\":\"invalid_field\","
            "\"domain\":\"jetmon\",\"metadata\":{\"job_id\":\"rjob_1\"}},"
            "{\"@type\":\"type.googleapis.com/google.rpc.BadRequest\",\"field_violations\":"
            "[{\"field\":\"wait\",\"description\":\"says \\\"never\\\"\\n\"}]}]}}");
}

}  // namespace
}  // namespace jetmon::gateway
