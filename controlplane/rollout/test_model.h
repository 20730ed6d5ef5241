#ifndef JETMON_CONTROLPLANE_ROLLOUT_TEST_MODEL_H_
#define JETMON_CONTROLPLANE_ROLLOUT_TEST_MODEL_H_

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "clock/deadline_budget.h"
#include "store/range.h"

// The rollout's state machine as the design has it, in plain C++: who may do what to which range,
// what counts as evidence, what a token is good for. It knows no database, no thread and no
// statement; model_test compares the domain with it after every step. Times are milliseconds.
namespace jetmon::rollout::model {

using store::Range;

constexpr int64_t kGraceMs = DeadlineBudget().grace().count();
constexpr int64_t kBlindMs = 5'000;
constexpr int64_t kAcknowledgeMs = 60'000, kDrainMs = 60'000;
constexpr int64_t kTokenMs = 15 * 60'000;
constexpr int64_t kDayMs = 24 * 3'600'000;
constexpr int64_t kLeaseMs = DeadlineBudget::kLease.count();

struct Session {
  Range range;
  std::string owner;
  bool open = true;
  uint64_t sequence = 0;
};
struct Checkpoint {
  uint64_t ordinal = 0;
  std::string run, kind;
  Range range;
  std::string owner;
  uint64_t started = 0;
  int64_t at_ms = 0;
};
// Buckets from one end of a range that leave it while the rest stays.
struct Part {
  uint64_t epoch = 0;
  Range range;
  std::string job, state = "draining";
  bool drained = false;
};
struct Lock {
  Range range;
  std::string host, instance, state, run, activate_job, release_job;
  uint64_t revision = 1, lease_seq = 0;
  bool gave_up = false, drained = false;
  std::string part;  // the job of the part that leaves it, "" if none does
  bool held() const { return state != "released"; }
};
struct Bucket {
  uint64_t epoch = 0, changed = 0;
};
struct Job {
  std::string operation, run, owner, state = "queued", worker;
  Range range;
  uint64_t epoch = 0, attempt = 0, seq = 0, started = 0;
  bool cancel = false;
  bool seeded = false;  // its cursor is at the end
  // What the worker has in mind; gone with it.
  std::string verdict;              // of its last batch: completed, blocked, cancelled
  std::optional<Lock> looked;       // as it saw the lock last
  std::optional<Part> looked_part;  // and the part that it releases
  bool goodbye = false;             // and whether its owner had said goodbye
  bool may_free = false;            // and whether it held it for drained or its owner for dead
  std::optional<int64_t> waits_since, revoked_since;
  bool unfinished() const { return state == "queued" || state == "running"; }
};
struct Token {
  std::string key, operation, run, request, digest, job;
  Range range;
  int64_t expires_ms = 0;
};
struct Process {
  std::string host;
  uint64_t seq = 0;
  bool goodbye = false;
};

// What one control plane has seen of who lives.
struct Watch {
  struct Sight {
    uint64_t seq = 0;
    int64_t since_ms = 0;
    bool changed = false;
  };
  std::optional<int64_t> last_ms;
  std::map<std::string, Sight> leases, processes, jobs;
  const Sight* Find(const std::map<std::string, Sight>& of, const std::string& key) const {
    auto at = of.find(key);
    return at == of.end() ? nullptr : &at->second;
  }
  bool Dead(const Sight* s) const { return s != nullptr && *last_ms - s->since_ms >= kGraceMs; }
};

// A planned operation as asked for.
struct Asked {
  std::string key, operation, run;
  Range range;
  std::string owner;        // "" = the session's
  bool overridden = false;  // whatever evidence is missing
};
// What the model expects to be answered: an error's reason (as errors.proto has it), or blockers'
// codes, or a job, or neither (a token).
struct Answer {
  std::string error;
  std::set<std::string> blockers;
  std::set<std::string> jobs;  // one of these
  std::string digest;          // of a plan
};

class State {
 public:
  explicit State(uint32_t buckets) : buckets_(buckets) {}

