#ifndef JETMON_CONTROLPLANE_ERROR_RPC_STATUS_H_
#define JETMON_CONTROLPLANE_ERROR_RPC_STATUS_H_

#include "absl/status/status.h"
#include "google/rpc/status.pb.h"

namespace jetmon {

// The status as google.rpc.Status: code, message, and each payload as a detail, ErrorInfo first.
google::rpc::Status ToRpcStatus(const absl::Status& status);

}  // namespace jetmon

#endif  // JETMON_CONTROLPLANE_ERROR_RPC_STATUS_H_
