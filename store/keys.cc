#include "store/keys.h"

#include "store/bounded.h"

namespace jetmon::store {
namespace {

constexpr size_t kMaxDetail = 1000;

constexpr char kKeyColumns[] =
    "key_id, consumer, scope, token_hash, created_at_ms, expires_at_ms, revoked_at_ms";

ApiKey KeyOf(const sql::Row& row) {
  ApiKey k;
  k.key_id = row.Text(0);
  k.consumer = row.Text(1);
  k.scope = row.Text(2);
  k.token_hash = row.Text(3);
  k.created_at_ms = row.Int(4);
  k.expires_at_ms = row.Int(5);
  k.revoked_at_ms = row.Int(6);
  return k;
}

std::optional<uint32_t> Bucket(const sql::Row& row, int column) {
  if (row.IsNull(column)) return std::nullopt;
  return static_cast<uint32_t>(row.Int(column));
}

}  // namespace

absl::Status InsertKey(sql::Transaction& tx, const ApiKey& k) {
  return tx
      .Execute(std::string("INSERT INTO jetmon_api_keys (") + kKeyColumns +
                   ") VALUES (?, ?, ?, ?, ?, ?, ?)",
               {k.key_id, k.consumer, k.scope, k.token_hash, k.created_at_ms, k.expires_at_ms,
                k.revoked_at_ms})
      .status();
}

absl::StatusOr<std::optional<ApiKey>> FindKeyByTokenHash(sql::Transaction& tx,
                                                         std::string_view token_hash) {
  std::optional<ApiKey> key;
  auto found = tx.QueryOne(
      std::string("SELECT ") + kKeyColumns + " FROM jetmon_api_keys WHERE token_hash = ?",
      {token_hash}, [&](const sql::Row& row) {
        key = KeyOf(row);
        return absl::OkStatus();
      });
  if (!found.ok()) return found.status();
  return key;
}

absl::StatusOr<std::vector<ApiKey>> ListKeys(sql::Transaction& tx) {
  std::vector<ApiKey> keys;
  auto s = tx.Query(
      std::string("SELECT ") + kKeyColumns + " FROM jetmon_api_keys ORDER BY key_id LIMIT 10000",
      {}, [&](const sql::Row& row) {
        keys.push_back(KeyOf(row));
        return absl::OkStatus();
      });
  if (!s.ok()) return s;
  return keys;
}

absl::StatusOr<bool> RevokeKey(sql::Transaction& tx, std::string_view key_id, int64_t at_ms) {
  return tx.ExecuteOne(
      "UPDATE jetmon_api_keys SET revoked_at_ms = ? WHERE key_id = ? AND "
      "(revoked_at_ms = 0 OR revoked_at_ms > ?)",
      {at_ms, key_id, at_ms});
}

absl::StatusOr<std::optional<IdempotencyRecord>> GetIdempotency(sql::Transaction& tx,
                                                                std::string_view key_id,
                                                                std::string_view idempotency_key) {
  std::optional<IdempotencyRecord> record;
  auto found = tx.QueryOne(
      "SELECT key_id, idempotency_key, operation, request_hash, state, attempt, resource_kind, "
      "resource_id, created_at_ms, lease_at_ms FROM jetmon_idempotency WHERE key_id = ? AND "
      "idempotency_key = ?",
      {key_id, idempotency_key}, [&](const sql::Row& row) {
        record.emplace();
        record->key_id = row.Text(0);
        record->idempotency_key = row.Text(1);
        record->operation = row.Text(2);
        record->request_hash = row.Text(3);
        record->state = row.Text(4);
        record->attempt = row.Uint(5);
        record->resource_kind = row.Text(6);
        record->resource_id = row.Text(7);
        record->created_at_ms = row.Int(8);
        record->lease_at_ms = row.Int(9);
        return absl::OkStatus();
      });
  if (!found.ok()) return found.status();
  return record;
}

absl::StatusOr<bool> BeginIdempotent(sql::Transaction& tx, const IdempotencyRecord& r) {
  return tx.InsertIfNew(
      "INSERT INTO jetmon_idempotency (key_id, idempotency_key, operation, request_hash, state, "
      "attempt, created_at_ms, lease_at_ms) VALUES (?, ?, ?, ?, 'running', 1, ?, ?)",
      {r.key_id, r.idempotency_key, r.operation, r.request_hash, r.created_at_ms, r.created_at_ms});
}

absl::StatusOr<bool> RetakeIdempotent(sql::Transaction& tx, std::string_view key_id,
                                      std::string_view idempotency_key, uint64_t attempt,
                                      std::string_view request_hash, int64_t now_ms) {
  return tx.ExecuteOne(
      "UPDATE jetmon_idempotency SET attempt = attempt + 1, request_hash = ?, lease_at_ms = ? "
      "WHERE key_id = ? AND idempotency_key = ? AND attempt = ? AND state = 'running'",
      {request_hash, now_ms, key_id, idempotency_key, attempt});
}

absl::StatusOr<bool> CompleteIdempotent(sql::Transaction& tx, std::string_view key_id,
                                        std::string_view idempotency_key, uint64_t attempt,
                                        std::string_view resource_kind,
                                        std::string_view resource_id) {
  return tx.ExecuteOne(
      "UPDATE jetmon_idempotency SET state = 'completed', resource_kind = ?, resource_id = ? "
      "WHERE key_id = ? AND idempotency_key = ? AND attempt = ? AND state = 'running'",
      {resource_kind, resource_id, key_id, idempotency_key, attempt});
}

absl::Status AbandonIdempotent(sql::Transaction& tx, std::string_view key_id,
                               std::string_view idempotency_key, uint64_t attempt) {
  // None matched: somebody took it over, or it was completed; either way it is not ours to remove.
  return tx
      .Execute(
          "DELETE FROM jetmon_idempotency WHERE key_id = ? AND idempotency_key = ? AND attempt = ? "
          "AND state = 'running'",
          {key_id, idempotency_key, attempt})
      .status();
}

absl::StatusOr<int64_t> PruneIdempotency(sql::Transaction& tx, int64_t before_ms) {
  return tx.Execute("DELETE FROM jetmon_idempotency WHERE created_at_ms < ?", {before_ms});
}

absl::Status InsertAudit(sql::Transaction& tx, const AuditRow& row) {
  return tx
      .Insert(
          "INSERT INTO jetmon_audit_log (at_ms, consumer, key_id, operation, run_id, bucket_min, "
          "bucket_max, request_id, outcome, latency_ms, detail) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, "
          "?, ?)",
          {row.at_ms, row.consumer, row.key_id, row.operation, row.run_id, row.bucket_min,
           row.bucket_max, row.request_id, row.outcome, row.latency_ms,
           Bounded(row.detail, kMaxDetail)})
      .status();
}

absl::StatusOr<std::vector<AuditRow>> ListAuditOfRun(sql::Transaction& tx, std::string_view run_id,
                                                     int limit, int64_t after) {
  std::vector<AuditRow> rows;
  auto s = tx.Query(
      "SELECT audit_id, at_ms, consumer, key_id, operation, run_id, bucket_min, bucket_max, "
      "request_id, outcome, latency_ms, detail FROM jetmon_audit_log WHERE run_id = ? AND "
      "audit_id > ? ORDER BY audit_id LIMIT ?",
      {run_id, after, limit}, [&](const sql::Row& row) {
        AuditRow a;
        a.audit_id = row.Int(0);
        a.at_ms = row.Int(1);
        a.consumer = row.Text(2);
        a.key_id = row.Text(3);
        a.operation = row.Text(4);
        a.run_id = row.Text(5);
        a.bucket_min = Bucket(row, 6);
        a.bucket_max = Bucket(row, 7);
        a.request_id = row.Text(8);
        a.outcome = row.Text(9);
        a.latency_ms = row.Int(10);
        a.detail = row.Text(11);
        rows.push_back(std::move(a));
        return absl::OkStatus();
      });
  if (!s.ok()) return s;
  return rows;
}

}  // namespace jetmon::store
