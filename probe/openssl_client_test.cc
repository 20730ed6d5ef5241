// Whom OpenSslClient trusts and what it shows, against real servers on loopback.
#include "probe/openssl_client.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "probe/tls_client_fixture.h"

namespace jetmon::probe {
namespace {

using Failure = TlsStream::Failure;
using testing::HasSubstr;

constexpr int64_t kDay = 86'400;

class OpenSslClientTest : public TlsClientTest {};

TEST_F(OpenSslClientTest, ShowsWhatItSaw) {
  TestTlsServer server(Issue(*root_, {.name = "shop", .names = {"IP:127.0.0.1"}}), AnswerOk);
  const auto client = Make();
  const TlsSeen seen = Visit(*client, server.port());
  ASSERT_EQ(seen.handshake, Io::kOk) << seen.error;
  EXPECT_EQ(seen.answer, "ok");
  EXPECT_EQ(seen.end, Io::kEnd);
  EXPECT_EQ(seen.failure, Failure::kNone);
  EXPECT_EQ(seen.error, "");
  EXPECT_FALSE(seen.offered);
  EXPECT_EQ(seen.facts.version, "TLSv1.3");
  EXPECT_EQ(seen.facts.cipher, "TLS_AES_128_GCM_SHA256");
  EXPECT_EQ(seen.facts.subject, "shop");
  EXPECT_EQ(seen.facts.issuer, "Test Root");
  EXPECT_EQ(seen.facts.trust, "");
  EXPECT_FALSE(seen.facts.resumed);
  const int64_t now = SystemClock().WallMs() / 1000;
  EXPECT_NEAR(seen.facts.not_before_s, now - kDay, 60);
  EXPECT_NEAR(seen.facts.not_after_s, now + 90 * kDay, 60);
  EXPECT_EQ(server.last_name(), "");  // an address is no SNI
}

TEST_F(OpenSslClientTest, SpeaksEveryVersion) {
  const auto client = Make();
  for (const auto& [version, name] :
       {std::pair{TLS1_VERSION, "TLSv1"}, std::pair{TLS1_1_VERSION, "TLSv1.1"},
        std::pair{TLS1_2_VERSION, "TLSv1.2"}, std::pair{TLS1_3_VERSION, "TLSv1.3"}}) {
    TestTlsServer server(Issue(*root_, {.rsa_bits = 2048}), AnswerOk,
                         {.min_version = version, .max_version = version});
    const TlsSeen seen = Visit(*client, server.port());
    EXPECT_EQ(seen.handshake, Io::kOk) << name << ": " << seen.error;
    EXPECT_EQ(seen.facts.version, name);
    EXPECT_EQ(seen.answer, "ok");
  }
}

TEST_F(OpenSslClientTest, EndsInOrderWithAndWithoutGoodbye) {
  const auto client = Make();
  for (const bool goodbye : {false, true}) {
    TestTlsServer server(Issue(*root_, {}), [&](auto& c, const auto&) {
      c.Send("ok");
      if (goodbye) c.Goodbye();
    });
    const TlsSeen seen = Visit(*client, server.port());
    EXPECT_EQ(seen.answer, "ok");
    EXPECT_EQ(seen.end, Io::kEnd) << goodbye;
  }
}

// One certificate and what must be said of it.
struct Case {
  std::string name;
  TestIdentity shown;
  std::string host;  // asked for
  Failure failure = Failure::kNone;
  std::string error = "";
};

TestIdentity Without(TestIdentity identity) {
  identity.chain.clear();
  return identity;
}

std::vector<Case> TrustedCases(const TestIdentity& root) {
  const TestIdentity middle = Issue(root, {.name = "Middle", .ca = true});
  return {
      {"ecdsa", Issue(root, {}), "127.0.0.1"},
      {"rsa", Issue(root, {.rsa_bits = 2048}), "127.0.0.1"},
      {"intermediate", Issue(middle, {}), "127.0.0.1"},
      {"ipv6", Issue(root, {.names = {"IP:::1"}}), "::1"},
      {"name", Issue(root, {.names = {"DNS:b.example", "DNS:a.example"}}), "a.example"},
      {"capitals", Issue(root, {.names = {"DNS:A.Example"}}), "a.example"},
      {"wildcard", Issue(root, {.names = {"DNS:*.example.org"}}), "a.example.org"},
      {"underscore", Issue(root, {.names = {"DNS:*.example.org"}}), "my_shop.example.org"},
      {"long-lived", Issue(root, {.until_s = 40 * 365 * kDay}), "127.0.0.1"},  // past 2049
  };
}

std::vector<Case> BadCases(const TestIdentity& root) {
  const TestIdentity other = MakeCa("Other Root");
  const TestIdentity middle = Issue(root, {.name = "Middle", .ca = true});
  const TestIdentity old_middle =
      Issue(root, {.name = "Old Middle", .from_s = -9 * kDay, .until_s = -kDay, .ca = true});
  const TestIdentity weak_middle =
      Issue(root, {.name = "Weak Middle", .rsa_bits = 1024, .ca = true});
  const TestIdentity leaf = Issue(root, {.name = "leaf"});
  TestIdentity whole = Issue(other, {});
  whole.chain.push_back(other.certificate);
  constexpr auto kBad = Failure::kCertificate, kExpired = Failure::kCertificateExpired;
  return {
      {"expired", Issue(root, {.from_s = -9 * kDay, .until_s = -kDay}), "127.0.0.1", kExpired,
       "certificate expired 2"},
      {"expired intermediate", Issue(old_middle, {}), "127.0.0.1", kExpired,
       "certificate expired in its chain"},
      {"not yet valid", Issue(root, {.from_s = kDay}), "127.0.0.1", kBad,
       "certificate not valid before 2"},
      {"self-signed", MakeSelfSigned({}), "127.0.0.1", kBad, "self-signed"},
      {"unknown issuer", Issue(other, {}), "127.0.0.1", kBad, "issuer is not known (Other Root)"},
      {"unknown root shown", whole, "127.0.0.1", kBad, "ends in a root that is not trusted"},
      {"missing intermediate", Without(Issue(middle, {})), "127.0.0.1", kBad,
       "issuer is not known (Middle)"},
      {"issued by a leaf", Issue(leaf, {}), "127.0.0.1", kBad, "certificate"},
      {"wrong name", Issue(root, {.names = {"DNS:b.example", "DNS:c.example"}}), "a.example", kBad,
       "certificate is for b.example, c.example, not for a.example"},
      {"wrong address", Issue(root, {.names = {"IP:127.0.0.2", "IP:::1"}}), "127.0.0.1", kBad,
       "certificate is for 127.0.0.2, ::1, not for 127.0.0.1"},
      {"address as a name", Issue(root, {.names = {"DNS:127.0.0.1"}}), "127.0.0.1", kBad,
       "certificate is for 127.0.0.1, not for 127.0.0.1"},
      {"wildcard over two labels", Issue(root, {.names = {"DNS:*.example.org"}}), "a.b.example.org",
       kBad, "not for a.b.example.org"},
      {"underscore by another name", Issue(root, {.names = {"DNS:my-shop.example.org"}}),
       "my_shop.example.org", kBad, "not for my_shop.example.org"},
      {"underscore beyond a wildcard", Issue(root, {.names = {"DNS:*.example.org"}}),
       "my_shop.b.example.org", kBad, "not for my_shop.b.example.org"},
      {"wildcard in part", Issue(root, {.names = {"DNS:a*.example.org"}}), "ab.example.org", kBad,
       "not for ab.example.org"},
      {"weak key", Issue(root, {.rsa_bits = 1024}), "127.0.0.1", kBad, "key is too weak"},
      {"weak key of a CA", Issue(weak_middle, {}), "127.0.0.1", kBad, "key is too weak"},
      {"weak signature", Issue(root, {.sha1 = true}), "127.0.0.1", kBad, "signature is too weak"},
  };
}

TEST_F(OpenSslClientTest, TrustsTheGood) {
  const auto client = Make();
  for (const Case& c : TrustedCases(*root_)) {
    TestTlsServer server(c.shown, AnswerOk);
    const TlsSeen seen = Visit(*client, {.host = c.host}, server.port());
    EXPECT_EQ(seen.handshake, Io::kOk) << c.name << ": " << seen.error;
    EXPECT_EQ(seen.facts.trust, "") << c.name;
    EXPECT_EQ(seen.answer, "ok") << c.name;
    const bool address = c.host == "127.0.0.1" || c.host == "::1";
    EXPECT_EQ(server.last_name(), address ? "" : c.host);
    client->Forget({.host = c.host});
  }
}

TEST_F(OpenSslClientTest, SaysWhatIsWrongWithTheBad) {
  const auto client = Make();
  for (const Case& c : BadCases(*root_)) {
    TestTlsServer server(c.shown, AnswerOk);
    const TlsSeen seen = Visit(*client, {.host = c.host}, server.port());
    EXPECT_EQ(seen.handshake, Io::kError) << c.name;
    EXPECT_EQ(seen.failure, c.failure) << c.name << ": " << seen.error;
    EXPECT_THAT(seen.error, HasSubstr(c.error)) << c.name;
    EXPECT_EQ(seen.facts.trust, seen.error) << c.name;
    EXPECT_LE(seen.error.size(), 200u) << c.name;
    EXPECT_GT(seen.facts.not_after_s, 0) << c.name;
  }
  EXPECT_EQ(client->sessions(), 0u);
}

TEST_F(OpenSslClientTest, LegacyTakesAnyAndReportsIt) {
  const auto client = Make();
  for (const Case& c : BadCases(*root_)) {
    TestTlsServer server(c.shown, AnswerOk);
    const TlsSeen seen = Visit(*client, {.host = c.host, .judge = false}, server.port());
    EXPECT_EQ(seen.handshake, Io::kOk) << c.name << ": " << seen.error;
    EXPECT_EQ(seen.answer, "ok") << c.name;
    EXPECT_EQ(seen.facts.trust, "not judged");
    EXPECT_GT(seen.facts.not_after_s, 0) << c.name;
    client->Forget({.host = c.host, .judge = false});
  }
}

TEST_F(OpenSslClientTest, LegacyTakesKeysOf512Bits) {
  TestTlsServer server(Issue(*root_, {.rsa_bits = 512}), AnswerOk, {.max_version = TLS1_2_VERSION});
  const auto client = Make();
  const TlsSeen seen = Visit(*client, server.port(), false);
  EXPECT_EQ(seen.handshake, Io::kOk) << seen.error;
  const TlsSeen judged = Visit(*client, server.port());
  EXPECT_EQ(judged.failure, Failure::kCertificate);
  EXPECT_THAT(judged.error, HasSubstr("key is too weak"));
}

TEST_F(OpenSslClientTest, ReadsTheDayFromTheClock) {
  TestTlsServer server(Issue(*root_, {}), AnswerOk);
  const auto client = Make();
  clock_.wall = std::chrono::days(89);
  EXPECT_EQ(Visit(*client, server.port()).handshake, Io::kOk);
  clock_.wall = std::chrono::days(91);
  client->Forget({.host = "127.0.0.1", .port = server.port()});
  EXPECT_EQ(Visit(*client, server.port()).failure, Failure::kCertificateExpired);
  clock_.wall = std::chrono::days(-2);
  EXPECT_EQ(Visit(*client, server.port()).failure, Failure::kCertificate);
}

TEST_F(OpenSslClientTest, TextOfAPeerIsOneShortLine) {
  const std::string nasty = "a\nb\x1b[31m" + std::string(50, 'x');
  std::vector<std::string> names;
  for (int i = 0; i < 100; ++i) names.push_back("DNS:" + std::string(60, 'y') + ".example");
  TestTlsServer server(Issue(*root_, {.name = nasty, .names = names}), AnswerOk);
  const TlsSeen seen = Visit(*Make(), {.host = std::string(60, 'z') + ".example"}, server.port());
  EXPECT_EQ(seen.failure, Failure::kCertificate);
  for (const std::string& text : {seen.error, seen.facts.subject, seen.facts.issuer}) {
    EXPECT_LE(text.size(), 200u);
    for (const char c : text) EXPECT_TRUE(c >= ' ' && c <= '~') << text;
  }
  EXPECT_THAT(seen.error, HasSubstr("not for zzz"));
}

absl::Status CreateBy(const std::string& ca_file) {
  return OpenSslClient::Create({.ca_file = ca_file}).status();
}

TEST_F(OpenSslClientTest, RefusesAFileOfNoCas) {
  const std::string folder = testing::TempDir();
  std::ofstream(folder + "/empty.pem") << "";
  std::ofstream(folder + "/text.pem") << "hello\n";
  std::ofstream(folder + "/half.pem") << "-----BEGIN CERTIFICATE-----\nMIIB\n";
  for (const auto& [path, why] : {std::pair{folder + "/none.pem", "No such file or directory"},
                                  std::pair{folder + "/empty.pem", "no certificate"},
                                  std::pair{folder + "/text.pem", "no certificate"},
                                  std::pair{folder + "/half.pem", ""}, std::pair{folder, ""}}) {
    const absl::Status status = CreateBy(path);
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << path;
    EXPECT_THAT(std::string(status.message()), HasSubstr("--ca_file=" + path));
    EXPECT_THAT(std::string(status.message()), HasSubstr(why));
  }
  EXPECT_TRUE(CreateBy(*ca_file_).ok());
}

// The system's store as a folder of hashed names, which is read as CAs are wanted.
class SystemStoreTest : public TlsClientTest {
 protected:
  void SetUp() override {
    folder_ = testing::TempDir() + "/certs";
    std::filesystem::remove_all(folder_);
    std::filesystem::create_directory(folder_);
    setenv("SSL_CERT_DIR", folder_.c_str(), 1);
    setenv("SSL_CERT_FILE", (folder_ + "/none.pem").c_str(), 1);
    char name[32];
    snprintf(name, sizeof(name), "/%08lx.0",
             X509_NAME_hash_ex(X509_get_subject_name(root_->certificate.get()), nullptr, nullptr,
                               nullptr));
    std::filesystem::copy_file(*ca_file_, folder_ + name);
  }
  void TearDown() override {
    unsetenv("SSL_CERT_DIR");
    unsetenv("SSL_CERT_FILE");
  }

