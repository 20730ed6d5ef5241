#ifndef JETMON_CONTROLPLANE_ROLLOUT_OWNERS_H_
#define JETMON_CONTROLPLANE_ROLLOUT_OWNERS_H_

#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "controlplane/rollout/observer.h"
#include "jetmon/v1/operation.pb.h"
#include "store/hosts.h"

namespace jetmon::rollout {

// Whether a Monitor host can be given a range.
struct OwnerFacts {
  std::optional<store::ProcessHealth> instance;  // the one live one
  uint64_t generation = 0;                       // of the host
  // owner_unavailable, owner_ambiguous, protocol_mismatch, rollout_mode_blocked,
  // longest_check_exceeded, legacy_dialect_mismatch; none of them can be overridden.
  std::vector<v1::Finding> blockers;
};
absl::StatusOr<OwnerFacts> LookAtOwner(sql::Transaction& tx, const Observer& observer,
                                       const std::string& host, store::LegacyDialect dialect);

}  // namespace jetmon::rollout

#endif  // JETMON_CONTROLPLANE_ROLLOUT_OWNERS_H_
