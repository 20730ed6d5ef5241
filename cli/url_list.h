#ifndef JETMON_CLI_URL_LIST_H_
#define JETMON_CLI_URL_LIST_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace jetmon::cli {

// A line of a list, counted from 1.
struct UrlLine {
  uint64_t number = 0;
  std::string url;
};

// The URLs of a file or a pipe, one a line, read as they are needed: of any number of lines, each
// of at most 4,096 bytes. Blank lines and those that begin with # are passed over; a byte order
// mark, the CR of a CRLF and spaces around a URL are dropped.
class UrlList {
 public:
  // Told of each line that holds no URL, with what is wrong; it is not given out.
  using BadLine = std::function<void(const UrlLine& line, const std::string& why)>;

  // `-` is standard input. NotFound when it can't be read, InvalidArgument for a folder.
  static absl::StatusOr<UrlList> Open(const std::string& path, BadLine bad);
  // Owns the descriptor.
  UrlList(int fd, BadLine bad) : fd_(fd), bad_(std::move(bad)) {}
  ~UrlList();
  UrlList(UrlList&& other) noexcept;
  UrlList& operator=(UrlList&&) = delete;

  // Whether Next has its answer without waiting for whoever writes the pipe.
  bool Ready() { return Find(/*wait=*/false); }
  // Nullopt at the end; status() says whether that was the end of the list.
  std::optional<UrlLine> Next();
  const absl::Status& status() const { return status_; }
  // The URLs in all, or 0 if only reading them away would tell (a pipe).
  uint64_t total() const { return total_; }

 private:
  // Goes on until there is something for Next to say. False only without `wait`.
  bool Find(bool wait);
  // The next whole line of what was read, if it holds a URL; false when there is no whole line.
  bool TakeLine();
  void Judge();
  void Read();
  absl::Status Count();

  int fd_;
  BadLine bad_;
  std::string buffer_;  // what was read, from at_ on
  size_t at_ = 0;
  UrlLine line_;                 // as far as it has been read
  std::optional<UrlLine> next_;  // for Next
  bool ended_ = false;
  absl::Status status_;
  uint64_t total_ = 0;
};

}  // namespace jetmon::cli

#endif  // JETMON_CLI_URL_LIST_H_
