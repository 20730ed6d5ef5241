#include "controlplane/error/rpc_status.h"

#include <map>
#include <string>
#include <utility>

#include "absl/strings/cord.h"

namespace jetmon {

google::rpc::Status ToRpcStatus(const absl::Status& status) {
  google::rpc::Status rpc;
  rpc.set_code(static_cast<int>(status.code()));
  rpc.set_message(std::string(status.message()));
  // By (not ErrorInfo, type): absl gives payloads in no order.
  std::map<std::pair<bool, std::string>, std::string> payloads;
  status.ForEachPayload([&](absl::string_view type_url, const absl::Cord& payload) {
    const std::string url(type_url);
    payloads[{!url.ends_with("/google.rpc.ErrorInfo"), url}] = std::string(payload);
  });
  for (const auto& [key, value] : payloads) {
    auto* detail = rpc.add_details();
    detail->set_type_url(key.second);
    detail->set_value(value);
  }
  return rpc;
}

}  // namespace jetmon
