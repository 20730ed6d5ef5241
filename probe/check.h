#ifndef JETMON_PROBE_CHECK_H_
#define JETMON_PROBE_CHECK_H_

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "clock/clock.h"

namespace jetmon::probe {

inline constexpr std::string_view kUserAgentV2 =
    "jetmon/2.0 (Jetpack Site Uptime Monitor by WordPress.com)";

enum class Method { kHead, kGet };
// What success means: legacy is what v1 did (0 < code < 400, the third redirect response counts as
// up, certificates are not judged); simple_http a code of 1..399 after up to 10 redirects, and over
// TLS a certificate that is trusted, in date and for this host; full is simple_http and what its
// FullRules say, with a complete body.
enum class Profile { kLegacy, kSimpleHttp, kFull };

struct Mode {
  Method method = Method::kHead;
  Profile profile = Profile::kLegacy;
  friend bool operator==(const Mode&, const Mode&) = default;
};

// "head-legacy", "head-simple", "get-legacy", "get-simple", "get-full"; InvalidArgument else.
absl::StatusOr<Mode> ParseMode(std::string_view name);
std::string ModeName(Mode mode);
// From a check policy: method "HEAD" or "GET", profile "legacy", "simple_http" or "full". HEAD caps
// full to simple_http.
absl::StatusOr<Mode> ParseMode(std::string_view method, std::string_view profile);
std::string_view MethodName(Method method);     // "HEAD", "GET"
std::string_view ProfileName(Profile profile);  // "legacy", "simple_http", "full"

enum class Outcome {
  kUp,
  kDown,
  kSafety,  // target safety refused, before any packet to that target: never downtime
  kCancelled,
  kLeaseLapsed,  // the lease refused: nothing, or nothing more, was sent; no verdict
  kLost,         // paused, queued too long, or this machine's fault: no verdict, check again
};
// "up", "down", "safety", "cancelled", "lease_lapsed", "lost".
std::string_view OutcomeName(Outcome outcome);
// Only these two say something about the site.
inline bool IsVerdict(Outcome outcome) {
  return outcome == Outcome::kUp || outcome == Outcome::kDown;
}

// Numbers are those of the wire and the database.
enum class ErrorCode {
  kNone = 0,
  kTimeout = 1,
  kConnect = 2,  // or DNS, or an answer that is not HTTP
  kTls = 3,
  kRedirect = 4,
  kKeyword = 5,
  kCertificateExpired = 6,
  kDeprecatedTls = 7,  // advisory
  kBodyRead = 8,       // the answer broke off or broke a bound after its status line
  kTargetSafety = 9,
};

// Says whether this process may send. Asked right before every connect and every send of a check,
// redirect hops included, while a check waits (10 times a second), and when its result is ready.
// Implementations are thread-safe and quick: reactors call it.
class LeaseGate {
 public:
  virtual ~LeaseGate() = default;
  virtual bool MaySend(BootTime now) const = 0;
};

// What `full` does when an answer is a redirect: follows it; follows it and advises kRedirected; or
// calls the site down.
enum class RedirectPolicy { kFollow, kAlert, kFail };
// "follow", "alert", "fail"; InvalidArgument else.
absl::StatusOr<RedirectPolicy> ParseRedirectPolicy(std::string_view name);
std::string_view RedirectPolicyName(RedirectPolicy policy);

struct Header {
  std::string name, value;
};

// What `full` asks of an answer beyond simple_http; other profiles ignore it. Engine::Submit
// refuses what is out of bounds.
struct FullRules {
  static constexpr size_t kMaxKeywordBytes = 255, kMaxForbidden = 16, kMaxHeaders = 32;
  static constexpr size_t kMaxHeaderName = 64, kMaxHeaderValue = 1024;

  std::string keyword;                          // must stand in the body; at most 255 bytes
  std::vector<std::string> forbidden_keywords;  // must not; at most 16 of 1 to 255 bytes
  RedirectPolicy redirects = RedirectPolicy::kFollow;
  // Sent with the request, to the site's own origin only (not where a redirect leads elsewhere). At
  // most 32, names are tokens of at most 64 bytes, values one line of at most 1,024 bytes. `Host`,
  // `Connection`, `Content-Length` and `Transfer-Encoding` are the engine's own.
  std::vector<Header> headers;

