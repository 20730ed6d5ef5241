#ifndef JETMON_MONITOR_LEASE_H_
#define JETMON_MONITOR_LEASE_H_

#include <atomic>

#include "clock/clock.h"
#include "clock/deadline_budget.h"
#include "probe/check.h"

namespace jetmon::monitor {

// The lease of one epoch, asked by the engine before every connect and write. Starts closed; open
// once the range is acknowledged, until it is closed for good. Thread-safe.
class Lease final : public probe::LeaseGate {
 public:
  bool MaySend(BootTime now) const override { return open_.load() && now.ns < until_ns_.load(); }
  // The acknowledgement matched: sending may begin.
  void Open() { open_ = true; }
  // Nothing is sent from here on, ever.
  void Close() { open_ = false; }
  // A renewal matched whose clock reading, taken before it was sent, was `read`.
  void Renewed(BootTime read) { until_ns_ = (read + DeadlineBudget::kLease).ns; }

 private:
  std::atomic<bool> open_{false};
  std::atomic<int64_t> until_ns_{0};
};

// The lease for one bucket's sites: the epoch's, until the bucket is taken out of it. Thread-safe.
class BucketLease final : public probe::LeaseGate {
 public:
  explicit BucketLease(const Lease& lease) : lease_(lease) {}
  bool MaySend(BootTime now) const override { return !closed_.load() && lease_.MaySend(now); }
  // Nothing is sent to the bucket's sites from here on, ever.
  void Close() { closed_ = true; }

 private:
  const Lease& lease_;
  std::atomic<bool> closed_{false};
};

}  // namespace jetmon::monitor

#endif  // JETMON_MONITOR_LEASE_H_
