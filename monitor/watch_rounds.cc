// How a watch asks Verifliers about sites that failed here, and what it makes of their votes.
#include <unordered_map>

#include "absl/strings/str_cat.h"
#include "monitor/watch.h"

namespace jetmon::monitor {
namespace {

constexpr size_t kMostAtOnce = 500;

std::shared_ptr<const confirm::Rules> RulesOf(const WatchedSite& w) {
  if (w.policy == nullptr || w.policy->full == nullptr) return nullptr;
  const probe::FullRules& full = *w.policy->full;
  auto rules = std::make_shared<confirm::Rules>();
  rules->keyword = full.keyword;
  rules->forbidden_keywords = full.forbidden_keywords;
  rules->redirect_policy = std::string(probe::RedirectPolicyName(full.redirects));
  for (const probe::Header& h : full.headers) rules->headers.emplace_back(h.name, h.value);
  return rules;
}

// About a site with an open event: to be judged there as it is here.
confirm::Question QuestionOf(const WatchedSite& w, milliseconds timeout) {
  confirm::Question q;
  q.site_id = w.site.site_id;
  q.blog_id = w.site.blog_id;
  q.url = w.site.url;
  q.method = std::string(probe::MethodName(w.mode().method));
  q.profile = std::string(probe::ProfileName(w.mode().profile));
  q.timeout = timeout;
  q.request_id = absl::StrCat("ev-", w.event->event_id);
  q.rules = RulesOf(w);
  return q;
}

}  // namespace

void Watch::TakeRound(const Round& taken) {
  std::lock_guard lock(mutex_);
  const RoundResult& round = taken.result;
  WatchedSite& w = table_.at(taken.index);
  w.confirming = false;
  if (w.gone) return;
  const bool still_open = w.event.has_value() && w.event->severity == store::Severity::kSeemsDown;
  if (!still_open || w.deciding || w.failures == 0) return;
  const BootTime now = parts_.clock->Boot();
  if (w.asked_since.ns == 0) w.asked_since = now;
  IncidentOp op;
  op.kind = IncidentOp::Kind::kConfirm;
  op.index = taken.index;
  op.site = w.site;
  op.seen = w.event;
  op.votes = round.votes;
  std::vector<CheckRecord> checks = round.checks;
  checks.insert(checks.begin(), {1, parts_.config->host, 0, 0, w.event->http_code});
  op.checks_json = ChecksJson(checks);
  const bool alone = round.votes.enabled == 0;
  const Verdict verdict = Decide(round.votes, parts_.config->peer_offline_limit);
  if (alone) {
    local_only_ = true;
    op.reason = store::transition::kLocalConfirmed;
  } else if (verdict == Verdict::kDown) {
    op.reason = store::transition::kVerifierConfirmed;
  } else if (verdict == Verdict::kFalseAlarm) {
    op.kind = IncidentOp::Kind::kFalseAlarm;
    op.reason = store::transition::kFalseAlarm;
    w.failures = 0;
  } else if (parts_.config->quorum_majority &&
             now - w.asked_since > parts_.config->DegradedAfter() && MajorityDown(round.votes)) {
    op.reason = store::transition::kQuorumDegraded;
  } else {
    return;  // it stays Seems Down, and is asked about again after the next failure
  }
  w.deciding = true;
  pending_.push_back(std::move(op));
}

void Watch::AskVantages() {
  std::vector<confirm::Question> questions;
  std::unordered_map<uint64_t, size_t> asked;  // by site: its index
  {
    std::lock_guard lock(mutex_);
    size_t taken = 0, bytes = 0;
    const bool ask = !draining_ && MaySend();
    for (; taken < to_confirm_.size() && questions.size() < kMostAtOnce &&
           bytes < confirm::kMostQuestionBytes;
         ++taken) {
      WatchedSite& w = table_.at(to_confirm_[taken]);
      if (!ask || w.gone || w.leaving || !w.event.has_value()) {
        w.confirming = false;
        continue;
      }
      confirm::Question q = QuestionOf(w, table_.Timeout(to_confirm_[taken]));
      asked[q.site_id] = to_confirm_[taken];
      bytes += q.size();
      questions.push_back(std::move(q));
    }
    to_confirm_.erase(to_confirm_.begin(), to_confirm_.begin() + taken);
    if (questions.empty()) return;
    ++rounds_under_way_;
  }
  parts_.confirmer->Ask(std::move(questions), parts_.config->Deadlines().round(),
                        [this, asked](std::vector<RoundResult> results) {
                          std::lock_guard lock(mutex_);
                          for (RoundResult& r : results) {
                            auto site = asked.find(r.site_id);
                            if (site == asked.end()) continue;
                            rounds_.push_back({site->second, std::move(r)});
                          }
                          --rounds_under_way_;
                          wake_.notify_all();
                        });
}

}  // namespace jetmon::monitor
