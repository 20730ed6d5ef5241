#ifndef JETMON_PROBE_REACTOR_H_
#define JETMON_PROBE_REACTOR_H_

#include <atomic>
#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "absl/status/status.h"
#include "clock/clock.h"
#include "probe/check.h"
#include "probe/running_check.h"
#include "probe/target_safety.h"
#include "probe/timer_wheel.h"

namespace jetmon::probe {

// One thread with one epoll set and the checks that it runs; owned by an Engine.
//
// A loop: wait; if more than a second has gone since the last one, call what ran lost; then
// deadlines, then sockets, then starts from the queue, then results. Results are held until the end
// of the loop, so that one that a pause or a lapsed lease has spoiled meanwhile is discarded. While
// anything runs or waits it wakes at least every 100 ms, to look at leases and cancellations.
//
// Accept, CancelAll and the counters may be called from any thread; Start, Stop and Join by the
// owner.
class Reactor {
 public:
  struct Options {
    const Clock* clock = nullptr;
    int max_concurrent = 1;
    std::optional<IpAddress> source;
    TargetSafety safety;
    // The engine's count of accepted, unfinished checks; lowered before each `done`.
    std::shared_ptr<std::atomic<int64_t>> outstanding;
    std::string thread_name;
  };

  explicit Reactor(Options options);
  ~Reactor();  // stops and joins
  Reactor(const Reactor&) = delete;
  Reactor& operator=(const Reactor&) = delete;

  // Opens what it needs and starts the thread. Once.
  absl::Status Start();
  // False when stopping: then `done` will not be called.
  bool Accept(CheckRequest request, RunningCheck::Done done);
  void CancelAll();
  // Takes no more and cancels all; the thread then ends by itself.
  void Stop();
  void Join();

  int64_t unfinished() const { return unfinished_.load(std::memory_order_relaxed); }
  int64_t in_flight() const { return in_flight_.load(std::memory_order_relaxed); }
  int64_t completed() const { return completed_.load(std::memory_order_relaxed); }
  int64_t lost() const { return lost_.load(std::memory_order_relaxed); }

 private:
  using Check = std::unique_ptr<RunningCheck>;

  void Run();
  void Wake();
  int WaitMs() const;
  // What other threads have handed over. Returns true if it is time to stop.
  bool TakeOver();
  void CancelHeld();
  void LoseRunning();
  void LookAtAll(BootTime now);
  void StartQueued(BootTime now);
  void Retire(RunningCheck* check);
  void Deliver(BootTime loop_began);

  Options options_;
  CheckSurroundings around_;
  int wake_fd_ = -1;
  std::thread thread_;

  std::atomic<int64_t> unfinished_{0};
  std::atomic<int64_t> in_flight_{0};
  std::atomic<int64_t> completed_{0};
  std::atomic<int64_t> lost_{0};

  std::mutex mutex_;
  std::vector<Check> accepted_;   // guarded by mutex_
  std::vector<Check> cancelled_;  // guarded by mutex_: accepted, then cancelled before it was taken
  bool cancel_held_ = false;      // guarded by mutex_: cancel what the thread holds
  bool stopping_ = false;         // guarded by mutex_

  // The thread's own.
  std::optional<TimerWheel> wheel_;
  std::deque<Check> queue_;
  std::vector<Check> running_;   // each knows its index
  std::vector<Check> finished_;  // to be delivered at the end of the loop
  BootTime next_look_;
};

}  // namespace jetmon::probe

#endif  // JETMON_PROBE_REACTOR_H_
