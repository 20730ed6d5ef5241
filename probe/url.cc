#include "probe/url.h"

#include <algorithm>
#include <vector>

#include "absl/strings/ascii.h"
#include "probe/text.h"

namespace jetmon::probe {
namespace {

Url Malformed(std::string_view why) {
  Url url;
  url.error = std::string(why);
  return url;
}

std::string Lower(std::string_view text) {
  std::string out(text);
  absl::AsciiStrToLower(&out);
  return out;
}

// The length of a leading "scheme" of "scheme:", or npos. What follows the colon is not looked at.
size_t SchemeLength(std::string_view text) {
  if (text.empty() || !absl::ascii_isalpha(text.front())) return std::string_view::npos;
  for (size_t i = 0; i < text.size(); ++i) {
    const unsigned char c = text[i];
    if (c == ':') return i;
    if (!absl::ascii_isalnum(c) && c != '+' && c != '-' && c != '.') break;
  }
  return std::string_view::npos;
}

// "example.com:8080/x" has no scheme though it looks like one.
bool PortFollows(std::string_view after_colon) {
  const std::string_view digits = after_colon.substr(0, after_colon.find_first_of("/?#"));
  return AllDigits(digits);
}

bool IsNumber(std::string_view label) {
  if (AllDigits(label)) return true;
  return EqualsIgnoreCase(label.substr(0, 2), "0x") &&
         std::all_of(label.begin() + 2, label.end(), absl::ascii_isxdigit);
}

// Programs that know the old forms read a host as IPv4 when its last label is a number.
bool EndsInNumber(std::string_view host) {
  while (!host.empty() && host.back() == '.') host.remove_suffix(1);
  const size_t dot = host.rfind('.');
  return IsNumber(dot == std::string_view::npos ? host : host.substr(dot + 1));
}

// Bytes above 0x7f are let through: internationalised names, for the resolver to judge.
bool IsHostByte(unsigned char c) {
  return absl::ascii_isalnum(c) || c == '.' || c == '-' || c == '_' || c >= 0x80;
}

std::string EncodeTarget(std::string_view text) {
  std::string out;
  out.reserve(text.size() + 1);
  if (text.empty() || text.front() != '/') out.push_back('/');
  for (const unsigned char c : text) {
    if (c <= ' ' || c >= 0x7f) {
      constexpr std::string_view kHex = "0123456789ABCDEF";
      out.append({'%', kHex[c >> 4], kHex[c & 15]});
    } else {
      out.push_back(static_cast<char>(c));
    }
  }
  return out;
}

// Reads host and port of an authority without userinfo; false with url->error set.
bool ReadHostAndPort(std::string_view text, Url* url) {
  std::string_view host, port;
  bool bracketed = false;
  if (!text.empty() && text.front() == '[') {
    const size_t end = text.find(']');
    if (end == std::string_view::npos) return url->error = "no ] after the IPv6 address", false;
    bracketed = true;
    host = text.substr(1, end - 1);
    port = text.substr(end + 1);
    if (!port.empty() && port.front() != ':') return url->error = "junk after the host", false;
  } else {
    const size_t colon = text.find(':');
    host = text.substr(0, colon);
    if (colon != std::string_view::npos) port = text.substr(colon);
  }
  url->port = url->https ? 443 : 80;
  if (port.size() > 1) {
    uint32_t number = 0;
    port.remove_prefix(1);
    if (!ParseDigits(port, &number) || number == 0 || number > 65535) {
      return url->error = "bad port", false;
    }
    url->port = static_cast<uint16_t>(number);
  }
  url->host = Lower(host);
  const auto address = ParseIpAddress(host);
  if (address.ok()) url->address = *address;
  const bool v6 = address.ok() && address->family == IpAddress::Family::kV6;
  if (bracketed != v6) return url->error = "bad IPv6 address", false;
  if (v6) return true;
  if (host.empty() || host.front() == '.') return url->error = "no host", false;
  if (host.size() > 255) return url->error = "host too long", false;
  if (!std::all_of(host.begin(), host.end(), IsHostByte)) {
    return url->error = "a character that no host has", false;
  }
  return true;
}

UrlKind KindOf(const Url& url) {
  return !url.address && EndsInNumber(url.host) ? UrlKind::kNumericHost : UrlKind::kWeb;
}

// `rest` is what stands behind "scheme://".
Url ParseAuthorityAndTarget(bool https, std::string_view rest) {
  Url url;
  url.https = https;
  rest = rest.substr(0, rest.find('#'));
  const size_t end = rest.find_first_of("/?");
  std::string_view authority = rest.substr(0, end);
  // Browsers read \ as /, curl as part of the userinfo: what programs differ in is not a URL.
  if (authority.find('\\') != std::string_view::npos) return Malformed("a \\ before the path");
  const size_t at = authority.rfind('@');
  if (at != std::string_view::npos) {
    url.has_userinfo = true;
    authority.remove_prefix(at + 1);
  }
  if (!ReadHostAndPort(authority, &url)) return url;
  url.target = EncodeTarget(end == std::string_view::npos ? "" : rest.substr(end));
  url.kind = KindOf(url);
  return url;
}

// RFC 3986 5.2.4 on a path that starts with '/'.
std::string RemoveDotSegments(std::string_view path) {
  std::vector<std::string_view> kept;
  bool open = false;  // the path ends in a directory
  while (!path.empty()) {
    path.remove_prefix(1);
    const size_t slash = path.find('/');
    const std::string_view segment = path.substr(0, slash);
    path = slash == std::string_view::npos ? std::string_view() : path.substr(slash);
    open = segment == "." || segment == "..";
    if (segment == ".." && !kept.empty()) kept.pop_back();
    if (!open) kept.push_back(segment);
  }
  std::string out;
  for (std::string_view segment : kept) out.append("/").append(segment);
  if (open || out.empty()) out.push_back('/');
  return out;
}

// A reference with neither scheme nor authority.
std::string ResolveTarget(std::string_view base_target, std::string_view reference) {
  if (reference.empty()) return std::string(base_target);
  const std::string_view base_path = base_target.substr(0, base_target.find('?'));
  if (reference.front() == '?') return Cat(base_path, reference);
  const size_t mark = reference.find('?');
  const std::string_view path = reference.substr(0, mark);
  const std::string_view query =
      mark == std::string_view::npos ? std::string_view() : reference.substr(mark);
  if (path.front() == '/') return Cat(RemoveDotSegments(path), query);
  const std::string_view directory = base_path.substr(0, base_path.rfind('/') + 1);
  return Cat(RemoveDotSegments(Cat(directory, path)), query);
}

}  // namespace

std::string Url::HostHeader() const {
  const bool v6 = address && address->family == IpAddress::Family::kV6;
  std::string out = v6 ? Cat("[", host, "]") : host;
  if (port != (https ? 443 : 80)) out += Cat(":", port);
  return out;
}

std::string Url::Text() const { return Cat(https ? "https://" : "http://", HostHeader(), target); }

Url ParseUrl(std::string_view text) {
  text = Trim(text);
  if (text.empty()) return Malformed("empty");
  if (text.size() > kMaxUrlBytes) return Malformed("longer than 2048 bytes");
  if (text.starts_with("//")) return ParseAuthorityAndTarget(false, text.substr(2));
  const size_t scheme_length = SchemeLength(text);
  if (scheme_length == std::string_view::npos) return ParseAuthorityAndTarget(false, text);
  const std::string_view scheme = text.substr(0, scheme_length);
  const std::string_view rest = text.substr(scheme_length + 1);
  const bool https = EqualsIgnoreCase(scheme, "https");
  if (https || EqualsIgnoreCase(scheme, "http")) {
    if (!rest.starts_with("//")) return Malformed("no // after the scheme");
    return ParseAuthorityAndTarget(https, rest.substr(2));
  }
  if (PortFollows(rest)) return ParseAuthorityAndTarget(false, text);
  // user:password@host, which target safety refuses by its userinfo, also ends here.
  Url url;
  url.kind = UrlKind::kOtherScheme;
  return url;
}

Url ResolveLocation(const Url& base, std::string_view location) {
  location = Trim(location);
  if (location.size() > kMaxUrlBytes) return Malformed("longer than 2048 bytes");
  if (SchemeLength(location) != std::string_view::npos) {
    // Unlike in v1's table, in a Location "host:80/x" is the scheme host.
    const size_t length = SchemeLength(location);
    const std::string_view scheme = location.substr(0, length);
    if (EqualsIgnoreCase(scheme, "http") || EqualsIgnoreCase(scheme, "https")) {
      return ParseUrl(location);
    }
    Url url;
    url.kind = UrlKind::kOtherScheme;
    return url;
  }
  if (location.starts_with("//")) {
    return ParseAuthorityAndTarget(base.https, location.substr(2));
  }
  Url url = base;
  url.has_userinfo = false;
  url.target = EncodeTarget(ResolveTarget(base.target, location.substr(0, location.find('#'))));
  if (url.target.size() > kMaxUrlBytes) return Malformed("longer than 2048 bytes");
  return url;
}

}  // namespace jetmon::probe
