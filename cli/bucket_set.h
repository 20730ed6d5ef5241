#ifndef JETMON_CLI_BUCKET_SET_H_
#define JETMON_CLI_BUCKET_SET_H_

#include <cstdint>
#include <string>
#include <vector>

#include "store/range.h"

namespace jetmon::cli {

// A set of buckets, kept as sorted ranges that neither overlap nor touch.
class BucketSet {
 public:
  BucketSet() = default;
  explicit BucketSet(store::Range range) : ranges_{range} {}

  void Add(store::Range range);
  void Add(const BucketSet& other);
  BucketSet And(const BucketSet& other) const;
  BucketSet Without(const BucketSet& other) const;

  bool empty() const { return ranges_.empty(); }
  uint64_t size() const;
  const std::vector<store::Range>& ranges() const { return ranges_; }
  // "0-31, 40"; "none" if it is empty.
  std::string ToString() const;
  friend bool operator==(const BucketSet&, const BucketSet&) = default;

 private:
  std::vector<store::Range> ranges_;
};

}  // namespace jetmon::cli

#endif  // JETMON_CLI_BUCKET_SET_H_
