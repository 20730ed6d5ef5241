// Shared by the tests of OpenSslClient: one TLS connection at a time, over a real socket.
#ifndef JETMON_PROBE_TLS_CLIENT_FIXTURE_H_
#define JETMON_PROBE_TLS_CLIENT_FIXTURE_H_

#include <gtest/gtest.h>
#include <poll.h>

#include <memory>
#include <string>
#include <string_view>

#include "clock/clock.h"
#include "probe/connection.h"
#include "probe/openssl_client.h"
#include "probe/test_tls_server.h"
#include "probe/tls.h"

namespace jetmon::probe {

// The wall clock shows the day on which tests make their certificates; a test may move either.
class TlsClock final : public Clock {
 public:
  BootTime Boot() const override { return BootTime{1} + boot; }
  int64_t WallMs() const override { return SystemClock().WallMs() + wall.count(); }
  std::chrono::milliseconds boot{0}, wall{0};
};

// What one connection came to.
struct TlsSeen {
  Io handshake = Io::kError;
  TlsStream::Failure failure = TlsStream::Failure::kNone;
  std::string error;
  bool offered = false;
  TlsFacts facts;
  std::string answer;
  Io end = Io::kAgain;  // of reading
};

inline std::unique_ptr<Connection> ConnectTo(uint16_t port) {
  auto connection = std::make_unique<Connection>();
  const IpAddress address = *ParseIpAddress("127.0.0.1");
  EXPECT_EQ(connection->Prepare(address, {}), Io::kOk);
  EXPECT_EQ(connection->Connect(address, port), Io::kAgain);
  pollfd ready{connection->fd(), POLLOUT, 0};
  poll(&ready, 1, -1);
  EXPECT_EQ(connection->Connected(), Io::kOk);
  return connection;
}

// Calls `step` until it has something other than kAgain to say; waits for the socket between.
template <typename Step>
Io Drive(const Connection& connection, Step step) {
  for (;;) {
    const Io io = step();
    if (io != Io::kAgain) return io;
    pollfd ready{connection.fd(), POLLIN, 0};
    poll(&ready, 1, 1);
  }
}

// A handshake, a request, and what comes back until the end. `wire` stands before the connection.
inline TlsSeen Converse(TlsClient& client, const TlsTarget& target, const Connection& connection,
                        ByteStream& wire) {
  TlsSeen seen;
  const std::unique_ptr<TlsStream> stream = client.Open(target, &wire);
  seen.handshake = Drive(connection, [&] { return stream->Handshake(); });
  seen.failure = stream->failure();
  seen.error = stream->error();
  seen.offered = stream->offered_session();
  seen.facts = stream->facts();
  if (seen.handshake != Io::kOk) return seen;
  std::string_view request = "GET / HTTP/1.1\r\n\r\n";
  size_t n = 0;
  while (!request.empty() &&
         Drive(connection, [&] { return stream->Write(request, &n); }) == Io::kOk) {
    request.remove_prefix(n);
  }
  char buffer[4096];
  while ((seen.end = Drive(connection, [&] { return stream->Read(buffer, sizeof(buffer), &n); })) ==
         Io::kOk) {
    seen.answer.append(buffer, n);
  }
  seen.error = stream->error();
  return seen;
}

class TlsClientTest : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    if (root_ != nullptr) return;  // several suites share it
    root_ = new TestIdentity(MakeCa("Test Root"));
    ca_file_ = new std::string(WriteCertificate(*root_, "root.pem"));
  }
  static void AnswerOk(TestTlsServer::Connection& c, const std::string&) { c.Send("ok"); }

  std::shared_ptr<OpenSslClient> Make(size_t max_sessions = 100) {
    auto client = OpenSslClient::Create(
        {.clock = &clock_, .ca_file = *ca_file_, .max_sessions = max_sessions});
    EXPECT_TRUE(client.ok()) << client.status();
    return *std::move(client);
  }
  static TlsSeen Visit(TlsClient& client, const TlsTarget& target, uint16_t server) {
    const auto connection = ConnectTo(server);
    return Converse(client, target, *connection, *connection);
  }
  // As 127.0.0.1.
  static TlsSeen Visit(TlsClient& client, uint16_t port, bool judge = true) {
    return Visit(client, {.host = "127.0.0.1", .port = port, .judge = judge}, port);
  }

  inline static TestIdentity* root_ = nullptr;
  inline static std::string* ca_file_ = nullptr;
  TlsClock clock_;
};

}  // namespace jetmon::probe

#endif  // JETMON_PROBE_TLS_CLIENT_FIXTURE_H_
