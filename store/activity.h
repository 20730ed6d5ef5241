#ifndef JETMON_STORE_ACTIVITY_H_
#define JETMON_STORE_ACTIVITY_H_

#include <cstdint>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "store/range.h"
#include "store/sql/database.h"

// One summary a bucket, written by its owner every 5 s under its epoch (after FenceBucket).
namespace jetmon::store {

inline constexpr size_t kMostLateSites = 20;  // a bucket

// A site that was not checked in time.
struct LateSite {
  uint64_t site_id = 0;
  int64_t last_check_ms = 0;  // Unix ms by the owner's clock; 0 = none since the acknowledgement
};

struct BucketActivity {
  uint32_t bucket = 0;
  uint64_t epoch = 0;
  uint64_t sites = 0;           // active sites
  uint64_t checked = 0;         // of those, checked at least once since the acknowledgement
  uint64_t late = 0;            // of those, past interval + max(10 %, 1 unit of time allowed)
  int64_t oldest_check_ms = 0;  // Unix ms of the site checked longest ago; 0 = some never
  int64_t first_check_ms = 0;   // Unix ms of the first check since the acknowledgement; 0 = none
  int64_t updated_at_ms = 0;
  // Those of the late sites that are late for longest, that one first; more than kMostLateSites are
  // not kept.
  std::vector<LateSite> late_sites;
};

absl::Status SaveActivity(sql::Transaction& tx, const std::vector<BucketActivity>& rows);
// By bucket; buckets never written are absent.
absl::StatusOr<std::vector<BucketActivity>> ListActivity(sql::Transaction& tx, Range range);

}  // namespace jetmon::store

#endif  // JETMON_STORE_ACTIVITY_H_
