#include "probe/check.h"

#include <algorithm>
#include <array>

#include "absl/status/status.h"
#include "absl/strings/ascii.h"
#include "probe/text.h"

namespace jetmon::probe {
namespace {

struct NamedMode {
  std::string_view name;
  Mode mode;
};

constexpr std::array<NamedMode, 5> kModes = {{
    {"head-legacy", {Method::kHead, Profile::kLegacy}},
    {"head-simple", {Method::kHead, Profile::kSimpleHttp}},
    {"get-legacy", {Method::kGet, Profile::kLegacy}},
    {"get-simple", {Method::kGet, Profile::kSimpleHttp}},
    {"get-full", {Method::kGet, Profile::kFull}},
}};

bool IsToken(std::string_view text) {
  return !text.empty() && std::all_of(text.begin(), text.end(), [](unsigned char c) {
    return absl::ascii_isalnum(c) ||
           std::string_view("!#$%&'*+-.^_`|~").find(static_cast<char>(c)) != std::string_view::npos;
  });
}

bool IsOurs(std::string_view header) {
  for (std::string_view ours : {"host", "connection", "content-length", "transfer-encoding"}) {
    if (EqualsIgnoreCase(header, ours)) return true;
  }
  return false;
}

}  // namespace

absl::StatusOr<Mode> ParseMode(std::string_view name) {
  for (const NamedMode& known : kModes) {
    if (known.name == name) return known.mode;
  }
  return absl::InvalidArgumentError(
      Cat("mode is head-legacy, head-simple, get-legacy, get-simple or get-full, not \"",
          name.substr(0, 60), "\""));
}

std::string ModeName(Mode mode) {
  for (const NamedMode& known : kModes) {
    if (known.mode == mode) return std::string(known.name);
  }
  return "head-simple";  // HEAD caps full
}

absl::StatusOr<Mode> ParseMode(std::string_view method, std::string_view profile) {
  Mode mode;
  if (method == "GET") {
    mode.method = Method::kGet;
  } else if (method != "HEAD") {
    return absl::InvalidArgumentError(
        Cat("method is HEAD or GET, not \"", method.substr(0, 60), "\""));
  }
  if (profile == "simple_http") {
    mode.profile = Profile::kSimpleHttp;
  } else if (profile == "full") {
    mode.profile = mode.method == Method::kHead ? Profile::kSimpleHttp : Profile::kFull;
  } else if (profile != "legacy") {
    return absl::InvalidArgumentError(
        Cat("profile is legacy, simple_http or full, not \"", profile.substr(0, 60), "\""));
  }
  return mode;
}

std::string_view MethodName(Method method) { return method == Method::kHead ? "HEAD" : "GET"; }

std::string_view ProfileName(Profile profile) {
  switch (profile) {
    case Profile::kLegacy:
      return "legacy";
    case Profile::kSimpleHttp:
      return "simple_http";
    case Profile::kFull:
      return "full";
  }
  return "";
}

absl::Status ValidateRules(const FullRules& rules) {
  if (rules.keyword.size() > FullRules::kMaxKeywordBytes) {
    return absl::InvalidArgumentError("probe: a keyword has at most 255 bytes");
  }
  if (rules.forbidden_keywords.size() > FullRules::kMaxForbidden) {
    return absl::InvalidArgumentError("probe: at most 16 forbidden keywords");
  }
  for (const std::string& k : rules.forbidden_keywords) {
    if (k.empty() || k.size() > FullRules::kMaxKeywordBytes) {
      return absl::InvalidArgumentError("probe: a forbidden keyword has 1 to 255 bytes");
    }
  }
  if (rules.headers.size() > FullRules::kMaxHeaders) {
    return absl::InvalidArgumentError("probe: at most 32 headers");
  }
  for (const Header& h : rules.headers) {
    if (!IsToken(h.name) || h.name.size() > FullRules::kMaxHeaderName || IsOurs(h.name)) {
      return absl::InvalidArgumentError(
          "probe: a header's name is a token of at most 64 bytes, and not Host, Connection, "
          "Content-Length or Transfer-Encoding");
    }
    if (h.value.size() > FullRules::kMaxHeaderValue || !IsOneLine(h.value)) {
      return absl::InvalidArgumentError(
          "probe: a header's value is one line of at most 1024 bytes");
    }
  }
  return absl::OkStatus();
}

absl::StatusOr<RedirectPolicy> ParseRedirectPolicy(std::string_view name) {
  for (RedirectPolicy p :
       {RedirectPolicy::kFollow, RedirectPolicy::kAlert, RedirectPolicy::kFail}) {
    if (name == RedirectPolicyName(p)) return p;
  }
  return absl::InvalidArgumentError(
      Cat("redirect policy is follow, alert or fail, not \"", name.substr(0, 60), "\""));
}

std::string_view RedirectPolicyName(RedirectPolicy policy) {
  switch (policy) {
    case RedirectPolicy::kFollow:
      return "follow";
    case RedirectPolicy::kAlert:
      return "alert";
    case RedirectPolicy::kFail:
      return "fail";
  }
  return "";
}

std::string_view AdvisoryName(Advisory advisory) {
  switch (advisory) {
    case Advisory::kDeprecatedTls:
      return "deprecated_tls";
    case Advisory::kCertificateEndsSoon:
      return "certificate_ends_soon";
    case Advisory::kRedirected:
      return "redirected";
  }
  return "";
}

std::string_view OutcomeName(Outcome outcome) {
  switch (outcome) {
    case Outcome::kUp:
      return "up";
    case Outcome::kDown:
      return "down";
    case Outcome::kSafety:
      return "safety";
    case Outcome::kCancelled:
      return "cancelled";
    case Outcome::kLeaseLapsed:
      return "lease_lapsed";
    case Outcome::kLost:
      return "lost";
  }
  return "";
}

}  // namespace jetmon::probe
