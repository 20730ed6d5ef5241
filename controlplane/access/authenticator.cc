#include "controlplane/access/authenticator.h"

#include "absl/strings/match.h"
#include "controlplane/error/error.h"
#include "store/ids.h"

namespace jetmon::access {
namespace {

constexpr std::string_view kScheme = "bearer ";
constexpr std::string_view kPrefix = "jm_";
// "jm_" + 52 characters of base32; more is no token of ours and not worth a hash.
constexpr size_t kLongestToken = 128;

// The token of a header value; "" when there is none.
std::string_view TokenOf(std::string_view header) {
  if (header.size() < kScheme.size() ||
      !absl::EqualsIgnoreCase(absl::string_view(header.data(), kScheme.size()),
                              absl::string_view(kScheme.data(), kScheme.size()))) {
    return "";
  }
  header.remove_prefix(kScheme.size());
  while (!header.empty() && header.front() == ' ') header.remove_prefix(1);
  while (!header.empty() && header.back() == ' ') header.remove_suffix(1);
  return header;
}

}  // namespace

Authenticator::Authenticator(sql::Database& db, const Clock& clock) : db_(db), clock_(clock) {}

absl::StatusOr<Caller> Authenticator::Authenticate(std::string_view authorization,
                                                   BootTime deadline) {
  const std::string_view token = TokenOf(authorization);
  if (token.empty()) {
    return Error(v1::MISSING_TOKEN, "send an API key as `authorization: Bearer jm_...`");
  }
  if (token.size() > kLongestToken || !token.starts_with(kPrefix)) {
    return Error(v1::INVALID_TOKEN, "this token is no API key; keys begin with jm_");
  }
  auto key = Find(store::Sha256Hex(token), deadline);
  if (!key.ok()) return key.status();
  if (!key->has_value()) {
    return Error(v1::INVALID_TOKEN, "no API key has this token; see `jetmon2 keys list`");
  }
  const store::ApiKey& k = **key;
  const int64_t now = clock_.WallMs();
  if (k.revoked_at_ms != 0 && now >= k.revoked_at_ms) {
    return Error(v1::KEY_REVOKED, "this API key was revoked; ask for a new one");
  }
  if (k.expires_at_ms != 0 && now >= k.expires_at_ms) {
    return Error(v1::KEY_EXPIRED, "this API key has expired; ask for a new one");
  }
  return Caller{k.key_id, k.consumer, ScopeOf(k.scope), k.expires_at_ms};
}

absl::StatusOr<std::optional<store::ApiKey>> Authenticator::Find(const std::string& token_hash,
                                                                 BootTime deadline) {
  {
    std::lock_guard lock(mu_);
    const auto it = by_hash_.find(token_hash);
    if (it != by_hash_.end() && clock_.Boot() < it->second->until) return it->second->key;
  }
  // From before the read: what the database says later must not be hidden for longer.
  const BootTime until = clock_.Boot() + kKeep;
  std::optional<store::ApiKey> key;
  const absl::Status status = db_.Read(deadline, [&](sql::Transaction& tx) -> absl::Status {
    auto found = store::FindKeyByTokenHash(tx, token_hash);
    if (!found.ok()) return found.status();
    key = std::move(*found);
    return absl::OkStatus();
  });
  if (!status.ok()) return status;
  std::lock_guard lock(mu_);
  const auto it = by_hash_.find(token_hash);
  if (it != by_hash_.end()) {
    known_.erase(it->second);
    by_hash_.erase(it);
  }
  known_.push_back(Known{token_hash, key, until});
  by_hash_[token_hash] = std::prev(known_.end());
  if (known_.size() > kMostTokens) {
    by_hash_.erase(known_.front().token_hash);
    known_.pop_front();
  }
  return key;
}

absl::Status CheckScope(const Caller& caller, Scope needed) {
  if (needed == Scope::kNone) return absl::OkStatus();
  if (needed != Scope::kVantage && caller.scope != Scope::kVantage && caller.scope >= needed) {
    return absl::OkStatus();
  }
  return Error(v1::INSUFFICIENT_SCOPE, "this call needs a key of scope " +
                                           std::string(ScopeName(needed)) + "; this key has " +
                                           std::string(ScopeName(caller.scope)));
}

}  // namespace jetmon::access
