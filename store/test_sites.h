#ifndef JETMON_STORE_TEST_SITES_H_
#define JETMON_STORE_TEST_SITES_H_

#include <cstdint>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "store/sites.h"
#include "store/sql/database.h"

// What a test needs of v1's table and of the targets, and no program does: v1 writes its own table,
// and a Monitor reads the sites.
namespace jetmon::store {

// Inserts rows of v1's table (site_id 0 = assigned by the database).
absl::Status InsertSites(sql::Transaction& tx, const std::vector<Site>& sites);
// The check targets of a bucket by site id.
absl::StatusOr<std::vector<Target>> TargetsOfBucket(sql::Transaction& tx, uint32_t bucket);

}  // namespace jetmon::store

#endif  // JETMON_STORE_TEST_SITES_H_
