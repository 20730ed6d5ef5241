#include "controlplane/gateway/http_server.h"

#include <sys/socket.h>

#include <condition_variable>
#include <deque>
#include <mutex>
#include <optional>
#include <set>
#include <thread>
#include <utility>

// Asio 1.74 forgets <utility>, which stands above.
#include <boost/asio.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http.hpp>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "controlplane/gateway/http_exchange.h"
#include "daemon/log.h"

namespace jetmon::gateway {
namespace {

namespace asio = boost::asio;
namespace http = boost::beast::http;
using asio::ip::tcp;
using boost::system::error_code;
using std::chrono::milliseconds;

constexpr size_t kMostDrained = 8 << 20;
constexpr milliseconds kLongestDrain{2'000};
constexpr milliseconds kAcceptPause{100};

// The connection is broken, whatever was being read. (Success is of this category, too.)
bool IsSystem(const error_code& ec) {
  return ec && ec.category() == asio::error::get_system_category();
}

absl::StatusOr<tcp::endpoint> ParseListen(const std::string& listen) {
  const size_t colon = listen.rfind(':');
  std::string host = colon == std::string::npos ? "" : listen.substr(0, colon);
  if (host.size() > 2 && host.front() == '[' && host.back() == ']') {
    host = host.substr(1, host.size() - 2);
  }
  if (host == "localhost") host = "127.0.0.1";
  uint32_t port = 0;
  error_code ec;
  const auto address = asio::ip::make_address(host, ec);
  if (ec || !absl::SimpleAtoi(listen.substr(colon + 1), &port) || port > 65535) {
    return absl::InvalidArgumentError(listen + " is no ADDRESS:PORT, such as 127.0.0.1:8080");
  }
  return tcp::endpoint(address, static_cast<uint16_t>(port));
}

}  // namespace

const std::string* HttpRequest::Find(std::string_view name) const {
  for (const auto& [key, value] : headers) {
    if (key == name) return &value;
  }
  return nullptr;
}

// Everything of asio belongs to the one thread that runs io_, except post().
class HttpServer::Impl final : public WireThread {
 public:
  Impl(HttpHandler& handler, Limits limits) : handler_(handler), limits_(limits) {}
  ~Impl() override;

  absl::Status Start(const std::string& listen);
  int port() const { return port_; }
  void Shutdown(milliseconds grace);

  void Post(std::function<void()> task) override { asio::post(io_, std::move(task)); }
  void ExchangeBegins() override;
  void ExchangeEnds() override;

 private:
  class Connection;

  void Accept();
  void Remove(const std::shared_ptr<Connection>& connection);

  HttpHandler& handler_;
  const Limits limits_;
  asio::io_context io_{1};
  asio::executor_work_guard<asio::io_context::executor_type> work_{io_.get_executor()};
  tcp::acceptor acceptor_{io_};
  asio::steady_timer accept_pause_{io_};
  std::set<std::shared_ptr<Connection>> connections_;
  bool accepting_ = false;
  bool draining_ = false;
  int port_ = 0;
  std::thread thread_;

