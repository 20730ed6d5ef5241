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

TEST(ParseDatabaseUrl, RefusesTheRest) {
  for (const char* bad : {"", "jetmon.db", "sqlite:", "sqlite://jetmon.db", "sqlite:///",
                          "sqlite:///d/", "postgres://h/d", "mysql://u:secret@h/d"}) {
    EXPECT_TRUE(absl::IsInvalidArgument(ParseDatabaseUrl(bad).status())) << bad;
  }
  EXPECT_TRUE(absl::IsUnimplemented(ParseDatabaseUrl("mysql://u@h:3306/d").status()));
}

TEST(ParseDatabaseUrl, NeverRepeatsAPassword) {
  const auto url = ParseDatabaseUrl("mysql://u:secret@h/d");
  EXPECT_EQ(url.status().message().find("secret"), absl::string_view::npos);
}

}  // namespace
}  // namespace jetmon::sql
