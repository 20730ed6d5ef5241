#ifndef JETMON_STORE_TWINS_H_
#define JETMON_STORE_TWINS_H_

#include "absl/status/statusor.h"
#include "store/events.h"

// Several rows of the legacy table may have the same blog and URL: to people they are one site. For
// tells.cc only.
namespace jetmon::store {

// Whether what a tell of this incident says was told for another row of the same (blog, URL): a
// down if one of those is down and told, or is just being told so; an up if one of them is still
// down and told (the last one's end is told), or if an end was told since this incident was.
absl::StatusOr<bool> ToldByTwin(sql::Transaction& tx, const Site& site, const Event& e, bool up);

}  // namespace jetmon::store

#endif  // JETMON_STORE_TWINS_H_
