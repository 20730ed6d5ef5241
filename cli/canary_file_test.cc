#include "cli/canary_file.h"

#include <gtest/gtest.h>

#include <fstream>

namespace jetmon::cli {
namespace {

TEST(CanaryFile, IsReadAsTheRequestTakesIt) {
  auto list = ParseCanaries("canaries.json", R"([
  {"name": "home \u00e9 \"1\"", "url": "http://127.0.0.1/", "mode": "head-legacy",
   "expect_success": true},
  {
    "name": "gone",
    "url": "http://127.0.0.1/gone",
    "method": "GET", "profile": "simple_http",
    "expect_success": false, "expect_http_code": 404, "expect_error_code": 0
  }
])");
  ASSERT_TRUE(list.ok()) << list.status();
  const auto items = list->Items();
  ASSERT_EQ(items.size(), 2u);
  EXPECT_EQ(items[0]["name"].Text(), "home \xc3\xa9 \"1\"");
  EXPECT_TRUE(items[0]["expect_success"].Bool());
  EXPECT_EQ(items[1].Keys(),
            (std::vector<std::string>{"expect_error_code", "expect_http_code", "expect_success",
                                      "method", "name", "profile", "url"}));
  EXPECT_FALSE(items[1]["expect_success"].Bool());
  EXPECT_EQ(items[1]["expect_http_code"].Number(), 404);
  EXPECT_EQ(items[1]["method"].Text(), "GET");
  EXPECT_TRUE(ParseCanaries("c", "[]").ok());
  EXPECT_TRUE(ParseCanaries("c", " [ ]\r\n").ok());
}

// A canary with one more line, or another one in a line's place.
std::string With(const std::string& line, const std::string& in_place_of = "") {
  std::string text = "[\n{\n";
  const std::string lines[] = {"\"name\": \"a\"", "\"url\": \"http://127.0.0.1/\"",
                               "\"mode\": \"get-simple\"", "\"expect_success\": true"};
  bool placed = false;
  for (const std::string& l : lines) {
    const bool here = !in_place_of.empty() && l.find('"' + in_place_of + '"') == 0;
    placed = placed || here;
    if (here && line.empty()) continue;
    text += (here ? line : l) + ",\n";
  }
  text += placed ? "" : line + ",\n";
  text.erase(text.rfind(','));
  return text + "\n}\n]\n";
}

TEST(CanaryFile, WhatIsWrongIsNamedWithLineAndField) {
  EXPECT_TRUE(ParseCanaries("c", With("\"expect_http_code\": 200")).ok());
  struct Case {
    std::string text, error;
  };
  const Case cases[] = {
      {With("\"expect_http_code\": 600"), "7: field \"expect_http_code\": takes 100 to 599"},
      {With("\"expect_http_code\": \"200\""), "7: field \"expect_http_code\": takes 100 to 599"},
      {With("\"expect_http_code\": 2e2"), "7: field \"expect_http_code\": takes 100 to 599"},
      {With("\"expect_http_code\":\n\n99"), "9: field \"expect_http_code\": takes 100 to 599"},
      {With("\"expect_error_code\": -1"), "7: field \"expect_error_code\": takes 0 to 9"},
      {With("\"expect_error_code\": null"), "7: field \"expect_error_code\": takes 0 to 9"},
      {With("\"expect_success\": 1", "expect_success"),
       "6: field \"expect_success\": takes true or false"},
      {With("\"expect_success\": \"true\"", "expect_success"),
       "6: field \"expect_success\": takes true or false"},
      {With("", "expect_success"),
       "2: field \"expect_success\": expect something: expect_success, expect_http_code or "
       "expect_error_code"},
      {With("", "name"), "2: field \"name\": is required"},
      {With("", "url"), "2: field \"url\": is required"},
      {With("\"name\": \"\"", "name"), "3: field \"name\": takes a text of 1 to 64 bytes"},
      {With("\"name\": 5", "name"), "3: field \"name\": takes a text of 1 to 64 bytes"},
      {With("\"name\": \"" + std::string(65, 'n') + "\"", "name"),
       "3: field \"name\": takes a text of 1 to 64 bytes"},
      {With("\"url\": \"" + std::string(301, 'u') + "\"", "url"),
       "4: field \"url\": takes a text of 1 to 300 bytes"},
      {With("\"keyword\": \"" + std::string(256, 'k') + "\""),
       "7: field \"keyword\": takes a text of 1 to 255 bytes"},
      {With("", "mode"),
       "2: field \"mode\": give either mode, or method and profile (and not both)"},
      {With("\"method\": \"GET\""),
       "5: field \"mode\": give either mode, or method and profile (and not both)"},
      {With("\"method\": \"GET\"", "mode"), "5: field \"method\": needs profile too"},
      {With("\"profile\": \"legacy\"", "mode"), "5: field \"profile\": needs method too"},
      {With("\"mode\": \"post\"", "mode"),
       "5: field \"mode\": takes head-legacy, head-simple, get-legacy or get-simple"},
      {With("\"Name\": \"a\""), "7: field \"Name\": is no field of a canary"},
      {With("\"name\": \"b\""), "7: field \"name\": stands there twice"},
      {With("\"url\": [1]", "url"), "4: field \"url\": takes no list and no object"},
      {With("\"url\" \"x\"", "url"), "4: field \"url\": expected : behind the name"},
      {With("name: \"a\""), "7: expected a field's name in double quotes"},
      {With("'name': \"a\""), "7: expected a text, a number, true or false"},
      {"[\n\n{\"name\": \"a\nb\"}]", "3: a text has to end on the line on which it begins"},
      {"[\n{\"name\": \"a", "2: a text does not end"},
      {"", "1: the file is to be a JSON array: [ {...}, {...} ]"},
      {"{}", "1: the file is to be a JSON array: [ {...}, {...} ]"},
      {"[\n5]", "2: expected a canary: {\"name\": ..., \"url\": ...}"},
      {"[] x", "1: there is something behind the end of the array"},
      {"[\n{\n", "3: expected a text, a number, true or false"},
  };
  for (const Case& one : cases) {
    EXPECT_EQ(ParseCanaries("canaries.json", one.text).status().message(),
              "canaries.json:" + one.error)
        << one.text;
  }
}

TEST(CanaryFile, HasAsManyCanariesAsARequestAndNoNameTwice) {
  std::string text = "[";
  for (int i = 0; i < 50; ++i) {
    text += "{\"name\": \"c" + std::to_string(i) +
            "\", \"url\": \"http://127.0.0.1/\", \"mode\": \"get-legacy\", \"expect_http_code\": "
            "200},\n";
  }
  std::string fifty = text;
  fifty.erase(fifty.rfind(','));
  EXPECT_TRUE(ParseCanaries("c", fifty + "]").ok());
  const std::string more =
      "{\"name\": \"c7\", \"url\": \"http://127.0.0.1/\", \"mode\": \"get-legacy\", "
      "\"expect_http_code\": 200}]";
  EXPECT_EQ(ParseCanaries("c", text + more).status().message(), "c:51: takes up to 50 canaries");
  text.erase(0, text.find('\n') + 1);
  EXPECT_EQ(ParseCanaries("c", "[\n" + text + more).status().message(),
            "c:51: field \"name\": is another canary's too; names are unique");
}

TEST(CanaryFile, IsReadFromAPath) {
  const std::string path = testing::TempDir() + "/canaries.json";
  std::ofstream(path) << "[\n{}]";
  EXPECT_EQ(ReadCanaries(path).status().message(), path + ":2: field \"name\": is required");
  EXPECT_TRUE(absl::IsNotFound(ReadCanaries("/no/such/file").status()));
}

}  // namespace
}  // namespace jetmon::cli
