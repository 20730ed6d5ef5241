#include "store/settings.h"

#include <gflags/gflags.h>
#include <gtest/gtest.h>
#include <stdlib.h>

#include <fstream>

#include "store/flags.h"

namespace jetmon::store {
namespace {

using Tls = sql::ServerOptions::Tls;

class SettingsTest : public testing::Test {
 protected:
  SettingsTest() { Forget(); }
  ~SettingsTest() override { Forget(); }
  static void Forget() {
    unsetenv("JETMON_DATABASE_PASSWORD");
    unsetenv("JETMON_DATABASE_PASSWORD_FILE");
  }
  static DatabaseSettings Server() {
    DatabaseSettings s;
    s.url = "mysql://jetmon@db.example/jetmon";
    return s;
  }
  static std::string File(const std::string& name, const std::string& text) {
    const std::string path = testing::TempDir() + "/" + name;
    std::ofstream(path) << text;
    return path;
  }
  static std::string Password(const DatabaseSettings& settings) {
    const auto options = OptionsFrom(settings);
    EXPECT_TRUE(options.ok()) << options.status();
    return options.ok() ? options->server.password : "?";
  }
};

TEST_F(SettingsTest, ThePasswordComesFromWhereItWasNamedFirst) {
  DatabaseSettings s = Server();
  EXPECT_EQ(Password(s), "");
  setenv("JETMON_DATABASE_PASSWORD", "by environment", 1);
  EXPECT_EQ(Password(s), "by environment");
  setenv("JETMON_DATABASE_PASSWORD_FILE", File("named", "by file\nsecond line\n").c_str(), 1);
  EXPECT_EQ(Password(s), "by file");
  s.password_file = File("flag", "by flag, with spaces \r\n");
  EXPECT_EQ(Password(s), "by flag, with spaces ");
}

TEST_F(SettingsTest, AFileThatCannotBeReadNamesWhoNamedIt) {
  DatabaseSettings s = Server();
  s.password_file = "/no/such/file";
  absl::Status status = OptionsFrom(s).status();
  EXPECT_EQ(status, absl::InvalidArgumentError(
                        "--database_password_file: can't read a line from /no/such/file"));
  // An empty one is a mistake, not an empty password, and the environment does not stand in.
  setenv("JETMON_DATABASE_PASSWORD", "other", 1);
  s.password_file = "";
  const std::string empty = File("empty", "");
  setenv("JETMON_DATABASE_PASSWORD_FILE", empty.c_str(), 1);
  status = OptionsFrom(s).status();
  EXPECT_EQ(status, absl::InvalidArgumentError(
                        "JETMON_DATABASE_PASSWORD_FILE: can't read a line from " + empty));
}

TEST_F(SettingsTest, TlsTakesThreeWords) {
  DatabaseSettings s = Server();
  EXPECT_EQ(OptionsFrom(s)->server.tls, Tls::kAuto);
  s.tls = "verify";
  EXPECT_EQ(OptionsFrom(s)->server.tls, Tls::kVerify);
  s.tls = "off";
  EXPECT_EQ(OptionsFrom(s)->server.tls, Tls::kOff);
  for (const char* wrong : {"", "VERIFY", "on", "preferred", "required"}) {
    s.tls = wrong;
    EXPECT_EQ(OptionsFrom(s).status(),
              absl::InvalidArgumentError("--database_tls takes auto, verify or off"))
        << wrong;
  }
  s.tls = "verify";
  s.tls_ca = "ca.pem";
  s.tls_certificate = "own.pem";
  s.tls_key = "own.key";
  const auto options = OptionsFrom(s);
  EXPECT_EQ(options->server.tls_ca, "ca.pem");
  EXPECT_EQ(options->server.tls_certificate, "own.pem");
  EXPECT_EQ(options->server.tls_key, "own.key");
}

TEST_F(SettingsTest, NoDatabaseSaysHowToNameOne) {
  const absl::Status s = OptionsFrom({}).status();
  EXPECT_TRUE(absl::IsInvalidArgument(s));
  for (const char* word : {"--database=", "JETMON_DATABASE", "sqlite:///", "mysql://"}) {
    EXPECT_NE(s.message().find(word), absl::string_view::npos) << word;
  }
}

TEST_F(SettingsTest, AnEmbeddedDatabaseMigratesByItselfAndAServerDoesNot) {
  DatabaseSettings s = Server();
  EXPECT_FALSE(MigratesByItself(s));
  s.auto_migrate = true;
  EXPECT_TRUE(MigratesByItself(s));
  s.url = "sqlite:///var/lib/jetmon/jetmon.db";
  EXPECT_TRUE(MigratesByItself(s));
  s.auto_migrate = false;
  EXPECT_FALSE(MigratesByItself(s));
  s.auto_migrate.reset();
  EXPECT_TRUE(MigratesByItself(s));
}

TEST_F(SettingsTest, FlagsBecomeSettings) {
  const gflags::FlagSaver as_it_was;
  EXPECT_FALSE(SettingsFromFlags().auto_migrate.has_value());
  EXPECT_EQ(SettingsFromFlags().tls, "auto");
  for (const auto& [name, value] : std::initializer_list<std::pair<const char*, const char*>>{
           {"database", "mysql://u@h/d"},
           {"database_password_file", "/p"},
           {"database_tls", "off"},
           {"database_tls_ca", "/ca"},
           {"database_tls_certificate", "/c"},
           {"database_tls_key", "/k"},
           {"auto_migrate", "true"}}) {
    ASSERT_NE(gflags::SetCommandLineOption(name, value), "") << name;
  }
  const DatabaseSettings s = SettingsFromFlags();
  EXPECT_EQ(s.url, "mysql://u@h/d");
  EXPECT_EQ(s.password_file, "/p");
  EXPECT_EQ(s.tls, "off");
  EXPECT_EQ(s.tls_ca, "/ca");
  EXPECT_EQ(s.tls_certificate, "/c");
  EXPECT_EQ(s.tls_key, "/k");
  EXPECT_EQ(s.auto_migrate, true);  // said, though it is the default
}

}  // namespace
}  // namespace jetmon::store
