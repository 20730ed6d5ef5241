#ifndef JETMON_CLI_URL_LIST_H_
#define JETMON_CLI_URL_LIST_H_

#include <cstdint>
#include <istream>
#include <memory>
#include <optional>
#include <string>

#include "absl/status/statusor.h"

namespace jetmon::cli {

// The URLs of a file, one a line, read as they are needed: of any number of lines, each of at most
// 4,096 bytes (of a longer one the rest is dropped, and it is no URL any more). Blank lines and
// those that begin with # are passed over; a byte order mark and the CR of a CRLF are dropped.
class UrlList {
 public:
  // `-` is standard input. NotFound when it can't be read.
  static absl::StatusOr<UrlList> Open(const std::string& path);
  // For tests.
  explicit UrlList(std::unique_ptr<std::istream> lines) : lines_(std::move(lines)) {}

  std::optional<std::string> Next();
  // The URLs in all, or 0 if that can't be known without reading them away (standard input).
  uint64_t total() const { return total_; }

 private:
  std::unique_ptr<std::istream> lines_;
  uint64_t total_ = 0;
  bool first_ = true;
};

}  // namespace jetmon::cli

#endif  // JETMON_CLI_URL_LIST_H_
