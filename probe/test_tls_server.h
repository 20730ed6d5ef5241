#ifndef JETMON_PROBE_TEST_TLS_SERVER_H_
#define JETMON_PROBE_TEST_TLS_SERVER_H_

#include <openssl/ssl.h>

#include <atomic>
#include <functional>
#include <mutex>
#include <string>
#include <string_view>

#include "probe/test_certificates.h"
#include "probe/test_server.h"

namespace jetmon::probe {

// A loopback TLS server for tests, in the manner of TestServer. Thread-safe.
class TestTlsServer {
 public:
  class Connection {
   public:
    bool Send(std::string_view bytes);
    // Says goodbye as TLS wants it; most servers just close.
    void Goodbye();
    TestServer::Connection& raw() { return raw_; }
    SSL* ssl() { return ssl_; }

   private:
    friend class TestTlsServer;
    Connection(TestServer::Connection& raw, SSL* ssl) : raw_(raw), ssl_(ssl) {}
    TestServer::Connection& raw_;
    SSL* const ssl_;
  };
  using Handler = std::function<void(Connection&, const std::string& request)>;

  struct Options {
    int min_version = TLS1_VERSION, max_version = TLS1_3_VERSION;
    bool tickets = true;             // else no session can be resumed
    bool refuse_resumption = false;  // ends the connection when a session is offered
    int workers = 4;
    std::function<void(SSL_CTX*)> prepare = {};  // whatever else; after all other options
  };

  TestTlsServer(const TestIdentity& identity, Handler handler);
  TestTlsServer(const TestIdentity& identity, Handler handler, const Options& options);
  ~TestTlsServer();

  uint16_t port() const { return server_.port(); }
  // "https://127.0.0.1:PORT" + path
  std::string Url(std::string_view path) const;
  int connections() const { return server_.connections(); }
  void AwaitConnections(int count) const { server_.AwaitConnections(count); }
  int full_handshakes() const { return full_; }
  int resumed_handshakes() const { return resumed_; }
  // The SNI of the last handshake.
  std::string last_name() const;

 private:
  void Serve(TestServer::Connection& raw);
  static int OnHello(SSL* ssl, int* alert, void* self);

  const Handler handler_;
  const Options options_;
  SSL_CTX* context_ = nullptr;
  std::atomic<int> full_{0}, resumed_{0};
  mutable std::mutex mutex_;
  std::string last_name_;
  TestServer server_;  // the first to go
};

}  // namespace jetmon::probe

#endif  // JETMON_PROBE_TEST_TLS_SERVER_H_
