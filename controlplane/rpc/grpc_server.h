#ifndef JETMON_CONTROLPLANE_RPC_GRPC_SERVER_H_
#define JETMON_CONTROLPLANE_RPC_GRPC_SERVER_H_

#include <chrono>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "clock/clock.h"
#include "controlplane/rpc/chain.h"
#include "controlplane/rpc/dispatcher.h"
#include "controlplane/rpc/register_stream.h"
#include "controlplane/rpc/registry.h"

namespace jetmon::rpc {

// The gRPC transport: every service of the registry through gRPC's callback API, plus
// grpc.health.v1 and reflection. Thin: what a call passes is the chain's. Thread-safe.
class GrpcServer {
 public:
  struct Parts {
    const Registry* registry = nullptr;
    Chain* chain = nullptr;
    Dispatcher* dispatcher = nullptr;
    const Clock* clock = nullptr;
    // May be empty: Register answers not_available.
    RegisterStreamFactory register_stream;
  };
  // Listens on `listen` ("127.0.0.1:9090", port 0 = any). What it is given must outlive it.
  // Unavailable, one line, when the address can't be had.
  static absl::StatusOr<std::unique_ptr<GrpcServer>> Start(const std::string& listen, Parts parts);
  // Shutdown(0) if that was not called.
  ~GrpcServer();

  int port() const;
  // Takes no more calls, gives those under way `grace`, then cancels them; waits for their end.
  void Shutdown(std::chrono::milliseconds grace);

 private:
  class Impl;
  explicit GrpcServer(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace jetmon::rpc

#endif  // JETMON_CONTROLPLANE_RPC_GRPC_SERVER_H_
