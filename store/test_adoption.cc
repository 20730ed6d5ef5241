#include "store/test_adoption.h"

#include <gtest/gtest.h>

namespace jetmon::store {

absl::StatusOr<Adoption> AdoptOne(sql::Transaction& tx, const Site& site, const Actor& actor,
                                  bool by_site) {
  Slice slice;
  slice.buckets = {site.bucket, site.bucket};
  slice.after = site.site_id - 1;
  slice.upto = site.site_id;
  slice.by_site = by_site;
  const auto counts = AdoptSlice(tx, slice, actor);
  if (!counts.ok()) return counts.status();
  uint64_t left = 0;
  for (const auto& [bucket, ended] : counts->left) left += ended;
  // An event of a bucket that the site has left ends there, and one may be opened here.
  const bool moved = left == 1;
  EXPECT_LE(left, 1u);
  EXPECT_LE(counts->opened + counts->promoted + counts->closed + counts->reopened + counts->gone,
            1u);
  if (counts->reopened == 1 || (moved && counts->opened == 1)) return Adoption::kReopened;
  if (counts->closed == 1 || moved) return Adoption::kClosed;
  if (counts->opened == 1) return Adoption::kOpened;
  if (counts->promoted == 1) return Adoption::kPromoted;
  return counts->gone == 1 ? Adoption::kGone : Adoption::kNothing;
}

}  // namespace jetmon::store
