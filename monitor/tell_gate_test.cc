#include "monitor/tell_gate.h"

#include <gtest/gtest.h>

namespace jetmon::monitor {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr milliseconds kRequest{10'000};

class TellGateTest : public testing::Test {
 protected:
  bool May(uint64_t epoch) const { return gate_.MayTell(epoch, clock_.Boot(), kRequest); }
  void Renew(uint64_t epoch) { gate_.Renewed(epoch, clock_.Boot()); }

  ManualClock clock_;
  TellGate gate_;
};

TEST_F(TellGateTest, IsShutAtFirst) {
  EXPECT_FALSE(May(0));
  Renew(0);
  EXPECT_FALSE(May(0));
  Renew(7);
  EXPECT_FALSE(May(7));
}

TEST_F(TellGateTest, OpensWhenTheHoldIsOverAndTheLeaseIsRenewed) {
  gate_.Open(7, clock_.Boot() + seconds(80));
  EXPECT_FALSE(May(7));
  Renew(7);
  EXPECT_FALSE(May(7));
  clock_.Advance(seconds(80) - milliseconds(1));
  Renew(7);
  EXPECT_FALSE(May(7));
  clock_.Advance(milliseconds(1));
  EXPECT_TRUE(May(7));
}

// A request that begins now must end before anybody else may tell.
TEST_F(TellGateTest, TheLeaseOutlastsTheRequest) {
  gate_.Open(7, clock_.Boot());
  Renew(7);
  clock_.Advance(DeadlineBudget::kLease - kRequest - milliseconds(1));
  EXPECT_TRUE(May(7));
  clock_.Advance(milliseconds(1));
  EXPECT_FALSE(May(7));
  Renew(7);
  EXPECT_TRUE(May(7));
}

TEST_F(TellGateTest, IsOfOneRange) {
  gate_.Open(7, clock_.Boot());
  Renew(7);
  EXPECT_FALSE(May(8));
  EXPECT_FALSE(May(6));
  Renew(8);  // of a range that is not the gate's
  gate_.Open(8, clock_.Boot());
  EXPECT_FALSE(May(7));
  EXPECT_FALSE(May(8));  // not renewed since
  Renew(7);
  EXPECT_FALSE(May(8));
  Renew(8);
  EXPECT_TRUE(May(8));
}

TEST_F(TellGateTest, ClosedIsClosed) {
  gate_.Open(7, clock_.Boot());
  Renew(7);
  gate_.Close();
  EXPECT_FALSE(May(7));
  Renew(7);
  EXPECT_FALSE(May(7));
}

}  // namespace
}  // namespace jetmon::monitor
