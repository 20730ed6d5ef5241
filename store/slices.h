#ifndef JETMON_STORE_SLICES_H_
#define JETMON_STORE_SLICES_H_

#include <cstdint>
#include <map>
#include <vector>

#include "absl/status/statusor.h"
#include "store/range.h"
#include "store/sites.h"
#include "store/sql/database.h"

// What seed and reconcile do to many sites at once, in the database itself: no row of a site that
// is as it was comes to us.
namespace jetmon::store {

inline constexpr uint64_t kLastSite = INT64_MAX;

// The active sites of a range with an id in (after, upto], that one transaction goes over. How they
// are found: by bucket (the range is one bucket then), through the index of the buckets; or by
// site, through the primary key, which reads the others of those ids too, but in the order in which
// they are stored.
struct Slice {
  Range buckets;
  uint64_t after = 0, upto = kLastSite;
  bool by_site = false;
};

struct SiteIds {
  uint64_t first = 0, last = 0;
};
absl::StatusOr<SiteIds> GetSiteIds(sql::Transaction& tx);
// Whether a range with that many active sites is read faster by site than by bucket: it has a good
// part of the table. A site found through its bucket costs about eight that are read in order.
bool IsReadBySite(uint64_t active, const SiteIds& ids);
// The id at which a slice that is read by bucket, and begins as `from`, has `rows` sites;
// kLastSite if it has no more than that.
absl::StatusOr<uint64_t> SliceEnd(sql::Transaction& tx, const Slice& from, uint64_t rows);
// How many rows of a slice one transaction should look at, and so write, at most: a big one stalls
// a cluster; an embedded database writes each page of an index that it touched, so that few big
// ones cost less.
uint64_t MostRowsAtOnce(const sql::Dialect& dialect);

absl::StatusOr<SiteCounts> CountSlice(sql::Transaction& tx, const Slice& slice);
// Sites whose site_status is not 1.
absl::StatusOr<std::vector<Site>> SitesNotUp(sql::Transaction& tx, const Slice& slice);
struct SyncCounts {
  uint64_t active = 0;
  // Targets of the slice's buckets: new ones, rewritten ones, removed ones.
  uint64_t inserted = 0, changed = 0, removed = 0;
  // Rewritten, by the bucket that they had: targets that a site of the slice brought from another.
  std::map<uint32_t, uint64_t> moved;
};
// Writes the check targets that are missing, are of another bucket, or differ from their site;
// removes those whose site is not active in their bucket (any more).
absl::StatusOr<SyncCounts> SyncTargets(sql::Transaction& tx, const Slice& slice, int64_t now_ms);

// Pieces of statements, for aggregates that look at slices: the condition on sites `s`, and on rows
// with the columns `site_id` and `bucket_no` (`alias` "t." or the like), with their values.
struct SliceCondition {
  std::string sql;
  std::vector<sql::Value> values;
};
SliceCondition SitesIn(const Slice& slice);
SliceCondition RowsIn(const Slice& slice, std::string_view alias);

}  // namespace jetmon::store

#endif  // JETMON_STORE_SLICES_H_
