#ifndef JETMON_TESTS_LAB_HTTP_SERVER_H_
#define JETMON_TESTS_LAB_HTTP_SERVER_H_

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace jetmon::lab {

// One request as it arrived. `wall_ns` (Unix) and `boot_ns` (CLOCK_BOOTTIME) are of the moment at
// which its first line had been read in full.
struct HttpRequest {
  std::string method, path, query;
  std::string host, user_agent, idempotency_key;
  std::string body;
  std::string source;  // the peer's address, without port
  int64_t wall_ns = 0, boot_ns = 0;

  // The value of `name` in the query, "" if absent. Values are taken as they are, not decoded.
  std::string Parameter(absl::string_view name) const;
};

struct HttpAnswer {
  // kReset: the connection is torn down in place of an answer. kNever: it is left open, unanswered.
  enum class Kind { kAnswer, kReset, kNever };
  Kind kind = Kind::kAnswer;
  int status = 200;
  std::string location;  // sent as a header unless empty
  std::string content_type = "text/plain";
  std::string body;
  std::chrono::milliseconds delay{0};  // before the answer is sent
};

// A small HTTP/1.1 server for the lab: one epoll thread, keep-alive, bounded requests (16 KiB of
// header, 1 MiB of body). Requests that break off after some bytes are reported too: whoever
// counts requests wants to know of them.
class HttpServer {
 public:
  // Called on the thread of Run for every complete request.
  using Handler = std::function<HttpAnswer(const HttpRequest&)>;
  // For a request that broke off; only what is known of it is filled in.
  using BrokenOff = std::function<void(const HttpRequest&)>;
  // Called on the thread of Run at least every 20 ms, however idle the server is.
  using Tick = std::function<void()>;

  // Binds and listens on "host:port" (an IPv4 literal; port 0 = any). FailedPrecondition if that
  // can't be.
  static absl::StatusOr<std::unique_ptr<HttpServer>> Listen(const std::string& address,
                                                            Handler handler,
                                                            BrokenOff broken_off = nullptr,
                                                            Tick tick = nullptr);
  ~HttpServer();
  // Serves until Stop. Call once.
  void Run();
  // From any thread, also before Run: Run returns soon.
  void Stop();
  int port() const { return port_; }

 private:
  class Loop;
  HttpServer(int listener, int wake, int port, Handler handler, BrokenOff broken_off, Tick tick);

  const int listener_, wake_, port_;
  const Handler handler_;
  const BrokenOff broken_off_;
  const Tick tick_;
};

// Unix nanoseconds by the wall clock, and CLOCK_BOOTTIME.
int64_t WallNs();
int64_t BootNs();

}  // namespace jetmon::lab

#endif  // JETMON_TESTS_LAB_HTTP_SERVER_H_
