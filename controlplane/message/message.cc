#include "controlplane/message/message.h"

#include "controlplane/error/error.h"

namespace jetmon {
namespace {
constexpr uint32_t kPage = 50, kLargestPage = 200;
}  // namespace

void SetTime(google::protobuf::Timestamp* t, int64_t unix_ms) {
  t->set_seconds(unix_ms / 1000);
  t->set_nanos(static_cast<int32_t>(unix_ms % 1000) * 1'000'000);
}

bool IsName(const std::string& text, size_t longest) {
  return !text.empty() && text.size() <= longest &&
         text.find_first_not_of(
             "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-") ==
             std::string::npos;
}

absl::StatusOr<store::PageRequest> PageOf(uint32_t size, const std::string& token) {
  if (size > kLargestPage) return InvalidField("page_size", "takes 1 to 200");
  return store::PageRequest{size == 0 ? kPage : size, token};
}

absl::Status PageError(const absl::Status& status) {
  if (!absl::IsInvalidArgument(status) || ReasonOf(status) != v1::ERROR_REASON_UNSPECIFIED) {
    return status;
  }
  return InvalidField("page_token", std::string(status.message()));
}

}  // namespace jetmon
