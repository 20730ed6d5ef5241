#include "monitor/lease.h"

#include <gtest/gtest.h>

#include "monitor/lease_observer.h"

namespace jetmon::monitor {
namespace {

using std::chrono::seconds;

TEST(Lease, SendsOnlyOpenAndRenewed) {
  ManualClock clock;
  Lease lease;
  EXPECT_FALSE(lease.MaySend(clock.Boot()));
  lease.Open();
  EXPECT_FALSE(lease.MaySend(clock.Boot()));
  const BootTime read = clock.Boot();
  clock.Advance(seconds(2));  // the renewal took two seconds: they count
  lease.Renewed(read);
  EXPECT_TRUE(lease.MaySend(clock.Boot()));
  clock.Advance(seconds(13) - std::chrono::milliseconds(1));
  EXPECT_TRUE(lease.MaySend(clock.Boot()));
  clock.Advance(std::chrono::milliseconds(1));
  EXPECT_FALSE(lease.MaySend(clock.Boot()));
}

TEST(Lease, ClosedIsClosed) {
  ManualClock clock;
  Lease lease;
  lease.Open();
  lease.Renewed(clock.Boot());
  lease.Close();
  lease.Renewed(clock.Boot());
  EXPECT_FALSE(lease.MaySend(clock.Boot()));
}

// Its owner asks Verifliers at the last moment, and is stopped right after: when the grace is over,
// they have ended too. For every check that --longest_check takes.
TEST(Lease, GraceOutlastsTheLastRoundUnderIt) {
  for (int check = 1; check <= 20; ++check) {
    const DeadlineBudget budget = *DeadlineBudget::Of(seconds(check));
    ManualClock clock;
    Lease lease;
    LeaseObserver observer;
    lease.Open();
    lease.Renewed(clock.Boot());
    observer.BeginRead(clock.Boot());
    observer.Saw(7, 3, clock.Boot());
    BootTime last = clock.Boot();
    while (observer.Unchanged(7, clock.Boot()) < budget.grace()) {
      if (lease.MaySend(clock.Boot())) last = clock.Boot();
      clock.Advance(seconds(1));
      observer.BeginRead(clock.Boot());
      observer.Saw(7, 3, clock.Boot());
    }
    EXPECT_GE(clock.Boot(), last + seconds(5) + budget.round()) << check;
  }
}

TEST(BucketLease, EndsAloneOrWithItsEpochs) {
  ManualClock clock;
  Lease lease;
  lease.Open();
  lease.Renewed(clock.Boot());
  BucketLease leaves(lease), stays(lease);
  leaves.Close();
  EXPECT_FALSE(leaves.MaySend(clock.Boot()));
  EXPECT_TRUE(stays.MaySend(clock.Boot()));
  lease.Renewed(clock.Boot());
  EXPECT_FALSE(leaves.MaySend(clock.Boot()));
  clock.Advance(seconds(15));
  EXPECT_FALSE(stays.MaySend(clock.Boot()));
}

// Reads once a second with a fixed sequence.
void Watch(ManualClock& clock, LeaseObserver& observer, uint64_t seq, int times) {
  for (int i = 0; i < times; ++i) {
    clock.Advance(seconds(1));
    observer.BeginRead(clock.Boot());
    observer.Saw(7, seq, clock.Boot());
  }
}

TEST(LeaseObserver, CountsFromTheFirstSight) {
  ManualClock clock;
  LeaseObserver observer;
  EXPECT_EQ(observer.Unchanged(7, clock.Boot()).count(), 0);
  Watch(clock, observer, 3, 33);
  EXPECT_GE(observer.Unchanged(7, clock.Boot()), DeadlineBudget().grace());
  Watch(clock, observer, 4, 1);
  EXPECT_EQ(observer.Unchanged(7, clock.Boot()).count(), 0);
}

TEST(LeaseObserver, BlindnessStartsAgain) {
  ManualClock clock;
  LeaseObserver observer;
  Watch(clock, observer, 3, 29);
  clock.Advance(seconds(6));
  observer.BeginRead(clock.Boot());
  observer.Saw(7, 3, clock.Boot());
  EXPECT_EQ(observer.Unchanged(7, clock.Boot()).count(), 0);
}

}  // namespace
}  // namespace jetmon::monitor
