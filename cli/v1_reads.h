#ifndef JETMON_CLI_V1_READS_H_
#define JETMON_CLI_V1_READS_H_

#include <cstdint>

#include "cli/bucket_set.h"

namespace jetmon::cli {

// BUCKET_NO_MIN, BUCKET_NO_MAX and BATCH_SIZE of a v1 host's config; min <= max, batch >= 1.
struct V1Settings {
  uint32_t min = 0, max = 0, batch = 1;
  friend bool operator==(const V1Settings&, const V1Settings&) = default;
};

// What becomes of a batch that would reach beyond MAX.
enum class V1Code {
  kCutsAtMax,      // ends with MAX: v1 as it is now
  kRestartsAtMin,  // ends where the first batch does, so that it is empty: an older v1
};

// Which buckets a v1 host asks its database for, there or not.
struct V1Reads {
  BucketSet rounds;    // in every round after the first
  BucketSet at_start;  // in the first round after a start, and in no other
  BucketSet strays;    // below MIN, by the query after one that failed on a round's last batch
};

// By going through the rounds as v1 does, step by step.
V1Reads ReadsOfV1(const V1Settings& settings, V1Code code);

}  // namespace jetmon::cli

#endif  // JETMON_CLI_V1_READS_H_
