#ifndef JETMON_CLI_V1_PLAN_FILE_H_
#define JETMON_CLI_V1_PLAN_FILE_H_

#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "cli/v1_plan.h"

namespace jetmon::cli {

// Reads the v1 hosts of a plan: CSV with the header host,bucket_min,bucket_max,batch_size, a row
// for each host. bucket_max may be one beyond the last bucket, as v1's own sample has it. What does
// not fit is InvalidArgument, with the line: `plan.csv:7: bucket_min 9 is above bucket_max 8`.
absl::StatusOr<std::vector<V1Host>> ReadV1Plan(const std::string& path, uint32_t bucket_total);
// The same of a text that was read from `name`.
absl::StatusOr<std::vector<V1Host>> ParseV1Plan(const std::string& name, std::string_view text,
                                                uint32_t bucket_total);
// "MIN-MAX", or one bucket.
absl::StatusOr<store::Range> ParseHeldRange(const std::string& text, uint32_t bucket_total);

}  // namespace jetmon::cli

#endif  // JETMON_CLI_V1_PLAN_FILE_H_
