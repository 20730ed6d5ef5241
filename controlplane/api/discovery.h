#ifndef JETMON_CONTROLPLANE_API_DISCOVERY_H_
#define JETMON_CONTROLPLANE_API_DISCOVERY_H_

#include "controlplane/discovery/vantages.h"
#include "controlplane/rpc/registry.h"

namespace jetmon::api {

// DiscoveryService but its Register stream, which the gRPC transport answers itself.
void AddDiscoveryService(rpc::Registry& registry, discovery::Vantages& vantages);

}  // namespace jetmon::api

#endif  // JETMON_CONTROLPLANE_API_DISCOVERY_H_
