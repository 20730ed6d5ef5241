#ifndef JETMON_PROBE_FLAGS_H_
#define JETMON_PROBE_FLAGS_H_

#include "absl/status/statusor.h"
#include "clock/deadline_budget.h"
#include "probe/engine.h"

namespace jetmon::probe {

// The flags of a daemon that sends checks: --source_address, --target_safety, --allow_cidr,
// --ca_file, --resolvers, --tls_sessions, --longest_check. Whoever links this defines them.
//
// The options that they say, checked, with a TLS client that all engines made of them share; how
// much an engine runs at a time is the daemon's. InvalidArgument, in one line, names the flag that
// is wrong and what it takes; FailedPrecondition: the system has no CAs, and --ca_file names none.
absl::StatusOr<Engine::Options> EngineOptionsFromFlags();

// The deadlines that go with --longest_check, or with `if_left_out` (which is in its bounds).
// InvalidArgument, in one line, names the flag and what it takes.
absl::StatusOr<DeadlineBudget> BudgetFromFlags(DeadlineBudget::Duration if_left_out);

}  // namespace jetmon::probe

#endif  // JETMON_PROBE_FLAGS_H_
