#ifndef JETMON_CONTROLPLANE_ROLLOUT_JOB_LIFE_H_
#define JETMON_CONTROLPLANE_ROLLOUT_JOB_LIFE_H_

#include <atomic>
#include <chrono>
#include <string_view>

#include "absl/status/status.h"
#include "controlplane/rollout/job_runner.h"
#include "probe/check.h"

namespace jetmon::rollout {

// The hold of a probing job's worker on its job: it shows that it lives, and by when it last did so
// tells the engine whether it may send. A worker that was paused, or whose writes fail, for half a
// grace sends nothing more: by then another one may have the job.
//
// All but MaySend on the job's own thread.
class JobLife final : public probe::LeaseGate {
 public:
  explicit JobLife(JobRun& run);

  // One write of the job, named as in commits.h: `done` of `total`, the job's cursor and progress
  // as run.job has them, and what `body` (may be empty) adds. Also reads whether an operator wants
  // it cancelled. Cancelled: the job is not ours any more.
  absl::Status Save(std::string_view commit, uint64_t done, uint64_t total,
                    const sql::Body& body = {});
  // To be asked all the time: saves done and total if nothing was saved for a while, then says
  // FailedPrecondition when the job shall end (Ending).
  absl::Status Turn(uint64_t done, uint64_t total);
  // The same, and saves in any case: before the job's end is written.
  absl::Status LastTurn(uint64_t done, uint64_t total);
  // This process stops, or an operator cancelled the job.
  bool Ending() const { return run_.stopping() || run_.job.cancel_requested; }
  // Ends a job that is Ending: left to others, or cancelled. Any other error is handed back.
  absl::Status End(const absl::Status& why);

  bool MaySend(BootTime now) const override { return now.ns < until_ns_; }

 private:
  JobRun& run_;
  const std::chrono::nanoseconds term_, every_;
  BootTime saved_{};
  std::atomic<int64_t> until_ns_{0};
};

}  // namespace jetmon::rollout

#endif  // JETMON_CONTROLPLANE_ROLLOUT_JOB_LIFE_H_
