#include "cli/bucket_set.h"

#include <gtest/gtest.h>

#include <set>

namespace jetmon::cli {
namespace {

BucketSet Of(const std::vector<store::Range>& ranges) {
  BucketSet set;
  for (const store::Range& r : ranges) set.Add(r);
  return set;
}

// The buckets that stand in bits.
BucketSet OfBits(uint32_t bits) {
  BucketSet set;
  // From the middle outwards, so that ranges grow at either end.
  for (const uint32_t b : {3u, 4u, 2u, 6u, 0u, 7u, 1u, 5u}) {
    if (bits >> b & 1) set.Add(store::Range{b, b});
  }
  return set;
}

TEST(BucketSetTest, RangesThatTouchOrOverlapBecomeOne) {
  EXPECT_EQ(BucketSet().ToString(), "none");
  EXPECT_EQ(Of({{5, 9}}).ToString(), "5-9");
  EXPECT_EQ(Of({{5, 9}, {10, 12}}).ToString(), "5-12");
  EXPECT_EQ(Of({{5, 9}, {11, 12}}).ToString(), "5-9, 11-12");
  EXPECT_EQ(Of({{5, 9}, {0, 0}, {2, 3}}).ToString(), "0, 2-3, 5-9");
  EXPECT_EQ(Of({{5, 9}, {0, 0}, {2, 3}, {1, 4}}).ToString(), "0-9");
  EXPECT_EQ(Of({{5, 9}, {6, 7}}).ToString(), "5-9");
  EXPECT_EQ(Of({{0, 99}, {200, 299}}).size(), 200u);
}

TEST(BucketSetTest, CalculatesAsBitsDo) {
  for (uint32_t a = 0; a < 256; ++a) {
    for (uint32_t b = 0; b < 256; ++b) {
      BucketSet both = OfBits(a);
      both.Add(OfBits(b));
      ASSERT_EQ(both, OfBits(a | b)) << a << " " << b;
      ASSERT_EQ(OfBits(a).And(OfBits(b)), OfBits(a & b)) << a << " " << b;
      ASSERT_EQ(OfBits(a).Without(OfBits(b)), OfBits(a & ~b)) << a << " " << b;
    }
    ASSERT_EQ(OfBits(a).size(), static_cast<uint64_t>(__builtin_popcount(a)));
    ASSERT_EQ(OfBits(a).empty(), a == 0);
  }
}

}  // namespace
}  // namespace jetmon::cli
