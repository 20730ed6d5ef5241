#include "probe/ip_address.h"

#include <gtest/gtest.h>

namespace jetmon::probe {
namespace {

TEST(IpAddressTest, ReadsAndWritesBothFamilies) {
  for (const char* text :
       {"0.0.0.0", "192.168.1.255", "::", "::1", "2001:db8::a", "::ffff:1.2.3.4"}) {
    const auto address = ParseIpAddress(text);
    ASSERT_TRUE(address.ok()) << text;
    EXPECT_EQ(IpAddressText(*address), text);
  }
}

TEST(IpAddressTest, IsStrict) {
  for (const char* text :
       {"", "1", "127.1", "1.2.3", "1.2.3.4.5", "01.2.3.4", "0x7f.0.0.1", "256.1.1.1", " 1.2.3.4",
        "1.2.3.4 ", "1.2.3.4.", "[::1]", "::1%lo", "fe80::1%1", "1.2.3.-4",
        "::ffff:1.2.3.4.5.6.7.8.9.10.11.12.13.14.15.16"}) {
    EXPECT_FALSE(ParseIpAddress(text).ok()) << text;
  }
  EXPECT_FALSE(ParseIpAddress(std::string_view("1.2.3.4\0", 8)).ok());
}

TEST(CidrTest, ContainsByPrefix) {
  const Cidr ten = *ParseCidr("10.0.0.0/8");
  EXPECT_TRUE(ten.Contains(*ParseIpAddress("10.255.255.255")));
  EXPECT_FALSE(ten.Contains(*ParseIpAddress("11.0.0.0")));
  EXPECT_FALSE(ten.Contains(*ParseIpAddress("a00::")));
  EXPECT_FALSE(ten.Contains(*ParseIpAddress("::ffff:10.0.0.1")));
  const Cidr odd = *ParseCidr("100.64.0.0/10");
  EXPECT_TRUE(odd.Contains(*ParseIpAddress("100.127.255.255")));
  EXPECT_FALSE(odd.Contains(*ParseIpAddress("100.128.0.0")));
  const Cidr one = *ParseCidr("fd00:ec2::254");
  EXPECT_EQ(one.prefix, 128);
  EXPECT_TRUE(one.Contains(*ParseIpAddress("fd00:ec2::254")));
  EXPECT_FALSE(one.Contains(*ParseIpAddress("fd00:ec2::255")));
  EXPECT_TRUE(ParseCidr("0.0.0.0/0")->Contains(*ParseIpAddress("203.0.113.9")));
}

TEST(CidrTest, RefusesSlips) {
  for (const char* text : {"", "/8", "10.0.0.0/", "10.0.0.0/33", "10.0.0.1/8", "::/129", "10/8",
                           "10.0.0.0/-1", "10.0.0.0/+8", "10.0.0.0/8/8", "10.0.0.0/ 8"}) {
    EXPECT_FALSE(ParseCidr(text).ok()) << text;
  }
}

TEST(CidrTest, ReadsLists) {
  EXPECT_TRUE(ParseCidrList("  ")->empty());
  const auto list = ParseCidrList("127.0.0.0/8, fd00::/8");
  ASSERT_TRUE(list.ok());
  ASSERT_EQ(list->size(), 2u);
  EXPECT_EQ((*list)[1].prefix, 8);
  EXPECT_FALSE(ParseCidrList("127.0.0.0/8,").ok());
}

}  // namespace
}  // namespace jetmon::probe
