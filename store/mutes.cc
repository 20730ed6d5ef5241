// Dialect v1: an owner that tells nothing more before its buckets leave it.
#include "absl/strings/str_cat.h"
#include "store/locks.h"

namespace jetmon::store {

absl::StatusOr<bool> MuteRange(sql::Transaction& tx, uint64_t epoch, Range range,
                               std::string_view job_id, int64_t now_ms) {
  if (job_id.empty()) return absl::InvalidArgumentError("a mute needs the job of its release");
  auto matched = tx.ExecuteOne(
      "UPDATE jetmon_rollout_range_locks SET muted_job_id = ?, muted_min = ?, muted_max = ?, "
      "muted_at_ms = ?, revision = revision + 1 WHERE epoch = ? AND state = 'active' AND "
      "part_job_id = '' AND muted_job_id = '' AND ((bucket_min = ? AND bucket_max >= ?) OR "
      "(bucket_max = ? AND bucket_min <= ?))",
      {job_id, range.min, range.max, now_ms, epoch, range.min, range.max, range.max, range.min});
  if (!matched.ok() || !*matched) return matched;
  // Whoever tells changes the bucket's row, too: one of the two waits, or fails and tries again.
  auto muted = tx.Execute(
      "UPDATE jetmon_rollout_bucket_locks SET muted = 1, touched = touched + 1 WHERE bucket_no "
      "BETWEEN ? AND ? AND epoch = ? AND muted = 0",
      {range.min, range.max, epoch});
  if (!muted.ok()) return muted.status();
  if (*muted != range.size()) {
    return absl::InternalError(
        absl::StrCat("epoch ", epoch, ": ", *muted, " of ", range.size(), " buckets were muted"));
  }
  return true;
}

absl::StatusOr<bool> FenceTell(sql::Transaction& tx, uint32_t bucket, uint64_t epoch,
                               std::string_view instance) {
  return tx.ExecuteOne(
      "UPDATE jetmon_rollout_bucket_locks SET touched = touched + 1 WHERE bucket_no = ? AND epoch "
      "= ? AND owner_instance = ? AND state = 'active' AND muted = 0",
      {bucket, epoch, instance});
}

}  // namespace jetmon::store
