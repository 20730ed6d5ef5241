#include "cli/v1_plan.h"

#include <gtest/gtest.h>

#include <algorithm>

namespace jetmon::cli {
namespace {

using Strings = std::vector<std::string>;

V1PlanReport Judge(const std::vector<V1Host>& hosts, const std::vector<store::Range>& held = {},
                   uint32_t bucket_total = 512) {
  BucketSet set;
  for (const store::Range& r : held) set.Add(r);
  return JudgeV1Plan(hosts, bucket_total, set);
}

// "code: text", of those that block.
Strings Blockers(const std::vector<V1PlanFinding>& findings) {
  Strings texts;
  for (const V1PlanFinding& f : findings) {
    if (f.blocks) texts.push_back(f.code + ": " + f.text);
  }
  return texts;
}

std::string WarningOf(const V1PlanReport& report, const std::string& code) {
  for (const V1PlanFinding& f : report.findings) {
    if (!f.blocks && f.code == code) return f.text;
  }
  return "";
}

constexpr char kNone[] = " read by no v1 host and not held by v2: its sites are not checked";

TEST(V1PlanTest, AGoodPlanOnlyWarns) {
  const V1PlanReport r = Judge({{"a", {0, 255, 32}}, {"b", {256, 511, 32}}});
  EXPECT_FALSE(r.blocked());
  EXPECT_EQ(Blockers(r.findings), Strings());
  EXPECT_TRUE(r.left.empty());
  EXPECT_EQ(r.hosts[1].reads.ToString(), "256-511");
  EXPECT_EQ(r.hosts[1].strays.ToString(), "224-255");
  EXPECT_TRUE(r.hosts[0].exact && r.hosts[1].exact);
  EXPECT_NE(WarningOf(r, "stray_below_min").find(": b 224-255"), std::string::npos);
  EXPECT_EQ(WarningOf(r, "stray_into_held"), "");
  // An older v1 leaves out 224-255 and 480-511.
  EXPECT_NE(WarningOf(r, "older_v1_differs").find(": a; b"), std::string::npos);
  ASSERT_TRUE(r.hosts[0].set_instead.has_value());
  EXPECT_EQ(*r.hosts[0].set_instead, (V1Settings{0, 256, 32}));
}

TEST(V1PlanTest, HostsThatShareTheirBoundsReadEachBucketOnce) {
  const V1PlanReport r = Judge({{"a", {0, 256, 32}}, {"b", {256, 512, 32}}});
  EXPECT_FALSE(r.blocked());
  EXPECT_EQ(r.hosts[0].intended.ToString(), "0-255");
  EXPECT_EQ(r.hosts[0].never.ToString(), "256");
  EXPECT_EQ(r.hosts[1].never.ToString(), "none");
  EXPECT_TRUE(r.hosts[0].exact && r.hosts[0].exact_if_older);
  EXPECT_FALSE(r.hosts[0].set_instead.has_value() || r.hosts[1].set_instead.has_value());
  EXPECT_EQ(WarningOf(r, "older_v1_differs"), "");
}

TEST(V1PlanTest, ASharedBoundThatTheFirstReadsTooIsReadTwice) {
  const V1PlanReport r = Judge({{"a", {0, 256, 30}}, {"b", {256, 512, 32}}});
  EXPECT_EQ(Blockers(r.findings), Strings({"read_twice: bucket 256 is read by a and b"}));
  EXPECT_EQ(*r.hosts[0].set_instead, (V1Settings{0, 256, 16}));
  EXPECT_TRUE(r.hosts[0].older_too);
  EXPECT_TRUE(r.left.empty());
}

TEST(V1PlanTest, TheMaxThatIsNeverRead) {
  const V1PlanReport r = Judge({{"a", {0, 128, 64}}, {"b", {129, 511, 32}}});
  EXPECT_EQ(Blockers(r.findings), Strings({std::string("read_by_none: bucket 128 is") + kNone}));
  EXPECT_EQ(r.hosts[0].never.ToString(), "128");
  EXPECT_FALSE(r.hosts[0].exact);
  EXPECT_EQ(*r.hosts[0].set_instead, (V1Settings{0, 129, 43}));
  EXPECT_TRUE(r.left.empty());
}

TEST(V1PlanTest, WhatNoSettingMendsForAnOlderV1) {
  const V1PlanReport bad = Judge({{"a", {0, 100, 50}}}, {}, 101);
  EXPECT_TRUE(bad.blocked());
  EXPECT_EQ(*bad.hosts[0].set_instead, (V1Settings{0, 100, 49}));
  EXPECT_FALSE(bad.hosts[0].older_too);
  EXPECT_TRUE(bad.left.empty());
  // Nothing to set: it is as good as it gets.
  const V1PlanReport good = Judge({{"a", {0, 100, 49}}}, {}, 101);
  EXPECT_FALSE(good.blocked());
  EXPECT_FALSE(good.hosts[0].set_instead.has_value());
  EXPECT_NE(WarningOf(good, "older_v1_differs").find(": a"), std::string::npos);
}

TEST(V1PlanTest, NoHostAtAllForSomeBuckets) {
  const V1PlanReport r = Judge({{"a", {10, 99, 32}}}, {{200, 511}});
  EXPECT_EQ(Blockers(r.findings),
            Strings({std::string("read_by_none: buckets 0-9, 100-199 are") + kNone}));
  EXPECT_EQ(Blockers(r.left), Blockers(r.findings));
}

TEST(V1PlanTest, AStartReadsTooMuch) {
  const V1PlanReport r = Judge({{"a", {0, 99, 128}}, {"b", {100, 511, 32}}});
  EXPECT_EQ(Blockers(r.findings), Strings({"read_twice: buckets 100-127 are read by a and b (by a "
                                           "only in the first round after a start)"}));
  EXPECT_EQ(r.hosts[0].at_start.ToString(), "100-127");
  EXPECT_FALSE(r.hosts[0].exact);
  EXPECT_EQ(*r.hosts[0].set_instead, (V1Settings{0, 99, 100}));
  EXPECT_TRUE(r.left.empty());
}

TEST(V1PlanTest, WhatIsReadAtAStartOnlyIsReadByNone) {
  const V1PlanReport r = Judge({{"a", {0, 99, 128}}, {"b", {120, 511, 30}}});
  EXPECT_EQ(Blockers(r.findings),
            Strings({"read_twice: buckets 120-127 are read by a and b (by a only in the first "
                     "round after a start)",
                     std::string("read_by_none: buckets 100-119 are") + kNone}));
}

TEST(V1PlanTest, AHostOfOneBucket) {
  const V1PlanReport r = Judge({{"a", {0, 6, 7}}, {"b", {7, 7, 1}}, {"c", {8, 511, 30}}});
  EXPECT_FALSE(r.blocked());
  EXPECT_EQ(r.hosts[1].intended.ToString(), "7");
  EXPECT_EQ(r.hosts[1].reads.ToString(), "7");
  EXPECT_TRUE(r.hosts[1].exact && r.hosts[1].exact_if_older);
}

TEST(V1PlanTest, StraysAreThoseOfAnyV1) {
  EXPECT_EQ(Judge({{"a", {100, 199, 120}}}).hosts[0].strays.ToString(), "0-99");
}

TEST(V1PlanTest, AStartThatReadsBeyondTheLastBucketReadsNothingMore) {
  const V1PlanReport r = Judge({{"a", {0, 511, 1000}}});
  EXPECT_FALSE(r.blocked());
  EXPECT_TRUE(r.hosts[0].at_start.empty());
  EXPECT_TRUE(r.hosts[0].exact);
}

TEST(V1PlanTest, WhatV2HoldsIsReadByV1) {
  const V1PlanReport r = Judge({{"a", {0, 99, 32}}, {"b", {100, 511, 32}}}, {{0, 29}});
  EXPECT_EQ(Blockers(r.findings),
            Strings({"read_while_held: buckets 0-29 are held by v2, and a reads them"}));
  EXPECT_EQ(r.hosts[0].intended.ToString(), "30-99");
  EXPECT_EQ(*r.hosts[0].set_instead, (V1Settings{30, 100, 14}));
  EXPECT_TRUE(r.left.empty());
}

TEST(V1PlanTest, WhatV2HoldsIsReadAtAStart) {
  const V1PlanReport r = Judge({{"a", {0, 99, 128}}}, {{100, 511}});
  EXPECT_EQ(Blockers(r.findings), Strings({"read_while_held: buckets 100-127 are held by v2, and a "
                                           "reads them in its first round after a start"}));
  EXPECT_TRUE(r.left.empty());
}

TEST(V1PlanTest, AllOfAHostIsV2s) {
  const V1PlanReport r = Judge({{"a", {0, 99, 32}}, {"b", {100, 511, 32}}}, {{0, 99}});
  EXPECT_TRUE(r.blocked());
  EXPECT_TRUE(r.hosts[0].intended.empty());
  EXPECT_FALSE(r.hosts[0].set_instead.has_value());
  EXPECT_TRUE(r.left.empty());  // once it is stopped
}

TEST(V1PlanTest, V2HoldsTheMiddleOfAHost) {
  const V1PlanReport r = Judge({{"a", {0, 511, 32}}}, {{100, 199}});
  EXPECT_EQ(r.hosts[0].intended.ToString(), "0-99, 200-511");
  EXPECT_FALSE(r.hosts[0].set_instead.has_value());
  EXPECT_EQ(Blockers(r.left),
            Strings({"read_while_held: buckets 100-199 are held by v2, and a reads them"}));
}

TEST(V1PlanTest, AStrayIntoWhatV2HoldsWarns) {
  const V1PlanReport r = Judge({{"b", {100, 511, 32}}}, {{0, 90}, {91, 99}});
  EXPECT_FALSE(r.blocked());
  EXPECT_NE(WarningOf(r, "stray_into_held").find(": b 68-99"), std::string::npos);
  EXPECT_EQ(WarningOf(r, "stray_below_min"), "");
}

TEST(V1PlanTest, RangesThatOverlapAreNotSettledBySettings) {
  const V1PlanReport r = Judge({{"a", {0, 300, 32}}, {"b", {200, 511, 32}}});
  const Strings twice = {"read_twice: buckets 200-300 are read by a and b"};
  EXPECT_EQ(Blockers(r.findings), twice);
  EXPECT_EQ(Blockers(r.left), twice);
}

TEST(V1PlanTest, OfManyFindingsSomeAreNamed) {
  std::vector<V1Host> hosts;
  for (int i = 0; i < 30; ++i) hosts.push_back({"h" + std::to_string(i), {1, 511, 30}});
  const V1PlanReport r = Judge(hosts, {{0, 0}, {511, 511}});
  const Strings blockers = Blockers(r.findings);
  ASSERT_EQ(blockers.size(), 21u);
  EXPECT_EQ(blockers.front(), "read_twice: buckets 1-510 are read by h0 and h1");
  EXPECT_EQ(blockers.back(), "read_twice: 415 more such");  // of 30 * 29 / 2
  EXPECT_NE(WarningOf(r, "stray_into_held").find("h19 0; and 10 more"), std::string::npos);
}

TEST(V1PlanTest, BatchesStayCloseToWhatTheyWere) {
  bool older = false;
  EXPECT_EQ(SettingsFor({0, 255}, 32, &older), (V1Settings{0, 256, 32}));
  EXPECT_TRUE(older);
  EXPECT_EQ(SettingsFor({0, 255}, 60, &older), (V1Settings{0, 256, 32}));
  // 101 has no divisor but itself, so that an older v1 can't be served: it loses the last batch.
  EXPECT_EQ(SettingsFor({0, 100}, 32, &older), (V1Settings{0, 100, 32}));
  EXPECT_FALSE(older);
  EXPECT_EQ(SettingsFor({0, 100}, 500, &older), (V1Settings{0, 100, 101}));
  EXPECT_TRUE(older);
  // 25 divides 100.
  EXPECT_EQ(SettingsFor({7, 107}, 25, &older), (V1Settings{7, 107, 24}));
  EXPECT_FALSE(older);
  // 1 to 8 divide 840, and none of them 841.
  EXPECT_EQ(SettingsFor({0, 840}, 8, &older), (V1Settings{0, 841, 1}));
  EXPECT_TRUE(older);
  EXPECT_EQ(SettingsFor({9, 9}, 32, &older), (V1Settings{9, 9, 1}));
  EXPECT_TRUE(older);
}

TEST(V1PlanTest, WhatIsToBeSetReadsJustTheRange) {
  for (uint32_t min = 0; min <= 5; ++min) {
    for (uint32_t size = 1; size <= 60; ++size) {
      for (uint32_t batch = 1; batch <= 70; ++batch) {
        const store::Range range{min, min + size - 1};
        bool older_too = false;
        const V1Settings set = SettingsFor(range, batch, &older_too);
        ASSERT_LE(set.batch, std::min(batch, size));
        ASSERT_GE(set.batch, 1u);
        ASSERT_TRUE(set.max == range.max || set.max == range.max + 1);
        const V1Reads now = ReadsOfV1(set, V1Code::kCutsAtMax);
        ASSERT_EQ(now.rounds, BucketSet(range)) << range.ToString() << " by " << batch;
        ASSERT_TRUE(now.at_start.empty()) << range.ToString() << " by " << batch;
        const V1Reads older = ReadsOfV1(set, V1Code::kRestartsAtMin);
        ASSERT_EQ(older_too, older.rounds == BucketSet(range)) << range.ToString();
      }
    }
  }
}

}  // namespace
}  // namespace jetmon::cli
