#ifndef JETMON_TESTS_LAB_V1_BATCHES_H_
#define JETMON_TESTS_LAB_V1_BATCHES_H_

#include <cstdint>
#include <optional>

#include "tests/lab/legacy_table.h"

namespace jetmon::lab {

// Which buckets a v1 host reads next. v1 is configured with a first and a last bucket (both meant
// to be inclusive) and BATCH_SIZE, and its arithmetic has ways of its own:
// - the last bucket is never read when last - first is a multiple of BATCH_SIZE;
// - the first batch ever is not cut off at the last bucket, so that a BATCH_SIZE larger than the
//   range reads buckets behind it, once;
// - a failed query sets the batch back by BATCH_SIZE, also when the round has wrapped around
//   meanwhile: then the buckets below the first one are read, alone, in the next round;
// - a changed range holds from the end of the next batch on.
class V1Batches {
 public:
  V1Batches(BucketRange range, uint32_t size)
      : range_(range), size_(size), from_(range.min), to_(from_ + size) {}

  struct Batch {
    std::optional<BucketRange> buckets;  // nullopt: the query names none that can exist
    bool ends_round = false;             // no other batch of this round comes after it
  };
  // The batch to be read now.
  Batch Next();
  // The query of the last batch failed.
  void Failed();
  // The configuration was read again.
  void Configure(BucketRange range) { range_ = range; }

 private:
  BucketRange range_;
  const int64_t size_;
  int64_t from_, to_;  // the next query: from_ <= bucket < to_
};

}  // namespace jetmon::lab

#endif  // JETMON_TESTS_LAB_V1_BATCHES_H_
