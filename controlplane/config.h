#ifndef JETMON_CONTROLPLANE_CONFIG_H_
#define JETMON_CONTROLPLANE_CONFIG_H_

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "clock/deadline_budget.h"
#include "probe/engine.h"
#include "store/legacy_words.h"
#include "store/settings.h"

namespace jetmon::controlplane {

// What the flags of jetmon-controlplane say, checked. A value.
struct Config {
  store::DatabaseSettings database;
  std::string grpc_listen = "127.0.0.1:9443";
  std::string http_listen = "127.0.0.1:8443";
  std::string server_host;
  probe::Engine::Options engine;                    // what probes are sent by
  DeadlineBudget budget;                            // of the longest check of any Monitor
  std::string discovery_mode = "active";            // static and shadow: not in this build
  std::string verifliers;                           // name=host:port,...; with static
  uint32_t bucket_total = 512;                      // 1..65536
  uint32_t peer_offline_limit = 3;                  // distinct vantages that a rollout needs
  std::chrono::milliseconds interval_unit{60'000};  // what check_interval 1 means
  store::LegacyDialect dialect = store::LegacyDialect::kJetmon2;
  std::chrono::milliseconds receiver_delay{60'000};
  std::chrono::milliseconds replica_lag{30'000};
  bool insecure_allow_remote = false;
  double rate_limit = 100;  // requests a second and key
  uint32_t rate_burst = 200;
  size_t http_connections = 1024;
};

// Copies the flags and checks each. InvalidArgument names the flag that is wrong.
absl::StatusOr<Config> ConfigFromFlags();

// OK if `listen` is a loopback address (127.0.0.0/8, [::1], localhost) and port, or any address
// when remote ones are allowed. `flag` is the flag that said it.
absl::Status CheckListen(const std::string& flag, const std::string& listen, bool allow_remote);

}  // namespace jetmon::controlplane

#endif  // JETMON_CONTROLPLANE_CONFIG_H_
