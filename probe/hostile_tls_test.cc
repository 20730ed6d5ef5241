// Certificates that browsers refuse, and servers that break off or stall in the handshake.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <openssl/ssl.h>
#include <sys/socket.h>

#include <chrono>
#include <string>
#include <thread>

#include "probe/hostile_fixture.h"
#include "probe/test_dns_server.h"
#include "probe/test_tls_server.h"

namespace jetmon::probe {
namespace {

using std::chrono::milliseconds;
using testing::HasSubstr;

constexpr char kOk[] = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
constexpr char kUp[] = "up 200 0 success";
constexpr char kBad[] = "down 0 3 https";
constexpr char kExpired[] = "down 0 6 https";

class HostileTlsTest : public testing::Test {
 protected:
  HostileTlsTest() : root_(MakeCa("Test Root")) {
    Engine::Options options = LabOptions();
    options.ca_file = WriteCertificate(root_, "hostile_root.pem");
    options.resolvers = dns_.address();
    engine_ = MakeEngine(options);
  }
  static void AnswerOk(TestTlsServer::Connection& c, const std::string&) { c.Send(kOk); }
  void Expect(const std::string& what, const TestIdentity& identity,
              const char* const (&verdicts)[3]) {
    TestTlsServer server(identity, AnswerOk);
    ExpectVerdicts(*engine_, what, server.Url("/"), verdicts);
  }
  std::string DetailOf(const TestIdentity& identity) {
    TestTlsServer server(identity, AnswerOk);
    return RunCheck(*engine_, MakeRequest(server.Url("/"), "get-simple")).detail;
  }

