#include "probe/flags.h"

#include <gflags/gflags.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>
#include <map>
#include <string>

namespace jetmon::probe {
namespace {

constexpr char kCa[] = R"(
-----BEGIN CERTIFICATE-----
MIIBiDCCAS+gAwIBAgIUAgW3XSKiQ8G91wLX2Zx91uwLR/0wCgYIKoZIzj0EAwIw
GTEXMBUGA1UEAwwOamV0bW9uLXRlc3QtY2EwIBcNMjYxMTI1MDcwMDI5WhgPMjEy
NjExMDEwNzAwMjlaMBkxFzAVBgNVBAMMDmpldG1vbi10ZXN0LWNhMFkwEwYHKoZI
zj0CAQYIKoZIzj0DAQcDQgAEpKL09GcaGuiq3KTAYz+OhxA2PXfgvWHSV4I7QYIo
nZRItyHEsgWUolKozuaGHEs8OjuBQjKUrNjKsFI2OQ2zD6NTMFEwHQYDVR0OBBYE
FFMV5piIslgSL8YTgBhDuaezrLvVMB8GA1UdIwQYMBaAFFMV5piIslgSL8YTgBhD
uaezrLvVMA8GA1UdEwEB/wQFMAMBAf8wCgYIKoZIzj0EAwIDRwAwRAIgak9R9pVh
SVPavfbSl2r9047K1N7lJShrK1KRr72KGV8CIENmd7h7sLCMBXkhNWWQps00Kyr7
xrGlTKl5m5piajEU
-----END CERTIFICATE-----
)";

class FlagsTest : public testing::Test {
 protected:
  static absl::StatusOr<Engine::Options> With(const std::map<std::string, std::string>& flags) {
    gflags::FlagSaver saver;
    for (const auto& [name, value] : flags) {
      EXPECT_NE(gflags::SetCommandLineOption(name.c_str(), value.c_str()), "") << name;
    }
    return EngineOptionsFromFlags();
  }
  // The one line that refuses the flag; "" if it is taken.
  static std::string Refusal(const std::string& flag, const std::string& value) {
    const auto options = With({{flag, value}});
    return options.ok() ? "" : std::string(options.status().message());
  }
  static std::string File(const std::string& name, const std::string& content) {
    const std::string path = std::string(std::getenv("TEST_TMPDIR")) + "/" + name;
    std::ofstream(path) << content;
    return path;
  }
};

TEST_F(FlagsTest, DefaultsAreThePublicWebAndTheSystems) {
  const auto options = With({});
  ASSERT_TRUE(options.ok()) << options.status();
  EXPECT_EQ(options->source_address, "");
  EXPECT_EQ(options->ca_file, "");
  EXPECT_EQ(options->resolvers, "");
  EXPECT_FALSE(options->safety.JudgeAddress(*ParseIpAddress("127.0.0.1")).ok());
  EXPECT_TRUE(options->safety.JudgeAddress(*ParseIpAddress("93.184.216.34")).ok());
}

TEST_F(FlagsTest, SayWhatTheEngineGets) {
  const std::string ca = File("ca.pem", kCa);
  const auto options = With({{"source_address", "127.0.1.7"},
                             {"allow_cidr", "127.0.0.0/8"},
                             {"ca_file", ca},
                             {"resolvers", "127.0.0.1:5353,[::1]:53,::1,192.0.2.53,[::1]"}});
  ASSERT_TRUE(options.ok()) << options.status();
  EXPECT_EQ(options->source_address, "127.0.1.7");
  EXPECT_EQ(options->ca_file, ca);
  EXPECT_NE(options->tls, nullptr);
  EXPECT_EQ(options->resolvers, "127.0.0.1:5353,[::1]:53,::1,192.0.2.53,[::1]");
  EXPECT_TRUE(options->safety.JudgeAddress(*ParseIpAddress("127.0.0.1")).ok());
  EXPECT_FALSE(options->safety.JudgeAddress(*ParseIpAddress("10.0.0.1")).ok());
  const auto off = With({{"target_safety", "off"}});
  ASSERT_TRUE(off.ok()) << off.status();
  EXPECT_TRUE(off->safety.JudgeAddress(*ParseIpAddress("10.0.0.1")).ok());
}

TEST(BudgetFlag, IsTheLongestCheckOrTheDaemonsOwn) {
  const auto with = [](const char* value) {
    gflags::FlagSaver saver;
    gflags::SetCommandLineOption("longest_check", value);
    return BudgetFromFlags(DeadlineBudget::kLongestCheck);
  };
  EXPECT_EQ(with("")->check(), std::chrono::seconds(20));
  EXPECT_EQ(with("1s")->check(), std::chrono::seconds(1));
  EXPECT_EQ(with("2500ms")->check(), std::chrono::milliseconds(2500));
  EXPECT_EQ(with("20s")->check(), std::chrono::seconds(20));
  for (const char* wrong : {"0", "999ms", "20001ms", "21s", "10", "ten", "-5s", "inf", "1h"}) {
    const auto refused = with(wrong);
    ASSERT_FALSE(refused.ok()) << wrong;
    EXPECT_EQ(
        refused.status().message(),
        std::string("--longest_check takes a duration of 1s to 20s, such as 10s, not ") + wrong);
  }
}

TEST_F(FlagsTest, AWrongOneIsNamedInOneLine) {
  const std::string key =
      File("key.pem", "-----BEGIN PRIVATE KEY-----\nAA==\n-----END PRIVATE KEY-----\n");
  const std::pair<const char*, std::string> wrong[] = {
      {"source_address", "localhost"},
      {"source_address", "127.0.0.1:80"},
      {"target_safety", "maybe"},
      {"allow_cidr", "300.0.0.0/8"},
      {"tls_sessions", "-1"},
      {"tls_sessions", "10000001"},
      {"ca_file", "/nowhere/ca.pem"},
      {"ca_file", "/"},
      {"ca_file", File("empty.pem", "")},
      {"ca_file", key},
      {"resolvers", "dns.example"},
      {"resolvers", "127.0.0.1,"},
      {"resolvers", "127.0.0.1, ::1"},
      {"resolvers", ","},
      {"resolvers", "127.1"},
      {"resolvers", "127.0.0.1:"},
      {"resolvers", "127.0.0.1:0"},
      {"resolvers", "127.0.0.1:65536"},
      {"resolvers", "127.0.0.1:999999"},
      {"resolvers", "[127.0.0.1]:53"},
      {"resolvers", "[::1:53"},
      {"resolvers", "[::1]53"},
      {"resolvers", "::1,::1,::1,::1,::1,::1,::1,::1,::1,::1,::1,::1,::1,::1,::1,::1,::1"},
  };
  for (const auto& [flag, value] : wrong) {
    const std::string text = Refusal(flag, value);
    EXPECT_EQ(text.find(std::string("--") + flag), 0u) << flag << "=" << value << ": " << text;
    EXPECT_EQ(text.find('\n'), text.npos) << text;
  }
}

}  // namespace
}  // namespace jetmon::probe
