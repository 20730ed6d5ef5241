#include "cli/v1_plan_file.h"

#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"

namespace jetmon::cli {
namespace {

constexpr char kHeader[] = "host,bucket_min,bucket_max,batch_size\n";

std::string Refusal(const std::string& text) {
  const auto hosts = ParseV1Plan("plan.csv", text, 512);
  return hosts.ok() ? "" : std::string(hosts.status().message());
}
std::string RowRefusal(const std::string& row) { return Refusal(kHeader + row); }

TEST(V1PlanFileTest, ReadsHosts) {
  const auto hosts = ParseV1Plan(
      "plan.csv",
      absl::StrCat("\xef\xbb\xbf", kHeader, "v1-a,0,255,32\r\n\n v1_b.example.com , 256, 512,1"),
      512);
  ASSERT_TRUE(hosts.ok()) << hosts.status();
  ASSERT_EQ(hosts->size(), 2u);
  EXPECT_EQ((*hosts)[0].name, "v1-a");
  EXPECT_EQ((*hosts)[0].settings, (V1Settings{0, 255, 32}));
  EXPECT_EQ((*hosts)[1].name, "v1_b.example.com");
  EXPECT_EQ((*hosts)[1].settings, (V1Settings{256, 512, 1}));
}

TEST(V1PlanFileTest, TheHeader) {
  EXPECT_EQ(Refusal("v1-a,0,255,32\n"),
            "plan.csv:1: the header is host,bucket_min,bucket_max,batch_size, not 'v1-a,0,255,32'");
  EXPECT_EQ(Refusal("\n\nhost,bucket_min,bucket_max\n").substr(0, 11), "plan.csv:3:");
  const std::string none =
      "plan.csv: no host; it takes the header host,bucket_min,bucket_max,batch_size and a row for "
      "each";
  EXPECT_EQ(Refusal(""), none);
  EXPECT_EQ(Refusal(kHeader), none);
}

TEST(V1PlanFileTest, EachMistakeIsToldWithItsLine) {
  EXPECT_EQ(RowRefusal("a,0,9\n"),
            "plan.csv:2: has 3 fields, not 4: host,bucket_min,bucket_max,batch_size");
  EXPECT_EQ(RowRefusal("a,0,9,3,x\n").substr(0, 24), "plan.csv:2: has 5 fields");
  EXPECT_EQ(RowRefusal("a,0,9,3\nb,10,19,3\na,20,29,3\n"), "plan.csv:4: host a is in line 2 too");
  EXPECT_EQ(RowRefusal("\na,9,8,3\n"), "plan.csv:3: bucket_min 9 is above bucket_max 8");
  EXPECT_EQ(RowRefusal("a,0,513,3\n"),
            "plan.csv:2: bucket_max 513 is past the last of 512 buckets (--bucket-total)");
  EXPECT_EQ(RowRefusal("a,512,512,3\n"),
            "plan.csv:2: bucket_min 512 is past the last of 512 buckets (--bucket-total)");
  EXPECT_EQ(RowRefusal("a,0,9,0\n"), "plan.csv:2: batch_size takes 1 to 65536, not 0");
  EXPECT_EQ(RowRefusal("a,0,9,65537\n"), "plan.csv:2: batch_size takes 1 to 65536, not 65537");
  EXPECT_EQ(RowRefusal("a,0,9,65536\n"), "");
}

TEST(V1PlanFileTest, NumbersAreDigits) {
  for (const char* text : {"", "-1", "+1", "1.0", "0x1", "1e2", "4294967297", "1 2", "\"1\""}) {
    EXPECT_EQ(RowRefusal(absl::StrCat("a,", text, ",9,3\n")).substr(0, 50),
              "plan.csv:2: bucket_min takes a whole number, 0 or ")
        << text;
    EXPECT_NE(RowRefusal(absl::StrCat("a,0,", text, ",3\n")).find("bucket_max takes"),
              std::string::npos)
        << text;
    EXPECT_NE(RowRefusal(absl::StrCat("a,0,9,", text, "\n")).find("batch_size takes a whole"),
              std::string::npos)
        << text;
  }
}

TEST(V1PlanFileTest, HostsAreNames) {
  EXPECT_EQ(RowRefusal("\"a\",0,9,3\n"),
            "plan.csv:2: host takes 1 to 255 letters, digits, . - _ and :, not '\\\"a\\\"'");
  EXPECT_NE(RowRefusal(",0,9,3\n"), "");
  EXPECT_NE(RowRefusal("a b,0,9,3\n"), "");
  EXPECT_NE(RowRefusal("\x1b[2J,0,9,3\n").find("'\\x1b[2J'"), std::string::npos);
  EXPECT_EQ(RowRefusal(std::string(255, 'a') + ",0,9,3\n"), "");
  EXPECT_NE(RowRefusal(std::string(256, 'a') + ",0,9,3\n"), "");
}

TEST(V1PlanFileTest, IsBounded) {
  std::string text = kHeader;
  for (int i = 0; i < 1000; ++i) absl::StrAppend(&text, "h", i, ",0,9,3\n");
  EXPECT_EQ(Refusal(text), "");
  EXPECT_EQ(Refusal(text + "one,0,9,3\n"), "plan.csv:1002: takes up to 1000 hosts");
  EXPECT_EQ(Refusal(text + std::string(256 << 10, '\n')), "plan.csv: is larger than 256 KiB");
}

TEST(V1PlanFileTest, HeldRanges) {
  EXPECT_EQ(*ParseHeldRange("0-511", 512), (store::Range{0, 511}));
  EXPECT_EQ(*ParseHeldRange("7", 512), (store::Range{7, 7}));
  EXPECT_EQ(ParseHeldRange("0-512", 512).status().message(),
            "--held 0-512 is past the last of 512 buckets (--bucket-total)");
  for (const char* text : {"", "-", "9-8", "1-", "-1", "a-b", "1-2-3", "1,2"}) {
    EXPECT_EQ(ParseHeldRange(text, 512).status().message(),
              absl::StrCat("--held takes MIN-MAX, such as 0-99, not '", text, "'"));
  }
}

}  // namespace
}  // namespace jetmon::cli
