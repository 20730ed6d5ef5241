#include "probe/dns_cache.h"

#include <algorithm>

namespace jetmon::probe {

std::optional<DnsAnswer> DnsCache::Find(const std::string& host, BootTime now) {
  std::lock_guard lock(mutex_);
  const Kept* kept = answers_.Find(host);
  if (kept == nullptr) return std::nullopt;
  if (now < kept->until) return kept->answer;
  answers_.Drop(host);
  return std::nullopt;
}

void DnsCache::Put(const std::string& host, const DnsAnswer& answer, std::chrono::seconds ttl,
                   BootTime now) {
  std::chrono::nanoseconds life;
  if (answer.status == DnsAnswer::Status::kOk) {
    if (answer.addresses.size() > kMostAddresses) return;
    life = std::clamp(ttl, kShortest, kLongest);
  } else if (answer.status == DnsAnswer::Status::kNoName) {
    life = kNegative;
  } else {
    return;
  }
  std::lock_guard lock(mutex_);
  life -= life * (jitter_() % 100) / 1000;
  Kept kept{answer, now + life};
  kept.answer.cached = true;
  answers_.Put(host, std::move(kept));
}

size_t DnsCache::size() const {
  std::lock_guard lock(mutex_);
  return answers_.size();
}

}  // namespace jetmon::probe
