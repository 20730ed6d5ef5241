#ifndef JETMON_PROBE_REACTOR_H_
#define JETMON_PROBE_REACTOR_H_

#include <array>
#include <atomic>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "clock/clock.h"
#include "probe/check.h"
#include "probe/resolver.h"
#include "probe/running_check.h"
#include "probe/target_safety.h"
#include "probe/timer_wheel.h"
#include "probe/tls.h"

namespace jetmon::probe {

// Accepted, unfinished checks by their callers.
struct Outstanding {
  std::array<std::atomic<int64_t>, kCallers> of{};
};

// One thread with one epoll set and the checks that it runs; owned by an Engine.
//
// A loop: wait; if more than a second has gone since the last one, call what ran lost; then
// deadlines, then sockets, then starts from the queues of the callers in turn, then results.
// Results are held until the end of the loop, so that one that a pause or a lapsed lease has
// spoiled meanwhile is discarded. While anything runs or waits it wakes at least every 100 ms, to
// look at leases and cancellations.
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
    std::shared_ptr<TlsClient> tls;
    // Makes this reactor's resolver for its epoll set.
    std::function<absl::StatusOr<std::unique_ptr<Resolver>>(int epoll_fd)> resolver;
    // The engine's counts of accepted, unfinished checks; lowered before each `done`.
    std::shared_ptr<Outstanding> outstanding;
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
  int64_t full_handshakes() const { return full_.load(std::memory_order_relaxed); }
  int64_t resumed_handshakes() const { return resumed_.load(std::memory_order_relaxed); }

 private:
  using Check = std::unique_ptr<RunningCheck>;

  void Run();
  void OnEvent(uint64_t data, uint32_t events);
  void Wake();
  int WaitMs(BootTime now) const;
  // What other threads have handed over. Returns true if it is time to stop.
  bool TakeOver();
  void CancelHeld();
  void LookAtAll(BootTime now);
  void StartQueued(BootTime now);
  Check NextQueued();
  // Moves what has finished out of what runs.
  void RetireEnded();
  void EndRunning(Outcome outcome, std::string_view detail);
  void Deliver(BootTime loop_began);

  Options options_;
  CheckSurroundings around_;
  int wake_fd_ = -1;
  std::thread thread_;

  std::atomic<int64_t> unfinished_{0};
  std::atomic<int64_t> in_flight_{0};
  std::atomic<int64_t> completed_{0};
  std::atomic<int64_t> lost_{0};
  std::atomic<int64_t> full_{0};
  std::atomic<int64_t> resumed_{0};

  std::mutex mutex_;
  std::vector<Check> accepted_;   // guarded by mutex_
  std::vector<Check> cancelled_;  // guarded by mutex_: accepted, then cancelled before it was taken
  bool cancel_held_ = false;      // guarded by mutex_: cancel what the thread holds
  bool stopping_ = false;         // guarded by mutex_

  // The thread's own.
  std::optional<TimerWheel> wheel_;
  std::unique_ptr<Resolver> resolver_;
  std::array<std::deque<Check>, kCallers> queues_;
  size_t queued_ = 0;            // in all of them
  int turn_ = 0;                 // whose queue is asked next
  std::vector<Check> running_;   // each knows its index
  std::vector<Check> finished_;  // to be delivered at the end of the loop
  BootTime next_look_;
};

}  // namespace jetmon::probe

#endif  // JETMON_PROBE_REACTOR_H_
