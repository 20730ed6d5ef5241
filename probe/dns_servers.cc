#include "probe/dns_servers.h"

#include <algorithm>
#include <string_view>

#include "probe/ip_address.h"
#include "probe/text.h"

namespace jetmon::probe {
namespace {

constexpr size_t kMostServers = 16;

// "192.0.2.53", "192.0.2.53:5353", "2001:db8::53", "[2001:db8::53]", "[2001:db8::53]:5353". c-ares
// itself would take 127.1, and read port 65537 as 1.
bool IsServer(std::string_view text) {
  std::string_view address = text, port;
  if (text.starts_with("[")) {
    const size_t end = text.find(']');
    if (end == text.npos) return false;
    address = text.substr(1, end - 1);
    if (address.find(':') == address.npos) return false;
    port = text.substr(end + 1);
    if (!port.empty() && !port.starts_with(":")) return false;
  } else if (std::count(text.begin(), text.end(), ':') == 1) {
    address = text.substr(0, text.find(':'));
    port = text.substr(address.size());
  }
  if (!ParseIpAddress(address).ok()) return false;
  if (port.empty()) return true;
  port.remove_prefix(1);
  if (!AllDigits(port) || port.size() > 5) return false;
  const int number = std::stoi(std::string(port));
  return number >= 1 && number <= 65535;
}

}  // namespace

absl::Status ValidateDnsServers(const std::string& servers) {
  size_t count = 0;
  for (std::string_view left = servers; !servers.empty(); ++count) {
    const size_t comma = left.find(',');
    const std::string_view item = left.substr(0, comma);
    if (count == kMostServers) return absl::InvalidArgumentError("--resolvers takes 16 at most");
    if (!IsServer(item)) {
      return absl::InvalidArgumentError(
          Cat("--resolvers takes IP addresses with or without a port, by commas, such as "
              "192.0.2.53,[2001:db8::53]:5353; not \"",
              OneLine(item, 60), "\""));
    }
    if (comma == left.npos) break;
    left.remove_prefix(comma + 1);
  }
  return absl::OkStatus();
}

}  // namespace jetmon::probe
