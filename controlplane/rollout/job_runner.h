#ifndef JETMON_CONTROLPLANE_ROLLOUT_JOB_RUNNER_H_
#define JETMON_CONTROLPLANE_ROLLOUT_JOB_RUNNER_H_

#include <condition_variable>
#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "absl/status/status.h"
#include "clock/clock.h"
#include "controlplane/rollout/observer.h"
#include "controlplane/rollout/options.h"
#include "store/jobs.h"
#include "store/locks.h"
#include "store/sessions.h"
#include "store/sql/database.h"

namespace jetmon::rollout {

// Why a job ended that an operator cancelled.
inline constexpr char kCancelledByOperator[] = "cancelled by an operator";

// What a job has shown, as a checkpoint of its run.
store::Checkpoint CheckpointOf(const store::Job& job, std::string_view kind,
                               const std::string& owner_host, int64_t at_ms);

// A job in the hands of a worker of this process.
class JobRun {
 public:
  JobRun(const Parts& parts, const Options& options, const Observer& observer, store::Job job,
         store::JobLease lease, const std::function<bool()>& stopping)
      : parts(parts),
        options(options),
        observer(observer),
        job(std::move(job)),
        lease(std::move(lease)),
        stopping_(stopping) {}

  const Parts& parts;
  const Options& options;
  const Observer& observer;
  store::Job job;
  const store::JobLease lease;
  std::chrono::nanoseconds paused{0};  // in Pause, so far

  // This process stops: the job is left to others as it is.
  bool stopping() const { return stopping_(); }
  // Runs one transaction, named as in commits.h, that begins by bumping the job: Aborted-free;
  // Cancelled when the job is not this worker's any more (nothing was written, stop at once).
  absl::Status Write(std::string_view commit, const sql::Body& body);
  // Ends the job with an answer, in one transaction with `also` (may be empty). Bumps the run,
  // unless the job has shown or changed nothing that a plan of the run goes by.
  absl::Status Finish(std::string_view state, const std::string& result, const std::string& error,
                      const sql::Body& also = {}, bool touches_run = true);
  // Records what the job has shown, within Finish's transaction and at its time.
  absl::Status Record(sql::Transaction& tx, std::string_view kind, const std::string& owner_host);
  // Whether an operator wants it to end.
  absl::StatusOr<bool> IsCancelled(sql::Transaction& tx) const;
  // Waits for `d` or until this process stops (false), and shows that the worker lives.
  bool Pause(std::chrono::milliseconds d);

 private:
  const std::function<bool()>& stopping_;
  int64_t finished_ms_ = 0;  // by Finish, for what is recorded with it
};

// "rjob_" + ULID: a name that no job had before.
std::string NewJobId(int64_t now_ms);

// A queued job that goes on with a held range: a release if it, or a part of it, drains, else an
// activation.
store::Job JobForRange(const store::RangeLock& lock, const std::string& consumer, int64_t now_ms);

// What an operation does. OK: the job was finished, or left to others. An error fails the job,
// but for Unavailable (the database is away: tried again) and Cancelled (not ours any more).
using Executor = std::function<absl::Status(JobRun&)>;

// Takes up queued jobs, and those whose worker is dead, and runs each on a thread of its own: a few
// at a time that work, and more of those that mostly wait for a Monitor (activate, release), which
// so never keep each other waiting. Also sweeps: every held range, or part of one, that is on its
// way has a live job. Thread-safe.
class JobRunner {
 public:
  JobRunner(const Parts& parts, const Options& options, const Observer& observer,
            std::map<std::string, Executor> executors);
  ~JobRunner();
  void Run();
  // Ends the threads; jobs under way are given back to the queue.
  void Stop();
  // A job was queued, or something that a job waits for happened.
  void Wake();
  // Waits until the job ended or changed from `seq`, or without one until it awaits a decision; at
  // most `limit`. The row as it is then. job_not_found.
  absl::StatusOr<store::Job> WaitForChange(const std::string& job_id, std::optional<uint64_t> seq,
                                           std::chrono::milliseconds limit,
                                           const std::function<bool()>& cancelled);
  // One turn of the sweep; for tests.
  absl::Status Sweep();
  // Takes up one job and runs it in the calling thread until it ends, or `stopping` says so: then
  // it is given back. False: there was none to take up. Instead of Run, for tests that step.
  bool RunOne(const std::function<bool()>& stopping);

 private:
  void DispatchLoop();
  void SweepLoop();
  // Whether one more job of this operation may run here.
  bool HasRoom(const std::string& operation) const;
  void Begin(const store::Job& job, const store::JobLease& lease);
  void JoinEnded();
  std::optional<store::JobLease> ClaimOne(store::Job* job);
  void Execute(const store::Job& job, const store::JobLease& lease,
               const std::function<bool()>& stopping);
  bool IsStopping() const;

  const Parts parts_;
  const Options& options_;
  const Observer& observer_;
  const std::map<std::string, Executor> executors_;
  const std::function<bool()> stopping_query_;
  mutable std::mutex mutex_;
  std::condition_variable wake_;
  bool stopping_ = false;  // guarded by mutex_, as all below
  uint64_t wakes_ = 0;
  std::map<std::string, std::string> running_;  // here: job id, operation
  std::vector<std::string> ended_;              // their threads wait to be joined
  // The dispatching thread's alone.
  std::map<std::string, std::thread> workers_;
  std::thread dispatcher_, sweeper_;
};

}  // namespace jetmon::rollout

#endif  // JETMON_CONTROLPLANE_ROLLOUT_JOB_RUNNER_H_
