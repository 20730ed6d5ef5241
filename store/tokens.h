#ifndef JETMON_STORE_TOKENS_H_
#define JETMON_STORE_TOKENS_H_

#include <cstdint>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "store/range.h"
#include "store/sql/database.h"

// Confirmation tokens: what a plan hands out and an execute consumes. Only the SHA-256 is stored.
namespace jetmon::store {

struct ConfirmationToken {
  std::string token_hash;
  std::string key_id;
  std::string operation;
  std::string run_id;
  Range range;
  std::string request_hash;
  std::string plan_digest;
  std::string plan_counts;  // JSON object of the plan's counts
  int64_t created_at_ms = 0, expires_at_ms = 0, consumed_at_ms = 0;
  std::string job_id;  // of the execution that consumed it
};

absl::Status InsertToken(sql::Transaction& tx, const ConfirmationToken& t);
absl::StatusOr<std::optional<ConfirmationToken>> GetToken(sql::Transaction& tx,
                                                          std::string_view token_hash);
// consumed_at_ms = now where it is 0 and expires_at_ms > now. False: used or expired meanwhile.
absl::StatusOr<bool> ConsumeToken(sql::Transaction& tx, std::string_view token_hash,
                                  std::string_view job_id, int64_t now_ms);
// Removes tokens that expired before `before_ms`; how many.
absl::StatusOr<int64_t> PruneTokens(sql::Transaction& tx, int64_t before_ms);

}  // namespace jetmon::store

#endif  // JETMON_STORE_TOKENS_H_
