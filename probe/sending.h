#ifndef JETMON_PROBE_SENDING_H_
#define JETMON_PROBE_SENDING_H_

#include <string>

#include "absl/status/statusor.h"
#include "probe/engine.h"

namespace jetmon::probe {

// From where checks are sent, whereto they may be, and who is asked and trusted on the way: as the
// flags --source_address, --target_safety, --allow_cidr, --ca_file and --resolvers say it.
struct Sending {
  std::string source_address;
  std::string target_safety = "public_only", allow_cidr;
  std::string ca_file, resolvers;
};

// The options that they come to. InvalidArgument, in one line, names the flag that is wrong and
// what it takes; the CA file is looked at when an engine or a TLS client is made.
absl::StatusOr<Engine::Options> EngineOptionsOf(const Sending& sending);

}  // namespace jetmon::probe

#endif  // JETMON_PROBE_SENDING_H_
