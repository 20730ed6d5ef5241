#ifndef JETMON_TESTS_LAB_V1_REPLICA_H_
#define JETMON_TESTS_LAB_V1_REPLICA_H_

#include <chrono>
#include <deque>
#include <memory>
#include <mutex>
#include <utility>
#include <vector>

#include "tests/lab/legacy_table.h"

namespace jetmon::lab {

// The table as it was a while ago: of the readings that it is given, each with its time, it answers
// by the newest that is at least `lag` old, or by the oldest that it has. Thread-safe.
class Replica {
 public:
  using Time = std::chrono::steady_clock::time_point;
  using Rows = std::vector<LegacyRow>;
  explicit Replica(std::chrono::milliseconds lag) : lag_(lag) {}

  void Add(Time at, Rows rows) {
    auto reading = std::make_shared<const Rows>(std::move(rows));
    const std::lock_guard<std::mutex> lock(mutex_);
    readings_.emplace_back(at, std::move(reading));
    while (readings_.size() > 1 && readings_[1].first + lag_ <= at) readings_.pop_front();
  }

  bool empty() const {
    const std::lock_guard<std::mutex> lock(mutex_);
    return readings_.empty();
  }

  // The rows of a range at that time.
  Rows Read(BucketRange range, Time now) const {
    std::shared_ptr<const Rows> chosen;
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      for (const auto& [at, rows] : readings_) {
        if (chosen != nullptr && at + lag_ > now) break;
        chosen = rows;
      }
    }
    Rows found;
    if (chosen == nullptr) return found;
    for (const LegacyRow& row : *chosen) {
      if (range.Contains(row.bucket)) found.push_back(row);
    }
    return found;
  }

 private:
  const std::chrono::milliseconds lag_;
  mutable std::mutex mutex_;
  std::deque<std::pair<Time, std::shared_ptr<const Rows>>> readings_;
};

}  // namespace jetmon::lab

#endif  // JETMON_TESTS_LAB_V1_REPLICA_H_
