#ifndef JETMON_STORE_TEST_ADOPTION_H_
#define JETMON_STORE_TEST_ADOPTION_H_

#include "absl/status/statusor.h"
#include "store/events.h"
#include "store/sites.h"
#include "store/sql/database.h"

namespace jetmon::store {

// What the adoption of one site did.
enum class Adoption { kNothing, kOpened, kPromoted, kClosed, kReopened, kGone };

// AdoptSlice of the one site, found by its bucket or by its id. Fails the test if the counts tell
// of more than one thing done.
absl::StatusOr<Adoption> AdoptOne(sql::Transaction& tx, const Site& site, const Actor& actor,
                                  bool by_site = false);

}  // namespace jetmon::store

#endif  // JETMON_STORE_TEST_ADOPTION_H_
