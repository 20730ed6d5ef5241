#ifndef JETMON_PROBE_DNS_SERVERS_H_
#define JETMON_PROBE_DNS_SERVERS_H_

#include <string>

#include "absl/status/status.h"

namespace jetmon::probe {

// What --resolvers may say: at most 16 IP addresses, each maybe with a port, by commas, such as
// "127.0.0.1:5353,[::1]:53"; empty = those of /etc/resolv.conf. Else InvalidArgument naming the
// flag.
absl::Status ValidateDnsServers(const std::string& servers);

}  // namespace jetmon::probe

#endif  // JETMON_PROBE_DNS_SERVERS_H_
