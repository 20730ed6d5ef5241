#include "probe/running_check.h"

#include <algorithm>
#include <chrono>
#include <utility>

#include "probe/text.h"

namespace jetmon::probe {
namespace {

constexpr size_t kMaxDetailBytes = 200;

}  // namespace

RunningCheck::RunningCheck(CheckRequest request, Done done, BootTime accepted)
    : request_(std::move(request)),
      done_(std::move(done)),
      accepted_(accepted),
      reader_(ReaderOptions(request_)) {
  result_.site_id = request_.site_id;
  result_.method = request_.mode.method;
  result_.profile = request_.mode.profile;
}

void RunningCheck::Judge(const CheckSurroundings& around) {
  url_ = ParseUrl(request_.url);
  if (request_.full != nullptr && !request_.full->headers.empty()) asked_ = url_;
  JudgeUrl(around.safety);
}

bool RunningCheck::JudgeUrl(const TargetSafety& safety) {
  const absl::Status safe = safety.JudgeUrl(url_);
  if (safe.ok()) return true;
  result_.error_code = ErrorCode::kTargetSafety;
  End(Outcome::kSafety, std::string(safe.message()));
  return false;
}

void RunningCheck::Start(CheckSurroundings* around, BootTime now) {
  around_ = around;
  deadline_ = now + request_.timeout;
  if (request_.give_up_at.ns != 0 && request_.give_up_at < deadline_) {
    deadline_ = request_.give_up_at;
    cut_short_ = true;
  }
  around_->wheel->Add(this, deadline_);
  BeginHop();
}

bool RunningCheck::MaySend() {
  if (request_.lease == nullptr || request_.lease->MaySend(Now())) return true;
  End(Outcome::kLeaseLapsed, "lease lapsed");
  return false;
}

Io RunningCheck::Wire::Write(std::string_view bytes, size_t* done) {
  if (!check_.MaySend()) return Io::kError;
  return check_.connection_.Write(bytes, done);
}

Io RunningCheck::Wire::Read(char* buffer, size_t size, size_t* done) {
  return check_.connection_.Read(buffer, size, done);
}

void RunningCheck::Arm(std::chrono::milliseconds limit) {
  BootTime when = deadline_;
  if (limit.count() > 0) when = std::min(when, phase_began_ + limit);
  if (linked() && Timer::deadline() == when) return;
  Unlink();
  around_->wheel->Add(this, when);
}

Verdict RunningCheck::JudgeRead(Ending ending) {
  Verdict verdict = JudgeAnswer(request_, reader_, ending, redirects_, url_);
  if (verdict.http_code != 0) result_.http_code = verdict.http_code;
  return verdict;
}

void RunningCheck::Conclude(BootTime now, Ending ending) {
  Verdict verdict = JudgeRead(ending);
  if (verdict.follow && ending == Ending::kRead) return Follow(*std::move(verdict.follow));
  FinishWith(now, verdict);
}

void RunningCheck::Follow(Url next) {
  connection_.Close();
  ++redirects_;
  url_ = std::move(next);
  if (!JudgeUrl(around_->safety)) return;
  result_.redirects.push_back(OneLine(url_.Text(), kMaxUrlBytes));
  reader_ = HttpReader(ReaderOptions(request_));
  BeginHop();
}

void RunningCheck::OnTimer(BootTime now) {
  if (finished()) return;
  now < deadline_ ? OnPhaseTimeout(now) : TimeOut(now);
}

void RunningCheck::OnPhaseTimeout(BootTime now) {
  if (phase_ != Phase::kConnecting) return TimeOut(now);
  AddressFailed(Io::kError, Down(ErrorCode::kTimeout, "timeout in connect"));
  connection_.Abort();
  ConnectNext();
}

void RunningCheck::TimeOut(BootTime now) {
  if (cut_short_ && now >= deadline_) {
    return End(Outcome::kLost, "the caller's deadline came before the check's own");
  }
  Verdict verdict = JudgeRead(Ending::kTimeout);
  if (phase_ == Phase::kResolving) verdict.detail = "timeout in dns";
  if (phase_ == Phase::kConnecting) verdict.detail = "timeout in connect";
  if (phase_ == Phase::kTls) verdict.detail = "timeout in tls";
  FinishWith(now, verdict);
}

void RunningCheck::Look(BootTime now) {
  if (finished()) return;
  if (request_.cancelled != nullptr && request_.cancelled->load(std::memory_order_relaxed)) {
    return End(Outcome::kCancelled, "cancelled");
  }
  if (request_.lease != nullptr && !request_.lease->MaySend(now)) {
    return End(Outcome::kLeaseLapsed, "lease lapsed");
  }
  if (phase_ != Phase::kQueued) return;
  const bool given_up = request_.give_up_at.ns != 0 && request_.give_up_at <= now;
  if (given_up || now - accepted_ > request_.timeout) {
    End(Outcome::kLost, "queued past its deadline");
  }
}

// What a peer does after the verdict is no concern of ours: nothing that waits to be sent goes out.
void RunningCheck::FinishWith(BootTime now, const Verdict& verdict) {
  if (finished()) return;
  // A failure may be the certificate's, which a resumed handshake doesn't show.
  if (verdict.outcome == Outcome::kDown && url_.https) around_->tls->Forget(Target());
  verdict.error_code == ErrorCode::kTimeout ? connection_.Abort() : connection_.Close();
  Finish();
  result_.outcome = verdict.outcome;
  result_.error_code = verdict.error_code;
  result_.failure_class = FailureClass(verdict);
  if (verdict.outcome == Outcome::kUp) Advise();
  result_.detail = OneLine(verdict.detail, kMaxDetailBytes);
  if (result_.started.ns != 0) {
    result_.timings.total_us =
        std::chrono::duration_cast<std::chrono::microseconds>(now - result_.started).count();
  }
}

void RunningCheck::Advise() {
  result_.advisories =
      AdvisoriesOf(request_, result_.tls, redirects_, around_->clock->WallMs() / 1000);
  for (const Advisory advisory : result_.advisories) {
    if (advisory == Advisory::kDeprecatedTls) result_.error_code = ErrorCode::kDeprecatedTls;
  }
}

void RunningCheck::Finish() {
  if (phase_ == Phase::kResolving) around_->resolver->Cancel(this);
  Unlink();
  phase_ = Phase::kFinished;
  if (around_ != nullptr) around_->ended.push_back(this);
}

void RunningCheck::End(Outcome outcome, std::string_view detail) {
  if (finished()) return;
  connection_.Abort();
  Finish();
  Discard(outcome, detail);
}

void RunningCheck::Discard(Outcome outcome, std::string_view detail) {
  result_.outcome = outcome;
  if (outcome != Outcome::kSafety) result_.error_code = ErrorCode::kNone;
  result_.failure_class.clear();
  result_.advisories.clear();
  result_.detail = OneLine(detail, kMaxDetailBytes);
}

void RunningCheck::Deliver() {
  Done done = std::move(done_);
  done(std::move(result_));
}

}  // namespace jetmon::probe
