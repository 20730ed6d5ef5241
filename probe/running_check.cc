#include "probe/running_check.h"

#include <sys/epoll.h>

#include <cstring>
#include <utility>

#include "probe/text.h"

namespace jetmon::probe {
namespace {

constexpr size_t kMaxDetailBytes = 200;

// One line of printable ASCII: what a peer wrote may end up in a proto or a terminal.
std::string Printable(std::string_view text, size_t most) {
  std::string out(text.substr(0, most));
  for (char& c : out) {
    if (c < ' ' || c > '~') c = '?';
  }
  return out;
}

int64_t Microseconds(std::chrono::nanoseconds d) { return d.count() / 1000; }

std::string ErrorText(int error) {
  char buffer[128];
  return strerror_r(error, buffer, sizeof(buffer));  // the GNU one
}

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
  if (!JudgeTarget(around)) return;
  if (request_.mode.profile == Profile::kFull) {
    End(Outcome::kNotAvailable, "profile full is not available yet");
  }
}

bool RunningCheck::JudgeTarget(const CheckSurroundings& around) {
  const absl::Status safe = around.safety.JudgeUrl(url_);
  if (!safe.ok()) {
    result_.error_code = ErrorCode::kTargetSafety;
    End(Outcome::kSafety, std::string(safe.message()));
  } else if (NotAvailableYet(url_)) {
    End(Outcome::kNotAvailable,
        url_.https ? "https is not available yet" : "resolving host names is not available yet");
  }
  return !finished();
}

void RunningCheck::Start(CheckSurroundings* around, BootTime now) {
  deadline_ = now + request_.timeout;
  if (request_.give_up_at.ns != 0 && request_.give_up_at < deadline_) {
    deadline_ = request_.give_up_at;
    cut_short_ = true;
  }
  Connect(around);
}

bool RunningCheck::MaySend(const CheckSurroundings& around) {
  if (request_.lease == nullptr || request_.lease->MaySend(around.clock->Boot())) return true;
  End(Outcome::kLeaseLapsed, "lease lapsed");
  return false;
}

// url_ has passed JudgeTarget, so its host is a literal that may be connected to.
void RunningCheck::Connect(CheckSurroundings* around) {
  if (!url_.address) return End(Outcome::kNotAvailable, "no address");
  to_send_ = RequestText();
  sent_ = 0;
  result_.timings = {};
  result_.address = IpAddressText(*url_.address);
  phase_ = Phase::kConnecting;
  connect_began_ = around->clock->Boot();
  Io io = connection_.Prepare(*url_.address, around->source);
  if (io == Io::kOk) {
    if (!MaySend(*around)) return;
    if (result_.started.ns == 0) result_.started = connect_began_;
    io = connection_.Connect(*url_.address, url_.port);
  }
  if (io == Io::kError) {
    return FailConnection(connect_began_, Cat("connect: ", ErrorText(connection_.error())));
  }
  if (io == Io::kLocal) {
    return End(Outcome::kLost, Cat("connect, here: ", ErrorText(connection_.error())));
  }
  epoll_event event{};
  event.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET;
  event.data.ptr = this;
  if (epoll_ctl(around->epoll_fd, EPOLL_CTL_ADD, connection_.fd(), &event) != 0) {
    End(Outcome::kLost, Cat("epoll_ctl: ", ErrorText(errno)));
  }
}

void RunningCheck::OnSocket(CheckSurroundings* around, uint32_t epoll_events) {
  const bool closing = (epoll_events & (EPOLLERR | EPOLLHUP | EPOLLRDHUP)) != 0;
  if (phase_ == Phase::kConnecting && (closing || (epoll_events & EPOLLOUT) != 0)) {
    OnConnected(*around);
  }
  if (phase_ == Phase::kSending) Send(*around);
  // A peer may answer, or refuse, before it has read all of the request.
  if (phase_ == Phase::kReading || phase_ == Phase::kSending) {
    if (closing || (epoll_events & EPOLLIN) != 0) Receive(around, closing);
  }
}

void RunningCheck::OnConnected(const CheckSurroundings& around) {
  const BootTime now = around.clock->Boot();
  if (connection_.Connected() != Io::kOk) {
    return FailConnection(now, Cat("connect: ", ErrorText(connection_.error())));
  }
  connected_ = now;
  result_.timings.connect_us = Microseconds(now - connect_began_);
  phase_ = Phase::kSending;
}

void RunningCheck::Send(const CheckSurroundings& around) {
  while (sent_ < to_send_.size()) {
    if (!MaySend(around)) return;
    size_t n = 0;
    const Io io = connection_.Write(std::string_view(to_send_).substr(sent_), &n);
    if (io == Io::kAgain) return;
    // An answer may have come before the connection broke: reading tells.
    if (io != Io::kOk) break;
    sent_ += n;
  }
  phase_ = Phase::kReading;
}

// A read shorter than the buffer has emptied the socket, unless it is also being closed; what comes
// after it raises a new edge.
void RunningCheck::Receive(CheckSurroundings* around, bool until_empty) {
  std::vector<char>& buffer = around->read_buffer;
  for (;;) {
    size_t n = 0;
    switch (connection_.Read(buffer.data(), buffer.size(), &n)) {
      case Io::kOk:
        if (!Take(around, {buffer.data(), n})) return;
        if (n < buffer.size() && !until_empty) return;
        break;
      case Io::kAgain:
        return;
      case Io::kEnd:
        return OnPeersEnd(around);
      case Io::kError:
      case Io::kLocal:
        return Conclude(around, around->clock->Boot(), Ending::kBroken);
    }
  }
}

bool RunningCheck::Take(CheckSurroundings* around, std::string_view bytes) {
  if (result_.timings.ttfb_us == 0) {
    // At least 1, so that the first byte is only timed once.
    result_.timings.ttfb_us = 1 + Microseconds(around->clock->Boot() - connected_);
  }
  const HttpReader::State state = reader_.Feed(bytes);
  const bool redirect = reader_.headers_complete() && IsRedirectCode(reader_.status_code());
  const bool over = state == HttpReader::State::kDone || state == HttpReader::State::kBroken;
  if (!redirect && !over) return true;
  Conclude(around, around->clock->Boot(), Ending::kRead);
  return false;
}

void RunningCheck::OnPeersEnd(CheckSurroundings* around) {
  reader_.Finish();
  Conclude(around, around->clock->Boot(), Ending::kRead);
}

void RunningCheck::Conclude(CheckSurroundings* around, BootTime now, Ending ending) {
  result_.http_code = reader_.status_code();
  Verdict verdict = JudgeAnswer(request_, reader_, ending, redirects_, url_);
  if (verdict.follow && ending == Ending::kRead) return Follow(around, *std::move(verdict.follow));
  FinishWith(now, verdict);
}

void RunningCheck::Follow(CheckSurroundings* around, Url next) {
  connection_.Close();
  ++redirects_;
  url_ = std::move(next);
  reader_ = HttpReader(ReaderOptions(request_));
  if (!JudgeTarget(*around)) return;
  result_.redirects.push_back(Printable(url_.Text(), kMaxUrlBytes));
  Connect(around);
}

void RunningCheck::OnDeadline(BootTime now) {
  if (finished()) return;
  if (cut_short_) return End(Outcome::kLost, "the caller's deadline came before the check's own");
  result_.http_code = reader_.status_code();
  Verdict verdict = JudgeAnswer(request_, reader_, Ending::kTimeout, redirects_, url_);
  if (phase_ == Phase::kConnecting) verdict.detail = "timeout in connect";
  connection_.Abort();
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

void RunningCheck::FailConnection(BootTime now, std::string detail) {
  FinishWith(now, {Outcome::kDown, ErrorCode::kConnect, std::move(detail), std::nullopt});
}

void RunningCheck::FinishWith(BootTime now, const Verdict& verdict) {
  connection_.Close();
  Unlink();
  phase_ = Phase::kFinished;
  result_.outcome = verdict.outcome;
  result_.error_code = verdict.error_code;
  result_.failure_class = FailureClass(result_.outcome, result_.error_code, result_.http_code);
  result_.detail = Printable(verdict.detail, kMaxDetailBytes);
  if (result_.started.ns != 0) result_.timings.total_us = Microseconds(now - result_.started);
}

void RunningCheck::End(Outcome outcome, std::string_view detail) {
  if (finished()) return;
  connection_.Abort();
  Unlink();
  phase_ = Phase::kFinished;
  Discard(outcome, detail);
}

void RunningCheck::Discard(Outcome outcome, std::string_view detail) {
  result_.outcome = outcome;
  if (outcome != Outcome::kSafety) result_.error_code = ErrorCode::kNone;
  result_.failure_class.clear();
  result_.detail = Printable(detail, kMaxDetailBytes);
}

void RunningCheck::Deliver() {
  Done done = std::move(done_);
  done(std::move(result_));
}

std::string RunningCheck::RequestText() const {
  return Cat(MethodName(request_.mode.method), " ", url_.target,
             " HTTP/1.1\r\nHost: ", url_.HostHeader(), "\r\nUser-Agent: ", request_.user_agent,
             "\r\nAccept: */*\r\nConnection: close\r\n\r\n");
}

}  // namespace jetmon::probe
