#ifndef JETMON_STORE_LEGACY_COLUMNS_H_
#define JETMON_STORE_LEGACY_COLUMNS_H_

#include <cstdint>
#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "store/sites.h"
#include "store/sql/database.h"

// The two legacy columns of one site; for the files of events, tells and adoption only.
namespace jetmon::store {

struct LegacyColumns {
  int status = kStatusUp;
  std::string changed;  // last_status_change, "" = NULL
  friend bool operator==(const LegacyColumns&, const LegacyColumns&) = default;
};
LegacyColumns ColumnsOf(const Site& site);

enum class ColumnWrite {
  kWritten,
  kSiteGone,          // the site is not active in that bucket any more; nothing was written
  kChangedMeanwhile,  // the columns do not say `seen` any more; nothing was written
};
// Writes the columns of a site, as long as its row is active in that bucket and, if `seen` is
// given, still says that.
absl::StatusOr<ColumnWrite> WriteColumns(sql::Transaction& tx, uint64_t site_id, uint32_t bucket,
                                         const LegacyColumns& now,
                                         const std::optional<LegacyColumns>& seen);
// The site, if it is active in that bucket.
absl::StatusOr<std::optional<Site>> ActiveSiteOf(sql::Transaction& tx, uint64_t site_id,
                                                 uint32_t bucket);

}  // namespace jetmon::store

#endif  // JETMON_STORE_LEGACY_COLUMNS_H_
