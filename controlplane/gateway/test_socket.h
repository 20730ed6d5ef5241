#ifndef JETMON_CONTROLPLANE_GATEWAY_TEST_SOCKET_H_
#define JETMON_CONTROLPLANE_GATEWAY_TEST_SOCKET_H_

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <chrono>
#include <string>
#include <string_view>

namespace jetmon::gateway {

// A client's connection to a server on loopback, for tests. Reads and writes wait 20 s at most.
class TestSocket {
 public:
  explicit TestSocket(int port) : fd_(socket(AF_INET, SOCK_STREAM, 0)) {
    const timeval limit{20, 0};
    setsockopt(fd_, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
    setsockopt(fd_, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit));
    const int on = 1;
    setsockopt(fd_, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    sockaddr_in to{};
    to.sin_family = AF_INET;
    to.sin_port = htons(static_cast<uint16_t>(port));
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    EXPECT_EQ(connect(fd_, reinterpret_cast<sockaddr*>(&to), sizeof(to)), 0);
  }
  ~TestSocket() { Close(); }
  TestSocket(const TestSocket&) = delete;
  TestSocket& operator=(const TestSocket&) = delete;

  // What the peer takes of `data`; it may close before all of it.
  bool Send(std::string_view data) {
    while (!data.empty()) {
      const ssize_t n = send(fd_, data.data(), data.size(), MSG_NOSIGNAL);
      if (n <= 0) return false;
      data.remove_prefix(static_cast<size_t>(n));
    }
    return true;
  }
  void ShutdownWrite() { shutdown(fd_, SHUT_WR); }
  void Close() {
    if (fd_ >= 0) close(fd_);
    fd_ = -1;
  }
  // Closes so that the peer's next read fails.
  void Reset() {
    const linger now{1, 0};
    setsockopt(fd_, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
    Close();
  }
  // Whether something to read, or the end, comes within `d`.
  bool Readable(std::chrono::milliseconds d) {
    pollfd entry{fd_, POLLIN, 0};
    return poll(&entry, 1, static_cast<int>(d.count())) == 1;
  }
  // Reads until `what` has come (true) or the peer closed.
  bool ReadUntil(std::string_view what) {
    while (got_.find(what) == std::string::npos) {
      if (!ReadSome()) return false;
    }
    return true;
  }
  // Reads to the end; false when it was broken off (reset, or nothing came).
  bool ReadToEnd() {
    while (ReadSome()) {
    }
    return ended_;
  }
  // All that has come; cleared by the caller.
  std::string& got() { return got_; }

 private:
  bool ReadSome() {
    char buffer[4096];
    const ssize_t n = recv(fd_, buffer, sizeof(buffer), 0);
    ended_ = n == 0;
    if (n > 0) got_.append(buffer, static_cast<size_t>(n));
    return n > 0;
  }
  int fd_;
  bool ended_ = false;
  std::string got_;
};

}  // namespace jetmon::gateway

#endif  // JETMON_CONTROLPLANE_GATEWAY_TEST_SOCKET_H_
