#include "probe/test_server.h"

#include <arpa/inet.h>
#include <linux/sockios.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>

namespace jetmon::probe {
namespace {

void Require(bool ok, const char* what) {
  if (ok) return;
  std::perror(what);
  std::abort();
}

int Listen(const std::string& address, uint16_t* port) {
  sockaddr_storage storage{};
  const bool v6 = address.find(':') != std::string::npos;
  socklen_t size = v6 ? sizeof(sockaddr_in6) : sizeof(sockaddr_in);
  storage.ss_family = v6 ? AF_INET6 : AF_INET;
  void* bytes = v6 ? static_cast<void*>(&reinterpret_cast<sockaddr_in6*>(&storage)->sin6_addr)
                   : static_cast<void*>(&reinterpret_cast<sockaddr_in*>(&storage)->sin_addr);
  Require(inet_pton(storage.ss_family, address.c_str(), bytes) == 1, "inet_pton");
  const int fd = socket(storage.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
  Require(fd >= 0, "socket");
  Require(bind(fd, reinterpret_cast<sockaddr*>(&storage), size) == 0, "bind");
  Require(listen(fd, 4096) == 0, "listen");
  Require(getsockname(fd, reinterpret_cast<sockaddr*>(&storage), &size) == 0, "getsockname");
  // Ports stand at the same place in both families' addresses.
  *port = ntohs(reinterpret_cast<sockaddr_in*>(&storage)->sin_port);
  return fd;
}

std::string PeerOf(const sockaddr_storage& storage) {
  char text[INET6_ADDRSTRLEN] = {};
  if (storage.ss_family == AF_INET6) {
    inet_ntop(AF_INET6, &reinterpret_cast<const sockaddr_in6*>(&storage)->sin6_addr, text,
              sizeof(text));
  } else {
    inet_ntop(AF_INET, &reinterpret_cast<const sockaddr_in*>(&storage)->sin_addr, text,
              sizeof(text));
  }
  return text;
}

// A reset overtakes what the peer has not yet taken out of its socket.
void AwaitSent(int fd) {
  int left = 1;
  for (int i = 0; i < 1000 && ioctl(fd, SIOCOUTQ, &left) == 0 && left > 0; ++i) usleep(1000);
  usleep(20'000);
}

}  // namespace

std::string TestServer::Connection::ReadRequest() {
  std::string request;
  char buffer[4096];
  while (request.find("\r\n\r\n") == std::string::npos) {
    const ssize_t n = recv(fd_, buffer, sizeof(buffer), 0);
    if (n <= 0) break;
    request.append(buffer, static_cast<size_t>(n));
  }
  return request;
}

std::string TestServer::Connection::ReadSome() {
  char buffer[4096];
  const ssize_t n = recv(fd_, buffer, sizeof(buffer), 0);
  return std::string(buffer, n > 0 ? static_cast<size_t>(n) : 0);
}

bool TestServer::Connection::Send(std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t n = send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (n <= 0) return false;
    bytes.remove_prefix(static_cast<size_t>(n));
  }
  return true;
}

void TestServer::Connection::AwaitClose() {
  char buffer[4096];
  while (recv(fd_, buffer, sizeof(buffer), 0) > 0) {
  }
}

void TestServer::Connection::Reset() { reset_ = true; }

TestServer::TestServer(Handler handler, int workers, const std::string& address, Reading reading)
    : handler_(std::move(handler)),
      reading_(reading),
      address_(address),
      listener_(Listen(address, &port_)) {
  for (int i = 0; i < workers; ++i) workers_.emplace_back([this] { Serve(); });
}

TestServer::~TestServer() {
  {
    std::lock_guard lock(mutex_);
    stopping_ = true;
    for (const int fd : open_) shutdown(fd, SHUT_RDWR);
  }
  shutdown(listener_, SHUT_RDWR);  // ends accept in every worker
  for (std::thread& worker : workers_) worker.join();
  close(listener_);
}

std::string TestServer::Url(std::string_view path) const {
  const bool v6 = address_.find(':') != std::string::npos;
  const std::string host = v6 ? "[" + address_ + "]" : address_;
  return "http://" + host + ":" + std::to_string(port_) + std::string(path);
}

std::vector<std::string> TestServer::requests() const {
  std::lock_guard lock(mutex_);
  return requests_;
}

std::vector<std::string> TestServer::peers() const {
  std::lock_guard lock(mutex_);
  return peers_;
}

int TestServer::connections() const {
  std::lock_guard lock(mutex_);
  return static_cast<int>(peers_.size());
}

bool TestServer::HasWaiting() const {
  pollfd waiting{listener_, POLLIN, 0};
  return poll(&waiting, 1, 0) > 0;
}

void TestServer::AwaitConnections(int count) const {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [&] { return static_cast<int>(peers_.size()) >= count; });
}

void TestServer::Serve() {
  for (;;) {
    sockaddr_storage peer{};
    socklen_t size = sizeof(peer);
    Connection connection;
    connection.fd_ = accept4(listener_, reinterpret_cast<sockaddr*>(&peer), &size, SOCK_CLOEXEC);
    {
      std::lock_guard lock(mutex_);
      if (stopping_ && connection.fd_ >= 0) close(connection.fd_);
      if (stopping_) return;
      if (connection.fd_ < 0) continue;  // aborted by the peer before it was accepted
      open_.push_back(connection.fd_);
      peers_.push_back(PeerOf(peer));
      changed_.notify_all();
    }
    const bool raw = reading_ == Reading::kRaw;
    const std::string request = raw ? "" : connection.ReadRequest();
    if (!request.empty()) {
      std::lock_guard lock(mutex_);
      requests_.push_back(request);
    }
    if (raw || !request.empty()) handler_(connection, request);
    if (connection.reset_) {
      AwaitSent(connection.fd_);
      const linger now{1, 0};
      setsockopt(connection.fd_, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
    }
    std::lock_guard lock(mutex_);
    std::erase(open_, connection.fd_);
    close(connection.fd_);
  }
}

uint16_t UnusedPort() {
  uint16_t port = 0;
  close(Listen("127.0.0.1", &port));
  return port;
}

}  // namespace jetmon::probe
