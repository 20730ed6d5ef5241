#include "store/page.h"

#include "absl/strings/match.h"

namespace jetmon::store {
namespace {
constexpr char kPrefix[] = "p1.";
constexpr size_t kMaxToken = 256;
}  // namespace

std::string PageToken(std::string_view last_key) { return kPrefix + std::string(last_key); }

absl::StatusOr<std::string> KeyOfPageToken(std::string_view token) {
  if (token.empty()) return std::string();
  if (token.size() > kMaxToken || token.substr(0, 3) != kPrefix || token.size() == 3) {
    return absl::InvalidArgumentError("page_token is none that this list made");
  }
  return std::string(token.substr(3));
}

}  // namespace jetmon::store
