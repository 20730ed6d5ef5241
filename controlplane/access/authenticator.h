#ifndef JETMON_CONTROLPLANE_ACCESS_AUTHENTICATOR_H_
#define JETMON_CONTROLPLANE_ACCESS_AUTHENTICATOR_H_

#include <chrono>
#include <list>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "clock/clock.h"
#include "controlplane/access/caller.h"
#include "store/keys.h"
#include "store/sql/database.h"

namespace jetmon::access {

// Tells whose token it is. A key, and that a token is no key's, is remembered for kKeep at most, so
// a revocation holds after that; at most kMostTokens are remembered. Thread-safe.
class Authenticator {
 public:
  static constexpr std::chrono::seconds kKeep{2};
  static constexpr size_t kMostTokens = 4096;

  Authenticator(sql::Database& db, const Clock& clock);

  // `authorization` is the header's value, "Bearer jm_..." (the scheme in any case). missing_token,
  // invalid_token, key_revoked, key_expired, or the database's error.
  absl::StatusOr<Caller> Authenticate(std::string_view authorization, BootTime deadline);

 private:
  struct Known {
    std::string token_hash;
    std::optional<store::ApiKey> key;
    BootTime until;
  };
  absl::StatusOr<std::optional<store::ApiKey>> Find(const std::string& token_hash,
                                                    BootTime deadline);

  sql::Database& db_;
  const Clock& clock_;
  std::mutex mu_;
  std::list<Known> known_;  // oldest first
  std::unordered_map<std::string, std::list<Known>::iterator> by_hash_;
};

// OK if the caller's scope covers `needed`, else insufficient_scope.
absl::Status CheckScope(const Caller& caller, Scope needed);

}  // namespace jetmon::access

#endif  // JETMON_CONTROLPLANE_ACCESS_AUTHENTICATOR_H_
