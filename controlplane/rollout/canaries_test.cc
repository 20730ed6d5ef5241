#include "controlplane/rollout/canaries.h"

#include "absl/strings/match.h"
#include "controlplane/rollout/test_service.h"
#include "probe/test_dns_server.h"
#include "probe/test_tls_server.h"

namespace jetmon::rollout {
namespace {

// Takes what the form of a canary asks for.
v1::Canary Good(const std::string& name = "home", const std::string& url = "http://127.0.0.1/up") {
  v1::Canary c;
  c.set_name(name);
  c.set_url(url);
  c.set_mode("head-legacy");
  c.set_expect_success(true);
  return c;
}

class CanaryFormTest : public ::testing::Test {
 protected:
  using Change = std::function<void(v1::Canary*)>;
  absl::Status Check(const std::vector<v1::Canary>& canaries) const {
    v1::SmokeRequest request;
    for (const auto& c : canaries) *request.add_canaries() = c;
    return CheckCanaries(request.canaries(),
                         *probe::TargetSafety::FromFlags("public_only", "127.0.0.0/8"))
        .status();
  }
};

TEST_F(CanaryFormTest, WhatDoesNotFitIsNamed) {
  struct Case {
    const char* field;
    Change change;
  };
  const Case cases[] = {
      {"name", [](v1::Canary* c) { c->clear_name(); }},
      {"name", [](v1::Canary* c) { c->set_name(std::string(65, 'n')); }},
      {"name", [](v1::Canary* c) { c->set_name("a\nb"); }},
      {"name", [](v1::Canary* c) { c->set_name("first"); }},
      {"url", [](v1::Canary* c) { c->clear_url(); }},
      {"url", [](v1::Canary* c) { c->set_url("http://127.0.0.1/" + std::string(284, 'u')); }},
      {"url", [](v1::Canary* c) { c->set_url("http://10.0.0.1/"); }},
      {"url", [](v1::Canary* c) { c->set_url("ftp://127.0.0.1/"); }},
      {"url", [](v1::Canary* c) { c->set_url("http://user:pw@127.0.0.1/"); }},
      {"url", [](v1::Canary* c) { c->set_url("http://2130706433/"); }},
      {"url", [](v1::Canary* c) { c->set_url("https://localhost/"); }},
      {"mode", [](v1::Canary* c) { c->clear_mode(); }},
      {"mode", [](v1::Canary* c) { c->set_mode("post-legacy"); }},
      {"mode", [](v1::Canary* c) { c->set_method("GET"); }},
      {"mode", [](v1::Canary* c) { c->set_mode("head-full"); }},
      {"method",
       [](v1::Canary* c) {
         c->clear_mode();
         c->set_method("GET");
       }},
      {"method",
       [](v1::Canary* c) {
         c->clear_mode();
         c->set_method("POST");
         c->set_profile("legacy");
       }},
      {"profile",
       [](v1::Canary* c) {
         c->clear_mode();
         c->set_method("HEAD");
         c->set_profile("full");
       }},
      {"keyword",
       [](v1::Canary* c) {
         c->set_mode("get-full");
         c->set_keyword(std::string(256, 'k'));
       }},
      {"keyword", [](v1::Canary* c) { c->set_keyword("welcome"); }},
      {"keyword",
       [](v1::Canary* c) {
         c->set_mode("get-simple");
         c->set_keyword("welcome");
       }},
      {"expect_success", [](v1::Canary* c) { c->clear_expect_success(); }},
      {"expect_http_code", [](v1::Canary* c) { c->set_expect_http_code(99); }},
      {"expect_http_code", [](v1::Canary* c) { c->set_expect_http_code(600); }},
      {"expect_error_code", [](v1::Canary* c) { c->set_expect_error_code(-1); }},
      {"expect_error_code", [](v1::Canary* c) { c->set_expect_error_code(10); }},
  };
  for (const Case& one : cases) {
    v1::Canary c = Good("second");
    one.change(&c);
    const absl::Status s = Check({Good("first"), c});
    EXPECT_EQ(ReasonOf(s), v1::INVALID_CANARY) << c.ShortDebugString();
    EXPECT_TRUE(absl::StrContains(s.message(), std::string("canaries[1].") + one.field + ": "))
        << s;
  }
}

TEST_F(CanaryFormTest, TakesTheWholeOfWhatFits) {
  v1::Canary c = Good(std::string(64, 'n'), "http://127.0.0.1/" + std::string(283, 'u'));
  c.clear_mode();
  c.set_method("GET");
  c.set_profile("simple_http");
  c.set_expect_http_code(599);
  c.set_expect_error_code(9);
  EXPECT_TRUE(Check({c, Good("by-mode")}).ok());
  c.set_profile("full");
  c.set_keyword(std::string(255, 'k'));
  v1::Canary by_mode = Good("by-mode", "https://example.com/");
  by_mode.set_mode("get-full");
  by_mode.set_keyword("w");
  EXPECT_TRUE(Check({c, by_mode}).ok());
  EXPECT_TRUE(Check({}).ok());
  std::vector<v1::Canary> many;
  for (int i = 0; i < 50; ++i) many.push_back(Good("canary " + std::to_string(i)));
  EXPECT_TRUE(Check(many).ok());
  many.push_back(Good("one too many"));
  EXPECT_EQ(ReasonOf(Check(many)), v1::INVALID_CANARY);
}

TEST(JudgeCanaryTest, SaysWhatDiffers) {
  probe::CheckResult seen;
  seen.outcome = probe::Outcome::kDown;
  seen.http_code = 404;
  CheckedCanary c{Good(), *probe::ParseMode("head-legacy")};
  auto r = JudgeCanary(c, seen);
  EXPECT_EQ(r.status(), "mismatch");
  EXPECT_EQ(r.text(), "success was expected; it was down, HTTP 404, error code 0");
  c.canary.set_expect_success(false);
  EXPECT_EQ(JudgeCanary(c, seen).status(), "ok");
  c.canary.set_expect_http_code(404);
  c.canary.set_expect_error_code(0);
  EXPECT_EQ(JudgeCanary(c, seen).status(), "ok");
  EXPECT_EQ(JudgeCanary(c, seen).text(), "");
  seen.http_code = 403;
  seen.error_code = probe::ErrorCode::kTimeout;
  r = JudgeCanary(c, seen);
  EXPECT_EQ(
      r.text(),
      "HTTP 404 was expected, error code 0 was expected; it was down, HTTP 403, error code 1");
  EXPECT_EQ(r.http_code(), 403);
  EXPECT_EQ(r.outcome(), "down");
  // Nothing was seen: no expectation is met, that of a failure neither.
  c.canary.clear_expect_http_code();
  c.canary.clear_expect_error_code();
  seen = {};
  EXPECT_EQ(JudgeCanary(c, seen).status(), "mismatch");
  seen.outcome = probe::Outcome::kSafety;
  EXPECT_EQ(JudgeCanary(c, seen).status(), "ok");
}

class CanariesTest : public ServiceTest {
 protected:
  CanariesTest() {
    rollout_.options().times.grace = std::chrono::seconds(30);
    service_ = MakeService();
    run_id_ = OpenSession();
    rollout_.AddSite(1, 2, 1, sites_.Url("/up"));
    monitor_.Run();
  }
  v1::Canary Canary(const std::string& name, const std::string& path, bool success) {
    v1::Canary c = Good(name, sites_.Url(path));
    c.set_expect_success(success);
    return c;
  }
  v1::OperationResponse PreflightWith(const std::vector<v1::Canary>& canaries) {
    auto request = On<v1::PreflightRequest>(run_id_);
    for (const auto& c : canaries) *request.add_canaries() = c;
    v1::OperationResponse answer;
    const absl::Status s = service_->Preflight(Key(), request, &answer);
    EXPECT_TRUE(s.ok()) << s;
    return answer;
  }

