#ifndef JETMON_CONTROLPLANE_ROLLOUT_TEST_FAULT_WORLD_H_
#define JETMON_CONTROLPLANE_ROLLOUT_TEST_FAULT_WORLD_H_

#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "controlplane/rollout/service.h"
#include "controlplane/rollout/test_rollout.h"

namespace jetmon::rollout {

// A place to be killed at: right before or right after the nth commit of a name. Looks in a row
// count once (a job that waits looks again and again), and the sweep's, which come when they come,
// interrupt no row.
struct FaultPoint {
  std::string commit;
  bool committed = false;
  int nth = 1;
  std::string ToString() const;  // "execute:before:1"
  static FaultPoint Of(const std::string& text);
  bool operator==(const FaultPoint&) const = default;
};

// One process with a control plane and a Monitor's stand-in over the database in a folder, and what
// an operator knows, in files beside it: that outlives the process.
class FaultWorld {
 public:
  static constexpr store::Range kRange{2, 5};
  static constexpr char kOwner[] = "monitor-a";

  // `sites_url`: where sites answer. `process`: which one of the folder's this is.
  FaultWorld(const std::string& folder, const std::string& sites_url, const std::string& process);
  ~FaultWorld();

  // From now on points are counted, and the process ends at `point` (nullptr: nowhere).
  void Arm(const FaultPoint* point);
  // Those that were passed since, in order.
  std::vector<FaultPoint> passed() const;

  // Starts the control plane, once.
  void Start();
  void Stop();
  Service& service() { return *service_; }
  TestRollout& rollout() { return rollout_; }
  FakeMonitor& monitor() { return monitor_; }
  std::string SiteUrl(const std::string& path) const { return sites_url_ + path; }
  // Any.
  static Caller Key();

  // --- An operator. Each of these may be called again after a crash, as an operator repeats a
  // request with its idempotency key, or with the token that he has.

  // Calls `call` with a caller under an idempotency key; if the key's record is there, its
  // resource's id instead.
  absl::Status Once(const std::string& idempotency_key,
                    const std::function<absl::Status(const Caller&)>& call,
                    std::string* resource_id = nullptr);
  // The run that he works on, opened if need be.
  std::string OpenSession();
  absl::Status Checkpoint(const std::string& kind);
  v1::PlannedRequest Request(store::Range range = kRange);
  // The same with overrides for whatever evidence an activation misses.
  v1::PlannedRequest Overridden();
  // Plans, notes the token down, executes with it, follows the job to its end.
  absl::Status Carry(Operation op, const v1::PlannedRequest& request);
  // The same of stage_policy; a size is a stage's only.
  absl::Status CarryPolicy(const std::string& mode, const std::string& size = "");
  // Waits until the job ended, however. Of notifications that it waits for, people were told.
  absl::Status Follow(const std::string& job_id);
  absl::Status AwaitState(const std::string& job_id, std::string_view state);
  // Waits until no job is left and no range is on its way.
  absl::Status Settle();

 private:
  template <typename Message>
  absl::Status CarryBy(
      const std::string& note, const Message& request,
      const std::function<absl::Status(const Message&, v1::OperationResponse*)>& send);
  std::string Known(const std::string& name) const;
  void Remember(const std::string& name, const std::string& text) const;
  void AtCommit(std::string_view name, bool committed);
  void SayTold(const store::Job& release);
  absl::Status AwaitThat(const std::string& what, const std::function<bool()>& is_so);

  const std::string folder_, sites_url_;
  TestRollout rollout_;
  FakeMonitor monitor_{rollout_.db(), kOwner, "a-1"};
  std::unique_ptr<Service> service_;
  mutable std::mutex mutex_;
  bool armed_ = false;  // guarded by mutex_, as all below
  const FaultPoint* point_ = nullptr;
  std::string last_;
  std::map<std::string, int> counts_;
  std::vector<FaultPoint> passed_;
};

}  // namespace jetmon::rollout

#endif  // JETMON_CONTROLPLANE_ROLLOUT_TEST_FAULT_WORLD_H_
