#include "controlplane/rollout/slice_cursor.h"

#include <algorithm>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"

namespace jetmon::rollout {
namespace {

constexpr char kBySite[] = "site";

}  // namespace

SliceCursor SliceCursor::First(store::Range range, uint64_t active, const store::SiteIds& ids) {
  const bool by_site = store::IsReadBySite(active, ids);
  return {by_site, by_site ? 0 : range.min, 0};
}

absl::StatusOr<SliceCursor> SliceCursor::Read(const std::string& text) {
  SliceCursor c;
  const std::vector<std::string> parts = absl::StrSplit(text, ':');
  c.by_site = parts[0] == kBySite;
  if (parts.size() == 2 && absl::SimpleAtoi(parts[1], &c.after) &&
      (c.by_site || absl::SimpleAtoi(parts[0], &c.bucket))) {
    return c;
  }
  return absl::InternalError("the job's cursor can't be read");
}

std::string SliceCursor::ToString() const {
  return by_site ? absl::StrCat(kBySite, ":", after) : absl::StrCat(bucket, ":", after);
}

bool SliceCursor::AtEnd(store::Range range) const {
  return by_site ? after >= store::kLastSite : bucket > range.max;
}

store::Range SliceCursor::Buckets(store::Range range) const {
  return by_site ? range : store::Range{bucket, bucket};
}

absl::StatusOr<store::Slice> SliceCursor::Next(sql::Transaction& tx, store::Range range,
                                               const store::SiteIds& ids, uint64_t rows) const {
  store::Slice slice;
  slice.buckets = Buckets(range);
  slice.after = after;
  slice.by_site = by_site;
  if (!by_site) {
    auto upto = store::SliceEnd(tx, slice, rows);
    if (!upto.ok()) return upto.status();
    slice.upto = *upto;
  } else if (const uint64_t end = std::max(after, ids.first) + rows; end < ids.last) {
    slice.upto = end;
  }
  return slice;
}

SliceCursor SliceCursor::Behind(const store::Slice& slice) const {
  const bool bucket_done = !by_site && slice.upto == store::kLastSite;
  return bucket_done ? SliceCursor{false, bucket + 1, 0} : SliceCursor{by_site, bucket, slice.upto};
}

}  // namespace jetmon::rollout
