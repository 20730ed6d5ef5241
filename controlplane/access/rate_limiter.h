#ifndef JETMON_CONTROLPLANE_ACCESS_RATE_LIMITER_H_
#define JETMON_CONTROLPLANE_ACCESS_RATE_LIMITER_H_

#include <chrono>
#include <cstdint>
#include <mutex>
#include <string>
#include <string_view>
#include <unordered_map>

#include "clock/clock.h"

namespace jetmon::access {

// A token bucket for each API key: `per_second` requests a second on average, `burst` at once.
// Thread-safe. Its buckets are bounded by the keys that exist: only a caller who proved a key gets
// one; full ones are dropped when there are many.
class RateLimiter {
 public:
  struct Limits {
    double per_second = 100;  // > 0
    uint32_t burst = 200;     // >= 1
  };
  RateLimiter(Limits limits, const Clock& clock);

  struct Decision {
    bool allowed = true;
    uint32_t limit = 0;                        // the burst
    uint32_t remaining = 0;                    // requests that may come at once now
    std::chrono::seconds reset{0};             // until the bucket is full again, rounded up
    std::chrono::milliseconds retry_after{0};  // when refused: until one request may come
  };
  // Takes one request from the key's bucket.
  Decision Take(std::string_view key_id);

 private:
  struct Bucket {
    double tokens = 0;
    BootTime at;
  };
  void DropFull(BootTime now);

  const Limits limits_;
  const Clock& clock_;
  std::mutex mu_;
  std::unordered_map<std::string, Bucket> buckets_;
};

}  // namespace jetmon::access

#endif  // JETMON_CONTROLPLANE_ACCESS_RATE_LIMITER_H_
