#include "probe/ip_address.h"

#include <arpa/inet.h>

#include <algorithm>
#include <cstring>

#include "probe/text.h"

namespace jetmon::probe {
namespace {

// True if the bit `n` of the address is set, counted from the front.
bool Bit(const IpAddress& a, int n) { return (a.bytes[n / 8] >> (7 - n % 8)) & 1; }

}  // namespace

absl::StatusOr<IpAddress> ParseIpAddress(std::string_view text) {
  // inet_pton is strict about IPv4 (four decimals, no leading zeros in glibc) and needs a C string.
  char buffer[INET6_ADDRSTRLEN] = {};
  IpAddress address;
  if (text.size() < sizeof(buffer) && text.find('\0') == std::string_view::npos) {
    std::copy(text.begin(), text.end(), buffer);
    if (inet_pton(AF_INET, buffer, address.bytes.data()) == 1) return address;
    if (inet_pton(AF_INET6, buffer, address.bytes.data()) == 1) {
      address.family = IpAddress::Family::kV6;
      return address;
    }
  }
  return absl::InvalidArgumentError(Cat("not an IP address: \"", text.substr(0, 60), "\""));
}

std::string IpAddressText(const IpAddress& address) {
  char buffer[INET6_ADDRSTRLEN] = {};
  const int family = address.family == IpAddress::Family::kV4 ? AF_INET : AF_INET6;
  inet_ntop(family, address.bytes.data(), buffer, sizeof(buffer));
  return buffer;
}

bool Cidr::Contains(const IpAddress& address) const {
  if (address.family != base.family) return false;
  const int whole = prefix / 8;
  if (std::memcmp(address.bytes.data(), base.bytes.data(), whole) != 0) return false;
  const int rest = prefix % 8;
  if (rest == 0) return true;
  const uint8_t mask = static_cast<uint8_t>(0xff << (8 - rest));
  return ((address.bytes[whole] ^ base.bytes[whole]) & mask) == 0;
}

absl::StatusOr<Cidr> ParseCidr(std::string_view text) {
  const size_t slash = text.find('/');
  const auto address = ParseIpAddress(text.substr(0, slash));
  if (!address.ok()) return address.status();
  Cidr cidr{*address, address->bits()};
  if (slash == std::string_view::npos) return cidr;
  uint32_t prefix = 0;
  if (!ParseDigits(text.substr(slash + 1), &prefix) ||
      prefix > static_cast<uint32_t>(address->bits())) {
    return absl::InvalidArgumentError(Cat("not a prefix length: \"", text.substr(0, 60), "\""));
  }
  cidr.prefix = static_cast<int>(prefix);
  for (int i = cidr.prefix; i < address->bits(); ++i) {
    if (Bit(*address, i)) {
      return absl::InvalidArgumentError(
          Cat("bits are set behind the prefix: \"", text.substr(0, 60), "\""));
    }
  }
  return cidr;
}

absl::StatusOr<std::vector<Cidr>> ParseCidrList(std::string_view text) {
  std::vector<Cidr> list;
  if (Trim(text).empty()) return list;
  for (;;) {
    const size_t comma = text.find(',');
    auto cidr = ParseCidr(Trim(text.substr(0, comma)));
    if (!cidr.ok()) return cidr.status();
    list.push_back(*cidr);
    if (comma == std::string_view::npos) return list;
    text.remove_prefix(comma + 1);
  }
}

}  // namespace jetmon::probe
