#ifndef JETMON_PROBE_URL_H_
#define JETMON_PROBE_URL_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "probe/ip_address.h"

namespace jetmon::probe {

// Longest URL that is looked at, in bytes.
inline constexpr size_t kMaxUrlBytes = 2048;

enum class UrlKind {
  kWeb,          // http or https to a name or an address literal
  kNumericHost,  // the same to an octal, hex, short or single-integer IPv4, or one with a trailing
                 // dot: target safety refuses it, because programs differ in what they read there
  kOtherScheme,  // ftp:, mailto:, javascript: ...; target safety refuses it
  kMalformed,    // `error` says why
};

// A URL taken apart. A value.
struct Url {
  UrlKind kind = UrlKind::kMalformed;
  bool https = false;
  bool has_userinfo = false;
  std::string host;    // lower case, without brackets; as written otherwise (trailing dots stay)
  uint16_t port = 0;   // as written, or 80 or 443
  std::string target;  // path and query, starts with '/', safe to write into a request line;
                       // the fragment is stripped
  std::optional<IpAddress> address;  // set when the host is an address literal
  std::string error;                 // for kMalformed

  // The Host header's value: the port only when it is not the scheme's own.
  std::string HostHeader() const;
  // The whole again, without userinfo and fragment. For people and logs.
  std::string Text() const;
};

// Reads what people and v1's table hold, tolerantly: spaces around it are dropped, spaces and
// controls in the path are percent-encoded, and a URL without a scheme is taken as http:// (as v1
// did: "example.com/x" and "127.0.0.1:8080/x" are http). Never fails otherwise than by kind.
Url ParseUrl(std::string_view text);

// Where a Location header of an answer to `base` leads: absolute, scheme-relative (//host/x),
// absolute path, query alone, or relative path (dot segments removed). kMalformed if it is nowhere.
Url ResolveLocation(const Url& base, std::string_view location);

}  // namespace jetmon::probe

#endif  // JETMON_PROBE_URL_H_
