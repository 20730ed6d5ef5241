#ifndef JETMON_CONTROLPLANE_SERVER_H_
#define JETMON_CONTROLPLANE_SERVER_H_

#include <memory>

#include "absl/status/statusor.h"
#include "controlplane/config.h"
#include "daemon/daemon.h"

namespace jetmon::controlplane {

// The control plane, running: database, access, services, gRPC and REST. Made by Start, which
// returns only when both listen; Shutdown (or the end) takes no more calls, gives those under way
// some seconds, then cancels them, and joins every thread.
class Server : public daemon::Daemon {
 public:
  // One line that says what to do when the database can't be used or an address can't be had.
  static absl::StatusOr<std::unique_ptr<Server>> Start(const Config& config);

  // The ports, for who asked for any.
  virtual int grpc_port() const = 0;
  virtual int http_port() const = 0;
};

}  // namespace jetmon::controlplane

#endif  // JETMON_CONTROLPLANE_SERVER_H_
