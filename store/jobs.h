#ifndef JETMON_STORE_JOBS_H_
#define JETMON_STORE_JOBS_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "store/page.h"
#include "store/range.h"
#include "store/sql/database.h"

// Jobs: durable operations that any control-plane replica may take up from their cursor. A worker
// owns a job while (lease_owner, attempt) are its own; every one of its writes says so, and it
// stops at the first that matches nothing. A job is dead when an observer saw its seq unchanged
// for the term on its own clock.
namespace jetmon::store {

namespace job_state {
inline constexpr char kQueued[] = "queued";
inline constexpr char kRunning[] = "running";
inline constexpr char kCompleted[] = "completed";
inline constexpr char kBlocked[] = "blocked";
inline constexpr char kFailed[] = "failed";
inline constexpr char kCancelled[] = "cancelled";
}  // namespace job_state
// completed, blocked, failed, cancelled.
bool IsFinished(std::string_view state);
// One of the six.
bool IsJobState(std::string_view state);

struct Job {
  std::string job_id;  // "rjob_" + ULID
  std::string operation;
  std::string run_id;
  Range range;
  std::string owner_host;
  uint64_t epoch = 0;  // of activate and release
  std::string state;
  uint64_t done = 0, total = 0;
  std::string cursor;
  std::string request;   // opaque bytes of the operation's request
  std::string progress;  // opaque bytes that go with the cursor (counts so far)
  std::string result;    // opaque bytes of the answer, once finished
  std::string error;     // in words, once failed
  std::string lease_owner;
  uint64_t attempt = 0, seq = 0;
  uint64_t started_ordinal = 0;  // counter 'ordinal' when it first started
  bool cancel_requested = false;
  std::string key_id, consumer;
  int64_t created_at_ms = 0, started_at_ms = 0, finished_at_ms = 0;
};

// A worker's hold on a job.
struct JobLease {
  std::string job_id;
  std::string owner;
  uint64_t attempt = 0;
};

absl::Status InsertJob(sql::Transaction& tx, const Job& job);
absl::StatusOr<std::optional<Job>> GetJob(sql::Transaction& tx, std::string_view job_id);
// Newest first. run_id "" = any; state "" = any.
absl::StatusOr<Page<Job>> ListJobs(sql::Transaction& tx, std::string_view run_id,
                                   std::string_view state, const PageRequest& page);
// Queued and running ones, oldest first, at most 1,000.
absl::StatusOr<std::vector<Job>> ListUnfinishedJobs(sql::Transaction& tx);
// queued -> running, for `owner`, attempt + 1, started_ordinal from the counter if first.
// nullopt: somebody else was faster.
absl::StatusOr<std::optional<JobLease>> ClaimQueuedJob(sql::Transaction& tx,
                                                       std::string_view job_id,
                                                       std::string_view owner, int64_t now_ms);
// Takes a running job from a dead worker: conditional on the seq seen; attempt + 1.
absl::StatusOr<std::optional<JobLease>> TakeOverJob(sql::Transaction& tx, std::string_view job_id,
                                                    uint64_t seq_seen, std::string_view owner);
// seq + 1 where the lease holds and the job is running. First statement of every batch.
absl::StatusOr<bool> BumpJob(sql::Transaction& tx, const JobLease& lease);
// Progress and cursor, same condition.
absl::StatusOr<bool> SaveJobProgress(sql::Transaction& tx, const JobLease& lease, uint64_t done,
                                     uint64_t total, std::string_view cursor,
                                     std::string_view progress);
// Empties the progress of a running job, whoever runs it: what it waited for was decided.
absl::Status ClearJobProgress(sql::Transaction& tx, std::string_view job_id);
// running -> a finished state, same condition.
absl::StatusOr<bool> FinishJob(sql::Transaction& tx, const JobLease& lease, std::string_view state,
                               std::string_view result, std::string_view error, int64_t now_ms);
// running -> queued, same condition: the worker stops, and anybody may go on from the cursor.
absl::StatusOr<bool> YieldJob(sql::Transaction& tx, const JobLease& lease);
// cancel_requested = 1 on an unfinished job (a queued one becomes cancelled at once).
absl::StatusOr<bool> RequestCancel(sql::Transaction& tx, std::string_view job_id, int64_t now_ms);
// Removes a job that has ended, and nothing that belongs to it. False: it has not ended, or is
// gone.
absl::StatusOr<bool> DeleteJob(sql::Transaction& tx, std::string_view job_id);
// Unfinished jobs of a run.
absl::StatusOr<uint64_t> CountUnfinishedJobs(sql::Transaction& tx, std::string_view run_id);

}  // namespace jetmon::store

#endif  // JETMON_STORE_JOBS_H_
