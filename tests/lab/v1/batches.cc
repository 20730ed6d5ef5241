#include "tests/lab/v1/batches.h"

#include <algorithm>

namespace jetmon::lab {

V1Batches::Batch V1Batches::Next() {
  Batch batch;
  if (to_ > std::max<int64_t>(from_, 0)) {
    batch.buckets = BucketRange{static_cast<uint32_t>(std::max<int64_t>(from_, 0)),
                                static_cast<uint32_t>(to_ - 1)};
  }
  from_ += size_;
  if (from_ >= range_.max) from_ = range_.min;
  to_ = from_ + size_;
  if (to_ > range_.max) to_ = static_cast<int64_t>(range_.max) + 1;
  batch.ends_round = from_ == range_.min;
  return batch;
}

void V1Batches::Failed() {
  from_ -= size_;
  to_ -= size_;
}

}  // namespace jetmon::lab
