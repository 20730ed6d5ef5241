#include "controlplane/rollout/options.h"

#include <gtest/gtest.h>

namespace jetmon::rollout {
namespace {

using std::chrono::seconds;

// The relations between the protocol's times, for every check that --longest_check takes.
TEST(Times, HoldTheirRelationsForEveryLongestCheck) {
  for (int check = 1; check <= 20; ++check) {
    SCOPED_TRACE(check);
    const Times times{.budget = *DeadlineBudget::Of(seconds(check))};
    const DeadlineBudget& b = times.budget;
    // Whoever is dead sends nothing more: its lease, the last round under it, a pause.
    EXPECT_GE(times.grace, DeadlineBudget::kLease + b.round() + DeadlineBudget::kPause);
    // A Monitor that does drain is not revoked, polls and a busy machine included.
    EXPECT_GT(times.drain_within, b.drain() + seconds(20));
    // Whoever died while it drained is known to be dead before it would be revoked.
    EXPECT_GT(times.drain_within, times.grace);
    // A successor of the owner's host may still acknowledge for it.
    EXPECT_GT(times.acknowledge_within, times.grace);
    // JobLife: who shows no life for half a grace sends no more, and its last check ends before
    // another worker begins.
    EXPECT_LE(times.grace / 2 + b.check(), times.grace);
  }
}

TEST(Times, OfTheDefaultAndOfTheLongest) {
  EXPECT_EQ(Times().grace, seconds(32));
  EXPECT_EQ((Times{.budget = *DeadlineBudget::Of(seconds(20))}).grace, seconds(42));
}

}  // namespace
}  // namespace jetmon::rollout
