// Redirects that lead where no check may go, or nowhere, or round and round.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <string>
#include <thread>
#include <vector>

#include "probe/hostile_fixture.h"
#include "probe/test_dns_server.h"
#include "probe/test_server.h"

namespace jetmon::probe {
namespace {

constexpr char kRefused[] = "safety 302 9 -";

// A server at the one address that is allowed, and one inside that must never be reached.
class HostileRedirectTest : public testing::Test {
 protected:
  HostileRedirectTest() {
    Engine::Options options;
    options.safety = *TargetSafety::FromFlags("public_only", "127.0.0.1");
    options.resolvers = dns_.address();
    engine_ = MakeEngine(options);
  }
  static void AnswerOk(TestServer::Connection& c, const std::string&) {
    c.Send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
  }
  std::string Port() const { return std::to_string(inside_.port()); }
  // Answers with these headers, and the line's end after each.
  void Redirect(const std::string& location, const char* const (&verdicts)[3]) {
    TestServer server([&](TestServer::Connection& c, const std::string&) {
      c.Send("HTTP/1.1 302 Found\r\nLocation: " + location + "\r\nContent-Length: 0\r\n\r\n");
    });
    ExpectVerdicts(*engine_, location, server.Url("/"), verdicts);
  }

  TestDnsServer dns_;
  TestServer inside_{AnswerOk, 1, "127.0.0.2"};
  std::unique_ptr<Engine> engine_;
};

TEST_F(HostileRedirectTest, ToWhereNoCheckMayGo) {
  TestDnsServer::Name inside, mixed, mapped;
  inside.v4 = {"127.0.0.2"};
  mixed.v4 = {"127.0.0.1", "127.0.0.2"};
  mapped.v6 = {"::ffff:127.0.0.2"};
  dns_.Set("inside.example", inside);
  dns_.Set("mixed.example", mixed);
  dns_.Set("mapped.example", mapped);
  for (const std::string& location : std::vector<std::string>{
           "http://127.0.0.2:" + Port() + "/",
           "//127.0.0.2:" + Port() + "/",
           "http://inside.example:" + Port() + "/",
           "http://mixed.example:" + Port() + "/",
           "http://mapped.example:" + Port() + "/",
           "http://[::1]:" + Port() + "/",
           "http://[::ffff:127.0.0.2]:" + Port() + "/",
           "http://[::ffff:7f00:2]:" + Port() + "/",
           "http://[64:ff9b::7f00:2]:" + Port() + "/",
           "http://[2002:7f00:2::]/",
           "http://[::7f00:2]/",
           "http://[fe80::1]/",
           "http://0177.0.0.2:" + Port() + "/",
           "http://2130706434:" + Port() + "/",
           "http://0x7f000002:" + Port() + "/",
           "http://0x7f.0.0.2:" + Port() + "/",
           "http://127.2:" + Port() + "/",
           "http://127.0.0.2.:" + Port() + "/",
           "http://10.0.0.1/",
           "http://169.254.169.254/latest/meta-data/",
           "http://0.0.0.0:" + Port() + "/",
           "http://localhost:" + Port() + "/",
           "http://a.localhost./",
           "http://printer.local/",
           "http://metadata.google.internal/",
           "http://user:pass@127.0.0.1/",
           "https://127.0.0.2:" + Port() + "/",
           "file:///etc/passwd",
           "gopher://127.0.0.1:1/",
           "javascript:alert(1)",
       }) {
    Redirect(location, {kRefused, kRefused, kRefused});
  }
  EXPECT_EQ(inside_.connections(), 0);
}

TEST_F(HostileRedirectTest, ToNowhere) {
  for (const char* location : {"http://", "http:///x", "http://a b/", "http://[::1", "http:x",
                               "http://x:99999/", "http://x:0/"}) {
    Redirect(location, {"up 302 0 success", "down 302 4 redirect", "down 302 4 redirect"});
  }
}

// What a browser or a proxy would take for a second header, or a second request, is none of ours.
TEST_F(HostileRedirectTest, InjectionEndsAsPercentCodes) {
  std::atomic<int> asked{0};
  const std::string injections[] = {"/next\rX-Injected: 1", std::string("/next\0/x", 8), "/next\tX",
                                    "/next X: 1", "/next\x7f\x01\xff"};
  for (const std::string& injection : injections) {
    TestServer server([&](TestServer::Connection& c, const std::string& request) {
      ++asked;
      const size_t line = request.find("\r\n");
      for (const char byte : request.substr(0, line)) EXPECT_GE(byte, ' ') << request;
      EXPECT_EQ(request.find("X-Injected: "), std::string::npos) << request;
      if (request.find(" /next") == std::string::npos) {
        c.Send("HTTP/1.1 302 Found\r\nLocation: " + injection + "\r\nX: y\r\n\r\n");
      } else {
        c.Send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
      }
    });
    ExpectVerdicts(*engine_, injection, server.Url("/"),
                   {"up 200 0 success", "up 200 0 success", "up 200 0 success"});
  }
  EXPECT_EQ(asked, 5 * 3 * 2);
}

TEST_F(HostileRedirectTest, RoundAndRound) {
  TestServer loop([](TestServer::Connection& c, const std::string&) {
    c.Send("HTTP/1.1 301 M\r\nLocation: /\r\nContent-Length: 0\r\n\r\n");
  });
  ExpectVerdicts(*engine_, "a loop", loop.Url("/"),
                 {"up 301 0 success", "down 301 4 redirect", "down 301 4 redirect"});
  EXPECT_EQ(loop.connections(), 3 + 11 + 11);
}

TEST_F(HostileRedirectTest, SlowHopsTogetherPassTheDeadline) {
  std::atomic<int> hops{0};
  TestServer slow([&](TestServer::Connection& c, const std::string&) {
    std::this_thread::sleep_for(std::chrono::milliseconds(80));
    c.Send("HTTP/1.1 302 F\r\nLocation: /" + std::to_string(++hops) +
           "\r\nContent-Length: 0\r\n\r\n");
  });
  CheckRequest request = MakeRequest(slow.Url("/"), "get-simple");
  request.timeout = std::chrono::milliseconds(300);
  const CheckResult r = RunCheck(*engine_, request);
  EXPECT_EQ(r.error_code, ErrorCode::kTimeout) << r.detail;
  EXPECT_LE(r.redirects.size(), 4u);
}

TEST_F(HostileRedirectTest, ChainsByName) {
  TestDnsServer::Name first;
  first.v4 = {"127.0.0.1"};
  first.ttl = 0;
  first.then_v4 = {{"127.0.0.2"}};
  dns_.Set("changing.example", first);
  TestServer* to = nullptr;
  TestServer server([&](TestServer::Connection& c, const std::string&) {
    // Back to the same name, after its answer has run out.
    std::this_thread::sleep_for(std::chrono::milliseconds(1100));
    c.Send("HTTP/1.1 302 F\r\nLocation: http://changing.example:" + std::to_string(to->port()) +
           "/x\r\nContent-Length: 0\r\n\r\n");
  });
  to = &server;
  const CheckResult r = RunCheck(
      *engine_, MakeRequest("http://changing.example:" + std::to_string(server.port()) + "/"));
  EXPECT_EQ(VerdictText(r), kRefused) << r.detail;
  EXPECT_EQ(inside_.connections(), 0);
}

}  // namespace
}  // namespace jetmon::probe
