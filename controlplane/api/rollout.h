#ifndef JETMON_CONTROLPLANE_API_ROLLOUT_H_
#define JETMON_CONTROLPLANE_API_ROLLOUT_H_

#include "controlplane/rollout/service.h"
#include "controlplane/rpc/registry.h"

namespace jetmon::api {

// RolloutService over the rollout domain; both outlive the registry's use.
void AddRolloutService(rpc::Registry& registry, rollout::Service& service);
// FleetService.ListMonitors over the same.
void AddFleetService(rpc::Registry& registry, rollout::Service& service);

}  // namespace jetmon::api

#endif  // JETMON_CONTROLPLANE_API_ROLLOUT_H_
