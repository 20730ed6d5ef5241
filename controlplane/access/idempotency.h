#ifndef JETMON_CONTROLPLANE_ACCESS_IDEMPOTENCY_H_
#define JETMON_CONTROLPLANE_ACCESS_IDEMPOTENCY_H_

#include <chrono>
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "clock/clock.h"
#include "store/sql/database.h"

namespace jetmon::access {

// One request's hold on its idempotency key. It is fenced by the record's attempt: when another
// request took the key over meanwhile, Complete fails and with it the mutation's transaction, so
// that never two of them commit. Used by one thread.
class IdempotencyClaim {
 public:
  IdempotencyClaim(sql::Database& db, std::string key_id, std::string idempotency_key,
                   uint64_t attempt);

  // In the transaction that commits the mutation.
  absl::Status Complete(sql::Transaction& tx, std::string_view kind, std::string_view resource_id);
  // At the call's end, always: gives the key free if no transaction with Complete was committed.
  absl::Status Release(BootTime deadline);

 private:
  sql::Database& db_;
  const std::string key_id_;
  const std::string idempotency_key_;
  const uint64_t attempt_;
};

// 1 to 255 visible ASCII characters.
bool ValidIdempotencyKey(std::string_view key);

// Decides what a request with an idempotency key is. Thread-safe.
class Idempotency {
 public:
  // An attempt that this process has seen unfinished for so long, on its own clock, is taken for
  // dead and its key may be taken over. A call that still runs then loses its claim: the fence, not
  // the clock, keeps two from committing.
  static constexpr std::chrono::seconds kLease{60};

  Idempotency(sql::Database& db, const Clock& clock);

  struct Begun {
    // To go on; or, when empty, the earlier equal request made this:
    std::unique_ptr<IdempotencyClaim> claim;
    std::string replay_kind;
    std::string replay_id;
  };
  // idempotency_conflict: the key was used for another request (of whatever operation).
  // idempotency_in_progress (with RetryInfo): the first request still runs.
  absl::StatusOr<Begun> Begin(std::string_view key_id, std::string_view idempotency_key,
                              std::string_view operation, std::string_view request_hash,
                              BootTime deadline);

 private:
  // What this process saw of a running record.
  struct Sighting {
    uint64_t attempt = 0;
    BootTime since;
  };
  // How long `attempt` has been seen running; starts the count at the first look.
  std::chrono::nanoseconds SeenFor(const std::string& id, uint64_t attempt);
  void Forget(const std::string& id);

  sql::Database& db_;
  const Clock& clock_;
  std::mutex mu_;
  std::map<std::string, Sighting> seen_;  // bounded; the oldest goes first
  std::deque<std::string> order_;
};

}  // namespace jetmon::access

#endif  // JETMON_CONTROLPLANE_ACCESS_IDEMPOTENCY_H_
