// Which sessions OpenSslClient keeps, offers and lets go.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <string>
#include <thread>
#include <vector>

#include "probe/tls_client_fixture.h"

namespace jetmon::probe {
namespace {

using Failure = TlsStream::Failure;

class OpenSslResumptionTest : public TlsClientTest {
 protected:
  const TlsTarget target_{.host = "127.0.0.1"};
};

TestTlsServer::Options SessionIds() {
  return {.max_version = TLS1_2_VERSION,
          .prepare = [](SSL_CTX* context) { SSL_CTX_set_options(context, SSL_OP_NO_TICKET); }};
}

TEST_F(OpenSslResumptionTest, ResumesAndShowsTheSame) {
  for (const TestTlsServer::Options& options :
       {TestTlsServer::Options{}, TestTlsServer::Options{.max_version = TLS1_2_VERSION},
        SessionIds(), TestTlsServer::Options{.max_version = TLS1_VERSION}}) {
    TestTlsServer server(Issue(*root_, {.name = "shop", .rsa_bits = 2048}), AnswerOk, options);
    const auto client = Make();
    const TlsSeen full = Visit(*client, target_, server.port());
    EXPECT_FALSE(full.facts.resumed);
    EXPECT_EQ(client->sessions(), 1u);
    for (int i = 0; i < 3; ++i) {
      const TlsSeen again = Visit(*client, target_, server.port());
      EXPECT_EQ(again.answer, "ok") << again.error;
      EXPECT_TRUE(again.offered);
      EXPECT_TRUE(again.facts.resumed) << full.facts.version;
      EXPECT_EQ(again.facts.version, full.facts.version);
      EXPECT_EQ(again.facts.cipher, full.facts.cipher);
      EXPECT_EQ(again.facts.subject, "shop");
      EXPECT_EQ(again.facts.issuer, "Test Root");
      EXPECT_EQ(again.facts.not_before_s, full.facts.not_before_s);
      EXPECT_EQ(again.facts.not_after_s, full.facts.not_after_s);
      EXPECT_EQ(again.facts.trust, "");
    }
    EXPECT_EQ(server.full_handshakes(), 1);
    EXPECT_EQ(client->sessions(), 1u);
  }
}

TEST_F(OpenSslResumptionTest, IsForOneTargetAndOneWayToJudge) {
  TestTlsServer server(Issue(*root_, {.names = {"IP:127.0.0.1", "DNS:a.example"}}), AnswerOk);
  const auto client = Make();
  const TlsTarget targets[] = {{.host = "127.0.0.1"},
                               {.host = "127.0.0.1", .judge = false},
                               {.host = "127.0.0.1", .port = 8443},
                               {.host = "a.example"}};
  for (const TlsTarget& target : targets) {
    EXPECT_FALSE(Visit(*client, target, server.port()).offered);
  }
  for (const TlsTarget& target : targets) {
    const TlsSeen seen = Visit(*client, target, server.port());
    EXPECT_TRUE(seen.facts.resumed);
    EXPECT_EQ(seen.facts.trust, target.judge ? "" : "not judged");
  }
  client->Forget(targets[0]);
  EXPECT_FALSE(Visit(*client, targets[0], server.port()).offered);
  EXPECT_TRUE(Visit(*client, targets[1], server.port()).offered);
}

TEST_F(OpenSslResumptionTest, EndsAnHourAfterTheFullHandshake) {
  for (const int version : {TLS1_2_VERSION, TLS1_3_VERSION}) {
    TestTlsServer server(Issue(*root_, {}), AnswerOk, {.max_version = version});
    const auto client = Make();
    clock_.boot = std::chrono::minutes(0);
    Visit(*client, target_, server.port());
    // New tickets come meanwhile, and the wall clock is set: neither makes it longer or shorter.
    for (const int minute : {20, 40, 59}) {
      clock_.boot = std::chrono::minutes(minute);
      clock_.wall = std::chrono::days(minute);
      EXPECT_TRUE(Visit(*client, target_, server.port()).facts.resumed) << minute;
    }
    clock_.boot = std::chrono::minutes(60);
    EXPECT_FALSE(Visit(*client, target_, server.port()).offered);
    clock_.boot = std::chrono::minutes(119);
    EXPECT_TRUE(Visit(*client, target_, server.port()).facts.resumed);
    clock_.wall = std::chrono::days(0);
  }
}

TEST_F(OpenSslResumptionTest, ACertificateThatExpiresMeanwhileIsSeen) {
  TestTlsServer server(Issue(*root_, {}), AnswerOk);
  const auto client = Make();
  Visit(*client, target_, server.port());
  TlsTarget unjudged = target_;
  unjudged.judge = false;
  Visit(*client, unjudged, server.port());
  clock_.wall = std::chrono::days(90) + std::chrono::seconds(1);
  const TlsSeen seen = Visit(*client, target_, server.port());
  EXPECT_FALSE(seen.offered);
  EXPECT_EQ(seen.failure, Failure::kCertificateExpired);
  EXPECT_TRUE(Visit(*client, unjudged, server.port()).facts.resumed);
}

// The server behind a name has changed: the offer is declined, and what is shown is judged.
TEST_F(OpenSslResumptionTest, ADeclinedOfferIsAFullHandshake) {
  for (const int version : {TLS1_2_VERSION, TLS1_3_VERSION}) {
    TestTlsServer before(Issue(*root_, {}), AnswerOk, {.max_version = version});
    TestTlsServer good(Issue(*root_, {.name = "other"}), AnswerOk, {.max_version = version});
    TestTlsServer bad(MakeSelfSigned({}), AnswerOk, {.max_version = version});
    const auto client = Make();
    Visit(*client, target_, before.port());
    clock_.boot = std::chrono::minutes(30);
    const TlsSeen other = Visit(*client, target_, good.port());
    EXPECT_TRUE(other.offered);
    EXPECT_FALSE(other.facts.resumed);
    EXPECT_EQ(other.facts.subject, "other");
    clock_.boot = std::chrono::minutes(80);  // the hour counts from there
    EXPECT_TRUE(Visit(*client, target_, good.port()).facts.resumed);
    EXPECT_EQ(Visit(*client, target_, bad.port()).failure, Failure::kCertificate);
    EXPECT_EQ(client->sessions(), 0u);
    clock_.boot = std::chrono::minutes(0);
  }
}

TEST_F(OpenSslResumptionTest, AFailedHandshakeDropsTheSession) {
  TestTlsServer before(Issue(*root_, {}), AnswerOk);
  TestTlsServer refusing(Issue(*root_, {}), AnswerOk, {.refuse_resumption = true});
  const auto client = Make();
  Visit(*client, target_, before.port());
  const TlsSeen seen = Visit(*client, target_, refusing.port());
  EXPECT_TRUE(seen.offered);
  EXPECT_EQ(seen.failure, Failure::kProtocol);
  EXPECT_EQ(client->sessions(), 0u);
  EXPECT_EQ(Visit(*client, target_, refusing.port()).handshake, Io::kOk);
}

TEST_F(OpenSslResumptionTest, KeepsNothingWithoutATicketOrOfOneTooBig) {
  const auto client = Make();
  TestTlsServer none(Issue(*root_, {}), AnswerOk, {.tickets = false});
  EXPECT_EQ(Visit(*client, target_, none.port()).answer, "ok");
  EXPECT_EQ(client->sessions(), 0u);
  const auto fill = [](SSL* ssl, void*) {
    const std::string data(8192, 'x');
    return SSL_SESSION_set1_ticket_appdata(SSL_get_session(ssl), data.data(), data.size());
  };
  TestTlsServer big(Issue(*root_, {}), AnswerOk, {.prepare = [&](SSL_CTX* context) {
                      SSL_CTX_set_session_ticket_cb(
                          context, fill,
                          [](SSL*, SSL_SESSION*, const unsigned char*, size_t, SSL_TICKET_STATUS,
                             void*) { return SSL_TICKET_RETURN_USE; },
                          nullptr);
                    }});
  EXPECT_EQ(Visit(*client, target_, big.port()).answer, "ok");
  EXPECT_EQ(client->sessions(), 0u);
}

TEST_F(OpenSslResumptionTest, KeepsSoManyAtMost) {
  TestTlsServer server(Issue(*root_, {}), AnswerOk);
  const auto client = Make(2);
  for (int round = 0; round < 2; ++round) {
    for (uint16_t port = 1; port <= 3; ++port) {
      const TlsSeen seen = Visit(*client, {.host = "127.0.0.1", .port = port}, server.port());
      EXPECT_EQ(seen.facts.resumed, round == 1 && port <= 2) << round << " " << port;
    }
  }
  EXPECT_EQ(client->sessions(), 2u);
  const auto none = Make(0);
  Visit(*none, target_, server.port());
  EXPECT_FALSE(Visit(*none, target_, server.port()).offered);
}

TEST_F(OpenSslResumptionTest, ReactorsShareIt) {
  TestTlsServer server(Issue(*root_, {}), AnswerOk, {.workers = 4});
  const auto client = Make(4);
  std::atomic<int> good{0};
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&] {
      for (uint16_t i = 0; i < 20; ++i) {
        const TlsTarget target{.host = "127.0.0.1", .port = static_cast<uint16_t>(i % 6)};
        if (Visit(*client, target, server.port()).answer == "ok") ++good;
        if (i % 7 == 0) client->Forget(target);
      }
    });
  }
  for (std::thread& t : threads) t.join();
  EXPECT_EQ(good, 80);
  EXPECT_EQ(server.full_handshakes() + server.resumed_handshakes(), 80);
  EXPECT_LE(client->sessions(), 4u);
  // None of them has left it broken: where there is a place, a session is kept and resumed.
  for (uint16_t port = 0; port < 6; ++port) client->Forget({.host = "127.0.0.1", .port = port});
  EXPECT_EQ(client->sessions(), 0u);
  const TlsTarget after{.host = "127.0.0.1", .port = 9};
  EXPECT_FALSE(Visit(*client, after, server.port()).facts.resumed);
  EXPECT_TRUE(Visit(*client, after, server.port()).facts.resumed);
}

}  // namespace
}  // namespace jetmon::probe
