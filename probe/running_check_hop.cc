// One hop of a check: resolve, connect, TLS, request, read.
#include <errno.h>
#include <sys/epoll.h>

#include <chrono>
#include <utility>

#include "probe/running_check.h"
#include "probe/text.h"

namespace jetmon::probe {
namespace {

// At least 1, so that a phase that happened is told from one that did not.
int64_t Microseconds(std::chrono::nanoseconds d) { return 1 + d.count() / 1000; }

std::string_view WithoutDot(std::string_view host) {
  if (host.ends_with('.')) host.remove_suffix(1);
  return host;
}

}  // namespace

// url_ has passed JudgeUrl.
void RunningCheck::BeginHop() {
  result_.timings = {};
  result_.tls = {};
  addresses_.clear();
  next_address_ = 0;
  address_failure_ = Io::kLocal;
  tls_.reset();
  tls_again_ = false;
  if (!url_.address) return Resolve();
  addresses_.push_back(*url_.address);
  ConnectNext();
}

void RunningCheck::Resolve() {
  if (!MaySend()) return;
  phase_began_ = Now();
  if (result_.started.ns == 0) result_.started = phase_began_;
  const auto answer = around_->resolver->Resolve(std::string(WithoutDot(url_.host)), this);
  if (answer.has_value()) return TakeAnswer(*answer);
  phase_ = Phase::kResolving;
  Arm(request_.limits.dns);
}

void RunningCheck::OnDnsAnswer(const DnsAnswer& answer) {
  if (phase_ != Phase::kResolving) return;
  phase_ = Phase::kConnecting;  // the resolver has let go of it
  TakeAnswer(answer);
}

void RunningCheck::TakeAnswer(const DnsAnswer& answer) {
  const BootTime now = Now();
  result_.timings.dns_us = Microseconds(now - phase_began_);
  switch (answer.status) {
    case DnsAnswer::Status::kOk:
      break;
    case DnsAnswer::Status::kNoName:
    case DnsAnswer::Status::kFailed:
      return FinishWith(now, Down(ErrorCode::kConnect, Cat("dns: ", answer.error)));
    case DnsAnswer::Status::kTimeout:
      return FinishWith(now, Down(ErrorCode::kTimeout, "timeout in dns"));
    case DnsAnswer::Status::kLocal:
      return End(Outcome::kLost, Cat("dns, here: ", answer.error));
  }
  for (const IpAddress& address : answer.addresses) {
    const absl::Status safe = around_->safety.JudgeAddress(address);
    if (safe.ok()) continue;
    result_.error_code = ErrorCode::kTargetSafety;
    result_.address = IpAddressText(address);
    return End(Outcome::kSafety, Cat(std::string(safe.message()), " of ", url_.host));
  }
  addresses_ = answer.addresses;
  ConnectNext();
}

// Until one address takes the connection; then OnSocket or OnTimer go on.
void RunningCheck::ConnectNext() {
  while (next_address_ < addresses_.size()) {
    const IpAddress& address = addresses_[next_address_++];
    if (Connect(address) || finished()) return;
  }
  if (address_failure_ == Io::kLocal) return End(Outcome::kLost, why_not_.detail);
  FinishWith(Now(), why_not_);
}

// What the last peer did counts; a fault of ours only if no address got as far as a peer.
void RunningCheck::AddressFailed(Io io, Verdict why) {
  if (io == Io::kLocal && address_failure_ == Io::kError) return;
  address_failure_ = io;
  why_not_ = std::move(why);
}

bool RunningCheck::Connect(const IpAddress& address) {
  result_.timings.connect_us = 0;
  result_.address = IpAddressText(address);
  phase_ = Phase::kConnecting;
  phase_began_ = Now();
  Io io = connection_.Prepare(address, around_->source);
  if (io == Io::kOk) {
    if (!MaySend()) return false;
    if (result_.started.ns == 0) result_.started = phase_began_;
    io = connection_.Connect(address, url_.port);
  }
  if (io != Io::kAgain) {
    const std::string_view where = io == Io::kLocal ? "connect, here: " : "connect: ";
    AddressFailed(io, Down(ErrorCode::kConnect, Cat(where, ErrorText(connection_.error()))));
    return false;
  }
  epoll_event event{};
  event.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET;
  event.data.ptr = this;
  if (epoll_ctl(around_->epoll_fd, EPOLL_CTL_ADD, connection_.fd(), &event) != 0) {
    End(Outcome::kLost, Cat("epoll_ctl: ", ErrorText(errno)));
    return false;
  }
  std::chrono::milliseconds limit = request_.limits.connect;
  if (next_address_ < addresses_.size()) {
    // The others must have their chance.
    const auto half =
        std::chrono::duration_cast<std::chrono::milliseconds>((deadline_ - phase_began_) / 2);
    if (limit.count() == 0 || half < limit) limit = std::max(half, std::chrono::milliseconds(1));
  }
  Arm(limit);
  return true;
}

void RunningCheck::OnSocket(uint32_t epoll_events) {
  const bool closing = (epoll_events & (EPOLLERR | EPOLLHUP | EPOLLRDHUP)) != 0;
  if (phase_ == Phase::kConnecting) {
    if (!closing && (epoll_events & EPOLLOUT) == 0) return;
    OnConnected(epoll_events);
    // Another address has been begun.
    if (phase_ == Phase::kConnecting) return;
  }
  if (phase_ == Phase::kTls) Handshake();
  if (phase_ == Phase::kSending) Send();
  // A peer may answer, or refuse, before it has read all of the request; and behind a handshake
  // some of the answer may have come already.
  if (phase_ == Phase::kReading || phase_ == Phase::kSending) {
    if (closing || (epoll_events & EPOLLIN) != 0) Receive(closing);
  }
}

void RunningCheck::OnConnected(uint32_t epoll_events) {
  const BootTime now = Now();
  const bool broken = (epoll_events & (EPOLLERR | EPOLLHUP)) != 0;
  // A reset of a connection that was made is not a refusal: what comes next, be it an early answer,
  // meets it.
  const bool made = !broken || connection_.Connected() == Io::kOk ||
                    connection_.error() == ECONNRESET || connection_.error() == EPIPE;
  if (!made) {
    AddressFailed(Io::kError,
                  Down(ErrorCode::kConnect, Cat("connect: ", ErrorText(connection_.error()))));
    connection_.Close();
    return ConnectNext();
  }
  result_.timings.connect_us = Microseconds(now - phase_began_);
  phase_began_ = now;
  url_.https ? BeginTls() : BeginRequest();
}

TlsTarget RunningCheck::Target() const {
  TlsTarget target;
  target.host = std::string(WithoutDot(url_.host));
  target.port = url_.port;
  target.judge = request_.mode.profile != Profile::kLegacy;
  return target;
}

void RunningCheck::BeginTls() {
  phase_ = Phase::kTls;
  tls_ = around_->tls->Open(Target(), &wire_);
  if (tls_ == nullptr) return End(Outcome::kLost, "tls, here: out of memory");
  Arm(request_.limits.tls);
}

void RunningCheck::Handshake() {
  const Io io = tls_->Handshake();
  if (finished() || io == Io::kAgain) return;
  if (io != Io::kOk) return OnTlsFailed();
  const BootTime now = Now();
  result_.timings.tls_us = Microseconds(now - phase_began_);
  result_.tls = tls_->facts();
  phase_began_ = now;
  BeginRequest();
}

void RunningCheck::OnTlsFailed() {
  result_.tls = tls_->facts();
  if (phase_ == Phase::kTls && tls_->offered_session() && !tls_again_) {
    // A server that can't resume is not down: once more, in full, to the same address.
    tls_again_ = true;
    around_->tls->Forget(Target());
    tls_.reset();
    connection_.Close();
    --next_address_;
    return ConnectNext();
  }
  const auto failure = tls_->failure();
  if (failure == TlsStream::Failure::kLocal) {
    return End(Outcome::kLost, Cat("tls, here: ", tls_->error()));
  }
  const bool expired = failure == TlsStream::Failure::kCertificateExpired;
  FinishWith(Now(), Down(expired ? ErrorCode::kCertificateExpired : ErrorCode::kTls,
                         Cat("tls: ", tls_->error())));
}

void RunningCheck::BeginRequest() {
  phase_ = Phase::kSending;
  to_send_ = RequestText();
  sent_ = 0;
  Arm(request_.limits.first_byte);
}

void RunningCheck::Send() {
  while (sent_ < to_send_.size()) {
    size_t n = 0;
    const Io io = stream().Write(std::string_view(to_send_).substr(sent_), &n);
    if (finished() || io == Io::kAgain) return;
    // An answer may have come before the connection broke: reading tells.
    if (io != Io::kOk) break;
    sent_ += n;
  }
  phase_ = Phase::kReading;
}

// A read shorter than the buffer has emptied a plain socket, unless it is also being closed; what
// comes after it raises a new edge. TLS hands out a record at a time.
void RunningCheck::Receive(bool until_empty) {
  std::vector<char>& buffer = around_->read_buffer;
  for (;;) {
    size_t n = 0;
    const Io io = stream().Read(buffer.data(), buffer.size(), &n);
    if (finished()) return;  // TLS had to write
    switch (io) {
      case Io::kOk:
        if (!Take({buffer.data(), n})) return;
        if (n < buffer.size() && !until_empty && tls_ == nullptr) return;
        break;
      case Io::kAgain:
        return;
      case Io::kEnd:
        reader_.Finish();
        return Conclude(Now(), Ending::kRead);
      case Io::kError:
      case Io::kLocal:
        // TLS 1.3 servers refuse clients behind the handshake.
        if (tls_ != nullptr && tls_->failure() == TlsStream::Failure::kProtocol &&
            result_.timings.ttfb_us == 0) {
          return OnTlsFailed();
        }
        return Conclude(Now(), Ending::kBroken);
    }
  }
}

bool RunningCheck::Take(std::string_view bytes) {
  if (result_.timings.ttfb_us == 0) {
    result_.timings.ttfb_us = Microseconds(Now() - phase_began_);
    Arm(std::chrono::milliseconds(0));
  }
  const HttpReader::State state = reader_.Feed(bytes);
  const bool over = state == HttpReader::State::kDone || state == HttpReader::State::kBroken;
  if (!over && !HeadersDecide(request_, reader_)) return true;
  Conclude(Now(), Ending::kRead);
  return false;
}

// The headers of the site's owner may hold secrets: they are for the site alone.
bool RunningCheck::AtOwnOrigin() const {
  return redirects_ == 0 ||
         (url_.https == asked_.https && url_.host == asked_.host && url_.port == asked_.port);
}

std::string RunningCheck::RequestText() const {
  const bool full = IsFull(request_);
  std::string_view user_agent = request_.user_agent, accept = "*/*", encoding = "gzip, deflate";
  std::string others;
  if (full && request_.full != nullptr && AtOwnOrigin()) {
    for (const Header& h : request_.full->headers) {
      if (EqualsIgnoreCase(h.name, "user-agent")) {
        user_agent = h.value;
      } else if (EqualsIgnoreCase(h.name, "accept")) {
        accept = h.value;
      } else if (EqualsIgnoreCase(h.name, "accept-encoding")) {
        encoding = h.value;
      } else {
        others += Cat(h.name, ": ", h.value, "\r\n");
      }
    }
  }
  if (full) others += Cat("Accept-Encoding: ", encoding, "\r\n");
  return Cat(MethodName(request_.mode.method), " ", url_.target,
             " HTTP/1.1\r\nHost: ", url_.HostHeader(), "\r\nUser-Agent: ", user_agent,
             "\r\nAccept: ", accept, "\r\n", others, "Connection: close\r\n\r\n");
}

}  // namespace jetmon::probe
