#ifndef JETMON_CONTROLPLANE_ROLLOUT_COMPARE_PROGRESS_H_
#define JETMON_CONTROLPLANE_ROLLOUT_COMPARE_PROGRESS_H_

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "absl/status/statusor.h"

namespace jetmon::rollout {

// How far a comparison is, bucket by bucket: sites end in any order, so some buckets are under way
// at a time. The job's cursor is the first that is; what is counted of those before it goes with
// the cursor, what is counted of others is counted again by a worker that takes the job over.
class CompareProgress {
 public:
  // From the range's first bucket.
  explicit CompareProgress(uint32_t first_bucket) : cursor_(first_bucket) {}
  // As Cursor and Save left it; Internal if that can't be read.
  static absl::StatusOr<CompareProgress> Load(const std::string& cursor, const std::string& saved);

  // How many sites the sample takes of each bucket: has to stay as it was at first.
  std::vector<uint64_t> by_bucket;
  // Sites with a row, whatever their bucket.
  uint64_t stored = 0;

  enum class End { kStored, kSkipped, kLost };
  // A site was given out to be probed.
  void Begun(uint32_t bucket) { ++buckets_[bucket].begun; }
  // It has ended; for kStored, its row is in the same write as what Save gives from now on.
  void Ended(uint32_t bucket, End end);
  // All sites of the buckets before `bucket` were given out.
  void GivenOut(uint32_t bucket);

  uint64_t skipped() const { return Sum(&Counts::skipped); }
  uint64_t lost() const { return Sum(&Counts::lost); }
  uint64_t done() const { return stored + skipped() + lost(); }
  uint32_t cursor() const { return cursor_; }
  std::string Save() const;

 private:
  struct Counts {
    uint64_t begun = 0, ended = 0, skipped = 0, lost = 0;
  };
  uint64_t Sum(uint64_t Counts::*field) const;

  uint32_t cursor_;
  Counts closed_;                       // of the buckets before cursor_
  std::map<uint32_t, Counts> buckets_;  // from cursor_ on
};

}  // namespace jetmon::rollout

#endif  // JETMON_CONTROLPLANE_ROLLOUT_COMPARE_PROGRESS_H_
