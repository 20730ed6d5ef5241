// Host names through the engine, with a DNS server of the test's own.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <memory>
#include <string>
#include <vector>

#include "probe/engine.h"
#include "probe/engine_fixture.h"
#include "probe/test_dns_server.h"
#include "probe/test_server.h"

namespace jetmon::probe {
namespace {

using std::chrono::milliseconds;
using testing::HasSubstr;

constexpr char kOk[] = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

class EngineDnsTest : public testing::Test {
 protected:
  std::unique_ptr<Engine> Make(const std::string& allow = "127.0.0.0/8,::1") {
    Engine::Options options;
    options.safety = *TargetSafety::FromFlags("public_only", allow);
    options.resolvers = dns_.address();
    options.clock = &clock_;
    return MakeEngine(options);
  }
  std::string UrlOf(const std::string& host, const TestServer& server) {
    return "http://" + host + ":" + std::to_string(server.port()) + "/";
  }
  static void AnswerOk(TestServer::Connection& c, const std::string&) { c.Send(kOk); }

  JumpingClock clock_;
  TestDnsServer dns_;
  TestServer server_{AnswerOk};
};

TEST_F(EngineDnsTest, ANameIsResolvedAndCached) {
  dns_.Set("site.example", NameAt({"127.0.0.1"}));
  const auto engine = Make();
  for (int i = 0; i < 3; ++i) {
    const CheckResult r = RunCheck(*engine, MakeRequest(UrlOf("Site.Example", server_)));
    EXPECT_EQ(r.outcome, Outcome::kUp) << r.detail;
    EXPECT_EQ(r.address, "127.0.0.1");
    EXPECT_GT(r.timings.dns_us, 0);
  }
  EXPECT_EQ(dns_.queries("site.example", false), 1);
  EXPECT_EQ(dns_.queries("site.example", true), 1);
  EXPECT_THAT(server_.requests()[0],
              HasSubstr("Host: site.example:" + std::to_string(server_.port())));
  clock_.Jump(std::chrono::seconds(301));
  CheckRequest late = MakeRequest(UrlOf("site.example", server_));
  while (RunCheck(*engine, late).outcome == Outcome::kLost) {
  }
  EXPECT_EQ(dns_.queries("site.example", false), 2);
}

TEST_F(EngineDnsTest, WhatDoesNotResolveIsDown) {
  TestDnsServer::Name servfail, refused, garbage;
  servfail.code = 2;
  refused.code = 5;
  garbage.garbage = true;
  dns_.Set("servfail.example", servfail);
  dns_.Set("refused.example", refused);
  dns_.Set("empty.example", NameAt({}));
  const auto engine = Make();
  for (const char* host :
       {"none.example", "servfail.example", "refused.example", "empty.example", "a..b.example",
        "label-of-more-than-sixty-three-bytes-is-no-name-that-"
        "dns-can-carry.example"}) {
    const CheckResult r = RunCheck(*engine, MakeRequest(UrlOf(host, server_)));
    EXPECT_EQ(r.outcome, Outcome::kDown) << host;
    EXPECT_EQ(r.error_code, ErrorCode::kConnect) << host;
    EXPECT_EQ(r.failure_class, "intermittent") << host;
    EXPECT_THAT(r.detail, HasSubstr("dns: "));
    EXPECT_GT(r.started.ns, 0);
  }
  EXPECT_EQ(server_.connections(), 0);
}

TEST_F(EngineDnsTest, ASilentResolverIsATimeout) {
  TestDnsServer::Name silent;
  silent.silent4 = silent.silent6 = true;
  dns_.Set("silent.example", silent);
  const auto engine = Make();
  CheckRequest request = MakeRequest(UrlOf("silent.example", server_));
  request.timeout = milliseconds(300);
  CheckResult r = RunCheck(*engine, request);
  EXPECT_EQ(r.error_code, ErrorCode::kTimeout);
  EXPECT_EQ(r.detail, "timeout in dns");
  request.timeout = std::chrono::seconds(30);
  request.limits.dns = milliseconds(200);
  r = RunCheck(*engine, request);
  EXPECT_EQ(r.error_code, ErrorCode::kTimeout);
  EXPECT_LT(r.timings.total_us, 20'000'000);
}

TEST_F(EngineDnsTest, NoResolverSaysNothingAboutTheSite) {
  Engine::Options options = LabOptions();
  options.resolvers = "127.0.0.1:" + std::to_string(UnusedPort());
  const auto engine = MakeEngine(options);
  const CheckResult r = RunCheck(*engine, MakeRequest("http://site.example/"));
  EXPECT_EQ(r.outcome, Outcome::kLost);
  EXPECT_THAT(r.detail, HasSubstr("dns, here"));
}

TEST_F(EngineDnsTest, OneFamilyMayBeSilent) {
  TestDnsServer::Name half = NameAt({"127.0.0.1"});
  half.silent6 = true;
  dns_.Set("half.example", half);
  const auto engine = Make();
  const CheckResult r = RunCheck(*engine, MakeRequest(UrlOf("half.example", server_)));
  EXPECT_EQ(r.outcome, Outcome::kUp) << r.detail;
  EXPECT_LT(r.timings.dns_us, 4'000'000);
}

TEST_F(EngineDnsTest, TruncatedAnswersComeOverTcpAndAliasesAreFollowed) {
  TestDnsServer::Name large = NameAt({"127.0.0.1"});
  large.truncated = true;
  dns_.Set("large.example", large);
  TestDnsServer::Name alias;
  alias.alias = "target.example";
  dns_.Set("alias.example", alias);
  dns_.Set("target.example", NameAt({"127.0.0.1"}));
  const auto engine = Make();
  for (const char* host : {"large.example", "alias.example", "alias.example."}) {
    const CheckResult r = RunCheck(*engine, MakeRequest(UrlOf(host, server_)));
    EXPECT_EQ(r.outcome, Outcome::kUp) << host << r.detail;
  }
  EXPECT_EQ(dns_.tcp_queries(), 2);  // one a family
}

TEST_F(EngineDnsTest, ANameOneOfWhoseAddressesIsRefusedIsRefused) {
  dns_.Set("mixed.example", NameAt({"127.0.0.1", "10.0.0.1"}));
  dns_.Set("mixed6.example", NameAt({"127.0.0.1"}, {"fd00::1"}));
  dns_.Set("mapped.example", NameAt({"127.0.0.1"}, {"::ffff:127.0.0.1"}));
  dns_.Set("inside.example", NameAt({"192.168.1.1"}));
  const auto engine = Make();
  for (const char* host : {"mixed.example", "mixed6.example", "mapped.example", "inside.example"}) {
    const CheckResult r = RunCheck(*engine, MakeRequest(UrlOf(host, server_)));
    EXPECT_EQ(r.outcome, Outcome::kSafety) << host;
    EXPECT_EQ(r.error_code, ErrorCode::kTargetSafety);
    EXPECT_THAT(r.detail, HasSubstr(host));
  }
  EXPECT_EQ(server_.connections(), 0);
}

TEST_F(EngineDnsTest, ANameThatChangesIsJudgedByWhereItLeadsNow) {
  TestDnsServer::Name rebinding = NameAt({"127.0.0.1"});
  rebinding.ttl = 0;
  rebinding.then_v4 = {{"127.0.0.2"}};
  dns_.Set("rebinding.example", rebinding);
  TestServer inside(AnswerOk, 1, "127.0.0.2");
  const auto engine = Make("127.0.0.1");
  const CheckRequest request = MakeRequest(UrlOf("rebinding.example", server_));
  EXPECT_EQ(RunCheck(*engine, request).outcome, Outcome::kUp);
  // Within its second the first answer holds, and leads to where it was judged.
  CheckResult r = RunCheck(*engine, request);
  for (int i = 0; i < 4 && r.outcome == Outcome::kUp; ++i) {
    EXPECT_EQ(r.address, "127.0.0.1");
    clock_.Jump(milliseconds(300));
    r = RunCheck(*engine, request);
  }
  EXPECT_EQ(r.outcome, Outcome::kSafety) << r.detail;
  EXPECT_EQ(inside.connections(), 0);
}

TEST_F(EngineDnsTest, EachAddressIsTried) {
  dns_.Set("second.example", NameAt({"127.0.0.3", "127.0.0.1"}));
  dns_.Set("v6.example", NameAt({"127.0.0.3"}, {"::1"}));
  dns_.Set("dead.example", NameAt({"127.0.0.3", "127.0.0.4"}));
  TestServer six(AnswerOk, 1, "::1");
  const auto engine = Make();
  CheckResult r = RunCheck(*engine, MakeRequest(UrlOf("second.example", server_)));
  EXPECT_EQ(r.outcome, Outcome::kUp) << r.detail;
  EXPECT_EQ(r.address, "127.0.0.1");
  r = RunCheck(*engine, MakeRequest(UrlOf("v6.example", six)));
  EXPECT_EQ(r.outcome, Outcome::kUp) << r.detail;
  EXPECT_EQ(r.address, "::1");
  r = RunCheck(*engine, MakeRequest(UrlOf("dead.example", server_)));
  EXPECT_EQ(r.outcome, Outcome::kDown);
  EXPECT_EQ(r.error_code, ErrorCode::kConnect);
  EXPECT_EQ(r.address, "127.0.0.4");
}

TEST_F(EngineDnsTest, RedirectsAreResolvedAnew) {
  dns_.Set("next.example", NameAt({"127.0.0.1"}));
  dns_.Set("inside.example", NameAt({"10.0.0.1"}));
  std::string to;
  TestServer first([&](TestServer::Connection& c, const std::string&) {
    c.Send("HTTP/1.1 302 F\r\nContent-Length: 0\r\nLocation: " + to + "\r\n\r\n");
  });
  const auto engine = Make();
  to = UrlOf("next.example", server_);
  EXPECT_EQ(RunCheck(*engine, MakeRequest(first.Url("/"))).outcome, Outcome::kUp);
  to = UrlOf("inside.example", server_);
  EXPECT_EQ(RunCheck(*engine, MakeRequest(first.Url("/"))).outcome, Outcome::kSafety);
  to = UrlOf("none.example", server_);
  EXPECT_EQ(RunCheck(*engine, MakeRequest(first.Url("/"))).error_code, ErrorCode::kConnect);
}

TEST_F(EngineDnsTest, ThousandsOfNamesAtOnceAndFreshPorts) {
  const auto engine = Make();
  std::vector<CheckRequest> requests;
  for (int i = 0; i < 5000; ++i) {
    const std::string host = "n" + std::to_string(i) + ".example";
    if (i % 5 != 0) dns_.Set(host, NameAt({"127.0.0.1"}));
    requests.push_back(MakeRequest(UrlOf(host, server_)));
  }
  int up = 0, down = 0;
  CheckAllOptions all;
  all.concurrency = 2000;
  EXPECT_TRUE(CheckAll(
                  *engine, std::move(requests),
                  [&](const CheckResult& r) {
                    up += r.outcome == Outcome::kUp ? 1 : 0;
                    down += r.outcome == Outcome::kDown ? 1 : 0;
                  },
                  all)
                  .ok());
  EXPECT_EQ(up, 4000);
  EXPECT_EQ(down, 1000);
}

}  // namespace
}  // namespace jetmon::probe
