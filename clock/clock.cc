#include "clock/clock.h"

#include <time.h>

namespace jetmon {
namespace {

int64_t Nanoseconds(clockid_t id) {
  timespec t{};
  clock_gettime(id, &t);
  return int64_t{t.tv_sec} * 1'000'000'000 + t.tv_nsec;
}

class TheSystemClock final : public Clock {
 public:
  BootTime Boot() const override { return {Nanoseconds(CLOCK_BOOTTIME)}; }
  int64_t WallMs() const override { return Nanoseconds(CLOCK_REALTIME) / 1'000'000; }
};

}  // namespace

Clock& SystemClock() {
  static TheSystemClock* clock = new TheSystemClock;
  return *clock;
}

}  // namespace jetmon
