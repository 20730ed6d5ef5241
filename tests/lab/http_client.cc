#include "tests/lab/http_client.h"

#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <utility>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"

namespace jetmon::lab {
namespace {

using std::chrono::steady_clock;

constexpr size_t kMaxAnswer = 64 << 10;

class Socket {
 public:
  Socket() : fd_(socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0)) {}
  ~Socket() {
    if (fd_ >= 0) close(fd_);
  }
  Socket(const Socket&) = delete;
  Socket& operator=(const Socket&) = delete;
  int fd() const { return fd_; }
  bool Wait(short what, steady_clock::time_point until) const {
    pollfd p{fd_, what, 0};
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(until - steady_clock::now());
    return left.count() > 0 && poll(&p, 1, static_cast<int>(left.count())) == 1;
  }

 private:
  const int fd_;
};

bool Connect(const Socket& s, const HttpUrl& url, const std::string& source,
             steady_clock::time_point until) {
  sockaddr_in to{}, from{};
  to.sin_family = from.sin_family = AF_INET;
  to.sin_port = htons(url.port);
  if (inet_pton(AF_INET, url.host.c_str(), &to.sin_addr) != 1) return false;
  if (!source.empty()) {
    // The port is chosen at connect: many more connections fit into the range of ports.
    const int one = 1;
    setsockopt(s.fd(), IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &one, sizeof(one));
    if (inet_pton(AF_INET, source.c_str(), &from.sin_addr) != 1 ||
        bind(s.fd(), reinterpret_cast<sockaddr*>(&from), sizeof(from)) != 0) {
      return false;
    }
  }
  if (connect(s.fd(), reinterpret_cast<sockaddr*>(&to), sizeof(to)) == 0) return true;
  if (errno != EINPROGRESS || !s.Wait(POLLOUT, until)) return false;
  int error = 0;
  socklen_t size = sizeof(error);
  return getsockopt(s.fd(), SOL_SOCKET, SO_ERROR, &error, &size) == 0 && error == 0;
}

// Reads on until `enough` says so, the peer closes or the time is up; false at the latter.
template <typename Enough>
bool ReadUntil(const Socket& s, Enough enough, steady_clock::time_point until, std::string* text) {
  while (!enough() && text->size() < kMaxAnswer) {
    char chunk[4096];
    if (!s.Wait(POLLIN, until)) return false;
    const ssize_t n = read(s.fd(), chunk, sizeof(chunk));
    if (n <= 0) break;
    text->append(chunk, n);
  }
  return true;
}

}  // namespace

std::optional<HttpUrl> ParseHttpUrl(absl::string_view text) {
  if (!absl::ConsumePrefix(&text, "http://")) return std::nullopt;
  HttpUrl url;
  const size_t slash = text.find('/');
  if (slash != absl::string_view::npos) url.path = std::string(text.substr(slash));
  const std::pair<std::string, std::string> authority =
      absl::StrSplit(text.substr(0, slash), absl::MaxSplits(':', 1));
  url.host = authority.first;
  if (!authority.second.empty() && !absl::SimpleAtoi(authority.second, &url.port)) {
    return std::nullopt;
  }
  return url;
}

std::string HttpReply::Header(absl::string_view name) const {
  std::string value;
  for (absl::string_view line : absl::StrSplit(head, "\r\n")) {
    const std::pair<absl::string_view, absl::string_view> pair =
        absl::StrSplit(line, absl::MaxSplits(':', 1));
    if (absl::EqualsIgnoreCase(pair.first, name)) {
      value = std::string(absl::StripAsciiWhitespace(pair.second));
    }
  }
  return value;
}

HttpReply Exchange(const HttpUrl& to, const std::string& source, const std::string& request,
                   bool with_body, steady_clock::time_point until) {
  const Socket s;
  if (!Connect(s, to, source, until)) return {};
  if (send(s.fd(), request.data(), request.size(), MSG_NOSIGNAL) !=
      static_cast<ssize_t>(request.size())) {
    return {};
  }
  std::string text;
  const auto has_head = [&] { return text.find("\r\n\r\n") != std::string::npos; };
  if (!ReadUntil(s, has_head, until, &text)) return {};
  if (with_body && !ReadUntil(
                       s, [] { return false; }, until, &text))
    return {};
  HttpReply reply;
  const size_t end = text.find("\r\n\r\n");
  reply.head = text.substr(0, end);
  if (end != std::string::npos) reply.body = text.substr(end + 4);
  if (reply.head.size() < 12 || !absl::StartsWith(reply.head, "HTTP/1.") ||
      !absl::SimpleAtoi(absl::string_view(reply.head).substr(9, 3), &reply.code)) {
    return {};
  }
  return reply;
}

}  // namespace jetmon::lab
