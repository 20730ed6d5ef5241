#include "probe/target_safety.h"

#include <gtest/gtest.h>

#include <string>

namespace jetmon::probe {
namespace {

absl::Status Judge(const TargetSafety& safety, std::string_view url) {
  return safety.JudgeUrl(ParseUrl(url));
}

TEST(TargetSafetyTest, PublicTargetsPass) {
  const TargetSafety safety;
  for (const char* url :
       {"http://93.184.216.34/", "https://example.com/", "http://example.com./", "8.8.8.8:8080",
        "http://[2606:2800:220:1::1]/", "http://notlocalhost/", "http://mylocal.example/",
        "http://internal.example.com/", "http://172.15.255.255/", "http://172.32.0.0/",
        "http://100.63.255.255/", "http://100.128.0.0/", "http://192.0.1.0/",
        "http://198.17.255.255/", "http://223.255.255.255/", "http://11.0.0.0/",
        "http://128.0.0.0/", "http://126.255.255.255/"}) {
    EXPECT_TRUE(Judge(safety, url).ok()) << url << ": " << Judge(safety, url);
  }
}

struct Refusal {
  const char* url;
  const char* why;
};

TEST(TargetSafetyTest, EachRuleRefuses) {
  const Refusal refusals[] = {
      {"ftp://93.184.216.34/", "scheme"},
      {"javascript:alert(1)", "scheme"},
      {"http://user@93.184.216.34/", "userinfo"},
      {"http://user:secret@example.com/", "userinfo"},
      {"http://@example.com/", "userinfo"},
      {"http://a b/", "malformed"},
      {"http://127.0.0.1/", "loopback"},
      {"https://127.255.255.255/", "loopback"},
      {"http://[::1]/", "loopback"},
      {"http://10.1.2.3/", "private"},
      {"http://172.16.0.1/", "private"},
      {"http://172.31.255.255/", "private"},
      {"http://192.168.0.1/", "private"},
      {"http://[fd12::1]/", "private"},
      {"http://[fc00::1]/", "private"},
      {"http://[fec0::1]/", "private"},
      {"http://169.254.1.1/", "link-local"},
      {"http://[fe80::1]/", "link-local"},
      {"http://100.64.0.1/", "carrier-grade NAT"},
      {"http://100.127.255.255/", "carrier-grade NAT"},
      {"http://224.0.0.1/", "multicast"},
      {"http://239.255.255.255/", "multicast"},
      {"http://[ff02::1]/", "multicast"},
      {"http://192.0.2.1/", "documentation"},
      {"http://198.51.100.1/", "documentation"},
      {"http://203.0.113.1/", "documentation"},
      {"http://[2001:db8::1]/", "documentation"},
      {"http://[3fff::1]/", "documentation"},
      {"http://198.18.0.1/", "benchmark"},
      {"http://198.19.255.255/", "benchmark"},
      {"http://[2001:2::1]/", "benchmark"},
      {"http://0.0.0.0/", "reserved"},
      {"http://0.1.2.3/", "reserved"},
      {"http://192.0.0.1/", "reserved"},
      {"http://192.88.99.1/", "reserved"},
      {"http://240.0.0.1/", "reserved"},
      {"http://255.255.255.255/", "reserved"},
      {"http://[::]/", "reserved"},
      {"http://[::8.8.8.8]/", "reserved"},
      {"http://[100::1]/", "reserved"},
      {"http://[4000::1]/", "reserved"},
      {"http://[2001:10::1]/", "reserved"},
      {"http://169.254.169.254/latest/meta-data/", "metadata"},
      {"http://100.100.100.200/", "metadata"},
      {"http://168.63.129.16/", "metadata"},
      {"http://[fd00:ec2::254]/", "metadata"},
      {"http://[::ffff:127.0.0.1]/", "IPv4-mapped"},
      {"http://[::ffff:8.8.8.8]/", "IPv4-mapped"},
      {"http://[64:ff9b::7f00:1]/", "NAT64"},
      {"http://[64:ff9b:1::a00:1]/", "NAT64"},
      {"http://[2001:0:4136::1]/", "Teredo"},
      {"http://[2002:7f00:1::]/", "6to4"},
      {"http://localhost/", "local name"},
      {"https://LOCALHOST:8443/", "local name"},
      {"http://localhost../", "local name"},
      {"http://a.localhost/", "local name"},
      {"http://printer.local/", "local name"},
      {"http://printer.local./", "local name"},
      {"http://metadata.google.internal/", "local name"},
      {"http://local/", "local name"},
      {"http://ip6-localhost/", "local name"},
      {"http://0177.0.0.1/", "numeric"},
      {"http://08.8.8.8/", "numeric"},
      {"http://0x7f.0.0.1/", "numeric"},
      {"http://0x7f000001/", "numeric"},
      {"http://2130706433/", "numeric"},
      {"http://127.1/", "numeric"},
      {"http://127.0.0.1./", "numeric"},
      {"https://8.8.8.8./", "numeric"},
      {"http://0/", "numeric"},
      {"http://0x/", "numeric"},
  };
  const TargetSafety safety;
  for (const Refusal& refusal : refusals) {
    const absl::Status status = Judge(safety, refusal.url);
    EXPECT_TRUE(absl::IsPermissionDenied(status)) << refusal.url;
    EXPECT_NE(std::string(status.message()).find(refusal.why), std::string::npos)
        << refusal.url << ": " << status;
  }
}

TEST(TargetSafetyTest, AllowOpensAddressesOnly) {
  const auto safety = TargetSafety::FromFlags("public_only", "127.0.0.0/8, fd00::/8");
  ASSERT_TRUE(safety.ok());
  EXPECT_TRUE(Judge(*safety, "http://127.0.0.1:8080/s/1").ok());
  EXPECT_TRUE(Judge(*safety, "http://[fd00::1]/").ok());
  EXPECT_TRUE(safety->JudgeAddress(*ParseIpAddress("127.9.9.9")).ok());
  for (const char* url :
       {"http://10.0.0.1/", "http://[::1]/", "http://[::ffff:127.0.0.1]/", "http://localhost/",
        "http://127.1/", "http://0x7f000001/", "http://a@127.0.0.1/", "ftp://127.0.0.1/"}) {
    EXPECT_TRUE(absl::IsPermissionDenied(Judge(*safety, url))) << url;
  }
}

TEST(TargetSafetyTest, OffStillWantsHttpWithoutUserinfo) {
  const auto safety = TargetSafety::FromFlags("off", "");
  ASSERT_TRUE(safety.ok());
  EXPECT_TRUE(Judge(*safety, "http://127.0.0.1/").ok());
  EXPECT_TRUE(Judge(*safety, "http://localhost/").ok());
  for (const char* url :
       {"ftp://127.0.0.1/", "http://a@127.0.0.1/", "http://127.1/", "http://a b/"}) {
    EXPECT_TRUE(absl::IsPermissionDenied(Judge(*safety, url))) << url;
  }
}

TEST(TargetSafetyTest, FlagsSayWhichIsWrong) {
  const auto mode = TargetSafety::FromFlags("none", "");
  ASSERT_TRUE(absl::IsInvalidArgument(mode.status()));
  EXPECT_NE(mode.status().message().find("--target_safety"), std::string::npos);
  const auto allow = TargetSafety::FromFlags("public_only", "127.0.0.1/8");
  ASSERT_TRUE(absl::IsInvalidArgument(allow.status()));
  EXPECT_NE(allow.status().message().find("--allow_cidr"), std::string::npos);
}

}  // namespace
}  // namespace jetmon::probe
