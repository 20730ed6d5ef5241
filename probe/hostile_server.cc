#include "probe/hostile_server.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/sockios.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>

namespace jetmon::probe {
namespace {

using std::chrono::milliseconds;

constexpr int64_t kTurnBytes = 256 * 1024;
constexpr std::string_view kEndOfRequest = "\r\n\r\n";

void Require(bool ok, const char* what) {
  if (ok) return;
  std::perror(what);
  std::abort();
}

int Listen(uint16_t* port) {
  sockaddr_in in{};
  in.sin_family = AF_INET;
  in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof(in);
  const int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  Require(fd >= 0, "socket");
  Require(bind(fd, reinterpret_cast<sockaddr*>(&in), size) == 0, "bind");
  Require(listen(fd, 4096) == 0, "listen");
  Require(getsockname(fd, reinterpret_cast<sockaddr*>(&in), &size) == 0, "getsockname");
  *port = ntohs(in.sin_port);
  return fd;
}

}  // namespace

HostileServer::HostileServer(std::vector<Script> scripts) {
  epoll_fd_ = epoll_create1(EPOLL_CLOEXEC);
  wake_fd_ = eventfd(0, EFD_CLOEXEC);
  Require(epoll_fd_ >= 0 && wake_fd_ >= 0, "epoll");
  epoll_event event{};
  event.events = EPOLLIN;
  event.data.fd = wake_fd_;
  Require(epoll_ctl(epoll_fd_, EPOLL_CTL_ADD, wake_fd_, &event) == 0, "epoll_ctl");
  for (Script& script : scripts) {
    Port& port = ports_.emplace_back();
    port.script = std::move(script);
    port.listener = Listen(&port.port);
    event.data.fd = port.listener;
    Require(epoll_ctl(epoll_fd_, EPOLL_CTL_ADD, port.listener, &event) == 0, "epoll_ctl");
  }
  thread_ = std::thread([this] { Serve(); });
}

HostileServer::~HostileServer() {
  const uint64_t one = 1;
  Require(write(wake_fd_, &one, sizeof(one)) == sizeof(one), "wake");
  thread_.join();
  for (const auto& [fd, connection] : connections_) close(fd);
  for (const Port& port : ports_) close(port.listener);
  close(wake_fd_);
  close(epoll_fd_);
}

std::string HostileServer::Url(size_t script) const {
  return "http://127.0.0.1:" + std::to_string(port(script)) + "/";
}

void HostileServer::Serve() {
  std::map<int, Port*> listeners;
  for (Port& port : ports_) listeners[port.listener] = &port;
  epoll_event events[256];
  for (;;) {
    int wait_ms = -1;
    if (!sleepers_.empty()) {
      const auto left = sleepers_.begin()->first - std::chrono::steady_clock::now();
      wait_ms =
          static_cast<int>(std::max<int64_t>(0, std::chrono::ceil<milliseconds>(left).count()));
    }
    const int n = epoll_wait(epoll_fd_, events, 256, wait_ms);
    for (int i = 0; i < n; ++i) {
      const int fd = events[i].data.fd;
      if (fd == wake_fd_) return;
      if (const auto listener = listeners.find(fd); listener != listeners.end()) {
        Accept(listener->second);
      } else if (const auto at = connections_.find(fd); at != connections_.end()) {
        const bool gone = (events[i].events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)) != 0;
        gone ? Close(fd) : Run(fd, &at->second);
      }
    }
    const Time now = std::chrono::steady_clock::now();
    while (!sleepers_.empty() && sleepers_.begin()->first <= now) {
      const int fd = sleepers_.begin()->second;
      sleepers_.erase(sleepers_.begin());
      Run(fd, &connections_.at(fd));
    }
  }
}

void HostileServer::Accept(Port* port) {
  for (;;) {
    const int fd = accept4(port->listener, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd < 0) return;
    const int on = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    ++port->connections;
    Connection& c = connections_[fd];
    c.port = port;
    epoll_event event{};
    event.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET;
    event.data.fd = fd;
    Require(epoll_ctl(epoll_fd_, EPOLL_CTL_ADD, fd, &event) == 0, "epoll_ctl");
    Run(fd, &c);
  }
}

void HostileServer::Run(int fd, Connection* c) {
  while (c->step < c->port->script.size()) {
    switch (Do(fd, c, c->port->script[c->step])) {
      case Progress::kNext:
        ++c->step;
        c->done = 0;
        break;
      case Progress::kWait:
        return;
      case Progress::kGone:
        return Close(fd);
    }
  }
  Close(fd);
}

