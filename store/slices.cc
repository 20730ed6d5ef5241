#include "store/slices.h"

#include <optional>

#include "absl/strings/str_cat.h"
#include "store/rows.h"
#include "store/site_rows.h"

namespace jetmon::store {
namespace {

constexpr uint64_t kReadsInOrder = 8;
constexpr uint64_t kMostRowsOfServer = 4000, kMostRowsEmbedded = 50'000;

// Site `s` as ConfigHash sees it.
constexpr char kHashed[] =
    "s.jetpack_monitor_site_id || '\n' || s.blog_id || '\n' || s.monitor_url || '\n1\n' || "
    "s.check_interval";

// PhaseOf. Its product would not fit; the low 31 bits of it come of those of its factors.
constexpr char kPhase[] = "((s.jetpack_monitor_site_id & 2147483647) * 506952113) & 2147483647";
static_assert((2654435761u & 0x7fffffff) == 506952113);

// Only how many: by bucket an index knows it, and no row is read.
absl::StatusOr<uint64_t> CountActive(sql::Transaction& tx, const Slice& slice) {
  const SliceCondition in = SitesIn(slice);
  uint64_t count = 0;
  auto s = tx.Query(absl::StrCat("SELECT COUNT(*) FROM jetpack_monitor_sites s WHERE ", in.sql),
                    in.values, [&](const sql::Row& row) {
                      count = row.Uint(0);
                      return absl::OkStatus();
                    });
  if (!s.ok()) return s;
  return count;
}

absl::StatusOr<bool> HasTargets(sql::Transaction& tx, const Slice& slice) {
  const SliceCondition in = RowsIn(slice, "");
  bool any = false;
  auto s =
      tx.Query(absl::StrCat("SELECT site_id FROM jetmon_check_targets WHERE ", in.sql, " LIMIT 1"),
               in.values, [&](const sql::Row&) {
                 any = true;
                 return absl::OkStatus();
               });
  if (!s.ok()) return s;
  return any;
}

// `look`: for targets that are there, maybe of another bucket.
absl::StatusOr<uint64_t> InsertMissing(sql::Transaction& tx, const Slice& slice, bool look,
                                       int64_t now_ms) {
  const SliceCondition in = SitesIn(slice);
  std::vector<sql::Value> values;
  values.reserve(1 + in.values.size());
  values.emplace_back(now_ms);
  for (const sql::Value& value : in.values) values.push_back(value);
  auto inserted = tx.Execute(
      absl::StrCat(
          "INSERT INTO jetmon_check_targets (site_id, blog_id, bucket_no, url, interval_minutes, "
          "phase, config_hash, updated_at_ms) SELECT s.jetpack_monitor_site_id, s.blog_id, "
          "s.bucket_no, s.monitor_url, s.check_interval, ",
          kPhase, ", ", tx.dialect().Hash16(kHashed), ", ? FROM jetpack_monitor_sites s ",
          look ? "LEFT JOIN jetmon_check_targets t ON t.site_id = s.jetpack_monitor_site_id " : "",
          "WHERE ", in.sql, look ? " AND t.site_id IS NULL" : ""),
      values);
  if (!inserted.ok()) return inserted.status();
  return static_cast<uint64_t>(*inserted);
}

// Targets of sites that have none, or one that differs; counts which.
absl::StatusOr<std::vector<Target>> MissingOrStale(sql::Transaction& tx, const Slice& slice,
                                                   SyncCounts* counts) {
  const SliceCondition in = SitesIn(slice);
  std::vector<Target> targets;
  auto s = tx.Query(
      absl::StrCat("SELECT ", kSiteColumns,
                   ", t.bucket_no FROM jetpack_monitor_sites s LEFT JOIN jetmon_check_targets t "
                   "ON t.site_id = s.jetpack_monitor_site_id WHERE ",
                   in.sql,
                   " AND (t.site_id IS NULL OR t.bucket_no <> s.bucket_no OR "
                   "t.config_hash <> ",
                   tx.dialect().Hash16(kHashed), ")"),
      in.values, [&](const sql::Row& row) {
        targets.push_back(TargetOf(SiteOf(row)));
        const std::optional<int64_t> bucket = row.OptInt(kSiteColumnCount);
        if (!bucket.has_value()) {
          ++counts->inserted;
        } else if (slice.buckets.Contains(static_cast<uint32_t>(*bucket))) {
          ++counts->changed;
        } else {
          ++counts->moved[static_cast<uint32_t>(*bucket)];
        }
        return absl::OkStatus();
      });
  if (!s.ok()) return s;
  return targets;
}

absl::StatusOr<uint64_t> CountTargets(sql::Transaction& tx, const Slice& slice) {
  const SliceCondition in = RowsIn(slice, "");
  uint64_t count = 0;
  auto s = tx.Query(absl::StrCat("SELECT COUNT(*) FROM jetmon_check_targets WHERE ", in.sql),
                    in.values, [&](const sql::Row& row) {
                      count = row.Uint(0);
                      return absl::OkStatus();
                    });
  if (!s.ok()) return s;
  return count;
}

absl::StatusOr<uint64_t> RemoveGone(sql::Transaction& tx, const Slice& slice) {
  const SliceCondition in = RowsIn(slice, "t.");
  std::vector<uint64_t> gone;
  // Read first: a DELETE that looks at sites would lock them for those who write v1's columns.
  auto s = tx.Query(absl::StrCat("SELECT t.site_id FROM jetmon_check_targets t LEFT JOIN "
                                 "jetpack_monitor_sites s ON s.jetpack_monitor_site_id = t.site_id "
                                 "AND s.bucket_no + 0 = t.bucket_no AND s.monitor_active + 0 = 1 "
                                 "WHERE ",
                                 in.sql, " AND s.jetpack_monitor_site_id IS NULL"),
                    in.values, [&](const sql::Row& row) {
                      gone.push_back(row.Uint(0));
                      return absl::OkStatus();
                    });
  if (!s.ok()) return s;
  // By then a target may be another range's, whose seed found the site there.
  uint64_t removed = 0;
  s = InPieces(gone.size(), [&](size_t at, size_t n) -> absl::Status {
    std::vector<sql::Value> values(gone.begin() + at, gone.begin() + at + n);
    values.insert(values.end(), {slice.buckets.min, slice.buckets.max});
    const std::string which =
        absl::StrCat(" WHERE site_id IN ", Marks(n), " AND bucket_no + 0 BETWEEN ? AND ?");
    auto deleted = tx.Execute(absl::StrCat("DELETE FROM jetmon_check_targets", which), values);
    if (!deleted.ok()) return deleted.status();
    removed += static_cast<uint64_t>(*deleted);
    return tx.Execute(absl::StrCat("DELETE FROM jetmon_endpoint_runtime", which), values).status();
  });
  if (!s.ok()) return s;
  return removed;
}

}  // namespace

// A sum is no column: it keeps an engine from the index that this slice is not read by.
SliceCondition SitesIn(const Slice& slice) {
  if (slice.by_site) {
    return {
        "s.jetpack_monitor_site_id > ? AND s.jetpack_monitor_site_id <= ? AND s.bucket_no + 0 "
        "BETWEEN ? AND ? AND s.monitor_active + 0 = 1",
        {slice.after, slice.upto, slice.buckets.min, slice.buckets.max}};
  }
  return {
      "s.bucket_no = ? AND s.monitor_active = 1 AND s.jetpack_monitor_site_id + 0 > ? AND "
      "s.jetpack_monitor_site_id + 0 <= ?",
      {slice.buckets.min, slice.after, slice.upto}};
}

SliceCondition RowsIn(const Slice& slice, std::string_view alias) {
  const absl::string_view a(alias.data(), alias.size());
  if (slice.by_site) {
    return {absl::StrCat(a, "site_id > ? AND ", a, "site_id <= ? AND ", a,
                         "bucket_no + 0 BETWEEN ? AND ?"),
            {slice.after, slice.upto, slice.buckets.min, slice.buckets.max}};
  }
  return {absl::StrCat(a, "bucket_no = ? AND ", a, "site_id > ? AND ", a, "site_id <= ?"),
          {slice.buckets.min, slice.after, slice.upto}};
}

absl::StatusOr<SiteIds> GetSiteIds(sql::Transaction& tx) {
  SiteIds ids;
  auto s = tx.Query(
      // Each by itself: SQLite finds one end of an index at once, and reads all for both.
      "SELECT COALESCE((SELECT MIN(jetpack_monitor_site_id) FROM jetpack_monitor_sites), 0), "
      "COALESCE((SELECT MAX(jetpack_monitor_site_id) FROM jetpack_monitor_sites), 0)",
      {}, [&](const sql::Row& row) {
        ids = {row.Uint(0), row.Uint(1)};
        return absl::OkStatus();
      });
  if (!s.ok()) return s;
  return ids;
}

bool IsReadBySite(uint64_t active, const SiteIds& ids) {
  return active * kReadsInOrder >= ids.last - ids.first;
}

absl::StatusOr<uint64_t> SliceEnd(sql::Transaction& tx, const Slice& from, uint64_t rows) {
  const SliceCondition in = SitesIn(from);
  auto active = CountActive(tx, from);
  if (!active.ok()) return active.status();
  if (*active <= rows) return kLastSite;
  std::vector<sql::Value> values = in.values;
  values.push_back(rows - 1);
  // No index has the sites of a bucket by id. Ids only are sorted, and only of a bucket that is
  // too big for one transaction.
  uint64_t last = kLastSite;  // also if sites have left since they were counted
  auto s =
      tx.Query(absl::StrCat("SELECT s.jetpack_monitor_site_id FROM jetpack_monitor_sites s WHERE ",
                            in.sql, " ORDER BY s.jetpack_monitor_site_id + 0 LIMIT 1 OFFSET ?"),
               values, [&](const sql::Row& row) {
                 last = row.Uint(0);
                 return absl::OkStatus();
               });
  if (!s.ok()) return s;
  return last;
}

uint64_t MostRowsAtOnce(const sql::Dialect& dialect) {
  return dialect.Embedded() ? kMostRowsEmbedded : kMostRowsOfServer;
}

absl::StatusOr<SiteCounts> CountSlice(sql::Transaction& tx, const Slice& slice) {
  const SliceCondition in = SitesIn(slice);
  SiteCounts c;
  auto s = tx.Query(absl::StrCat("SELECT COUNT(*), SUM(CASE WHEN s.site_status = 1 THEN 1 ELSE 0 "
                                 "END), SUM(CASE WHEN s.site_status = 0 THEN 1 ELSE 0 END), "
                                 "SUM(CASE WHEN s.site_status = 2 THEN 1 ELSE 0 END) FROM "
                                 "jetpack_monitor_sites s WHERE ",
                                 in.sql),
                    in.values, [&](const sql::Row& row) {
                      c = {row.Uint(0), row.Uint(1), row.Uint(2), row.Uint(3), 0};
                      c.other = c.active - c.up - c.seems_down - c.down;
                      return absl::OkStatus();
                    });
  if (!s.ok()) return s;
  return c;
}

absl::StatusOr<std::vector<Site>> SitesNotUp(sql::Transaction& tx, const Slice& slice) {
  const SliceCondition in = SitesIn(slice);
  std::vector<Site> sites;
  auto s = tx.Query(absl::StrCat("SELECT ", kSiteColumns, " FROM jetpack_monitor_sites s WHERE ",
                                 in.sql, " AND s.site_status <> 1"),
                    in.values, [&](const sql::Row& row) {
                      sites.push_back(SiteOf(row));
                      return absl::OkStatus();
                    });
  if (!s.ok()) return s;
  return sites;
}

absl::StatusOr<SyncCounts> SyncTargets(sql::Transaction& tx, const Slice& slice, int64_t now_ms) {
  SyncCounts counts;
  auto any = HasTargets(tx, slice);
  if (!any.ok()) return any.status();
  if (!*any) {
    // A target may be there all the same, that has a bucket which its site left. By bucket that is
    // looked for; by site it is so rare that the statement may fail, and what follows finds it.
    auto inserted = InsertMissing(tx, slice, /*look=*/!slice.by_site, now_ms);
    const bool moved = slice.by_site && absl::IsAlreadyExists(inserted.status());
    if (!inserted.ok() && !moved) return inserted.status();
    counts.inserted = counts.active = inserted.value_or(0);
    if (slice.by_site && !moved) return counts;
  }
  auto active = CountActive(tx, slice);
  if (!active.ok()) return active.status();
  counts.active = *active;
  auto targets = MissingOrStale(tx, slice, &counts);
  if (!targets.ok()) return targets.status();
  if (auto s = UpsertTargets(tx, *targets, now_ms); !s.ok()) return s;
  // Each active site has its one target here now: no more than those, and none is gone.
  auto there = CountTargets(tx, slice);
  if (!there.ok()) return there.status();
  if (*there == counts.active) return counts;
  auto removed = RemoveGone(tx, slice);
  if (!removed.ok()) return removed.status();
  counts.removed = *removed;
  return counts;
}

}  // namespace jetmon::store
