#include "cli/json.h"

#include <gtest/gtest.h>

namespace jetmon::cli {
namespace {

TEST(Json, ReadsLeniently) {
  const auto j = Json::Parse(R"({"a":{"b":[1,"2",true]},"n":"12345678901","x":null})");
  ASSERT_TRUE(j.ok());
  EXPECT_EQ((*j)["a"]["b"].Items().size(), 3u);
  EXPECT_EQ((*j)["a"]["b"].Items()[0].Text(), "1");
  EXPECT_EQ((*j)["n"].Number(), 12345678901.0);
  EXPECT_TRUE((*j)["x"].IsNull());
  EXPECT_TRUE((*j)["missing"]["deeper"].IsNull());
  EXPECT_EQ((*j)["a"].Text(), "");
  EXPECT_FALSE(Json::Parse("<html>").ok());
}

TEST(Json, Writes) {
  Json j;
  j.Set("bucket_min", 0.0).Set("execute", true).Set("confirm", "jmr_x");
  const auto again = Json::Parse(j.Dump());
  ASSERT_TRUE(again.ok());
  EXPECT_EQ((*again)["bucket_min"].Text(), "0");
  EXPECT_TRUE((*again)["execute"].Bool());
  EXPECT_EQ((*again)["confirm"].Text(), "jmr_x");
}

TEST(Indent, KeepsOrderAndStrings) {
  EXPECT_EQ(Indent(R"({"b":1,"a":["x, {y}",{}],"e":[]})"),
            "{\n  \"b\": 1,\n  \"a\": [\n    \"x, {y}\",\n    {}\n  ],\n  \"e\": []\n}");
  EXPECT_EQ(Indent(R"("a\"b, c")"), R"("a\"b, c")");
}

}  // namespace
}  // namespace jetmon::cli
