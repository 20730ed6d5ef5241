#ifndef JETMON_VERIFLIER_CHECKER_H_
#define JETMON_VERIFLIER_CHECKER_H_

#include <atomic>
#include <functional>
#include <memory>
#include <string>

#include "clock/deadline_budget.h"
#include "jetmon/v1/veriflier.pb.h"
#include "probe/engine.h"

namespace jetmon::veriflier {

// Runs confirmation checks for callers on one probe engine, bounded by it: what it can't take at
// once is answered agent_overloaded. A check longer than the budget's is answered unknown at once:
// cut shorter, a slow site would look silent, and the caller would count that as a vote. Counts
// what it did. Thread-safe; must outlive its checks (the engine is destroyed first).
class Checker {
 public:
  struct Identity {
    std::string vantage_id, agent_id;
  };
  Checker(Identity identity, probe::Engine::Options options, DeadlineBudget budget);
  // Starts the engine.
  absl::Status Start();
  // Cancels what runs; their callbacks have been called when it returns.
  void Stop();

  // Checks one site until `give_up_at`; `done` is called once: on an engine's thread, or before
  // this returns when the site can't be checked at all.
  void Check(const v1::SiteCheck& site, BootTime give_up_at,
             std::shared_ptr<const std::atomic<bool>> cancelled,
             std::function<void(v1::SiteCheckResult)> done);

  const DeadlineBudget& budget() const { return budget_; }
  uint64_t completed() const { return completed_; }
  uint64_t failed() const { return failed_; }
  probe::Engine::Stats stats() const;

 private:
  v1::SiteCheckResult Blank(const v1::SiteCheck& site) const;
  v1::SiteCheckResult Translate(v1::SiteCheckResult result, const probe::CheckResult& check);

  const Identity identity_;
  const probe::Engine::Options options_;
  const DeadlineBudget budget_;
  std::unique_ptr<probe::Engine> engine_;
  std::atomic<uint64_t> completed_{0}, failed_{0};
};

}  // namespace jetmon::veriflier

#endif  // JETMON_VERIFLIER_CHECKER_H_
