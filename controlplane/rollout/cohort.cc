#include "controlplane/rollout/cohort.h"

#include <algorithm>

namespace jetmon::rollout {
namespace {

constexpr int kBits = 64;
constexpr int kBitsAPass = 16;
constexpr uint64_t kSlots = uint64_t{1} << kBitsAPass;

}  // namespace

absl::Status RangeReader::Begin() {
  return db_.Read([&](sql::Transaction& tx) -> absl::Status {
    auto ids = store::GetSiteIds(tx);
    if (!ids.ok()) return ids.status();
    auto active = store::CountActiveSites(tx, range_);
    if (!active.ok()) return active.status();
    ids_ = *ids;
    first_ = SliceCursor::First(range_, *active, ids_);
    return absl::OkStatus();
  });
}

// Each pass finds the next 16 bits of the last site's rank, by counting the sites that have the
// bits found before.
absl::StatusOr<Cohort> FindCohort(RangeReader& reader, const SiteOrder& order, StageSize size) {
  Cohort cohort;
  uint64_t found = 0;  // the first `bits` bits
  uint64_t nth = 0;    // which one it is of those that begin so, from 1
  std::vector<uint64_t> counts(kSlots);
  for (int bits = 0; bits < kBits; bits += kBitsAPass) {
    std::fill(counts.begin(), counts.end(), 0);
    const auto s = reader.Each(store::SiteIdsIn, [&](const std::vector<uint64_t>& ids) {
      for (uint64_t id : ids) {
        const uint64_t r = order.RankOf(id);
        if (bits > 0 && r >> (kBits - bits) != found) continue;
        ++counts[r << bits >> (kBits - kBitsAPass)];
      }
    });
    if (!s.ok()) return s;
    if (bits == 0) {
      for (uint64_t n : counts) cohort.eligible += n;
      cohort.size = nth = size.Of(cohort.eligible);
      if (cohort.size == 0) return cohort;
    }
    uint64_t slot = 0;
    // The last one, if sites went meanwhile.
    while (slot + 1 < kSlots && counts[slot] < nth) nth -= counts[slot++];
    found = found << kBitsAPass | slot;
    const int rest = kBits - bits - kBitsAPass;
    cohort.last = rest == 0 ? found : (found + 1) * (uint64_t{1} << rest) - 1;
    if (counts[slot] <= nth) break;  // all of those that begin so
  }
  return cohort;
}

Stand StandOf(const store::PolicySite& site, const std::string& method,
              const std::string& profile) {
  const std::string has_method = site.method.value_or("HEAD");
  const std::string has_profile = site.profile.value_or("legacy");
  const bool has_it = has_method == method && has_profile == profile;
  if (site.staged_by == 0) return has_it ? Stand::kAlready : Stand::kChange;
  const bool stands = site.has_row && site.revision == site.staged_revision &&
                      has_method == site.staged_method && has_profile == site.staged_profile;
  if (!stands) return Stand::kConflict;
  return has_it ? Stand::kStaged : Stand::kChange;
}

void Stands::Add(Stand stand, uint64_t site_id) {
  switch (stand) {
    case Stand::kChange:
      ++change;
      break;
    case Stand::kStaged:
      ++staged;
      break;
    case Stand::kAlready:
      ++already;
      break;
    case Stand::kConflict:
      ++conflicts;
      if (examples.size() < kMostExamples) examples.push_back(site_id);
      break;
  }
}

}  // namespace jetmon::rollout
