#ifndef JETMON_CONTROLPLANE_ROLLOUT_TEST_ACTIVE_RANGE_H_
#define JETMON_CONTROLPLANE_ROLLOUT_TEST_ACTIVE_RANGE_H_

#include <cstdint>
#include <string>
#include <vector>

#include "controlplane/rollout/test_service.h"

namespace jetmon::rollout {

// A domain in which kRange is active, and releases that a test begins and ends by itself.
class ActiveRangeTest : public ServiceTest {
 protected:
  // kRange is held by `run_` from here on.
  void ActivateRange() {
    run_ = Activate();
    epoch_ = Held().front().epoch;
  }
  std::vector<store::RangeLock> Held() {
    return rollout_.Get([](sql::Transaction& tx) { return store::ListHeldRanges(tx); });
  }
  v1::PlannedRequest Of(store::Range range) { return On<v1::PlannedRequest>(run_, range); }
  // Begins the release and does not wait: its job.
  std::string Begin(store::Range range) {
    v1::OperationResponse answer;
    EXPECT_TRUE(Planned(Operation::kRelease,
                        Executing(Of(range), Token(Operation::kRelease, Of(range)), "0s"), &answer)
                    .ok());
    EXPECT_EQ(answer.status(), "running") << answer.ShortDebugString();
    return answer.job_id();
  }
  // Waits for the job's end: its answer.
  v1::OperationResponse End(const std::string& job_id) {
    v1::OperationResponse answer;
    EXPECT_TRUE(service_
                    ->WatchJob(job_id, {},
                               [&](const v1::OperationResponse& r) {
                                 answer = r;
                                 return true;
                               })
                    .ok());
    return answer;
  }

  std::string run_;
  uint64_t epoch_ = 0;
};

}  // namespace jetmon::rollout

#endif  // JETMON_CONTROLPLANE_ROLLOUT_TEST_ACTIVE_RANGE_H_
