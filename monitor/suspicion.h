#ifndef JETMON_MONITOR_SUSPICION_H_
#define JETMON_MONITOR_SUSPICION_H_

#include <chrono>
#include <deque>

#include "clock/clock.h"

namespace jetmon::monitor {

// Watches whether this Monitor itself is the likelier cause: if over 20 % of the last 1,000 checks
// of sites that were up fail within 10 s, it is suspect. Fewer than 50 checks in those 10 s say
// nothing. Not thread-safe.
class Suspicion {
 public:
  void Add(BootTime now, bool failed) {
    checks_.push_back({now, failed});
    failures_ += failed ? 1 : 0;
    while (checks_.size() > kMost) Pop();
  }
  bool suspect(BootTime now) {
    while (!checks_.empty() && now - checks_.front().at > kWindow) Pop();
    return checks_.size() >= kFewest && failures_ * 5 > checks_.size();
  }

 private:
  static constexpr size_t kMost = 1000, kFewest = 50;
  static constexpr std::chrono::seconds kWindow{10};
  struct Check {
    BootTime at;
    bool failed;
  };
  void Pop() {
    failures_ -= checks_.front().failed ? 1 : 0;
    checks_.pop_front();
  }
  std::deque<Check> checks_;
  size_t failures_ = 0;
};

}  // namespace jetmon::monitor

#endif  // JETMON_MONITOR_SUSPICION_H_
