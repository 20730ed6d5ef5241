#ifndef JETMON_MONITOR_SITE_TABLE_H_
#define JETMON_MONITOR_SITE_TABLE_H_

#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <queue>
#include <string>
#include <unordered_map>
#include <vector>

#include "clock/clock.h"
#include "monitor/check_policy.h"
#include "monitor/config.h"
#include "probe/check.h"
#include "store/activity.h"
#include "store/events.h"
#include "store/sites.h"

namespace jetmon::monitor {

// A site that the Monitor watches. Its identity in memory is its index in the table.
struct WatchedSite {
  store::Site site;
  uint64_t config_hash = 0;
  std::shared_ptr<const CheckPolicy> policy;  // null: the default
  milliseconds interval{0};
  uint64_t phase = 0;
  bool gone = false;        // removed, deactivated or moved: never checked again
  bool leaving = false;     // its bucket drains: not scheduled any more
  bool dropped = false;     // its bucket is not ours any more (gone, too): nothing of it counts
  bool refused = false;     // by target safety, when it was last to be checked: not judged
  bool running = false;     // a check of it is under way
  bool confirming = false;  // Verifliers are being asked about it
  bool deciding = false;    // a change of its event waits to be written
  int failures = 0;         // local failures in a row
  int good = 0;             // good checks in a row, of a site that v1 said is down
  bool first_round = true;  // it has failed at each check since it was loaded
  BootTime due;             // of its next check
  BootTime last_check;      // start of the last check with a verdict; zero = none in this epoch
  int64_t last_check_wall_ms = 0, saved_check_wall_ms = 0;
  BootTime asked_since;               // first round of Verifliers for the open event; zero = none
  std::optional<store::Event> event;  // the open event, as the database had it last

  probe::Mode mode() const { return policy != nullptr ? policy->mode : probe::Mode{}; }
};

// The sites of a range and when each is due. Spreads first checks evenly, then lets each fall into
// its stable phase without ever exceeding its interval. Not thread-safe.
class SiteTable {
 public:
  explicit SiteTable(const Config& config) : config_(config) {}

  // Adds a site, or replaces it after a change of its configuration; not scheduled yet when new.
  // One that has come from another bucket is new: what is under way of it there ends under its old
  // index. Returns the index.
  size_t Put(const store::Site& site, std::shared_ptr<const CheckPolicy> policy);
  // Schedules the first check of a site, which counts from `since` on (at or before `now`).
  void ScheduleFirst(size_t index, BootTime since, BootTime now);
  void MarkGone(size_t index);
  // Schedules nothing of a bucket any more; what is under way ends. The indices of its sites.
  std::vector<size_t> Leave(uint32_t bucket);
  // The bucket's sites are dropped. An index that something is under way of stays good.
  void Forget(uint32_t bucket);
  // Whether the site is configured as it was when it was put.
  bool IsConfiguredAs(size_t index, const store::Site& site) const;

  // Up to `max` sites that are due; marks them running.
  std::vector<size_t> TakeDue(BootTime now, size_t max);
  // A check of the site has ended: schedules the next. kRetry: it failed; kFirstRetry: it failed in
  // the first round; kSecond: v1 had said that
  // the site is down, and it seems to be up; kSoon: it gave no verdict.
  enum class Next { kRegular, kRetry, kFirstRetry, kSecond, kSoon };
  void Finished(size_t index, Next next, BootTime now);

  // How long a check of the site may take.
  milliseconds Timeout(size_t index) const;
  WatchedSite& at(size_t index) { return sites_[index]; }
  const WatchedSite& at(size_t index) const { return sites_[index]; }
  std::optional<size_t> Find(uint64_t site_id) const;
  size_t size() const { return sites_.size(); }
  // Indices by bucket, gone ones included.
  const std::map<uint32_t, std::vector<size_t>>& buckets() const { return buckets_; }

  // The summary of one bucket. `began`: when checking began in this epoch.
  store::BucketActivity Summarise(uint32_t bucket, BootTime now, BootTime began) const;
  struct Backlog {
    size_t due = 0, targets = 0;
    milliseconds oldest{0};
    size_t refused = 0;         // targets that target safety refused when they were last due
    uint64_t refused_site = 0;  // one of them
    size_t faulty = 0;          // targets whose configuration has a fault
    // One of them.
    uint64_t faulty_site = 0;
    std::string fault;
  };
  Backlog Overdue(BootTime now) const;

 private:
  struct Entry {
    BootTime due;
    size_t index;
    bool operator>(const Entry& other) const { return due > other.due; }
  };
  void Push(size_t index, BootTime due);
  void DropStale();

  const Config& config_;
  std::deque<WatchedSite> sites_;  // grows without a copy of all
  std::unordered_map<uint64_t, size_t> by_id_;
  std::map<uint32_t, std::vector<size_t>> buckets_;
  // Entries whose due differs from their site's are stale.
  std::priority_queue<Entry, std::vector<Entry>, std::greater<>> queue_;
};

}  // namespace jetmon::monitor

#endif  // JETMON_MONITOR_SITE_TABLE_H_
