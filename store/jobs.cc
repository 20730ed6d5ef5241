#include "store/jobs.h"

#include "store/locks.h"
#include "store/rows.h"

namespace jetmon::store {
namespace {

constexpr char kColumns[] =
    "job_id, operation, run_id, bucket_min, bucket_max, owner_host, epoch, state, done, total, "
    "job_cursor, request, progress, result, error, lease_owner, attempt, seq, started_ordinal, "
    "cancel_requested, key_id, consumer, created_at_ms, started_at_ms, finished_at_ms";
// The condition of everything that a worker writes.
constexpr char kOwned[] =
    " WHERE job_id = ? AND lease_owner = ? AND attempt = ? AND state = 'running'";

Job JobOf(const sql::Row& row) {
  Job j;
  j.job_id = row.Text(0);
  j.operation = row.Text(1);
  j.run_id = row.Text(2);
  j.range = {static_cast<uint32_t>(row.Int(3)), static_cast<uint32_t>(row.Int(4))};
  j.owner_host = row.Text(5);
  j.epoch = row.Uint(6);
  j.state = row.Text(7);
  j.done = row.Uint(8);
  j.total = row.Uint(9);
  j.cursor = row.Text(10);
  j.request = row.Text(11);
  j.progress = row.Text(12);
  j.result = row.Text(13);
  j.error = row.Text(14);
  j.lease_owner = row.Text(15);
  j.attempt = row.Uint(16);
  j.seq = row.Uint(17);
  j.started_ordinal = row.Uint(18);
  j.cancel_requested = row.Bool(19);
  j.key_id = row.Text(20);
  j.consumer = row.Text(21);
  j.created_at_ms = row.Int(22);
  j.started_at_ms = row.Int(23);
  j.finished_at_ms = row.Int(24);
  return j;
}

absl::StatusOr<std::vector<Job>> Select(sql::Transaction& tx, const std::string& rest,
                                        sql::Params params) {
  std::vector<Job> jobs;
  auto s = tx.Query(std::string("SELECT ") + kColumns + " FROM jetmon_rollout_jobs " + rest, params,
                    [&](const sql::Row& row) {
                      jobs.push_back(JobOf(row));
                      return absl::OkStatus();
                    });
  if (!s.ok()) return s;
  return jobs;
}

// The lease that a claim just got.
absl::StatusOr<std::optional<JobLease>> LeaseAfter(sql::Transaction& tx, std::string_view job_id,
                                                   std::string_view owner,
                                                   absl::StatusOr<bool> matched) {
  if (!matched.ok()) return matched.status();
  if (!*matched) return std::nullopt;
  auto job = GetJob(tx, job_id);
  if (!job.ok()) return job.status();
  if (!job->has_value()) return absl::InternalError("a claimed job is gone");
  return JobLease{std::string(job_id), std::string(owner), (*job)->attempt};
}

}  // namespace

bool IsFinished(std::string_view state) {
  return state == job_state::kCompleted || state == job_state::kBlocked ||
         state == job_state::kFailed || state == job_state::kCancelled;
}

bool IsJobState(std::string_view state) {
  return state == job_state::kQueued || state == job_state::kRunning || IsFinished(state);
}

absl::Status InsertJob(sql::Transaction& tx, const Job& j) {
  return tx
      .Execute(std::string("INSERT INTO jetmon_rollout_jobs (") + kColumns +
                   ") VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, "
                   "?, ?, ?)",
               {j.job_id,
                j.operation,
                j.run_id,
                j.range.min,
                j.range.max,
                j.owner_host,
                j.epoch,
                j.state,
                j.done,
                j.total,
                j.cursor,
                sql::Value::Blob(j.request),
                sql::Value::Blob(j.progress),
                sql::Value::Blob(j.result),
                j.error,
                j.lease_owner,
                j.attempt,
                j.seq,
                j.started_ordinal,
                j.cancel_requested,
                j.key_id,
                j.consumer,
                j.created_at_ms,
                j.started_at_ms,
                j.finished_at_ms})
      .status();
}

absl::StatusOr<std::optional<Job>> GetJob(sql::Transaction& tx, std::string_view job_id) {
  auto jobs = Select(tx, "WHERE job_id = ?", {job_id});
  if (!jobs.ok()) return jobs.status();
  return jobs->empty() ? std::nullopt : std::optional(std::move((*jobs)[0]));
}

absl::StatusOr<Page<Job>> ListJobs(sql::Transaction& tx, std::string_view run_id,
                                   std::string_view state, const PageRequest& page) {
  auto after = KeyOfPageToken(page.token);
  if (!after.ok()) return after.status();
  const PageQuery query({{"run_id", run_id}, {"state", state}}, "job_id", *after, page.size + 1);
  auto jobs = Select(tx, query.rest(), query.values());
  if (!jobs.ok()) return jobs.status();
  return MakePage(std::move(*jobs), page.size, [](const Job& j) { return j.job_id; });
}

absl::StatusOr<std::vector<Job>> ListUnfinishedJobs(sql::Transaction& tx) {
  return Select(tx, "WHERE state IN ('queued', 'running') ORDER BY job_id LIMIT 1000", {});
}

absl::StatusOr<std::optional<JobLease>> ClaimQueuedJob(sql::Transaction& tx,
                                                       std::string_view job_id,
                                                       std::string_view owner, int64_t now_ms) {
  auto ordinal = NextCounter(tx, "ordinal");
  if (!ordinal.ok()) return ordinal.status();
  auto matched = tx.ExecuteOne(
      "UPDATE jetmon_rollout_jobs SET state = 'running', lease_owner = ?, attempt = attempt + 1, "
      "seq = seq + 1, started_ordinal = CASE WHEN started_ordinal = 0 THEN ? ELSE started_ordinal "
      "END, started_at_ms = CASE WHEN started_at_ms = 0 THEN ? ELSE started_at_ms END WHERE job_id "
      "= ? AND state = 'queued'",
      {owner, *ordinal, now_ms, job_id});
  return LeaseAfter(tx, job_id, owner, matched);
}

absl::StatusOr<std::optional<JobLease>> TakeOverJob(sql::Transaction& tx, std::string_view job_id,
                                                    uint64_t seq_seen, std::string_view owner) {
  auto matched = tx.ExecuteOne(
      "UPDATE jetmon_rollout_jobs SET lease_owner = ?, attempt = attempt + 1, seq = seq + 1 WHERE "
      "job_id = ? AND state = 'running' AND seq = ?",
      {owner, job_id, seq_seen});
  return LeaseAfter(tx, job_id, owner, matched);
}

absl::StatusOr<bool> BumpJob(sql::Transaction& tx, const JobLease& lease) {
  return tx.ExecuteOne(std::string("UPDATE jetmon_rollout_jobs SET seq = seq + 1") + kOwned,
                       {lease.job_id, lease.owner, lease.attempt});
}

absl::StatusOr<bool> SaveJobProgress(sql::Transaction& tx, const JobLease& lease, uint64_t done,
                                     uint64_t total, std::string_view cursor,
                                     std::string_view progress) {
  return tx.ExecuteOne(
      std::string("UPDATE jetmon_rollout_jobs SET seq = seq + 1, done = ?, total = ?, job_cursor = "
                  "?, progress = ?") +
          kOwned,
      {done, total, cursor, sql::Value::Blob(progress), lease.job_id, lease.owner, lease.attempt});
}

absl::Status ClearJobProgress(sql::Transaction& tx, std::string_view job_id) {
  return tx
      .Execute(
          "UPDATE jetmon_rollout_jobs SET progress = '' WHERE job_id = ? AND state = 'running'",
          {job_id})
      .status();
}

absl::StatusOr<bool> FinishJob(sql::Transaction& tx, const JobLease& lease, std::string_view state,
                               std::string_view result, std::string_view error, int64_t now_ms) {
  return tx.ExecuteOne(
      std::string("UPDATE jetmon_rollout_jobs SET seq = seq + 1, state = ?, result = ?, error = ?, "
                  "finished_at_ms = ?") +
          kOwned,
      {state, sql::Value::Blob(result), error, now_ms, lease.job_id, lease.owner, lease.attempt});
}

absl::StatusOr<bool> YieldJob(sql::Transaction& tx, const JobLease& lease) {
  return tx.ExecuteOne(
      std::string("UPDATE jetmon_rollout_jobs SET seq = seq + 1, state = 'queued', lease_owner = "
                  "''") +
          kOwned,
      {lease.job_id, lease.owner, lease.attempt});
}

absl::StatusOr<bool> RequestCancel(sql::Transaction& tx, std::string_view job_id, int64_t now_ms) {
  return tx.ExecuteOne(
      "UPDATE jetmon_rollout_jobs SET cancel_requested = 1, seq = seq + 1, finished_at_ms = CASE "
      "WHEN state = 'queued' THEN ? ELSE finished_at_ms END, state = CASE WHEN state = 'queued' "
      "THEN 'cancelled' ELSE state END WHERE job_id = ? AND state IN ('queued', 'running')",
      {now_ms, job_id});
}

absl::StatusOr<bool> DeleteJob(sql::Transaction& tx, std::string_view job_id) {
  return tx.ExecuteOne(
      "DELETE FROM jetmon_rollout_jobs WHERE job_id = ? AND state NOT IN ('queued', 'running')",
      {job_id});
}

absl::StatusOr<uint64_t> CountUnfinishedJobs(sql::Transaction& tx, std::string_view run_id) {
  uint64_t count = 0;
  auto s = tx.Query(
      "SELECT COUNT(*) FROM jetmon_rollout_jobs WHERE run_id = ? AND state IN ('queued', "
      "'running')",
      {run_id}, [&](const sql::Row& row) {
        count = row.Uint(0);
        return absl::OkStatus();
      });
  if (!s.ok()) return s;
  return count;
}

}  // namespace jetmon::store
