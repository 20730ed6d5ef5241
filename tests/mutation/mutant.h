// What every mutated file begins with in the mutated copy of the tree (tests/mutation/weave.py);
// never included by anything in this one. JETMON_MUTANT(name) is true in a process whose
// environment has JETMON_MUTATION=name. Thread-safe: each use asks the environment once.
#ifndef JETMON_MUTANT
#include <cstdlib>
#include <cstring>
#define JETMON_MUTANT(name)                                            \
  ([] {                                                                \
    static const char* const chosen = std::getenv("JETMON_MUTATION");  \
    static const bool on = chosen && std::strcmp(chosen, (name)) == 0; \
    return on;                                                         \
  }())
#endif
