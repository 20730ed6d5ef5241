#include "controlplane/rollout/site_order.h"

#include "store/ids.h"

namespace jetmon::rollout {

SiteOrder::SiteOrder(const std::string& run_id)
    : salt_(std::stoull(store::Sha256Hex(run_id).substr(0, 16), nullptr, 16)) {}

// SplitMix64's finalizer: a permutation, in which neighbours land far apart.
uint64_t SiteOrder::RankOf(uint64_t site_id) const {
  uint64_t z = site_id ^ salt_;
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
  return z ^ (z >> 31);
}

}  // namespace jetmon::rollout
