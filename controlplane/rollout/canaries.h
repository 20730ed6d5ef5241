#ifndef JETMON_CONTROLPLANE_ROLLOUT_CANARIES_H_
#define JETMON_CONTROLPLANE_ROLLOUT_CANARIES_H_

#include <google/protobuf/repeated_field.h>

#include <chrono>
#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "clock/deadline_budget.h"
#include "jetmon/v1/rollout.pb.h"
#include "probe/check.h"
#include "probe/engine.h"

namespace jetmon::rollout {

inline constexpr size_t kMostCanaries = 50;

// A canary whose form was looked at.
struct CheckedCanary {
  v1::Canary canary;
  probe::Mode mode;
};

// invalid_canary, with index and field, for what does not fit.
absl::StatusOr<std::vector<CheckedCanary>> CheckCanaries(
    const google::protobuf::RepeatedPtrField<v1::Canary>& canaries,
    const probe::TargetSafety& safety);

// What a check gave, against what the canary expects.
v1::CanaryResult JudgeCanary(const CheckedCanary& canary, const probe::CheckResult& seen);

// Checks canaries side by side on an engine of its own, from the moment it is made: each once, a
// lost one again, twice at most. Each has the budget's check, so that it is judged as a Monitor
// judges it, and all of them end within its round.
class CanaryRun {
 public:
  // `lease` as in CheckRequest; what it points to outlives this.
  static absl::StatusOr<std::unique_ptr<CanaryRun>> Begin(probe::Engine::Options engine,
                                                          std::vector<CheckedCanary> canaries,
                                                          const probe::LeaseGate* lease,
                                                          const DeadlineBudget& budget);
  // Waits until all have ended; calls `turn` (may be empty) meanwhile, whose error ends it.
  // Unavailable: the lease lapsed.
  absl::StatusOr<std::vector<v1::CanaryResult>> Results(
      const std::function<absl::Status()>& turn = {});

 private:
  CanaryRun(std::vector<CheckedCanary> canaries, const probe::LeaseGate* lease, BootTime until,
            std::chrono::milliseconds timeout);
  void Send(size_t index, int runs);
  void Keep(size_t index, probe::CheckResult result);

  const std::vector<CheckedCanary> canaries_;
  const probe::LeaseGate* const lease_;
  const BootTime until_;
  const std::chrono::milliseconds timeout_;
  std::mutex mutex_;
  std::condition_variable ended_;
  size_t left_;                              // guarded by mutex_
  std::vector<probe::CheckResult> results_;  // guarded by mutex_
  std::unique_ptr<probe::Engine> engine_;    // the first to go: it calls Keep until then
};

// Adds a blocker for each mismatch.
void BlockByCanaries(const std::vector<v1::CanaryResult>& results, v1::OperationResponse* answer);
// The same, with preflight's item `canaries` and its list.
void AddCanariesToPreflight(const std::vector<v1::CanaryResult>& results,
                            v1::OperationResponse* answer);

}  // namespace jetmon::rollout

#endif  // JETMON_CONTROLPLANE_ROLLOUT_CANARIES_H_
