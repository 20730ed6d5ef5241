#ifndef JETMON_CONTROLPLANE_ROLLOUT_OBSERVER_H_
#define JETMON_CONTROLPLANE_ROLLOUT_OBSERVER_H_

#include <chrono>
#include <condition_variable>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <thread>

#include "absl/status/status.h"
#include "clock/clock.h"
#include "controlplane/rollout/options.h"
#include "store/sql/database.h"

namespace jetmon::rollout {

// Watches the sequences of leases (range locks), processes and running jobs on this control plane's
// own clock. Who was seen unchanged for a whole grace is dead; nobody's clock is compared with
// another's. After 5 s without a good read every observation starts again. Thread-safe.
class Observer {
 public:
  Observer(sql::Database& db, const Clock& clock, Times times);
  ~Observer();
  // Reads regularly on a thread; or Read by hand in tests.
  void Run();
  void Stop();
  absl::Status Read();

  struct Sight {
    uint64_t seq = 0;
    std::chrono::nanoseconds unchanged{0};
    bool seen_to_change = false;  // it was heard of since the observation began
  };
  // nullopt: not seen (yet).
  std::optional<Sight> Lease(uint64_t epoch) const;
  std::optional<Sight> Process(const std::string& instance) const;
  std::optional<Sight> JobWorker(const std::string& job_id) const;
  // After so long without a change.
  std::chrono::milliseconds grace() const { return times_.grace; }
  const DeadlineBudget& budget() const { return times_.budget; }
  bool Dead(const std::optional<Sight>& sight) const {
    return sight.has_value() && sight->unchanged >= times_.grace;
  }
  // Waits until a process of that host was seen to change, at most `limit`. False: none was.
  bool WaitUntilHeard(const std::string& host, std::chrono::milliseconds limit);

 private:
  static constexpr std::chrono::seconds kBlind{5};
  struct Seen {
    uint64_t seq = 0;
    BootTime since;
    bool changed = false;
    std::string host;
  };
  using Table = std::map<std::string, Seen>;
  std::optional<Sight> Look(const Table& table, const std::string& key) const;
  static void Merge(Table* table, const std::map<std::string, Seen>& fresh, BootTime now);

  sql::Database& db_;
  const Clock& clock_;
  const Times times_;
  mutable std::mutex mutex_;
  std::condition_variable wake_;
  bool stopping_ = false;  // guarded by mutex_, as all below
  Table leases_, processes_, jobs_;
  BootTime last_read_;
  std::thread thread_;
};

}  // namespace jetmon::rollout

#endif  // JETMON_CONTROLPLANE_ROLLOUT_OBSERVER_H_
