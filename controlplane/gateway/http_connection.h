#ifndef JETMON_CONTROLPLANE_GATEWAY_HTTP_CONNECTION_H_
#define JETMON_CONTROLPLANE_GATEWAY_HTTP_CONNECTION_H_

#include <array>
#include <chrono>
#include <cstddef>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <utility>

// Asio 1.74 forgets <utility>, which stands above.
#include <boost/asio.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http.hpp>

#include "controlplane/gateway/http_exchange.h"
#include "controlplane/gateway/http_server.h"

namespace jetmon::gateway {

class Connection;

// What a connection needs of its server; on the server's thread only, but for what WireThread says.
// It outlives the connections.
class ConnectionHost : public WireThread {
 public:
  virtual boost::asio::io_context& io() = 0;
  virtual const HttpServer::Limits& limits() const = 0;
  virtual HttpHandler& handler() = 0;
  // The connection has closed: its place is free.
  virtual void Remove(const std::shared_ptr<Connection>& connection) = 0;
};

// One connection. Its life: read a request, hand it over, wait for the answer, again; kept alive
// by what is pending on it. A request that can't be read is handed to HttpHandler::Refuse instead,
// and its answer is the last. Every wait has a timer, and whatever ends the connection ends in
// Close, which gives its place back. All methods on the server's thread.
class Connection final : public Wire, public std::enable_shared_from_this<Connection> {
 public:
  Connection(ConnectionHost& host, boost::asio::ip::tcp::socket socket);

  void Start();
  // Waits for no more requests.
  void Drain();
  void Close() override;
  void Send(std::string bytes, bool last) override;
  void SetHeartbeat(std::string data, std::chrono::milliseconds every) override;
  void CloseAfter() override { close_after_ = true; }
  bool must_close() const override { return close_after_ || refused_; }

 private:
  using Parser = boost::beast::http::request_parser<boost::beast::http::string_body>;
  using error_code = boost::system::error_code;

  void ReadRequest();
  void ReadSome();
  void OnRead(error_code ec, size_t n);
  void Parse();
  bool SkipEmptyLines();
  error_code Put();
  void SendContinue();
  void OnParseError(error_code ec);
  void HandOver(bool too_large);
  void Refuse(const HttpRefusal& refusal);
  std::shared_ptr<WireExchange> BeginExchange();
  void WatchClient();
  void Flush();
  void AnswerDone();
  void Linger();
  void DrainMore();
  void BeatLater();
  void Arm(std::chrono::milliseconds d);
  void Disarm();
  void OnTimeout();

  ConnectionHost& host_;
  boost::asio::ip::tcp::socket socket_;
  boost::asio::steady_timer timer_, heartbeat_;
  boost::beast::flat_buffer buffer_;
  std::optional<Parser> parser_;
  HttpRequest request_;  // complete but for the body once the header is read
  bool head_done_ = false;
  size_t head_bytes_ = 0;   // of the header, parsed so far
  bool reading_ = false;    // a read of the request is pending
  bool timed_out_ = false;  // the pending read took too long
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
  std::chrono::milliseconds heartbeat_every_{0};
};

}  // namespace jetmon::gateway

#endif  // JETMON_CONTROLPLANE_GATEWAY_HTTP_CONNECTION_H_
