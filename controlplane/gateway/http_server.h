#ifndef JETMON_CONTROLPLANE_GATEWAY_HTTP_SERVER_H_
#define JETMON_CONTROLPLANE_GATEWAY_HTTP_SERVER_H_

#include <chrono>
#include <cstddef>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"

namespace jetmon::gateway {

using HttpHeaders = std::vector<std::pair<std::string, std::string>>;

struct HttpRequest {
  std::string method;   // as sent: "GET"
  std::string path;     // before '?', still percent-encoded
  std::string query;    // after '?', without it
  HttpHeaders headers;  // names in lower case
  std::string body;
  // Nothing of the body is given: it was above the limit.
  bool body_too_large = false;

  // The first header of that (lower-case) name; nullptr when there is none.
  const std::string* Find(std::string_view name) const;
};

// Why a request could not be read.
struct HttpRefusal {
  enum class Fault {
    kMalformed,       // it is none of HTTP/1.1, or breaks off, or its end is not certain
    kHeaderTooLarge,  // its header, a chunk's extension or its trailers are above the limit
    kUnknownCoding,   // its Transfer-Encoding is not `chunked`
    kTooSlow,         // a part of it came, and the rest not in time
  };
  Fault fault;
  std::string why;  // one line, for the client
};

// One request under way: where its answer goes. Exactly one of Respond, or BeginStream and
// EndStream, is to be called, from any thread; an exchange that is released without closes its
// connection. When the client has gone all of them do nothing.
class HttpExchange {
 public:
  virtual ~HttpExchange() = default;
  // content-length and connection are added. The connection stays open for the next request unless
  // the request asks otherwise.
  virtual void Respond(int status, HttpHeaders headers, std::string body) = 0;
  // An answer without a known length. After `heartbeat_every` without a Write, `heartbeat` is sent.
  virtual void BeginStream(int status, HttpHeaders headers, std::string heartbeat,
                           std::chrono::milliseconds heartbeat_every) = 0;
  // Blocks while 256 KiB wait to be sent. False: the client is gone, or took nothing for 60 s.
  virtual bool Write(std::string data) = 0;
  virtual void EndStream() = 0;
};

// What answers the requests. Called on the server's only thread: must not block.
class HttpHandler {
 public:
  virtual ~HttpHandler() = default;
  // Must make `*on_gone` callable when it wants to know of a client that goes away: it is called
  // at most once, on the server's thread, until the exchange is released.
  virtual void Handle(HttpRequest request, std::shared_ptr<HttpExchange> exchange,
                      std::function<void()>* on_gone) = 0;
  // Must Respond at once: there is no request to handle. The connection ends with the answer.
  virtual void Refuse(const HttpRefusal& refusal, HttpExchange& exchange) = 0;
};

// An HTTP/1.1 server: keep-alive, bounded in every direction, one thread. Beast parses. A request
// that can't be read is answered by HttpHandler::Refuse, and the answer always arrives: writing is
// shut down, up to 8 MiB or Limits::drain of what the client still sends is drained, then the
// connection closes. It closes without an answer only when nobody is there to read one: the client
// has gone, sent nothing for Limits::idle, or does not take what it asked for.
class HttpServer {
 public:
  struct Limits {
    size_t connections = 1024;
    size_t header_bytes = 16 << 10;
    size_t body_bytes = 1 << 20;
    std::chrono::milliseconds idle{60'000};  // also for one whole header, and for a stalled write
    std::chrono::milliseconds body{30'000};
    std::chrono::milliseconds drain{2'000};
  };
  // Unavailable, one line, when the address can't be had. InvalidArgument for one that is none.
  // `handler` must outlive the server.
  static absl::StatusOr<std::unique_ptr<HttpServer>> Start(const std::string& listen,
                                                           HttpHandler& handler, Limits limits);
  // Shutdown(0) if that was not called; waits until all exchanges are released.
  ~HttpServer();

  int port() const;
  // Takes no more connections, closes idle ones, gives requests under way `grace` to be answered,
  // then closes them too (their on_gone is called).
  void Shutdown(std::chrono::milliseconds grace);

 private:
  class Impl;
  explicit HttpServer(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace jetmon::gateway

#endif  // JETMON_CONTROLPLANE_GATEWAY_HTTP_SERVER_H_