  TestDnsServer dns_;
  TestIdentity root_;
  std::unique_ptr<Engine> engine_;
};

TEST_F(HostileTlsTest, Certificates) {
  TestCertificate expired, future, other, weak, sha1, rsa, intermediate_ca;
  expired.from_s = -20 * 86'400;
  expired.until_s = -10 * 86'400;
  future.from_s = 10 * 86'400;
  other.names = {"DNS:other.example", "IP:127.0.0.9"};
  weak.rsa_bits = 1024;
  sha1.sha1 = true;
  rsa.rsa_bits = 2048;
  intermediate_ca.name = "Test Intermediate";
  intermediate_ca.ca = true;
  const TestIdentity intermediate = Issue(root_, intermediate_ca);
  TestIdentity lonely = Issue(intermediate, {});
  lonely.chain.clear();
  TestCertificate old_ca = intermediate_ca;
  old_ca.from_s = expired.from_s;
  old_ca.until_s = expired.until_s;

  Expect("good", Issue(root_, {}), {kUp, kUp, kUp});
  Expect("good RSA", Issue(root_, rsa), {kUp, kUp, kUp});
  Expect("good with an intermediate", Issue(intermediate, {}), {kUp, kUp, kUp});
  Expect("self-signed", MakeSelfSigned({}), {kUp, kBad, kBad});
  Expect("of a CA that is not trusted", Issue(MakeCa("Other Root"), {}), {kUp, kBad, kBad});
  Expect("expired", Issue(root_, expired), {kUp, kExpired, kExpired});
  Expect("by an expired intermediate", Issue(Issue(root_, old_ca), {}), {kUp, kExpired, kExpired});
  Expect("not yet valid", Issue(root_, future), {kUp, kBad, kBad});
  Expect("for another host", Issue(root_, other), {kUp, kBad, kBad});
  Expect("without its intermediate", lonely, {kUp, kBad, kBad});
  Expect("weak key", Issue(root_, weak), {kUp, kBad, kBad});
  Expect("SHA-1", Issue(root_, sha1), {kUp, kBad, kBad});

  EXPECT_THAT(DetailOf(MakeSelfSigned({})), HasSubstr("self-signed"));
  EXPECT_THAT(DetailOf(Issue(root_, expired)), HasSubstr("certificate expired 20"));
  EXPECT_THAT(DetailOf(Issue(Issue(root_, old_ca), {})), HasSubstr("expired in its chain"));
  EXPECT_THAT(DetailOf(Issue(root_, future)), HasSubstr("not valid before 20"));
  EXPECT_THAT(DetailOf(Issue(root_, other)), HasSubstr("other.example"));
  EXPECT_THAT(DetailOf(lonely), HasSubstr("intermediate"));
  EXPECT_THAT(DetailOf(Issue(root_, weak)), HasSubstr("weak"));
}

TEST_F(HostileTlsTest, Names) {
  TestDnsServer::Name here;
  here.v4 = {"127.0.0.1"};
  for (const char* host : {"www.site.example", "site.example", "a.b.site.example"}) {
    dns_.Set(host, here);
  }
  TestCertificate wildcard;
  wildcard.names = {"DNS:*.site.example"};
  TestTlsServer server(Issue(root_, wildcard), AnswerOk);
  const auto url = [&](const std::string& host) {
    return "https://" + host + ":" + std::to_string(server.port()) + "/";
  };
  ExpectVerdicts(*engine_, "by wildcard", url("www.site.example"), {kUp, kUp, kUp});
  EXPECT_EQ(server.last_name(), "www.site.example");
  ExpectVerdicts(*engine_, "with a dot at its end", url("www.site.example."), {kUp, kUp, kUp});
  EXPECT_EQ(server.last_name(), "www.site.example");
  ExpectVerdicts(*engine_, "above the wildcard", url("site.example"), {kUp, kBad, kBad});
  ExpectVerdicts(*engine_, "below the wildcard", url("a.b.site.example"), {kUp, kBad, kBad});
  ExpectVerdicts(*engine_, "by address", server.Url("/"), {kUp, kBad, kBad});
  EXPECT_EQ(server.last_name(), "") << "an address is no server name";
}

// A plain server that plays a broken TLS one.
class RawTlsTest : public HostileTlsTest {
 protected:
  using Raw = std::function<void(TestServer::Connection&)>;
  void ExpectRaw(const std::string& what, Raw raw, const char* verdict,
                 milliseconds timeout = std::chrono::seconds(20)) {
    TestServer server([raw](TestServer::Connection& c, const std::string&) { raw(c); }, 4,
                      "127.0.0.1", TestServer::Reading::kRaw);
    const std::string url = "https" + server.Url("/").substr(4);
    ExpectVerdicts(*engine_, what, url, {verdict, verdict, verdict}, timeout);
  }
  // What a real server says first to this client.
  std::string FirstFlight(TestServer::Connection& c) {
    SSL_CTX* context = SSL_CTX_new(TLS_server_method());
    const TestIdentity identity = Issue(root_, {});
    SSL_CTX_use_certificate(context, identity.certificate.get());
    SSL_CTX_use_PrivateKey(context, identity.key.get());
    SSL* ssl = SSL_new(context);
    BIO* in = BIO_new(BIO_s_mem());
    BIO* out = BIO_new(BIO_s_mem());
    SSL_set_bio(ssl, in, out);
    SSL_set_accept_state(ssl);
    char* data = nullptr;
    long size = 0;
    while (size == 0) {
      char buffer[4096];
      const ssize_t n = recv(c.fd(), buffer, sizeof(buffer), 0);
      if (n <= 0) break;
      BIO_write(in, buffer, static_cast<int>(n));
      SSL_do_handshake(ssl);
      size = BIO_get_mem_data(out, &data);
    }
    const std::string flight(data, static_cast<size_t>(size));
    SSL_free(ssl);
    SSL_CTX_free(context);
    return flight;
  }
};

TEST_F(RawTlsTest, Stalls) {
  constexpr char kStalled[] = "down 0 1 intermittent";
  ExpectRaw(
      "says nothing", [](TestServer::Connection& c) { c.AwaitClose(); }, kStalled,
      milliseconds(300));
  ExpectRaw(
      "says a little",
      [this](TestServer::Connection& c) {
        c.Send(FirstFlight(c).substr(0, 40));
        c.AwaitClose();
      },
      kStalled, milliseconds(300));
  ExpectRaw(
      "says all but its end",
      [this](TestServer::Connection& c) {
        const std::string flight = FirstFlight(c);
        c.Send(flight.substr(0, flight.size() - 10));
        c.AwaitClose();
      },
      kStalled, milliseconds(300));
}

TEST_F(RawTlsTest, BreaksOff) {
  ExpectRaw(
      "closes at once", [](TestServer::Connection&) {}, kBad);
  ExpectRaw(
      "resets at once", [](TestServer::Connection& c) { c.Reset(); }, kBad);
  ExpectRaw(
      "closes in the handshake",
      [this](TestServer::Connection& c) { c.Send(FirstFlight(c).substr(0, 40)); }, kBad);
  ExpectRaw(
      "resets in the handshake",
      [this](TestServer::Connection& c) {
        c.Send(FirstFlight(c).substr(0, 40));
        c.Reset();
      },
      kBad);
  ExpectRaw(
      "speaks HTTP", [](TestServer::Connection& c) { c.Send("HTTP/1.1 400 Bad\r\n\r\n"); }, kBad);
  ExpectRaw(
      "refuses with an alert",
      [](TestServer::Connection& c) {
        c.Send({"\x15\x03\x01\x00\x02\x02\x28", 7});
      },
      kBad);
  ExpectRaw(
      "garbage in records",
      [](TestServer::Connection& c) {
        c.Send(std::string("\x16\x03\x03\xff\xff", 5) + std::string(70'000, 'x'));
        c.AwaitClose();
      },
      kBad);
}

TEST_F(HostileTlsTest, ResetsBehindTheHandshake) {
  TestTlsServer before(Issue(root_, {}),
                       [](TestTlsServer::Connection& c, const std::string&) { c.raw().Reset(); });
  ExpectVerdicts(*engine_, "before the answer", before.Url("/"),
                 {"down 0 2 intermittent", "down 0 2 intermittent", "down 0 2 intermittent"});
  TestTlsServer headers(Issue(root_, {}), [](TestTlsServer::Connection& c, const std::string&) {
    c.Send("HTTP/1.1 200 OK\r\nA: b");
    c.raw().Reset();
  });
  ExpectVerdicts(*engine_, "in the headers", headers.Url("/"),
                 {kUp, "down 200 8 intermittent", "down 200 8 intermittent"});
  TestTlsServer body(Issue(root_, {}), [](TestTlsServer::Connection& c, const std::string&) {
    c.Send("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nok");
    c.raw().Reset();
  });
  ExpectVerdicts(*engine_, "in the body", body.Url("/"), {kUp, kUp, "down 200 8 intermittent"});
  TestTlsServer end(Issue(root_, {}), [](TestTlsServer::Connection& c, const std::string&) {
    c.Send("HTTP/1.1 200 OK\r\n\r\nok");
  });
  ExpectVerdicts(*engine_, "closes without a goodbye", end.Url("/"), {kUp, kUp, kUp});
}

}  // namespace
}  // namespace jetmon::probe
