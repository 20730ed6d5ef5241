#include "controlplane/rollout/quantiles.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <vector>

namespace jetmon::rollout {
namespace {

TEST(QuantilesTest, OfNothingAreZero) {
  const Quantiles q;
  EXPECT_EQ(q.count(), 0u);
  EXPECT_EQ(q.At(0.5), 0);
}

TEST(QuantilesTest, OfSmallNumbersAreExact) {
  Quantiles q;
  for (uint64_t v = 1; v <= 100; ++v) q.Add(v);
  EXPECT_EQ(q.count(), 100u);
  EXPECT_EQ(q.At(0), 1);
  EXPECT_EQ(q.At(0.5), 50);
  EXPECT_EQ(q.At(0.99), 99);
  EXPECT_EQ(q.At(1), 100);
}

TEST(QuantilesTest, OfAnyNumbersAreNearEnough) {
  std::vector<uint64_t> values = {127, 128, 129, 255, 256, 1'000'000, UINT64_MAX};
  for (uint64_t v = 1; v < 10'000'000'000; v = v * 3 / 2 + 1) values.push_back(v);
  std::sort(values.begin(), values.end());
  Quantiles q;
  for (uint64_t v : values) q.Add(v);
  for (size_t i = 0; i < values.size(); ++i) {
    const double told = q.At((static_cast<double>(i) + 0.5) / static_cast<double>(values.size()));
    const auto is = static_cast<double>(values[i]);
    EXPECT_LE(std::abs(told - is), 0.008 * is) << values[i];
  }
}

}  // namespace
}  // namespace jetmon::rollout
