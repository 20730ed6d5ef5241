#ifndef JETMON_CONTROLPLANE_ROLLOUT_COHORT_H_
#define JETMON_CONTROLPLANE_ROLLOUT_COHORT_H_

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "controlplane/rollout/requests.h"
#include "controlplane/rollout/site_order.h"
#include "controlplane/rollout/slice_cursor.h"
#include "store/policy_stages.h"

// Which sites a policy stage means, and how they stand to it.
namespace jetmon::rollout {

// The first sites of a range in the order of a run, which is also that of its samples. A greater
// cohort of the same run contains a smaller one; so does the cohort of a wider range, as far as
// both have the same share of theirs.
struct Cohort {
  uint64_t eligible = 0;  // active sites of the range
  uint64_t size = 0;
  uint64_t last = 0;  // the rank of its last site; of no meaning if size is 0
  bool Has(const SiteOrder& order, uint64_t site_id) const {
    return size > 0 && order.RankOf(site_id) <= last;
  }
};

// Reads all active sites of a range, some at a time, each time in a read transaction of its own.
class RangeReader {
 public:
  // `between` is asked after each, and ends the reading with its error.
  RangeReader(sql::Database& db, store::Range range, std::function<absl::Status()> between)
      : db_(db), range_(range), between_(std::move(between)) {}

  // read(transaction, slice) -> StatusOr<rows>; take(rows).
  template <typename Read, typename Take>
  absl::Status Each(Read read, Take take) {
    if (auto s = Begin(); !s.ok()) return s;
    for (SliceCursor at = first_; !at.AtEnd(range_);) {
      SliceCursor behind;
      std::decay_t<decltype(*read(std::declval<sql::Transaction&>(), store::Slice()))> rows;
      auto s = db_.Read([&](sql::Transaction& tx) -> absl::Status {
        auto slice = at.Next(tx, range_, ids_, kRows);
        if (!slice.ok()) return slice.status();
        behind = at.Behind(*slice);
        auto got = read(tx, *slice);
        if (got.ok()) rows = *std::move(got);
        return got.status();
      });
      if (!s.ok()) return s;
      take(rows);
      if (s = between_(); !s.ok()) return s;
      at = behind;
    }
    return absl::OkStatus();
  }

 private:
  static constexpr uint64_t kRows = 20'000;
  absl::Status Begin();

  sql::Database& db_;
  const store::Range range_;
  const std::function<absl::Status()> between_;
  store::SiteIds ids_;
  SliceCursor first_;
};

// Goes over the sites twice or three times, and keeps 512 KiB meanwhile, however many there are.
absl::StatusOr<Cohort> FindCohort(RangeReader& reader, const SiteOrder& order, StageSize size);

enum class Stand {
  kChange,    // the stage is to change it
  kStaged,    // an earlier stage of the run gave it this policy
  kAlready,   // it has this policy without the run's doing
  kConflict,  // somebody else changed what the run's stage had written: left alone
};
Stand StandOf(const store::PolicySite& site, const std::string& method, const std::string& profile);

// How the sites of a cohort stand to a policy.
struct Stands {
  static constexpr size_t kMostExamples = 20;
  uint64_t change = 0, staged = 0, already = 0, conflicts = 0;
  std::vector<uint64_t> examples;  // of conflicts
  void Add(Stand stand, uint64_t site_id);
};

}  // namespace jetmon::rollout

#endif  // JETMON_CONTROLPLANE_ROLLOUT_COHORT_H_
