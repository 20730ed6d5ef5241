#include "controlplane/gateway/router.h"

#include <set>
#include <string>

#include "google/api/annotations.pb.h"
#include "gtest/gtest.h"

namespace jetmon::gateway {
namespace {

class RouterTest : public ::testing::Test {
 protected:
  void SetUp() override { ASSERT_TRUE(router_.AddAll(registry_).ok()); }
  std::string Feature(const std::string& method, const std::string& path) {
    const Match match = router_.Find(method, path);
    return match.outcome == Match::Outcome::kFound ? match.route->method->feature : "";
  }
  rpc::Registry registry_;
  Router router_;
};

// Each annotation, filled with values that are hard to tell apart, leads back to its own method.
TEST_F(RouterTest, EveryAnnotationIsARoute) {
  size_t annotated = 0;
  for (const rpc::Method* method : registry_.methods()) {
    annotated += method->descriptor->options().HasExtension(google::api::http);
  }
  EXPECT_EQ(router_.routes().size(), annotated);
  EXPECT_GT(annotated, 40u);
  for (const auto& route : router_.routes()) {
    SCOPED_TRACE(route->method->name);
    for (const std::string value : {"rol_01ABC", "sessions", "a%2Fb"}) {
      std::string path;
      for (const auto& segment : route->path.segments) {
        path += "/" + (segment.variable ? value : segment.text);
      }
      if (!route->path.verb.empty()) path += ":" + route->path.verb;
      const Match match = router_.Find(route->http_method, path);
      ASSERT_EQ(match.outcome, Match::Outcome::kFound) << path;
      if (value != "sessions") {
        EXPECT_EQ(match.route->method->name, route->method->name) << path;
      }
      for (const auto& [field, decoded] : match.variables) {
        EXPECT_NE(match.route->method->descriptor->input_type()->FindFieldByName(field), nullptr);
        EXPECT_EQ(decoded, value == "a%2Fb" ? "a/b" : value);
      }
    }
  }
}

// RPCs without a path: only streams that REST can't carry.
TEST_F(RouterTest, OnlyBidirectionalStreamsHaveNoPath) {
  for (const rpc::Method* method : registry_.methods()) {
    EXPECT_EQ(method->descriptor->options().HasExtension(google::api::http),
              !method->descriptor->client_streaming())
        << method->name;
  }
}

TEST_F(RouterTest, CustomVerbs) {
  EXPECT_EQ(Feature("POST", "/api/v1/rollout/sessions/rol_1:close"), "RolloutService/CloseSession");
  EXPECT_EQ(Feature("GET", "/api/v1/rollout/sessions/rol_1"), "RolloutService/GetSession");
  EXPECT_EQ(Feature("GET", "/api/v1/rollout/jobs/rjob_1:watch"), "RolloutService/WatchJob");
  EXPECT_EQ(Feature("GET", "/api/v1/rollout/jobs/rjob_1"), "RolloutService/GetJob");
  EXPECT_EQ(Feature("POST", "/api/v1/sites:import"), "SiteService/ImportSites");
  EXPECT_EQ(Feature("GET", "/api/v1/fleet:watch"), "FleetService/WatchOverview");
  // A value may hold a colon that is no verb.
  const Match match = router_.Find("GET", "/api/v1/rollout/jobs/a:b");
  ASSERT_EQ(match.outcome, Match::Outcome::kFound);
  EXPECT_EQ(match.variables[0].second, "a:b");
}

TEST_F(RouterTest, WhatIsNoRoute) {
  for (const std::string path :
       {"", "/", "//", "/api", "/api/v1/rollout/sessions/", "/api/v1//sessions",
        "/api/v1/rollout/jobs/x/y", "/api/v1/rollout/jobs/%zz", "/api/v1/rollout/jobs/%00",
        "/api/v1/rollout/jobs/%ff", "/api/v1/rollout/jobs/%4",
        "/api/v1/rollout/sessions/a%2F..:closed/x", "*", "api/v1/health"}) {
    EXPECT_EQ(router_.Find("GET", path).outcome, Match::Outcome::kNotFound) << path;
  }
  EXPECT_EQ(router_.Find("GET", std::string(16'000, '/')).outcome, Match::Outcome::kNotFound);
}

TEST_F(RouterTest, OtherMethodsAreNamed) {
  const Match match = router_.Find("PATCH", "/api/v1/rollout/sessions");
  EXPECT_EQ(match.outcome, Match::Outcome::kMethodNotAllowed);
  EXPECT_EQ(match.allow, "GET, POST");
  EXPECT_EQ(router_.Find("GET", "/api/v1/rollout/seed").allow, "POST");
}

TEST(PathTemplateTest, RefusesWhatOurProtosDoNotUse) {
  for (const char* text : {"", "x", "/", "/a/*", "/a/**", "/a/{b=c}", "/a/{}", "/a/{b", "/a//b",
                           "/a:", "/a/{b}:c:d{", "/a/x{b}"}) {
    EXPECT_FALSE(ParsePathTemplate(text).ok()) << text;
  }
  const auto path = ParsePathTemplate("/api/v1/jobs/{job_id}:watch");
  ASSERT_TRUE(path.ok());
  EXPECT_EQ(path->segments.size(), 4u);
  EXPECT_TRUE(path->segments[3].variable);
  EXPECT_EQ(path->segments[3].text, "job_id");
  EXPECT_EQ(path->verb, "watch");
}

TEST(PercentDecodeTest, Decodes) {
  EXPECT_EQ(*PercentDecode("a%20b+c", false), "a b+c");
  EXPECT_EQ(*PercentDecode("a%20b+c", true), "a b c");
  EXPECT_EQ(*PercentDecode("%C3%A4", true), "\xC3\xA4");
  for (const char* bad : {"%", "%4", "%4x", "%00", "%C3", "\xFF"}) {
    EXPECT_FALSE(PercentDecode(bad, true).ok()) << bad;
  }
}

}  // namespace
}  // namespace jetmon::gateway
