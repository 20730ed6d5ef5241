#ifndef JETMON_MONITOR_LEASE_OBSERVER_H_
#define JETMON_MONITOR_LEASE_OBSERVER_H_

#include <chrono>
#include <cstdint>
#include <map>

#include "clock/clock.h"

namespace jetmon::monitor {

// Observes the lease sequences of range locks on this process's own clock: a lease is dead when its
// sequence was seen unchanged for a whole grace by an observer that read well throughout. After 5 s
// without a good read all observations start again. Not thread-safe.
class LeaseObserver {
 public:
  // A good read begins: `now` is from before it was sent.
  void BeginRead(BootTime now) {
    if (last_read_.ns != 0 && now - last_read_ > kBlind) seen_.clear();
    last_read_ = now;
  }
  // What the read saw.
  void Saw(uint64_t epoch, uint64_t lease_seq, BootTime now) {
    auto [at, fresh] = seen_.try_emplace(epoch, Seen{lease_seq, now});
    if (!fresh && at->second.lease_seq != lease_seq) at->second = Seen{lease_seq, now};
  }
  // How long the sequence has stayed what it is; zero if never seen.
  std::chrono::nanoseconds Unchanged(uint64_t epoch, BootTime now) const {
    auto at = seen_.find(epoch);
    return at == seen_.end() ? std::chrono::nanoseconds(0) : now - at->second.since;
  }

 private:
  static constexpr std::chrono::seconds kBlind{5};
  struct Seen {
    uint64_t lease_seq;
    BootTime since;
  };
  BootTime last_read_;
  std::map<uint64_t, Seen> seen_;
};

}  // namespace jetmon::monitor

#endif  // JETMON_MONITOR_LEASE_OBSERVER_H_
