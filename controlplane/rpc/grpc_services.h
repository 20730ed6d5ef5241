#ifndef JETMON_CONTROLPLANE_RPC_GRPC_SERVICES_H_
#define JETMON_CONTROLPLANE_RPC_GRPC_SERVICES_H_

#include <memory>
#include <vector>

#include "controlplane/rpc/grpc_server.h"

namespace grpc {
class Service;
}

namespace jetmon::rpc {

// The generated services, thin over the registry; `parts` must outlive them.
std::vector<std::unique_ptr<grpc::Service>> MakeServices(const GrpcServer::Parts& parts);

}  // namespace jetmon::rpc

#endif  // JETMON_CONTROLPLANE_RPC_GRPC_SERVICES_H_
