#include "controlplane/rollout/quantiles.h"

#include <algorithm>
#include <bit>
#include <cmath>

namespace jetmon::rollout {
namespace {

// A value's highest 7 bits tell its cell: 64 cells each time it doubles.
constexpr int kBits = 7;
constexpr uint64_t kExact = 1 << kBits;
constexpr size_t kCells = kExact + (64 - kBits) * (kExact / 2);

size_t CellOf(uint64_t value) {
  if (value < kExact) return value;
  const int shift = std::bit_width(value) - kBits;  // >= 1
  return kExact + (shift - 1) * (kExact / 2) + ((value >> shift) - kExact / 2);
}

// The middle of a cell.
double ValueOf(size_t cell) {
  if (cell < kExact) return static_cast<double>(cell);
  const size_t above = cell - kExact;
  const int shift = static_cast<int>(above / (kExact / 2)) + 1;
  const auto first = static_cast<double>(above % (kExact / 2) + kExact / 2);
  return std::ldexp(first + 0.5, shift);
}

}  // namespace

Quantiles::Quantiles() : counts_(kCells) {}

void Quantiles::Add(uint64_t value) {
  ++counts_[CellOf(value)];
  ++count_;
}

double Quantiles::At(double share) const {
  if (count_ == 0) return 0;
  const auto wanted = static_cast<uint64_t>(std::ceil(share * static_cast<double>(count_)));
  uint64_t seen = 0;
  for (size_t cell = 0; cell < counts_.size(); ++cell) {
    seen += counts_[cell];
    if (seen >= std::max<uint64_t>(wanted, 1)) return ValueOf(cell);
  }
  return ValueOf(counts_.size() - 1);
}

}  // namespace jetmon::rollout
