#include "probe/connection.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstring>

namespace jetmon::probe {
namespace {

struct SocketAddress {
  sockaddr_storage storage{};
  socklen_t size = 0;
  const sockaddr* get() const { return reinterpret_cast<const sockaddr*>(&storage); }
};

SocketAddress MakeSocketAddress(const IpAddress& address, uint16_t port) {
  SocketAddress out;
  if (address.family == IpAddress::Family::kV4) {
    sockaddr_in in{};
    in.sin_family = AF_INET;
    in.sin_port = htons(port);
    std::memcpy(&in.sin_addr, address.bytes.data(), 4);
    std::memcpy(&out.storage, &in, sizeof(in));
    out.size = sizeof(in);
  } else {
    sockaddr_in6 in{};
    in.sin6_family = AF_INET6;
    in.sin6_port = htons(port);
    std::memcpy(&in.sin6_addr, address.bytes.data(), 16);
    std::memcpy(&out.storage, &in, sizeof(in));
    out.size = sizeof(in);
  }
  return out;
}

// Errors that connect() itself may answer with because of the peer; all others are ours.
bool IsPeersFault(int error) {
  return error == ECONNREFUSED || error == ECONNRESET || error == ETIMEDOUT ||
         error == EHOSTUNREACH;
}

}  // namespace

Io Connection::Failed(int error) {
  Close();
  error_ = error;
  return Io::kLocal;
}

Io Connection::Prepare(const IpAddress& address, const std::optional<IpAddress>& source) {
  error_ = 0;
  const int family = address.family == IpAddress::Family::kV4 ? AF_INET : AF_INET6;
  fd_ = socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, IPPROTO_TCP);
  if (fd_ < 0) return Failed(errno);
  // The handshake's last packet waits for our first bytes and goes with them: a packet less, a
  // seventh of what a check costs. Should they take longer than 0.2 s it goes by itself.
  const int off = 0;
  setsockopt(fd_, IPPROTO_TCP, TCP_QUICKACK, &off, sizeof(off));
  if (source && source->family == address.family) {
    // The port is chosen at connect, by the whole connection, or 28,000 checks a minute would be
    // all.
    const int on = 1;
    setsockopt(fd_, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof(on));
    const SocketAddress from = MakeSocketAddress(*source, 0);
    if (bind(fd_, from.get(), from.size) != 0) return Failed(errno);
  }
  return Io::kOk;
}

Io Connection::Connect(const IpAddress& address, uint16_t port) {
  const SocketAddress to = MakeSocketAddress(address, port);
  if (connect(fd_, to.get(), to.size) == 0 || errno == EINPROGRESS || errno == EINTR) {
    return Io::kAgain;
  }
  const int error = errno;
  Failed(error);
  return IsPeersFault(error) ? Io::kError : Io::kLocal;
}

Io Connection::Connected() {
  socklen_t size = sizeof(error_);
  if (getsockopt(fd_, SOL_SOCKET, SO_ERROR, &error_, &size) != 0) error_ = errno;
  return error_ == 0 ? Io::kOk : Io::kError;
}

Io Connection::Write(std::string_view bytes, size_t* done) {
  ssize_t n;
  do {
    n = send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
  } while (n < 0 && errno == EINTR);
  if (n > 0) {
    *done = static_cast<size_t>(n);
    return Io::kOk;
  }
  if (n == 0 || errno == EAGAIN) return Io::kAgain;
  error_ = errno;
  return Io::kError;
}

Io Connection::Read(char* buffer, size_t size, size_t* done) {
  ssize_t n;
  do {
    n = recv(fd_, buffer, size, 0);
  } while (n < 0 && errno == EINTR);
  if (n > 0) {
    *done = static_cast<size_t>(n);
    return Io::kOk;
  }
  if (n == 0) return Io::kEnd;
  if (errno == EAGAIN) return Io::kAgain;
  error_ = errno;
  return Io::kError;
}

void Connection::Close() {
  if (fd_ >= 0) close(fd_);
  fd_ = -1;
}

void Connection::Abort() {
  if (fd_ < 0) return;
  const linger now{1, 0};
  setsockopt(fd_, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
  Close();
}

}  // namespace jetmon::probe
