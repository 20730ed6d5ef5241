#include "tests/lab/http_server.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <map>
#include <unordered_map>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"

namespace jetmon::lab {
namespace {

constexpr size_t kMaxHeader = 16 << 10;
constexpr size_t kMaxBody = 1 << 20;
constexpr int kTickMs = 20;

int64_t NowNs(clockid_t id) {
  timespec t;
  clock_gettime(id, &t);
  return t.tv_sec * 1'000'000'000LL + t.tv_nsec;
}

absl::string_view ReasonPhrase(int status) {
  switch (status) {
    case 200:
      return "OK";
    case 302:
      return "Found";
    case 400:
      return "Bad Request";
    case 404:
      return "Not Found";
    case 500:
      return "Internal Server Error";
    default:
      return "Answer";
  }
}

absl::Status Failed(const std::string& what) {
  return absl::FailedPreconditionError(absl::StrCat(what, ": ", strerror(errno)));
}

absl::StatusOr<sockaddr_in> ParseAddress(const std::string& address) {
  const std::pair<std::string, std::string> parts =
      absl::StrSplit(address, absl::MaxSplits(':', 1));
  sockaddr_in result{};
  result.sin_family = AF_INET;
  int port = 0;
  if (!absl::SimpleAtoi(parts.second, &port) || port < 0 || port > 65535 ||
      inet_pton(AF_INET, parts.first.c_str(), &result.sin_addr) != 1) {
    return absl::InvalidArgumentError(absl::StrCat("'", address, "' is not IPV4:PORT"));
  }
  result.sin_port = htons(port);
  return result;
}

}  // namespace

int64_t WallNs() { return NowNs(CLOCK_REALTIME); }
int64_t BootNs() { return NowNs(CLOCK_BOOTTIME); }

std::string HttpRequest::Parameter(absl::string_view name) const {
  for (absl::string_view part : absl::StrSplit(query, '&')) {
    const std::pair<absl::string_view, absl::string_view> pair =
        absl::StrSplit(part, absl::MaxSplits('=', 1));
    if (pair.first == name) return std::string(pair.second);
  }
  return "";
}

// The state of one Run: connections and answers that wait for their time.
class HttpServer::Loop {
 public:
  explicit Loop(HttpServer& server) : server_(server), epoll_(epoll_create1(EPOLL_CLOEXEC)) {
    Watch(server_.listener_, EPOLLIN, EPOLL_CTL_ADD);
    Watch(server_.wake_, EPOLLIN, EPOLL_CTL_ADD);
  }
  ~Loop() {
    for (auto& [fd, connection] : connections_) close(fd);
    close(epoll_);
  }

  void Run() {
    for (;;) {
      epoll_event events[256];
      const int n = epoll_wait(epoll_, events, 256, WaitMs());
      for (int i = 0; i < n; ++i) {
        const int fd = events[i].data.fd;
        if (fd == server_.wake_) return;
        if (fd == server_.listener_) {
          Accept();
        } else {
          Serve(fd, events[i].events);
        }
      }
      AnswerDue();
      if (server_.tick_) server_.tick_();
    }
  }

 private:
  struct Connection {
    std::string in, out;
    HttpRequest request;
    uint64_t serial = 0;  // tells a reused descriptor from the one that a delayed answer was for
    bool line_seen = false, waiting = false, close_after = false;
  };
  struct Delayed {
    int fd;
    uint64_t serial;
    HttpAnswer answer;
  };

  void Watch(int fd, uint32_t what, int operation) {
    epoll_event event{};
    event.events = what;
    event.data.fd = fd;
    epoll_ctl(epoll_, operation, fd, &event);
  }

  int WaitMs() const {
    if (delayed_.empty()) return kTickMs;
    const int64_t ms = (delayed_.begin()->first - BootNs()) / 1'000'000 + 1;
    return static_cast<int>(std::clamp<int64_t>(ms, 0, kTickMs));
  }

  void Accept() {
    for (;;) {
      sockaddr_in peer{};
      socklen_t size = sizeof(peer);
      const int fd = accept4(server_.listener_, reinterpret_cast<sockaddr*>(&peer), &size,
                             SOCK_NONBLOCK | SOCK_CLOEXEC);
      if (fd < 0) return;
      const int one = 1;
      setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
      Connection& connection = connections_[fd];
      connection = Connection();
      connection.serial = ++serial_;
      char text[INET_ADDRSTRLEN] = "";
      inet_ntop(AF_INET, &peer.sin_addr, text, sizeof(text));
      connection.request.source = text;
      Watch(fd, EPOLLIN, EPOLL_CTL_ADD);
      Serve(fd, EPOLLIN);
    }
  }

