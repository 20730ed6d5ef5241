#include "store/legacy_words.h"

#include <time.h>

namespace jetmon::store {

std::string_view NameOf(LegacyDialect dialect) {
  return dialect == LegacyDialect::kV1 ? "v1" : "jetmon2";
}

std::optional<LegacyDialect> ParseLegacyDialect(std::string_view name) {
  if (name == "v1") return LegacyDialect::kV1;
  if (name.empty() || name == "jetmon2") return LegacyDialect::kJetmon2;
  return std::nullopt;
}

LegacyMeaning MeaningOf(LegacyDialect dialect, int site_status) {
  switch (site_status) {
    case kStatusUp:
      return LegacyMeaning::kUp;
    case kStatusDown:
      return dialect == LegacyDialect::kV1 ? LegacyMeaning::kToldDown : LegacyMeaning::kSuspected;
    case kStatusStillDown:
      return LegacyMeaning::kToldDown;
    default:
      return LegacyMeaning::kUnknown;
  }
}

int StatusFor(LegacyDialect dialect, const Standing& standing) {
  if (dialect == LegacyDialect::kV1) {
    if (!standing.told) return kStatusUp;
    return standing.still_down ? kStatusStillDown : kStatusDown;
  }
  if (standing.severity == Severity::kDown) return kStatusStillDown;
  return standing.severity == Severity::kSeemsDown ? kStatusDown : kStatusUp;
}

std::string LegacyTime(int64_t ms) {
  const time_t seconds = ms / 1000;
  tm utc{};
  gmtime_r(&seconds, &utc);
  char text[32];
  strftime(text, sizeof(text), "%Y-%m-%d %H:%M:%S", &utc);
  return text;
}

int64_t ParseLegacyTime(std::string_view text) {
  tm utc{};
  const std::string copy(text);
  const char* end = strptime(copy.c_str(), "%Y-%m-%d %H:%M:%S", &utc);
  if (end == nullptr || (*end != '\0' && *end != '.')) return 0;
  const time_t seconds = timegm(&utc);
  return seconds < 0 ? 0 : int64_t{seconds} * 1000;
}

}  // namespace jetmon::store
