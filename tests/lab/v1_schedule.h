#ifndef JETMON_TESTS_LAB_V1_SCHEDULE_H_
#define JETMON_TESTS_LAB_V1_SCHEDULE_H_

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <queue>
#include <string>
#include <vector>

#include "tests/lab/legacy_table.h"

namespace jetmon::lab {

// One site as v1 keeps it in memory.
struct V1Site {
  LegacySite row;
  int failures = 0;    // in a row, since it was last up
  uint64_t round = 0;  // of the Start that put it in; past when its bucket is stopped
};

// What a result changes, by v1's rules: the first failure is status 0, the third in a row 2, a
// success 1. v1 tells people of 2, and of 1 after 2.
struct V1Change {
  std::optional<int> status;  // write this
  bool notify = false;
  bool retry_soon = false;  // check again after the retry delay, not the interval
};
V1Change JudgeAsV1(V1Site& site, bool up);

// Which site is to be checked next, and which buckets are stopped. Workers take sites and give
// them back; Stop returns when no worker holds one of its range. Thread-safe.
class V1Schedule {
 public:
  using Time = std::chrono::steady_clock::time_point;
  // `unit` is what one minute of check_interval lasts.
  explicit V1Schedule(std::chrono::milliseconds unit) : unit_(unit) {}

  // Puts the sites in, each first due within min(its interval, 60 s), spread evenly.
  void Start(BucketRange range, std::vector<LegacySite> sites);
  // Takes the range out and waits until no site of it is held by a worker any more.
  void Stop(BucketRange range);
  // Waits for the next site that is due; null after Close.
  std::shared_ptr<V1Site> Take();
  // The worker is done with it, its result written.
  void GiveBack(const std::shared_ptr<V1Site>& site, bool retry_soon);
  void Close();
  uint64_t size() const;

 private:
  struct Due {
    Time at;
    std::shared_ptr<V1Site> site;
    bool operator>(const Due& other) const { return at > other.at; }
  };
  // The round in which this bucket was started last; 0 = stopped.
  uint64_t RoundOf(uint32_t bucket) const;

  const std::chrono::milliseconds unit_;
  mutable std::mutex mutex_;
  std::condition_variable due_changed_, given_back_;
  std::priority_queue<Due, std::vector<Due>, std::greater<Due>> due_;
  std::map<uint32_t, uint64_t> rounds_;  // by bucket, of started ones
  std::map<uint32_t, uint64_t> held_;    // by bucket, how many sites workers hold
  std::map<uint32_t, uint64_t> counts_;  // by bucket, sites of started ones
  uint64_t round_ = 0;
  bool closed_ = false;
};

}  // namespace jetmon::lab

#endif  // JETMON_TESTS_LAB_V1_SCHEDULE_H_
