#ifndef JETMON_CONTROLPLANE_GATEWAY_MEDIA_TYPE_H_
#define JETMON_CONTROLPLANE_GATEWAY_MEDIA_TYPE_H_

#include <string_view>

namespace jetmon::gateway {

inline constexpr std::string_view kJson = "application/json";
inline constexpr std::string_view kNdjson = "application/x-ndjson";
inline constexpr std::string_view kEventStream = "text/event-stream";

// May an answer of type `type` ("application/json") be given to who sent this Accept header? ""
// accepts everything; ranges (*/*, application/*) and q=0 count, other weights do not.
bool Accepts(std::string_view accept, std::string_view type);
// Does the header name the type itself, not only a range over it?
bool Names(std::string_view accept, std::string_view type);
// Is a Content-Type that of JSON? Parameters (charset) are ignored.
bool IsJson(std::string_view content_type);

}  // namespace jetmon::gateway

#endif  // JETMON_CONTROLPLANE_GATEWAY_MEDIA_TYPE_H_
