#include "controlplane/gateway/http_connection.h"

#include <sys/socket.h>

#include <algorithm>
#include <cstring>
#include <stdexcept>

#include "absl/strings/str_cat.h"
#include "controlplane/gateway/http_framing.h"

namespace jetmon::gateway {
namespace {

namespace asio = boost::asio;
namespace http = boost::beast::http;
using asio::ip::tcp;
using boost::system::error_code;
using std::chrono::milliseconds;

constexpr size_t kMostDrained = 8 << 20;
constexpr size_t kReadBytes = 16 << 10;

}  // namespace

Connection::Connection(ConnectionHost& host, tcp::socket socket)
    : host_(host), socket_(std::move(socket)), timer_(host.io()), heartbeat_(host.io()) {}

void Connection::Start() {
  error_code ignored;
  socket_.set_option(tcp::no_delay(true), ignored);
  ReadRequest();
}

void Connection::Drain() {
  close_after_ = true;
  if (!busy_) Close();
}

void Connection::Arm(milliseconds d) {
  timer_.expires_after(d);
  timer_.async_wait([self = shared_from_this()](error_code ec) {
    // A timer that was set anew after it fired still reports success.
    if (ec || self->closed_) return;
    if (self->timer_.expiry() <= asio::steady_timer::clock_type::now()) self->OnTimeout();
  });
}

void Connection::Disarm() { timer_.expires_at(asio::steady_timer::time_point::max()); }

// The client sent a part of a request, and not the rest in time: that is answered. The answer is
// given when the read has ended, by the cancellation or by what came at the same moment.
void Connection::OnTimeout() {
  const bool began = reading_ && (parser_->got_some() || buffer_.size() > 0);
  if (!began) return Close();
  timed_out_ = true;
  error_code ignored;
  socket_.cancel(ignored);
}

void Connection::ReadRequest() {
  if (closed_) return;
  parser_.emplace();
  parser_->header_limit(static_cast<uint32_t>(host_.limits().header_bytes));
  parser_->body_limit(host_.limits().body_bytes);
  head_done_ = false;
  head_bytes_ = 0;
  Arm(host_.limits().idle);
  Parse();
}

// One read at a time, so that a timeout always finds either a pending read or its result. What is
// read before it is parsed is bounded: Beast would wait for the end of a chunk's extension or of
// the trailers for ever.
void Connection::ReadSome() {
  const size_t most = host_.limits().header_bytes + kReadBytes;
  if (buffer_.size() >= most) {
    return Refuse({HttpRefusal::Fault::kHeaderTooLarge,
                   "a chunk's extension, or the trailers, are too long"});
  }
  reading_ = true;
  socket_.async_read_some(
      buffer_.prepare(std::min(kReadBytes, most - buffer_.size())),
      [self = shared_from_this()](error_code ec, size_t n) { self->OnRead(ec, n); });
}

void Connection::OnRead(error_code ec, size_t n) {
  reading_ = false;
  if (closed_) return;
  if (timed_out_) {
    return Refuse({HttpRefusal::Fault::kTooSlow, "the request did not arrive whole in time"});
  }
  const bool began = parser_->got_some() || buffer_.size() > 0;
  if (ec == asio::error::eof && began) {
    return Refuse({HttpRefusal::Fault::kMalformed, "the request ends before its end"});
  }
  if (ec) return Close();
  buffer_.commit(n);
  Parse();
}

// Goes on with what was read, up to the end of the request, an error, or the need to read more.
void Connection::Parse() {
  while (SkipEmptyLines()) {
    const error_code ec = Put();
    if (ec == http::error::need_more) break;
    const bool too_large = ec == http::error::body_limit;
    if (ec && !too_large) return OnParseError(ec);
    if (!head_done_) {
      head_done_ = true;
      if (const auto fault = FaultOf(parser_->get())) return Refuse(*fault);
      request_ = RequestOf(parser_->get());
      parser_->eager(true);
      Arm(host_.limits().body);
      if (!too_large && !parser_->is_done() && parser_->get().version() >= 11 &&
          request_.Find("expect") != nullptr) {
        return SendContinue();
      }
    }
    if (too_large || parser_->is_done()) return HandOver(too_large);
  }
  ReadSome();
}

// Lets pass the empty lines before a request (RFC 9112, 2.2). True when something is left to parse.
bool Connection::SkipEmptyLines() {
  if (parser_->got_some()) return buffer_.size() > 0;
  const auto starts_with = [this](std::string_view text) {
    return buffer_.size() >= text.size() &&
           std::memcmp(buffer_.cdata().data(), text.data(), text.size()) == 0;
  };
  while (starts_with("\r\n")) buffer_.consume(2);
  return buffer_.size() > (starts_with("\r") ? 1 : 0);
}

Connection::error_code Connection::Put() {
  error_code ec;
  try {
    const size_t used = parser_->put(buffer_.cdata(), ec);
    buffer_.consume(used);
    if (!head_done_) head_bytes_ += used;
  } catch (const std::length_error&) {
    return http::error::header_limit;  // Beast throws for a field above 64 KiB
  }
  // Beast's limit is on what is not parsed yet: fields that come one by one would pass it.
  if (!head_done_ && head_bytes_ > host_.limits().header_bytes) return http::error::header_limit;
  return ec;
}

void Connection::SendContinue() {
  static constexpr char kContinue[] = "HTTP/1.1 100 Continue\r\n\r\n";
  asio::async_write(socket_, asio::buffer(kContinue, sizeof(kContinue) - 1),
                    [self = shared_from_this()](error_code failed, size_t) {
                      if (self->closed_) return;
                      if (failed) return self->Close();
                      self->Parse();
                    });
}

void Connection::OnParseError(error_code ec) {
  if (ec == http::error::header_limit) {
    return Refuse({HttpRefusal::Fault::kHeaderTooLarge,
                   absl::StrCat("the header is above ", host_.limits().header_bytes, " bytes")});
  }
  Refuse({HttpRefusal::Fault::kMalformed,
          absl::StrCat("this can't be read as an HTTP/1.1 request: ", ec.message())});
}

std::shared_ptr<WireExchange> Connection::BeginExchange() {
  const auto& message = parser_->get();
  auto exchange = std::make_shared<WireExchange>(
      host_, shared_from_this(), message.method() == http::verb::head, message.version() < 11);
  Disarm();
  parser_.reset();
  busy_ = true;
  last_queued_ = false;
  exchange_ = exchange;
  return exchange;
}

void Connection::HandOver(bool too_large) {
  auto& message = parser_->get();
  HttpRequest request = std::exchange(request_, {});
  request.body_too_large = too_large;
  if (!too_large) request.body = std::move(message.body());
  refused_ = refused_ || too_large;
  close_after_ = close_after_ || !message.keep_alive();
  const auto exchange = BeginExchange();
  WatchClient();
  host_.handler().Handle(std::move(request), exchange, &exchange->on_gone);
}

void Connection::Refuse(const HttpRefusal& refusal) {
  refused_ = true;
  const auto exchange = BeginExchange();
  host_.handler().Refuse(refusal, *exchange);
}

// While the answer is made nobody reads: this notices the client that goes away. What comes
// instead of an end (a pipelined request, the rest of a refused body) ends the watch.
void Connection::WatchClient() {
  if (watching_) return;
  watching_ = true;
  socket_.async_wait(tcp::socket::wait_read, [self = shared_from_this()](error_code ec) {
    self->watching_ = false;
    if (ec || self->closed_ || !self->busy_) return;
    char byte = 0;
    const ssize_t n = ::recv(self->socket_.native_handle(), &byte, 1, MSG_PEEK | MSG_DONTWAIT);
    if (n > 0 || (n < 0 && (errno == EAGAIN || errno == EINTR))) return;
    // The end of what the client sends: it may still read the answer, and those of the requests
    // that came before the end, but asks for nothing more.
    if (self->buffer_.size() == 0) self->close_after_ = true;
    if (auto exchange = self->exchange_.lock()) exchange->Gone();
  });
}

void Connection::Send(std::string bytes, bool last) {
  if (closed_ || !busy_ || last_queued_) return;
  last_queued_ = last;
  if (last) heartbeat_.cancel();
  out_.push_back(std::move(bytes));
  if (!writing_) Flush();
}

void Connection::Flush() {
  writing_ = true;
  Arm(host_.limits().idle);
  asio::async_write(socket_, asio::buffer(out_.front()),
                    [self = shared_from_this()](error_code ec, size_t n) {
                      self->writing_ = false;
                      if (self->closed_) return;
                      self->Disarm();
                      if (ec) return self->Close();
                      self->out_.pop_front();
                      if (auto exchange = self->exchange_.lock()) exchange->Sent(n);
                      if (!self->out_.empty()) return self->Flush();
                      if (self->last_queued_) return self->AnswerDone();
                      self->BeatLater();
                    });
}

void Connection::SetHeartbeat(std::string data, milliseconds every) {
  heartbeat_data_ = std::move(data);
  heartbeat_every_ = every;
  BeatLater();
}

void Connection::BeatLater() {
  if (heartbeat_data_.empty() || last_queued_ || closed_) return;
  heartbeat_.expires_after(heartbeat_every_);
  heartbeat_.async_wait([self = shared_from_this()](error_code ec) {
    if (!ec && !self->writing_ && self->out_.empty()) self->Send(self->heartbeat_data_, false);
  });
}

void Connection::AnswerDone() {
  busy_ = false;
  heartbeat_data_.clear();
  exchange_.reset();
  if (must_close()) return Linger();
  ReadRequest();
}

// Closing with unread data resets the connection, and the answer is lost with it.
void Connection::Linger() {
  error_code ignored;
  socket_.shutdown(tcp::socket::shutdown_send, ignored);
  Arm(host_.limits().drain);
  drained_ = 0;
  DrainMore();
}

void Connection::DrainMore() {
  socket_.async_read_some(asio::buffer(scratch_),
                          [self = shared_from_this()](error_code ec, size_t n) {
                            self->drained_ += n;
                            if (self->closed_) return;
                            if (ec || self->drained_ > kMostDrained) return self->Close();
                            self->DrainMore();
                          });
}

void Connection::Close() {
  if (closed_) return;
  closed_ = true;
  const auto self = shared_from_this();
  timer_.cancel();
  heartbeat_.cancel();
  error_code ignored;
  socket_.close(ignored);
  if (auto exchange = exchange_.lock()) exchange->Gone();
  host_.Remove(self);
}

}  // namespace jetmon::gateway
