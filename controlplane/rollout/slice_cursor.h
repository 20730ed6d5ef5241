#ifndef JETMON_CONTROLPLANE_ROLLOUT_SLICE_CURSOR_H_
#define JETMON_CONTROLPLANE_ROLLOUT_SLICE_CURSOR_H_

#include <string>

#include "absl/status/statusor.h"
#include "store/slices.h"

// Going over the active sites of a range in slices, each as much as one transaction bears.
namespace jetmon::rollout {

// Where a pass is. By bucket: the next bucket and the last site of it that is done, "12:345". By
// site: the last site that is done, "site:345".
struct SliceCursor {
  bool by_site = false;
  uint32_t bucket = 0;
  uint64_t after = 0;

  // The beginning of a range that has so many active sites.
  static SliceCursor First(store::Range range, uint64_t active, const store::SiteIds& ids);
  // Internal for what ToString did not print.
  static absl::StatusOr<SliceCursor> Read(const std::string& text);
  std::string ToString() const;
  bool AtEnd(store::Range range) const;
  // The buckets that its next slice may touch.
  store::Range Buckets(store::Range range) const;
  // The next slice, of about `rows` sites at most.
  absl::StatusOr<store::Slice> Next(sql::Transaction& tx, store::Range range,
                                    const store::SiteIds& ids, uint64_t rows) const;
  SliceCursor Behind(const store::Slice& slice) const;
};

}  // namespace jetmon::rollout

#endif  // JETMON_CONTROLPLANE_ROLLOUT_SLICE_CURSOR_H_
