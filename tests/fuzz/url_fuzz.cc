// URLs and addresses: what people, v1's table and Location headers hold. An input is one URL; what
// stands behind its first line is a Location to be resolved against it.
#include <arpa/inet.h>
#include <netdb.h>
#include <sys/socket.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>

#include "probe/ip_address.h"
#include "probe/target_safety.h"
#include "probe/text.h"
#include "probe/url.h"
#include "tests/fuzz/require.h"

namespace jetmon::probe {
namespace {

// Whether the whole Internet routes to an address: told apart from target_safety.cc, and shorter.
bool IsGlobal4(const uint8_t* b) {
  const uint32_t a = (uint32_t{b[0]} << 24) | (uint32_t{b[1]} << 16) | (uint32_t{b[2]} << 8) | b[3];
  const auto in = [a](uint32_t base, int bits) { return (a ^ base) >> (32 - bits) == 0; };
  return a != 0xa83f8110 && !in(0x00000000, 8) && !in(0x0a000000, 8) && !in(0x64400000, 10) &&
         !in(0x7f000000, 8) && !in(0xa9fe0000, 16) && !in(0xac100000, 12) && !in(0xc0000000, 24) &&
         !in(0xc0000200, 24) && !in(0xc0586300, 24) && !in(0xc0a80000, 16) && !in(0xc6120000, 15) &&
         !in(0xc6336400, 24) && !in(0xcb007100, 24) && a < 0xe0000000;
}

bool IsGlobal6(const uint8_t* b) {
  const unsigned first = b[0] * 256u + b[1], second = b[2] * 256u + b[3];
  if (first < 0x2000 || first > 0x3fff) return false;
  if (first == 0x2001 && (second < 0x200 || second == 0xdb8)) return false;
  return first != 0x2002 && !(first == 0x3fff && second < 0x1000);
}

bool IsGlobal(const IpAddress& address) {
  return address.family == IpAddress::Family::kV4 ? IsGlobal4(address.bytes.data())
                                                  : IsGlobal6(address.bytes.data());
}

// What the C library reads in a host that is no name: it knows the old ways of writing IPv4.
bool ReadByLibc(const std::string& host, IpAddress* address) {
  addrinfo hints{}, *found = nullptr;
  hints.ai_flags = AI_NUMERICHOST;
  hints.ai_socktype = SOCK_STREAM;
  if (getaddrinfo(host.c_str(), nullptr, &hints, &found) != 0) return false;
  const bool v6 = found->ai_family == AF_INET6;
  address->family = v6 ? IpAddress::Family::kV6 : IpAddress::Family::kV4;
  if (v6) {
    std::memcpy(address->bytes.data(),
                &reinterpret_cast<const sockaddr_in6*>(found->ai_addr)->sin6_addr, 16);
  } else {
    std::memcpy(address->bytes.data(),
                &reinterpret_cast<const sockaddr_in*>(found->ai_addr)->sin_addr, 4);
  }
  freeaddrinfo(found);
  return true;
}

void RequireAcceptedIsPublic(const Url& url) {
  static const auto* safety = new TargetSafety();
  if (!safety->JudgeUrl(url).ok()) return;
  REQUIRE(url.kind == UrlKind::kWeb);
  REQUIRE(!url.has_userinfo);
  IpAddress by_libc;
  if (ReadByLibc(url.host, &by_libc)) {
    REQUIRE(url.address.has_value());
    REQUIRE(*url.address == by_libc);
  }
  if (url.address) {
    REQUIRE(IsGlobal(*url.address));
    return;
  }
  std::string name = "." + url.host;
  while (name.ends_with('.')) name.pop_back();
  for (const char* local : {".localhost", ".local", ".internal"}) REQUIRE(!name.ends_with(local));
}

void RequireSafe(const Url& url) {
  if (url.kind == UrlKind::kMalformed) {
    REQUIRE(IsOneLine(url.error) && !url.error.empty());
    return;
  }
  if (url.kind == UrlKind::kOtherScheme) return;
  REQUIRE(url.port != 0);
  REQUIRE(!url.host.empty() && url.host.size() <= 255);
  REQUIRE(url.host.find_first_of(std::string_view("/\\?#@% \0[]", 11)) == std::string::npos);
  REQUIRE(IsOneLine(url.host) && IsOneLine(url.HostHeader()));
  REQUIRE(url.target.starts_with('/') && url.target.find('#') == std::string::npos);
  REQUIRE(std::all_of(url.target.begin(), url.target.end(),
                      [](char c) { return c > ' ' && c <= '~'; }));
}

// Its text says all of a URL but the userinfo, which none is sent with.
void RequireSameAgain(const Url& url) {
  if (url.kind == UrlKind::kMalformed || url.kind == UrlKind::kOtherScheme) return;
  const std::string text = url.Text();
  if (text.size() > kMaxUrlBytes) return;
  const Url again = ParseUrl(text);
  REQUIRE(again.kind == url.kind);
  REQUIRE(again.https == url.https);
  REQUIRE(again.host == url.host);
  REQUIRE(again.port == url.port);
  REQUIRE(again.target == url.target);
  REQUIRE(again.address == url.address);
  REQUIRE(!again.has_userinfo);
  REQUIRE(again.Text() == text);
}

void RequireAll(const Url& url) {
  RequireSafe(url);
  RequireSameAgain(url);
  RequireAcceptedIsPublic(url);
}

void RequireAddress(std::string_view text) {
  const auto address = ParseIpAddress(text);
  if (address.ok()) {
    const auto again = ParseIpAddress(IpAddressText(*address));
    REQUIRE(again.ok() && *again == *address);
    REQUIRE(TargetSafety().JudgeAddress(*address).ok() == IsGlobal(*address));
  }
  const auto cidr = ParseCidr(text);
  if (cidr.ok()) REQUIRE(cidr->Contains(cidr->base));
  (void)ParseCidrList(text);
}

void RunCase(std::string_view input) {
  const size_t line = input.find('\n');
  const std::string_view text = input.substr(0, line);
  const Url url = ParseUrl(text);
  RequireAll(url);
  RequireAddress(text);
  if (line == std::string_view::npos) return;
  if (url.kind == UrlKind::kMalformed || url.kind == UrlKind::kOtherScheme) return;
  const std::string_view location = input.substr(line + 1);
  const Url next = ResolveLocation(url, location);
  RequireAll(next);
  // A path alone stays where it is.
  if (next.kind == UrlKind::kMalformed || !location.starts_with('/')) return;
  if (location.size() > 1 && location[1] == '/') return;
  REQUIRE(next.host == url.host && next.port == url.port && next.https == url.https);
}

}  // namespace
}  // namespace jetmon::probe

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  jetmon::probe::RunCase({reinterpret_cast<const char*>(data), size});
  return 0;
}
