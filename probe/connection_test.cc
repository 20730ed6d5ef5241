#include "probe/connection.h"

#include <errno.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <optional>
#include <string>

#include "gtest/gtest.h"

namespace jetmon::probe {
namespace {

IpAddress Loopback() { return *ParseIpAddress("127.0.0.1"); }

// A socket on a free port of loopback; connections to it are refused until it listens.
class Port {
 public:
  Port() : fd_(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in at{};
    at.sin_family = AF_INET;
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof(at);
    auto* address = reinterpret_cast<sockaddr*>(&at);
    EXPECT_EQ(bind(fd_, address, size), 0);
    EXPECT_EQ(getsockname(fd_, address, &size), 0);
    number_ = ntohs(at.sin_port);
  }
  ~Port() { close(fd_); }
  void Listen() const { EXPECT_EQ(listen(fd_, 64), 0); }
  int Accept() const { return accept(fd_, nullptr, nullptr); }
  uint16_t number() const { return number_; }

 private:
  const int fd_;
  uint16_t number_ = 0;
};

// Waits until the socket is writable or broken; what it reports.
short Wait(const Connection& connection) {
  pollfd one{connection.fd(), POLLOUT, 0};
  EXPECT_EQ(poll(&one, 1, 10'000), 1);
  return one.revents;
}

uint32_t PacketsSent(const Connection& connection) {
  tcp_info info{};
  socklen_t size = sizeof(info);
  EXPECT_EQ(getsockopt(connection.fd(), IPPROTO_TCP, TCP_INFO, &info, &size), 0);
  return info.tcpi_segs_out;
}

TEST(ConnectionTest, BytesGoBothWaysUntilThePeerCloses) {
  Port port;
  port.Listen();
  Connection connection;
  ASSERT_EQ(connection.Prepare(Loopback(), std::nullopt), Io::kOk);
  ASSERT_EQ(connection.Connect(Loopback(), port.number()), Io::kAgain);
  EXPECT_EQ(Wait(connection), POLLOUT);
  size_t n = 0;
  ASSERT_EQ(connection.Write("ask", &n), Io::kOk);
  EXPECT_EQ(n, 3u);
  char buffer[16];
  EXPECT_EQ(connection.Read(buffer, sizeof(buffer), &n), Io::kAgain);
  const int peer = port.Accept();
  ASSERT_EQ(recv(peer, buffer, sizeof(buffer), 0), 3);
  ASSERT_EQ(send(peer, "answer", 6, MSG_NOSIGNAL), 6);
  close(peer);
  ASSERT_EQ(connection.Read(buffer, sizeof(buffer), &n), Io::kOk);
  EXPECT_EQ(std::string(buffer, n), "answer");
  EXPECT_EQ(connection.Read(buffer, sizeof(buffer), &n), Io::kEnd);
}

TEST(ConnectionTest, ARefusedOneReportsAnErrorAndSaysWhich) {
  Port port;
  Connection connection;
  ASSERT_EQ(connection.Prepare(Loopback(), std::nullopt), Io::kOk);
  ASSERT_EQ(connection.Connect(Loopback(), port.number()), Io::kAgain);
  EXPECT_NE(Wait(connection) & (POLLERR | POLLHUP), 0);
  EXPECT_EQ(connection.Connected(), Io::kError);
  EXPECT_EQ(connection.error(), ECONNREFUSED);
}

// SYN, then the handshake's end and our bytes in one. A machine that stands still for 0.2 s between
// the two sends them apart, so it may try again.
TEST(ConnectionTest, TheFirstBytesEndTheHandshake) {
  Port port;
  port.Listen();
  uint32_t packets = 0;
  for (int i = 0; i < 20 && packets != 2; ++i) {
    Connection connection;
    ASSERT_EQ(connection.Prepare(Loopback(), std::nullopt), Io::kOk);
    ASSERT_EQ(connection.Connect(Loopback(), port.number()), Io::kAgain);
    EXPECT_EQ(Wait(connection), POLLOUT);
    size_t n = 0;
    ASSERT_EQ(connection.Write("ask", &n), Io::kOk);
    packets = PacketsSent(connection);
  }
  EXPECT_EQ(packets, 2u);
}

}  // namespace
}  // namespace jetmon::probe
