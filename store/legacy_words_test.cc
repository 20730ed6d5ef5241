#include "store/legacy_words.h"

#include <gtest/gtest.h>

namespace jetmon::store {
namespace {

constexpr LegacyDialect kV1 = LegacyDialect::kV1, kJetmon2 = LegacyDialect::kJetmon2;

TEST(LegacyDialect, HasNames) {
  EXPECT_EQ(NameOf(kV1), "v1");
  EXPECT_EQ(NameOf(kJetmon2), "jetmon2");
  EXPECT_EQ(ParseLegacyDialect("v1"), kV1);
  EXPECT_EQ(ParseLegacyDialect("jetmon2"), kJetmon2);
  EXPECT_EQ(ParseLegacyDialect(""), kJetmon2);  // a row of an older build
  EXPECT_EQ(ParseLegacyDialect("V1"), std::nullopt);
  EXPECT_EQ(ParseLegacyDialect("jetmon"), std::nullopt);
}

// docs/legacy-words.md has the same table.
TEST(LegacyMeaning, FollowsTheTable) {
  const struct {
    int status;
    LegacyMeaning v1, jetmon2;
  } table[] = {
      {0, LegacyMeaning::kToldDown, LegacyMeaning::kSuspected},
      {1, LegacyMeaning::kUp, LegacyMeaning::kUp},
      {2, LegacyMeaning::kToldDown, LegacyMeaning::kToldDown},
      {3, LegacyMeaning::kUnknown, LegacyMeaning::kUnknown},
      {-1, LegacyMeaning::kUnknown, LegacyMeaning::kUnknown},
      {127, LegacyMeaning::kUnknown, LegacyMeaning::kUnknown},
  };
  for (const auto& row : table) {
    EXPECT_EQ(MeaningOf(kV1, row.status), row.v1) << row.status;
    EXPECT_EQ(MeaningOf(kJetmon2, row.status), row.jetmon2) << row.status;
  }
}

TEST(StatusFor, FollowsTheTable) {
  const struct {
    Standing standing;
    int v1, jetmon2;
  } table[] = {
      {{Severity::kUp, false, false}, 1, 1},       {{Severity::kWarning, false, false}, 1, 1},
      {{Severity::kDegraded, false, false}, 1, 1}, {{Severity::kSeemsDown, false, false}, 1, 0},
      {{Severity::kDown, false, false}, 1, 2},  // confirmed, and not yet sending
      {{Severity::kDown, true, false}, 0, 2},      {{Severity::kDown, true, true}, 2, 2},
      {{Severity::kUp, true, false}, 0, 1},  // recovered, and its end is not told yet
      {{Severity::kUp, true, true}, 2, 1},
  };
  for (const auto& row : table) {
    EXPECT_EQ(StatusFor(kV1, row.standing), row.v1);
    EXPECT_EQ(StatusFor(kJetmon2, row.standing), row.jetmon2);
  }
}

TEST(LegacyTime, GoesBothWaysInWholeSeconds) {
  EXPECT_EQ(LegacyTime(1'700'000'000'000), "2023-11-14 22:13:20");
  EXPECT_EQ(LegacyTime(1'700'000'000'999), "2023-11-14 22:13:20");
  EXPECT_EQ(ParseLegacyTime("2023-11-14 22:13:20"), 1'700'000'000'000);
  EXPECT_EQ(ParseLegacyTime("2023-11-14 22:13:20.500"), 1'700'000'000'000);
  EXPECT_EQ(ParseLegacyTime(""), 0);
  EXPECT_EQ(ParseLegacyTime("0000-00-00 00:00:00"), 0);
  EXPECT_EQ(ParseLegacyTime("tomorrow"), 0);
}

}  // namespace
}  // namespace jetmon::store
