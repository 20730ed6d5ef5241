#include "tests/lab/v1/replica.h"

#include <gtest/gtest.h>

namespace jetmon::lab {
namespace {

using std::chrono::milliseconds;

std::vector<LegacyRow> Reading(int status) {
  LegacyRow row;
  row.bucket = 3;
  row.site_status = status;
  LegacyRow other = row;
  other.bucket = 4;
  return {row, other};
}

int StatusAt(const Replica& replica, int ms) {
  const auto rows = replica.Read({0, 3}, Replica::Time(milliseconds(ms)));
  return rows.size() == 1 ? rows[0].site_status : -1;
}

TEST(Replica, AnswersAsItWasALagAgo) {
  Replica replica(milliseconds(100));
  EXPECT_TRUE(replica.empty());
  EXPECT_TRUE(replica.Read({0, 3}, Replica::Time(milliseconds(1000))).empty());
  replica.Add(Replica::Time(milliseconds(1000)), Reading(1));
  EXPECT_FALSE(replica.empty());
  EXPECT_EQ(StatusAt(replica, 1000), 1);  // the oldest there is
  replica.Add(Replica::Time(milliseconds(1050)), Reading(0));
  replica.Add(Replica::Time(milliseconds(1120)), Reading(2));
  EXPECT_EQ(StatusAt(replica, 1130), 1);
  EXPECT_EQ(StatusAt(replica, 1149), 1);
  EXPECT_EQ(StatusAt(replica, 1150), 0);
  EXPECT_EQ(StatusAt(replica, 1219), 0);
  EXPECT_EQ(StatusAt(replica, 1220), 2);
}

TEST(Replica, KeepsWhatIsStillNeeded) {
  Replica replica(milliseconds(100));
  for (int i = 0; i <= 50; ++i) replica.Add(Replica::Time(milliseconds(10 * i)), Reading(i));
  for (int at = 500; at < 600; at += 10) EXPECT_EQ(StatusAt(replica, at), (at - 100) / 10);
  EXPECT_EQ(StatusAt(replica, 450), 40);  // what is older is gone
}

}  // namespace
}  // namespace jetmon::lab
