#ifndef JETMON_PROBE_FLAGS_H_
#define JETMON_PROBE_FLAGS_H_

#include "absl/status/statusor.h"
#include "probe/engine.h"

namespace jetmon::probe {

// The flags of a daemon that sends checks: --source_address, --target_safety, --allow_cidr,
// --ca_file, --resolvers, --tls_sessions. Whoever links this defines them.
//
// The options that they say, checked, with a TLS client that all engines made of them share; how
// much an engine runs at a time is the daemon's. InvalidArgument, in one line, names the flag that
// is wrong and what it takes; FailedPrecondition: the system has no CAs, and --ca_file names none.
absl::StatusOr<Engine::Options> EngineOptionsFromFlags();

}  // namespace jetmon::probe

#endif  // JETMON_PROBE_FLAGS_H_
