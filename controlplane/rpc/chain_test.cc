#include "controlplane/rpc/chain.h"

#include "controlplane/error/error.h"
#include "controlplane/rpc/test_access.h"
#include "gtest/gtest.h"
#include "jetmon/v1/identity.pb.h"
#include "jetmon/v1/rollout.pb.h"

namespace jetmon::rpc {
namespace {

using std::chrono::seconds;

constexpr char kSeed[] = "jetmon.v1.RolloutService/Seed";
constexpr char kGetMe[] = "jetmon.v1.IdentityService/GetMe";
constexpr char kGetHealth[] = "jetmon.v1.IdentityService/GetHealth";
constexpr char kPreflight[] = "jetmon.v1.RolloutService/Preflight";

// Seed commits a "mutation": nothing but the idempotency record. Its first runs fail on demand.
class ChainTest : public ::testing::Test {
 protected:
  ChainTest() {
    registry_.AddUnary<v1::GetHealthRequest, v1::Health>(
        kGetHealth, [](CallContext&, const v1::GetHealthRequest&, v1::Health* response) {
          response->set_status("ok");
          return absl::OkStatus();
        });
    registry_.AddUnary<v1::GetMeRequest, v1::Me>(
        kGetMe, [](CallContext& call, const v1::GetMeRequest&, v1::Me* response) {
          response->set_key_id(call.caller().key_id);
          return absl::OkStatus();
        });
    registry_.AddUnary<v1::PlannedRequest, v1::OperationResponse>(
        kSeed, [this](CallContext& call, const v1::PlannedRequest& request,
                      v1::OperationResponse* response) { return Seed(call, request, response); });
    registry_.AddReplay<v1::OperationResponse>(
        kSeed, [](CallContext&, std::string_view kind, std::string_view id,
                  v1::OperationResponse* response) {
          EXPECT_EQ(kind, "job");
          response->set_job_id(std::string(id));
          return absl::OkStatus();
        });
    request_.set_run_id("rol_1");
    request_.set_bucket_min(0);
    request_.set_bucket_max(9);
    request_.set_execute(true);
  }

  absl::Status Seed(CallContext& call, const v1::PlannedRequest&, v1::OperationResponse* response) {
    ++runs_;
    if (blocked_) {
      call.AuditOutcome("blocked");
      response->set_status("blocked");
      return absl::OkStatus();
    }
    if (!failure_.ok()) return failure_;
    response->set_job_id("rjob_" + std::to_string(runs_));
    return access_.db().Write([&](sql::Transaction& tx) {
      return call.CompleteIdempotency(tx, "job", response->job_id());
    });
  }

  CallInput Input(const char* name, const google::protobuf::Message& request,
                  const std::string& authorization) {
    CallInput input;
    input.method = registry_.Find(name);
    input.request = &request;
    input.authorization = authorization;
    input.received = access_.clock().Boot();
    input.cancellation = std::make_shared<Cancellation>();
    return input;
  }
  Chain::Result Call(const CallInput& input) {
    response_.Clear();
    return access_.chain().Call(input, &response_);
  }
  Chain::Result CallSeed(const std::string& authorization, const std::string& key = "") {
    CallInput input = Input(kSeed, request_, authorization);
    if (!key.empty()) input.idempotency_key = key;
    return Call(input);
  }
  static std::string Header(const Chain::Result& result, const std::string& name) {
    for (const auto& [key, value] : result.metadata) {
      if (key == name) return value;
    }
    return "";
  }

