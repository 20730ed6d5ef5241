#include "clock/deadline_budget.h"

#include <gtest/gtest.h>

namespace jetmon {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

// Every whole second that --longest_check takes.
class DeadlineBudgetTest : public testing::TestWithParam<int> {
 protected:
  const seconds check_{GetParam()};
  const DeadlineBudget budget_ = *DeadlineBudget::Of(check_);
};

// The relations are written in numbers of their own here: those of the protocol's proof.
void ExpectRelations(const DeadlineBudget& b) {
  // A Veriflier that needs the whole check has time to answer, there and back.
  EXPECT_GE(b.round(), b.check() + seconds(2));
  // What is in flight when a release begins has ended, and is written, when the drain is over.
  EXPECT_GE(b.drain(), b.round() + seconds(2));
  EXPECT_GT(b.drain(), b.check());
  // An attempt to deliver that begins with a drain ends within it.
  EXPECT_LE(b.notification(), b.drain());
  EXPECT_GE(b.notification(), seconds(5));
  // The last round that was asked for under a lease has ended, also after a pause.
  EXPECT_GE(b.grace(), seconds(15) + b.round() + seconds(5));
  EXPECT_GE(b.grace(), seconds(15) + b.check() + seconds(5));
  // Who probes under half a grace has ended its last check when the grace is over (JobLife).
  EXPECT_LE(b.grace() / 2 + b.check(), b.grace());
}

TEST_P(DeadlineBudgetTest, EachDeadlineOutlastsWhatIsInsideOfIt) {
  EXPECT_EQ(budget_.check(), check_);
  ExpectRelations(budget_);
}

TEST_P(DeadlineBudgetTest, SoItIsInALab) {
  for (const int unit_ms : {100, 1'000, 5'000, 20'000, 59'000, 60'000}) {
    SCOPED_TRACE(unit_ms);
    const DeadlineBudget lab = budget_.Scaled(milliseconds(unit_ms));
    ExpectRelations(lab);
    EXPECT_LE(lab.check(), budget_.check());
    EXPECT_GE(lab.check(), std::min<milliseconds>(budget_.check(), seconds(2)));
  }
  EXPECT_EQ(budget_.Scaled(seconds(60)), budget_);
}

TEST_P(DeadlineBudgetTest, ALongerCheckHasNoShorterDeadline) {
  if (check_ == DeadlineBudget::kLongestCheck) return;
  const DeadlineBudget longer = *DeadlineBudget::Of(check_ + seconds(1));
  EXPECT_GT(longer.round(), budget_.round());
  EXPECT_GT(longer.drain(), budget_.drain());
  EXPECT_GT(longer.grace(), budget_.grace());
  EXPECT_GE(longer.notification(), budget_.notification());
}

INSTANTIATE_TEST_SUITE_P(WholeSeconds, DeadlineBudgetTest, testing::Range(1, 21));

TEST(DeadlineBudget, TheFiguresOfProductionAndOfTheLongestCheck) {
  const DeadlineBudget production;
  EXPECT_EQ(production.check(), seconds(10));
  EXPECT_EQ(production.round(), seconds(12));
  EXPECT_EQ(production.drain(), seconds(14));
  EXPECT_EQ(production.notification(), seconds(10));
  EXPECT_EQ(production.grace(), seconds(32));
  const DeadlineBudget longest = *DeadlineBudget::Of(DeadlineBudget::kLongestCheck);
  EXPECT_EQ(longest.check(), seconds(20));
  EXPECT_EQ(longest.round(), seconds(22));
  EXPECT_EQ(longest.drain(), seconds(24));
  EXPECT_EQ(longest.notification(), seconds(10));
  EXPECT_EQ(longest.grace(), seconds(42));
}

TEST(DeadlineBudget, ALabsChecksAreShorterAndItsMarginIsNot) {
  EXPECT_EQ(DeadlineBudget().Scaled(seconds(1)).check(), seconds(2));
  EXPECT_EQ(DeadlineBudget().Scaled(seconds(30)).check(), seconds(5));
  EXPECT_EQ(DeadlineBudget().Scaled(seconds(1)).round(), seconds(4));
  EXPECT_EQ(DeadlineBudget::Of(seconds(1))->Scaled(seconds(1)).check(), seconds(1));
}

TEST(DeadlineBudget, TakesOneToTwentySeconds) {
  EXPECT_FALSE(DeadlineBudget::Of(milliseconds(999)).has_value());
  EXPECT_TRUE(DeadlineBudget::Of(milliseconds(1'000)).has_value());
  EXPECT_TRUE(DeadlineBudget::Of(milliseconds(20'000)).has_value());
  EXPECT_FALSE(DeadlineBudget::Of(milliseconds(20'001)).has_value());
  EXPECT_FALSE(DeadlineBudget::Of(milliseconds(-1)).has_value());
}

TEST(DeadlineBudget, WhoDoesNotSayMakesTheDefault) {
  EXPECT_EQ(DeadlineBudget::Announced(0).check(), seconds(10));
  EXPECT_EQ(DeadlineBudget::Announced(5'000).check(), seconds(5));
  EXPECT_EQ(DeadlineBudget::Announced(1).check(), seconds(1));
  EXPECT_EQ(DeadlineBudget::Announced(3'600'000).check(), seconds(20));
  EXPECT_EQ(DeadlineBudget::Announced(-5).check(), seconds(1));
}

}  // namespace
}  // namespace jetmon
