#ifndef JETMON_CONTROLPLANE_MESSAGE_MESSAGE_H_
#define JETMON_CONTROLPLANE_MESSAGE_MESSAGE_H_

#include <google/protobuf/timestamp.pb.h>

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"
#include "store/page.h"

// What every service's messages share: times, names, pages.
namespace jetmon {

void SetTime(google::protobuf::Timestamp* t, int64_t unix_ms);

// 1 to `longest` of [A-Za-z0-9._-]: hosts, agents, vantages.
bool IsName(const std::string& text, size_t longest);

// A list request's page: size 0 = 50, at most 200, else invalid_field.
absl::StatusOr<store::PageRequest> PageOf(uint32_t size, const std::string& token);
// What a list's read ended with; a page token that the store refused is the caller's mistake
// (invalid_field).
absl::Status PageError(const absl::Status& status);

}  // namespace jetmon

#endif  // JETMON_CONTROLPLANE_MESSAGE_MESSAGE_H_