  std::string run_id_;
};

TEST_F(CanariesTest, PassInPreflight) {
  const auto answer = PreflightWith({Canary("up", "/up", true), Canary("down", "/down", false)});
  EXPECT_EQ(answer.status(), "ok") << answer.ShortDebugString();
  ASSERT_EQ(answer.preflight().canaries_size(), 2);
  EXPECT_EQ(answer.preflight().canaries(0).name(), "up");
  EXPECT_EQ(answer.preflight().canaries(1).http_code(), 500);
  EXPECT_EQ(answer.preflight().canaries(1).status(), "ok");
  const auto& item = *answer.preflight().items().rbegin();
  EXPECT_EQ(item.name(), "canaries");
  EXPECT_EQ(item.status(), "ok");
  EXPECT_EQ(rollout_.CheckpointKinds(run_id_), std::vector<std::string>{"preflight_passed"});
  const store::Job job = rollout_.Job(answer.job_id());
  EXPECT_EQ(job.state, "completed");
  EXPECT_GT(job.finished_at_ms, 0);
  EXPECT_LE(job.created_at_ms, job.finished_at_ms);
}

TEST_F(CanariesTest, AMismatchBlocksPreflight) {
  const auto answer = PreflightWith(
      {Canary("up", "/up", true), Canary("broken", "/down", true), Canary("alive", "/up", false)});
  EXPECT_EQ(answer.status(), "blocked");
  EXPECT_EQ(Codes(answer), CodeSet{"canary_mismatch"});
  EXPECT_EQ(answer.blockers_size(), 2);
  EXPECT_TRUE(absl::StrContains(answer.blockers(0).text(), "canary broken: success was expected"))
      << answer.blockers(0).text();
  EXPECT_EQ(answer.job().state(), "blocked");
  EXPECT_TRUE(rollout_.CheckpointKinds(run_id_).empty());
}

TEST_F(CanariesTest, LookForTheirKeyword) {
  probe::TestServer server([](probe::TestServer::Connection& c, const std::string&) {
    c.Send("HTTP/1.1 200 OK\r\nContent-Length: 13\r\n\r\nwelcome home\n");
  });
  v1::Canary found = Good("found", server.Url("/")), missing = Good("missing", server.Url("/"));
  found.set_mode("get-full");
  found.set_keyword("welcome");
  missing.clear_mode();
  missing.set_method("GET");
  missing.set_profile("full");
  missing.set_keyword("goodbye");
  missing.set_expect_success(false);
  missing.set_expect_http_code(200);
  missing.set_expect_error_code(static_cast<int>(probe::ErrorCode::kKeyword));
  auto answer = PreflightWith({found, missing});
  EXPECT_EQ(answer.status(), "ok") << answer.ShortDebugString();
  ASSERT_EQ(answer.preflight().canaries_size(), 2);
  EXPECT_EQ(answer.preflight().canaries(0).outcome(), "up");
  const v1::CanaryResult& r = answer.preflight().canaries(1);
  EXPECT_EQ(r.mode(), "get-full");
  EXPECT_EQ(r.outcome(), "down");
  EXPECT_EQ(r.failure_class(), "keyword_missing");
  EXPECT_NE(r.detail(), "");
  missing.set_expect_success(true);
  answer = PreflightWith({found, missing});
  EXPECT_EQ(answer.status(), "blocked");
  EXPECT_EQ(Codes(answer), CodeSet{"canary_mismatch"});
}

// By name, over TLS, with a keyword: as --ca_file and --resolvers say.
TEST_F(CanariesTest, AreCheckedByNameAndOverTls) {
  const probe::TestIdentity ca = probe::MakeCa("ours");
  const auto answer_all = [](probe::TestTlsServer::Connection& c, const std::string&) {
    c.Send("HTTP/1.1 200 OK\r\nContent-Length: 13\r\n\r\nwelcome home\n");
  };
  probe::TestTlsServer good(probe::Issue(ca, {.names = {"DNS:shop.example.com"}}), answer_all);
  probe::TestTlsServer expired(
      probe::Issue(ca, {.names = {"DNS:shop.example.com"}, .until_s = -3600}), answer_all);
  probe::TestDnsServer dns;
  probe::TestDnsServer::Name here, inside;
  here.v4 = {"127.0.0.1"};
  inside.v4 = {"10.0.0.1"};
  dns.Set("shop.example.com", here);
  dns.Set("inside.example.com", inside);
  rollout_.options().engine.ca_file = probe::WriteCertificate(ca, "ca.pem");
  rollout_.options().engine.resolvers = dns.address();
  service_ = MakeService();
  const auto make = [](const std::string& name, const std::string& url, bool success,
                       probe::ErrorCode code) {
    v1::Canary c = Good(name, url);
    c.set_mode("get-full");
    c.set_expect_success(success);
    c.set_expect_error_code(static_cast<int>(code));
    return c;
  };
  const auto at = [](const probe::TestTlsServer& server, const std::string& host) {
    return absl::StrCat("https://", host, ":", server.port(), "/");
  };
  v1::Canary keyword = make("good", at(good, "shop.example.com"), true, probe::ErrorCode::kNone);
  keyword.set_keyword("welcome");
  const auto answer = PreflightWith(
      {keyword, make("by address", at(good, "127.0.0.1"), false, probe::ErrorCode::kTls),
       make("expired", at(expired, "shop.example.com"), false,
            probe::ErrorCode::kCertificateExpired),
       make("no such name", "https://gone.example.com/", false, probe::ErrorCode::kConnect),
       make("inside", "https://inside.example.com/", false, probe::ErrorCode::kTargetSafety)});
  EXPECT_EQ(answer.status(), "ok") << answer.ShortDebugString();
  ASSERT_EQ(answer.preflight().canaries_size(), 5);
  const char* const classes[] = {"success", "https", "https", "intermittent", ""};
  for (int i = 0; i < 5; ++i) {
    EXPECT_EQ(answer.preflight().canaries(i).failure_class(), classes[i]) << i;
    EXPECT_EQ(answer.preflight().canaries(i).detail().empty(), i == 0) << i;
  }
}

// The row is there before the first request leaves.
TEST_F(CanariesTest, APreflightThatProbesIsAJobFromItsBeginning) {
  std::string state;
  probe::TestServer server([&](probe::TestServer::Connection& c, const std::string&) {
    const auto jobs =
        rollout_.Get([](sql::Transaction& tx) { return store::ListUnfinishedJobs(tx); });
    if (jobs.size() == 1) state = jobs[0].operation + " " + jobs[0].state;
    c.Send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
  });
  EXPECT_EQ(PreflightWith({Good("home", server.Url("/"))}).status(), "ok");
  EXPECT_EQ(state, "preflight running");
}

TEST_F(CanariesTest, APreflightWhoseControlPlaneIsGoneIsEnded) {
  rollout_.options().times.grace = std::chrono::milliseconds(200);
  service_ = MakeService();
  store::Job job;
  job.job_id = "rjob_left";
  job.operation = "preflight";
  job.run_id = run_id_;
  job.range = kRange;
  job.state = store::job_state::kRunning;
  job.lease_owner = "controlplane-0";
  job.attempt = 1;
  rollout_.Write([&](sql::Transaction& tx) { return store::InsertJob(tx, job); });
  v1::OperationResponse last;
  const absl::Status s = service_->WatchJob("rjob_left", {}, [&](const auto& answer) {
    last = answer;
    return true;
  });
  EXPECT_TRUE(s.ok()) << s;
  EXPECT_EQ(last.job().state(), "failed");
  EXPECT_EQ(Codes(last), CodeSet{"job_failed"});
  EXPECT_TRUE(rollout_.CheckpointKinds(run_id_).empty());
}

TEST_F(CanariesTest, RunInSmokeBeforeTheSites) {
  auto request = On<v1::SmokeRequest>(run_id_);
  *request.add_canaries() = Canary("up", "/canary", true);
  auto answer = Smoke(request);
  EXPECT_EQ(answer.status(), "ok") << answer.ShortDebugString();
  EXPECT_EQ(answer.smoke().checked(), 1u);
  ASSERT_EQ(answer.smoke().canaries_size(), 1);
  EXPECT_EQ(answer.smoke().canaries(0).status(), "ok");
  ASSERT_EQ(sites_.requests().size(), 2u);
  EXPECT_TRUE(absl::StrContains(sites_.requests()[0], " /canary "));
  *request.add_canaries() = Canary("broken", "/down", true);
  answer = Smoke(request);
  EXPECT_EQ(answer.status(), "blocked");
  EXPECT_EQ(Codes(answer), CodeSet{"canary_mismatch"});
  EXPECT_EQ(answer.smoke().successes(), 1u);
  EXPECT_EQ(rollout_.CheckpointKinds(run_id_), std::vector<std::string>{"smoke_passed"});
}

TEST_F(CanariesTest, ThatNobodyAnswersEndInTime) {
  probe::TestServer silent(
      [](probe::TestServer::Connection& c, const std::string&) { c.AwaitClose(); }, 3);
  std::vector<CheckedCanary> canaries;
  for (int i = 0; i < 3; ++i) {
    canaries.push_back(
        {Good("silent " + std::to_string(i), silent.Url("/")), *probe::ParseMode("get-simple")});
  }
  const BootTime began = SystemClock().Boot();
  const DeadlineBudget budget = *DeadlineBudget::Of(std::chrono::seconds(1));
  auto run = CanaryRun::Begin(rollout_.options().engine, canaries, nullptr, budget);
  ASSERT_TRUE(run.ok()) << run.status();
  auto results = (*run)->Results();
  ASSERT_TRUE(results.ok()) << results.status();
  EXPECT_GE(SystemClock().Boot() - began, budget.check());
  ASSERT_EQ(results->size(), 3u);
  for (const auto& r : *results) {
    EXPECT_EQ(r.status(), "mismatch") << r.ShortDebugString();
    EXPECT_EQ(r.outcome(), "down");
    EXPECT_EQ(r.error_code(), static_cast<int>(probe::ErrorCode::kTimeout));
  }
}

}  // namespace
}  // namespace jetmon::rollout
