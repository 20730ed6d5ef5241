#ifndef JETMON_CONTROLPLANE_GATEWAY_PATH_TEMPLATE_H_
#define JETMON_CONTROLPLANE_GATEWAY_PATH_TEMPLATE_H_

#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"

namespace jetmon::gateway {

// The path of a google.api.http annotation: literal segments and `{field}` segments, each one whole
// segment, and a custom verb (":close") at the end. The other forms of the grammar (`*`, `**`,
// `{field=...}`) are not used by our protos and refused.
struct PathTemplate {
  struct Segment {
    bool variable = false;
    std::string text;  // the literal, or the field's name
  };
  std::vector<Segment> segments;
  std::string verb;  // without the colon; "" = none
};
absl::StatusOr<PathTemplate> ParsePathTemplate(std::string_view text);

// A request's path taken apart: segments still percent-encoded.
struct RequestPath {
  std::vector<std::string_view> segments;
};
// InvalidArgument when it does not begin with '/', or has more than 16 segments.
absl::StatusOr<RequestPath> SplitPath(std::string_view path);

// Decodes %XX (and, in a query, '+'). InvalidArgument for a bad escape, a NUL or bad UTF-8.
absl::StatusOr<std::string> PercentDecode(std::string_view text, bool query);

}  // namespace jetmon::gateway

#endif  // JETMON_CONTROLPLANE_GATEWAY_PATH_TEMPLATE_H_
