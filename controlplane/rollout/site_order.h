#ifndef JETMON_CONTROLPLANE_ROLLOUT_SITE_ORDER_H_
#define JETMON_CONTROLPLANE_ROLLOUT_SITE_ORDER_H_

#include <cstdint>
#include <string>

namespace jetmon::rollout {

// Which sites a sample takes of a bucket, and a policy stage of a range: those that come first in
// an order that depends on run and site only. So the same run always takes the same ones, and a
// larger sample or stage contains a smaller one.
class SiteOrder {
 public:
  explicit SiteOrder(const std::string& run_id);
  // Different for different sites.
  uint64_t RankOf(uint64_t site_id) const;

 private:
  const uint64_t salt_;
};

}  // namespace jetmon::rollout

#endif  // JETMON_CONTROLPLANE_ROLLOUT_SITE_ORDER_H_
