// HTTPS through the engine, against real servers on loopback.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>

#include "probe/engine.h"
#include "probe/engine_fixture.h"
#include "probe/openssl_client.h"
#include "probe/test_tls_server.h"

namespace jetmon::probe {
namespace {

using testing::HasSubstr;

constexpr char kOk[] = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

class EngineTlsTest : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    root_ = new TestIdentity(MakeCa("Test Root"));
    ca_file_ = new std::string(WriteCertificate(*root_, "root.pem"));
  }
  static void AnswerOk(TestTlsServer::Connection& c, const std::string&) { c.Send(kOk); }

  std::unique_ptr<Engine> Make() {
    Engine::Options options = LabOptions();
    options.ca_file = *ca_file_;
    options.clock = &clock_;
    return MakeEngine(options);
  }

  static TestIdentity* root_;
  static std::string* ca_file_;
  JumpingClock clock_;
};

TestIdentity* EngineTlsTest::root_ = nullptr;
std::string* EngineTlsTest::ca_file_ = nullptr;

TEST_F(EngineTlsTest, UpShowsAllOfIt) {
  TestTlsServer server(Issue(*root_, {}), AnswerOk);
  const auto engine = Make();
  const CheckResult r = RunCheck(*engine, MakeRequest(server.Url("/"), "get-full"));
  EXPECT_EQ(r.outcome, Outcome::kUp) << r.detail;
  EXPECT_EQ(r.http_code, 200);
  EXPECT_EQ(r.tls.version, "TLSv1.3");
  EXPECT_EQ(r.tls.cipher, "TLS_AES_128_GCM_SHA256");
  EXPECT_EQ(r.tls.subject, "127.0.0.1");
  EXPECT_EQ(r.tls.issuer, "Test Root");
  EXPECT_EQ(r.tls.trust, "");
  EXPECT_FALSE(r.tls.resumed);
  EXPECT_NEAR(r.tls.not_after_s, SystemClock().WallMs() / 1000 + 90 * 86400, 60);
  EXPECT_GT(r.timings.tls_us, 0);
  EXPECT_TRUE(r.advisories.empty());
}

TEST_F(EngineTlsTest, ResumesForAnHourAndShowsTheSame) {
  for (const int version : {TLS1_2_VERSION, TLS1_3_VERSION}) {
    TestTlsServer::Options options;
    options.max_version = version;
    TestTlsServer server(Issue(*root_, {}), AnswerOk, options);
    const auto engine = Make();
    const CheckRequest request = MakeRequest(server.Url("/"), "head-simple");
    const CheckResult first = RunCheck(*engine, request);
    for (int i = 0; i < 3; ++i) {
      const CheckResult again = RunCheck(*engine, request);
      EXPECT_EQ(again.outcome, Outcome::kUp) << again.detail;
      EXPECT_TRUE(again.tls.resumed);
      EXPECT_EQ(again.tls.not_after_s, first.tls.not_after_s);
      EXPECT_EQ(again.tls.subject, first.tls.subject);
      EXPECT_EQ(again.tls.trust, "");
    }
    EXPECT_EQ(server.full_handshakes(), 1);
    EXPECT_EQ(server.resumed_handshakes(), 3);
    clock_.Jump(std::chrono::minutes(61));
    RunCheck(*engine, MakeRequest("http://127.0.0.1:1/"));  // lost in the jump, if any is
    EXPECT_FALSE(RunCheck(*engine, request).tls.resumed);
    EXPECT_EQ(server.full_handshakes(), 2);
    EXPECT_EQ(engine->GetStats().full_handshakes, 2);
    EXPECT_EQ(engine->GetStats().resumed_handshakes, 3);
  }
}

