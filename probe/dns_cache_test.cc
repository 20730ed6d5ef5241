#include "probe/dns_cache.h"

#include <gtest/gtest.h>

#include <chrono>
#include <cstdint>
#include <string>
#include <thread>
#include <vector>

#include "probe/ip_address.h"

namespace jetmon::probe {
namespace {

using std::chrono::nanoseconds;
using std::chrono::seconds;
using Status = DnsAnswer::Status;

constexpr BootTime kNow{1'000'000'000};

DnsAnswer Answer(Status status, int addresses = 1) {
  DnsAnswer answer;
  answer.status = status;
  if (status != Status::kOk) answer.error = "why";
  for (int i = 0; i < addresses && status == Status::kOk; ++i) {
    answer.addresses.push_back(*ParseIpAddress("192.0.2." + std::to_string(i)));
  }
  return answer;
}

constexpr int kNames = 1000;

std::string Name(int i) { return "n" + std::to_string(i) + ".example"; }

// How many of so many answers are still there after `age`.
int Left(Status status, seconds ttl, nanoseconds age) {
  DnsCache cache(kNames);
  for (int i = 0; i < kNames; ++i) cache.Put(Name(i), Answer(status), ttl, kNow);
  int left = 0;
  for (int i = 0; i < kNames; ++i) left += cache.Find(Name(i), kNow + age).has_value() ? 1 : 0;
  return left;
}

// All are kept for nine tenths of `life`, none for longer than it, and between they go evenly.
void ExpectLife(Status status, seconds ttl, nanoseconds life) {
  EXPECT_EQ(Left(status, ttl, life * 9 / 10), kNames) << ttl.count();
  EXPECT_EQ(Left(status, ttl, life), 0) << ttl.count();
  const int half = Left(status, ttl, life * 95 / 100);
  EXPECT_GT(half, kNames * 4 / 10) << ttl.count();
  EXPECT_LT(half, kNames * 6 / 10) << ttl.count();
}

TEST(DnsCacheTest, AnAnswerIsKeptAsItIs) {
  DnsCache cache(10);
  EXPECT_FALSE(cache.Find("site.example", kNow).has_value());
  cache.Put("site.example", Answer(Status::kOk, 2), seconds(60), kNow);
  const auto found = cache.Find("site.example", kNow + seconds(50));
  ASSERT_TRUE(found.has_value());
  EXPECT_TRUE(found->cached);
  EXPECT_EQ(found->status, Status::kOk);
  EXPECT_EQ(found->addresses, Answer(Status::kOk, 2).addresses);
  EXPECT_FALSE(cache.Find("site.example", kNow + seconds(60)).has_value());
  EXPECT_EQ(cache.size(), 0u);
  EXPECT_FALSE(cache.Find("site.example", kNow).has_value());
}

TEST(DnsCacheTest, ALaterAnswerReplacesIt) {
  DnsCache cache(10);
  cache.Put("site.example", Answer(Status::kOk, 2), seconds(60), kNow);
  cache.Put("site.example", Answer(Status::kNoName), seconds(60), kNow);
  EXPECT_EQ(cache.Find("site.example", kNow)->status, Status::kNoName);
  EXPECT_EQ(cache.Find("site.example", kNow)->error, "why");
  EXPECT_EQ(cache.size(), 1u);
}

TEST(DnsCacheTest, ForItsTtlWithinBoundsLessUpToATenth) {
  ExpectLife(Status::kOk, seconds(300), seconds(300));
  ExpectLife(Status::kOk, seconds(1), seconds(1));
  ExpectLife(Status::kOk, seconds(0), seconds(1));
  ExpectLife(Status::kOk, seconds(-5), seconds(1));
  ExpectLife(Status::kOk, seconds(900), seconds(900));
  ExpectLife(Status::kOk, std::chrono::hours(48), seconds(900));
  ExpectLife(Status::kOk, seconds(INT32_MAX), seconds(900));
  ExpectLife(Status::kNoName, seconds(INT32_MAX), seconds(30));
  ExpectLife(Status::kNoName, seconds(1), seconds(30));
}

TEST(DnsCacheTest, FailuresAreNotKept) {
  for (const Status status : {Status::kFailed, Status::kTimeout, Status::kLocal}) {
    EXPECT_EQ(Left(status, seconds(300), nanoseconds(0)), 0);
  }
  // And leave what was known.
  DnsCache cache(10);
  cache.Put("site.example", Answer(Status::kOk), seconds(60), kNow);
  cache.Put("site.example", Answer(Status::kFailed), seconds(60), kNow);
  EXPECT_EQ(cache.Find("site.example", kNow)->status, Status::kOk);
}

TEST(DnsCacheTest, AnAnswerOfManyAddressesIsNotKept) {
  DnsCache cache(10);
  cache.Put("few.example", Answer(Status::kOk, 16), seconds(60), kNow);
  cache.Put("many.example", Answer(Status::kOk, 17), seconds(60), kNow);
  EXPECT_EQ(cache.Find("few.example", kNow)->addresses.size(), 16u);
  EXPECT_FALSE(cache.Find("many.example", kNow).has_value());
}

TEST(DnsCacheTest, TheOneNotUsedForLongestMakesRoom) {
  DnsCache cache(3);
  for (int i = 0; i < 3; ++i) cache.Put(Name(i), Answer(Status::kOk), seconds(60), kNow);
  EXPECT_TRUE(cache.Find(Name(0), kNow).has_value());
  cache.Put(Name(3), Answer(Status::kOk), seconds(60), kNow);
  EXPECT_EQ(cache.size(), 3u);
  EXPECT_FALSE(cache.Find(Name(1), kNow).has_value());
  for (const int i : {0, 2, 3}) EXPECT_TRUE(cache.Find(Name(i), kNow).has_value()) << i;
  DnsCache none(0);
  none.Put(Name(0), Answer(Status::kOk), seconds(60), kNow);
  EXPECT_EQ(none.size(), 0u);
}

// For TSan, and that what one thread puts is whole to the others.
TEST(DnsCacheTest, ManyThreads) {
  DnsCache cache(50);
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&cache, t] {
      for (int i = 0; i < 20'000; ++i) {
        const int n = (i * 7 + t) % 100;
        const auto found = cache.Find(Name(n), kNow);
        if (found.has_value()) {
          EXPECT_EQ(found->addresses.size(), static_cast<size_t>(1 + n % 5));
        } else {
          cache.Put(Name(n), Answer(Status::kOk, 1 + n % 5), seconds(60), kNow);
        }
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(cache.size(), 50u);
}

}  // namespace
}  // namespace jetmon::probe
