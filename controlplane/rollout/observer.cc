#include "controlplane/rollout/observer.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "daemon/log.h"
#include "store/hosts.h"
#include "store/jobs.h"
#include "store/locks.h"

namespace jetmon::rollout {

Observer::Observer(sql::Database& db, const Clock& clock, Times times)
    : db_(db), clock_(clock), times_(times) {}

Observer::~Observer() { Stop(); }

void Observer::Run() {
  thread_ = std::thread([this] {
    std::unique_lock lock(mutex_);
    while (!stopping_) {
      lock.unlock();
      const absl::Status s = Read();
      if (!s.ok()) LogWarning(absl::StrCat("the observer could not read: ", s.message()));
      lock.lock();
      wake_.wait_for(lock, times_.observe, [this] { return stopping_; });
    }
  });
}

void Observer::Stop() {
  {
    std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  wake_.notify_all();
  if (thread_.joinable()) thread_.join();
}

void Observer::Merge(Table* table, const std::map<std::string, Seen>& fresh, BootTime now) {
  Table merged;
  for (const auto& [key, seen] : fresh) {
    auto known = table->find(key);
    Seen next = seen;
    next.since = now;
    if (known != table->end()) {
      next.changed = true;
      if (known->second.seq == seen.seq) {
        next.since = known->second.since;
        next.changed = known->second.changed;
      }
    }
    merged.emplace(key, std::move(next));
  }
  *table = std::move(merged);
}

absl::Status Observer::Read() {
  // A value was seen somewhere between the two, so it counts from `after`, and until a later
  // `before`: an observation never counts more time than has passed.
  const BootTime before = clock_.Boot();
  Table leases, processes, jobs;
  const absl::Status s = db_.Read([&](sql::Transaction& tx) -> absl::Status {
    leases.clear();
    processes.clear();
    jobs.clear();
    auto locks = store::ListHeldRanges(tx);
    if (!locks.ok()) return locks.status();
    for (const auto& l : *locks) leases[absl::StrCat(l.epoch)] = {l.lease_seq, {}, false, ""};
    auto rows = store::ListProcesses(tx, "monitor", /*with_gone=*/false);
    if (!rows.ok()) return rows.status();
    for (const auto& p : *rows) processes[p.instance] = {p.seq, {}, false, p.host};
    auto unfinished = store::ListUnfinishedJobs(tx);
    if (!unfinished.ok()) return unfinished.status();
    for (const auto& j : *unfinished) jobs[j.job_id] = {j.seq, {}, false, ""};
    return absl::OkStatus();
  });
  if (!s.ok()) return s;
  const BootTime after = clock_.Boot();
  {
    std::lock_guard lock(mutex_);
    if (last_read_.ns != 0 && before - last_read_ > kBlind) {
      leases_.clear();
      processes_.clear();
      jobs_.clear();
    }
    last_read_ = before;
    Merge(&leases_, leases, after);
    Merge(&processes_, processes, after);
    Merge(&jobs_, jobs, after);
  }
  wake_.notify_all();
  return absl::OkStatus();
}

std::optional<Observer::Sight> Observer::Look(const Table& table, const std::string& key) const {
  std::lock_guard lock(mutex_);
  auto at = table.find(key);
  if (at == table.end()) return std::nullopt;
  // Counted up to the last good read, not to now: what came since is not known.
  const auto unchanged = std::max(last_read_ - at->second.since, std::chrono::nanoseconds(0));
  return Sight{at->second.seq, unchanged, at->second.changed};
}

std::optional<Observer::Sight> Observer::Lease(uint64_t epoch) const {
  return Look(leases_, absl::StrCat(epoch));
}
std::optional<Observer::Sight> Observer::Process(const std::string& instance) const {
  return Look(processes_, instance);
}
std::optional<Observer::Sight> Observer::JobWorker(const std::string& job_id) const {
  return Look(jobs_, job_id);
}

bool Observer::WaitUntilHeard(const std::string& host, std::chrono::milliseconds limit) {
  std::unique_lock lock(mutex_);
  return wake_.wait_for(lock, limit, [&] {
    if (stopping_) return true;
    for (const auto& [instance, seen] : processes_) {
      if (seen.host == host && seen.changed) return true;
    }
    return false;
  });
}

}  // namespace jetmon::rollout
