#include "tests/bench/legacy_rows.h"

#include <gtest/gtest.h>

#include <map>
#include <set>

namespace jetmon::bench {
namespace {

TEST(LegacyRow, IsAlwaysTheSame) {
  for (uint64_t i : {1, 77, 3'000'000}) {
    EXPECT_EQ(LegacyRow(i, {}).url, LegacyRow(i, {}).url);
    EXPECT_EQ(LegacyRow(i, {}).bucket, LegacyRow(i, {}).bucket);
  }
  EXPECT_NE(LegacyRow(1, {}).url, LegacyRow(2, {}).url);
}

TEST(LegacyRow, HasTheShapeOfProduction) {
  constexpr int kRows = 200'000;
  std::map<std::string, int> count;
  std::set<uint64_t> blogs;
  std::map<uint32_t, int> buckets;
  for (int i = 1; i <= kRows; ++i) {
    const store::Site s = LegacyRow(i, {});
    ASSERT_LE(s.url.size(), 300u);
    count["longest"] += s.url.size() == 300 ? 1 : 0;
    count["active"] += s.active ? 1 : 0;
    count["https"] += s.url.compare(0, 8, "https://") == 0 ? 1 : 0;
    count["http"] += s.url.compare(0, 7, "http://") == 0 ? 1 : 0;
    count["down"] += s.site_status == 2 ? 1 : 0;
    blogs.insert(s.blog_id);
    ++buckets[s.bucket];
  }
  EXPECT_NEAR(count["active"], kRows * 0.167, kRows * 0.01);
  EXPECT_NEAR(count["http"], kRows * 0.58, kRows * 0.01);
  EXPECT_NEAR(count["https"], kRows * 0.42, kRows * 0.01);
  EXPECT_GT(kRows - count["http"] - count["https"], 50);  // malformed
  EXPECT_NEAR(count["down"], kRows * 0.01, kRows * 0.002);
  EXPECT_GT(count["longest"], 100);
  EXPECT_LT(blogs.size(), kRows * 0.99);
  EXPECT_EQ(buckets.size(), 512u);
  EXPECT_EQ(buckets.rbegin()->first, 511u);
}

}  // namespace
}  // namespace jetmon::bench
