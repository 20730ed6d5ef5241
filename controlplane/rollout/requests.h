#ifndef JETMON_CONTROLPLANE_ROLLOUT_REQUESTS_H_
#define JETMON_CONTROLPLANE_ROLLOUT_REQUESTS_H_

#include <chrono>
#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "controlplane/error/error.h"
#include "controlplane/rollout/options.h"
#include "jetmon/v1/rollout.pb.h"
#include "store/jobs.h"
#include "store/sessions.h"

// What is looked at in every request, in the order form, run.
namespace jetmon::rollout {

// invalid_bucket_range when absent, reversed or past the total.
absl::StatusOr<store::Range> CheckRange(bool has_min, uint32_t min, bool has_max, uint32_t max,
                                        uint32_t bucket_total);
template <typename Request>
absl::StatusOr<store::Range> RangeOf(const Request& r, uint32_t bucket_total) {
  return CheckRange(r.has_bucket_min(), r.bucket_min(), r.has_bucket_max(), r.bucket_max(),
                    bucket_total);
}

// Empty, or 1 to 128 of [A-Za-z0-9._-]; else invalid_field.
absl::Status CheckHost(const std::string& host);
// A reason of 1 to 255 characters, not of spaces alone; else invalid_field.
absl::Status CheckReason(const v1::Override& o);
// "" = 10 s; 0s to 60s, else invalid_field.
absl::StatusOr<std::chrono::milliseconds> WaitOf(const std::string& wait);
// "" = 100; 1 to 10,000,000, else invalid_size.
absl::StatusOr<uint64_t> SampleSizeOf(const std::string& size);
// Of a policy stage: how many of the eligible sites it means in all.
struct StageSize {
  uint64_t n = 0;
  bool percent = false;
  // A percentage is rounded up; a count takes no more than there are.
  uint64_t Of(uint64_t eligible) const;
};
// A count of 1 to 10,000,000, or "1%" to "100%". size_required when empty, else invalid_size.
absl::StatusOr<StageSize> StageSizeOf(const std::string& size);
// "" = 15m; a duration, or an RFC 3339 time in the past. Unix ms. invalid_since.
absl::StatusOr<int64_t> SinceOf(const std::string& since, int64_t now_ms);

// The session of a run. run_not_found; run_closed unless `closed_too`; run_range_mismatch when the
// range is not within it.
absl::StatusOr<store::Session> CheckRun(sql::Transaction& tx, const std::string& run_id,
                                        std::optional<store::Range> range, bool closed_too);

// The job of that id; job_not_found.
absl::StatusOr<store::Job> CheckJob(sql::Transaction& tx, const std::string& job_id);

}  // namespace jetmon::rollout

#endif  // JETMON_CONTROLPLANE_ROLLOUT_REQUESTS_H_
