#ifndef JETMON_CONTROLPLANE_ROLLOUT_SAMPLER_H_
#define JETMON_CONTROLPLANE_ROLLOUT_SAMPLER_H_

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "controlplane/rollout/site_order.h"
#include "store/sites.h"
#include "store/sql/database.h"

namespace jetmon::rollout {

// How many of each bucket's sites a sample takes: in proportion, `size` in all (all of them when
// there are fewer).
std::vector<uint64_t> Stratify(const std::vector<uint64_t>& sites_by_bucket, uint64_t size);

// The active sites of a range that a sample takes, bucket after bucket, some at a time: what is
// held is 32 bytes for each site that is taken of one bucket, and a page. Reads each bucket's
// places in its index once, and the rows of those taken. Not thread-safe.
class Sampler {
 public:
  // `alive` is called between reads; its error ends the call that was made.
  Sampler(sql::Database& db, const std::string& run_id, store::Range range,
          std::function<absl::Status()> alive);

  // Counts the sites of each bucket. To be called once, first.
  absl::Status Count();
  uint64_t active() const;
  // How many are taken of each bucket: `size` in all, in proportion to what was counted.
  void TakeInProportion(uint64_t size) { take_ = Stratify(counts_, size); }
  // As many as a sampler before took, from this bucket on; false: that is none of this range.
  bool GoOn(std::vector<uint64_t> by_bucket, uint32_t bucket);
  const std::vector<uint64_t>& by_bucket() const { return take_; }
  uint64_t size() const;

  struct Sampled {
    store::Site site;
    uint64_t ordinal = 0;  // its place in the whole sample, from 0
  };
  // The next sites, all of one bucket(); none: there are no more. A site that ceased to be active
  // since it was counted is left out.
  absl::StatusOr<std::vector<Sampled>> Next();
  // Of what Next gave last; those before it are given out whole. Past the range at the end.
  uint32_t bucket() const { return bucket_; }

 private:
  absl::Status EnterBucket();
  absl::StatusOr<std::vector<store::Site>> NextOfBucket();

  sql::Database& db_;
  const SiteOrder order_;
  const store::Range range_;
  const std::function<absl::Status()> alive_;
  std::vector<uint64_t> counts_, take_;
  uint32_t bucket_;
  bool entered_ = false;
  // Of the bucket: all of it is taken, page by page behind after_; or these are, from at_ on.
  bool whole_ = false;
  store::SiteCursor after_;
  std::vector<store::SiteCursor> picked_;
  size_t at_ = 0;
  uint64_t ordinal_ = 0;
};

}  // namespace jetmon::rollout

#endif  // JETMON_CONTROLPLANE_ROLLOUT_SAMPLER_H_
