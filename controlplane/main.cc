#include <memory>
#include <utility>

#include "controlplane/config.h"
#include "controlplane/server.h"
#include "daemon/daemon.h"

int main(int argc, char** argv) {
  jetmon::daemon::Program program;
  program.name = "jetmon-controlplane";
  program.summary =
      "Jetmon's control plane: moves ranges of buckets from v1 to v2 Monitors and back, over gRPC "
      "and REST.";
  program.example =
      "jetmon-controlplane --database=sqlite:///var/lib/jetmon/jetmon.db "
      "--grpc_listen=127.0.0.1:9443 --http_listen=127.0.0.1:8443";
  program.start = []() -> absl::StatusOr<std::unique_ptr<jetmon::daemon::Daemon>> {
    auto config = jetmon::controlplane::ConfigFromFlags();
    if (!config.ok()) return config.status();
    auto server = jetmon::controlplane::Server::Start(*config);
    if (!server.ok()) return server.status();
    return std::unique_ptr<jetmon::daemon::Daemon>(*std::move(server));
  };
  return jetmon::daemon::Main(argc, argv, program);
}
