#include "controlplane/access/rate_limiter.h"

#include <thread>
#include <vector>

#include "gtest/gtest.h"

namespace jetmon::access {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

TEST(RateLimiterTest, BurstThenRate) {
  ManualClock clock;
  RateLimiter limiter({.per_second = 10, .burst = 5}, clock);
  for (uint32_t i = 0; i < 5; ++i) {
    const auto d = limiter.Take("key_1");
    ASSERT_TRUE(d.allowed);
    EXPECT_EQ(d.limit, 5u);
    EXPECT_EQ(d.remaining, 4 - i);
  }
  const auto refused = limiter.Take("key_1");
  EXPECT_FALSE(refused.allowed);
  EXPECT_EQ(refused.retry_after, milliseconds(100));
  EXPECT_EQ(refused.reset, seconds(1));
  clock.Advance(milliseconds(99));
  EXPECT_FALSE(limiter.Take("key_1").allowed);
  clock.Advance(milliseconds(1));
  EXPECT_TRUE(limiter.Take("key_1").allowed);
  EXPECT_FALSE(limiter.Take("key_1").allowed);
}

TEST(RateLimiterTest, FillsUpToTheBurstOnly) {
  ManualClock clock;
  RateLimiter limiter({.per_second = 10, .burst = 5}, clock);
  ASSERT_TRUE(limiter.Take("key_1").allowed);
  clock.Advance(seconds(3600));
  int allowed = 0;
  while (limiter.Take("key_1").allowed) ++allowed;
  EXPECT_EQ(allowed, 5);
}

TEST(RateLimiterTest, KeysDoNotShare) {
  ManualClock clock;
  RateLimiter limiter({.per_second = 1, .burst = 1}, clock);
  EXPECT_TRUE(limiter.Take("key_1").allowed);
  EXPECT_FALSE(limiter.Take("key_1").allowed);
  EXPECT_TRUE(limiter.Take("key_2").allowed);
}

TEST(RateLimiterTest, ThreadsTakeExactlyTheBurst) {
  ManualClock clock;
  RateLimiter limiter({.per_second = 1, .burst = 100}, clock);
  std::atomic<int> allowed{0};
  std::vector<std::thread> threads;
  for (int i = 0; i < 8; ++i) {
    threads.emplace_back([&] {
      for (int j = 0; j < 50; ++j) allowed += limiter.Take("key_1").allowed;
    });
  }
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(allowed.load(), 100);
}

}  // namespace
}  // namespace jetmon::access
