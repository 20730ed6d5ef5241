#include "controlplane/rollout/job_runner.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "controlplane/error/error.h"
#include "controlplane/rollout/commits.h"
#include "controlplane/rollout/messages.h"
#include "controlplane/rollout/plan.h"
#include "daemon/log.h"
#include "store/ids.h"
#include "store/locks.h"
#include "store/sessions.h"

namespace jetmon::rollout {
namespace {

// Jobs that read, write and probe, and jobs that mostly wait for a Monitor; one owner has one
// range.
constexpr int kMostWorking = 4;
constexpr int kMostWaiting = 64;
constexpr std::chrono::milliseconds kTurn{250};
constexpr std::chrono::seconds kWriteLimit{10};
constexpr int kMostTries = 1000;

bool WaitsForMonitor(const std::string& operation) {
  return operation == OperationName(Operation::kActivate) ||
         operation == OperationName(Operation::kRelease);
}

absl::Status NotOurs() { return absl::CancelledError("the job is another worker's"); }

}  // namespace

absl::Status JobRun::Write(std::string_view commit, const sql::Body& body) {
  return parts.Commit(commit, parts.clock->Boot() + kWriteLimit, [&](sql::Transaction& tx) {
    auto ours = store::BumpJob(tx, lease);
    if (!ours.ok()) return ours.status();
    if (!*ours) return NotOurs();
    return body(tx);
  });
}

absl::Status JobRun::Finish(std::string_view state, const std::string& result,
                            const std::string& error, const sql::Body& also, bool touches_run) {
  return parts.Commit(commits::kFinishJob, parts.clock->Boot() + kWriteLimit,
                      [&](sql::Transaction& tx) -> absl::Status {
                        const int64_t now = finished_ms_ = parts.clock->WallMs();
                        auto ours = store::FinishJob(tx, lease, state, result, error, now);
                        if (!ours.ok()) return ours.status();
                        if (!*ours) return NotOurs();
                        if (also) {
                          if (auto s = also(tx); !s.ok()) return s;
                        }
                        if (!touches_run) return absl::OkStatus();
                        return store::TouchSession(tx, job.run_id, now);
                      });
}

store::Checkpoint CheckpointOf(const store::Job& job, std::string_view kind,
                               const std::string& owner_host, int64_t at_ms) {
  store::Checkpoint c;
  c.run_id = job.run_id;
  c.kind = std::string(kind);
  c.range = job.range;
  c.owner_host = owner_host;
  c.job_id = job.job_id;
  c.started_ordinal = job.started_ordinal;
  c.key_id = job.key_id;
  c.consumer = job.consumer;
  c.created_at_ms = at_ms;
  return c;
}

absl::Status JobRun::Record(sql::Transaction& tx, std::string_view kind,
                            const std::string& owner_host) {
  return store::InsertCheckpoint(tx, CheckpointOf(job, kind, owner_host, finished_ms_)).status();
}

absl::StatusOr<bool> JobRun::IsCancelled(sql::Transaction& tx) const {
  auto row = store::GetJob(tx, job.job_id);
  if (!row.ok()) return row.status();
  return row->has_value() && (*row)->cancel_requested;
}

bool JobRun::Pause(std::chrono::milliseconds d) {
  const BootTime began = parts.clock->Boot();
  const BootTime until = began + d;
  while (!stopping() && parts.clock->Boot() < until) {
    std::this_thread::sleep_for(std::min<std::chrono::nanoseconds>(std::chrono::milliseconds(20),
                                                                   until - parts.clock->Boot()));
  }
  paused += parts.clock->Boot() - began;
  return !stopping();
}

std::string NewJobId(int64_t now_ms) { return "rjob_" + store::NewUlid(now_ms); }

store::Job JobForRange(const store::RangeLock& lock, const std::string& consumer, int64_t now_ms) {
  const bool drains = lock.part.has_value() || lock.mute.has_value() ||
                      lock.state == store::range_state::kDraining ||
                      lock.state == store::range_state::kRevoked;
  store::Job job;
  job.job_id = NewJobId(now_ms);
  job.operation = OperationName(drains ? Operation::kRelease : Operation::kActivate);
  job.run_id = lock.run_id;
  job.range = lock.part.has_value()   ? lock.part->range
              : lock.mute.has_value() ? lock.mute->range
                                      : lock.range;
  job.owner_host = lock.owner_host;
  job.epoch = lock.epoch;
  job.state = store::job_state::kQueued;
  job.consumer = consumer;
  job.created_at_ms = now_ms;
  return job;
}

JobRunner::JobRunner(const Parts& parts, const Options& options, const Observer& observer,
                     std::map<std::string, Executor> executors)
    : parts_(parts),
      options_(options),
      observer_(observer),
      executors_(std::move(executors)),
      stopping_query_([this] { return IsStopping(); }) {}

JobRunner::~JobRunner() { Stop(); }

bool JobRunner::IsStopping() const {
  std::lock_guard lock(mutex_);
  return stopping_;
}

void JobRunner::Run() {
  dispatcher_ = std::thread([this] { DispatchLoop(); });
  sweeper_ = std::thread([this] { SweepLoop(); });
}

void JobRunner::Stop() {
  {
    std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  wake_.notify_all();
  if (dispatcher_.joinable()) dispatcher_.join();
  if (sweeper_.joinable()) sweeper_.join();
}

void JobRunner::Wake() {
  {
    std::lock_guard lock(mutex_);
    ++wakes_;
  }
  wake_.notify_all();
}

std::optional<store::JobLease> JobRunner::ClaimOne(store::Job* claimed) {
  std::vector<store::Job> jobs;
  absl::Status s = parts_.db->Read([&](sql::Transaction& tx) {
    auto rows = store::ListUnfinishedJobs(tx);
    if (rows.ok()) jobs = std::move(*rows);
    return rows.status();
  });
  if (!s.ok()) return std::nullopt;
  for (const store::Job& job : jobs) {
    {
      std::lock_guard lock(mutex_);
      if (running_.count(job.job_id) > 0 || !HasRoom(job.operation)) continue;
    }
    const bool queued = job.state == store::job_state::kQueued;
    const auto sight = observer_.JobWorker(job.job_id);
    if (!queued && !observer_.Dead(sight)) continue;
    std::optional<store::JobLease> lease;
    s = parts_.Commit(commits::kClaimJob, [&](sql::Transaction& tx) {
      auto won =
          queued ? store::ClaimQueuedJob(tx, job.job_id, options_.instance, parts_.clock->WallMs())
                 : store::TakeOverJob(tx, job.job_id, sight->seq, options_.instance);
      if (won.ok()) lease = *won;
      return won.status();
    });
    if (!s.ok() || !lease.has_value()) continue;
    s = parts_.db->Read([&](sql::Transaction& tx) {
      auto row = store::GetJob(tx, job.job_id);
      if (row.ok() && row->has_value()) *claimed = **row;
      return row.status();
    });
    if (!s.ok()) continue;  // somebody takes it over when its seq stays still
    if (!queued) LogInfo(absl::StrCat(job.job_id, ": taken over from a dead worker"));
    return lease;
  }
  return std::nullopt;
}

// Under mutex_.
bool JobRunner::HasRoom(const std::string& operation) const {
  const bool waits = WaitsForMonitor(operation);
  const auto like = std::count_if(running_.begin(), running_.end(), [waits](const auto& job) {
    return WaitsForMonitor(job.second) == waits;
  });
  return like < (waits ? kMostWaiting : kMostWorking);
}

void JobRunner::JoinEnded() {
  std::vector<std::string> ended;
  {
    std::lock_guard lock(mutex_);
    ended.swap(ended_);
  }
  for (const std::string& job_id : ended) {
    workers_.at(job_id).join();
    workers_.erase(job_id);
  }
}

void JobRunner::Begin(const store::Job& job, const store::JobLease& lease) {
  {
    std::lock_guard lock(mutex_);
    running_[job.job_id] = job.operation;
  }
  // A job that was given back may come again: its thread before has ended.
  JoinEnded();
  workers_[job.job_id] = std::thread([this, job, lease] {
    Execute(job, lease, stopping_query_);
    {
      std::lock_guard lock(mutex_);
      running_.erase(job.job_id);
      ended_.push_back(job.job_id);
    }
    Wake();
  });
}

void JobRunner::DispatchLoop() {
  while (!IsStopping()) {
    JoinEnded();
    store::Job job;
    auto lease = ClaimOne(&job);
    if (lease.has_value()) {
      Begin(job, *lease);
      continue;
    }
    std::unique_lock lock(mutex_);
    const uint64_t seen = wakes_;
    wake_.wait_for(lock, kTurn, [&] { return stopping_ || wakes_ != seen; });
  }
  for (auto& [job_id, thread] : workers_) thread.join();
  workers_.clear();
}

bool JobRunner::RunOne(const std::function<bool()>& stopping) {
  store::Job job;
  auto lease = ClaimOne(&job);
  if (lease.has_value()) Execute(job, *lease, stopping);
  return lease.has_value();
}

void JobRunner::Execute(const store::Job& job, const store::JobLease& lease,
                        const std::function<bool()>& stopping) {
  LogInfo(absl::StrCat(job.job_id, ": ", job.operation, " of buckets ", job.range.ToString(),
                       ", attempt ", lease.attempt));
  JobRun run(parts_, options_, observer_, job, lease, stopping);
  auto executor = executors_.find(job.operation);
  absl::Status s = executor == executors_.end()
                       ? absl::UnimplementedError("this build can't run " + job.operation)
                       : absl::OkStatus();
  for (int tries = 0; s.ok() && tries < kMostTries; ++tries) {
    // Each try goes on from what the row says.
    s = parts_.db->Read([&](sql::Transaction& tx) {
      auto row = store::GetJob(tx, job.job_id);
      if (row.ok() && row->has_value()) run.job = **row;
      return row.status();
    });
    if (s.ok()) s = executor->second(run);
    if (!absl::IsUnavailable(s)) break;
    LogWarning(absl::StrCat(job.job_id, ": ", s.message(), "; trying again"));
    if (!run.Pause(std::chrono::seconds(1))) break;
    s = absl::OkStatus();
  }
  if (absl::IsCancelled(s)) {
    LogWarning(absl::StrCat(job.job_id, ": left: ", s.message()));
    return;
  }
  if (stopping()) {
    s = parts_.Commit(commits::kYieldJob,
                      [&](sql::Transaction& tx) { return store::YieldJob(tx, lease).status(); });
    if (!s.ok()) LogWarning(absl::StrCat(job.job_id, ": not given back: ", s.message()));
    return;
  }
  if (s.ok()) return;
  LogError(absl::StrCat(job.job_id, " failed: ", s.message()));
  s = run.Finish(store::job_state::kFailed, "", std::string(s.message()));
  if (!s.ok()) LogError(absl::StrCat(job.job_id, ": the failure was not recorded: ", s.message()));
}

void JobRunner::SweepLoop() {
  for (;;) {
    {
      std::unique_lock lock(mutex_);
      wake_.wait_for(lock, options_.times.sweep, [this] { return stopping_; });
      if (stopping_) return;
    }
    if (const absl::Status s = Sweep(); !s.ok()) {
      LogWarning(absl::StrCat("the sweep failed: ", s.message()));
    }
  }
}

absl::Status JobRunner::Sweep() {
  namespace rs = store::range_state;
  const auto on_its_way = [](const store::RangeLock& l) {
    return l.state != rs::kActive || l.part.has_value() || l.mute.has_value();
  };
  bool any = false;
  absl::Status s = parts_.db->Read([&](sql::Transaction& tx) {
    auto locks = store::ListHeldRanges(tx);
    if (locks.ok()) any = std::any_of(locks->begin(), locks->end(), on_its_way);
    return locks.status();
  });
  if (!s.ok() || !any) return s;
  bool queued = false;
  s = parts_.Commit(commits::kSweep, [&](sql::Transaction& tx) -> absl::Status {
    queued = false;
    if (auto turn = store::BeginDecision(tx); !turn.ok()) return turn;
    auto locks = store::ListHeldRanges(tx);
    if (!locks.ok()) return locks.status();
    auto jobs = store::ListUnfinishedJobs(tx);
    if (!jobs.ok()) return jobs.status();
    for (const store::RangeLock& l : *locks) {
      if (!on_its_way(l)) continue;
      const store::Job job = JobForRange(l, "sweep", parts_.clock->WallMs());
      const bool has_job = std::any_of(jobs->begin(), jobs->end(), [&](const store::Job& j) {
        return j.epoch == l.epoch && j.operation == job.operation && j.range == job.range;
      });
      if (has_job) continue;
      if (auto inserted = store::InsertJob(tx, job); !inserted.ok()) return inserted;
      LogInfo(absl::StrCat(job.job_id, ": the sweep goes on with epoch ", l.epoch, ", ",
                           l.part.has_value() || l.mute.has_value() ? "which leaves" : l.state));
      queued = true;
    }
    return absl::OkStatus();
  });
  if (queued) Wake();
  return s;
}

absl::StatusOr<store::Job> JobRunner::WaitForChange(const std::string& job_id,
                                                    std::optional<uint64_t> seq,
                                                    std::chrono::milliseconds limit,
                                                    const std::function<bool()>& cancelled) {
  const BootTime until = parts_.clock->Boot() + limit;
  for (;;) {
    std::optional<store::Job> job;
    absl::Status s = parts_.db->Read([&](sql::Transaction& tx) {
      auto row = store::GetJob(tx, job_id);
      if (row.ok()) job = *row;
      return row.status();
    });
    if (!s.ok()) return s;
    if (!job.has_value()) return Error(v1::JOB_NOT_FOUND, "there is no such job");
    const bool changed = seq.has_value() ? job->seq != *seq : AwaitsDecision(*job);
    const bool over = store::IsFinished(job->state) || changed || parts_.clock->Boot() >= until ||
                      (cancelled && cancelled());
    if (over) return *job;
    std::unique_lock lock(mutex_);
    if (stopping_) return *job;
    const uint64_t seen = wakes_;
    wake_.wait_for(lock, std::chrono::milliseconds(100),
                   [&] { return stopping_ || wakes_ != seen; });
  }
}

}  // namespace jetmon::rollout
