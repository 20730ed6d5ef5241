#include "controlplane/config.h"

#include <gflags/gflags.h>

#include <string>

#include "gtest/gtest.h"

namespace jetmon::controlplane {
namespace {

// What ConfigFromFlags says with this flag set besides a database.
std::string Refusal(const char* flag, const char* value) {
  gflags::FlagSaver saver;
  gflags::SetCommandLineOption("database", "sqlite:///tmp/x.db");
  EXPECT_NE(gflags::SetCommandLineOption(flag, value), "") << flag;
  const auto config = ConfigFromFlags();
  return config.ok() ? "" : std::string(config.status().message());
}

TEST(ConfigTest, DefaultsAreGood) {
  gflags::FlagSaver saver;
  gflags::SetCommandLineOption("database", "sqlite:///tmp/x.db");
  const auto config = ConfigFromFlags();
  ASSERT_TRUE(config.ok()) << config.status();
  EXPECT_EQ(config->bucket_total, 512u);
  EXPECT_EQ(config->peer_offline_limit, 3u);
  EXPECT_EQ(config->interval_unit, std::chrono::minutes(1));
  EXPECT_EQ(config->rate_burst, 200u);
  EXPECT_EQ(config->budget, DeadlineBudget());
  EXPECT_FALSE(config->server_host.empty());
}

TEST(ConfigTest, NeedsADatabase) { EXPECT_FALSE(ConfigFromFlags().ok()); }

TEST(ConfigTest, NamesTheFlagThatIsWrong) {
  const std::pair<const char*, const char*> wrong[] = {{"bucket_total", "0"},
                                                       {"bucket_total", "65537"},
                                                       {"peer_offline_limit", "0"},
                                                       {"interval_unit", "5"},
                                                       {"interval_unit", "0s"},
                                                       {"interval_unit", "2h"},
                                                       {"rate_limit", "0"},
                                                       {"rate_limit", "nan"},
                                                       {"rate_burst", "0"},
                                                       {"http_connections", "0"},
                                                       {"discovery_mode", "static"},
                                                       {"verifliers", "v-1=127.0.0.1:1"},
                                                       {"source_address", "localhost"},
                                                       {"target_safety", "maybe"},
                                                       {"allow_cidr", "300.0.0.0/8"},
                                                       {"ca_file", "/nowhere/ca.pem"},
                                                       {"longest_check", "21s"},
                                                       {"resolvers", "dns.example"},
                                                       {"grpc_listen", "0.0.0.0:1"},
                                                       {"http_listen", "[::]:1"},
                                                       {"http_listen", "8080"},
                                                       {"http_listen", "127.0.0.1:"},
                                                       {"grpc_listen", "127.0.0.1:70000"}};
  for (const auto& [flag, value] : wrong) {
    const std::string text = Refusal(flag, value);
    EXPECT_NE(text.find(flag), std::string::npos) << flag << "=" << value << ": " << text;
  }
  EXPECT_EQ(Refusal("interval_unit", "1s"), "");
  EXPECT_EQ(Refusal("http_listen", "[::1]:8080"), "");
}

TEST(ConfigTest, RemoteOnlyWhenTold) {
  EXPECT_TRUE(CheckListen("http_listen", "0.0.0.0:80", true).ok());
  const absl::Status status = CheckListen("http_listen", "0.0.0.0:80", false);
  EXPECT_NE(status.message().find("--insecure_allow_remote"), absl::string_view::npos);
}

}  // namespace
}  // namespace jetmon::controlplane
