#ifndef JETMON_CLI_CSV_FILE_H_
#define JETMON_CLI_CSV_FILE_H_

#include <stdio.h>

#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace jetmon::cli {

// A record of RFC 4180: fields with a comma, a quote or a line break in double quotes, and CRLF.
std::string CsvRecord(const std::vector<std::string>& fields);

// A file of such records, mode 0600, that appears whole under its name, or not at all.
class CsvFile {
 public:
  // AlreadyExists if there is such a file, unless `overwrite`; an error too where it can't be
  // written. So this is to be called before anything is begun that the file is for.
  static absl::StatusOr<std::unique_ptr<CsvFile>> Create(const std::string& path, bool overwrite);
  ~CsvFile();
  CsvFile(const CsvFile&) = delete;
  CsvFile& operator=(const CsvFile&) = delete;

  void Append(const std::vector<std::string>& fields);
  // Gives it its name. Reports what could not be written before, too.
  absl::Status Finish();

 private:
  CsvFile(std::string path, std::string temporary, FILE* file, bool overwrite);
  absl::Status Failed(int error) const;

  const std::string path_, temporary_;
  FILE* file_;
  const bool overwrite_;
};

}  // namespace jetmon::cli

#endif  // JETMON_CLI_CSV_FILE_H_
