#ifndef JETMON_MONITOR_OWNERSHIP_H_
#define JETMON_MONITOR_OWNERSHIP_H_

#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>

#include "clock/clock.h"
#include "monitor/config.h"
#include "monitor/lease_observer.h"
#include "monitor/tell_gate.h"
#include "monitor/watch.h"
#include "store/hosts.h"
#include "store/locks.h"
#include "store/sql/database.h"

namespace jetmon::monitor {

// Follows the range locks of this host: acknowledges, renews, drains (a range, or a part of it
// while the rest goes on), takes over from a dead or departed instance, and gives up at once what
// is not its own any more. Polls every 2 s (every 0.25 s during a drain) on a connection of its
// own, reports health with each poll, and keeps the confirmer's vantages fresh. At most one range
// at a time has a Watch.
//
// Poll does one turn; Run starts a thread that polls. Not thread-safe but for Stop and watch facts.
class Ownership {
 public:
  explicit Ownership(const WatchParts& parts);
  ~Ownership();

  // Opens its connection. Then Poll by hand (tests), or Run.
  absl::Status Open();
  void Poll();
  void Run();
  // Ends the thread, drains what is under way within `limit`, sends nothing more, says goodbye. The
  // lock stays this host's: a successor takes it over.
  void Stop(std::chrono::seconds limit);

  // When the notifier may tell people about this instance's range.
  const TellGate& tell_gate() const { return tell_gate_; }
  // For tests.
  Watch* watch() { return watch_.get(); }
  std::string state() const;

 private:
  struct View {
    std::vector<store::RangeLock> locks;
    std::vector<store::LastWords> owners;  // by lock: of its instance
    std::vector<confirm::Vantage> vantages;
  };
  absl::Status Read(View* view);
  void FollowMine(const store::RangeLock& lock, BootTime read);
  void FollowActivating(const store::RangeLock& lock);
  void FollowActive(const store::RangeLock& lock, BootTime read);
  void FollowDraining(const store::RangeLock& lock, BootTime read);
  void FollowOther(const store::RangeLock& lock, const store::LastWords& owner);
  // Whether the fence that refused this watch's write is one of a part that was taken from it.
  bool RefusedForPart(const store::RangeLock& lock) const;
  // Brings the watch to what the lock says of its buckets. Before the lease is renewed: a renewal
  // with this revision says that it was done.
  void FollowPart(const store::RangeLock& lock, BootTime read);
  void ReportPart(const store::RangeLock& lock);
  // Writes `report` once what waits for delivery in these buckets is delivered, or was given its
  // time since `began`. True if the report matched.
  using Report = std::function<absl::StatusOr<bool>(sql::Transaction&, uint64_t queued)>;
  bool ReportDelivered(const store::RangeLock& lock, store::Range range, BootTime began,
                       const Report& report);
  // Makes the watch of this lock and loads it, unless it is there already. False: not now.
  bool EnsureWatch(const store::RangeLock& lock);
  // True if the renewal matched; the lease then counts from `read`.
  bool Renew(const store::RangeLock& lock, BootTime read);
  // The watch, loaded and leased, starts; what it does counts from `since`.
  void Begin(const store::RangeLock& lock, BootTime since);
  void DropWatch(const std::string& why);
  // A Veriflier that was asked may send for a whole round, whether or not a cancellation reaches
  // it.
  void AwaitVerifliers();
  void ReportHealth(bool final);
  BootTime Limit() const;

  const WatchParts parts_;
  std::unique_ptr<sql::Session> session_;
  std::unique_ptr<Watch> watch_;
  bool adopts_ = false;  // the watch was loaded to be acknowledged: the epoch's first load
  // From here on no Veriflier sends for a watch, or a part of it, that was dropped.
  BootTime silent_from_;
  LeaseObserver observer_;
  TellGate tell_gate_;
  std::string state_ = "standby";
  std::string warning_;
  int64_t started_at_ms_ = 0;
  BootTime drain_began_, last_health_;
  std::string part_job_;  // of the part that is on its way; "" = none
  BootTime part_began_;
  uint64_t last_checks_ = 0;
  double checks_per_s_ = 0;

  std::mutex mutex_;
  std::condition_variable wake_;
  bool stopping_ = false;  // guarded by mutex_
  std::thread thread_;
};

}  // namespace jetmon::monitor

#endif  // JETMON_MONITOR_OWNERSHIP_H_
