#include "controlplane/rollout/canaries.h"

#include <algorithm>
#include <optional>
#include <set>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "controlplane/error/error.h"
#include "controlplane/rollout/messages.h"
#include "probe/url.h"

namespace jetmon::rollout {
namespace {

constexpr size_t kLongestName = 64, kLongestUrl = 300;
constexpr size_t kLongestKeyword = probe::FullRules::kMaxKeywordBytes;
constexpr int kMostRuns = 3;
constexpr std::chrono::milliseconds kTurn{20};
constexpr int kLastErrorCode = static_cast<int>(probe::ErrorCode::kTargetSafety);

// What is wrong with a field of one canary.
struct Fault {
  std::string field, what;
};

bool HasControls(const std::string& text) {
  return std::any_of(text.begin(), text.end(),
                     [](unsigned char c) { return c < 0x20 || c == 0x7f; });
}

std::optional<Fault> FaultOfUrl(const std::string& text, const probe::TargetSafety& safety) {
  if (text.empty() || text.size() > kLongestUrl) {
    return Fault{"url", absl::StrCat("takes 1 to ", kLongestUrl, " bytes")};
  }
  if (const absl::Status s = safety.JudgeUrl(probe::ParseUrl(text)); !s.ok()) {
    return Fault{"url", absl::StrCat("is refused: ", s.message())};
  }
  return std::nullopt;
}

std::optional<Fault> FaultOfMode(const v1::Canary& c, probe::Mode* mode) {
  const bool by_policy = !c.method().empty() || !c.profile().empty();
  if (!c.mode().empty() == by_policy) {
    return Fault{"mode", "give either mode, or method and profile (and not both)"};
  }
  const auto parsed =
      by_policy ? probe::ParseMode(c.method(), c.profile()) : probe::ParseMode(c.mode());
  if (!parsed.ok()) {
    if (!by_policy) {
      return Fault{"mode", "takes head-legacy, head-simple, get-legacy, get-simple or get-full"};
    }
    return Fault{"method", "takes HEAD or GET, and profile takes legacy, simple_http or full"};
  }
  if (c.profile() == "full" && parsed->method == probe::Method::kHead) {
    return Fault{"profile", "full needs GET: HEAD reads no body; use simple_http"};
  }
  *mode = *parsed;
  return std::nullopt;
}

std::optional<Fault> FaultOfExpectations(const v1::Canary& c) {
  if (!c.has_expect_success() && !c.has_expect_http_code() && !c.has_expect_error_code()) {
    return Fault{"expect_success",
                 "expect something: expect_success, expect_http_code or expect_error_code"};
  }
  if (c.has_expect_http_code() && (c.expect_http_code() < 100 || c.expect_http_code() > 599)) {
    return Fault{"expect_http_code", "takes 100 to 599"};
  }
  if (c.has_expect_error_code() &&
      (c.expect_error_code() < 0 || c.expect_error_code() > kLastErrorCode)) {
    return Fault{"expect_error_code", absl::StrCat("takes 0 to ", kLastErrorCode)};
  }
  return std::nullopt;
}

std::optional<Fault> FaultOf(const v1::Canary& c, const probe::TargetSafety& safety,
                             std::set<std::string>* names, probe::Mode* mode) {
  if (c.name().empty() || c.name().size() > kLongestName || HasControls(c.name())) {
    return Fault{"name",
                 absl::StrCat("takes 1 to ", kLongestName, " bytes without control characters")};
  }
  if (!names->insert(c.name()).second) {
    return Fault{"name", "is another canary's too; names are unique"};
  }
  if (auto fault = FaultOfUrl(c.url(), safety)) return fault;
  if (auto fault = FaultOfMode(c, mode)) return fault;
  if (c.keyword().size() > kLongestKeyword) {
    return Fault{"keyword", absl::StrCat("takes up to ", kLongestKeyword, " bytes")};
  }
  if (!c.keyword().empty() && mode->profile != probe::Profile::kFull) {
    return Fault{"keyword", "needs the mode get-full: the others read no body"};
  }
  return FaultOfExpectations(c);
}

std::string Seen(const probe::CheckResult& seen) {
  std::string text(probe::OutcomeName(seen.outcome));
  if (seen.http_code != 0) absl::StrAppend(&text, ", HTTP ", seen.http_code);
  absl::StrAppend(&text, ", error code ", static_cast<int>(seen.error_code));
  if (!seen.detail.empty()) absl::StrAppend(&text, ": ", seen.detail);
  return text;
}

}  // namespace

absl::StatusOr<std::vector<CheckedCanary>> CheckCanaries(
    const google::protobuf::RepeatedPtrField<v1::Canary>& canaries,
    const probe::TargetSafety& safety) {
  if (static_cast<size_t>(canaries.size()) > kMostCanaries) {
    const std::string what = absl::StrCat("takes up to ", kMostCanaries, " canaries");
    return WithField(Error(v1::INVALID_CANARY, "canaries: " + what), "canaries", what);
  }
  std::vector<CheckedCanary> checked;
  std::set<std::string> names;
  for (int i = 0; i < canaries.size(); ++i) {
    CheckedCanary c{canaries[i], {}};
    if (const auto fault = FaultOf(c.canary, safety, &names, &c.mode)) {
      const std::string field = absl::StrCat("canaries[", i, "].", fault->field);
      return WithField(Error(v1::INVALID_CANARY, absl::StrCat(field, ": ", fault->what)), field,
                       fault->what);
    }
    checked.push_back(std::move(c));
  }
  return checked;
}

v1::CanaryResult JudgeCanary(const CheckedCanary& checked, const probe::CheckResult& seen) {
  const v1::Canary& c = checked.canary;
  v1::CanaryResult r;
  r.set_name(c.name());
  r.set_url(c.url());
  r.set_mode(probe::ModeName(checked.mode));
  r.set_outcome(std::string(probe::OutcomeName(seen.outcome)));
  r.set_http_code(seen.http_code);
  r.set_error_code(static_cast<int>(seen.error_code));
  r.set_failure_class(seen.failure_class);
  r.set_detail(seen.detail);
  r.set_ms(static_cast<double>(seen.timings.total_us) / 1000);
  std::vector<std::string> differs;
  // A redirect to where target safety lets nobody go is something seen; a check that this machine
  // did not bring to an end is nothing.
  if (!probe::IsVerdict(seen.outcome) && seen.outcome != probe::Outcome::kSafety) {
    differs.emplace_back("it was not checked to an end");
  } else {
    const bool up = seen.outcome == probe::Outcome::kUp;
    if (c.has_expect_success() && c.expect_success() != up) {
      differs.emplace_back(c.expect_success() ? "success was expected" : "failure was expected");
    }
    if (c.has_expect_http_code() && c.expect_http_code() != seen.http_code) {
      differs.push_back(absl::StrCat("HTTP ", c.expect_http_code(), " was expected"));
    }
    if (c.has_expect_error_code() && c.expect_error_code() != static_cast<int>(seen.error_code)) {
      differs.push_back(absl::StrCat("error code ", c.expect_error_code(), " was expected"));
    }
  }
  r.set_status(differs.empty() ? "ok" : "mismatch");
  if (!differs.empty()) {
    r.set_text(absl::StrCat(absl::StrJoin(differs, ", "), "; it was ", Seen(seen)));
  }
  return r;
}

absl::StatusOr<std::unique_ptr<CanaryRun>> CanaryRun::Begin(probe::Engine::Options engine,
                                                            std::vector<CheckedCanary> canaries,
                                                            const probe::LeaseGate* lease,
                                                            const DeadlineBudget& budget) {
  engine.max_concurrent = engine.max_queued = static_cast<int>(kMostCanaries);
  auto made = probe::Engine::Create(engine);
  if (!made.ok()) return made.status();
  const Clock& clock = engine.clock != nullptr ? *engine.clock : SystemClock();
  std::unique_ptr<CanaryRun> run(
      new CanaryRun(std::move(canaries), lease, clock.Boot() + budget.round(), budget.check()));
  run->engine_ = std::move(*made);
  for (size_t i = 0; i < run->canaries_.size(); ++i) run->Send(i, 1);
  return run;
}

CanaryRun::CanaryRun(std::vector<CheckedCanary> canaries, const probe::LeaseGate* lease,
                     BootTime until, std::chrono::milliseconds timeout)
    : canaries_(std::move(canaries)),
      lease_(lease),
      until_(until),
      timeout_(timeout),
      left_(canaries_.size()),
      results_(canaries_.size()) {}

void CanaryRun::Send(size_t index, int runs) {
  const CheckedCanary& c = canaries_[index];
  probe::CheckRequest request;
  request.url = c.canary.url();
  request.mode = c.mode;
  if (!c.canary.keyword().empty()) {
    auto rules = std::make_shared<probe::FullRules>();
    rules->keyword = c.canary.keyword();
    request.full = std::move(rules);
  }
  request.timeout = timeout_;
  request.lease = lease_;
  request.give_up_at = until_;
  const absl::Status s = engine_->Submit(request, [this, index, runs](probe::CheckResult result) {
    if (result.outcome == probe::Outcome::kLost && runs < kMostRuns) {
      Send(index, runs + 1);
    } else {
      Keep(index, std::move(result));
    }
  });
  if (s.ok()) return;
  probe::CheckResult refused;
  refused.detail = std::string(s.message());
  Keep(index, std::move(refused));
}

void CanaryRun::Keep(size_t index, probe::CheckResult result) {
  std::lock_guard lock(mutex_);
  results_[index] = std::move(result);
  if (--left_ == 0) ended_.notify_all();
}

absl::StatusOr<std::vector<v1::CanaryResult>> CanaryRun::Results(
    const std::function<absl::Status()>& turn) {
  // The engine ends each check by its deadline.
  for (;;) {
    if (turn) {
      if (auto s = turn(); !s.ok()) return s;
    }
    std::unique_lock lock(mutex_);
    if (ended_.wait_for(lock, kTurn, [this] { return left_ == 0; })) break;
  }
  std::vector<v1::CanaryResult> judged;
  std::lock_guard lock(mutex_);
  for (size_t i = 0; i < results_.size(); ++i) {
    if (results_[i].outcome == probe::Outcome::kLeaseLapsed) {
      return absl::UnavailableError("this process was paused while it checked canaries");
    }
    judged.push_back(JudgeCanary(canaries_[i], results_[i]));
  }
  return judged;
}

void BlockByCanaries(const std::vector<v1::CanaryResult>& results, v1::OperationResponse* answer) {
  for (const v1::CanaryResult& r : results) {
    if (r.status() == "ok") continue;
    *answer->add_blockers() =
        MakeFinding("canary_mismatch", absl::StrCat("canary ", r.name(), ": ", r.text()),
                    "repair what it stands for, or correct what is expected of it");
  }
}

void AddCanariesToPreflight(const std::vector<v1::CanaryResult>& results,
                            v1::OperationResponse* answer) {
  BlockByCanaries(results, answer);
  std::vector<std::string> differ;
  for (const v1::CanaryResult& r : results) {
    if (r.status() != "ok") differ.push_back(r.name());
    *answer->mutable_preflight()->add_canaries() = r;
  }
  v1::PreflightItem* item = answer->mutable_preflight()->add_items();
  item->set_name("canaries");
  if (differ.empty()) {
    item->set_status("ok");
    item->set_text(absl::StrCat(results.size(), " canaries are as expected"));
    return;
  }
  item->set_status("blocker");
  item->set_code("canary_mismatch");
  item->set_text(absl::StrCat(differ.size(), " of ", results.size(),
                              " canaries differ: ", absl::StrJoin(differ, ", ")));
  item->set_action("look at each in the list of canaries");
}

}  // namespace jetmon::rollout
