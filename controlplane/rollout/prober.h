#ifndef JETMON_CONTROLPLANE_ROLLOUT_PROBER_H_
#define JETMON_CONTROLPLANE_ROLLOUT_PROBER_H_

#include <functional>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "probe/check.h"
#include "probe/engine.h"
#include "store/sites.h"

namespace jetmon::rollout {

// One site and the checks of it, made one after the other: each begins when the one before has
// ended. A check that ends without a verdict is the site's last.
struct Probe {
  store::Site site;
  uint64_t ordinal = 0;  // the caller's own
  std::vector<probe::CheckRequest> checks;
  std::vector<probe::CheckResult> results;
};

struct ProberLimits {
  // Sites that are being checked at a time.
  int concurrency = 500;
  // Of these, sites of one host, as their URLs name it: a range's sites may all live on one server,
  // which is not to feel a smoke.
  int per_host = 50;
  // Sites that are held waiting for a place, so that one slow host keeps no other one waiting; more
  // are asked for when there are fewer than half as many.
  int waiting = 2000;
};

// More sites; none: there are no more.
using ProbeSource = std::function<absl::StatusOr<std::vector<Probe>>()>;
// Takes a site whose checks have ended.
using ProbeSink = std::function<absl::Status(Probe&&)>;

// Checks what `next` gives until there is no more, and hands each site to `done` as it ends. All
// three functions are called on the calling thread; `turn` at least every 50 ms, and an error of
// any of them ends it with that error: what runs is cancelled and handed to nobody. A lost check is
// made again, twice at most. Holds `waiting` sites, what `next` gives at once, and those in flight.
// Unavailable: a check's lease lapsed, as it does when this process is paused.
absl::Status RunProbes(const probe::Engine::Options& engine, const ProberLimits& limits,
                       const ProbeSource& next, const ProbeSink& done,
                       const std::function<absl::Status()>& turn);

}  // namespace jetmon::rollout

#endif  // JETMON_CONTROLPLANE_ROLLOUT_PROBER_H_
