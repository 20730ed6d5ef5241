#include "store/tokens.h"

namespace jetmon::store {

absl::Status InsertToken(sql::Transaction& tx, const ConfirmationToken& t) {
  return tx
      .Execute(
          "INSERT INTO jetmon_rollout_confirmation_tokens (token_hash, key_id, operation, run_id, "
          "bucket_min, bucket_max, request_hash, plan_digest, plan_counts, created_at_ms, "
          "expires_at_ms) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
          {t.token_hash, t.key_id, t.operation, t.run_id, t.range.min, t.range.max, t.request_hash,
           t.plan_digest, t.plan_counts, t.created_at_ms, t.expires_at_ms})
      .status();
}

absl::StatusOr<std::optional<ConfirmationToken>> GetToken(sql::Transaction& tx,
                                                          std::string_view token_hash) {
  ConfirmationToken t;
  auto found = tx.QueryOne(
      "SELECT token_hash, key_id, operation, run_id, bucket_min, bucket_max, request_hash, "
      "plan_digest, plan_counts, created_at_ms, expires_at_ms, consumed_at_ms, job_id FROM "
      "jetmon_rollout_confirmation_tokens WHERE token_hash = ?",
      {token_hash}, [&](const sql::Row& row) {
        t.token_hash = row.Text(0);
        t.key_id = row.Text(1);
        t.operation = row.Text(2);
        t.run_id = row.Text(3);
        t.range = {static_cast<uint32_t>(row.Int(4)), static_cast<uint32_t>(row.Int(5))};
        t.request_hash = row.Text(6);
        t.plan_digest = row.Text(7);
        t.plan_counts = row.Text(8);
        t.created_at_ms = row.Int(9);
        t.expires_at_ms = row.Int(10);
        t.consumed_at_ms = row.Int(11);
        t.job_id = row.Text(12);
        return absl::OkStatus();
      });
  if (!found.ok()) return found.status();
  return *found ? std::optional(t) : std::nullopt;
}

absl::StatusOr<bool> ConsumeToken(sql::Transaction& tx, std::string_view token_hash,
                                  std::string_view job_id, int64_t now_ms) {
  return tx.ExecuteOne(
      "UPDATE jetmon_rollout_confirmation_tokens SET consumed_at_ms = ?, job_id = ? WHERE "
      "token_hash = ? AND consumed_at_ms = 0 AND expires_at_ms > ?",
      {now_ms, job_id, token_hash, now_ms});
}

absl::StatusOr<int64_t> PruneTokens(sql::Transaction& tx, int64_t before_ms) {
  return tx.Execute("DELETE FROM jetmon_rollout_confirmation_tokens WHERE expires_at_ms < ?",
                    {before_ms});
}

}  // namespace jetmon::store
