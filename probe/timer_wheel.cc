#include "probe/timer_wheel.h"

#include <algorithm>

namespace jetmon::probe {
namespace {

// A deadline inside a tick is due when the next tick begins, so that nothing fires early and no
// slot needs to be looked at twice in a tick.
BootTime RoundUp(BootTime t) { return t + (TimerWheel::kSlot - std::chrono::nanoseconds(1)); }

}  // namespace

TimerWheel::TimerWheel(BootTime now) : tick_(Tick(now)) {
  for (Timer& head : heads_) head.next_ = head.previous_ = &head;
}

TimerWheel::~TimerWheel() {
  for (Timer& head : heads_) {
    while (head.next_ != &head) head.next_->Unlink();
    head.next_ = head.previous_ = nullptr;
  }
}

void TimerWheel::Add(Timer* timer, BootTime deadline) {
  timer->deadline_ = deadline;
  // One that is due already goes to the next slot to be looked at.
  const int64_t tick = std::max(Tick(RoundUp(deadline)), tick_ + 1);
  Timer& head = heads_[tick % kSlots];
  timer->next_ = &head;
  timer->previous_ = head.previous_;
  head.previous_->next_ = timer;
  head.previous_ = timer;
}

void TimerWheel::Collect(BootTime now, Timer* due) {
  const int64_t last = Tick(now);
  const int64_t first = std::max(tick_ + 1, last - static_cast<int64_t>(kSlots) + 1);
  for (int64_t tick = first; tick <= last; ++tick) {
    Timer& head = heads_[tick % kSlots];
    for (Timer* timer = head.next_; timer != &head;) {
      Timer* next = timer->next_;
      if (timer->deadline_ <= now) {
        timer->Unlink();
        timer->next_ = due;
        timer->previous_ = due->previous_;
        due->previous_->next_ = timer;
        due->previous_ = timer;
      }
      timer = next;
    }
  }
  tick_ = std::max(tick_, last);
}

std::chrono::nanoseconds TimerWheel::Quiet(std::chrono::nanoseconds most) const {
  const int64_t slots = std::min<int64_t>(most / kSlot, kSlots);
  for (int64_t i = 1; i <= slots; ++i) {
    const Timer& head = heads_[(tick_ + i) % kSlots];
    if (head.next_ != &head) return i * kSlot;
  }
  return most;
}

}  // namespace jetmon::probe
