#ifndef JETMON_CONTROLPLANE_ROLLOUT_GATES_H_
#define JETMON_CONTROLPLANE_ROLLOUT_GATES_H_

#include "absl/status/status.h"
#include "controlplane/rollout/observer.h"
#include "controlplane/rollout/options.h"
#include "jetmon/v1/operation.pb.h"
#include "store/range.h"
#include "store/sql/database.h"

// The read-only checks after an activation; each fills an answer with ok or blocked.
namespace jetmon::rollout {

// Is every bucket active under `owner_host` ("" = whoever holds the range)?
absl::Status CoverageGate(sql::Transaction& tx, const Observer& observer, store::Range range,
                          std::string owner_host, v1::OperationResponse* answer);
// Is every site checked in time, from `since_ms` (cut at the acknowledgement)? Judged from the
// summaries that the owners write, each by its owner's own clock.
absl::Status ActivityGate(sql::Transaction& tx, const Observer& observer, store::Range range,
                          int64_t since_ms, int64_t now_ms, v1::OperationResponse* answer);
// Does the legacy table say what the open events say?
absl::Status DriftGate(sql::Transaction& tx, store::Range range, v1::OperationResponse* answer);

}  // namespace jetmon::rollout

#endif  // JETMON_CONTROLPLANE_ROLLOUT_GATES_H_
