#ifndef JETMON_CONTROLPLANE_ROLLOUT_SITE_URLS_H_
#define JETMON_CONTROLPLANE_ROLLOUT_SITE_URLS_H_

#include <atomic>
#include <cstdint>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "absl/status/status.h"
#include "clock/clock.h"
#include "probe/target_safety.h"
#include "store/legacy_words.h"
#include "store/range.h"
#include "store/sql/database.h"

namespace jetmon::rollout {

// How v1's verdict of a URL differs from ours, or whom it tells; "" if it does not.
std::string_view HowV1Differs(std::string_view url);

// Looks at the URL of every active site of a range, on a thread and a connection of its own, until
// a deadline. A page of a bucket's sites is one short transaction.
class SiteUrls {
 public:
  // How many, and of these at most 20.
  struct Found {
    uint64_t count = 0;
    std::vector<std::string> examples;
    void Add(std::string example);
  };
  struct Result {
    uint64_t looked_at = 0;
    Found refused;                             // by target safety
    bool all = false;                          // none was left out for want of time
    absl::Status status;                       // of the database
    std::vector<std::string> missing_indexes;  // of v1's, as MissingLegacyIndexes
    // In dialect v1 only.
    Found differs;  // HowV1Differs
    Found split;    // rows of one blog and URL, of which some are outside of the range
  };
  // `db` and `safety` outlive it. Begins at once.
  SiteUrls(sql::Database& db, const probe::TargetSafety& safety, store::LegacyDialect dialect,
           store::Range range, BootTime deadline);
  // Ends after the statement that runs, 5 s at most.
  ~SiteUrls();
  SiteUrls(const SiteUrls&) = delete;
  SiteUrls& operator=(const SiteUrls&) = delete;

  // Waits for the end.
  const Result& Wait();

 private:
  void Run();
  absl::Status LookAt(sql::Session& session, uint32_t bucket, bool* in_time);
  absl::Status LookForTwins(sql::Session& session, uint32_t bucket);
  void Judge(const std::string& url);
  bool InTime() const { return !stopping_ && db_.clock().Boot() < deadline_; }

  sql::Database& db_;
  const probe::TargetSafety& safety_;
  const bool v1_;
  const store::Range range_;
  const BootTime deadline_;
  std::atomic<bool> stopping_{false};
  Result result_;  // the thread's until it is joined
  std::thread thread_;
};

}  // namespace jetmon::rollout

#endif  // JETMON_CONTROLPLANE_ROLLOUT_SITE_URLS_H_
