// Runs a fuzz target's inputs, the files named, without a fuzzer: what was once found stays found.
#include <cstdint>
#include <cstdio>
#include <fstream>
#include <iterator>
#include <string>

#include "tests/fuzz/require.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size);

int main(int argc, char** argv) {
  REQUIRE(argc > 1);
  for (int i = 1; i < argc; ++i) {
    std::ifstream file(argv[i], std::ios::binary);
    REQUIRE(file.good());
    const std::string input((std::istreambuf_iterator<char>(file)), {});
    std::fprintf(stderr, "%s\n", argv[i]);  // the last one named is the one that failed
    LLVMFuzzerTestOneInput(reinterpret_cast<const uint8_t*>(input.data()), input.size());
  }
  std::printf("%d inputs\n", argc - 1);
}
