#include "store/test_sites.h"

#include <utility>

#include "store/rows.h"

namespace jetmon::store {

absl::Status InsertSites(sql::Transaction& tx, const std::vector<Site>& sites) {
  std::vector<std::vector<sql::Value>> rows;
  for (const Site& s : sites) {
    rows.push_back({s.site_id == 0 ? sql::Value() : sql::Value(s.site_id), s.blog_id, s.bucket,
                    s.url, s.active, s.site_status,
                    s.last_status_change.empty() ? sql::Value() : sql::Value(s.last_status_change),
                    s.check_interval});
  }
  return InsertRows(tx,
                    "INSERT INTO jetpack_monitor_sites (jetpack_monitor_site_id, blog_id, "
                    "bucket_no, monitor_url, monitor_active, site_status, last_status_change, "
                    "check_interval) VALUES ",
                    "", 8, rows);
}

absl::StatusOr<std::vector<Target>> TargetsOfBucket(sql::Transaction& tx, uint32_t bucket) {
  std::vector<Target> targets;
  auto s = tx.Query(
      "SELECT site_id, blog_id, bucket_no, url, interval_minutes, phase, config_hash FROM "
      "jetmon_check_targets WHERE bucket_no = ? ORDER BY site_id",
      {bucket}, [&](const sql::Row& row) {
        Target t;
        t.site_id = row.Uint(0);
        t.blog_id = row.Uint(1);
        t.bucket = static_cast<uint32_t>(row.Int(2));
        t.url = row.Text(3);
        t.interval = static_cast<int>(row.Int(4));
        t.phase = row.Uint(5);
        t.config_hash = row.Text(6);
        targets.push_back(std::move(t));
        return absl::OkStatus();
      });
  if (!s.ok()) return s;
  return targets;
}

}  // namespace jetmon::store