  std::map<std::string, Session> sessions;
  std::vector<Checkpoint> checkpoints;
  std::map<uint64_t, Lock> locks;
  std::map<std::string, Part> parts;  // by job, those that have left too
  std::map<std::string, Job> jobs;
  std::vector<Job> unnamed;  // queued by the domain itself; their ids are not known yet
  std::map<std::string, Token> tokens;
  std::map<std::string, Process> processes;
  std::map<std::string, uint64_t> generations;  // of hosts

  const std::vector<Bucket>& buckets() const { return buckets_; }

  // --- what a control plane sees
  void Observe(Watch* watch, int64_t now) const;

  // --- operators
  std::string CloseError(const std::string& run) const;  // "" = it may be closed
  void Close(const std::string& run);
  std::string CheckpointError(const std::string& run, const std::string& kind) const;
  void Record(const std::string& run, const std::string& kind, Range range,
              const std::string& owner, uint64_t started, int64_t now);
  std::set<std::string> PreflightBlockers(const Watch& watch, Range range,
                                          const std::string& owner) const;
  std::string CancelError(const std::string& job) const;
  void Cancel(const std::string& job);
  Answer Plan(const Watch& watch, const Asked& asked, int64_t now) const;
  // With a token of `tokens`, or one that is none. Changes nothing.
  Answer Execute(const Watch& watch, const Asked& asked, const std::string& token,
                 int64_t now) const;
  // What an execution that was answered with a new job did.
  void Executed(const Watch& watch, const Asked& asked, const std::string& token,
                const std::string& job);
  static std::string RequestOf(const Asked& asked, const std::string& owner);

  // --- Monitors; false: refused
  void Poll(const std::string& instance, const std::string& host);
  void Goodbye(const std::string& instance);
  bool Renew(uint64_t epoch, const std::string& instance, uint64_t revision);
  bool Acknowledge(uint64_t epoch, const std::string& instance, uint64_t revision);
  bool Drained(uint64_t epoch, const std::string& instance);
  bool PartDrained(const std::string& job, const std::string& instance);
  bool TakeOver(uint64_t epoch, const std::string& old_instance, uint64_t lease_seq,
                const std::string& instance);

  // --- jobs: one commit of a worker (its attempt), by its name. An error says what is not allowed.
  std::string Commit(std::string_view commit, const std::string& job, const std::string& worker,
                     uint64_t attempt, const Watch& watch, int64_t now);
  // A worker took it, from the queue or from another one.
  std::string Claimed(const std::string& job, const std::string& worker, const Watch& watch);
  // A worker that took a queued job fails, and touches nothing else.
  void Break(const std::string& job, const std::string& worker);
  void Sweep();

 private:
  std::optional<uint64_t> HeldOverlapping(Range range) const;
  uint64_t Changed(Range range) const;
  std::set<std::string> OwnerBlockers(const Watch& watch, const std::string& owner,
                                      std::string* instance) const;
  // Of evidence, what is missing; else the ordinals that count, for the digest.
  bool EvidenceMissing(Range range, const std::string& owner, int64_t now,
                       std::string* digest) const;
  std::string RunError(const Asked& asked) const;
  const std::string& OwnerOf(const Asked& asked) const;
  void Mark(Range range, uint64_t new_epoch);
  bool HasJob(uint64_t epoch, const std::string& operation, Range range) const;
  void Queue(const std::string& operation, uint64_t epoch, Range range);
  std::string Finish(Job* job, int64_t now);
  std::string Batch(Job* job);
  bool MayFree(const Job& job, const Watch& watch, int64_t now) const;
  std::string Free(Job* job);
  std::string FreePart(Job* job, int64_t now);
  std::string CommitOfRange(std::string_view commit, Job* job, int64_t now);
  void Look(Job* job, int64_t now);
  const Part* PartOf(uint64_t epoch, Range range) const;
  Answer PlanActivate(const Watch& watch, const Asked& asked, int64_t now,
                      std::string* digest) const;
  Answer PlanRelease(const Asked& asked) const;
  // Whether the range that is held lets these buckets of it go; or the jobs that do it already.
  Answer MayLeave(uint64_t epoch, Range range) const;

  std::vector<Bucket> buckets_;
  uint64_t ordinal_ = 0, epoch_ = 0;
};

}  // namespace jetmon::rollout::model

#endif  // JETMON_CONTROLPLANE_ROLLOUT_TEST_MODEL_H_