  TestAccess access_{SystemClock(), {.per_second = 100, .burst = 200}, {.request_bytes = 1000}};
  Registry registry_;
  v1::PlannedRequest request_;
  v1::OperationResponse response_;
  int runs_ = 0;
  bool blocked_ = false;
  absl::Status failure_;
};

TEST_F(ChainTest, HealthNeedsNoKey) {
  v1::Health health;
  const v1::GetHealthRequest request;
  const auto result = access_.chain().Call(Input(kGetHealth, request, ""), &health);
  EXPECT_TRUE(result.status.ok());
  EXPECT_EQ(health.status(), "ok");
  EXPECT_EQ(Header(result, "ratelimit-limit"), "");
}

TEST_F(ChainTest, TellsWhoCalls) {
  v1::Me me;
  const v1::GetMeRequest request;
  const auto result =
      access_.chain().Call(Input(kGetMe, request, access_.AddKey("ops", "read")), &me);
  EXPECT_TRUE(result.status.ok()) << result.status;
  EXPECT_EQ(me.key_id(), "key_ops");
  EXPECT_EQ(Header(result, "ratelimit-limit"), "200");
  EXPECT_EQ(Header(result, "ratelimit-remaining"), "199");
}

TEST_F(ChainTest, RequestIdIsKeptWhenItHasTheForm) {
  const v1::GetHealthRequest request;
  CallInput input = Input(kGetHealth, request, "");
  v1::Health health;
  for (const std::string id : {"abcdefgh", "ABC-123_xyz"}) {
    input.request_id = id;
    EXPECT_EQ(Header(access_.chain().Call(input, &health), "x-request-id"), id);
  }
  for (const std::string id : {"", "short", "with space", "a\nb:cdefgh"}) {
    input.request_id = id;
    const std::string made = Header(access_.chain().Call(input, &health), "x-request-id");
    EXPECT_TRUE(made.starts_with("req_") && ValidRequestId(made)) << made;
  }
  EXPECT_FALSE(ValidRequestId(std::string(65, 'a')));
}

// Each mutating call leaves one row, whatever became of it.
TEST_F(ChainTest, AuditsEveryMutatingCallOnce) {
  const std::string admin = access_.AddKey("ops", "admin");
  const std::string reader = access_.AddKey("dash", "read");
  EXPECT_TRUE(CallSeed(admin).status.ok());
  EXPECT_EQ(ReasonOf(CallSeed("").status), v1::MISSING_TOKEN);
  EXPECT_EQ(ReasonOf(CallSeed("Bearer jm_x").status), v1::INVALID_TOKEN);
  EXPECT_EQ(ReasonOf(CallSeed(reader).status), v1::INSUFFICIENT_SCOPE);
  EXPECT_EQ(ReasonOf(CallSeed(admin, "bad key").status), v1::INVALID_FIELD);
  CallInput unreadable = Input(kSeed, request_, admin);
  unreadable.decode = [] { return Error(v1::MALFORMED_JSON, "no JSON"); };
  EXPECT_EQ(ReasonOf(Call(unreadable).status), v1::MALFORMED_JSON);
  blocked_ = true;
  EXPECT_TRUE(CallSeed(admin).status.ok());
  blocked_ = false;
  failure_ = Error(v1::RUN_CLOSED, "closed");
  EXPECT_EQ(ReasonOf(CallSeed(admin).status), v1::RUN_CLOSED);
  failure_ = absl::InternalError("near SELECT: syntax error");
  EXPECT_EQ(ReasonOf(CallSeed(admin).status), v1::INTERNAL);
  EXPECT_EQ(ReasonOf(access_.chain()
                         .Refuse(Input(kSeed, request_, admin), Error(v1::RATE_LIMITED, "busy"))
                         .status),
            v1::RATE_LIMITED);

  const char* outcomes[] = {"ok",
                            "missing_token",
                            "invalid_token",
                            "insufficient_scope",
                            "invalid_field",
                            "malformed_json",
                            "blocked",
                            "run_closed",
                            "internal",
                            "rate_limited"};
  const auto rows = access_.AuditOf("rol_1");
  ASSERT_EQ(rows.size(), std::size(outcomes));
  for (size_t i = 0; i < rows.size(); ++i) {
    EXPECT_EQ(rows[i].outcome, outcomes[i]);
    EXPECT_EQ(rows[i].operation, "RolloutService/Seed");
    EXPECT_EQ(rows[i].bucket_min, 0u);
    EXPECT_EQ(rows[i].bucket_max, 9u);
    EXPECT_TRUE(ValidRequestId(rows[i].request_id));
    EXPECT_EQ(rows[i].detail.find("SELECT"), std::string::npos);
  }
  EXPECT_EQ(rows[0].consumer, "ops");
  EXPECT_EQ(rows[0].key_id, "key_ops");
  EXPECT_EQ(rows[1].consumer, "");
  EXPECT_EQ(rows[3].consumer, "dash");
  EXPECT_EQ(access_.statistics().Count("RolloutService/Seed", "ok"), 2u);
}

TEST_F(ChainTest, UnservedIsNotAvailable) {
  const std::string admin = access_.AddKey("ops", "admin");
  for (const Method* method : registry_.methods()) {
    if (method->available() || method->descriptor->client_streaming()) continue;
    SCOPED_TRACE(method->name);
    auto* factory = google::protobuf::MessageFactory::generated_factory();
    std::unique_ptr<google::protobuf::Message> request(
        factory->GetPrototype(method->descriptor->input_type())->New());
    std::unique_ptr<google::protobuf::Message> response(
        factory->GetPrototype(method->descriptor->output_type())->New());
    const auto result =
        access_.chain().Call(Input(method->name.c_str(), *request, admin), response.get());
    EXPECT_EQ(ReasonOf(result.status), v1::NOT_AVAILABLE);
    EXPECT_EQ(result.status.code(), absl::StatusCode::kUnimplemented);
  }
  const v1::PreflightRequest request;
  EXPECT_EQ(ReasonOf(Call(Input(kPreflight, request, "")).status), v1::MISSING_TOKEN);
}

TEST_F(ChainTest, RepeatedRequestIsReplayed) {
  const std::string admin = access_.AddKey("ops", "admin");
  const auto first = CallSeed(admin, "idem-1");
  ASSERT_TRUE(first.status.ok()) << first.status;
  EXPECT_EQ(response_.job_id(), "rjob_1");
  EXPECT_EQ(Header(first, "idempotency-replayed"), "");
  const auto second = CallSeed(admin, "idem-1");
  ASSERT_TRUE(second.status.ok()) << second.status;
  EXPECT_EQ(response_.job_id(), "rjob_1");
  EXPECT_EQ(Header(second, "idempotency-replayed"), "true");
  EXPECT_EQ(runs_, 1);
  request_.set_bucket_max(10);
  EXPECT_EQ(ReasonOf(CallSeed(admin, "idem-1").status), v1::IDEMPOTENCY_CONFLICT);
  request_.set_bucket_max(9);
  // Another key of the same consumer shares nothing.
  EXPECT_TRUE(CallSeed(access_.AddKey("ops2", "admin"), "idem-1").status.ok());
  EXPECT_EQ(runs_, 2);
}

TEST_F(ChainTest, WhatDidNotCommitIsNotKept) {
  const std::string admin = access_.AddKey("ops", "admin");
  failure_ = Error(v1::MISSING_CONFIRMATION, "confirm");
  EXPECT_FALSE(CallSeed(admin, "idem-1").status.ok());
  failure_ = absl::OkStatus();
  blocked_ = true;
  EXPECT_TRUE(CallSeed(admin, "idem-1").status.ok());
  blocked_ = false;
  // Not even the request is bound to the key.
  request_.set_confirm("jmr_1");
  EXPECT_TRUE(CallSeed(admin, "idem-1").status.ok());
  EXPECT_EQ(runs_, 3);
}

TEST_F(ChainTest, DryRunIgnoresTheKey) {
  const std::string admin = access_.AddKey("ops", "admin");
  request_.set_execute(false);
  request_.set_dry_run(true);
  EXPECT_TRUE(CallSeed(admin, "idem-1").status.ok());
  EXPECT_TRUE(CallSeed(admin, "idem-1").status.ok());
  EXPECT_EQ(runs_, 2);
}

TEST_F(ChainTest, RefusesWhatIsTooLarge) {
  request_.set_confirm(std::string(1001, 'x'));
  EXPECT_EQ(ReasonOf(CallSeed(access_.AddKey("ops", "admin")).status), v1::BODY_TOO_LARGE);
  EXPECT_EQ(runs_, 0);
}

TEST_F(ChainTest, DeadlineAndCancellation) {
  const std::string admin = access_.AddKey("ops", "admin");
  CallInput input = Input(kSeed, request_, admin);
  input.cancellation->Cancel();
  EXPECT_EQ(ReasonOf(Call(input).status), v1::CALL_CANCELLED);
  EXPECT_EQ(runs_, 0);
}

TEST(ChainDeadlineTest, IsTheCallersWithinTheLimit) {
  ManualClock clock;
  TestAccess access(clock, {}, {.unary = seconds(65)});
  Registry registry;
  BootTime seen;
  registry.AddUnary<v1::GetHealthRequest, v1::Health>(
      kGetHealth, [&](CallContext& call, const v1::GetHealthRequest&, v1::Health*) {
        seen = call.deadline();
        clock.Advance(std::chrono::milliseconds(1500));
        return call.CheckActive();
      });
  const v1::GetHealthRequest request;
  v1::Health health;
  CallInput input;
  input.method = registry.Find(kGetHealth);
  input.request = &request;
  input.cancellation = std::make_shared<Cancellation>();
  const auto call = [&](std::optional<seconds> deadline) {
    input.received = clock.Boot();
    input.deadline.reset();
    if (deadline.has_value()) input.deadline = clock.Boot() + *deadline;
    return ReasonOf(access.chain().Call(input, &health).status);
  };
  EXPECT_EQ(call(std::nullopt), v1::ERROR_REASON_UNSPECIFIED);
  EXPECT_EQ(seen, input.received + seconds(65));
  call(seconds(1000));
  EXPECT_EQ(seen, input.received + seconds(65));
  EXPECT_EQ(call(seconds(1)), v1::DEADLINE_EXCEEDED);
  EXPECT_EQ(seen, input.received + seconds(1));
}

TEST(ChainRateTest, RefusesAndSaysWhen) {
  ManualClock clock;
  TestAccess access(clock, {.per_second = 0.1, .burst = 1});
  Registry registry;
  registry.AddUnary<v1::GetMeRequest, v1::Me>(
      kGetMe, [](CallContext&, const v1::GetMeRequest&, v1::Me*) { return absl::OkStatus(); });
  const v1::GetMeRequest request;
  v1::Me me;
  CallInput input;
  input.method = registry.Find(kGetMe);
  input.request = &request;
  input.authorization = access.AddKey("ops", "read");
  input.received = clock.Boot();
  input.cancellation = std::make_shared<Cancellation>();
  EXPECT_TRUE(access.chain().Call(input, &me).status.ok());
  const auto refused = access.chain().Call(input, &me);
  EXPECT_EQ(ReasonOf(refused.status), v1::RATE_LIMITED);
  std::vector<std::string> said;
  for (const auto& [name, value] : refused.metadata) {
    if (name == "retry-after") said.push_back(value);
  }
  EXPECT_EQ(said, std::vector<std::string>{"10"});
}

}  // namespace
}  // namespace jetmon::rpc
