#ifndef JETMON_CONTROLPLANE_GATEWAY_TRANSCODER_H_
#define JETMON_CONTROLPLANE_GATEWAY_TRANSCODER_H_

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "google/protobuf/message.h"

// Between JSON and messages. Stateless functions, thread-safe.
namespace jetmon::gateway {

// Fills `message` from a request's body, scanned strictly first; "" counts as {}. Errors:
// malformed_json, unknown_field (named), invalid_field.
absl::Status FromJson(std::string_view body, google::protobuf::Message* message);

// Sets scalar fields by their proto names from a query string; a repeated field takes each value.
// Errors: unknown_field (named), invalid_field.
absl::Status FromQuery(std::string_view query, google::protobuf::Message* message);

// Sets the fields that stand in the path. A body that says otherwise is invalid_field.
absl::Status FromPath(const std::vector<std::pair<std::string, std::string>>& variables,
                      google::protobuf::Message* message);

// proto3 JSON with proto field names, default values printed, on one line.
absl::StatusOr<std::string> ToJson(const google::protobuf::Message& message);

// {"error":{"code":...,"message":...,"request_id":...,"details":[...]}}
std::string ErrorJson(const absl::Status& status, std::string_view request_id);

}  // namespace jetmon::gateway

#endif  // JETMON_CONTROLPLANE_GATEWAY_TRANSCODER_H_
