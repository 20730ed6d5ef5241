#include "cli/probe_options.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace jetmon::cli {
namespace {

using testing::HasSubstr;

std::string ModeOf(const ProbeOptions& o) {
  const auto request = RequestOf(o);
  return request.ok() ? probe::ModeName(request->mode) : std::string(request.status().message());
}

TEST(ProbeOptionsTest, Modes) {
  EXPECT_EQ(ModeOf({}), "head-legacy");
  ProbeOptions o;
  o.profile = "full";
  EXPECT_EQ(ModeOf(o), "get-full");
  o.method = "HEAD";
  EXPECT_EQ(ModeOf(o), "head-simple");
  o.mode = "get-simple";
  EXPECT_THAT(ModeOf(o), HasSubstr("--mode goes without"));
  o.method = o.profile = "";
  EXPECT_EQ(ModeOf(o), "get-simple");
  o.mode = "get-more";
  EXPECT_THAT(ModeOf(o), HasSubstr("mode is head-legacy"));
}

TEST(ProbeOptionsTest, RulesMeanFull) {
  ProbeOptions o;
  o.keyword = "hello";
  o.forbidden = {"a", "b"};
  o.headers = {"X-Key:  secret "};
  o.redirects = "fail";
  auto request = RequestOf(o);
  ASSERT_TRUE(request.ok()) << request.status();
  EXPECT_EQ(probe::ModeName(request->mode), "get-full");
  EXPECT_EQ(request->full->headers[0].value, "secret");
  EXPECT_EQ(request->full->redirects, probe::RedirectPolicy::kFail);
  o.mode = "head-legacy";
  EXPECT_THAT(ModeOf(o), HasSubstr("rules of GET with profile full"));
  EXPECT_EQ(RequestOf({})->full, nullptr);
}

TEST(ProbeOptionsTest, WhatIsWrongIsNamed) {
  const auto error = [](auto set) {
    ProbeOptions o;
    set(o);
    const auto request = RequestOf(o);
    const auto engine = EngineOf(o, 1);
    return std::string(request.ok() ? engine.status().message() : request.status().message());
  };
  EXPECT_THAT(error([](auto& o) { o.timeout = "soon"; }), HasSubstr("--timeout"));
  EXPECT_THAT(error([](auto& o) { o.timeout = "2h"; }), HasSubstr("--timeout"));
  EXPECT_THAT(error([](auto& o) { o.redirects = "maybe"; }), HasSubstr("--redirects"));
  EXPECT_THAT(error([](auto& o) { o.headers = {"nothing"}; }), HasSubstr("--header"));
  EXPECT_THAT(error([](auto& o) { o.headers = {"Host: x"}; }), HasSubstr("header"));
  EXPECT_THAT(error([](auto& o) { o.source_address = "here"; }), HasSubstr("--source-address"));
  EXPECT_THAT(error([](auto& o) { o.resolvers = "dns.example"; }), HasSubstr("--resolvers"));
  EXPECT_THAT(error([](auto& o) { o.target_safety = "no"; }), HasSubstr("public_only or off"));
  EXPECT_THAT(error([](auto& o) { o.allow_cidr = "10.0.0.1/8"; }), HasSubstr("--allow-cidr: "));
}

}  // namespace
}  // namespace jetmon::cli
