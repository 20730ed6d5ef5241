#ifndef JETMON_TESTS_BENCH_LEGACY_ROWS_H_
#define JETMON_TESTS_BENCH_LEGACY_ROWS_H_

#include <cstdint>

#include "store/sites.h"

// Rows as production has them: of 3,557,537 rows 594,377 are active; 58 % http, 42 % https; a few
// blogs with several URLs; and among the active ones those that no Monitor can check: 366 without a
// scheme or otherwise malformed, 30 private or loopback addresses, 6 `localhost`, 12 `.local`
// names, one with userinfo, hosts that are numbers.
namespace jetmon::bench {

struct Shape {
  uint32_t buckets = 512;
  bool all_active = false;  // else one in six, as production has it
};

// Row `index` (1, 2, 3 ...), always the same.
store::Site LegacyRow(uint64_t index, const Shape& shape);

}  // namespace jetmon::bench

#endif  // JETMON_TESTS_BENCH_LEGACY_ROWS_H_
