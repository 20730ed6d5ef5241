#include "cli/terminal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>

#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"

namespace jetmon::cli {
namespace {

constexpr size_t kMaxLine = 4096;
constexpr size_t kMaxFile = 1 << 20;

// Reads lines from a descriptor as they come. A FIFO is opened for reading and writing, so that it
// neither blocks the opener nor ends when one of its writers goes away.
class Lines final : public Confirmations {
 public:
  Lines(int fd, std::string path) : fd_(fd), path_(std::move(path)) {}
  ~Lines() override {
    if (!path_.empty() && fd_ >= 0) close(fd_);
  }

  absl::StatusOr<std::string> NextLine() override {
    if (auto s = Open(); !s.ok()) return s;
    for (;;) {
      const size_t end = buffer_.find('\n');
      if (end != std::string::npos) {
        std::string line(absl::StripAsciiWhitespace(buffer_.substr(0, end)));
        buffer_.erase(0, end + 1);
        return line;
      }
      char chunk[512];
      const ssize_t n = read(fd_, chunk, sizeof(chunk));
      if (n < 0 && errno == EINTR) continue;
      if (n <= 0 || buffer_.size() > kMaxLine) return End();
      buffer_.append(chunk, n);
    }
  }

 private:
  absl::Status Open() {
    if (fd_ >= 0) return absl::OkStatus();
    struct stat st {};
    const bool fifo = stat(path_.c_str(), &st) == 0 && S_ISFIFO(st.st_mode);
    fd_ = open(path_.c_str(), (fifo ? O_RDWR : O_RDONLY) | O_CLOEXEC);
    if (fd_ >= 0) return absl::OkStatus();
    return absl::NotFoundError(absl::StrCat("can't read ", path_, ": ", strerror(errno)));
  }
  absl::StatusOr<std::string> End() {
    if (buffer_.empty() || buffer_.size() > kMaxLine) {
      return absl::UnavailableError("no more lines to confirm with");
    }
    std::string line(absl::StripAsciiWhitespace(buffer_));
    buffer_.clear();
    return line;
  }

  int fd_;
  const std::string path_;
  std::string buffer_;
};

}  // namespace

std::unique_ptr<Confirmations> FromStandardInput() {
  return std::make_unique<Lines>(STDIN_FILENO, "");
}
std::unique_ptr<Confirmations> FromFile(const std::string& path) {
  return std::make_unique<Lines>(-1, path);
}

void ProgressBar::Show(const std::string& what, uint64_t done, uint64_t total) {
  const uint64_t tenth = total == 0 ? 0 : 10 * done / total;
  const std::string figures = total == 0 ? "" : absl::StrCat(" ", done, "/", total);
  if (isatty(fileno(to_))) {
    std::string bar(tenth * 2, '#');
    bar.resize(20, '.');
    fprintf(to_, "\r\033[K  %s [%s]%s", what.c_str(), bar.c_str(), figures.c_str());
    shown_ = true;
  } else if (what != last_what_ || tenth != last_tenth_) {
    fprintf(to_, "  %s%s\n", what.c_str(), figures.c_str());
  }
  fflush(to_);
  last_what_ = what;
  last_tenth_ = tenth;
}

void ProgressBar::End() {
  if (shown_) fprintf(to_, "\n");
  shown_ = false;
  last_what_.clear();
  fflush(to_);
}

void ProgressBar::Clear() {
  if (shown_) fprintf(to_, "\r\033[K");
  shown_ = false;
  fflush(to_);
}

absl::Status WriteFileAtomically(const std::string& path, const std::string& content) {
  std::string pattern = path + ".XXXXXX";
  const int fd = mkstemp(pattern.data());  // mode 0600
  if (fd < 0) {
    return absl::InternalError(absl::StrCat("can't write ", path, ": ", strerror(errno)));
  }
  size_t written = 0;
  while (written < content.size()) {
    const ssize_t n = write(fd, content.data() + written, content.size() - written);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) break;
    written += n;
  }
  const bool synced = written == content.size() && fsync(fd) == 0;
  const bool closed = close(fd) == 0;
  if (!synced || !closed || rename(pattern.c_str(), path.c_str()) != 0) {
    const std::string why = strerror(errno);
    unlink(pattern.c_str());
    return absl::InternalError(absl::StrCat("can't write ", path, ": ", why));
  }
  return absl::OkStatus();
}

absl::StatusOr<std::string> ReadSmallFile(const std::string& path) {
  FILE* f = fopen(path.c_str(), "re");
  if (f == nullptr) {
    return absl::NotFoundError(absl::StrCat("can't read ", path, ": ", strerror(errno)));
  }
  std::string content(kMaxFile, '\0');
  content.resize(fread(content.data(), 1, content.size(), f));
  const bool failed = ferror(f) != 0;
  fclose(f);
  if (failed) return absl::InternalError(absl::StrCat("can't read ", path));
  return content;
}

absl::Status MakeFolder(const std::string& path) {
  std::error_code error;
  const bool made = std::filesystem::create_directories(path, error);
  if (error) return absl::InternalError(absl::StrCat("can't make ", path, ": ", error.message()));
  if (made) std::filesystem::permissions(path, std::filesystem::perms::owner_all, error);
  return absl::OkStatus();
}

}  // namespace jetmon::cli
