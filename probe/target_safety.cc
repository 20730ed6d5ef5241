#include "probe/target_safety.h"

#include <algorithm>
#include <string>

#include "probe/text.h"

namespace jetmon::probe {
namespace {

struct Block {
  Cidr cidr;
  std::string_view what;
};

Block MakeBlock(std::string_view cidr, std::string_view what) { return {*ParseCidr(cidr), what}; }

// Everything that is not globally routable unicast by the IANA special-purpose registries (RFC 6890
// and its updates, as of 2024), and the metadata services that sit on public addresses. The first
// block that fits gives the reason.
const std::vector<Block>& RefusedBlocks() {
  static const auto* blocks = new std::vector<Block>{
      MakeBlock("169.254.169.254", "metadata"),
      MakeBlock("100.100.100.200", "metadata"),  // Alibaba
      MakeBlock("192.0.0.192", "metadata"),      // Oracle
      MakeBlock("168.63.129.16", "metadata"),    // Azure, on a public address
      MakeBlock("0.0.0.0/8", "reserved"),
      MakeBlock("10.0.0.0/8", "private"),
      MakeBlock("100.64.0.0/10", "carrier-grade NAT"),
      MakeBlock("127.0.0.0/8", "loopback"),
      MakeBlock("169.254.0.0/16", "link-local"),
      MakeBlock("172.16.0.0/12", "private"),
      MakeBlock("192.0.0.0/24", "reserved"),
      MakeBlock("192.0.2.0/24", "documentation"),
      MakeBlock("192.88.99.0/24", "reserved"),
      MakeBlock("192.168.0.0/16", "private"),
      MakeBlock("198.18.0.0/15", "benchmark"),
      MakeBlock("198.51.100.0/24", "documentation"),
      MakeBlock("203.0.113.0/24", "documentation"),
      MakeBlock("224.0.0.0/4", "multicast"),
      MakeBlock("240.0.0.0/4", "reserved"),
      MakeBlock("fd00:ec2::254", "metadata"),  // AWS
      MakeBlock("fd20:ce::254", "metadata"),   // Google
      MakeBlock("::1", "loopback"),
      MakeBlock("::ffff:0:0/96", "IPv4-mapped"),
      MakeBlock("64:ff9b::/96", "NAT64"),
      MakeBlock("64:ff9b:1::/48", "NAT64"),
      MakeBlock("fc00::/7", "private"),
      MakeBlock("fe80::/10", "link-local"),
      MakeBlock("fec0::/10", "private"),
      MakeBlock("ff00::/8", "multicast"),
      MakeBlock("2001:db8::/32", "documentation"),
      MakeBlock("3fff::/20", "documentation"),
      MakeBlock("2001:2::/48", "benchmark"),
      MakeBlock("2001::/32", "Teredo"),
      MakeBlock("2001::/23", "reserved"),
      MakeBlock("2002::/16", "6to4"),
  };
  return *blocks;
}

// All of IPv6 that is handed out as global unicast; what is outside is reserved.
const Cidr& GlobalUnicast6() {
  static const auto* cidr = new Cidr(*ParseCidr("2000::/3"));
  return *cidr;
}

bool IsLocalName(std::string_view host) {
  while (!host.empty() && host.back() == '.') host.remove_suffix(1);
  for (std::string_view name : {"localhost", "local", "internal"}) {
    if (host == name || host.ends_with(Cat(".", name))) return true;
  }
  // What /etc/hosts of many distributions gives to loopback.
  return host == "localhost.localdomain" || host == "ip6-localhost" || host == "ip6-loopback";
}

absl::Status Refused(std::string_view what) {
  return absl::PermissionDeniedError(Cat("target safety: ", what));
}

}  // namespace

absl::StatusOr<TargetSafety> TargetSafety::FromFlags(std::string_view target_safety,
                                                     std::string_view allow_cidr) {
  Options options;
  if (target_safety == "off") {
    options.public_only = false;
  } else if (target_safety != "public_only") {
    return absl::InvalidArgumentError(
        Cat("--target_safety is public_only or off, not \"", target_safety, "\""));
  }
  auto allow = ParseCidrList(allow_cidr);
  if (!allow.ok()) {
    return absl::InvalidArgumentError(Cat("--allow_cidr: ", std::string(allow.status().message())));
  }
  options.allow = *std::move(allow);
  return TargetSafety(std::move(options));
}

absl::Status TargetSafety::JudgeUrl(const Url& url) const {
  if (url.kind == UrlKind::kMalformed) return Refused(Cat("malformed URL: ", url.error));
  if (url.kind == UrlKind::kOtherScheme) return Refused("scheme is not http or https");
  if (url.has_userinfo) return Refused("userinfo in the URL");
  if (url.kind == UrlKind::kNumericHost) return Refused("ambiguous numeric host");
  if (url.address) return JudgeAddress(*url.address);
  if (options_.public_only && IsLocalName(url.host)) return Refused("local name");
  return absl::OkStatus();
}

absl::Status TargetSafety::JudgeAddress(const IpAddress& address) const {
  if (!options_.public_only) return absl::OkStatus();
  const auto contains = [&](const Cidr& cidr) { return cidr.Contains(address); };
  if (std::any_of(options_.allow.begin(), options_.allow.end(), contains)) return absl::OkStatus();
  for (const Block& block : RefusedBlocks()) {
    if (block.cidr.Contains(address)) return Refused(Cat(block.what, " address"));
  }
  if (address.family == IpAddress::Family::kV6 && !GlobalUnicast6().Contains(address)) {
    return Refused("reserved address");
  }
  return absl::OkStatus();
}

}  // namespace jetmon::probe
