#include "store/activity.h"

#include "store/test_database.h"

namespace jetmon::store {
namespace {

TEST(Activity, KeepsTheLastSummaryOfABucket) {
  TestDatabase db;
  ASSERT_TRUE(db->Write([](sql::Transaction& tx) -> absl::Status {
                  BucketActivity a{3, 1, 10, 5, 0, 100, 90, 200, {}};
                  BucketActivity b{4, 1, 1, 1, 1, 100, 90, 200, {}};
                  EXPECT_TRUE(SaveActivity(tx, {a, b}).ok());
                  a.epoch = 2;
                  a.checked = 10;
                  EXPECT_TRUE(SaveActivity(tx, {a}).ok());
                  const auto rows = ListActivity(tx, {3, 3});
                  EXPECT_EQ(rows->size(), 1u);
                  EXPECT_EQ((*rows)[0].epoch, 2u);
                  EXPECT_EQ((*rows)[0].checked, 10u);
                  EXPECT_EQ(ListActivity(tx, {0, 9})->size(), 2u);
                  return absl::OkStatus();
                }).ok());
}

TEST(Activity, NamesTheSitesThatAreLate) {
  TestDatabase db;
  BucketActivity a;
  a.bucket = 3;
  // More than are kept, with the longest numbers there are.
  for (uint64_t i = 0; i < 25; ++i)
    a.late_sites.push_back({(uint64_t{1} << 63) - i, 1'700'000'000'000});
  a.late_sites[1] = {7, 0};
  ASSERT_TRUE(db->Write([&](sql::Transaction& tx) { return SaveActivity(tx, {a}); }).ok());
  std::vector<BucketActivity> rows;
  ASSERT_TRUE(db->Read([&](sql::Transaction& tx) {
                  auto listed = ListActivity(tx, {0, 9});
                  if (listed.ok()) rows = *listed;
                  return listed.status();
                }).ok());
  ASSERT_EQ(rows.size(), 1u);
  ASSERT_EQ(rows[0].late_sites.size(), kMostLateSites);
  EXPECT_EQ(rows[0].late_sites[0].site_id, uint64_t{1} << 63);
  EXPECT_EQ(rows[0].late_sites[0].last_check_ms, 1'700'000'000'000);
  EXPECT_EQ(rows[0].late_sites[1].site_id, 7u);
  EXPECT_EQ(rows[0].late_sites[1].last_check_ms, 0);
  // None any more.
  a.late_sites.clear();
  ASSERT_TRUE(db->Write([&](sql::Transaction& tx) { return SaveActivity(tx, {a}); }).ok());
  ASSERT_TRUE(db->Read([&](sql::Transaction& tx) {
                  auto listed = ListActivity(tx, {3, 3});
                  EXPECT_TRUE((*listed)[0].late_sites.empty());
                  return listed.status();
                }).ok());
}

}  // namespace
}  // namespace jetmon::store
