#ifndef JETMON_TESTS_LAB_LINE_LOG_H_
#define JETMON_TESTS_LAB_LINE_LOG_H_

#include <cstdint>
#include <memory>
#include <mutex>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace jetmon::lab {

// One JSON object under construction, on one line: {"kind":"request","site":7}.
class JsonLine {
 public:
  explicit JsonLine(absl::string_view kind);
  JsonLine& Add(absl::string_view name, absl::string_view text);
  JsonLine& Add(absl::string_view name, int64_t number);
  // `json` is put in as it is.
  JsonLine& AddJson(absl::string_view name, absl::string_view json);
  std::string Finish() const { return text_ + "}\n"; }

 private:
  std::string text_;
};

// An append-only file of lines. Lines are kept until Flush, which writes them in one go; a line is
// never torn. Thread-safe.
class LineLog {
 public:
  // Opens (or makes) the file for appending. FailedPrecondition if that can't be.
  static absl::StatusOr<std::unique_ptr<LineLog>> Open(const std::string& path);
  ~LineLog();
  void Write(const JsonLine& line);
  // Ends the process if the file can't be written: a witness that can't write is none.
  void Flush();

 private:
  explicit LineLog(int fd) : fd_(fd) {}
  const int fd_;
  std::mutex mutex_;
  std::string pending_;
};

}  // namespace jetmon::lab

#endif  // JETMON_TESTS_LAB_LINE_LOG_H_
