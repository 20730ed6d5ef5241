// What a request may bring along: a caller, rules, limits of phases.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <future>
#include <memory>
#include <string>
#include <vector>

#include "probe/engine.h"
#include "probe/engine_fixture.h"
#include "probe/hostile_case.h"
#include "probe/test_server.h"

namespace jetmon::probe {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using testing::HasSubstr;
using testing::Not;

constexpr char kOk[] = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

void AnswerOk(TestServer::Connection& c, const std::string&) { c.Send(kOk); }

CheckRequest From(int caller, std::string url) {
  CheckRequest request = MakeRequest(std::move(url));
  request.caller = caller;
  return request;
}

TEST(CallersTest, TakeTurns) {
  std::promise<void> go;
  std::shared_future<void> gone = go.get_future().share();
  TestServer server([gone](TestServer::Connection& c, const std::string& request) {
    if (request.starts_with("HEAD /first ")) gone.wait();
    c.Send(kOk);
  });
  Engine::Options options = LabOptions();
  options.max_concurrent = 1;
  const auto engine = MakeEngine(options);
  std::vector<std::future<CheckResult>> results;
  results.push_back(BeginCheck(*engine, From(0, server.Url("/first"))));
  server.AwaitConnections(1);
  for (int i = 0; i < 20; ++i) {
    results.push_back(BeginCheck(*engine, From(0, server.Url("/many"))));
  }
  results.push_back(BeginCheck(*engine, From(1, server.Url("/one"))));
  results.push_back(BeginCheck(*engine, From(1, server.Url("/two"))));
  go.set_value();
  for (auto& result : results) EXPECT_EQ(result.get().outcome, Outcome::kUp);
  const std::vector<std::string> requests = server.requests();
  const auto place = [&](const std::string& path) {
    return std::find_if(requests.begin(), requests.end(),
                        [&](const std::string& r) { return r.starts_with("HEAD " + path + " "); }) -
           requests.begin();
  };
  EXPECT_LE(place("/one"), 2);
  EXPECT_LE(place("/two"), 4);
}

TEST(CallersTest, OneMayNotTakeAnothersPlaces) {
  TestServer server([](TestServer::Connection& c, const std::string&) { c.AwaitClose(); });
  Engine::Options options = LabOptions();
  options.max_concurrent = 1;
  options.max_queued = 2;
  const auto engine = MakeEngine(options);
  const auto submit = [&](int caller) {
    return engine->Submit(From(caller, server.Url("/")), [](CheckResult) {});
  };
  for (int i = 0; i < 3; ++i) EXPECT_TRUE(submit(3).ok());
  EXPECT_TRUE(absl::IsResourceExhausted(submit(3)));
  for (int i = 0; i < 3; ++i) EXPECT_TRUE(submit(15).ok());
  EXPECT_TRUE(absl::IsResourceExhausted(submit(15)));
  EXPECT_TRUE(absl::IsInvalidArgument(submit(16)));
  EXPECT_TRUE(absl::IsInvalidArgument(submit(-1)));
}

CheckRequest WithHeaders(std::string url, std::vector<Header> headers) {
  CheckRequest request = MakeRequest(std::move(url), "get-full");
  auto rules = std::make_shared<FullRules>();
  rules->headers = std::move(headers);
  request.full = std::move(rules);
  return request;
}

TEST(RulesTest, HeadersAreSentToTheSitesOwnOriginOnly) {
  TestServer other(AnswerOk);
  TestServer site([&](TestServer::Connection& c, const std::string& request) {
    const std::string to = request.starts_with("GET /a ") ? "/b" : other.Url("/c");
    c.Send("HTTP/1.1 302 F\r\nContent-Length: 0\r\nLocation: " + to + "\r\n\r\n");
  });
  const auto engine = MakeEngine();
  const CheckResult result =
      RunCheck(*engine, WithHeaders(site.Url("/a"), {{"X-Key", "secret"}, {"user-agent", "mine"}}));
  EXPECT_EQ(result.outcome, Outcome::kUp) << result.detail;
  ASSERT_EQ(site.requests().size(), 2u);
  for (const std::string& request : site.requests()) {
    EXPECT_THAT(request, HasSubstr("\r\nX-Key: secret\r\n"));
    EXPECT_THAT(request, HasSubstr("\r\nUser-Agent: mine\r\n"));
    EXPECT_THAT(request, HasSubstr("\r\nAccept-Encoding: gzip, deflate\r\n"));
    EXPECT_THAT(request, Not(HasSubstr("jetmon/2.0")));
  }
  ASSERT_EQ(other.requests().size(), 1u);
  EXPECT_THAT(other.requests()[0], Not(HasSubstr("secret")));
  EXPECT_THAT(other.requests()[0], HasSubstr("jetmon/2.0"));
}

TEST(RulesTest, OtherProfilesIgnoreThem) {
  TestServer server(AnswerOk);
  const auto engine = MakeEngine();
  CheckRequest request = WithHeaders(server.Url("/"), {{"X-Key", "secret"}});
  request.mode = *ParseMode("get-simple");
  EXPECT_EQ(RunCheck(*engine, request).outcome, Outcome::kUp);
  EXPECT_THAT(server.requests()[0], Not(HasSubstr("secret")));
  EXPECT_THAT(server.requests()[0], Not(HasSubstr("Accept-Encoding")));
}

TEST(RulesTest, OutOfBoundsIsRefused) {
  const auto engine = MakeEngine();
  const auto refused = [&](FullRules rules) {
    CheckRequest request = MakeRequest("http://127.0.0.1:1/", "get-full");
    request.full = std::make_shared<FullRules>(std::move(rules));
    return absl::IsInvalidArgument(engine->Submit(request, [](CheckResult) {}));
  };
  EXPECT_FALSE(refused({std::string(255, 'k'), {}, RedirectPolicy::kFollow, {}}));
  EXPECT_TRUE(refused({std::string(256, 'k'), {}, RedirectPolicy::kFollow, {}}));
  EXPECT_TRUE(refused({"", {""}, RedirectPolicy::kFollow, {}}));
  EXPECT_TRUE(refused({"", std::vector<std::string>(17, "k"), RedirectPolicy::kFollow, {}}));
  EXPECT_TRUE(refused({"", {}, RedirectPolicy::kFollow, {{"Host", "x"}}}));
  EXPECT_TRUE(refused({"", {}, RedirectPolicy::kFollow, {{"transfer-encoding", "x"}}}));
  EXPECT_TRUE(refused({"", {}, RedirectPolicy::kFollow, {{"X", "a\r\nY: b"}}}));
  EXPECT_TRUE(refused({"", {}, RedirectPolicy::kFollow, {{"X:", "a"}}}));
  EXPECT_TRUE(refused({"", {}, RedirectPolicy::kFollow, {{"", "a"}}}));
  EXPECT_TRUE(refused({"", {}, RedirectPolicy::kFollow, {{"X", std::string(1025, 'v')}}}));
  EXPECT_TRUE(refused({"", {}, RedirectPolicy::kFollow, std::vector<Header>(33, {"X", "v"})}));
}

TEST(PhaseLimitTest, FirstByte) {
  TestServer server([](TestServer::Connection& c, const std::string&) { c.AwaitClose(); });
  const auto engine = MakeEngine();
  CheckRequest request = MakeRequest(server.Url("/"));
  request.limits.first_byte = milliseconds(100);
  const CheckResult result = RunCheck(*engine, request);
  EXPECT_EQ(result.error_code, ErrorCode::kTimeout);
  EXPECT_EQ(result.failure_class, "intermittent");
  EXPECT_LT(result.timings.total_us, 20'000'000);
}

TEST(PhaseLimitTest, FirstByteDoesNotBoundTheRest) {
  TestServer server([](TestServer::Connection& c, const std::string&) {
    c.Send("HTTP/1.1 200 OK\r\n");
    c.AwaitClose();
  });
  const auto engine = MakeEngine();
  CheckRequest request = MakeRequest(server.Url("/"), "get-simple");
  request.limits.first_byte = milliseconds(50);
  request.timeout = milliseconds(400);
  const CheckResult result = RunCheck(*engine, request);
  EXPECT_EQ(result.error_code, ErrorCode::kTimeout);
  EXPECT_GE(result.timings.total_us, 390'000);
}

TEST(PhaseLimitTest, Connect) {
  FullBacklog nobody;
  const auto engine = MakeEngine();
  CheckRequest request = MakeRequest("http://127.0.0.1:" + std::to_string(nobody.port()) + "/");
  request.limits.connect = milliseconds(100);
  const CheckResult result = RunCheck(*engine, request);
  EXPECT_EQ(result.outcome, Outcome::kDown);
  EXPECT_EQ(result.error_code, ErrorCode::kTimeout);
  EXPECT_EQ(result.detail, "timeout in connect");
  EXPECT_LT(result.timings.total_us, 20'000'000);
}

}  // namespace
}  // namespace jetmon::probe
