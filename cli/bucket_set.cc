#include "cli/bucket_set.h"

#include <algorithm>

#include "absl/strings/str_cat.h"

namespace jetmon::cli {

void BucketSet::Add(store::Range range) {
  // Those that it overlaps or touches become one with it; no bucket is the highest number there is.
  const auto begin = std::find_if(ranges_.begin(), ranges_.end(),
                                  [&](const store::Range& r) { return r.max + 1 >= range.min; });
  const auto end = std::find_if(begin, ranges_.end(),
                                [&](const store::Range& r) { return r.min > range.max + 1; });
  if (begin != end) {
    range.min = std::min(range.min, begin->min);
    range.max = std::max(range.max, (end - 1)->max);
  }
  ranges_.insert(ranges_.erase(begin, end), range);
}

void BucketSet::Add(const BucketSet& other) {
  for (const store::Range& r : other.ranges_) Add(r);
}

BucketSet BucketSet::And(const BucketSet& other) const {
  BucketSet both;
  for (const store::Range& a : ranges_) {
    for (const store::Range& b : other.ranges_) {
      if (a.Overlaps(b)) both.Add(store::Range{std::max(a.min, b.min), std::min(a.max, b.max)});
    }
  }
  return both;
}

BucketSet BucketSet::Without(const BucketSet& other) const {
  BucketSet left;
  for (store::Range rest : ranges_) {
    bool gone = false;
    for (const store::Range& r : other.ranges_) {
      if (gone || !r.Overlaps(rest)) continue;
      if (r.min > rest.min) left.Add(store::Range{rest.min, r.min - 1});
      gone = r.max >= rest.max;
      rest.min = r.max + 1;
    }
    if (!gone) left.Add(rest);
  }
  return left;
}

uint64_t BucketSet::size() const {
  uint64_t size = 0;
  for (const store::Range& r : ranges_) size += r.size();
  return size;
}

std::string BucketSet::ToString() const {
  std::string text;
  for (const store::Range& r : ranges_) {
    absl::StrAppend(&text, text.empty() ? "" : ", ",
                    r.min == r.max ? absl::StrCat(r.min) : r.ToString());
  }
  return text.empty() ? "none" : text;
}

}  // namespace jetmon::cli
