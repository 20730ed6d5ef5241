#ifndef JETMON_CLI_CANARY_FILE_H_
#define JETMON_CLI_CANARY_FILE_H_

#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "cli/json.h"

namespace jetmon::cli {

// Reads a file of canaries: a JSON array of objects with the fields of a Canary (proto/jetmon/v1/
// rollout.proto), none of them nested. The list as a request's `canaries` takes it. What does not
// fit is InvalidArgument, with line and field: `canaries.json:7: field "expect_http_code": takes
// 100 to 599`. Whether a URL may be probed only the control plane knows.
absl::StatusOr<Json> ReadCanaries(const std::string& path);
// The same of a text that was read from `name`.
absl::StatusOr<Json> ParseCanaries(const std::string& name, std::string_view text);

}  // namespace jetmon::cli

#endif  // JETMON_CLI_CANARY_FILE_H_
