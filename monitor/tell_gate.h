#ifndef JETMON_MONITOR_TELL_GATE_H_
#define JETMON_MONITOR_TELL_GATE_H_

#include <cstdint>
#include <mutex>

#include "clock/clock.h"
#include "clock/deadline_budget.h"

namespace jetmon::monitor {

// Says whether the Monitor may tell people about its range now: not before v1's last words have
// arrived, and only if the lease outlasts the request. The owner of the lease writes it, the
// notifier reads it. Thread-safe.
class TellGate {
 public:
  // The range of `epoch` is this instance's; it may tell from then on.
  void Open(uint64_t epoch, BootTime from) {
    std::lock_guard lock(mutex_);
    epoch_ = epoch;
    from_ = from;
    until_ = {};
  }
  // A renewal of the lease matched whose clock reading, taken before it was sent, was `read`.
  void Renewed(uint64_t epoch, BootTime read) {
    std::lock_guard lock(mutex_);
    if (epoch == epoch_) until_ = read + DeadlineBudget::kLease;
  }
  void Close() {
    std::lock_guard lock(mutex_);
    epoch_ = 0;
  }
  // Whether something new may be told now, by a request that takes up to `limit`.
  bool MayTell(uint64_t epoch, BootTime now, std::chrono::milliseconds limit) const {
    std::lock_guard lock(mutex_);
    return now >= from_ && Outlasts(epoch, now, limit);
  }
  // Whether the lease outlasts such a request. What was told already is sent again without more.
  bool MaySend(uint64_t epoch, BootTime now, std::chrono::milliseconds limit) const {
    std::lock_guard lock(mutex_);
    return Outlasts(epoch, now, limit);
  }

 private:
  bool Outlasts(uint64_t epoch, BootTime now, std::chrono::milliseconds limit) const {
    return epoch != 0 && epoch == epoch_ && now + limit < until_;
  }

  mutable std::mutex mutex_;
  uint64_t epoch_ = 0;  // 0: none
  BootTime from_, until_;
};

}  // namespace jetmon::monitor

#endif  // JETMON_MONITOR_TELL_GATE_H_