  void Serve(int fd, uint32_t events) {
    const auto it = connections_.find(fd);
    if (it == connections_.end()) return;
    Connection& connection = it->second;
    if (events & EPOLLOUT) {
      Send(fd, connection);
      return;
    }
    bool ended = false;
    char chunk[16 << 10];
    for (;;) {
      const ssize_t n = read(fd, chunk, sizeof(chunk));
      if (n > 0) {
        connection.in.append(chunk, n);
        if (connection.in.size() > kMaxHeader + kMaxBody) break;
        continue;
      }
      ended = n == 0 || (errno != EAGAIN && errno != EINTR);
      break;
    }
    if (!connection.waiting && !Process(fd, connection)) return;
    if (ended) Close(fd);
  }

  // Handles what has been read. False: the connection is gone.
  bool Process(int fd, Connection& c) {
    if (!c.line_seen && c.in.find('\n') != std::string::npos) {
      c.line_seen = true;
      c.request.wall_ns = WallNs();
      c.request.boot_ns = BootNs();
    }
    const size_t end = c.in.find("\r\n\r\n");
    if (end == std::string::npos) {
      if (c.in.size() <= kMaxHeader) return true;
      Close(fd);
      return false;
    }
    size_t length = 0;
    if (!ParseHeader(absl::string_view(c.in).substr(0, end), c, &length) || length > kMaxBody) {
      HttpAnswer refused;
      refused.status = 400;
      c.close_after = true;
      c.in.clear();
      return Answer(fd, c, refused);
    }
    if (c.in.size() < end + 4 + length) return true;
    c.request.body = c.in.substr(end + 4, length);
    c.in.erase(0, end + 4 + length);
    c.line_seen = false;
    const HttpAnswer answer = server_.handler_(c.request);
    c.waiting = true;
    if (answer.kind == HttpAnswer::Kind::kNever) return true;
    if (answer.delay.count() > 0) {
      const int64_t at = BootNs() + answer.delay.count() * 1'000'000;
      delayed_.emplace(at, Delayed{fd, c.serial, answer});
      return true;
    }
    return Answer(fd, c, answer);
  }

  static bool ParseHeader(absl::string_view header, Connection& c, size_t* length) {
    const std::vector<absl::string_view> lines = absl::StrSplit(header, "\r\n");
    const std::vector<absl::string_view> words = absl::StrSplit(lines[0], ' ');
    if (words.size() != 3 || words[1].empty() || words[1][0] != '/') return false;
    HttpRequest& r = c.request;
    r.method = std::string(words[0]);
    const std::pair<std::string, std::string> target =
        absl::StrSplit(words[1], absl::MaxSplits('?', 1));
    r.path = target.first;
    r.query = target.second;
    r.host = r.user_agent = r.idempotency_key = "";
    c.close_after = words[2] != "HTTP/1.1";
    for (size_t i = 1; i < lines.size(); ++i) {
      const std::pair<absl::string_view, absl::string_view> pair =
          absl::StrSplit(lines[i], absl::MaxSplits(':', 1));
      const absl::string_view value = absl::StripAsciiWhitespace(pair.second);
      if (absl::EqualsIgnoreCase(pair.first, "host")) r.host = std::string(value);
      if (absl::EqualsIgnoreCase(pair.first, "user-agent")) r.user_agent = std::string(value);
      if (absl::EqualsIgnoreCase(pair.first, "idempotency-key"))
        r.idempotency_key = std::string(value);
      if (absl::EqualsIgnoreCase(pair.first, "connection"))
        c.close_after = absl::EqualsIgnoreCase(value, "close");
      if (absl::EqualsIgnoreCase(pair.first, "content-length") && !absl::SimpleAtoi(value, length))
        return false;
    }
    return true;
  }

