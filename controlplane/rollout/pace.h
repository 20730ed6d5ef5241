#ifndef JETMON_CONTROLPLANE_ROLLOUT_PACE_H_
#define JETMON_CONTROLPLANE_ROLLOUT_PACE_H_

#include <chrono>

#include "controlplane/rollout/job_runner.h"

namespace jetmon::rollout {

// How many rows a batch goes over: more while it holds the database for less than half of kHold,
// fewer when it takes longer.
class Pace {
 public:
  static constexpr std::chrono::milliseconds kHold{80};

  // `most_rows` 0: what suits the database.
  Pace(const sql::Dialect& dialect, uint64_t most_rows);
  uint64_t rows() const { return rows_; }
  // After a batch that held the database for so long: lets others have it for a part of that time.
  void Rest(JobRun& run, std::chrono::nanoseconds held);

 private:
  const bool embedded_;
  const uint64_t most_rows_;
  uint64_t rows_;
};

}  // namespace jetmon::rollout

#endif  // JETMON_CONTROLPLANE_ROLLOUT_PACE_H_
