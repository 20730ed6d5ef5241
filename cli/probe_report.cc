#include "cli/probe_report.h"

#include <algorithm>
#include <cmath>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/time/time.h"

namespace jetmon::cli {
namespace {

using probe::CheckRequest;
using probe::CheckResult;

constexpr double kTimesPerOctave = 32;

// The standard string_view is not this system's Abseil's.
std::string Str(std::string_view text) { return std::string(text); }

std::string Ms(int64_t us) { return absl::StrFormat("%.1f ms", static_cast<double>(us) / 1000); }

std::string Day(int64_t seconds) {
  return absl::FormatTime("%Y-%m-%d", absl::FromUnixSeconds(seconds), absl::UTCTimeZone());
}

std::string Trust(const probe::TlsFacts& tls) { return tls.trust.empty() ? "trusted" : tls.trust; }

// Of the character that `text` begins with, when it is well-formed and may be shown; 0 else.
size_t ShownBytes(std::string_view text) {
  const auto first = static_cast<unsigned char>(text[0]);
  if (first < 0x80) return first >= ' ' && first != 0x7f ? 1 : 0;
  const size_t bytes = first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : 2;
  if (first < 0xc2 || first > 0xf4 || text.size() < bytes) return 0;
  uint32_t code = first & (0x7f >> bytes);
  for (size_t i = 1; i < bytes; ++i) {
    if ((text[i] & 0xc0) != 0x80) return 0;
    code = code << 6 | (text[i] & 0x3f);
  }
  constexpr uint32_t kLeast[] = {0, 0, 0xa0, 0x800, 0x10000};  // no overlong forms, no C1 controls
  const bool surrogate = code >= 0xd800 && code <= 0xdfff;
  const bool turns = (code >= 0x2028 && code <= 0x202e) || (code >= 0x2066 && code <= 0x2069);
  return code < kLeast[bytes] || code > 0x10ffff || surrogate || turns ? 0 : bytes;
}

void TlsText(const CheckResult& r, std::string* out) {
  const probe::TlsFacts& tls = r.tls;
  if (!tls.version.empty()) {
    absl::StrAppend(out, "* ", tls.version, ", ", tls.cipher,
                    tls.resumed ? ", resumed in " : ", full handshake in ", Ms(r.timings.tls_us),
                    "\n");
  }
  if (tls.not_after_s == 0) return;
  absl::StrAppend(out, "* certificate of ", Printable(tls.subject), " by ", Printable(tls.issuer),
                  ", ", Day(tls.not_before_s), " to ", Day(tls.not_after_s), ": ", Trust(tls),
                  "\n");
}

std::string Verdict(const CheckResult& r) {
  std::string out = Str(probe::OutcomeName(r.outcome));
  if (r.http_code != 0) absl::StrAppend(&out, ", HTTP ", r.http_code);
  if (r.outcome == probe::Outcome::kDown || r.error_code != probe::ErrorCode::kNone) {
    absl::StrAppend(&out, ", code ", static_cast<int>(r.error_code));
    if (!r.failure_class.empty()) absl::StrAppend(&out, " (", r.failure_class, ")");
  }
  if (r.timings.total_us > 0) absl::StrAppend(&out, ", ", Ms(r.timings.total_us));
  if (!r.detail.empty()) absl::StrAppend(&out, ": ", Printable(r.detail));
  return out;
}

}  // namespace

std::string Printable(std::string_view text) {
  std::string out;
  while (!text.empty()) {
    const size_t shown = ShownBytes(text);
    if (shown == 0) {
      out.push_back('?');
    } else {
      out.append(text.substr(0, shown));
    }
    text.remove_prefix(std::max<size_t>(shown, 1));
  }
  return out;
}

std::string CheckText(const CheckRequest& request, const CheckResult& r) {
  std::string out = absl::StrCat("* ", Printable(request.url), ", ", probe::ModeName(request.mode),
                                 ", timeout ", request.timeout.count(), " ms\n");
  for (const std::string& to : r.redirects) {
    absl::StrAppend(&out, "* redirected to ", Printable(to), "\n");
  }
  if (r.timings.dns_us > 0) {
    absl::StrAppend(&out, "* name resolved in ", Ms(r.timings.dns_us), "\n");
  }
  if (r.timings.connect_us > 0) {
    absl::StrAppend(&out, "* connected to ", r.address, " in ", Ms(r.timings.connect_us), "\n");
  } else if (!r.address.empty()) {
    absl::StrAppend(&out, "* address ", r.address, "\n");
  }
  TlsText(r, &out);
  if (r.timings.ttfb_us > 0) {
    absl::StrAppend(&out, "* first byte after ", Ms(r.timings.ttfb_us), "\n");
  }
  for (const probe::Advisory advisory : r.advisories) {
    absl::StrAppend(&out, "* advisory: ", Str(probe::AdvisoryName(advisory)), "\n");
  }
  absl::StrAppend(&out, Verdict(r), "\n");
  if (r.outcome == probe::Outcome::kSafety) {
    absl::StrAppend(&out,
                    "nothing was sent there; for a lab, --allow-cidr opens a block of addresses "
                    "and --target-safety=off every address and name\n");
  }
  return out;
}

std::string CheckLine(const CheckRequest& request, const CheckResult& r) {
  std::string out = absl::StrCat(Printable(request.url), "  ", Verdict(r));
  for (const probe::Advisory advisory : r.advisories) {
    absl::StrAppend(&out, ", ", Str(probe::AdvisoryName(advisory)));
  }
  return out + "\n";
}

Json CheckJson(const CheckRequest& request, const CheckResult& r) {
  Json out;
  if (request.site_id != 0) out.Set("line", static_cast<double>(request.site_id));
  out.Set("url", Printable(request.url)).Set("mode", probe::ModeName(request.mode));
  out.Set("outcome", Str(probe::OutcomeName(r.outcome)));
  out.Set("http_code", static_cast<double>(r.http_code));
  out.Set("error_code", static_cast<double>(static_cast<int>(r.error_code)));
  out.Set("failure_class", r.failure_class)
      .Set("detail", Printable(r.detail))
      .Set("address", r.address);
  Json timings;
  timings.Set("dns_us", static_cast<double>(r.timings.dns_us));
  timings.Set("connect_us", static_cast<double>(r.timings.connect_us));
  timings.Set("tls_us", static_cast<double>(r.timings.tls_us));
  timings.Set("ttfb_us", static_cast<double>(r.timings.ttfb_us));
  timings.Set("total_us", static_cast<double>(r.timings.total_us));
  out.Set("timings", timings);
  const auto list = [](std::string_view text) {
    google::protobuf::Value value;
    value.set_string_value(Printable(text));
    return Json(value);
  };
  if (!r.redirects.empty()) {
    Json redirects;
    for (const std::string& to : r.redirects) redirects.Append(list(to));
    out.Set("redirects", redirects);
  }
  if (!r.advisories.empty()) {
    Json advisories;
    for (const auto a : r.advisories) advisories.Append(list(probe::AdvisoryName(a)));
    out.Set("advisories", advisories);
  }
  if (!r.tls.version.empty() || r.tls.not_after_s != 0) {
    Json tls;
    tls.Set("version", r.tls.version).Set("cipher", r.tls.cipher).Set("resumed", r.tls.resumed);
    tls.Set("subject", Printable(r.tls.subject)).Set("issuer", Printable(r.tls.issuer));
    tls.Set("not_before", Day(r.tls.not_before_s)).Set("not_after", Day(r.tls.not_after_s));
    tls.Set("trust", Trust(r.tls));
    out.Set("tls", tls);
  }
  return out;
}

void ProbeSummary::Add(const CheckRequest& request, const CheckResult& r) {
  ++checked_;
  if (r.outcome == probe::Outcome::kUp) {
    ++up_;
  } else if (r.outcome == probe::Outcome::kDown) {
    ++others_[absl::StrCat("down: ", r.failure_class, ", code ", static_cast<int>(r.error_code))];
  } else {
    ++others_[Str(probe::OutcomeName(r.outcome))];
    if (r.outcome == probe::Outcome::kSafety) ++refused_;
  }
  if (!probe::IsVerdict(r.outcome) || r.timings.total_us <= 0) return;
  ++timed_;
  const double octaves = std::log2(static_cast<double>(r.timings.total_us));
  const auto at = static_cast<size_t>(octaves * kTimesPerOctave);
  ++times_[std::min(at, times_.size() - 1)];
  if (r.timings.total_us <= slowest_us_) return;
  slowest_us_ = r.timings.total_us;
  slowest_url_ = Printable(request.url);
}

int64_t ProbeSummary::Percentile(double p) const {
  if (timed_ == 0) return 0;
  uint64_t left = static_cast<uint64_t>(std::ceil(p / 100 * static_cast<double>(timed_)));
  for (size_t i = 0; i < times_.size(); ++i) {
    if (times_[i] >= left) {
      const double upper = std::exp2((static_cast<double>(i) + 1) / kTimesPerOctave);
      return std::min(static_cast<int64_t>(upper), slowest_us_);
    }
    left -= times_[i];
  }
  return slowest_us_;
}

std::string ProbeSummary::Text(double seconds) const {
  std::string out = absl::StrFormat("%d checked in %.1f s, %.1f a second\n", checked_, seconds,
                                    seconds > 0 ? static_cast<double>(checked_) / seconds : 0.0);
  absl::StrAppend(&out, "  up: ", up_, "\n");
  for (const auto& [what, n] : others_) absl::StrAppend(&out, "  ", what, ": ", n, "\n");
  if (bad_lines_ > 0) absl::StrAppend(&out, "  lines without a URL: ", bad_lines_, "\n");
  if (timed_ > 0) {
    absl::StrAppend(&out, "  time p50 ", Ms(Percentile(50)), ", p95 ", Ms(Percentile(95)), ", p99 ",
                    Ms(Percentile(99)), ", slowest ", Ms(slowest_us_), " (", slowest_url_, ")\n");
  }
  return out;
}

Json ProbeSummary::ToJson(double seconds) const {
  Json summary, others;
  summary.Set("checked", static_cast<double>(checked_)).Set("up", static_cast<double>(up_));
  for (const auto& [what, n] : others_) others.Set(what, static_cast<double>(n));
  if (!others_.empty()) summary.Set("others", others);
  summary.Set("bad_lines", static_cast<double>(bad_lines_));
  summary.Set("seconds", seconds);
  summary.Set("p50_us", static_cast<double>(Percentile(50)));
  summary.Set("p95_us", static_cast<double>(Percentile(95)));
  summary.Set("p99_us", static_cast<double>(Percentile(99)));
  summary.Set("slowest_us", static_cast<double>(slowest_us_)).Set("slowest_url", slowest_url_);
  Json out;
  out.Set("summary", summary);
  return out;
}

}  // namespace jetmon::cli
