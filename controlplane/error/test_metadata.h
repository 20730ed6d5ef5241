#ifndef JETMON_CONTROLPLANE_ERROR_TEST_METADATA_H_
#define JETMON_CONTROLPLANE_ERROR_TEST_METADATA_H_

#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "google/rpc/error_details.pb.h"

namespace jetmon {

// What a caller reads of an error: ErrorInfo.metadata[key]; "" when absent.
inline std::string MetadataOf(const absl::Status& status, std::string_view key) {
  const auto payload = status.GetPayload("type.googleapis.com/google.rpc.ErrorInfo");
  google::rpc::ErrorInfo info;
  if (!payload.has_value() || !info.ParseFromString(std::string(*payload))) return "";
  const auto it = info.metadata().find(std::string(key));
  return it == info.metadata().end() ? "" : it->second;
}

}  // namespace jetmon

#endif  // JETMON_CONTROLPLANE_ERROR_TEST_METADATA_H_
