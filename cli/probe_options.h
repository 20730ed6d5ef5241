#ifndef JETMON_CLI_PROBE_OPTIONS_H_
#define JETMON_CLI_PROBE_OPTIONS_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "probe/check.h"
#include "probe/engine.h"

namespace CLI {
class App;
}

namespace jetmon::cli {

// How `jetmon2 probe` checks, as its options say it.
struct ProbeOptions {
  std::string method, profile, mode;  // one way or the other; empty = head-legacy, or get-full when
                                      // there are rules
  std::string timeout = "10s";
  std::string keyword, redirects = "follow";
  std::vector<std::string> forbidden, headers;  // headers as "Name: value"
  std::string user_agent;
  std::string ca_file, resolvers, target_safety = "public_only", allow_cidr, source_address;
};

void AddProbeOptions(CLI::App* command, ProbeOptions* options);

// InvalidArgument names the option that is wrong, and what it takes. The request has no URL yet.
absl::StatusOr<probe::CheckRequest> RequestOf(const ProbeOptions& options);
absl::StatusOr<probe::Engine::Options> EngineOf(const ProbeOptions& options, int concurrency);

// The engine's errors name flags as the daemons write them: here with the CLI's hyphens.
absl::Status WithHyphens(const absl::Status& status);

}  // namespace jetmon::cli

#endif  // JETMON_CLI_PROBE_OPTIONS_H_
