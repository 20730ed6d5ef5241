#include "store/activity.h"

namespace jetmon::store {

absl::Status SaveActivity(sql::Transaction& tx, const std::vector<BucketActivity>& rows) {
  const std::string insert =
      "INSERT INTO jetmon_bucket_activity (bucket_no, epoch, sites, checked, late, not_available, "
      "oldest_check_ms, first_check_ms, updated_at_ms) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)" +
      tx.dialect().OnDuplicateUpdate(
          {"bucket_no"}, {"epoch", "sites", "checked", "late", "not_available", "oldest_check_ms",
                          "first_check_ms", "updated_at_ms"});
  for (const BucketActivity& a : rows) {
    auto saved = tx.Execute(insert, {a.bucket, a.epoch, a.sites, a.checked, a.late, a.not_available,
                                     a.oldest_check_ms, a.first_check_ms, a.updated_at_ms});
    if (!saved.ok()) return saved.status();
  }
  return absl::OkStatus();
}

absl::StatusOr<std::vector<BucketActivity>> ListActivity(sql::Transaction& tx, Range range) {
  std::vector<BucketActivity> rows;
  auto s = tx.Query(
      "SELECT bucket_no, epoch, sites, checked, late, not_available, oldest_check_ms, "
      "first_check_ms, updated_at_ms FROM jetmon_bucket_activity WHERE bucket_no BETWEEN ? AND ? "
      "ORDER BY bucket_no",
      {range.min, range.max}, [&](const sql::Row& row) {
        BucketActivity a;
        a.bucket = static_cast<uint32_t>(row.Int(0));
        a.epoch = row.Uint(1);
        a.sites = row.Uint(2);
        a.checked = row.Uint(3);
        a.late = row.Uint(4);
        a.not_available = row.Uint(5);
        a.oldest_check_ms = row.Int(6);
        a.first_check_ms = row.Int(7);
        a.updated_at_ms = row.Int(8);
        rows.push_back(a);
        return absl::OkStatus();
      });
  if (!s.ok()) return s;
  return rows;
}

}  // namespace jetmon::store
