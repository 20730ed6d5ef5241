#ifndef JETMON_CLI_TERMINAL_H_
#define JETMON_CLI_TERMINAL_H_

#include <cstdint>
#include <cstdio>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace jetmon::cli {

// Exit codes of every command.
enum ExitCode : int { kOk = 0, kFailed = 1, kUsage = 2, kBlocked = 3, kRefused = 4 };

// Where typed confirmations come from: the terminal, or a file for rehearsals.
class Confirmations {
 public:
  virtual ~Confirmations() = default;
  // Waits for one line at a prompt. Unavailable when there are no more lines.
  virtual absl::StatusOr<std::string> NextLine() = 0;
};

// Standard input.
std::unique_ptr<Confirmations> FromStandardInput();
// A file or FIFO, opened at the first prompt and read one line a prompt, when it is due. A FIFO
// whose writer went away is opened again: each line may come from another writer.
std::unique_ptr<Confirmations> FromFile(const std::string& path);

// One line of figures that a terminal rewrites in place; elsewhere a line is printed only when
// `done` has grown by a tenth of `total`, or the text in front of the figures changed.
class ProgressBar {
 public:
  explicit ProgressBar(FILE* to = stdout) : to_(to) {}
  void Show(const std::string& what, uint64_t done, uint64_t total);
  // Ends the line, if one is shown.
  void End();
  // Takes the line away, if one is shown, to make room for another.
  void Clear();

 private:
  FILE* const to_;
  bool shown_ = false;
  std::string last_what_;
  uint64_t last_tenth_ = 0;
};

// Writes a file whole: a new file, mode 0600, renamed into place and synced.
absl::Status WriteFileAtomically(const std::string& path, const std::string& content);
absl::StatusOr<std::string> ReadSmallFile(const std::string& path);
// Makes a folder (mode 0700) with its parents.
absl::Status MakeFolder(const std::string& path);

}  // namespace jetmon::cli

#endif  // JETMON_CLI_TERMINAL_H_
