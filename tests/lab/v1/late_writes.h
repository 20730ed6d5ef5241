#ifndef JETMON_TESTS_LAB_V1_LATE_WRITES_H_
#define JETMON_TESTS_LAB_V1_LATE_WRITES_H_

#include <chrono>
#include <condition_variable>
#include <functional>
#include <map>
#include <mutex>
#include <thread>

#include "tests/lab/v1/receiver_rules.h"

namespace jetmon::lab {

// Writes that are due later, done one after the other on a thread of their own, in the order in
// which they are due.
class LateWrites {
 public:
  using Clock = std::chrono::steady_clock;
  // Writes one, and returns false if it has to be tried again.
  using Write = std::function<bool(const Told&)>;
  explicit LateWrites(Write write) : write_(std::move(write)), thread_([this] { Work(); }) {}
  // What is due later is dropped.
  ~LateWrites() {
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      closed_ = true;
    }
    changed_.notify_all();
    thread_.join();
  }

  void Add(std::chrono::milliseconds after, Told told) {
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      waiting_.emplace(Clock::now() + after, std::move(told));
    }
    changed_.notify_all();
  }

  // How many are not done yet.
  size_t pending() const {
    const std::lock_guard<std::mutex> lock(mutex_);
    return waiting_.size() + (writing_ ? 1 : 0);
  }

 private:
  void Work() {
    std::unique_lock<std::mutex> lock(mutex_);
    while (!closed_) {
      if (waiting_.empty()) {
        changed_.wait(lock);
        continue;
      }
      const Clock::time_point due = waiting_.begin()->first;
      if (due > Clock::now()) {
        changed_.wait_until(lock, due);
        continue;
      }
      const Told told = std::move(waiting_.extract(waiting_.begin()).mapped());
      writing_ = true;
      lock.unlock();
      const bool done = write_(told);
      lock.lock();
      writing_ = false;
      if (!done) waiting_.emplace(Clock::now() + kAgain, told);
    }
  }

  static constexpr std::chrono::milliseconds kAgain{200};
  const Write write_;
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::multimap<Clock::time_point, Told> waiting_;
  bool writing_ = false, closed_ = false;
  std::thread thread_;
};

}  // namespace jetmon::lab

#endif  // JETMON_TESTS_LAB_V1_LATE_WRITES_H_
