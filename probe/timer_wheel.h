#ifndef JETMON_PROBE_TIMER_WHEEL_H_
#define JETMON_PROBE_TIMER_WHEEL_H_

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>

#include "clock/clock.h"

namespace jetmon::probe {

// A deadline to be watched by a TimerWheel; a base class of what it belongs to. Unlinks itself when
// destroyed. Not thread-safe.
class Timer {
 public:
  Timer() = default;
  ~Timer() { Unlink(); }
  Timer(const Timer&) = delete;
  Timer& operator=(const Timer&) = delete;

  bool linked() const { return next_ != nullptr; }
  BootTime deadline() const { return deadline_; }
  void Unlink() {
    if (next_ == nullptr) return;
    next_->previous_ = previous_;
    previous_->next_ = next_;
    next_ = previous_ = nullptr;
  }

 private:
  friend class TimerWheel;
  BootTime deadline_;
  Timer* next_ = nullptr;
  Timer* previous_ = nullptr;
};

// Deadlines hashed into 1024 slots of 16 ms; a deadline further away than a turn of the wheel (16.4
// s) stays in its slot for another turn. Adding and removing cost the same however many there are.
// A timer fires at its deadline or up to a slot later, never before. Owns no timer. Not
// thread-safe.
class TimerWheel {
 public:
  static constexpr std::chrono::nanoseconds kSlot = std::chrono::milliseconds(16);

  explicit TimerWheel(BootTime now);
  TimerWheel(const TimerWheel&) = delete;
  TimerWheel& operator=(const TimerWheel&) = delete;
  ~TimerWheel();

  // `timer` must not be linked.
  void Add(Timer* timer, BootTime deadline);

  // Unlinks each timer whose deadline has passed and hands it to `fire`, which may add, remove
  // and destroy timers. Time never goes back.
  template <typename Fire>
  void Advance(BootTime now, Fire&& fire) {
    Timer due;
    due.next_ = due.previous_ = &due;
    Collect(now, &due);
    while (due.next_ != &due) {
      Timer* timer = due.next_;
      timer->Unlink();
      fire(timer);
    }
    due.next_ = due.previous_ = nullptr;
  }

  // How long nothing can fire, from the last Advance on, `most` if that is shorter.
  std::chrono::nanoseconds Quiet(std::chrono::nanoseconds most) const;

 private:
  static constexpr size_t kSlots = 1024;

  // Moves what is due into the list `due`.
  void Collect(BootTime now, Timer* due);
  static int64_t Tick(BootTime t) { return t.ns / kSlot.count(); }

  std::array<Timer, kSlots> heads_;
  int64_t tick_;  // slots up to this one have been looked at
};

}  // namespace jetmon::probe

#endif  // JETMON_PROBE_TIMER_WHEEL_H_
