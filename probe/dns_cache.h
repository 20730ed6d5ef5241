#ifndef JETMON_PROBE_DNS_CACHE_H_
#define JETMON_PROBE_DNS_CACHE_H_

#include <chrono>
#include <cstddef>
#include <mutex>
#include <optional>
#include <random>
#include <string>

#include "clock/clock.h"
#include "probe/lru.h"
#include "probe/resolver.h"

namespace jetmon::probe {

// DNS answers by host name, those used last, at most so many; with a name of 20 bytes and one
// address 260 bytes each, measured. Thread-safe.
//
// An answer is kept for its TTL, but 1 s to 15 min, less up to a tenth so that what was asked
// together is not asked again together; that a name does not exist, for 30 s. Nothing else is kept:
// a resolver that failed or was silent is asked again by the next check. Nor is an answer of more
// than 16 addresses: that of one name shall not cost what those of many do.
class DnsCache {
 public:
  static constexpr std::chrono::seconds kShortest{1}, kLongest{15 * 60}, kNegative{30};
  static constexpr size_t kMostAddresses = 16;

  explicit DnsCache(size_t most) : answers_(most) {}

  std::optional<DnsAnswer> Find(const std::string& host, BootTime now);
  // `ttl` is the least of the answer's records; not used for kNoName.
  void Put(const std::string& host, const DnsAnswer& answer, std::chrono::seconds ttl,
           BootTime now);
  size_t size() const;

 private:
  struct Kept {
    DnsAnswer answer;
    BootTime until;
  };

  mutable std::mutex mutex_;
  Lru<Kept> answers_;        // guarded by mutex_
  std::minstd_rand jitter_;  // guarded by mutex_
};

}  // namespace jetmon::probe

#endif  // JETMON_PROBE_DNS_CACHE_H_
