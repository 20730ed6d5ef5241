#include "probe/check.h"

#include <gtest/gtest.h>

#include <set>
#include <string>

namespace jetmon::probe {
namespace {

TEST(ModeTest, NamesGoThereAndBack) {
  for (const char* name : {"head-legacy", "head-simple", "get-legacy", "get-simple", "get-full"}) {
    const auto mode = ParseMode(name);
    ASSERT_TRUE(mode.ok()) << name;
    EXPECT_EQ(ModeName(*mode), name);
  }
  for (const char* name :
       {"", "head", "head-full", "HEAD-legacy", "get-simple_http", "post-legacy"}) {
    EXPECT_TRUE(absl::IsInvalidArgument(ParseMode(name).status())) << name;
  }
}

TEST(ModeTest, FromACheckPolicy) {
  EXPECT_EQ(*ParseMode("HEAD", "legacy"), (Mode{Method::kHead, Profile::kLegacy}));
  EXPECT_EQ(*ParseMode("GET", "simple_http"), (Mode{Method::kGet, Profile::kSimpleHttp}));
  EXPECT_EQ(*ParseMode("GET", "full"), (Mode{Method::kGet, Profile::kFull}));
  EXPECT_EQ(*ParseMode("HEAD", "full"), (Mode{Method::kHead, Profile::kSimpleHttp}));
  EXPECT_FALSE(ParseMode("head", "legacy").ok());
  EXPECT_FALSE(ParseMode("GET", "simple").ok());
  for (const Method method : {Method::kHead, Method::kGet}) {
    for (const Profile profile : {Profile::kLegacy, Profile::kSimpleHttp}) {
      const auto mode = ParseMode(MethodName(method), ProfileName(profile));
      ASSERT_TRUE(mode.ok());
      EXPECT_EQ(*mode, (Mode{method, profile}));
    }
  }
}

TEST(OutcomeTest, NamesAreDistinctAndOnlyTwoAreVerdicts) {
  std::set<std::string_view> names;
  int verdicts = 0;
  for (int i = 0; i <= static_cast<int>(Outcome::kLost); ++i) {
    names.insert(OutcomeName(static_cast<Outcome>(i)));
    verdicts += IsVerdict(static_cast<Outcome>(i));
  }
  EXPECT_EQ(names.size(), 6u);
  EXPECT_EQ(names.count(""), 0u);
  EXPECT_EQ(verdicts, 2);
}

}  // namespace
}  // namespace jetmon::probe
