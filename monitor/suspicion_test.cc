#include "monitor/suspicion.h"

#include <gtest/gtest.h>

namespace jetmon::monitor {
namespace {

TEST(Suspicion, NeedsManyRecentFailures) {
  ManualClock clock;
  Suspicion s;
  for (int i = 0; i < 49; ++i) s.Add(clock.Boot(), true);
  EXPECT_FALSE(s.suspect(clock.Boot()));  // too few to say
  s.Add(clock.Boot(), true);
  EXPECT_TRUE(s.suspect(clock.Boot()));
  for (int i = 0; i < 200; ++i) s.Add(clock.Boot(), false);
  EXPECT_FALSE(s.suspect(clock.Boot()));  // exactly 20 %
  s.Add(clock.Boot(), true);
  EXPECT_TRUE(s.suspect(clock.Boot()));
  clock.Advance(std::chrono::seconds(11));
  EXPECT_FALSE(s.suspect(clock.Boot()));
}

TEST(Suspicion, LooksAtTheLastThousand) {
  ManualClock clock;
  Suspicion s;
  for (int i = 0; i < 500; ++i) s.Add(clock.Boot(), true);
  EXPECT_TRUE(s.suspect(clock.Boot()));
  for (int i = 0; i < 1000; ++i) s.Add(clock.Boot(), false);
  EXPECT_FALSE(s.suspect(clock.Boot()));
}

}  // namespace
}  // namespace jetmon::monitor