  std::string folder_;
};

TEST_F(SystemStoreTest, IsUsedWithoutAFile) {
  TestTlsServer server(Issue(*root_, {}), AnswerOk);
  TestTlsServer stranger(Issue(MakeCa("Other Root"), {}), AnswerOk);
  auto client = OpenSslClient::Create({});
  ASSERT_TRUE(client.ok()) << client.status();
  EXPECT_EQ(Visit(**client, server.port()).handshake, Io::kOk);
  EXPECT_EQ(Visit(**client, stranger.port()).failure, Failure::kCertificate);
}

TEST_F(SystemStoreTest, WithoutADescriptorTheFaultIsOurs) {
  TestTlsServer server(Issue(*root_, {}), AnswerOk);
  auto client = OpenSslClient::Create({});
  ASSERT_TRUE(client.ok()) << client.status();
  const auto connection = ConnectTo(server.port());
  rlimit before{}, now{};
  getrlimit(RLIMIT_NOFILE, &before);
  server.AwaitConnections(1);
  now = before;
  now.rlim_cur = 0;  // what is open stays open
  setrlimit(RLIMIT_NOFILE, &now);
  const TlsSeen seen = Converse(**client, {.host = "127.0.0.1"}, *connection, *connection);
  setrlimit(RLIMIT_NOFILE, &before);
  EXPECT_EQ(seen.handshake, Io::kError);
  EXPECT_EQ(seen.failure, Failure::kLocal) << seen.error;
  EXPECT_THAT(seen.error, HasSubstr("Too many open files"));
  EXPECT_EQ(Visit(**client, server.port()).handshake, Io::kOk);
}

}  // namespace
}  // namespace jetmon::probe
