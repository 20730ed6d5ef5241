#ifndef JETMON_TESTS_BENCH_BENCH_IO_H_
#define JETMON_TESTS_BENCH_BENCH_IO_H_

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <fstream>
#include <iostream>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

// Times and sizes of a bench's part, and how it says them: one line of "name value" each.
namespace jetmon::bench {

inline void Check(const absl::Status& s) {
  if (s.ok()) return;
  std::cerr << s << "\n";
  exit(1);
}
template <typename T>
T Get(absl::StatusOr<T> value) {
  Check(value.status());
  return *std::move(value);
}

class Stopwatch {
 public:
  double seconds() const {
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - began_).count();
  }

 private:
  const std::chrono::steady_clock::time_point began_ = std::chrono::steady_clock::now();
};

// The most memory that this process has had.
inline int64_t PeakRssBytes() {
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);) {
    if (line.compare(0, 6, "VmHWM:") == 0) return 1024 * std::stoll(line.substr(6));
  }
  return 0;
}

template <typename T>
void Say(const std::string& name, T value) {
  std::cout << name << " " << value << std::endl;
}

// p50 and p99 in microseconds.
inline void SayLatency(const std::string& name, std::vector<double> seconds) {
  std::sort(seconds.begin(), seconds.end());
  Say(name + "_p50_us", 1e6 * seconds[seconds.size() / 2]);
  Say(name + "_p99_us", 1e6 * seconds[seconds.size() * 99 / 100]);
  Say(name + "_max_us", 1e6 * seconds.back());
}

}  // namespace jetmon::bench

#endif  // JETMON_TESTS_BENCH_BENCH_IO_H_
