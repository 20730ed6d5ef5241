#ifndef JETMON_CONTROLPLANE_HOUSEKEEPING_H_
#define JETMON_CONTROLPLANE_HOUSEKEEPING_H_

#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <string>
#include <thread>

#include "absl/status/statusor.h"
#include "clock/deadline_budget.h"
#include "store/sql/database.h"

namespace jetmon::controlplane {

// Removes jobs of runs that were closed 30 days ago or before, with the rows of their comparisons,
// in short transactions, until `until` at the latest; how many. What is left is for the next time.
absl::StatusOr<int64_t> PruneJobs(sql::Database& db, BootTime until);

// Writes this process's health record every 5 s, and once a minute removes what has outlived its
// use: idempotency keys after 24 h, confirmation tokens 24 h after their end, records of processes
// gone for 7 days, jobs of runs that were closed 30 days ago. A thread of its own, joined at the
// end; then the record says goodbye.
class Housekeeping {
 public:
  struct Process {
    std::string instance, host, version;
    DeadlineBudget budget{};
  };
  // `db` must outlive it.
  Housekeeping(sql::Database& db, Process process);
  ~Housekeeping();

 private:
  void Run();
  void Report();
  void Prune();

  sql::Database& db_;
  const Process process_;
  const int64_t started_at_ms_;
  std::mutex mu_;
  std::condition_variable wake_;
  bool stopping_ = false;
  std::thread thread_;
};

}  // namespace jetmon::controlplane

#endif  // JETMON_CONTROLPLANE_HOUSEKEEPING_H_