  bool reads_body() const { return !keyword.empty() || !forbidden_keywords.empty(); }
};

// InvalidArgument with what is out of bounds.
absl::Status ValidateRules(const FullRules& rules);

// The longest a phase may take, each from its own start; 0 = what is left of the whole check. Of
// several addresses each may in any case use only half of what is left, but the last.
struct PhaseLimits {
  std::chrono::milliseconds dns{0}, connect{0}, tls{0}, first_byte{0};
};

inline constexpr int kCallers = 16;

struct CheckRequest {
  uint64_t site_id = 0;
  std::string url;
  Mode mode;
  // For the whole check, redirects included, counted from its start (not from Submit). > 0.
  std::chrono::milliseconds timeout{10000};
  PhaseLimits limits;
  std::string user_agent{kUserAgentV2};
  // May be null: no rules beyond completeness. Shared, because thousands of sites have the same.
  std::shared_ptr<const FullRules> full;
  // Who asks, 0 to kCallers - 1: callers take turns, and what one has queued takes no place from
  // another.
  int caller = 0;
  // May be null: no lease. Must outlive the check.
  const LeaseGate* lease = nullptr;
  // The caller's own end, zero = none: past it the check ends as kLost, queued or running. Without
  // one, a check is dropped as kLost when it has been queued for longer than its timeout.
  BootTime give_up_at{};
  // May be null. Set to true by the caller to cancel this check (noticed within 0.1 s).
  std::shared_ptr<const std::atomic<bool>> cancelled;
};

// Microseconds each; 0 for a phase that did not happen. Of the last hop, but total, which is of
// all.
struct Timings {
  int64_t dns_us = 0;
  int64_t connect_us = 0;
  int64_t tls_us = 0;
  int64_t ttfb_us = 0;  // from connected to the first byte of the answer
  int64_t total_us = 0;
};

// What a TLS handshake showed. Names are one line of printable ASCII, at most 200 bytes.
struct TlsFacts {
  std::string version;  // "TLSv1.3"; empty: no handshake ended
  std::string cipher;   // OpenSSL's name
  bool resumed = false;
  // Of the server's certificate; on a resumed connection of the one that the session began with.
  // Unix seconds; 0 = none was shown.
  int64_t not_before_s = 0, not_after_s = 0;
  std::string subject, issuer;
  std::string
      trust;  // "" when the certificate was judged and is good; else why not, or "not judged"
};

// What deserves a word and is no outage.
enum class Advisory {
  kDeprecatedTls,  // TLS 1.0 or 1.1; the error code is kDeprecatedTls then, if there is no other
  kCertificateEndsSoon,  // in less than 14 days
  kRedirected,           // RedirectPolicy::kAlert
};
// "deprecated_tls", "certificate_ends_soon", "redirected".
std::string_view AdvisoryName(Advisory advisory);

struct CheckResult {
  uint64_t site_id = 0;
  Outcome outcome = Outcome::kLost;
  int http_code = 0;  // of the last answer; 0 if none
  ErrorCode error_code = ErrorCode::kNone;
  // "success", "server" (5xx), "blocked" (403), "client" (other 4xx), "redirect", "https",
  // "keyword_missing", "keyword_forbidden", "intermittent" (timeout; and no usable answer: refused,
  // reset, not HTTP). Empty when the outcome is no verdict.
  std::string failure_class;
  std::string detail;  // for people, one line, at most 200 bytes; may be set on success
  Method method = Method::kHead;
  Profile profile = Profile::kLegacy;
  BootTime started;  // when the first lookup or connect began; zero if none did
  Timings timings;
  std::string address;                 // of the last connect, without port
  std::vector<std::string> redirects;  // where each followed redirect led; at most 10
  TlsFacts tls;                        // of the last hop
  std::vector<Advisory> advisories;    // `full` only; each at most once
};

}  // namespace jetmon::probe

#endif  // JETMON_PROBE_CHECK_H_
