#ifndef JETMON_STORE_RANGE_H_
#define JETMON_STORE_RANGE_H_

#include <cstdint>
#include <string>

namespace jetmon::store {

// Contiguous inclusive range of buckets; min <= max.
struct Range {
  uint32_t min = 0;
  uint32_t max = 0;
  uint32_t size() const { return max - min + 1; }
  bool Contains(uint32_t bucket) const { return bucket >= min && bucket <= max; }
  bool Covers(const Range& r) const { return r.min >= min && r.max <= max; }
  bool Overlaps(const Range& r) const { return r.min <= max && r.max >= min; }
  // What is left without `end`, which is some of it from either end, not all.
  Range Without(const Range& end) const {
    return end.min == min ? Range{end.max + 1, max} : Range{min, end.min - 1};
  }
  std::string ToString() const { return std::to_string(min) + "-" + std::to_string(max); }
  friend bool operator==(const Range&, const Range&) = default;
};

}  // namespace jetmon::store

#endif  // JETMON_STORE_RANGE_H_
