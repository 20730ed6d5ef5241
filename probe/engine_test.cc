#include "probe/engine.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <string>
#include <vector>

#include "probe/engine_fixture.h"
#include "probe/test_server.h"

namespace jetmon::probe {
namespace {

using std::chrono::milliseconds;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::StartsWith;

TestServer::Handler Answer(std::string text) {
  return [text = std::move(text)](TestServer::Connection& connection, const std::string&) {
    connection.Send(text);
  };
}

TEST(EngineTest, UpTellsAllOfIt) {
  TestServer server(Answer("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"));
  const auto engine = MakeEngine();
  const BootTime before = SystemClock().Boot();
  const CheckResult result = RunCheck(*engine, MakeRequest(server.Url("/s/7?a=b")));
  EXPECT_EQ(result.site_id, 42u);
  EXPECT_EQ(result.outcome, Outcome::kUp);
  EXPECT_EQ(result.http_code, 200);
  EXPECT_EQ(result.error_code, ErrorCode::kNone);
  EXPECT_EQ(result.failure_class, "success");
  EXPECT_EQ(result.method, Method::kHead);
  EXPECT_EQ(result.profile, Profile::kLegacy);
  EXPECT_EQ(result.address, "127.0.0.1");
  EXPECT_TRUE(result.redirects.empty());
  EXPECT_GE(result.started, before);
  EXPECT_LE(result.started, SystemClock().Boot());
  EXPECT_EQ(result.timings.dns_us, 0);
  EXPECT_GT(result.timings.ttfb_us, 0);
  EXPECT_GE(result.timings.total_us, result.timings.connect_us);
  const std::string host = "127.0.0.1:" + std::to_string(server.port());
  EXPECT_THAT(server.requests(),
              ElementsAre("HEAD /s/7?a=b HTTP/1.1\r\nHost: " + host +
                          "\r\nUser-Agent: jetmon/2.0 (Jetpack Site Uptime Monitor by "
                          "WordPress.com)\r\nAccept: */*\r\nConnection: close\r\n\r\n"));
}

TEST(EngineTest, CodesAndClasses) {
  struct Case {
    int code;
    Outcome outcome;
    const char* failure_class;
  };
  const auto engine = MakeEngine();
  for (const Case& c : {Case{204, Outcome::kUp, "success"}, Case{399, Outcome::kUp, "success"},
                        Case{403, Outcome::kDown, "blocked"}, Case{404, Outcome::kDown, "client"},
                        Case{500, Outcome::kDown, "server"}, Case{503, Outcome::kDown, "server"}}) {
    TestServer server(Answer("HTTP/1.1 " + std::to_string(c.code) + " X\r\n\r\nbody"));
    for (const char* mode : {"head-legacy", "head-simple", "get-legacy", "get-simple"}) {
      const CheckResult result = RunCheck(*engine, MakeRequest(server.Url("/"), mode));
      EXPECT_EQ(result.outcome, c.outcome) << c.code << " " << mode;
      EXPECT_EQ(result.http_code, c.code);
      EXPECT_EQ(result.failure_class, c.failure_class);
      EXPECT_EQ(result.error_code, ErrorCode::kNone);
      EXPECT_EQ(ModeName({result.method, result.profile}), mode);
    }
    EXPECT_THAT(server.requests()[0], StartsWith("HEAD "));
    EXPECT_THAT(server.requests()[3], StartsWith("GET "));
  }
}

TEST(EngineTest, OddButLivingServersAreUp) {
  const auto engine = MakeEngine();
  for (const char* text :
       {"HTTP/1.1 200\r\n\r\n", "HTTP/1.0 200OK\n\n",
        "HTTP/1.1 100 C\r\n\r\nHTTP/1.1 200 OK\r\nno colon\r\nA B: c\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n"
        "1\r\na\r\n0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nServer: x\r\n"}) {
    TestServer server(Answer(text));
    for (const char* mode : {"head-legacy", "get-simple"}) {
      const CheckResult result = RunCheck(*engine, MakeRequest(server.Url("/"), mode));
      EXPECT_EQ(result.outcome, Outcome::kUp) << text << result.detail;
    }
  }
}

TEST(EngineTest, LongBodiesAreReadToTheBoundOnly) {
  const std::string body(1 << 20, 'x');
  TestServer server(Answer("HTTP/1.1 200 OK\r\nContent-Length: 99999999\r\n\r\n" + body));
  const auto engine = MakeEngine();
  EXPECT_EQ(RunCheck(*engine, MakeRequest(server.Url("/"), "get-simple")).outcome, Outcome::kUp);
}

TEST(EngineTest, RefusedIsDown) {
  const auto engine = MakeEngine();
  const std::string url = "http://127.0.0.1:" + std::to_string(UnusedPort()) + "/";
  const CheckResult result = RunCheck(*engine, MakeRequest(url));
  EXPECT_EQ(result.outcome, Outcome::kDown);
  EXPECT_EQ(result.http_code, 0);
  EXPECT_EQ(result.error_code, ErrorCode::kConnect);
  EXPECT_EQ(result.failure_class, "intermittent");
  EXPECT_THAT(result.detail, HasSubstr("refused"));
}

TEST(EngineTest, NoUsableAnswerIsDown) {
  const auto engine = MakeEngine();
  TestServer reset([](TestServer::Connection& c, const std::string&) { c.Reset(); });
  TestServer closed(Answer(""));
  TestServer ssh(Answer("SSH-2.0-OpenSSH_9.2\r\n"));
  for (const TestServer* server : {&reset, &closed, &ssh}) {
    const CheckResult result = RunCheck(*engine, MakeRequest(server->Url("/")));
    EXPECT_EQ(result.outcome, Outcome::kDown);
    EXPECT_EQ(result.error_code, ErrorCode::kConnect) << result.detail;
    EXPECT_EQ(result.failure_class, "intermittent");
    EXPECT_FALSE(result.detail.empty());
  }
}

TEST(EngineTest, AServerThatNeverAnswersTimesOut) {
  TestServer server([](TestServer::Connection& c, const std::string&) { c.AwaitClose(); });
  const auto engine = MakeEngine();
  CheckRequest request = MakeRequest(server.Url("/"));
  request.timeout = milliseconds(150);
  const CheckResult result = RunCheck(*engine, request);
  EXPECT_EQ(result.outcome, Outcome::kDown);
  EXPECT_EQ(result.error_code, ErrorCode::kTimeout);
  EXPECT_EQ(result.failure_class, "intermittent");
  EXPECT_GE(result.timings.total_us, 150'000);
}

// The timeout is for the whole check: bytes that trickle in don't prolong it.
TEST(EngineTest, AServerThatTricklesTimesOut) {
  TestServer server([](TestServer::Connection& c, const std::string&) {
    std::mutex mutex;
    std::unique_lock lock(mutex);
    std::condition_variable never;
    for (const char byte : std::string("HTTP/1.1 200 OK\r\n\r\n")) {
      if (!c.Send({&byte, 1})) return;
      never.wait_for(lock, milliseconds(50));
    }
  });
  const auto engine = MakeEngine();
  CheckRequest request = MakeRequest(server.Url("/"));
  request.timeout = milliseconds(300);
  const CheckResult result = RunCheck(*engine, request);
  EXPECT_EQ(result.outcome, Outcome::kDown);
  EXPECT_EQ(result.error_code, ErrorCode::kTimeout);
  EXPECT_GT(result.timings.ttfb_us, 0);
}

TEST(EngineTest, EndlessHeaders) {
  TestServer server([](TestServer::Connection& c, const std::string&) {
    c.Send("HTTP/1.1 200 OK\r\n");
    while (c.Send("X-Filler: " + std::string(1000, 'x') + "\r\n")) {
    }
  });
  const auto engine = MakeEngine();
  EXPECT_EQ(RunCheck(*engine, MakeRequest(server.Url("/"), "head-legacy")).outcome, Outcome::kUp);
  const CheckResult simple = RunCheck(*engine, MakeRequest(server.Url("/"), "head-simple"));
  EXPECT_EQ(simple.outcome, Outcome::kDown);
  EXPECT_EQ(simple.http_code, 200);
  EXPECT_EQ(simple.error_code, ErrorCode::kBodyRead);
}

// /r/N redirects N times and then answers 404, so that it shows whether the end was reached.
void AnswerChain(TestServer::Connection& c, const std::string& request) {
  const int left = std::stoi(request.substr(request.find("/r/") + 3));
  if (left == 0) {
    c.Send("HTTP/1.1 404 Not Found\r\n\r\n");
  } else {
    const char* form = left % 2 == 0 ? "/r/" : "";  // absolute path and relative by turns
    c.Send("HTTP/1.1 302 Found\r\nLocation: " + (form + std::to_string(left - 1)) + "\r\n\r\n");
  }
}

TEST(EngineTest, RedirectChainsLegacy) {
  TestServer server(AnswerChain);
  const auto engine = MakeEngine();
  for (int n = 0; n <= 4; ++n) {
    const CheckResult result =
        RunCheck(*engine, MakeRequest(server.Url("/r/" + std::to_string(n)), "head-legacy"));
    EXPECT_EQ(result.outcome, n <= 2 ? Outcome::kDown : Outcome::kUp) << n;
    EXPECT_EQ(result.http_code, n <= 2 ? 404 : 302) << n;
    EXPECT_EQ(result.redirects.size(), static_cast<size_t>(std::min(n, 2))) << n;
  }
  EXPECT_EQ(server.requests().size(), 1u + 2 + 3 + 3 + 3);
}

TEST(EngineTest, RedirectChainsSimple) {
  TestServer server(AnswerChain);
  const auto engine = MakeEngine();
  for (const int n : {0, 1, 2, 3, 4, 10, 11}) {
    const CheckResult result =
        RunCheck(*engine, MakeRequest(server.Url("/r/" + std::to_string(n)), "get-simple"));
    EXPECT_EQ(result.outcome, Outcome::kDown) << n;
    EXPECT_EQ(result.error_code, n <= 10 ? ErrorCode::kNone : ErrorCode::kRedirect) << n;
    EXPECT_EQ(result.failure_class, n <= 10 ? "client" : "redirect") << n;
    EXPECT_EQ(result.redirects.size(), static_cast<size_t>(std::min(n, 10))) << n;
    if (n > 0) {
      EXPECT_EQ(result.redirects[0], server.Url("/r/" + std::to_string(n - 1)));
    }
  }
}

TEST(EngineTest, RedirectsAreJudgedBeforeTheNextPacket) {
  const auto engine = MakeEngine();
  struct Case {
    const char* location;
    Outcome outcome;
    const char* detail;
  };
  for (const Case& c : {Case{"http://10.0.0.1/", Outcome::kSafety, "private"},
                        Case{"http://169.254.169.254/latest", Outcome::kSafety, "metadata"},
                        Case{"http://2130706433/", Outcome::kSafety, "numeric"},
                        Case{"http://localhost/", Outcome::kSafety, "local name"},
                        Case{"https://localhost/", Outcome::kSafety, "local name"},
                        Case{"https://10.0.0.1/", Outcome::kSafety, "private"},
                        Case{"ftp://127.0.0.1/", Outcome::kSafety, "scheme"}}) {
    TestServer server(
        Answer(std::string("HTTP/1.1 301 M\r\nLocation: ") + c.location + "\r\n\r\n"));
    for (const char* mode : {"head-legacy", "get-simple"}) {
      const CheckResult result = RunCheck(*engine, MakeRequest(server.Url("/"), mode));
      EXPECT_EQ(result.outcome, c.outcome) << c.location;
      EXPECT_THAT(result.detail, HasSubstr(c.detail));
      EXPECT_EQ(result.error_code, ErrorCode::kTargetSafety);
      EXPECT_EQ(result.failure_class, "");
    }
  }
}

TEST(EngineTest, RefusedBeforeAnyPacket) {
  const auto strict = MakeEngine(Engine::Options());
  TestServer server(Answer("HTTP/1.1 200 OK\r\n\r\n"));
  EXPECT_EQ(RunCheck(*strict, MakeRequest(server.Url("/"))).outcome, Outcome::kSafety);
  const auto engine = MakeEngine();
  const std::string port = std::to_string(server.port());
  struct Case {
    std::string url;
    const char* mode;
    Outcome outcome;
  };
  for (const Case& c :
       {Case{"https://10.0.0.1:" + port, "head-legacy", Outcome::kSafety},
        Case{"http://localhost:" + port, "head-legacy", Outcome::kSafety},
        Case{"http://a@127.0.0.1:" + port, "head-legacy", Outcome::kSafety},
        Case{"", "head-legacy", Outcome::kSafety},
        Case{"http://1.2.3.4/" + std::string(5000, 'x'), "head-legacy", Outcome::kSafety}}) {
    const CheckResult result = RunCheck(*engine, MakeRequest(c.url, c.mode));
    EXPECT_EQ(result.outcome, c.outcome) << c.url;
    EXPECT_EQ(result.started.ns, 0);
    EXPECT_EQ(result.address, "");
    EXPECT_LE(result.detail.size(), 200u);
  }
  EXPECT_EQ(server.connections(), 0);
  EXPECT_FALSE(server.HasWaiting());
}

TEST(EngineTest, SourceAddressIsBound) {
  TestServer server(Answer("HTTP/1.1 200 OK\r\n\r\n"));
  Engine::Options options = LabOptions();
  options.source_address = "127.0.1.77";
  const auto engine = MakeEngine(std::move(options));
  EXPECT_EQ(RunCheck(*engine, MakeRequest(server.Url("/"))).outcome, Outcome::kUp);
  EXPECT_THAT(server.peers(), ElementsAre("127.0.1.77"));
}

// An address that this machine has not is this machine's fault: no verdict about the site.
TEST(EngineTest, LocalFaultsAreNoVerdict) {
  TestServer server(Answer("HTTP/1.1 200 OK\r\n\r\n"));
  Engine::Options options = LabOptions();
  options.source_address = "192.0.2.1";
  const auto engine = MakeEngine(std::move(options));
  const CheckResult result = RunCheck(*engine, MakeRequest(server.Url("/")));
  EXPECT_EQ(result.outcome, Outcome::kLost);
  EXPECT_EQ(result.error_code, ErrorCode::kNone);
  EXPECT_EQ(engine->GetStats().lost, 1);
}

TEST(EngineTest, DetailIsPlainText) {
  TestServer server(Answer("HTTP/1.1 301 M\r\nLocation: http://\xff\x1b[31m/\r\n\r\n"));
  const auto engine = MakeEngine();
  const CheckResult result = RunCheck(*engine, MakeRequest(server.Url("/"), "get-simple"));
  for (const unsigned char c : result.detail) EXPECT_TRUE(c >= ' ' && c <= '~');
}

TEST(EngineTest, RefusesBadOptions) {
  for (const auto& spoil : std::vector<std::function<void(Engine::Options*)>>{
           [](Engine::Options* o) { o->reactors = 0; },
           [](Engine::Options* o) { o->reactors = 65; },
           [](Engine::Options* o) { o->max_concurrent = 0; },
           [](Engine::Options* o) { o->max_queued = -1; },
           [](Engine::Options* o) { o->source_address = "localhost"; }}) {
    Engine::Options options;
    spoil(&options);
    EXPECT_TRUE(absl::IsInvalidArgument(Engine::Create(std::move(options)).status()));
  }
}

TEST(EngineTest, RefusesBadRequests) {
  const auto engine = MakeEngine();
  const auto never = [](const CheckResult&) { FAIL(); };
  CheckRequest no_time = MakeRequest("http://127.0.0.1/");
  no_time.timeout = milliseconds(0);
  EXPECT_TRUE(absl::IsInvalidArgument(engine->Submit(no_time, never)));
  CheckRequest smuggler = MakeRequest("http://127.0.0.1/");
  smuggler.user_agent = "x\r\nX-Evil: 1";
  EXPECT_TRUE(absl::IsInvalidArgument(engine->Submit(smuggler, never)));
  EXPECT_TRUE(absl::IsInvalidArgument(engine->Submit(MakeRequest("http://127.0.0.1/"), nullptr)));
}

}  // namespace
}  // namespace jetmon::probe
