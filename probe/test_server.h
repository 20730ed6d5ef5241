#ifndef JETMON_PROBE_TEST_SERVER_H_
#define JETMON_PROBE_TEST_SERVER_H_

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

namespace jetmon::probe {

// A loopback server for tests: a few threads that each serve one connection at a time by a handler
// of the test's. Destroying it ends all connections and joins. Thread-safe.
class TestServer {
 public:
  // One accepted connection, used by its handler only. Closed when the handler returns.
  class Connection {
   public:
    // Up to the empty line, or to what came before the peer closed.
    std::string ReadRequest();
    // What comes next, once it comes; empty when the peer has closed.
    std::string ReadSome();
    // False when the peer is gone.
    bool Send(std::string_view bytes);
    // Waits until the peer, or the server, closes.
    void AwaitClose();
    // Closes with a reset, once what was sent has been acknowledged.
    void Reset();
    int fd() const { return fd_; }

   private:
    friend class TestServer;
    int fd_ = -1;
    bool reset_ = false;
  };
  using Handler = std::function<void(Connection&, const std::string& request)>;

  // kRaw: the handler is called at once, with an empty request.
  enum class Reading { kRequest, kRaw };
  // The handler is called with the request read. `address` is a literal.
  explicit TestServer(Handler handler, int workers = 4, const std::string& address = "127.0.0.1",
                      Reading reading = Reading::kRequest);
  ~TestServer();
  TestServer(const TestServer&) = delete;
  TestServer& operator=(const TestServer&) = delete;

  uint16_t port() const { return port_; }
  // "http://127.0.0.1:PORT" + path
  std::string Url(std::string_view path) const;
  // Those with at least one byte, in order of arrival.
  std::vector<std::string> requests() const;
  std::vector<std::string> peers() const;  // addresses, one a connection
  int connections() const;                 // accepted so far
  // Whether a connection waits to be accepted now.
  bool HasWaiting() const;
  void AwaitConnections(int count) const;

 private:
  void Serve();

  const Handler handler_;
  const Reading reading_;
  const std::string address_;
  uint16_t port_ = 0;
  int listener_ = -1;  // opening it sets port_
  mutable std::mutex mutex_;
  mutable std::condition_variable changed_;
  bool stopping_ = false;
  std::vector<int> open_;
  std::vector<std::string> requests_;
  std::vector<std::string> peers_;
  std::vector<std::thread> workers_;
};

// A loopback port that nothing listens on.
uint16_t UnusedPort();

}  // namespace jetmon::probe

#endif  // JETMON_PROBE_TEST_SERVER_H_
