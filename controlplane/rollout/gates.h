#ifndef JETMON_CONTROLPLANE_ROLLOUT_GATES_H_
#define JETMON_CONTROLPLANE_ROLLOUT_GATES_H_

#include <chrono>
#include <string>

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

// How far back a caller looks; cut at the acknowledgement.
struct Since {
  int64_t ago_ms = 0;  // before now
  // The caller said so: every site must have been checked since then. Else it is only shown, as a
  // site may have a longer interval.
  bool given = false;
};
// Is every site checked in time? Judged from the summaries that the owners write, each by its
// owner's own clock. `unit`: of the legacy table's check intervals.
absl::Status ActivityGate(sql::Transaction& tx, const Observer& observer, store::Range range,
                          Since since, int64_t now_ms, std::chrono::milliseconds unit,
                          v1::OperationResponse* answer);

// Warns if a part of the range is not active under v2.
absl::Status WarnNotHeld(sql::Transaction& tx, store::Range range, v1::OperationResponse* answer);
// Does the legacy table say what the open events say? Reads some buckets at a time, 30 s in all
// (then database_unavailable).
absl::Status DriftGate(sql::Database& db, store::Range range, v1::OperationResponse* answer);

}  // namespace jetmon::rollout

#endif  // JETMON_CONTROLPLANE_ROLLOUT_GATES_H_
