#include "store/legacy_columns.h"

#include <vector>

namespace jetmon::store {

LegacyColumns ColumnsOf(const Site& site) { return {site.site_status, site.last_status_change}; }

absl::StatusOr<ColumnWrite> WriteColumns(sql::Transaction& tx, uint64_t site_id, uint32_t bucket,
                                         const LegacyColumns& now,
                                         const std::optional<LegacyColumns>& seen) {
  std::string sql =
      "UPDATE jetpack_monitor_sites SET site_status = ?, last_status_change = ? WHERE "
      "jetpack_monitor_site_id = ? AND bucket_no = ? AND monitor_active = 1";
  std::vector<sql::Value> values = {
      now.status, now.changed.empty() ? sql::Value() : sql::Value(now.changed), site_id, bucket};
  if (seen.has_value()) {
    sql += " AND site_status = ? AND ";
    sql += seen->changed.empty() ? "last_status_change IS NULL" : "last_status_change = ?";
    values.emplace_back(seen->status);
    if (!seen->changed.empty()) values.emplace_back(seen->changed);
  }
  auto matched = tx.ExecuteOne(sql, values);
  if (!matched.ok()) return matched.status();
  if (*matched) return ColumnWrite::kWritten;
  if (!seen.has_value()) return ColumnWrite::kSiteGone;
  auto site = ActiveSiteOf(tx, site_id, bucket);
  if (!site.ok()) return site.status();
  return site->has_value() ? ColumnWrite::kChangedMeanwhile : ColumnWrite::kSiteGone;
}

absl::StatusOr<std::optional<Site>> ActiveSiteOf(sql::Transaction& tx, uint64_t site_id,
                                                 uint32_t bucket) {
  auto site = GetSite(tx, site_id);
  if (!site.ok()) return site.status();
  if (!site->has_value() || !(*site)->active || (*site)->bucket != bucket) return std::nullopt;
  return site;
}

}  // namespace jetmon::store