  // False: the connection is gone.
  bool Answer(int fd, Connection& c, const HttpAnswer& answer) {
    c.waiting = false;
    if (answer.kind == HttpAnswer::Kind::kReset) {
      const linger abort{1, 0};
      setsockopt(fd, SOL_SOCKET, SO_LINGER, &abort, sizeof(abort));
      Close(fd);
      return false;
    }
    absl::StrAppend(&c.out, "HTTP/1.1 ", answer.status, " ", ReasonPhrase(answer.status),
                    "\r\nContent-Type: ", answer.content_type,
                    "\r\nContent-Length: ", answer.body.size(),
                    "\r\nConnection: ", c.close_after ? "close" : "keep-alive", "\r\n");
    if (!answer.location.empty()) absl::StrAppend(&c.out, "Location: ", answer.location, "\r\n");
    absl::StrAppend(&c.out, "\r\n", c.request.method == "HEAD" ? "" : answer.body);
    if (!Send(fd, c)) return false;
    // What the client sent meanwhile: its next request.
    return c.in.empty() || Process(fd, c);
  }

  // False: the connection is gone.
  bool Send(int fd, Connection& c) {
    while (!c.out.empty()) {
      const ssize_t n = send(fd, c.out.data(), c.out.size(), MSG_NOSIGNAL);
      if (n < 0 && errno == EINTR) continue;
      if (n < 0 && errno == EAGAIN) {
        Watch(fd, EPOLLIN | EPOLLOUT, EPOLL_CTL_MOD);
        return true;
      }
      if (n < 0) {
        Close(fd);
        return false;
      }
      c.out.erase(0, n);
    }
    if (c.close_after) {
      Close(fd);
      return false;
    }
    Watch(fd, EPOLLIN, EPOLL_CTL_MOD);
    return true;
  }

  void AnswerDue() {
    while (!delayed_.empty() && delayed_.begin()->first <= BootNs()) {
      const Delayed due = std::move(delayed_.begin()->second);
      delayed_.erase(delayed_.begin());
      const auto it = connections_.find(due.fd);
      if (it != connections_.end() && it->second.serial == due.serial) {
        Answer(due.fd, it->second, due.answer);
      }
    }
  }

  void Close(int fd) {
    const auto it = connections_.find(fd);
    if (it == connections_.end()) return;
    Connection& c = it->second;
    if (!c.in.empty() && !c.waiting && server_.broken_off_) {
      if (!c.line_seen) {
        c.request.wall_ns = WallNs();
        c.request.boot_ns = BootNs();
      }
      const std::vector<absl::string_view> words =
          absl::StrSplit(absl::string_view(c.in).substr(0, c.in.find('\n')), ' ');
      c.request.method = std::string(words[0].substr(0, 16));
      c.request.path = words.size() > 1 ? std::string(words[1].substr(0, 300)) : "";
      server_.broken_off_(c.request);
    }
    connections_.erase(it);
    close(fd);
  }

  HttpServer& server_;
  const int epoll_;
  uint64_t serial_ = 0;
  std::unordered_map<int, Connection> connections_;
  std::multimap<int64_t, Delayed> delayed_;  // by boot time
};

HttpServer::HttpServer(int listener, int wake, int port, Handler handler, BrokenOff broken_off,
                       Tick tick)
    : listener_(listener),
      wake_(wake),
      port_(port),
      handler_(std::move(handler)),
      broken_off_(std::move(broken_off)),
      tick_(std::move(tick)) {}

HttpServer::~HttpServer() {
  close(listener_);
  close(wake_);
}

absl::StatusOr<std::unique_ptr<HttpServer>> HttpServer::Listen(const std::string& address,
                                                               Handler handler,
                                                               BrokenOff broken_off, Tick tick) {
  auto parsed = ParseAddress(address);
  if (!parsed.ok()) return parsed.status();
  const int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0) return Failed("socket");
  const int one = 1;
  setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
  socklen_t size = sizeof(sockaddr_in);
  if (bind(fd, reinterpret_cast<sockaddr*>(&*parsed), size) != 0 || listen(fd, 4096) != 0 ||
      getsockname(fd, reinterpret_cast<sockaddr*>(&*parsed), &size) != 0) {
    const absl::Status failed = Failed("can't listen on " + address);
    close(fd);
    return failed;
  }
  const int wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  if (wake < 0) {
    close(fd);
    return Failed("eventfd");
  }
  return std::unique_ptr<HttpServer>(new HttpServer(fd, wake, ntohs(parsed->sin_port),
                                                    std::move(handler), std::move(broken_off),
                                                    std::move(tick)));
}

void HttpServer::Run() { Loop(*this).Run(); }

void HttpServer::Stop() {
  const uint64_t one = 1;
  // An eventfd takes this unless it was told so 2^64 times already.
  if (write(wake_, &one, sizeof(one)) < 0) return;
}

}  // namespace jetmon::lab
