#ifndef JETMON_TESTS_LAB_V1_HOST_H_
#define JETMON_TESTS_LAB_V1_HOST_H_

#include <condition_variable>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "tests/lab/v1/batches.h"
#include "tests/lab/v1/rules.h"

namespace jetmon::lab {

// What a v1 host does outside of itself. Thread-safe.
class V1World {
 public:
  virtual ~V1World() = default;
  virtual int64_t NowMs() = 0;  // Unix
  // Has the job done soon, on another thread; checks and tells have threads of their own.
  virtual void PostCheck(std::function<void()> job) = 0;
  virtual void PostTell(std::function<void()> job) = 0;
  // The active rows of a range, from a replica.
  virtual absl::StatusOr<std::vector<LegacyRow>> Read(BucketRange range) = 0;
  // The code that a check from this address finds.
  virtual int Check(const std::string& url, const std::string& source) = 0;
  // In v1's test mode: writes the column of all rows of the site.
  virtual void WriteStatus(const LegacyRow& row, int status) = 0;
  // Tells the receiver, for the first or the second time; false if that failed.
  virtual bool Tell(const V1Tell& tell, int attempt) = 0;
};

struct V1Config {
  BucketRange range;
  uint32_t batch_size = 32;
  V1Times times;                        // scaled
  std::string source;                   // of its own checks
  std::vector<std::string> verifliers;  // the addresses of theirs
  int limit = 1;                        // how many of them must agree
  bool db_updates = false;              // v1's test mode
  bool orphans = false;                 // at a kill its workers go on for a while
};

// One v1 host: a master, its workers and its memory, for one range of buckets. It is driven by Turn
// and by the jobs that it posts. Thread-safe; made as a shared_ptr, which its jobs hold.
class V1Host : public std::enable_shared_from_this<V1Host> {
 public:
  V1Host(V1Config config, V1World& world);

  // To be called often, and never at a time from two threads: begins rounds, reads batches, sees to
  // what waits.
  void Turn();

  // The whole process group stops: requests that are under way end, nothing more is told, and what
  // was being confirmed is forgotten. Returns when nothing is under way.
  void Stop();
  // kill -9: nothing more is begun. A tell that is under way may still arrive.
  void Kill();
  // SIGHUP after its range was taken out of the configuration: ends the round, reads the range for
  // one more, and tells what it was confirming. Then it has ended.
  void LeaveByHup();
  // SIGHUP with another range.
  void Configure(BucketRange range);
  // The query of the next last batch of a round fails.
  void FailLastRead();

  BucketRange range() const;
  bool ended() const;
  bool leaving() const;
  // Ended by LeaveByHup, and nothing else.
  bool left() const;
  struct Figures {
    uint64_t rounds = 0, rows = 0;
    size_t confirming = 0;
    int under_way = 0;
  };
  Figures figures() const;

 private:
  enum class State { kRuns, kStopped, kKilled, kLeft };
  enum class Job { kLocal, kTell, kOther };
  void BeginRound(int64_t now_ms);
  void ReadNextBatch();
  void RunRead(const V1Batches::Batch& batch);
  void PostLocal(V1Site site);
  void RunLocal(V1Site site);
  void RunVeriflier(const V1Site& site, const std::string& source);
  void PostTell(V1Tell tell);
  void RunTell(const V1Tell& tell);
  // A job begins, if it still may.
  bool Begin(Job job);
  void End();

  const V1Config config_;
  V1World& world_;
  mutable std::mutex mutex_;
  std::condition_variable idle_;
  State state_ = State::kRuns;
  BucketRange range_;
  V1Batches batches_;
  V1Rules rules_;
  int64_t round_began_ms_ = 0, next_tick_ms_ = 0, killed_ms_ = 0;
  bool between_rounds_ = true, reading_ = false, fail_last_read_ = false;
  std::optional<int> rounds_left_;  // of a host that leaves
  int waiting_ = 0;                 // checks that no worker has begun
  int untold_ = 0;                  // tells that wait
  int under_way_ = 0;               // jobs that have begun
  uint64_t rounds_ = 0, rows_ = 0;
};

}  // namespace jetmon::lab

#endif  // JETMON_TESTS_LAB_V1_HOST_H_
