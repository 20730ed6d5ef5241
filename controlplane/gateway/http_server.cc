#include "controlplane/gateway/http_server.h"

#include <condition_variable>
#include <mutex>
#include <set>
#include <thread>
#include <utility>

// Asio 1.74 forgets <utility>, which stands above.
#include <boost/asio.hpp>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "controlplane/gateway/http_connection.h"
#include "controlplane/gateway/http_exchange.h"
#include "daemon/log.h"

namespace jetmon::gateway {
namespace {

namespace asio = boost::asio;
using asio::ip::tcp;
using boost::system::error_code;
using std::chrono::milliseconds;

constexpr milliseconds kAcceptPause{100};

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
class HttpServer::Impl final : public ConnectionHost {
 public:
  Impl(HttpHandler& handler, Limits limits) : handler_(handler), limits_(limits) {}
  ~Impl() override;

  absl::Status Start(const std::string& listen);
  int port() const { return port_; }
  void Shutdown(milliseconds grace);

  void Post(std::function<void()> task) override { asio::post(io_, std::move(task)); }
  void ExchangeBegins() override;
  void ExchangeEnds() override;
  asio::io_context& io() override { return io_; }
  const Limits& limits() const override { return limits_; }
  HttpHandler& handler() override { return handler_; }
  void Remove(const std::shared_ptr<Connection>& connection) override;

 private:
  void Accept();

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
