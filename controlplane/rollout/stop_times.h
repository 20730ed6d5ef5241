#ifndef JETMON_CONTROLPLANE_ROLLOUT_STOP_TIMES_H_
#define JETMON_CONTROLPLANE_ROLLOUT_STOP_TIMES_H_

#include <map>
#include <mutex>
#include <string>

#include "clock/clock.h"

namespace jetmon::rollout {

// How long ago v1 was recorded as stopped, by this process's own clock. After a restart, and for
// what another control plane recorded, nothing is known: no time has passed. Thread-safe.
class StopTimes {
 public:
  void Stopped(const std::string& run_id, BootTime at) {
    std::lock_guard lock(mutex_);
    if (at_.size() >= kMost && !at_.contains(run_id)) at_.erase(at_.begin());
    at_[run_id] = at;
  }
  std::chrono::nanoseconds Since(const std::string& run_id, BootTime now) const {
    std::lock_guard lock(mutex_);
    const auto at = at_.find(run_id);
    return at == at_.end() ? std::chrono::nanoseconds(0) : now - at->second;
  }

 private:
  static constexpr size_t kMost = 1000;  // run ids begin with their time: the oldest goes first
  mutable std::mutex mutex_;
  std::map<std::string, BootTime> at_;
};

}  // namespace jetmon::rollout

#endif  // JETMON_CONTROLPLANE_ROLLOUT_STOP_TIMES_H_
