#include "controlplane/gateway/path_template.h"

#include <cctype>

#include "controlplane/gateway/json_scan.h"

namespace jetmon::gateway {
namespace {

constexpr size_t kMostSegments = 16;

absl::Status Bad(std::string_view what, std::string_view text) {
  return absl::InvalidArgumentError(std::string(what) + ": " + std::string(text));
}

bool IsName(std::string_view text) {
  if (text.empty()) return false;
  for (char c : text) {
    if (!isalnum(static_cast<unsigned char>(c)) && c != '_') return false;
  }
  return true;
}

bool IsLiteral(std::string_view text) {
  if (text.empty()) return false;
  for (char c : text) {
    if (!isalnum(static_cast<unsigned char>(c)) && c != '_' && c != '-' && c != '.') return false;
  }
  return true;
}

int HexValue(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

}  // namespace

absl::StatusOr<PathTemplate> ParsePathTemplate(std::string_view text) {
  PathTemplate path;
  auto split = SplitPath(text);
  if (!split.ok()) return split.status();
  for (size_t i = 0; i < split->segments.size(); ++i) {
    std::string_view segment = split->segments[i];
    if (i + 1 == split->segments.size()) {
      const size_t colon = segment.rfind(':');
      if (colon != std::string_view::npos) {
        path.verb = std::string(segment.substr(colon + 1));
        segment = segment.substr(0, colon);
        if (!IsLiteral(path.verb)) return Bad("bad verb", text);
      }
    }
    if (segment.size() > 2 && segment.front() == '{' && segment.back() == '}') {
      segment = segment.substr(1, segment.size() - 2);
      if (!IsName(segment)) return Bad("bad variable", text);
      path.segments.push_back({true, std::string(segment)});
    } else if (IsLiteral(segment)) {
      path.segments.push_back({false, std::string(segment)});
    } else {
      return Bad("bad segment", text);
    }
  }
  return path;
}

absl::StatusOr<RequestPath> SplitPath(std::string_view path) {
  if (path.size() < 2 || path.front() != '/') return Bad("no path", path);
  RequestPath out;
  path.remove_prefix(1);
  for (;;) {
    const size_t slash = path.find('/');
    out.segments.push_back(path.substr(0, slash));
    if (out.segments.size() > kMostSegments) return Bad("too many segments", "");
    if (slash == std::string_view::npos) return out;
    path.remove_prefix(slash + 1);
  }
}

absl::StatusOr<std::string> PercentDecode(std::string_view text, bool query) {
  std::string out;
  out.reserve(text.size());
  for (size_t i = 0; i < text.size(); ++i) {
    char c = text[i];
    if (c == '+' && query) {
      c = ' ';
    } else if (c == '%') {
      const int high = i + 2 < text.size() ? HexValue(text[i + 1]) : -1;
      const int low = i + 2 < text.size() ? HexValue(text[i + 2]) : -1;
      if (high < 0 || low < 0) return Bad("bad percent escape", "");
      c = static_cast<char>(high * 16 + low);
      i += 2;
    }
    if (c == '\0') return Bad("a NUL byte", "");
    out += c;
  }
  if (!IsUtf8(out)) return Bad("bad UTF-8", "");
  return out;
}

}  // namespace jetmon::gateway
