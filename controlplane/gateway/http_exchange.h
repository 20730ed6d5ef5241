#ifndef JETMON_CONTROLPLANE_GATEWAY_HTTP_EXCHANGE_H_
#define JETMON_CONTROLPLANE_GATEWAY_HTTP_EXCHANGE_H_

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>

#include "controlplane/gateway/http_server.h"

namespace jetmon::gateway {

// The head of an answer. `framing` is whole header lines, such as "content-length: 5\r\n".
std::string HttpHead(int status, const HttpHeaders& headers, std::string_view framing, bool close);

// What an exchange does to its connection; on the server's thread only.
class Wire {
 public:
  virtual ~Wire() = default;
  // Queues a part of the answer; `last` ends it.
  virtual void Send(std::string bytes, bool last) = 0;
  virtual void SetHeartbeat(std::string data, std::chrono::milliseconds every) = 0;
  // The connection ends with this answer.
  virtual void CloseAfter() = 0;
  virtual bool must_close() const = 0;
  virtual void Close() = 0;
};

// The server thread's queue of tasks, and who counts exchanges; outlives them all.
class WireThread {
 public:
  virtual ~WireThread() = default;
  virtual void Post(std::function<void()> task) = 0;
  virtual void ExchangeBegins() = 0;
  virtual void ExchangeEnds() = 0;
};

// The exchange of one request on one connection. Thread-safe: what it does goes to the server's
// thread.
class WireExchange final : public HttpExchange {
 public:
  // `head`: a HEAD request's answer has no body. `http10`: the client knows no chunks.
  WireExchange(WireThread& thread, std::shared_ptr<Wire> wire, bool head, bool http10);
  ~WireExchange() override;

  void Respond(int status, HttpHeaders headers, std::string body) override;
  void BeginStream(int status, HttpHeaders headers, std::string heartbeat,
                   std::chrono::milliseconds heartbeat_every) override;
  bool Write(std::string data) override;
  void EndStream() override;

  // For the connection, on the server's thread: so much was sent; the client has gone.
  void Sent(size_t bytes);
  void Gone();
  std::function<void()> on_gone;

 private:
  bool gone();
  std::string Frame(std::string data) const;
  void Post(std::function<void(Wire&)> f);

  WireThread& thread_;
  std::shared_ptr<Wire> wire_;
  const bool head_, http10_;
  std::atomic<bool> answered_{false};
  std::atomic<bool> streaming_{false};
  std::mutex mu_;
  std::condition_variable room_;
  size_t pending_ = 0;  // bytes of the stream that are not sent yet
  bool gone_ = false;
};

}  // namespace jetmon::gateway

#endif  // JETMON_CONTROLPLANE_GATEWAY_HTTP_EXCHANGE_H_
