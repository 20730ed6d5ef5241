#ifndef JETMON_CLI_GUIDED_STATE_H_
#define JETMON_CLI_GUIDED_STATE_H_

#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "cli/json.h"

namespace jetmon::cli {

// What a guided rollout has done so far, in a file (mode 0600) that is replaced whole at every
// change, so that whatever interrupts it leaves the state before or after. Holds confirmation
// tokens between plan and execute. Not thread-safe.
class GuidedState {
 public:
  // The file's name for a range and direction: guided-0-255.json, rollback-0-255.json.
  static std::string FileName(uint32_t bucket_min, uint32_t bucket_max, bool rollback);
  // A new state; an old file of that name is replaced at the first Save.
  static std::unique_ptr<GuidedState> New(const std::string& path);
  // Goes on with a file. NotFound, or InvalidArgument when it is no such state.
  static absl::StatusOr<std::unique_ptr<GuidedState>> Load(const std::string& path);

  bool IsDone(const std::string& step) const;
  absl::Status MarkDone(const std::string& step);
  std::string Get(const std::string& key) const;
  absl::Status Set(const std::string& key, const std::string& value);
  const std::string& path() const { return path_; }

 private:
  explicit GuidedState(std::string path) : path_(std::move(path)) {}
  absl::Status Save();

  const std::string path_;
  Json values_;
};

}  // namespace jetmon::cli

#endif  // JETMON_CLI_GUIDED_STATE_H_
