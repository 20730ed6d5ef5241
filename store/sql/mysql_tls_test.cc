// Plain text is never what was not asked for. tests/conformance makes the certificates and starts
// three servers: as usual (without TLS), and in
//   JETMON_TEST_TLS_PORT        one whose certificate is of that CA and for 127.0.0.1 and localhost
//   JETMON_TEST_TLS_OTHER_PORT  one whose certificate is of the same CA, for another name
//   JETMON_TEST_TLS             the folder with ca.pem, unknown-ca.pem, client.pem, client.key
#include <stdlib.h>

#include <fstream>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "store/sql/test_server.h"

namespace jetmon::sql {
namespace {

using Tls = ServerOptions::Tls;

class MysqlTlsTest : public ServerTest {
 protected:
  DatabaseUrl At(const char* port) const {
    DatabaseUrl url = Url();
    int number = 0;
    EXPECT_TRUE(absl::SimpleAtoi(getenv(port), &number));
    url.hosts[0].port = static_cast<uint16_t>(number);
    return url;
  }
  static std::string File(const std::string& name) {
    return absl::StrCat(getenv("JETMON_TEST_TLS"), "/", name);
  }
  static Options Verify(const std::string& ca) {
    Options options;
    options.server.tls = Tls::kVerify;
    options.server.tls_ca = ca;
    options.server.connect_limit = std::chrono::seconds(3);
    return options;
  }
  // "" = plain text.
  static std::string Cipher(Database& db) {
    std::string cipher = "?";
    const absl::Status s = db.Read([&](Transaction& tx) {
      return tx.Query("SHOW SESSION STATUS LIKE 'Ssl_cipher'", {}, [&](const Row& row) {
        cipher = row.Text(1);
        return absl::OkStatus();
      });
    });
    EXPECT_TRUE(s.ok()) << s;
    return cipher;
  }
  static void ExpectRefused(const absl::Status& s) {
    EXPECT_TRUE(absl::IsUnavailable(s)) << s;
    EXPECT_TRUE(absl::StrContains(s.message(), "no verified TLS")) << s << EngineText(s);
    EXPECT_TRUE(absl::StrContains(s.message(), "--database_tls_ca")) << s;
    EXPECT_EQ(s.message().find('\n'), absl::string_view::npos);
  }
};

TEST_F(MysqlTlsTest, WithTheRightAuthorityItIsEncryptedOnEachConnection) {
  auto db = Open(At("JETMON_TEST_TLS_PORT"), Verify(File("ca.pem")));
  EXPECT_NE(Cipher(*db), "");
  auto session = db->NewSession();
  ASSERT_TRUE(session.ok());
  std::string cipher;
  EXPECT_TRUE((*session)
                  ->Read(In(std::chrono::seconds(5)),
                         [&](Transaction& tx) {
                           return tx.Query("SHOW SESSION STATUS LIKE 'Ssl_cipher'", {},
                                           [&](const Row& row) {
                                             cipher = row.Text(1);
                                             return absl::OkStatus();
                                           });
                         })
                  .ok());
  EXPECT_NE(cipher, "");
  DatabaseUrl by_name = At("JETMON_TEST_TLS_PORT");
  by_name.hosts[0].name = "localhost";
  EXPECT_NE(Cipher(*Open(by_name, Verify(File("ca.pem")))), "");
}

TEST_F(MysqlTlsTest, OurOwnCertificateIsShownWhereItIsAskedFor) {
  const DatabaseUrl plain = At("JETMON_TEST_TLS_PORT");
  auto admin = Open(plain, Verify(File("ca.pem")));
  for (const char* sql : {"DROP USER IF EXISTS certified@'127.0.0.1'",
                          "CREATE USER certified@'127.0.0.1' IDENTIFIED BY 'its-own' REQUIRE X509",
                          "GRANT SELECT ON *.* TO certified@'127.0.0.1'"}) {
    ASSERT_TRUE(admin->ChangeSchema(In(std::chrono::seconds(5)), sql).ok());
  }
  DatabaseUrl url = plain;
  url.user = "certified";
  Options options = Verify(File("ca.pem"));
  options.server.password = "its-own";
  EXPECT_TRUE(absl::IsUnavailable(TryOpen(url, options).status()));
  options.server.tls_certificate = File("client.pem");
  options.server.tls_key = File("client.key");
  EXPECT_NE(Cipher(*Open(url, options)), "");
}

TEST_F(MysqlTlsTest, AServerWithoutTlsIsRefusedNotSpokenToInPlainText) {
  ExpectRefused(TryOpen(Url(), Verify(File("ca.pem"))).status());
  // As the right one, if nothing is asked for.
  Options off;
  off.server.tls = Tls::kOff;
  EXPECT_EQ(Cipher(*Open(Url(), off)), "");
  EXPECT_EQ(Cipher(*Open(Url())), "");  // auto, on loopback
}

TEST_F(MysqlTlsTest, AnUnknownAuthorityIsRefused) {
  ExpectRefused(TryOpen(At("JETMON_TEST_TLS_PORT"), Verify(File("unknown-ca.pem"))).status());
  ExpectRefused(TryOpen(At("JETMON_TEST_TLS_PORT"), Verify("")).status());  // the system's
}

TEST_F(MysqlTlsTest, AnotherServersCertificateIsRefused) {
  ExpectRefused(TryOpen(At("JETMON_TEST_TLS_OTHER_PORT"), Verify(File("ca.pem"))).status());
}

TEST_F(MysqlTlsTest, FilesThatCannotBeReadAreNamed) {
  Options options = Verify("/no/such.pem");
  EXPECT_EQ(TryOpen(Url(), options).status(),
            absl::InvalidArgumentError("--database_tls_ca: can't read /no/such.pem"));
  options = Verify(File("ca.pem"));
  options.server.tls_certificate = "/no/own.pem";
  EXPECT_EQ(TryOpen(Url(), options).status(),
            absl::InvalidArgumentError("--database_tls_certificate: can't read /no/own.pem"));
  options.server.tls_certificate = "";
  options.server.tls_key = "/no/own.key";
  EXPECT_EQ(TryOpen(Url(), options).status(),
            absl::InvalidArgumentError("--database_tls_key: can't read /no/own.key"));
}

// A loss is a loss: run again, or of unknown outcome at COMMIT; and no signal, though OpenSSL
// writes to the socket by itself.
TEST_F(MysqlTlsTest, ALostEncryptedConnectionIsNoMatterOfCertificates) {
  const DatabaseUrl url = At("JETMON_TEST_TLS_PORT");
  auto db = Open(url, Verify(File("ca.pem"))), other = Open(url, Verify(File("ca.pem")));
  const auto kill_it = [&](Transaction& tx) {
    const int64_t id = ConnectionId(tx);
    EXPECT_TRUE(other->ChangeSchema(In(std::chrono::seconds(5)), absl::StrCat("KILL ", id)).ok());
  };
  for (int round = 0; round < 5; ++round) {
    int runs = 0;
    const absl::Status read =
        db->Read(In(std::chrono::seconds(10)), [&](Transaction& tx) -> absl::Status {
          if (++runs == 1) kill_it(tx);
          for (int i = 0; i < 3; ++i) {
            auto s = tx.Query("SELECT 1", {}, [](const Row&) { return absl::OkStatus(); });
            if (!s.ok()) return s;
          }
          return absl::OkStatus();
        });
    EXPECT_TRUE(read.ok()) << read;
    EXPECT_EQ(runs, 2);
    runs = 0;
    const absl::Status write =
        db->Write(In(std::chrono::seconds(10)), [&](Transaction& tx) -> absl::Status {
          ++runs;
          kill_it(tx);
          return absl::OkStatus();
        });
    EXPECT_TRUE(OutcomeUnknown(write)) << write;
    EXPECT_TRUE(absl::StrContains(write.message(), "connection to the database was lost")) << write;
    EXPECT_EQ(runs, 1);
  }
}

}  // namespace
}  // namespace jetmon::sql
