#include "store/tokens.h"

#include "store/test_database.h"

namespace jetmon::store {
namespace {

TEST(Tokens, AreConsumedOnceAndBeforeTheyExpire) {
  TestDatabase db;
  ConfirmationToken t;
  t.token_hash = std::string(64, 'a');
  t.key_id = "key_1";
  t.operation = "seed";
  t.run_id = "rol_1";
  t.range = {3, 9};
  t.request_hash = "r";
  t.plan_digest = "d";
  t.plan_counts = R"({"sites":1})";
  t.created_at_ms = 100;
  t.expires_at_ms = 1000;
  ASSERT_TRUE(db->Write([&](sql::Transaction& tx) -> absl::Status {
                  if (auto s = InsertToken(tx, t); !s.ok()) return s;
                  const auto got = GetToken(tx, t.token_hash);
                  EXPECT_TRUE(got.ok() && got->has_value());
                  EXPECT_EQ((*got)->range, t.range);
                  EXPECT_EQ((*got)->plan_counts, t.plan_counts);
                  EXPECT_EQ((*got)->consumed_at_ms, 0);
                  EXPECT_FALSE(GetToken(tx, "other")->has_value());
                  EXPECT_FALSE(*ConsumeToken(tx, t.token_hash, "rjob_1", 1000));  // expired at 1000
                  EXPECT_FALSE(*ConsumeToken(tx, "other", "rjob_1", 500));
                  EXPECT_TRUE(*ConsumeToken(tx, t.token_hash, "rjob_1", 999));
                  EXPECT_FALSE(*ConsumeToken(tx, t.token_hash, "rjob_2", 999));
                  EXPECT_EQ((*GetToken(tx, t.token_hash))->job_id, "rjob_1");
                  EXPECT_EQ(*PruneTokens(tx, 1000), 0);
                  EXPECT_EQ(*PruneTokens(tx, 1001), 1);
                  return absl::OkStatus();
                }).ok());
}

}  // namespace
}  // namespace jetmon::store
