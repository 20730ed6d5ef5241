#ifndef JETMON_STORE_KEYS_H_
#define JETMON_STORE_KEYS_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "store/sql/database.h"

// API keys, idempotency records and the audit log.
namespace jetmon::store {

struct ApiKey {
  std::string key_id;  // "key_" + ULID
  std::string consumer;
  std::string scope;  // read, write, admin
  std::string token_hash;
  // 0 = never. Half-open: a key is good for t < cutoff.
  int64_t created_at_ms = 0, expires_at_ms = 0, revoked_at_ms = 0;
};

absl::Status InsertKey(sql::Transaction& tx, const ApiKey& k);
absl::StatusOr<std::optional<ApiKey>> FindKeyByTokenHash(sql::Transaction& tx,
                                                         std::string_view token_hash);
absl::StatusOr<std::vector<ApiKey>> ListKeys(sql::Transaction& tx);
// False: unknown, or already revoked at an earlier time.
absl::StatusOr<bool> RevokeKey(sql::Transaction& tx, std::string_view key_id, int64_t at_ms);

struct IdempotencyRecord {
  std::string key_id, idempotency_key;
  std::string operation;
  std::string request_hash;
  std::string state;  // running, completed
  uint64_t attempt = 0;
  std::string resource_kind;  // job, session, checkpoint, vantage, ...
  std::string resource_id;
  int64_t created_at_ms = 0, lease_at_ms = 0;
};

absl::StatusOr<std::optional<IdempotencyRecord>> GetIdempotency(sql::Transaction& tx,
                                                                std::string_view key_id,
                                                                std::string_view idempotency_key);
// Inserts a running record with attempt 1. False: there is one already (read it).
absl::StatusOr<bool> BeginIdempotent(sql::Transaction& tx, const IdempotencyRecord& r);
// Takes over a running record whose attempt is `attempt` (its lease is over, or its request
// failed): attempt + 1, new lease.
absl::StatusOr<bool> RetakeIdempotent(sql::Transaction& tx, std::string_view key_id,
                                      std::string_view idempotency_key, uint64_t attempt,
                                      std::string_view request_hash, int64_t now_ms);
// running -> completed where the attempt is this; in the transaction that commits the mutation.
absl::StatusOr<bool> CompleteIdempotent(sql::Transaction& tx, std::string_view key_id,
                                        std::string_view idempotency_key, uint64_t attempt,
                                        std::string_view resource_kind,
                                        std::string_view resource_id);
// Removes a running record of this attempt (the request failed: it may be sent again).
absl::Status AbandonIdempotent(sql::Transaction& tx, std::string_view key_id,
                               std::string_view idempotency_key, uint64_t attempt);
absl::StatusOr<int64_t> PruneIdempotency(sql::Transaction& tx, int64_t before_ms);

struct AuditRow {
  int64_t audit_id = 0;
  int64_t at_ms = 0;
  std::string consumer, key_id, operation, run_id;
  std::optional<uint32_t> bucket_min, bucket_max;
  std::string request_id;
  std::string outcome;  // ok, blocked, or an error reason
  int64_t latency_ms = 0;
  std::string detail;  // bounded to 1,000 characters
};
absl::Status InsertAudit(sql::Transaction& tx, const AuditRow& row);
// A run's rows with an audit_id above `after`, in order, at most `limit` (1..10,000).
absl::StatusOr<std::vector<AuditRow>> ListAuditOfRun(sql::Transaction& tx, std::string_view run_id,
                                                     int limit, int64_t after = 0);

}  // namespace jetmon::store

#endif  // JETMON_STORE_KEYS_H_
