#include "store/sql/url.h"

#include <gtest/gtest.h>

namespace jetmon::sql {
namespace {

TEST(ParseDatabaseUrl, TakesAnAbsolutePath) {
  const auto url = ParseDatabaseUrl("sqlite:///var/lib/jetmon.db");
  ASSERT_TRUE(url.ok());
  EXPECT_EQ(url->engine, "sqlite");
  EXPECT_EQ(url->path, "/var/lib/jetmon.db");
}

TEST(ParseDatabaseUrl, TakesServers) {
  auto url = ParseDatabaseUrl("mysql://jetmon@db.example.com/monitor");
  ASSERT_TRUE(url.ok()) << url.status();
  EXPECT_EQ(url->engine, "mysql");
  EXPECT_EQ(url->user, "jetmon");
  ASSERT_EQ(url->hosts.size(), 1u);
  EXPECT_EQ(url->hosts[0].name, "db.example.com");
  EXPECT_EQ(url->hosts[0].port, 3306);
  EXPECT_EQ(url->database, "monitor");
  EXPECT_EQ(url->ToString(), "mysql://jetmon@db.example.com:3306/monitor");

  url = ParseDatabaseUrl("mysql://u@a:1,[::1]:65535,[fe80::2]/d");
  ASSERT_TRUE(url.ok()) << url.status();
  ASSERT_EQ(url->hosts.size(), 3u);
  EXPECT_EQ(url->hosts[1].name, "::1");
  EXPECT_EQ(url->hosts[1].port, 65535);
  EXPECT_EQ(url->hosts[2].port, 3306);
  EXPECT_EQ(url->ToString(), "mysql://u@a:1,[::1]:65535,[fe80::2]:3306/d");

  url = ParseDatabaseUrl("mysql://u@localhost/d?socket=/run/mysqld/mysqld.sock");
  ASSERT_TRUE(url.ok()) << url.status();
  EXPECT_EQ(url->socket, "/run/mysqld/mysqld.sock");
  EXPECT_EQ(ParseDatabaseUrl(url->ToString())->socket, url->socket);
}

TEST(ParseDatabaseUrl, RefusesTheRest) {
  for (const char* bad : {"",
                          "jetmon.db",
                          "sqlite:",
                          "sqlite://jetmon.db",
                          "sqlite:///",
                          "sqlite:///d/",
                          "postgres://h/d",
                          "mysql://",
                          "mysql://h/d",
                          "mysql://@h/d",
                          "mysql://u@/d",
                          "mysql://u@h",
                          "mysql://u@h/",
                          "mysql://u@h:0/d",
                          "mysql://u@h:65536/d",
                          "mysql://u@h:x/d",
                          "mysql://u@h:/d",
                          "mysql://u@h,/d",
                          "mysql://u@[::1/d",
                          "mysql://u@[::1]x/d",
                          "mysql://u@h/d/e",
                          "mysql://u@h/d?ssl=1",
                          "mysql://u@h/d?socket=/s",
                          "mysql://u@localhost/d?socket=s",
                          "mysql://u@a b/d",
                          "mysql://u'@h/d",
                          "mysql://u@1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17/d"}) {
    EXPECT_TRUE(absl::IsInvalidArgument(ParseDatabaseUrl(bad).status())) << bad;
  }
}

TEST(ParseDatabaseUrl, NeverRepeatsAPassword) {
  for (const char* text : {"mysql://u:secret@h/d", "mysql://u:sec@secret@h/d", "mysql://u:secret",
                           "mysql://u:secret@h:0/?x"}) {
    const auto url = ParseDatabaseUrl(text);
    EXPECT_TRUE(absl::IsInvalidArgument(url.status())) << text;
    EXPECT_EQ(url.status().message().find("secret"), absl::string_view::npos) << url.status();
  }
}

}  // namespace
}  // namespace jetmon::sql
