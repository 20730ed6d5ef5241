#ifndef JETMON_CLI_HELD_RANGE_H_
#define JETMON_CLI_HELD_RANGE_H_

#include <string>

#include "absl/status/statusor.h"
#include "cli/json.h"
#include "store/range.h"

namespace jetmon::cli {

// What a rollback would release.
struct HeldRange {
  std::string run_id, owner_host;
  store::Range range;  // all that the owner holds there
  std::string keeps;   // what it holds afterwards, as "30-99"; "" = nothing
};

// The held range, by the control plane's status, that these buckets are all of, or one end of.
// FailedPrecondition: there is none, or it is another run's than `run_id` ("" = any); the text says
// what is held and what can be done.
absl::StatusOr<HeldRange> FindHeldRange(const Json& status, store::Range wanted,
                                        const std::string& run_id);

}  // namespace jetmon::cli

#endif  // JETMON_CLI_HELD_RANGE_H_
