#include "cli/url_list.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "probe/url.h"

namespace jetmon::cli {
namespace {

constexpr size_t kMaxLine = 4096;
constexpr size_t kReadBytes = 65536;
constexpr int kReadsAtOnce = 16;  // so that a pipe full of blank lines keeps nobody

absl::Status CantRead(const std::string& path) {
  return absl::NotFoundError(absl::StrCat("can't read ", path, ": ", strerror(errno)));
}

}  // namespace

absl::StatusOr<UrlList> UrlList::Open(const std::string& path, BadLine bad) {
  const int fd =
      path == "-" ? dup(STDIN_FILENO) : open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOCTTY);
  if (fd < 0) return CantRead(path);
  UrlList list(fd, std::move(bad));
  struct stat is {};
  if (fstat(fd, &is) != 0) return CantRead(path);
  if (S_ISDIR(is.st_mode)) {
    return absl::InvalidArgumentError(absl::StrCat(path, " is a folder, not a list of URLs"));
  }
  // Who gives us a file on standard input may have read some of it already: that place is ours.
  if (S_ISREG(is.st_mode)) {
    if (absl::Status s = list.Count(); !s.ok()) return s;
  }
  return list;
}

UrlList::UrlList(UrlList&& other) noexcept
    : fd_(std::exchange(other.fd_, -1)),
      bad_(std::move(other.bad_)),
      buffer_(std::move(other.buffer_)),
      at_(other.at_),
      line_(std::move(other.line_)),
      next_(std::move(other.next_)),
      ended_(other.ended_),
      status_(std::move(other.status_)),
      total_(other.total_) {}

UrlList::~UrlList() {
  if (fd_ >= 0) close(fd_);
}

absl::Status UrlList::Count() {
  const off_t begin = lseek(fd_, 0, SEEK_CUR);
  UrlList counted(dup(fd_), {});
  uint64_t total = 0;
  while (counted.Next().has_value()) ++total;
  if (!counted.status().ok()) return counted.status();
  if (lseek(fd_, begin, SEEK_SET) != begin) return CantRead("the list again");
  total_ = total;
  return absl::OkStatus();
}

std::optional<UrlLine> UrlList::Next() {
  Find(/*wait=*/true);
  return std::exchange(next_, std::nullopt);
}

bool UrlList::Find(bool wait) {
  int reads = 0;
  while (!next_.has_value() && !ended_) {
    if (TakeLine()) continue;
    pollfd readable{fd_, POLLIN, 0};
    if (!wait && (++reads > kReadsAtOnce || poll(&readable, 1, 0) <= 0)) return false;
    Read();
  }
  return true;
}

bool UrlList::TakeLine() {
  const size_t end = buffer_.find('\n', at_);
  const size_t piece = std::min(end, buffer_.size()) - at_;
  // Of a line that is too long as much as shows it.
  line_.url.append(buffer_, at_, std::min(piece, kMaxLine + 1 - line_.url.size()));
  at_ += piece;
  if (end == std::string::npos) return false;
  ++at_;
  Judge();
  return true;
}

void UrlList::Judge() {
  ++line_.number;
  absl::string_view text = line_.url;
  if (line_.number == 1) absl::ConsumePrefix(&text, "\xef\xbb\xbf");
  text = absl::StripAsciiWhitespace(text);
  if (!text.empty() && text.front() != '#') {
    UrlLine found{line_.number, std::string(text)};
    const probe::Url url = probe::ParseUrl(found.url);
    if (url.kind != probe::UrlKind::kMalformed) {
      next_ = std::move(found);
    } else if (bad_) {
      bad_(found, url.error);
    }
  }
  line_.url.clear();
}

void UrlList::Read() {
  buffer_.resize(kReadBytes);
  at_ = 0;
  ssize_t n;
  do {
    n = read(fd_, buffer_.data(), buffer_.size());
  } while (n < 0 && errno == EINTR);
  if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) {
    // Somebody made the pipe non-blocking.
    buffer_.clear();
    pollfd readable{fd_, POLLIN, 0};
    poll(&readable, 1, 100);
    return;
  }
  if (n < 0) status_ = CantRead("the list of URLs");
  buffer_.resize(std::max<ssize_t>(n, 0));
  ended_ = n <= 0;
  if (n == 0 && !line_.url.empty()) Judge();  // the last line may lack its end
}

}  // namespace jetmon::cli
