#include "store/activity.h"

#include "store/test_database.h"

namespace jetmon::store {
namespace {

TEST(Activity, KeepsTheLastSummaryOfABucket) {
  TestDatabase db;
  ASSERT_TRUE(db->Write([](sql::Transaction& tx) -> absl::Status {
                  BucketActivity a{3, 1, 10, 5, 0, 2, 100, 90, 200};
                  BucketActivity b{4, 1, 1, 1, 1, 0, 100, 90, 200};
                  EXPECT_TRUE(SaveActivity(tx, {a, b}).ok());
                  a.epoch = 2;
                  a.checked = 10;
                  EXPECT_TRUE(SaveActivity(tx, {a}).ok());
                  const auto rows = ListActivity(tx, {3, 3});
                  EXPECT_EQ(rows->size(), 1u);
                  EXPECT_EQ((*rows)[0].epoch, 2u);
                  EXPECT_EQ((*rows)[0].checked, 10u);
                  EXPECT_EQ((*rows)[0].not_available, 2u);
                  EXPECT_EQ(ListActivity(tx, {0, 9})->size(), 2u);
                  return absl::OkStatus();
                }).ok());
}

}  // namespace
}  // namespace jetmon::store
