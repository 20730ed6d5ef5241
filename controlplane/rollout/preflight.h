#ifndef JETMON_CONTROLPLANE_ROLLOUT_PREFLIGHT_H_
#define JETMON_CONTROLPLANE_ROLLOUT_PREFLIGHT_H_

#include "absl/status/status.h"
#include "controlplane/rollout/canaries.h"
#include "controlplane/rollout/job_runner.h"
#include "controlplane/rollout/observer.h"
#include "controlplane/rollout/options.h"
#include "jetmon/v1/operation.pb.h"
#include "store/sessions.h"

namespace jetmon::rollout {

// Could the range be handed to the host now? Fills `answer` with every item that was looked at, its
// blockers and warnings. Changes nothing; vantages are asked side by side, 3 s each, 10 s in all.
// `canaries` (null: none), which go on meanwhile, are its last item.
absl::Status RunPreflight(const Parts& parts, const Options& options, Observer& observer,
                          const store::Session& session, store::Range range,
                          const std::string& owner_host, CanaryRun* canaries,
                          v1::OperationResponse* answer);

// A preflight whose control plane is gone: nobody waits for its answer. Fails the job.
absl::Status EndAbandonedPreflight(JobRun& run);

}  // namespace jetmon::rollout

#endif  // JETMON_CONTROLPLANE_ROLLOUT_PREFLIGHT_H_
