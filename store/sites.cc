#include "store/sites.h"

#include <stdio.h>

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "store/ids.h"
#include "store/rows.h"
#include "store/site_rows.h"
#include "store/slices.h"

namespace jetmon::store {
namespace {

// Ids that one statement counts at most, where a range is read by site.
constexpr uint64_t kIdsAtOnce = 250'000;

// In the order of the index that v1's table has for it, so that nothing is sorted.
constexpr char kActiveOfBucket[] =
    " FROM jetpack_monitor_sites s WHERE s.bucket_no = ? AND s.monitor_active = 1 AND "
    "s.check_interval >= ? AND (s.check_interval > ? OR s.jetpack_monitor_site_id + 0 > ?) ORDER "
    "BY s.check_interval, s.jetpack_monitor_site_id LIMIT ?";

}  // namespace

Site SiteOf(const sql::Row& row) {
  Site s;
  s.site_id = row.Uint(0);
  s.blog_id = row.Uint(1);
  s.bucket = static_cast<uint32_t>(row.Int(2));
  s.url = row.Text(3);
  s.active = row.Bool(4);
  s.site_status = static_cast<int>(row.Int(5));
  s.last_status_change = row.Text(6);
  s.check_interval = static_cast<int>(row.Int(7));
  return s;
}

namespace {

absl::StatusOr<uint64_t> CountOne(sql::Transaction& tx, std::string_view sql, sql::Params params) {
  uint64_t count = 0;
  auto s = tx.Query(sql, params, [&](const sql::Row& row) {
    count = row.Uint(0);
    return absl::OkStatus();
  });
  if (!s.ok()) return s;
  return count;
}

}  // namespace

std::string ConfigHash(const Site& site) {
  return Sha256Hex(absl::StrCat(site.site_id, "\n", site.blog_id, "\n", site.url, "\n",
                                site.active ? 1 : 0, "\n", site.check_interval))
      .substr(0, 16);
}

absl::StatusOr<std::vector<Site>> ActiveSitesOfBucket(sql::Transaction& tx, uint32_t bucket,
                                                      const SiteCursor& after, int limit) {
  std::vector<Site> sites;
  auto s = tx.Query(absl::StrCat("SELECT ", kSiteColumns, kActiveOfBucket),
                    {bucket, after.interval, after.interval, after.site_id, limit},
                    [&](const sql::Row& row) {
                      sites.push_back(SiteOf(row));
                      return absl::OkStatus();
                    });
  if (!s.ok()) return s;
  return sites;
}

absl::StatusOr<std::vector<SiteCursor>> ActivePlacesOfBucket(sql::Transaction& tx, uint32_t bucket,
                                                             const SiteCursor& after, int limit) {
  std::vector<SiteCursor> places;
  auto s = tx.Query(
      absl::StrCat("SELECT s.check_interval, s.jetpack_monitor_site_id", kActiveOfBucket),
      {bucket, after.interval, after.interval, after.site_id, limit}, [&](const sql::Row& row) {
        places.push_back({static_cast<int>(row.Int(0)), row.Uint(1)});
        return absl::OkStatus();
      });
  if (!s.ok()) return s;
  return places;
}

absl::StatusOr<std::vector<Site>> ActiveSitesById(sql::Transaction& tx,
                                                  const std::vector<uint64_t>& site_ids) {
  std::vector<Site> sites;
  auto s = InPieces(site_ids.size(), [&](size_t at, size_t n) {
    const std::vector<sql::Value> values(site_ids.begin() + at, site_ids.begin() + at + n);
    return tx.Query(absl::StrCat("SELECT ", kSiteColumns,
                                 " FROM jetpack_monitor_sites s WHERE s.monitor_active = 1 AND "
                                 "s.jetpack_monitor_site_id IN ",
                                 Marks(n)),
                    values, [&](const sql::Row& row) {
                      sites.push_back(SiteOf(row));
                      return absl::OkStatus();
                    });
  });
  if (!s.ok()) return s;
  return sites;
}

absl::StatusOr<std::optional<Site>> GetSite(sql::Transaction& tx, uint64_t site_id) {
  std::optional<Site> site;
  auto found = tx.QueryOne(absl::StrCat("SELECT ", kSiteColumns,
                                        " FROM jetpack_monitor_sites s WHERE "
                                        "s.jetpack_monitor_site_id = ?"),
                           {site_id}, [&](const sql::Row& row) {
                             site = SiteOf(row);
                             return absl::OkStatus();
                           });
  if (!found.ok()) return found.status();
  return site;
}

absl::StatusOr<uint64_t> CountActiveSites(sql::Transaction& tx, Range range) {
  return CountOne(tx,
                  "SELECT COUNT(*) FROM jetpack_monitor_sites WHERE bucket_no BETWEEN ? AND ? AND "
                  "monitor_active = 1",
                  {range.min, range.max});
}

absl::StatusOr<SiteCounts> CountSites(sql::Transaction& tx, Range range) {
  SiteCounts sum;
  const auto add = [&](const Slice& slice) -> absl::Status {
    auto c = CountSlice(tx, slice);
    if (!c.ok()) return c.status();
    sum.active += c->active;
    sum.up += c->up;
    sum.seems_down += c->seems_down;
    sum.down += c->down;
    sum.other += c->other;
    return absl::OkStatus();
  };
  auto active = CountActiveSites(tx, range);
  if (!active.ok()) return active.status();
  auto ids = GetSiteIds(tx);
  if (!ids.ok()) return ids.status();
  if (!IsReadBySite(*active, *ids)) {
    for (uint32_t bucket = range.min; bucket <= range.max; ++bucket) {
      if (auto s = add({.buckets = {bucket, bucket}}); !s.ok()) return s;
    }
    return sum;
  }
  for (uint64_t after = std::max<uint64_t>(ids->first, 1) - 1; after < ids->last;
       after += kIdsAtOnce) {
    if (auto s = add({range, after, after + kIdsAtOnce, true}); !s.ok()) return s;
  }
  return sum;
}

absl::StatusOr<std::vector<std::string>> MissingLegacyColumns(sql::Transaction& tx) {
  std::vector<std::string> missing;
  for (const char* column :
       {"jetpack_monitor_site_id", "blog_id", "bucket_no", "monitor_url", "monitor_active",
        "site_status", "last_status_change", "check_interval"}) {
    const absl::Status s =
        tx.Query(absl::StrCat("SELECT ", column, " FROM jetpack_monitor_sites LIMIT 1"), {},
                 [](const sql::Row&) { return absl::OkStatus(); });
    if (absl::IsAborted(s) || absl::IsUnavailable(s)) return s;
    if (!s.ok()) missing.push_back(column);
  }
  return missing;
}

absl::StatusOr<std::vector<SplitTwin>> SplitTwinsOfBucket(sql::Transaction& tx, uint32_t bucket,
                                                          Range range, int limit) {
  std::vector<SplitTwin> twins;
  auto s = tx.Query(
      "SELECT s.jetpack_monitor_site_id, s.blog_id, o.jetpack_monitor_site_id, o.bucket_no, "
      "s.monitor_url FROM jetpack_monitor_sites s JOIN jetpack_monitor_sites o ON o.blog_id = "
      "s.blog_id AND o.monitor_url = s.monitor_url WHERE s.bucket_no = ? AND s.monitor_active = 1 "
      "AND o.monitor_active = 1 AND (o.bucket_no < ? OR o.bucket_no > ?) LIMIT ?",
      {bucket, range.min, range.max, limit}, [&](const sql::Row& row) {
        twins.push_back({row.Uint(0), row.Uint(1), row.Uint(2), static_cast<uint32_t>(row.Int(3)),
                         row.Text(4)});
        return absl::OkStatus();
      });
  if (!s.ok()) return s;
  return twins;
}

// Knuth's multiplicative hash: neighbours get phases far apart, and always the same.
uint64_t PhaseOf(uint64_t site_id) { return (site_id * 2654435761u) & 0x7fffffff; }

Target TargetOf(const Site& site) {
  Target t;
  t.site_id = site.site_id;
  t.blog_id = site.blog_id;
  t.bucket = site.bucket;
  t.url = site.url;
  t.interval = site.check_interval;
  t.phase = PhaseOf(site.site_id);
  t.config_hash = ConfigHash(site);
  return t;
}

absl::Status UpsertTargets(sql::Transaction& tx, const std::vector<Target>& targets,
                           int64_t now_ms) {
  std::vector<std::vector<sql::Value>> rows;
  for (const Target& t : targets) {
    rows.push_back(
        {t.site_id, t.blog_id, t.bucket, t.url, t.interval, t.phase, t.config_hash, now_ms});
  }
  return InsertRows(tx,
                    "INSERT INTO jetmon_check_targets (site_id, blog_id, bucket_no, url, "
                    "interval_minutes, phase, config_hash, updated_at_ms) VALUES ",
                    tx.dialect().OnDuplicateUpdate(
                        {"site_id"}, {"blog_id", "bucket_no", "url", "interval_minutes", "phase",
                                      "config_hash", "updated_at_ms"}),
                    8, rows);
}

absl::Status DeleteTargets(sql::Transaction& tx, const std::vector<uint64_t>& site_ids) {
  auto s = ExecuteIn(tx, "DELETE FROM jetmon_check_targets WHERE site_id", "", site_ids);
  if (!s.ok()) return s;
  return ExecuteIn(tx, "DELETE FROM jetmon_endpoint_runtime WHERE site_id", "", site_ids);
}

absl::StatusOr<uint64_t> CountTargets(sql::Transaction& tx, Range range) {
  return CountOne(tx, "SELECT COUNT(*) FROM jetmon_check_targets WHERE bucket_no BETWEEN ? AND ?",
                  {range.min, range.max});
}

absl::Status SaveFreshness(sql::Transaction& tx, const std::vector<Freshness>& freshness) {
  std::vector<std::vector<sql::Value>> rows;
  for (const Freshness& f : freshness) {
    rows.push_back({f.site_id, f.bucket, f.last_checked_at_ms, f.next_check_at_ms});
  }
  return InsertRows(tx,
                    "INSERT INTO jetmon_endpoint_runtime (site_id, bucket_no, last_checked_at_ms, "
                    "next_check_at_ms) VALUES ",
                    tx.dialect().OnDuplicateUpdate(
                        {"site_id"}, {"bucket_no", "last_checked_at_ms", "next_check_at_ms"}),
                    4, rows);
}

absl::StatusOr<std::vector<CheckConfig>> ConfigsOfBucket(sql::Transaction& tx, uint32_t bucket) {
  std::vector<CheckConfig> configs;
  // Few sites have one, or none at all, and then nothing need be looked up for each.
  bool any = false;
  auto s = tx.Query("SELECT site_id FROM jetmon_endpoint_check_config LIMIT 1", {},
                    [&](const sql::Row&) {
                      any = true;
                      return absl::OkStatus();
                    });
  if (!s.ok()) return s;
  if (!any) return configs;
  s = tx.Query(
      "SELECT c.site_id, c.method, c.profile, c.keyword, c.forbidden_keyword, SUBSTR(c.headers, 1, "
      "?), c.timeout_ms, c.redirect_policy FROM jetmon_check_targets t JOIN "
      "jetmon_endpoint_check_config c ON c.site_id = t.site_id WHERE t.bucket_no = ? ORDER BY "
      "t.site_id",
      {static_cast<int64_t>(CheckConfig::kMaxHeadersChars + 1), bucket}, [&](const sql::Row& row) {
        CheckConfig& c = configs.emplace_back();
        c.site_id = row.Uint(0);
        c.method = row.OptText(1);
        c.profile = row.OptText(2);
        c.keyword = row.OptText(3);
        c.forbidden_keyword = row.OptText(4);
        c.headers = row.OptText(5);
        c.timeout_ms = row.OptInt(6);
        c.redirect_policy = row.OptText(7);
        return absl::OkStatus();
      });
  if (!s.ok()) return s;
  return configs;
}

}  // namespace jetmon::store
