#include "cli/probe_options.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <memory>

#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "absl/time/time.h"
#include "probe/sending.h"

namespace jetmon::cli {
namespace {

absl::Status BadOption(const std::string& option, const std::string& what) {
  return absl::InvalidArgumentError(absl::StrCat(option, " ", what));
}

bool HasRules(const ProbeOptions& o) {
  return !o.keyword.empty() || !o.forbidden.empty() || !o.headers.empty() ||
         o.redirects != "follow";
}

absl::StatusOr<probe::Mode> ModeOf(const ProbeOptions& o) {
  if (!o.mode.empty()) {
    if (!o.method.empty() || !o.profile.empty()) {
      return BadOption("--mode", "goes without --method and --profile");
    }
    return probe::ParseMode(o.mode);
  }
  const std::string default_profile = HasRules(o) ? "full" : "legacy";
  const std::string profile = o.profile.empty() ? default_profile : o.profile;
  const std::string default_method = profile == "full" ? "GET" : "HEAD";
  return probe::ParseMode(o.method.empty() ? default_method : o.method, profile);
}

absl::StatusOr<probe::Header> HeaderOf(const std::string& text) {
  const size_t colon = text.find(':');
  if (colon == std::string::npos) {
    return BadOption("--header", absl::StrCat("takes 'Name: value', not '", text, "'"));
  }
  return probe::Header{text.substr(0, colon),
                       std::string(absl::StripAsciiWhitespace(text.substr(colon + 1)))};
}

}  // namespace

void AddProbeOptions(CLI::App* c, ProbeOptions* o) {
  c->add_option("--method", o->method, "HEAD or GET; HEAD if left out, GET with profile full");
  c->add_option("--profile", o->profile,
                "legacy, simple_http or full; legacy if left out, as for a site without a policy");
  c->add_option("--mode", o->mode,
                "both at once: head-legacy, head-simple, get-legacy, get-simple, get-full");
  c->add_option("--timeout", o->timeout, "for the whole check, 1ms to 1h");
  c->add_option("--keyword", o->keyword, "must stand in the body (profile full)");
  c->add_option("--forbid", o->forbidden, "must not stand in the body; may be given again")
      ->allow_extra_args(false);
  c->add_option("--header", o->headers, "'Name: value' to send; may be given again")
      ->allow_extra_args(false);
  c->add_option("--redirects", o->redirects, "follow, alert or fail (profile full)");
  c->add_option("--user-agent", o->user_agent, "jetmon/2.0's if left out");
  c->add_option("--ca-file", o->ca_file, "PEM file of the CAs to trust; the system's if left out");
  c->add_option("--resolvers", o->resolvers,
                "DNS servers, such as 192.0.2.53,[2001:db8::53]:5353; the system's if left out");
  c->add_option("--target-safety", o->target_safety,
                "public_only: public addresses only; off in a lab");
  c->add_option("--allow-cidr", o->allow_cidr, "blocks of addresses that a lab opens besides");
  c->add_option("--source-address", o->source_address, "address to send from");
}

absl::StatusOr<probe::CheckRequest> RequestOf(const ProbeOptions& o) {
  probe::CheckRequest request;
  const auto mode = ModeOf(o);
  if (!mode.ok()) return mode.status();
  request.mode = *mode;
  if (HasRules(o) && mode->profile != probe::Profile::kFull) {
    return BadOption(
        "--keyword, --forbid, --header and --redirects",
        "are rules of GET with profile full; leave --mode, --method and --profile out");
  }
  absl::Duration timeout;
  if (!absl::ParseDuration(o.timeout, &timeout) || timeout < absl::Milliseconds(1) ||
      timeout > absl::Hours(1)) {
    return BadOption("--timeout", "takes a duration of 1ms to 1h, such as 10s");
  }
  request.timeout = std::chrono::milliseconds(absl::ToInt64Milliseconds(timeout));
  if (!o.user_agent.empty()) request.user_agent = o.user_agent;
  probe::FullRules rules;
  const auto policy = probe::ParseRedirectPolicy(o.redirects);
  if (!policy.ok()) return BadOption("--redirects", "takes follow, alert or fail");
  rules.redirects = *policy;
  rules.keyword = o.keyword;
  rules.forbidden_keywords = o.forbidden;
  for (const std::string& text : o.headers) {
    auto header = HeaderOf(text);
    if (!header.ok()) return header.status();
    rules.headers.push_back(*std::move(header));
  }
  if (absl::Status s = probe::ValidateRules(rules); !s.ok()) return s;
  if (HasRules(o)) request.full = std::make_shared<probe::FullRules>(std::move(rules));
  return request;
}

absl::Status WithHyphens(const absl::Status& status) {
  std::string text(status.message());
  for (size_t at = text.find("--"); at != std::string::npos; at = text.find("--", at + 2)) {
    const size_t end = std::min(text.find_first_of(" =:,;", at), text.size());
    std::replace(text.begin() + at, text.begin() + end, '_', '-');
  }
  return absl::Status(status.code(), text);
}

absl::StatusOr<probe::Engine::Options> EngineOf(const ProbeOptions& o, int concurrency) {
  auto options = probe::EngineOptionsOf(
      {o.source_address, o.target_safety, o.allow_cidr, o.ca_file, o.resolvers});
  if (!options.ok()) return WithHyphens(options.status());
  options->max_concurrent = concurrency;
  options->max_queued = 0;
  return options;
}

}  // namespace jetmon::cli
