#include "probe/sending.h"

#include <utility>

#include "absl/status/status.h"
#include "probe/dns_servers.h"
#include "probe/ip_address.h"
#include "probe/target_safety.h"
#include "probe/text.h"

namespace jetmon::probe {

absl::StatusOr<Engine::Options> EngineOptionsOf(const Sending& sending) {
  auto safety = TargetSafety::FromFlags(sending.target_safety, sending.allow_cidr);
  if (!safety.ok()) return safety.status();
  if (!sending.source_address.empty() && !ParseIpAddress(sending.source_address).ok()) {
    return absl::InvalidArgumentError(
        Cat("--source_address takes an IP address of this machine, not \"",
            OneLine(sending.source_address, 60), "\""));
  }
  if (auto s = ValidateDnsServers(sending.resolvers); !s.ok()) return s;
  Engine::Options options;
  options.safety = *std::move(safety);
  options.source_address = sending.source_address;
  options.ca_file = sending.ca_file;
  options.resolvers = sending.resolvers;
  return options;
}

}  // namespace jetmon::probe