TEST_F(EngineTlsTest, LegacyDoesNotJudgeAndLendsNoTrust) {
  TestTlsServer server(MakeSelfSigned({}), AnswerOk);
  const auto engine = Make();
  const CheckResult legacy = RunCheck(*engine, MakeRequest(server.Url("/"), "head-legacy"));
  EXPECT_EQ(legacy.outcome, Outcome::kUp) << legacy.detail;
  EXPECT_EQ(legacy.tls.trust, "not judged");
  EXPECT_TRUE(RunCheck(*engine, MakeRequest(server.Url("/"), "head-legacy")).tls.resumed);
  const CheckResult simple = RunCheck(*engine, MakeRequest(server.Url("/"), "head-simple"));
  EXPECT_EQ(simple.outcome, Outcome::kDown);
  EXPECT_EQ(simple.error_code, ErrorCode::kTls);
  EXPECT_EQ(simple.failure_class, "https");
  EXPECT_THAT(simple.detail, HasSubstr("self-signed"));
  EXPECT_EQ(simple.tls.subject, "127.0.0.1");
}

TEST_F(EngineTlsTest, AfterAFailureTheHandshakeIsFull) {
  std::atomic<int> requests = 0;
  TestTlsServer server(Issue(*root_, {}), [&](TestTlsServer::Connection& c, const std::string&) {
    c.Send(++requests == 2 ? "HTTP/1.1 500 X\r\nContent-Length: 0\r\n\r\n" : kOk);
  });
  const auto engine = Make();
  const CheckRequest request = MakeRequest(server.Url("/"), "head-simple");
  EXPECT_FALSE(RunCheck(*engine, request).tls.resumed);
  EXPECT_EQ(RunCheck(*engine, request).http_code, 500);
  EXPECT_FALSE(RunCheck(*engine, request).tls.resumed);
  EXPECT_TRUE(RunCheck(*engine, request).tls.resumed);
}

TEST_F(EngineTlsTest, AServerThatBreaksOnResumptionIsUp) {
  TestTlsServer::Options options;
  options.refuse_resumption = true;
  TestTlsServer server(Issue(*root_, {}), AnswerOk, options);
  const auto engine = Make();
  const CheckRequest request = MakeRequest(server.Url("/"), "head-simple");
  for (int i = 0; i < 2; ++i) {
    const CheckResult r = RunCheck(*engine, request);
    EXPECT_EQ(r.outcome, Outcome::kUp) << r.detail;
    EXPECT_FALSE(r.tls.resumed);
  }
  EXPECT_EQ(server.connections(), 3);
}

TEST_F(EngineTlsTest, OldVersionsAreUpWithAdvice) {
  for (const int version : {TLS1_VERSION, TLS1_1_VERSION}) {
    TestTlsServer::Options options;
    options.max_version = version;
    TestTlsServer server(Issue(*root_, {}), AnswerOk, options);
    const auto engine = Make();
    const CheckResult r = RunCheck(*engine, MakeRequest(server.Url("/"), "get-full"));
    EXPECT_EQ(r.outcome, Outcome::kUp) << r.detail;
    EXPECT_EQ(r.error_code, ErrorCode::kDeprecatedTls);
    EXPECT_EQ(r.failure_class, "success");
    EXPECT_EQ(r.advisories, std::vector<Advisory>{Advisory::kDeprecatedTls});
  }
}

TEST_F(EngineTlsTest, ACertificateThatExpiresMeanwhileIsSeen) {
  TestCertificate soon;
  soon.until_s = 1800;
  TestTlsServer server(Issue(*root_, soon), AnswerOk);
  const auto engine = Make();
  const CheckRequest request = MakeRequest(server.Url("/"), "head-simple");
  EXPECT_EQ(RunCheck(*engine, request).outcome, Outcome::kUp);
  EXPECT_TRUE(RunCheck(*engine, request).tls.resumed);
  clock_.JumpWall(std::chrono::minutes(31));
  const CheckResult r = RunCheck(*engine, request);
  EXPECT_EQ(r.outcome, Outcome::kDown);
  EXPECT_EQ(r.error_code, ErrorCode::kCertificateExpired) << r.detail;
}

}  // namespace
}  // namespace jetmon::probe
