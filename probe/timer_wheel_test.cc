#include "probe/timer_wheel.h"

#include <gtest/gtest.h>

#include <chrono>
#include <memory>
#include <random>
#include <vector>

namespace jetmon::probe {
namespace {

using std::chrono::milliseconds;
using std::chrono::nanoseconds;

constexpr BootTime kBegin{123'456'789'012'345};

std::vector<Timer*> Advance(TimerWheel* wheel, BootTime now) {
  std::vector<Timer*> fired;
  wheel->Advance(now, [&](Timer* timer) { fired.push_back(timer); });
  return fired;
}

TEST(TimerWheelTest, FiresAtItsDeadlineOrASlotLaterNeverBefore) {
  std::mt19937_64 random(7);
  std::uniform_int_distribution<int64_t> spread(0, 60'000'000'000);  // almost four turns
  TimerWheel wheel(kBegin);
  std::vector<std::unique_ptr<Timer>> timers;
  for (int i = 0; i < 5000; ++i) {
    timers.push_back(std::make_unique<Timer>());
    wheel.Add(timers.back().get(), kBegin + nanoseconds(spread(random)));
  }
  size_t fired = 0;
  const nanoseconds step = milliseconds(5);
  for (BootTime now = kBegin; now < kBegin + std::chrono::seconds(61); now = now + step) {
    for (Timer* timer : Advance(&wheel, now)) {
      ++fired;
      EXPECT_LE(timer->deadline(), now);
      EXPECT_LT(now - timer->deadline(), TimerWheel::kSlot + step);
    }
  }
  EXPECT_EQ(fired, timers.size());
}

TEST(TimerWheelTest, CatchesUpAfterALongPause) {
  TimerWheel wheel(kBegin);
  Timer soon, turn_later, far;
  wheel.Add(&soon, kBegin + milliseconds(20));
  wheel.Add(&turn_later, kBegin + std::chrono::seconds(40));
  wheel.Add(&far, kBegin + std::chrono::hours(2));
  EXPECT_EQ(Advance(&wheel, kBegin + std::chrono::hours(1)).size(), 2u);
  EXPECT_TRUE(far.linked());
  EXPECT_EQ(Advance(&wheel, kBegin + std::chrono::hours(2) + TimerWheel::kSlot).size(), 1u);
}

TEST(TimerWheelTest, OneThatIsOverdueFiresSoon) {
  TimerWheel wheel(kBegin);
  Timer timer;
  wheel.Add(&timer, kBegin + milliseconds(-500));
  EXPECT_EQ(Advance(&wheel, kBegin + TimerWheel::kSlot).size(), 1u);
}

TEST(TimerWheelTest, RemovedOrDestroyedOnesDontFire) {
  TimerWheel wheel(kBegin);
  Timer removed;
  wheel.Add(&removed, kBegin + milliseconds(10));
  {
    Timer destroyed;
    wheel.Add(&destroyed, kBegin + milliseconds(10));
  }
  removed.Unlink();
  removed.Unlink();
  EXPECT_FALSE(removed.linked());
  EXPECT_TRUE(Advance(&wheel, kBegin + std::chrono::seconds(1)).empty());
}

TEST(TimerWheelTest, OneFiringMayDestroyTheNext) {
  TimerWheel wheel(kBegin);
  auto one = std::make_unique<Timer>();
  auto two = std::make_unique<Timer>();
  wheel.Add(one.get(), kBegin + milliseconds(1));
  wheel.Add(two.get(), kBegin + milliseconds(1));
  int fired = 0;
  wheel.Advance(kBegin + std::chrono::seconds(1), [&](Timer*) {
    ++fired;
    one.reset();
    two.reset();
  });
  EXPECT_EQ(fired, 1);
}

TEST(TimerWheelTest, QuietUntilTheNextSlotThatHoldsOne) {
  TimerWheel wheel(kBegin);
  EXPECT_EQ(wheel.Quiet(milliseconds(100)), milliseconds(100));
  Timer timer;
  wheel.Add(&timer, kBegin + milliseconds(50));
  const nanoseconds quiet = wheel.Quiet(milliseconds(100));
  EXPECT_GE(quiet, milliseconds(48));
  EXPECT_LE(quiet, milliseconds(66));
  EXPECT_EQ(wheel.Quiet(milliseconds(20)), milliseconds(20));
  EXPECT_EQ(Advance(&wheel, kBegin + quiet + TimerWheel::kSlot).size(), 1u);
}

}  // namespace
}  // namespace jetmon::probe
