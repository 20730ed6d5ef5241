#include "tests/lab/v1_check.h"

#include <arpa/inet.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <optional>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/string_view.h"
#include "absl/strings/strip.h"

namespace jetmon::lab {
namespace {

using std::chrono::steady_clock;

constexpr int kRedirects = 2;
constexpr size_t kMaxAnswer = 64 << 10;

struct Url {
  std::string host, path = "/";
  int port = 80;
};

std::optional<Url> Parse(absl::string_view text) {
  if (!absl::ConsumePrefix(&text, "http://")) return std::nullopt;
  Url url;
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

struct Answer {
  int code = 0;  // 0: none came
  std::string location;
};

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

bool Connect(const Socket& s, const Url& url, const std::string& source,
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

Answer Ask(const Url& url, const std::string& source, steady_clock::time_point until) {
  const Socket s;
  if (!Connect(s, url, source, until)) return {};
  const std::string request =
      absl::StrCat("HEAD ", url.path, " HTTP/1.1\r\nHost: ", url.host, ":", url.port,
                   "\r\nUser-Agent: jetmon/1.0 (Jetpack Site Uptime Monitor by WordPress.com)\r\n"
                   "Connection: close\r\n\r\n");
  if (send(s.fd(), request.data(), request.size(), MSG_NOSIGNAL) !=
      static_cast<ssize_t>(request.size())) {
    return {};
  }
  std::string text;
  while (text.find("\r\n\r\n") == std::string::npos && text.size() < kMaxAnswer) {
    char chunk[4096];
    if (!s.Wait(POLLIN, until)) return {};
    const ssize_t n = read(s.fd(), chunk, sizeof(chunk));
    if (n <= 0) break;
    text.append(chunk, n);
  }
  Answer answer;
  const std::vector<absl::string_view> lines = absl::StrSplit(text, "\r\n");
  if (lines[0].size() < 12 || !absl::StartsWith(lines[0], "HTTP/1.") ||
      !absl::SimpleAtoi(lines[0].substr(9, 3), &answer.code)) {
    return {};
  }
  for (absl::string_view line : lines) {
    if (absl::StartsWithIgnoreCase(line, "location:")) {
      answer.location = std::string(absl::StripAsciiWhitespace(line.substr(9)));
    }
  }
  return answer;
}

}  // namespace

bool CheckAsV1(const std::string& text, const std::string& source,
               std::chrono::milliseconds timeout) {
  const auto until = steady_clock::now() + timeout;
  auto url = Parse(text);
  for (int hop = 0; url; ++hop) {
    const Answer answer = Ask(*url, source, until);
    const bool redirected = answer.code >= 300 && answer.code < 400 && !answer.location.empty();
    if (!redirected || hop == kRedirects) return answer.code > 0 && answer.code < 400;
    if (answer.location[0] == '/') {
      url->path = answer.location;
    } else {
      url = Parse(answer.location);
    }
  }
  return false;
}

}  // namespace jetmon::lab
