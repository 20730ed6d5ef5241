#ifndef JETMON_CONTROLPLANE_ROLLOUT_TEST_INVARIANTS_H_
#define JETMON_CONTROLPLANE_ROLLOUT_TEST_INVARIANTS_H_

#include <string>
#include <vector>

#include "store/sql/database.h"

namespace jetmon::rollout {

// What of the rollout's tables is no state that the design knows, one line each; empty if all is
// well. Holds at every moment, whoever was killed where: ranges and their bucket rows agree, jobs,
// tokens, sessions and checkpoints point at each other.
std::vector<std::string> Violations(sql::Database& db);

// What is left to do: ranges on their way and jobs that are not finished, one line each.
std::vector<std::string> Unfinished(sql::Database& db);

// The rows that an operation is to leave, without what differs from one run to the next: ids of
// runs and jobs, times, ordinals, lease sequences, tokens that were not used.
std::string FinalState(sql::Database& db);

}  // namespace jetmon::rollout

#endif  // JETMON_CONTROLPLANE_ROLLOUT_TEST_INVARIANTS_H_
