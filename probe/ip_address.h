#ifndef JETMON_PROBE_IP_ADDRESS_H_
#define JETMON_PROBE_IP_ADDRESS_H_

#include <array>
#include <compare>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"

namespace jetmon::probe {

// One IPv4 or IPv6 address, in network byte order. A value; no zone.
struct IpAddress {
  enum class Family : uint8_t { kV4, kV6 };
  Family family = Family::kV4;
  std::array<uint8_t, 16> bytes{};  // the first 4 for IPv4, the rest zero

  int bits() const { return family == Family::kV4 ? 32 : 128; }
  friend bool operator==(const IpAddress&, const IpAddress&) = default;
};

// Strict: four decimal numbers without leading zeros, or RFC 4291 text without brackets and zone.
// InvalidArgument else.
absl::StatusOr<IpAddress> ParseIpAddress(std::string_view text);
std::string IpAddressText(const IpAddress& address);

// A block of addresses of one family.
struct Cidr {
  IpAddress base;
  int prefix = 0;  // 0..32 or 0..128

  // False for an address of the other family: an IPv4-mapped IPv6 address is IPv6.
  bool Contains(const IpAddress& address) const;
  friend bool operator==(const Cidr&, const Cidr&) = default;
};

// "10.0.0.0/8", "fd00::/8", or one address. InvalidArgument if malformed or if bits stand behind
// the prefix (10.0.0.1/8 is more likely a slip than a wish).
absl::StatusOr<Cidr> ParseCidr(std::string_view text);
// Comma-separated; spaces around an item and an empty text are fine.
absl::StatusOr<std::vector<Cidr>> ParseCidrList(std::string_view text);

}  // namespace jetmon::probe

#endif  // JETMON_PROBE_IP_ADDRESS_H_
