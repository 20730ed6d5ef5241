#ifndef JETMON_CONTROLPLANE_ERROR_ERROR_H_
#define JETMON_CONTROLPLANE_ERROR_ERROR_H_

#include <chrono>
#include <optional>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "jetmon/v1/errors.pb.h"

// Errors that reach a caller: an absl::Status whose code comes from the reason's proto option and
// that carries google.rpc messages as payloads (type URL "type.googleapis.com/google.rpc.X"), which
// both transports send as they are. All functions are thread-safe.
namespace jetmon {

// The error for `reason` with google.rpc.ErrorInfo{reason in lower case, domain "jetmon"}.
// `message` is for people: says what to do, never holds SQL, a stack or a secret; cut at 1,000
// bytes.
absl::Status Error(v1::ErrorReason reason, std::string message);

// Error(INVALID_FIELD, ...) with BadRequest naming `field`; the message starts with the field.
absl::Status InvalidField(std::string_view field, std::string_view what);

// The reason of an error made by Error(); ERROR_REASON_UNSPECIFIED for any other status.
v1::ErrorReason ReasonOf(const absl::Status& status);
// "run_not_found": the reason's name in lower case; "" for ERROR_REASON_UNSPECIFIED.
std::string_view ReasonCode(v1::ErrorReason reason);
// 400..599; 500 for ERROR_REASON_UNSPECIFIED.
int HttpStatusOf(v1::ErrorReason reason);

// Adds to ErrorInfo.metadata (such as job_id). No effect on a status without a reason.
void AddMetadata(absl::Status& status, std::string_view key, std::string_view value);
// Adds a BadRequest field violation.
absl::Status WithField(absl::Status status, std::string_view field, std::string_view what);
// Adds RetryInfo: when to ask again.
absl::Status WithRetryAfter(absl::Status status, std::chrono::milliseconds delay);
// What WithRetryAfter said.
std::optional<std::chrono::milliseconds> RetryAfterOf(const absl::Status& status);

// The error that a caller may see. A status with a reason stays; without one, Unavailable and
// Aborted (the store: unreachable, busy) become database_unavailable, DeadlineExceeded
// deadline_exceeded, Cancelled call_cancelled, anything else internal with a text that holds
// nothing of the original. OK stays OK.
absl::Status ForCaller(const absl::Status& status);

}  // namespace jetmon

#endif  // JETMON_CONTROLPLANE_ERROR_ERROR_H_
