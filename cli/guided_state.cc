#include "cli/guided_state.h"

#include "absl/strings/str_cat.h"
#include "cli/terminal.h"

namespace jetmon::cli {
namespace {
constexpr char kFormat[] = "jetmon2-guided-1";
}  // namespace

std::string GuidedState::FileName(uint32_t bucket_min, uint32_t bucket_max, bool rollback) {
  return absl::StrCat(rollback ? "rollback-" : "guided-", bucket_min, "-", bucket_max, ".json");
}

std::unique_ptr<GuidedState> GuidedState::New(const std::string& path) {
  auto state = std::unique_ptr<GuidedState>(new GuidedState(path));
  state->values_.Set("format", kFormat);
  return state;
}

absl::StatusOr<std::unique_ptr<GuidedState>> GuidedState::Load(const std::string& path) {
  auto text = ReadSmallFile(path);
  if (!text.ok()) return text.status();
  auto json = Json::Parse(*text);
  if (!json.ok() || (*json)["format"].Text() != kFormat) {
    return absl::InvalidArgumentError(absl::StrCat(path, " is not the state of a guided rollout"));
  }
  auto state = std::unique_ptr<GuidedState>(new GuidedState(path));
  state->values_ = *json;
  return state;
}

bool GuidedState::IsDone(const std::string& step) const { return values_["done"][step].Bool(); }

absl::Status GuidedState::MarkDone(const std::string& step) {
  Json done = values_["done"];
  done.Set(step, true);
  values_.Set("done", done);
  return Save();
}

std::string GuidedState::Get(const std::string& key) const { return values_[key].Text(); }

absl::Status GuidedState::Set(const std::string& key, const std::string& value) {
  values_.Set(key, value);
  return Save();
}

absl::Status GuidedState::Save() {
  return WriteFileAtomically(path_, Indent(values_.Dump()) + "\n");
}

}  // namespace jetmon::cli
