#ifndef JETMON_STORE_LEGACY_WORDS_H_
#define JETMON_STORE_LEGACY_WORDS_H_

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

// What the legacy columns `site_status` and `last_status_change` say, and what v2 writes into them.
// This is the only place that knows; docs/legacy-words.md tells the same in prose.
namespace jetmon::store {

enum class Severity { kUp = 0, kWarning = 1, kDegraded = 2, kSeemsDown = 3, kDown = 4 };

// The program on the other side of the columns decides what their values mean.
enum class LegacyDialect {
  kJetmon2,  // Jetmon 2 in Go: 0 seems down, and nobody was told; 2 down, and people were told
  kV1,  // Jetmon 1, by its public source: 0 down, confirmed and told; 2 still down 59 min later
};
// "v1", "jetmon2".
std::string_view NameOf(LegacyDialect dialect);
// Reads a name; "" is kJetmon2: rows that were written before dialects had names. nullopt for
// anything else.
std::optional<LegacyDialect> ParseLegacyDialect(std::string_view name);

// The values of site_status, by what they say in dialect v1.
inline constexpr int kStatusDown = 0, kStatusUp = 1, kStatusStillDown = 2;

// What one value of site_status says.
enum class LegacyMeaning {
  kUp,         // up, or nothing was told
  kSuspected,  // one check failed; nobody was told (dialect jetmon2 only)
  kToldDown,   // people were told that the site is down
  kUnknown,    // no value of this dialect; proves nothing
};
LegacyMeaning MeaningOf(LegacyDialect dialect, int site_status);

// What v2 knows of a site's incident when it writes the columns.
struct Standing {
  Severity severity = Severity::kUp;  // kUp: there is none, or it has ended
  // People were told that it is down, and not that it is over: the tell has passed its commit point
  // (store/tells.h), or v1 told them.
  bool told = false;
  bool still_down = false;  // they were told at least `--legacy_still_down_after` ago
};
// The site_status that v2 writes for it. In dialect v1 only what was told stands there: a
// suspicion, and a confirmed outage that nobody was told of, is 1. In jetmon2 the severity alone
// decides.
int StatusFor(LegacyDialect dialect, const Standing& standing);

// Legacy timestamps <-> Unix milliseconds (whole seconds, UTC; a fraction is cut off, because MySQL
// would round it and MariaDB cut it). ParseLegacyTime: 0 for "" or what is no time.
std::string LegacyTime(int64_t ms);
int64_t ParseLegacyTime(std::string_view text);

// v1 tells people a second time, with status 2, when an incident is this old (its
// TIME_BETWEEN_NOTICES_MIN); v2 writes the 2 then and tells nobody.
inline constexpr int64_t kStillDownAfterMinutes = 59;

}  // namespace jetmon::store

#endif  // JETMON_STORE_LEGACY_WORDS_H_
