#ifndef JETMON_VERIFLIER_SERVICE_H_
#define JETMON_VERIFLIER_SERVICE_H_

#include <functional>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "veriflier/checker.h"

namespace jetmon::veriflier {

// Serves VeriflierService (and gRPC health) on a port. The caller's credential is looked at on
// every call. Destroying it lets running calls end for 2 s, then cancels them.
class Server {
 public:
  struct Options {
    std::string listen;  // host:port
    std::string vantage_id, agent_id, build;
    std::string token;  // the vantage's
    uint32_t max_concurrency = 100, queue_capacity = 1000;
    // What the control plane last said of this agent's trust.
    std::function<std::string()> trust;
  };
  // Unavailable, in one line, when the port is taken. `checker` must outlive the server.
  static absl::StatusOr<std::unique_ptr<Server>> Start(Options options, Checker* checker,
                                                       const Clock& clock);
  ~Server();

 private:
  struct Running;
  explicit Server(std::unique_ptr<Running> running);
  std::unique_ptr<Running> running_;
};

}  // namespace jetmon::veriflier

#endif  // JETMON_VERIFLIER_SERVICE_H_
