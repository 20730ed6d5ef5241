#include "tests/lab/line_log.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"

namespace jetmon::lab {
namespace {

void AppendQuoted(absl::string_view text, std::string* out) {
  out->push_back('"');
  for (const char c : text) {
    if (c == '"' || c == '\\') {
      out->push_back('\\');
      out->push_back(c);
    } else if (static_cast<unsigned char>(c) < 0x20 || static_cast<unsigned char>(c) >= 0x7f) {
      absl::StrAppendFormat(out, "\\u%04x", static_cast<unsigned char>(c));
    } else {
      out->push_back(c);
    }
  }
  out->push_back('"');
}

}  // namespace

JsonLine::JsonLine(absl::string_view kind) : text_("{\"kind\":") { AppendQuoted(kind, &text_); }

JsonLine& JsonLine::AddJson(absl::string_view name, absl::string_view json) {
  text_.push_back(',');
  AppendQuoted(name, &text_);
  absl::StrAppend(&text_, ":", json);
  return *this;
}

JsonLine& JsonLine::Add(absl::string_view name, absl::string_view text) {
  std::string quoted;
  AppendQuoted(text, &quoted);
  return AddJson(name, quoted);
}

JsonLine& JsonLine::Add(absl::string_view name, int64_t number) {
  return AddJson(name, absl::StrCat(number));
}

absl::StatusOr<std::unique_ptr<LineLog>> LineLog::Open(const std::string& path) {
  const int fd = open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
  if (fd < 0) {
    return absl::FailedPreconditionError(absl::StrCat("can't write ", path, ": ", strerror(errno)));
  }
  return std::unique_ptr<LineLog>(new LineLog(fd));
}

LineLog::~LineLog() {
  Flush();
  close(fd_);
}

void LineLog::Write(const JsonLine& line) {
  const std::lock_guard<std::mutex> lock(mutex_);
  pending_ += line.Finish();
}

void LineLog::Flush() {
  const std::lock_guard<std::mutex> lock(mutex_);
  size_t written = 0;
  while (written < pending_.size()) {
    const ssize_t n = write(fd_, pending_.data() + written, pending_.size() - written);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) {
      fprintf(stderr, "the log can't be written: %s\n", strerror(errno));
      exit(1);
    }
    written += n;
  }
  pending_.clear();
}

}  // namespace jetmon::lab
