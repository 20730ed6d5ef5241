#ifndef JETMON_CONTROLPLANE_ROLLOUT_PREFLIGHT_H_
#define JETMON_CONTROLPLANE_ROLLOUT_PREFLIGHT_H_

#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "controlplane/rollout/canaries.h"
#include "controlplane/rollout/job_runner.h"
#include "controlplane/rollout/observer.h"
#include "controlplane/rollout/options.h"
#include "jetmon/v1/operation.pb.h"
#include "store/sessions.h"

namespace jetmon::rollout {

// What is looked at.
struct PreflightOf {
  store::Session session;
  store::Range range;
  std::string owner_host;
  // Why sites that several ranges share need not block (duplicate_across_ranges); "": they do.
  std::string duplicates_reason;
};

// Could the range be handed to the host now? Fills `answer` with every item that was looked at, its
// blockers and warnings. Changes nothing. What takes time is done side by side, and all of it ends
// within 10 s, whatever does not answer: a database that is away or slow is the blocker
// database_unavailable, and so are vantages that are silent for 3 s (vantage_unreachable).
// `connection` is one of PreflightConnection. `canaries` (null: none), which go on meanwhile, are
// its last item.
absl::Status RunPreflight(sql::Session& connection, const Parts& parts, const Options& options,
                          Observer& observer, const PreflightOf& of, CanaryRun* canaries,
                          v1::OperationResponse* answer);

// A preflight whose control plane is gone: nobody waits for its answer. Fails the job.
absl::Status EndAbandonedPreflight(JobRun& run);

// A connection on which a database that does not answer is noticed within seconds.
absl::StatusOr<std::unique_ptr<sql::Session>> PreflightConnection(const Parts& parts);
// An error of the database, not one that is told to the caller: it is away, or too slow.
bool IsDatabaseAway(const absl::Status& status);
// Ends an answer, or one that nothing was looked at for yet, with that blocker.
void SayDatabaseAway(const absl::Status& why, v1::OperationResponse* answer);

}  // namespace jetmon::rollout

#endif  // JETMON_CONTROLPLANE_ROLLOUT_PREFLIGHT_H_
