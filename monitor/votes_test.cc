#include "monitor/votes.h"

#include <gtest/gtest.h>

namespace jetmon::monitor {
namespace {

TEST(Decide, FollowsTheTable) {
  struct Case {
    int enabled, down, up;
    Verdict verdict;
  };
  const Case cases[] = {
      {1, 1, 0, Verdict::kDown},       {1, 0, 1, Verdict::kFalseAlarm},
      {1, 0, 0, Verdict::kUndecided},  {3, 2, 0, Verdict::kDown},
      {3, 2, 1, Verdict::kDown},       {3, 1, 1, Verdict::kUndecided},
      {3, 1, 2, Verdict::kFalseAlarm}, {3, 0, 1, Verdict::kUndecided},
      {3, 1, 0, Verdict::kUndecided},  {7, 3, 4, Verdict::kDown},
      {2, 1, 0, Verdict::kUndecided},  {2, 2, 0, Verdict::kDown},
      {2, 1, 1, Verdict::kFalseAlarm}, {4, 2, 1, Verdict::kUndecided},
      {4, 2, 2, Verdict::kFalseAlarm}, {4, 3, 1, Verdict::kDown},
      {7, 2, 5, Verdict::kFalseAlarm}, {7, 2, 4, Verdict::kUndecided},
  };
  for (const Case& c : cases) {
    Votes v{c.enabled, c.down, c.up};
    EXPECT_EQ(Decide(v, 3), c.verdict) << c.enabled << " " << c.down << " " << c.up;
  }
}

TEST(Votes, AbstentionsCountForNobody) {
  Votes v{3};
  for (const char* outcome : {"probe_error", "agent_overloaded", "unknown", ""}) v.Count(outcome);
  EXPECT_EQ(v.down + v.up, 0);
  v.Count("timeout");
  v.Count("down");
  v.Count("up");
  EXPECT_EQ(v.down, 2);
  EXPECT_EQ(v.up, 1);
  EXPECT_TRUE(MajorityDown(v));
}

}  // namespace
}  // namespace jetmon::monitor
