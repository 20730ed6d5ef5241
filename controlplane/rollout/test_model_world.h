#ifndef JETMON_CONTROLPLANE_ROLLOUT_TEST_MODEL_WORLD_H_
#define JETMON_CONTROLPLANE_ROLLOUT_TEST_MODEL_WORLD_H_

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "clock/clock.h"
#include "controlplane/rollout/service.h"
#include "controlplane/rollout/test_model.h"
#include "store/test_database.h"

namespace jetmon::rollout {

// The domain and its model side by side, all in one thread: every call is made of both, and what
// they answer and hold must be the same. Two control planes over one database; they observe, sweep
// and run jobs only when told. The first difference is in `wrong()`, and nothing counts after it.
class ModelWorld {
 public:
  static constexpr uint32_t kBuckets = 6;

  // Thrown out of a commit of a job whose control plane is killed there.
  struct Killed {
    int replica = 0;
  };

  ModelWorld();
  ~ModelWorld();
  // An empty database and an empty model.
  void Reset();

  const std::string& wrong() const { return wrong_; }
  const model::State& model() const { return model_; }
  int64_t NowMs() const { return clock_.WallMs(); }
  // How often what happened, for a look at what a test has reached.
  const std::map<std::string, int>& tally() const { return tally_; }

  // Called after each commit of a job, between two transactions of its worker.
  void set_between(std::function<void(int replica)> between) { between_ = std::move(between); }

  // --- control planes, 0 and 1
  void Observe(int replica);
  void Sweep(int replica);
  // One job, until it ends or `stopping`. A Killed is caught here: the control plane starts again.
  void RunOneJob(int replica, const std::function<bool()>& stopping);
  // May a job be taken up there: none is under way.
  bool Idle(int replica) const { return replicas_[replica].job.empty(); }
  void Restart(int replica);
  // A queued job is taken up by a worker that fails, as by an error that the executor can't help.
  void Break(const std::string& job);
  void Pass(std::chrono::milliseconds d) { clock_.Advance(d); }

  // --- operators
  void CreateSession(int replica, const std::string& key, store::Range range,
                     const std::string& owner);
  void CloseSession(int replica, const std::string& run);
  void Checkpoint(int replica, const std::string& run, const std::string& kind);
  void Preflight(int replica, const std::string& run, store::Range range, const std::string& owner);
  void Smoke(int replica, const std::string& run, store::Range range, const std::string& owner);
  void Cancel(int replica, const std::string& job);
  // The token, "" if there is none.
  std::string Plan(int replica, const model::Asked& asked);
  void Execute(int replica, const model::Asked& asked, const std::string& token);

  // --- Monitors: what they tell the store. False: refused, by both.
  void Poll(const std::string& instance, const std::string& host);
  void Goodbye(const std::string& instance);
  bool Renew(uint64_t epoch, const std::string& instance, uint64_t revision);
  bool Acknowledge(uint64_t epoch, const std::string& instance, uint64_t revision);
  bool Drained(uint64_t epoch, const std::string& instance);
  bool PartDrained(const std::string& job, const std::string& instance);
  bool TakeOver(uint64_t epoch, const std::string& old_instance, uint64_t lease_seq,
                const std::string& instance);

 private:
  struct Replica {
    std::string name;
    int starts = 0;
    std::unique_ptr<sql::Database> db;
    std::unique_ptr<Service> service;
    model::Watch watch;
    std::string job;  // under way
    uint64_t attempt = 0;
  };

  void Start(int replica);
  void AtCommit(int replica, std::string_view name);
  std::string ClaimedJob();
  void Count(const std::string& what) { ++tally_[what]; }
  void Differ(const std::string& what);
  void Write(const sql::Body& body);
  bool Both(const std::string& what,
            const std::function<absl::StatusOr<bool>(sql::Transaction&)>& f, bool expected);
  bool Judge(const std::string& what, const absl::Status& s, const v1::OperationResponse& answer,
             const model::Answer& expected);
  Caller Key(const std::string& key) const;
  // The database's rows against the model's; not all: those that a Monitor changes.
  void Compare(bool all = true);
  void CompareRanges(sql::Transaction& tx);
  void CompareSessions(sql::Transaction& tx);
  void CompareJobs(sql::Transaction& tx);
  bool IsKnown(const store::Job& job);
  void CompareTokens(sql::Transaction& tx);
  void CompareProcesses(sql::Transaction& tx);
  void Same(const std::string& what, const std::string& database, const std::string& model);

  ManualClock clock_;
  store::TestDatabase file_;
  std::unique_ptr<sql::Database> db_;  // the test's own
  Replica replicas_[2];
  model::State model_{kBuckets};
  std::function<void(int)> between_;
  std::string wrong_;
  std::map<std::string, int> tally_;
};

}  // namespace jetmon::rollout

#endif  // JETMON_CONTROLPLANE_ROLLOUT_TEST_MODEL_WORLD_H_
