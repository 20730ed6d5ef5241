#include "veriflier/checker.h"

#include "absl/strings/str_cat.h"

namespace jetmon::veriflier {
namespace {

constexpr size_t kMaxError = 200;

// Null where there are none. The engine looks at their bounds.
absl::StatusOr<std::shared_ptr<const probe::FullRules>> RulesOf(const v1::SiteCheck& site) {
  if (!site.has_rules()) return nullptr;
  auto rules = std::make_shared<probe::FullRules>();
  const v1::SiteRules& asked = site.rules();
  rules->keyword = asked.keyword();
  rules->forbidden_keywords = {asked.forbidden_keywords().begin(),
                               asked.forbidden_keywords().end()};
  if (!asked.redirect_policy().empty()) {
    auto redirects = probe::ParseRedirectPolicy(asked.redirect_policy());
    if (!redirects.ok()) return redirects.status();
    rules->redirects = *redirects;
  }
  for (const v1::SiteHeader& h : asked.headers()) rules->headers.push_back({h.name(), h.value()});
  return rules;
}

// What of a site's check the agent has to understand. `longest`: where the site names no timeout.
absl::StatusOr<probe::CheckRequest> RequestFor(const v1::SiteCheck& site,
                                               std::chrono::milliseconds longest) {
  auto mode = probe::ParseMode(site.method().empty() ? "HEAD" : site.method(),
                               site.profile().empty() ? "legacy" : site.profile());
  if (!mode.ok()) return mode.status();
  auto rules = RulesOf(site);
  if (!rules.ok()) return rules.status();
  probe::CheckRequest request;
  request.site_id = site.site_id();
  request.url = site.url();
  request.mode = *mode;
  request.full = *std::move(rules);
  request.timeout = site.timeout_ms() == 0 ? longest : std::chrono::milliseconds(site.timeout_ms());
  return request;
}

}  // namespace

Checker::Checker(Identity identity, probe::Engine::Options options, DeadlineBudget budget)
    : identity_(std::move(identity)), options_(std::move(options)), budget_(budget) {}

absl::Status Checker::Start() {
  auto engine = probe::Engine::Create(options_);
  if (!engine.ok()) return engine.status();
  engine_ = std::move(*engine);
  return absl::OkStatus();
}

void Checker::Stop() { engine_.reset(); }

probe::Engine::Stats Checker::stats() const {
  return engine_ != nullptr ? engine_->GetStats() : probe::Engine::Stats{};
}

v1::SiteCheckResult Checker::Blank(const v1::SiteCheck& site) const {
  v1::SiteCheckResult result;
  result.set_vantage_id(identity_.vantage_id);
  result.set_agent_id(identity_.agent_id);
  result.set_request_id(site.request_id());
  result.set_site_id(site.site_id());
  return result;
}

v1::SiteCheckResult Checker::Translate(v1::SiteCheckResult result,
                                       const probe::CheckResult& check) {
  const bool timeout = check.error_code == probe::ErrorCode::kTimeout;
  switch (check.outcome) {
    case probe::Outcome::kUp:
      result.set_outcome("up");
      break;
    case probe::Outcome::kDown:
      result.set_outcome(timeout ? "timeout" : "down");
      break;
    case probe::Outcome::kSafety:
      result.set_outcome("probe_error");
      break;
    default:  // cancelled or lost: it says nothing about the site
      result.set_outcome("unknown");
  }
  result.set_http_code(check.http_code);
  result.set_error_code(static_cast<int>(check.error_code));
  result.set_failure_class(check.failure_class);
  result.set_error(check.detail.substr(0, kMaxError));
  result.set_connect_us(check.timings.connect_us);
  result.set_ttfb_us(check.timings.ttfb_us);
  result.set_total_us(check.timings.total_us);
  ++completed_;
  if (!probe::IsVerdict(check.outcome)) ++failed_;
  return result;
}

void Checker::Check(const v1::SiteCheck& site, BootTime give_up_at,
                    std::shared_ptr<const std::atomic<bool>> cancelled,
                    std::function<void(v1::SiteCheckResult)> done) {
  v1::SiteCheckResult blank = Blank(site);
  if (std::chrono::milliseconds(site.timeout_ms()) > budget_.check()) {
    blank.set_outcome("unknown");
    blank.set_error(absl::StrCat("this agent makes checks of ", budget_.check().count(),
                                 " ms at most, not of ", site.timeout_ms(),
                                 ": see its --longest_check"));
    ++failed_;
    return done(std::move(blank));
  }
  auto request = RequestFor(site, budget_.check());
  absl::Status submitted = request.status();
  if (submitted.ok()) {
    request->give_up_at = give_up_at;
    request->cancelled = std::move(cancelled);
    submitted = engine_->Submit(*std::move(request), [this, blank, done](probe::CheckResult check) {
      done(Translate(blank, check));
    });
  }
  if (submitted.ok()) return;
  blank.set_outcome(absl::IsResourceExhausted(submitted) ? "agent_overloaded" : "probe_error");
  blank.set_error(std::string(submitted.message()).substr(0, kMaxError));
  ++failed_;
  done(std::move(blank));
}

}  // namespace jetmon::veriflier
