#include "controlplane/housekeeping.h"

#include <unistd.h>

#include <chrono>
#include <utility>

#include "absl/strings/str_cat.h"
#include "daemon/log.h"
#include "store/comparison_results.h"
#include "store/hosts.h"
#include "store/jobs.h"
#include "store/keys.h"
#include "store/sessions.h"
#include "store/tokens.h"

namespace jetmon::controlplane {
namespace {

constexpr std::chrono::seconds kReportEvery{5};
constexpr int kReportsAPrune = 12;
constexpr int64_t kDayMs = 24 * 3600 * 1000;
constexpr int64_t kJobsKeptMs = 30 * kDayMs;
// The health record is due every 5 s, on the same thread.
constexpr std::chrono::seconds kPruneJobsWithin{1};
constexpr int kRunsAtOnce = 20;
constexpr uint32_t kJobsAtOnce = 200;
constexpr int kResultsAtOnce = 500;

// The jobs of a run that have ended, at most kJobsAtOnce.
absl::StatusOr<std::vector<std::string>> EndedJobs(sql::Database& db, const std::string& run_id) {
  std::vector<std::string> job_ids;
  const absl::Status s = db.Read([&](sql::Transaction& tx) -> absl::Status {
    job_ids.clear();
    auto jobs = store::ListJobs(tx, run_id, "", {kJobsAtOnce, ""});
    if (!jobs.ok()) return jobs.status();
    for (const store::Job& j : jobs->rows) {
      if (store::IsFinished(j.state)) job_ids.push_back(j.job_id);
    }
    return absl::OkStatus();
  });
  if (!s.ok()) return s;
  return job_ids;
}

// Removes some of what a job has, and the job once nothing is left; whether it is gone.
absl::StatusOr<bool> RemovePiece(sql::Database& db, const std::string& job_id) {
  bool gone = false;
  const absl::Status s = db.Write([&](sql::Transaction& tx) -> absl::Status {
    gone = false;
    auto rows = store::DeleteComparisonResults(tx, job_id, kResultsAtOnce);
    if (!rows.ok()) return rows.status();
    if (*rows > 0) return absl::OkStatus();
    gone = true;
    return store::DeleteJob(tx, job_id).status();
  });
  if (!s.ok()) return s;
  return gone;
}

}  // namespace

absl::StatusOr<int64_t> PruneJobs(sql::Database& db, BootTime until) {
  std::vector<std::string> run_ids;
  const absl::Status s = db.Read([&](sql::Transaction& tx) {
    auto closed = store::ClosedSessionsWithJobs(tx, db.clock().WallMs() - kJobsKeptMs, kRunsAtOnce);
    if (closed.ok()) run_ids = *std::move(closed);
    return closed.status();
  });
  if (!s.ok()) return s;
  int64_t removed = 0;
  for (const std::string& run_id : run_ids) {
    auto job_ids = EndedJobs(db, run_id);
    if (!job_ids.ok()) return job_ids.status();
    for (const std::string& job_id : *job_ids) {
      for (bool gone = false; !gone;) {
        if (db.clock().Boot() >= until) return removed;
        auto done = RemovePiece(db, job_id);
        if (!done.ok()) return done.status();
        gone = *done;
      }
      ++removed;
    }
  }
  return removed;
}

Housekeeping::Housekeeping(sql::Database& db, Process process)
    : db_(db),
      process_(std::move(process)),
      started_at_ms_(db.clock().WallMs()),
      thread_([this] { Run(); }) {}

Housekeeping::~Housekeeping() {
  {
    std::lock_guard lock(mu_);
    stopping_ = true;
  }
  wake_.notify_all();
  thread_.join();
  const absl::Status status = db_.Write([&](sql::Transaction& tx) {
    return store::SayGoodbye(tx, process_.instance, db_.clock().WallMs());
  });
  if (!status.ok()) LogWarning(absl::StrCat("goodbye not written: ", status.message()));
}

void Housekeeping::Run() {
  for (int round = 0;; ++round) {
    Report();
    if (round % kReportsAPrune == 0) Prune();
    std::unique_lock lock(mu_);
    if (wake_.wait_for(lock, kReportEvery, [&] { return stopping_; })) return;
  }
}

void Housekeeping::Report() {
  const absl::Status status = db_.Write([&](sql::Transaction& tx) {
    store::ProcessHealth health;
    health.instance = process_.instance;
    health.kind = "controlplane";
    health.host = process_.host;
    health.version = process_.version;
    health.state = "active";
    health.longest_check_ms = process_.budget.check().count();
    health.pid = getpid();
    health.started_at_ms = started_at_ms_;
    health.updated_at_ms = db_.clock().WallMs();
    return store::ReportHealth(tx, health);
  });
  if (!status.ok()) LogWarning(absl::StrCat("health record not written: ", status.message()));
}

void Housekeeping::Prune() {
  const int64_t now = db_.clock().WallMs();
  const absl::Status status = db_.Write([&](sql::Transaction& tx) -> absl::Status {
    auto pruned = store::PruneIdempotency(tx, now - kDayMs);
    if (pruned.ok()) pruned = store::PruneTokens(tx, now - kDayMs);
    if (pruned.ok()) pruned = store::PruneProcesses(tx, now - 7 * kDayMs);
    return pruned.status();
  });
  if (!status.ok()) LogWarning(absl::StrCat("old records not removed: ", status.message()));
  const auto jobs = PruneJobs(db_, db_.clock().Boot() + kPruneJobsWithin);
  if (!jobs.ok()) {
    LogWarning(absl::StrCat("old jobs not removed: ", jobs.status().message()));
  } else if (*jobs > 0) {
    LogInfo(absl::StrCat(*jobs, " jobs of runs that were closed 30 days ago removed"));
  }
}

}  // namespace jetmon::controlplane
