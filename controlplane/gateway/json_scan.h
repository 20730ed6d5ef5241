#ifndef JETMON_CONTROLPLANE_GATEWAY_JSON_SCAN_H_
#define JETMON_CONTROLPLANE_GATEWAY_JSON_SCAN_H_

#include <string_view>

#include "absl/status/status.h"

namespace jetmon::gateway {

inline constexpr int kMostJsonDepth = 64;

// Is `text` one value of RFC 8259 JSON, and nothing but? Stricter than json_util, which takes
// single quotes, bare keys and trailing commas: this also refuses a key that comes twice in one
// object, nesting above kMostJsonDepth and bad UTF-8 (also escaped: a lone surrogate). The error is
// malformed_json and names the byte offset. Needs memory for the keys of the open objects only;
// linear but for a logarithm in the keys of an object.
absl::Status ScanJson(std::string_view text);

// Is `text` UTF-8 (no overlong forms, no surrogates, nothing past U+10FFFF)?
bool IsUtf8(std::string_view text);

}  // namespace jetmon::gateway

#endif  // JETMON_CONTROLPLANE_GATEWAY_JSON_SCAN_H_
