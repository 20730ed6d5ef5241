#include "daemon/flags.h"

#include <gflags/gflags.h>
#include <gtest/gtest.h>

#include <fstream>

DEFINE_string(test_word, "w", "a word");
DEFINE_int32(test_number, 1, "a number");
DEFINE_bool(test_switch, false, "a switch");

namespace jetmon::daemon {
namespace {

TEST(ParseFlags, TakesEveryForm) {
  Parsed parsed;
  ASSERT_TRUE(ParseFlags({"--test_word=a=b", "-test_number", "7", "--test_switch"}, &parsed).ok());
  EXPECT_EQ(FLAGS_test_word, "a=b");
  EXPECT_EQ(FLAGS_test_number, 7);
  EXPECT_TRUE(FLAGS_test_switch);
  ASSERT_TRUE(ParseFlags({"--notest_switch", "--test-number=8", "--help"}, &parsed).ok());
  EXPECT_FALSE(FLAGS_test_switch);
  EXPECT_EQ(FLAGS_test_number, 8);
  EXPECT_TRUE(parsed.help);
  EXPECT_FALSE(parsed.version);
}

TEST(ParseFlags, RefusesInOneLine) {
  const std::vector<std::vector<std::string>> bad = {
      {"--no_such_flag=1"}, {"word"},        {"--test_number=x"},         {"--test_number"},
      {"--helpfull"},       {"--fromenv=x"}, {"--flagfile=/no/such/file"}};
  for (const auto& args : bad) {
    Parsed parsed;
    const absl::Status s = ParseFlags(args, &parsed);
    EXPECT_FALSE(s.ok()) << args[0];
    EXPECT_EQ(s.message().find('\n'), absl::string_view::npos) << s;
  }
}

TEST(ParseFlags, ReadsAFlagFile) {
  const std::string path = testing::TempDir() + "/flags";
  std::ofstream(path) << "# comment\n\n--test_word=from file\n";
  Parsed parsed;
  ASSERT_TRUE(ParseFlags({"--flagfile=" + path}, &parsed).ok());
  EXPECT_EQ(FLAGS_test_word, "from file");
  EXPECT_EQ(parsed.flagfile, path);
  std::ofstream(path) << "--unknown=1\n";
  EXPECT_FALSE(ReadFlagFile(path).ok());
}

TEST(DescribeFlags, NamesOursOnly) {
  const std::string text = DescribeFlags();
  EXPECT_NE(text.find("--test_word"), std::string::npos);
  EXPECT_EQ(text.find("--tab_completion"), std::string::npos);
  EXPECT_EQ(text.find("--fromenv"), std::string::npos);
}

}  // namespace
}  // namespace jetmon::daemon