  std::mutex mu_;
  std::condition_variable changed_;
  size_t exchanges_ = 0;
  bool stopped_ = false;
};

// One connection. Its life: read a request, hand it over, wait for the answer, again; kept alive
// by what is pending on it. All methods on the server's thread.
class HttpServer::Impl::Connection final : public Wire,
                                           public std::enable_shared_from_this<Connection> {
 public:
  Connection(Impl& server, tcp::socket socket)
      : server_(server), socket_(std::move(socket)), timer_(server.io_), heartbeat_(server.io_) {}

  void Start() {
    error_code ignored;
    socket_.set_option(tcp::no_delay(true), ignored);
    ReadHead();
  }
  // Waits for no more requests.
  void Drain() {
    close_after_ = true;
    if (!busy_) Close();
  }
  void Close() override;
  void Send(std::string bytes, bool last) override;
  void SetHeartbeat(std::string data, milliseconds every) override;
  void CloseAfter() override { close_after_ = true; }
  bool must_close() const override { return close_after_ || refused_; }

 private:
  using Parser = http::request_parser<http::string_body>;

  void ReadHead();
  void OnHead(error_code ec);
  void ReadBody();
  void OnBody(error_code ec);
  void HandOver(bool too_large);
  void RefuseRequest(int status, const char* text);
  void WatchClient();
  void Flush();
  void AnswerDone();
  void Linger();
  void DrainMore();
  void BeatLater();
  void Arm(milliseconds d);
  void Disarm() { timer_.cancel(); }

  Impl& server_;
  tcp::socket socket_;
  asio::steady_timer timer_, heartbeat_;
  boost::beast::flat_buffer buffer_;
  std::optional<Parser> parser_;
  std::weak_ptr<WireExchange> exchange_;
  std::deque<std::string> out_;
  bool writing_ = false;
  bool last_queued_ = false;
  bool busy_ = false;  // a request is being answered
  bool watching_ = false;
  bool close_after_ = false;
  bool refused_ = false;  // what the client sends further is not read as requests
  bool closed_ = false;
  size_t drained_ = 0;
  std::array<char, 16384> scratch_;
  std::string heartbeat_data_;
  milliseconds heartbeat_every_{0};
};

void HttpServer::Impl::Connection::Arm(milliseconds d) {
  timer_.expires_after(d);
  timer_.async_wait([self = shared_from_this()](error_code ec) {
    // A timer that was set anew after it fired still reports success.
    if (!ec && self->timer_.expiry() <= asio::steady_timer::clock_type::now()) self->Close();
  });
}

void HttpServer::Impl::Connection::ReadHead() {
  if (closed_) return;
  parser_.emplace();
  parser_->header_limit(static_cast<uint32_t>(server_.limits_.header_bytes));
  parser_->body_limit(server_.limits_.body_bytes);
  Arm(server_.limits_.idle);
  http::async_read_header(socket_, buffer_, *parser_,
                          [self = shared_from_this()](error_code ec, size_t) { self->OnHead(ec); });
}

void HttpServer::Impl::Connection::OnHead(error_code ec) {
  if (closed_) return;
  Disarm();
  if (ec == http::error::body_limit) return HandOver(/*too_large=*/true);
  if (ec == http::error::header_limit) return RefuseRequest(431, "the header is above 16 KiB\n");
  if (ec == http::error::end_of_stream || ec == asio::error::operation_aborted || IsSystem(ec) ||
      ec == asio::error::eof || ec == http::error::partial_message) {
    return Close();
  }
  if (ec) return RefuseRequest(400, "this is no HTTP/1.1 request\n");
  const auto length = parser_->content_length();
  if (length && *length > server_.limits_.body_bytes) return HandOver(/*too_large=*/true);
  const auto expect = parser_->get()[http::field::expect];
  if (!expect.empty() && parser_->get().version() >= 11) {
    static constexpr char kContinue[] = "HTTP/1.1 100 Continue\r\n\r\n";
    asio::async_write(socket_, asio::buffer(kContinue, sizeof(kContinue) - 1),
                      [self = shared_from_this()](error_code failed, size_t) {
                        if (failed) return self->Close();
                        self->ReadBody();
                      });
    return;
  }
  ReadBody();
}

void HttpServer::Impl::Connection::ReadBody() {
  if (closed_) return;
  Arm(server_.limits_.body);
  http::async_read(socket_, buffer_, *parser_,
                   [self = shared_from_this()](error_code ec, size_t) { self->OnBody(ec); });
}

void HttpServer::Impl::Connection::OnBody(error_code ec) {
  if (closed_) return;
  Disarm();
  if (ec == http::error::body_limit) return HandOver(/*too_large=*/true);
  if (ec == asio::error::operation_aborted || ec == http::error::partial_message || IsSystem(ec)) {
    return Close();
  }
  if (ec) return RefuseRequest(400, "the request's body can't be read\n");
  HandOver(/*too_large=*/false);
}

void HttpServer::Impl::Connection::HandOver(bool too_large) {
  auto& message = parser_->get();
  HttpRequest request;
  request.method = std::string(message.method_string());
  std::string target(message.target());
  if (const size_t scheme = target.find("://");
      !target.empty() && target[0] != '/' && scheme != std::string::npos) {
    const size_t slash = target.find('/', scheme + 3);
    target = slash == std::string::npos ? "/" : target.substr(slash);
  }
  const size_t mark = target.find('?');
  request.path = target.substr(0, mark);
  if (mark != std::string::npos) request.query = target.substr(mark + 1);
  for (const auto& field : message) {
    request.headers.emplace_back(absl::AsciiStrToLower(std::string(field.name_string())),
                                 std::string(field.value()));
  }
  request.body_too_large = too_large;
  if (!too_large) request.body = std::move(message.body());
  refused_ = refused_ || too_large;
  close_after_ = close_after_ || !message.keep_alive();
  auto exchange = std::make_shared<WireExchange>(server_, shared_from_this(),
                                                 request.method == "HEAD", message.version() < 11);
  parser_.reset();
  busy_ = true;
  last_queued_ = false;
  exchange_ = exchange;
  WatchClient();
  server_.handler_.Handle(std::move(request), exchange, &exchange->on_gone);
}

// A request that is none: there is no handler to ask.
void HttpServer::Impl::Connection::RefuseRequest(int status, const char* text) {
  refused_ = true;
  busy_ = true;
  const std::string body(text);
  Send(HttpHead(status, {{"content-type", "text/plain; charset=utf-8"}},
                absl::StrCat("content-length: ", body.size(), "\r\n"), true) +
           body,
       true);
}

// While the answer is made nobody reads: this notices the client that goes away. What comes
// instead of an end (a pipelined request, the rest of a refused body) ends the watch.
void HttpServer::Impl::Connection::WatchClient() {
  if (watching_) return;
  watching_ = true;
  socket_.async_wait(tcp::socket::wait_read, [self = shared_from_this()](error_code ec) {
    self->watching_ = false;
    if (ec || self->closed_ || !self->busy_) return;
    char byte = 0;
    const ssize_t n = ::recv(self->socket_.native_handle(), &byte, 1, MSG_PEEK | MSG_DONTWAIT);
    if (n > 0 || (n < 0 && (errno == EAGAIN || errno == EINTR))) return;
    // The end of what the client sends: it may still read the answer, but waits for nothing more.
    self->close_after_ = true;
    if (auto exchange = self->exchange_.lock()) exchange->Gone();
  });
}

void HttpServer::Impl::Connection::Send(std::string bytes, bool last) {
  if (closed_ || !busy_ || last_queued_) return;
  last_queued_ = last;
  if (last) heartbeat_.cancel();
  out_.push_back(std::move(bytes));
  if (!writing_) Flush();
}

void HttpServer::Impl::Connection::Flush() {
  writing_ = true;
  Arm(server_.limits_.idle);
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

void HttpServer::Impl::Connection::SetHeartbeat(std::string data, milliseconds every) {
  heartbeat_data_ = std::move(data);
  heartbeat_every_ = every;
  BeatLater();
}

void HttpServer::Impl::Connection::BeatLater() {
  if (heartbeat_data_.empty() || last_queued_ || closed_) return;
  heartbeat_.expires_after(heartbeat_every_);
  heartbeat_.async_wait([self = shared_from_this()](error_code ec) {
    if (!ec && !self->writing_ && self->out_.empty()) self->Send(self->heartbeat_data_, false);
  });
}

void HttpServer::Impl::Connection::AnswerDone() {
  busy_ = false;
  heartbeat_data_.clear();
  exchange_.reset();
  if (must_close()) return Linger();
  ReadHead();
}

// Closing with unread data resets the connection, and the answer is lost with it.
void HttpServer::Impl::Connection::Linger() {
  error_code ignored;
  socket_.shutdown(tcp::socket::shutdown_send, ignored);
  Arm(kLongestDrain);
  drained_ = 0;
  DrainMore();
}

void HttpServer::Impl::Connection::DrainMore() {
  socket_.async_read_some(asio::buffer(scratch_),
                          [self = shared_from_this()](error_code ec, size_t n) {
                            self->drained_ += n;
                            if (self->closed_) return;
                            if (ec || self->drained_ > kMostDrained) return self->Close();
                            self->DrainMore();
                          });
}

void HttpServer::Impl::Connection::Close() {
  if (closed_) return;
  closed_ = true;
  const auto self = shared_from_this();
  timer_.cancel();
  heartbeat_.cancel();
  error_code ignored;
  socket_.close(ignored);
  if (auto exchange = exchange_.lock()) exchange->Gone();
  server_.Remove(self);
}

absl::Status HttpServer::Impl::Start(const std::string& listen) {
  const auto endpoint = ParseListen(listen);
  if (!endpoint.ok()) return endpoint.status();
  error_code ec;
  acceptor_.open(endpoint->protocol(), ec);
  if (!ec) acceptor_.set_option(tcp::acceptor::reuse_address(true), ec);
  if (!ec) acceptor_.bind(*endpoint, ec);
  if (!ec) acceptor_.listen(1024, ec);
  if (ec) {
    return absl::UnavailableError(
        absl::StrCat("can't listen for HTTP on ", listen, ": ", ec.message()));
  }
  port_ = acceptor_.local_endpoint().port();
  Accept();
  thread_ = std::thread([this] { io_.run(); });
  return absl::OkStatus();
}

void HttpServer::Impl::Accept() {
  if (accepting_ || draining_ || connections_.size() >= limits_.connections) return;
  accepting_ = true;
  acceptor_.async_accept([this](error_code ec, tcp::socket socket) {
    accepting_ = false;
    if (draining_) return;
    if (ec) {
      // Out of descriptors, most likely: give those that are open time to close.
      LogWarning(absl::StrCat("HTTP accept: ", ec.message()));
      accept_pause_.expires_after(kAcceptPause);
      accept_pause_.async_wait([this](error_code stopped) {
        if (!stopped) Accept();
      });
      return;
    }
    const auto connection = std::make_shared<Connection>(*this, std::move(socket));
    connections_.insert(connection);
    connection->Start();
    Accept();
  });
}

void HttpServer::Impl::Remove(const std::shared_ptr<Connection>& connection) {
  connections_.erase(connection);
  Accept();
}

void HttpServer::Impl::ExchangeBegins() {
  std::lock_guard lock(mu_);
  ++exchanges_;
}

void HttpServer::Impl::ExchangeEnds() {
  std::lock_guard lock(mu_);
  --exchanges_;
  changed_.notify_all();
}

void HttpServer::Impl::Shutdown(milliseconds grace) {
  {
    std::lock_guard lock(mu_);
    if (stopped_) return;
    stopped_ = true;
  }
  if (!thread_.joinable()) return;
  asio::post(io_, [this] {
    draining_ = true;
    error_code ignored;
    acceptor_.close(ignored);
    accept_pause_.cancel();
    const auto all = connections_;
    for (const auto& connection : all) connection->Drain();
  });
  {
    std::unique_lock lock(mu_);
    changed_.wait_for(lock, grace, [&] { return exchanges_ == 0; });
  }
  // Answers that are on their way get a moment more; then all is closed.
  std::mutex done_mu;
  std::condition_variable done_changed;
  bool done = false;
  asio::steady_timer last(io_, milliseconds(grace.count() > 0 ? 200 : 0));
  last.async_wait([&](error_code) {
    const auto all = connections_;
    for (const auto& connection : all) connection->Close();
    std::lock_guard lock(done_mu);
    done = true;
    done_changed.notify_all();
  });
  std::unique_lock lock(done_mu);
  done_changed.wait(lock, [&] { return done; });
}

HttpServer::Impl::~Impl() {
  Shutdown(milliseconds(0));
  {
    std::unique_lock lock(mu_);
    changed_.wait(lock, [&] { return exchanges_ == 0; });
  }
  work_.reset();
  if (thread_.joinable()) thread_.join();
}

absl::StatusOr<std::unique_ptr<HttpServer>> HttpServer::Start(const std::string& listen,
                                                              HttpHandler& handler, Limits limits) {
  auto impl = std::make_unique<Impl>(handler, limits);
  const absl::Status status = impl->Start(listen);
  if (!status.ok()) return status;
  return std::unique_ptr<HttpServer>(new HttpServer(std::move(impl)));
}

HttpServer::HttpServer(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}

HttpServer::~HttpServer() = default;

int HttpServer::port() const { return impl_->port(); }

void HttpServer::Shutdown(milliseconds grace) { impl_->Shutdown(grace); }

}  // namespace jetmon::gateway
