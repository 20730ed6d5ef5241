#include "cli/v1_reads.h"

#include <gtest/gtest.h>

#include <algorithm>

namespace jetmon::cli {
namespace {

struct Case {
  const char* name;
  V1Settings settings;
  V1Code code;
  const char *rounds, *at_start, *strays;
};

constexpr auto kNow = V1Code::kCutsAtMax;
constexpr auto kOlder = V1Code::kRestartsAtMin;

// By hand.
const Case kCases[] = {
    {"whole batches and a rest", {0, 255, 32}, kNow, "0-255", "none", "none"},
    {"whole batches up to MAX", {0, 256, 32}, kNow, "0-255", "none", "none"},
    {"MAX - MIN is three batches", {0, 99, 33}, kNow, "0-98", "none", "none"},
    {"the same, not at 0", {200, 299, 33}, kNow, "200-298", "none", "167-199"},
    {"batches of one", {5, 9, 1}, kNow, "5-8", "none", "4"},
    {"a batch as large as the range", {100, 199, 100}, kNow, "100-199", "none", "0-99"},
    {"a batch that is one smaller", {100, 199, 99}, kNow, "100-198", "none", "1-99"},
    {"a larger batch", {100, 199, 120}, kNow, "100-199", "200-219", "0-79"},
    {"strays end at bucket 0", {10, 19, 8}, kNow, "10-19", "none", "2-9"},
    {"strays begin at bucket 0", {3, 19, 5}, kNow, "3-19", "none", "0-2"},
    {"one bucket", {7, 7, 1}, kNow, "7", "none", "6"},
    {"one bucket, a larger batch", {7, 7, 4}, kNow, "7", "8-10", "3"},
    {"older: the rest is never read", {0, 10, 4}, kOlder, "0-7", "none", "none"},
    {"older: whole batches up to MAX", {0, 512, 32}, kOlder, "0-511", "none", "none"},
    {"older: a larger batch, every round", {100, 199, 120}, kOlder, "100-219", "none", "0-99"},
    {"older: a batch as large as the range", {100, 199, 100}, kOlder, "100-199", "none", "0-99"},
    {"older: strays", {64, 128, 32}, kOlder, "64-127", "none", "32-63"},
};

TEST(V1ReadsTest, ByHand) {
  for (const Case& c : kCases) {
    const V1Reads reads = ReadsOfV1(c.settings, c.code);
    EXPECT_EQ(reads.rounds.ToString(), c.rounds) << c.name;
    EXPECT_EQ(reads.at_start.ToString(), c.at_start) << c.name;
    EXPECT_EQ(reads.strays.ToString(), c.strays) << c.name;
  }
}

// From `min` up to, but not with, `end`; what is below 0 left out.
BucketSet UpTo(int64_t min, int64_t end) {
  min = std::max<int64_t>(min, 0);
  if (min >= end) return BucketSet();
  return BucketSet(store::Range{static_cast<uint32_t>(min), static_cast<uint32_t>(end - 1)});
}

// What the rounds come to, in closed form.
V1Reads Formula(const V1Settings& s, V1Code code) {
  const int64_t min = s.min, max = s.max, batch = s.batch, whole = (max - min) / batch;
  V1Reads reads;
  if (code == V1Code::kCutsAtMax) {
    const bool max_missed = max > min && (max - min) % batch == 0;
    reads.rounds = UpTo(min, max_missed ? max : max + 1);
    reads.at_start = UpTo(max + 1, min + batch);
    reads.strays = UpTo(min - batch, min - batch + std::min(batch, max + 1 - min));
  } else {
    reads.rounds = UpTo(min, min + std::max<int64_t>(whole, 1) * batch);
    reads.strays = UpTo(min - batch, min);
  }
  return reads;
}

TEST(V1ReadsTest, EverySmallConfigReadsWhatTheFormulaSays) {
  for (const V1Code code : {kNow, kOlder}) {
    for (uint32_t min = 0; min <= 12; ++min) {
      for (uint32_t max = min; max <= min + 25; ++max) {
        for (uint32_t batch = 1; batch <= 30; ++batch) {
          const V1Reads reads = ReadsOfV1({min, max, batch}, code);
          const V1Reads formula = Formula({min, max, batch}, code);
          const auto what = [&] {
            return testing::Message()
                   << min << ".." << max << " by " << batch << ", older " << (code == kOlder);
          };
          ASSERT_EQ(reads.rounds.ToString(), formula.rounds.ToString()) << what();
          ASSERT_EQ(reads.at_start.ToString(), formula.at_start.ToString()) << what();
          ASSERT_EQ(reads.strays.ToString(), formula.strays.ToString()) << what();
        }
      }
    }
  }
}

}  // namespace
}  // namespace jetmon::cli
