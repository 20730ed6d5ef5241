#include "controlplane/gateway/json_scan.h"

#include <string>

#include "controlplane/error/error.h"
#include "gtest/gtest.h"

namespace jetmon::gateway {
namespace {

TEST(JsonScanTest, TakesRfc8259) {
  const std::string good[] = {"{}", "[]", " { } ", "null", "true", "false", "0", "-0", "-1.5e+10",
                              "1E5", "0.1", R"("")", R"("a\"\\\/\b\f\n\r\tA")", R"("\ud83d\ude00")",
                              "\"\xF0\x9F\x98\x80\"", R"({"a":1,"b":[1,2,{"a":null}],"A":2})",
                              "\t\r\n[1 , 2]\n", std::string(64, '[') + std::string(64, ']'),
                              "\"\x7f\"",
                              // A key may come again in another object.
                              R"([{"a":1},{"a":1}])", R"({"a":{"a":{"a":1}}})"};
  for (const auto& text : good) EXPECT_TRUE(ScanJson(text).ok()) << text << ScanJson(text);
}

TEST(JsonScanTest, RefusesTheRest) {
  const std::string bad[] = {
      "", " ", "{", "[", "}", "{]", "{'a':1}", "{a:1}", "'a'", "{\"a\":1,}", "[1,]", "[,1]",
      "{\"a\"}", "{\"a\":}", "{\"a\" 1}", "{\"a\":1 \"b\":2}", "[1 2]", "{} {}", "{}x", "01", "-",
      "-01", "1.", ".5", "+1", "1e", "1e+", "0x10", "NaN", "Infinity", "-Infinity", "True", "nul",
      "\"", "\"\\", "\"\\x\"", "\"\\u12\"", "\"\\u12G4\"", "\"a\nb\"", std::string("\"a\0b\"", 5),
      std::string("\0", 1), R"("\ud83d")", R"("\ude00")", R"("\ud83dA")", R"("\ud83d\n")",
      R"({"a":1,"a":2})", R"({"a":1,"b":2,"\u0061":3})", "/* c */ {}", "{} // c",
      std::string(65, '[') + std::string(65, ']'),
      // UTF-8: lone, truncated, overlong, surrogate, past the end.
      "\"\x80\"", "\"\xC3\"", "\"\xC0\xAF\"", "\"\xE0\x80\xAF\"", "\"\xED\xA0\x80\"",
      "\"\xF4\x90\x80\x80\"", "\"\xFF\"", "\xEF\xBB\xBF{}"};
  for (const auto& text : bad) {
    EXPECT_EQ(ReasonOf(ScanJson(text)), v1::MALFORMED_JSON) << text;
  }
}

TEST(JsonScanTest, SaysWhere) {
  EXPECT_NE(ScanJson("{'a':1}").message().find("at byte 1"), absl::string_view::npos);
}

TEST(JsonScanTest, DeepInputDoesNotExhaustTheStack) {
  EXPECT_FALSE(ScanJson(std::string(1 << 20, '[')).ok());
  std::string objects;
  for (int i = 0; i < 100'000; ++i) objects += "{\"a\":";
  EXPECT_FALSE(ScanJson(objects).ok());
}

// Every prefix of a document is refused, and none reads past its end (ASan).
TEST(JsonScanTest, PrefixesAreRefused) {
  const std::string text = R"({"a":[1.5e3,"x\u00e4\n",true,null],"b":{"c":"d"}})";
  ASSERT_TRUE(ScanJson(text).ok());
  for (size_t n = 0; n < text.size(); ++n) {
    const std::string prefix(text.data(), n);
    EXPECT_FALSE(ScanJson(prefix).ok()) << prefix;
  }
}

}  // namespace
}  // namespace jetmon::gateway
