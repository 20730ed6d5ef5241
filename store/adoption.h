#ifndef JETMON_STORE_ADOPTION_H_
#define JETMON_STORE_ADOPTION_H_

#include "absl/status/statusor.h"
#include "store/events.h"

// Taking the word of the legacy columns over for one site; for adoption.cc and tells.cc only. The
// rules stand above AdoptSlice in events.h.
namespace jetmon::store {

// What became of the open event of a site.
enum class Adopted { kNothing, kPromoted, kClosed, kReopened };
absl::StatusOr<Adopted> AdoptOpen(sql::Transaction& tx, const Site& site, const Event& open,
                                  const Actor& actor);
// Opens an event for a site that has none, whose columns say that it is not up.
absl::Status OpenAdopted(sql::Transaction& tx, const Site& site, const Actor& actor);

}  // namespace jetmon::store

#endif  // JETMON_STORE_ADOPTION_H_
