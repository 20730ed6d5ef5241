#include "controlplane/gateway/media_type.h"

#include <string>

#include "absl/strings/ascii.h"

namespace jetmon::gateway {
namespace {

std::string Lower(std::string_view text) {
  const std::string copy(text);
  return absl::AsciiStrToLower(std::string(absl::StripAsciiWhitespace(copy)));
}

// Has the item a parameter q that is zero?
bool Refused(std::string_view parameters) {
  while (!parameters.empty()) {
    const size_t semicolon = parameters.find(';');
    const std::string parameter = Lower(parameters.substr(0, semicolon));
    if (parameter.starts_with("q=0") && parameter.find_first_not_of("0.", 2) == std::string::npos) {
      return true;
    }
    if (semicolon == std::string_view::npos) break;
    parameters.remove_prefix(semicolon + 1);
  }
  return false;
}

// 0: not matched; 1: by a range; 2: by name. Items with q=0 match nothing, and by name undo all.
int MatchOf(std::string_view accept, std::string_view type) {
  const std::string family = std::string(type.substr(0, type.find('/'))) + "/*";
  int best = 0;
  while (!accept.empty()) {
    const size_t comma = accept.find(',');
    const std::string_view item = accept.substr(0, comma);
    accept = comma == std::string_view::npos ? std::string_view() : accept.substr(comma + 1);
    const size_t semicolon = item.find(';');
    const std::string name = Lower(item.substr(0, semicolon));
    const bool refused = semicolon != std::string_view::npos && Refused(item.substr(semicolon + 1));
    if (name == type) {
      if (refused) return 0;
      best = 2;
    } else if ((name == family || name == "*/*") && !refused && best == 0) {
      best = 1;
    }
  }
  return best;
}

}  // namespace

bool Accepts(std::string_view accept, std::string_view type) {
  return Lower(accept).empty() || MatchOf(accept, type) > 0;
}

bool Names(std::string_view accept, std::string_view type) { return MatchOf(accept, type) == 2; }

bool IsJson(std::string_view content_type) {
  return Lower(content_type.substr(0, content_type.find(';'))) == kJson;
}

}  // namespace jetmon::gateway
