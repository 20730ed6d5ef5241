#ifndef JETMON_CONTROLPLANE_ROLLOUT_QUANTILES_H_
#define JETMON_CONTROLPLANE_ROLLOUT_QUANTILES_H_

#include <cstdint>
#include <vector>

namespace jetmon::rollout {

// Quantiles of any number of whole numbers, in 34 KB: values below 128 are exact, others are told
// with an error of 0.8 % at most.
class Quantiles {
 public:
  Quantiles();
  void Add(uint64_t value);
  uint64_t count() const { return count_; }
  // The value that `share` (0..1) of all are not above; 0 if there are none.
  double At(double share) const;

 private:
  std::vector<uint64_t> counts_;
  uint64_t count_ = 0;
};

}  // namespace jetmon::rollout

#endif  // JETMON_CONTROLPLANE_ROLLOUT_QUANTILES_H_
