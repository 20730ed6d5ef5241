#include "monitor/check_policy.h"

#include <gtest/gtest.h>

#include <functional>
#include <string>
#include <vector>

namespace jetmon::monitor {
namespace {

using std::chrono::milliseconds;

store::CheckConfig Full() {
  store::CheckConfig row;
  row.site_id = 7;
  row.method = "GET";
  row.profile = "full";
  return row;
}

TEST(CheckPolicies, AnEmptyRowIsTheDefault) {
  CheckPolicies policies;
  store::CheckConfig row;
  row.site_id = 7;
  const auto policy = policies.Of(row);
  EXPECT_EQ(policy->mode, probe::Mode{});
  EXPECT_EQ(policy->timeout, milliseconds(0));
  EXPECT_EQ(policy->full, nullptr);
  EXPECT_EQ(policy->fault, "");
  EXPECT_EQ(policies.Of(Full())->full, nullptr);  // no rules beyond completeness
}

TEST(CheckPolicies, ReadsEveryField) {
  store::CheckConfig row = Full();
  row.keyword = "wel\xc3\xa7ome";
  row.forbidden_keyword = "Fatal error";
  row.headers = R"({"X-Key": "abc", "Accept-Language": "de"})";
  row.timeout_ms = 2500;
  row.redirect_policy = "alert";
  const auto policy = CheckPolicies().Of(row);
  EXPECT_EQ(policy->fault, "");
  EXPECT_EQ(probe::ModeName(policy->mode), "get-full");
  EXPECT_EQ(policy->timeout, milliseconds(2500));
  ASSERT_NE(policy->full, nullptr);
  EXPECT_EQ(policy->full->keyword, "wel\xc3\xa7ome");
  EXPECT_EQ(policy->full->forbidden_keywords, std::vector<std::string>{"Fatal error"});
  EXPECT_EQ(policy->full->redirects, probe::RedirectPolicy::kAlert);
  ASSERT_EQ(policy->full->headers.size(), 2u);
  EXPECT_EQ(policy->full->headers[0].name, "X-Key");
  EXPECT_EQ(policy->full->headers[0].value, "abc");
  EXPECT_EQ(policy->full->headers[1].name, "Accept-Language");
}

TEST(CheckPolicies, RulesBelongToFullAndHeadHasNone) {
  store::CheckConfig row = Full();
  row.keyword = "welcome";
  row.timeout_ms = 2500;
  row.profile = "simple_http";
  EXPECT_EQ(CheckPolicies().Of(row)->full, nullptr);
  EXPECT_EQ(CheckPolicies().Of(row)->timeout, milliseconds(0));
  row.profile = "full";
  row.method = "HEAD";
  const auto capped = CheckPolicies().Of(row);
  EXPECT_EQ(probe::ModeName(capped->mode), "head-simple");
  EXPECT_EQ(capped->full, nullptr);
}

TEST(CheckPolicies, EqualRowsShareOneAndNobodysGo) {
  CheckPolicies policies;
  store::CheckConfig row = Full(), other = Full();
  row.keyword = other.keyword = "welcome";
  other.site_id = 8;
  const auto policy = policies.Of(row);
  EXPECT_EQ(policies.Of(other), policy);
  other.keyword.reset();
  other.forbidden_keyword = "welcome";
  EXPECT_NE(policies.Of(other), policy);
  for (int i = 0; i < 10'000; ++i) {
    other.keyword = std::to_string(i);
    policies.Of(other);
  }
  EXPECT_LT(policies.size(), 200u);
  EXPECT_EQ(policies.Of(row), policy);
}

TEST(CheckPolicies, WhatIsWrongIsTheDefaultAndIsSaid) {
  const std::string longest(255, 'k'), too_long(256, 'k');
  struct Case {
    const char* field;
    std::function<void(store::CheckConfig*)> spoil;
  };
  const std::vector<Case> cases = {
      {"method", [](auto* r) { r->method = "POST"; }},
      {"profile", [](auto* r) { r->profile = "fullest\n"; }},
      {"keyword", [&](auto* r) { r->keyword = too_long; }},
      {"forbidden_keyword", [&](auto* r) { r->forbidden_keyword = too_long; }},
      {"redirect_policy", [](auto* r) { r->redirect_policy = "never"; }},
      {"timeout_ms", [](auto* r) { r->timeout_ms = 99; }},
      {"timeout_ms", [](auto* r) { r->timeout_ms = -1; }},
      {"timeout_ms", [](auto* r) { r->timeout_ms = 20'001; }},
      {"headers", [](auto* r) { r->headers = "X-Key: abc"; }},
      {"headers", [](auto* r) { r->headers = R"({"Host": "other.example"})"; }},
      {"headers", [](auto* r) { r->headers = R"({"X Key": "abc"})"; }},
      {"headers", [](auto* r) { r->headers = R"({"X-Key": "a\r\nX-Other: b"})"; }},
      {"headers", [](auto* r) { r->headers = R"({"X-Key": ")" + std::string(1025, 'v') + "\"}"; }},
      {"headers", [](auto* r) { r->headers = std::string(40'001, ' '); }},
  };
  for (const Case& c : cases) {
    store::CheckConfig row = Full();
    c.spoil(&row);
    const auto policy = CheckPolicies().Of(row);
    EXPECT_EQ(policy->fault.find(std::string(c.field) + ": "), 0u) << c.field << policy->fault;
    EXPECT_EQ(policy->fault.find('\n'), std::string::npos);
    EXPECT_LE(policy->fault.size(), 200u);
    EXPECT_EQ(policy->full, nullptr) << c.field;
    EXPECT_EQ(policy->timeout, milliseconds(0));
  }
  store::CheckConfig row = Full();
  row.keyword = longest;
  row.forbidden_keyword = too_long;
  row.redirect_policy = "never";
  row.timeout_ms = 1;
  const auto policy = CheckPolicies().Of(row);
  ASSERT_NE(policy->full, nullptr);  // what is right of it holds
  EXPECT_EQ(policy->full->keyword, longest);
  EXPECT_TRUE(policy->full->forbidden_keywords.empty());
  EXPECT_EQ(policy->full->redirects, probe::RedirectPolicy::kFollow);
  row = store::CheckConfig();
  row.method = "BREW";
  row.profile = "full";
  EXPECT_EQ(CheckPolicies().Of(row)->mode,
            (probe::Mode{probe::Method::kHead, probe::Profile::kSimpleHttp}));
}

TEST(ParseHeaders, TakesAnObjectOfStrings) {
  for (const char* none : {"{}", " { } \n"}) {
    const auto headers = ParseHeaders(none);
    ASSERT_TRUE(headers.ok()) << none;
    EXPECT_TRUE(headers->empty());
  }
  const auto headers =
      ParseHeaders(R"( {"a" : "\"\\\/\b\f\n\r\t", "b":"\u00e7\u20AC\ud83d\ude00"} )");
  ASSERT_TRUE(headers.ok()) << headers.status();
  ASSERT_EQ(headers->size(), 2u);
  EXPECT_EQ((*headers)[0].value, "\"\\/\b\f\n\r\t");
  EXPECT_EQ((*headers)[1].value, "\xc3\xa7\xe2\x82\xac\xf0\x9f\x98\x80");
}

TEST(ParseHeaders, RefusesAnythingElse) {
  std::string many = "{";
  for (int i = 0; i < 33; ++i) many += (i > 0 ? ",\"h" : "\"h") + std::to_string(i) + "\":\"\"";
  many += "}";
  for (const std::string& wrong : {std::string(),
                                   std::string("null"),
                                   std::string("[]"),
                                   std::string("{"),
                                   std::string("{,}"),
                                   std::string(R"({"a"})"),
                                   std::string(R"({"a":})"),
                                   std::string(R"({"a":1})"),
                                   std::string(R"({"a":"b",})"),
                                   std::string(R"({"a":"b"} x)"),
                                   std::string(R"({"a":"b"}{})"),
                                   std::string(R"({"a":"b" "c":"d"})"),
                                   std::string(R"({"a":["b"]})"),
                                   std::string(R"({a:"b"})"),
                                   std::string(R"({'a':'b'})"),
                                   std::string(R"({"a":"b)"),
                                   std::string(R"({"a":"\x"})"),
                                   std::string(R"({"a":"\u12"})"),
                                   std::string(R"({"a":"\ud83d"})"),
                                   std::string(R"({"a":"\ude00"})"),
                                   std::string(R"({"a":"\ud83d\u0041"})"),
                                   std::string("{\"a\":\"b\nc\"}"),
                                   std::string(R"({"a":"b","A":"c"})"),
                                   std::string("{\"a\":\"\\"),
                                   many}) {
    EXPECT_FALSE(ParseHeaders(wrong).ok()) << wrong;
  }
}

}  // namespace
}  // namespace jetmon::monitor
