#include "tests/lab/v1/batches.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"

namespace jetmon::lab {
namespace {

std::string Text(const V1Batches::Batch& batch) {
  if (!batch.buckets) return "none";
  return absl::StrCat(batch.buckets->min, "-", batch.buckets->max);
}

// The batches of one round: "0-3 4-7".
std::string Round(V1Batches& batches) {
  std::vector<std::string> texts;
  for (bool ends = false; !ends && texts.size() < 100;) {
    const V1Batches::Batch batch = batches.Next();
    texts.push_back(Text(batch));
    ends = batch.ends_round;
  }
  return absl::StrJoin(texts, " ");
}

TEST(V1Batches, ReadsARangeInBatches) {
  V1Batches batches({0, 10}, 4);
  EXPECT_EQ(Round(batches), "0-3 4-7 8-10");
  EXPECT_EQ(Round(batches), "0-3 4-7 8-10");
}

TEST(V1Batches, TheLastBucketIsNeverReadAtAMultiple) {
  V1Batches batches({100, 108}, 4);
  EXPECT_EQ(Round(batches), "100-103 104-107");
  EXPECT_EQ(Round(batches), "100-103 104-107");
  V1Batches whole({0, 511}, 32);
  EXPECT_THAT(Round(whole), ::testing::EndsWith("480-511"));
}

TEST(V1Batches, ALargerBatchReadsBehindTheRangeOnce) {
  V1Batches batches({8, 15}, 32);
  EXPECT_EQ(Round(batches), "8-39");
  EXPECT_EQ(Round(batches), "8-15");
  EXPECT_EQ(Round(batches), "8-15");
}

TEST(V1Batches, ABatchOfTheRangesSizeFits) {
  V1Batches batches({8, 15}, 8);
  EXPECT_EQ(Round(batches), "8-15");
  EXPECT_EQ(Round(batches), "8-15");
  V1Batches one({7, 7}, 1);
  EXPECT_EQ(Round(one), "7-7");
  EXPECT_EQ(Round(one), "7-7");
}

TEST(V1Batches, AFailedQueryIsMadeAgain) {
  V1Batches batches({0, 14}, 4);
  EXPECT_EQ(Text(batches.Next()), "0-3");
  batches.Failed();
  EXPECT_EQ(Round(batches), "0-3 4-7 8-11 12-14");
}

TEST(V1Batches, BeforeAShortLastBatchAFailedQueryIsCutShortToo) {
  V1Batches batches({0, 10}, 4);
  batches.Next();
  EXPECT_EQ(Text(batches.Next()), "4-7");
  batches.Failed();
  EXPECT_EQ(Round(batches), "4-6 8-10");
}

TEST(V1Batches, AfterAFailedLastQueryItReadsBelowTheRange) {
  V1Batches batches({100, 110}, 4);
  EXPECT_EQ(Round(batches), "100-103 104-107 108-110");
  batches.Failed();
  EXPECT_EQ(Round(batches), "96-99");  // the whole round
  EXPECT_EQ(Round(batches), "100-103 104-107 108-110");
}

TEST(V1Batches, BelowTheFirstBucketThereIsNothing) {
  V1Batches batches({0, 10}, 4);
  Round(batches);
  batches.Failed();
  EXPECT_EQ(Round(batches), "none");
  V1Batches near({2, 10}, 4);
  Round(near);
  near.Failed();
  EXPECT_EQ(Round(near), "0-1");
}

TEST(V1Batches, AChangedRangeHoldsFromTheEndOfABatchOn) {
  V1Batches up({0, 10}, 4);
  Round(up);
  up.Configure({16, 26});
  EXPECT_EQ(Round(up), "0-3 4-7 8-11 12-15");  // the old range, and on to the new one
  EXPECT_EQ(Round(up), "16-19 20-23 24-26");
  V1Batches down({16, 26}, 4);
  Round(down);
  down.Configure({0, 10});
  EXPECT_EQ(Round(down), "16-19");
  EXPECT_EQ(Round(down), "0-3 4-7 8-10");
}

}  // namespace
}  // namespace jetmon::lab
