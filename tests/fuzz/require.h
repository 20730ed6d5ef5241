#ifndef JETMON_TESTS_FUZZ_REQUIRE_H_
#define JETMON_TESTS_FUZZ_REQUIRE_H_

#include <cstdio>
#include <cstdlib>

// What must hold for every input; ends the process else, which the fuzzer and the replay report
// with the input.
#define REQUIRE(condition)                                                                \
  do {                                                                                    \
    if (!(condition)) {                                                                   \
      std::fprintf(stderr, "%s:%d: does not hold: %s\n", __FILE__, __LINE__, #condition); \
      std::abort();                                                                       \
    }                                                                                     \
  } while (false)

#endif  // JETMON_TESTS_FUZZ_REQUIRE_H_
