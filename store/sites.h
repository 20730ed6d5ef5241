#ifndef JETMON_STORE_SITES_H_
#define JETMON_STORE_SITES_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "store/legacy_words.h"
#include "store/range.h"
#include "store/sql/database.h"

// The legacy table `jetpack_monitor_sites` and v2's own per-site rows (check targets, runtime,
// check config).
namespace jetmon::store {

struct Site {
  uint64_t site_id = 0;
  uint64_t blog_id = 0;
  uint32_t bucket = 0;
  std::string url;
  bool active = true;
  int site_status = 1;             // as stored; 0, 1, 2, or whatever v1 left there
  std::string last_status_change;  // 'YYYY-MM-DD HH:MM:SS' UTC, "" = NULL
  int check_interval = 5;          // units of --interval_unit (minutes in production)
};

// 16 hex digits over (site id, blog, url, active, interval): tells whether a target is stale.
std::string ConfigHash(const Site& site);

// Where a page of a bucket's sites ended: key-set paging in the order of v1's index.
struct SiteCursor {
  int interval = -1'000'000;
  uint64_t site_id = 0;
  static SiteCursor After(const Site& site) { return {site.check_interval, site.site_id}; }
};
// Active sites of one bucket behind `after` ({}: from the first), by check interval and id, at most
// `limit`.
absl::StatusOr<std::vector<Site>> ActiveSitesOfBucket(sql::Transaction& tx, uint32_t bucket,
                                                      const SiteCursor& after, int limit);
// The same of their places in that order only: an index has them, no row is read.
absl::StatusOr<std::vector<SiteCursor>> ActivePlacesOfBucket(sql::Transaction& tx, uint32_t bucket,
                                                             const SiteCursor& after, int limit);
// Those of these sites that are active, in any order.
absl::StatusOr<std::vector<Site>> ActiveSitesById(sql::Transaction& tx,
                                                  const std::vector<uint64_t>& site_ids);
absl::StatusOr<std::optional<Site>> GetSite(sql::Transaction& tx, uint64_t site_id);
struct SiteCounts {
  uint64_t active = 0, up = 0, seems_down = 0, down = 0, other = 0;  // of active sites
};
absl::StatusOr<SiteCounts> CountSites(sql::Transaction& tx, Range range);
// Only how many are active: an index knows it.
absl::StatusOr<uint64_t> CountActiveSites(sql::Transaction& tx, Range range);
// Checks that the legacy table has the columns that v2 reads; the names of those it lacks.
absl::StatusOr<std::vector<std::string>> MissingLegacyColumns(sql::Transaction& tx);
// Active rows of a bucket of which another active row, outside of `range`, has the same blog and
// URL: to people they are one site. Needs v1's index of the two. At most `limit`, a row for each
// other one.
struct SplitTwin {
  uint64_t site_id = 0, blog_id = 0, other_site_id = 0;
  uint32_t other_bucket = 0;
  std::string url;
};
absl::StatusOr<std::vector<SplitTwin>> SplitTwinsOfBucket(sql::Transaction& tx, uint32_t bucket,
                                                          Range range, int limit);

struct Target {
  uint64_t site_id = 0, blog_id = 0;
  uint32_t bucket = 0;
  std::string url;
  int interval = 5;    // units of --interval_unit
  uint64_t phase = 0;  // stable pseudo-random number of the site, taken modulo its interval
  std::string config_hash;
};
uint64_t PhaseOf(uint64_t site_id);
Target TargetOf(const Site& site);
// Inserts or updates, many rows a statement.
absl::Status UpsertTargets(sql::Transaction& tx, const std::vector<Target>& targets,
                           int64_t now_ms);
// Removes target and runtime rows.
absl::Status DeleteTargets(sql::Transaction& tx, const std::vector<uint64_t>& site_ids);
absl::StatusOr<uint64_t> CountTargets(sql::Transaction& tx, Range range);

struct Freshness {
  uint64_t site_id = 0;
  uint32_t bucket = 0;
  int64_t last_checked_at_ms = 0, next_check_at_ms = 0;
};
absl::Status SaveFreshness(sql::Transaction& tx, const std::vector<Freshness>& rows);

// A site's row of check configuration as it stands there, right or wrong; what has no value is the
// default.
struct CheckConfig {
  static constexpr size_t kMaxHeadersChars = 40'000;

  uint64_t site_id = 0;
  std::optional<std::string> method;   // HEAD, GET
  std::optional<std::string> profile;  // legacy, simple_http, full
  std::optional<std::string> keyword, forbidden_keyword;
  std::optional<std::string> headers;  // a JSON object; cut behind kMaxHeadersChars + 1 characters
  std::optional<int64_t> timeout_ms;
  std::optional<std::string> redirect_policy;  // follow, alert, fail
};
// Those of a bucket's targets that have one, by site id.
absl::StatusOr<std::vector<CheckConfig>> ConfigsOfBucket(sql::Transaction& tx, uint32_t bucket);

}  // namespace jetmon::store

#endif  // JETMON_STORE_SITES_H_
