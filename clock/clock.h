#ifndef JETMON_CLOCK_CLOCK_H_
#define JETMON_CLOCK_CLOCK_H_

#include <chrono>
#include <cstdint>

namespace jetmon {

// A point on CLOCK_BOOTTIME: never set back, goes on while the machine is suspended. The only
// clock that leases, deadlines and "dead" are judged by; it means nothing on another host.
struct BootTime {
  int64_t ns = 0;
  friend auto operator<=>(const BootTime&, const BootTime&) = default;
};
inline BootTime operator+(BootTime t, std::chrono::nanoseconds d) { return {t.ns + d.count()}; }
inline std::chrono::nanoseconds operator-(BootTime a, BootTime b) {
  return std::chrono::nanoseconds(a.ns - b.ns);
}

// Where time comes from; passed in wherever it matters, so that a test can be its own clock.
// Thread-safe.
class Clock {
 public:
  virtual ~Clock() = default;
  // For leases, deadlines and durations.
  virtual BootTime Boot() const = 0;
  // Unix milliseconds, UTC, by the wall clock: for what people and records read, never for a
  // deadline.
  virtual int64_t WallMs() const = 0;
};

// The machine's clock. Never destroyed.
Clock& SystemClock();

// A clock that a test moves by hand. Thread-safe.
class ManualClock final : public Clock {
 public:
  explicit ManualClock(int64_t wall_ms = 1'700'000'000'000) : wall_ms_(wall_ms) {}
  BootTime Boot() const override { return {__atomic_load_n(&boot_ns_, __ATOMIC_SEQ_CST)}; }
  int64_t WallMs() const override { return __atomic_load_n(&wall_ms_, __ATOMIC_SEQ_CST); }
  // Moves both clocks forward by `d`.
  void Advance(std::chrono::milliseconds d) {
    __atomic_add_fetch(&boot_ns_, d.count() * 1'000'000, __ATOMIC_SEQ_CST);
    __atomic_add_fetch(&wall_ms_, d.count(), __ATOMIC_SEQ_CST);
  }

 private:
  int64_t boot_ns_ = 1'000'000'000;
  int64_t wall_ms_;
};

}  // namespace jetmon

#endif  // JETMON_CLOCK_CLOCK_H_