HostileServer::Progress HostileServer::Do(int fd, Connection* c, const Step& step) {
  switch (step.kind) {
    case Step::Kind::kRead:
      return Read(fd, c);
    case Step::Kind::kSend:
      return Write(fd, c, step.bytes);
    case Step::Kind::kFlood:
      return Repeat(fd, c, step);
    case Step::Kind::kDrip:
      if (c->done == static_cast<int64_t>(step.bytes.size())) return Progress::kNext;
      if (c->done > 0 && !Waited(fd, c, step.time)) return Progress::kWait;
      if (Write(fd, c, std::string_view(step.bytes).substr(0, static_cast<size_t>(c->done) + 1)) ==
          Progress::kGone) {
        return Progress::kGone;
      }
      return Do(fd, c, step);
    case Step::Kind::kPause:
      return Waited(fd, c, step.time) ? Progress::kNext : Progress::kWait;
    case Step::Kind::kReset: {
      int left = 0;
      const bool sent = ioctl(fd, SIOCOUTQ, &left) != 0 || left == 0;
      if (!sent && !Waited(fd, c, milliseconds(1))) return Progress::kWait;
      if (!sent) return Do(fd, c, step);
      const linger now{1, 0};
      setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
      return Progress::kGone;
    }
    case Step::Kind::kStall: {
      char buffer[4096];
      while (recv(fd, buffer, sizeof(buffer), 0) > 0) {
      }
      return Progress::kWait;
    }
  }
  return Progress::kGone;
}

// The rest of `bytes` behind c->done.
HostileServer::Progress HostileServer::Write(int fd, Connection* c, std::string_view bytes) {
  while (static_cast<size_t>(c->done) < bytes.size()) {
    const std::string_view rest = bytes.substr(static_cast<size_t>(c->done));
    const ssize_t n = send(fd, rest.data(), rest.size(), MSG_NOSIGNAL);
    if (n <= 0) return errno == EAGAIN ? Progress::kWait : Progress::kGone;
    c->done += n;
    c->port->bytes_sent += n;
  }
  return Progress::kNext;
}

// A turn at a time, so that one flood does not keep the other connections waiting.
HostileServer::Progress HostileServer::Repeat(int fd, Connection* c, const Step& step) {
  sleepers_.erase({std::exchange(c->wake, Time{}), fd});
  for (int64_t turn = 0; c->done < step.total; turn += static_cast<int64_t>(step.bytes.size())) {
    if (turn >= kTurnBytes) {
      c->wake = std::chrono::steady_clock::now();
      sleepers_.emplace(c->wake, fd);
      return Progress::kWait;
    }
    const size_t begin = static_cast<size_t>(c->done) % step.bytes.size();
    const size_t size = static_cast<size_t>(
        std::min(static_cast<int64_t>(step.bytes.size() - begin), step.total - c->done));
    const ssize_t n = send(fd, step.bytes.data() + begin, size, MSG_NOSIGNAL);
    if (n <= 0) return errno == EAGAIN ? Progress::kWait : Progress::kGone;
    c->done += n;
    c->port->bytes_sent += n;
  }
  return Progress::kNext;
}

// Byte by byte at the end, so that what a next request holds is left for the next step.
HostileServer::Progress HostileServer::Read(int fd, Connection* c) {
  for (;;) {
    char byte;
    const ssize_t n = recv(fd, &byte, 1, 0);
    if (n <= 0) return n < 0 && errno == EAGAIN ? Progress::kWait : Progress::kGone;
    c->tail.push_back(byte);
    if (c->tail == kEndOfRequest) return c->tail.clear(), Progress::kNext;
    if (c->tail.size() == kEndOfRequest.size()) c->tail.erase(0, 1);
  }
}

// True when the time, which begins with the first call, is over.
bool HostileServer::Waited(int fd, Connection* c, milliseconds time) {
  const Time now = std::chrono::steady_clock::now();
  if (c->wake == Time{}) {
    c->wake = now + time;
    sleepers_.emplace(c->wake, fd);
    return false;
  }
  if (now < c->wake) return false;
  sleepers_.erase({c->wake, fd});
  c->wake = {};
  return true;
}

void HostileServer::Close(int fd) {
  const auto at = connections_.find(fd);
  sleepers_.erase({at->second.wake, fd});
  connections_.erase(at);
  close(fd);
}

}  // namespace jetmon::probe
