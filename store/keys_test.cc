#include "store/keys.h"

#include "store/test_database.h"

namespace jetmon::store {
namespace {

TEST(Keys, AreFoundByHashAndRevokedOnce) {
  TestDatabase db;
  ApiKey k{"key_1", "bot", "admin", std::string(64, 'a'), 10, 0, 0};
  ASSERT_TRUE(db->Write([&](sql::Transaction& tx) -> absl::Status {
                  EXPECT_TRUE(InsertKey(tx, k).ok());
                  EXPECT_EQ((*FindKeyByTokenHash(tx, k.token_hash))->consumer, "bot");
                  EXPECT_FALSE(FindKeyByTokenHash(tx, "b")->has_value());
                  EXPECT_FALSE(*RevokeKey(tx, "key_2", 100));
                  EXPECT_TRUE(*RevokeKey(tx, "key_1", 100));
                  EXPECT_FALSE(*RevokeKey(tx, "key_1", 200));
                  EXPECT_TRUE(*RevokeKey(tx, "key_1", 50));
                  EXPECT_EQ((*ListKeys(tx))[0].revoked_at_ms, 50);
                  return absl::OkStatus();
                }).ok());
  k.key_id = "key_2";
  EXPECT_TRUE(
      absl::IsAlreadyExists(db->Write([&](sql::Transaction& tx) { return InsertKey(tx, k); })));
}

TEST(Idempotency, OneRequestRunsAndOneAttemptCompletes) {
  TestDatabase db;
  IdempotencyRecord r;
  r.key_id = "key_1";
  r.idempotency_key = "abc";
  r.operation = "Seed";
  r.request_hash = "h";
  r.created_at_ms = 10;
  ASSERT_TRUE(db->Write([&](sql::Transaction& tx) -> absl::Status {
                  EXPECT_TRUE(*BeginIdempotent(tx, r));
                  EXPECT_FALSE(*BeginIdempotent(tx, r));
                  EXPECT_TRUE(*RetakeIdempotent(tx, "key_1", "abc", 1, "h2", 20));
                  EXPECT_FALSE(*RetakeIdempotent(tx, "key_1", "abc", 1, "h2", 20));
                  EXPECT_FALSE(*CompleteIdempotent(tx, "key_1", "abc", 1, "job", "rjob_1"));
                  EXPECT_TRUE(AbandonIdempotent(tx, "key_1", "abc", 1).ok());
                  EXPECT_TRUE(*CompleteIdempotent(tx, "key_1", "abc", 2, "job", "rjob_1"));
                  EXPECT_TRUE(AbandonIdempotent(tx, "key_1", "abc", 2).ok());
                  const auto got = GetIdempotency(tx, "key_1", "abc");
                  EXPECT_TRUE(got->has_value());
                  EXPECT_EQ((*got)->state, "completed");
                  EXPECT_EQ((*got)->resource_id, "rjob_1");
                  EXPECT_EQ((*got)->lease_at_ms, 20);
                  EXPECT_FALSE(GetIdempotency(tx, "key_2", "abc")->has_value());
                  EXPECT_EQ(*PruneIdempotency(tx, 11), 1);
                  return absl::OkStatus();
                }).ok());
}

TEST(Idempotency, AnAbandonedRecordMayBeginAgain) {
  TestDatabase db;
  IdempotencyRecord r;
  r.key_id = "key_1";
  r.idempotency_key = "abc";
  ASSERT_TRUE(db->Write([&](sql::Transaction& tx) -> absl::Status {
                  EXPECT_TRUE(*BeginIdempotent(tx, r));
                  EXPECT_TRUE(AbandonIdempotent(tx, "key_1", "abc", 1).ok());
                  EXPECT_TRUE(*BeginIdempotent(tx, r));
                  return absl::OkStatus();
                }).ok());
}

TEST(Audit, KeepsRowsOfARunInOrder) {
  TestDatabase db;
  AuditRow row;
  row.run_id = "rol_1";
  row.outcome = "ok";
  row.bucket_min = 0;
  row.detail = std::string(5000, 'x');
  ASSERT_TRUE(db->Write([&](sql::Transaction& tx) -> absl::Status {
                  EXPECT_TRUE(InsertAudit(tx, row).ok());
                  row.outcome = "plan_changed";
                  EXPECT_TRUE(InsertAudit(tx, row).ok());
                  row.run_id = "rol_2";
                  EXPECT_TRUE(InsertAudit(tx, row).ok());
                  const auto rows = ListAuditOfRun(tx, "rol_1", 10);
                  EXPECT_EQ(rows->size(), 2u);
                  EXPECT_EQ((*rows)[1].outcome, "plan_changed");
                  EXPECT_EQ((*rows)[0].bucket_min, 0u);
                  EXPECT_FALSE((*rows)[0].bucket_max.has_value());
                  EXPECT_EQ((*rows)[0].detail.size(), 1000u);
                  const auto rest = ListAuditOfRun(tx, "rol_1", 10, (*rows)[0].audit_id);
                  EXPECT_EQ(rest->size(), 1u);
                  EXPECT_EQ((*rest)[0].audit_id, (*rows)[1].audit_id);
                  // No character is cut in two.
                  row.run_id = "rol_3";
                  row.detail = std::string(999, 'x') + "\u00fc";
                  EXPECT_TRUE(InsertAudit(tx, row).ok());
                  EXPECT_EQ((*ListAuditOfRun(tx, "rol_3", 1))[0].detail, std::string(999, 'x'));
                  return absl::OkStatus();
                }).ok());
}

}  // namespace
}  // namespace jetmon::store
