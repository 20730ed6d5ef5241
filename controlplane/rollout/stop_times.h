#ifndef JETMON_CONTROLPLANE_ROLLOUT_STOP_TIMES_H_
#define JETMON_CONTROLPLANE_ROLLOUT_STOP_TIMES_H_

#include <cstdint>
#include <map>
#include <mutex>

#include "clock/clock.h"

namespace jetmon::rollout {

// How long ago v1 was recorded as stopped, by this process's own clock. After a restart, and for
// what another control plane recorded, nothing is known: no time has passed. Thread-safe.
class StopTimes {
 public:
  // The checkpoint of that ordinal was recorded.
  void Stopped(uint64_t ordinal, BootTime at) {
    std::lock_guard lock(mutex_);
    at_[ordinal] = at;
    if (at_.size() > kMost) at_.erase(at_.begin());
  }
  std::chrono::nanoseconds Since(uint64_t ordinal, BootTime now) const {
    std::lock_guard lock(mutex_);
    const auto at = at_.find(ordinal);
    return at == at_.end() ? std::chrono::nanoseconds(0) : now - at->second;
  }

 private:
  static constexpr size_t kMost = 1000;
  mutable std::mutex mutex_;
  std::map<uint64_t, BootTime> at_;  // by ordinal: the oldest goes first
};

}  // namespace jetmon::rollout

#endif  // JETMON_CONTROLPLANE_ROLLOUT_STOP_TIMES_H_
