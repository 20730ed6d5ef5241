#include "cli/csv_file.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"

namespace jetmon::cli {
namespace {

absl::Status Exists(const std::string& path) {
  return absl::AlreadyExistsError(
      absl::StrCat(path, " exists; give another name, or --force to write over it"));
}

}  // namespace

std::string CsvRecord(const std::vector<std::string>& fields) {
  std::string record;
  for (const std::string& field : fields) {
    if (&field != &fields.front()) record += ',';
    if (field.find_first_of(",\"\r\n") == std::string::npos) {
      record += field;
    } else {
      absl::StrAppend(&record, "\"", absl::StrReplaceAll(field, {{"\"", "\"\""}}), "\"");
    }
  }
  return record + "\r\n";
}

absl::StatusOr<std::unique_ptr<CsvFile>> CsvFile::Create(const std::string& path, bool overwrite) {
  if (!overwrite && access(path.c_str(), F_OK) == 0) return Exists(path);
  std::string temporary = path + ".XXXXXX";
  const int fd = mkstemp(temporary.data());
  FILE* file = fd < 0 ? nullptr : fdopen(fd, "w");
  if (file == nullptr) {
    return absl::InternalError(absl::StrCat("can't write ", path, ": ", strerror(errno)));
  }
  return std::unique_ptr<CsvFile>(new CsvFile(path, temporary, file, overwrite));
}

CsvFile::CsvFile(std::string path, std::string temporary, FILE* file, bool overwrite)
    : path_(std::move(path)),
      temporary_(std::move(temporary)),
      file_(file),
      overwrite_(overwrite) {}

CsvFile::~CsvFile() {
  if (file_ != nullptr) fclose(file_);
  unlink(temporary_.c_str());  // gone already if it got its name
}

void CsvFile::Append(const std::vector<std::string>& fields) {
  const std::string record = CsvRecord(fields);
  fwrite(record.data(), 1, record.size(), file_);
}

absl::Status CsvFile::Failed(int error) const {
  return absl::InternalError(absl::StrCat("can't write ", path_, ": ", strerror(error)));
}

absl::Status CsvFile::Finish() {
  const bool written = ferror(file_) == 0 && fflush(file_) == 0 && fsync(fileno(file_)) == 0;
  const int error = errno;
  const bool closed = fclose(file_) == 0;
  file_ = nullptr;
  if (!written || !closed) return Failed(written ? errno : error);
  if (overwrite_) {
    return rename(temporary_.c_str(), path_.c_str()) == 0 ? absl::OkStatus() : Failed(errno);
  }
  // A link is made only where no file is.
  if (link(temporary_.c_str(), path_.c_str()) == 0) return absl::OkStatus();
  return errno == EEXIST ? Exists(path_) : Failed(errno);
}

}  // namespace jetmon::cli
