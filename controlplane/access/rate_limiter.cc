#include "controlplane/access/rate_limiter.h"

#include <algorithm>
#include <cmath>

namespace jetmon::access {
namespace {

constexpr size_t kManyBuckets = 10'000;

double Seconds(std::chrono::nanoseconds d) { return static_cast<double>(d.count()) / 1e9; }

}  // namespace

RateLimiter::RateLimiter(Limits limits, const Clock& clock) : limits_(limits), clock_(clock) {}

void RateLimiter::DropFull(BootTime now) {
  const double to_fill = limits_.burst / limits_.per_second;
  std::erase_if(buckets_,
                [&](const auto& entry) { return Seconds(now - entry.second.at) >= to_fill; });
}

RateLimiter::Decision RateLimiter::Take(std::string_view key_id) {
  const BootTime now = clock_.Boot();
  std::lock_guard lock(mu_);
  if (buckets_.size() >= kManyBuckets) DropFull(now);
  const auto [it, inserted] =
      buckets_.try_emplace(std::string(key_id), Bucket{static_cast<double>(limits_.burst), now});
  Bucket& bucket = it->second;
  // Two threads may come here in another order than they read the clock.
  const double passed = std::max(0.0, Seconds(now - bucket.at));
  bucket.tokens = std::min<double>(limits_.burst, bucket.tokens + passed * limits_.per_second);
  bucket.at = std::max(bucket.at, now);

  Decision decision;
  decision.limit = limits_.burst;
  decision.allowed = bucket.tokens >= 1;
  if (decision.allowed) {
    bucket.tokens -= 1;
  } else {
    const double wait_s = (1 - bucket.tokens) / limits_.per_second;
    decision.retry_after = std::chrono::milliseconds(static_cast<int64_t>(std::ceil(wait_s * 1e3)));
  }
  decision.remaining = static_cast<uint32_t>(bucket.tokens);
  decision.reset = std::chrono::seconds(
      static_cast<int64_t>(std::ceil((limits_.burst - bucket.tokens) / limits_.per_second)));
  return decision;
}

}  // namespace jetmon::access
