#include "store/activity.h"

#include <algorithm>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"

namespace jetmon::store {
namespace {

// "site:last_check_ms site:last_check_ms ...".
std::string LateText(const std::vector<LateSite>& sites) {
  std::string text;
  for (size_t i = 0; i < std::min(sites.size(), kMostLateSites); ++i) {
    absl::StrAppend(&text, i == 0 ? "" : " ", sites[i].site_id, ":", sites[i].last_check_ms);
  }
  return text;
}

// What can't be read is left out: the summary is for people, and the next one follows in seconds.
std::vector<LateSite> LateSitesOf(const std::string& text) {
  std::vector<LateSite> sites;
  for (absl::string_view word : absl::StrSplit(text, ' ', absl::SkipEmpty())) {
    const std::pair<absl::string_view, absl::string_view> parts =
        absl::StrSplit(word, absl::MaxSplits(':', 1));
    LateSite site;
    if (absl::SimpleAtoi(parts.first, &site.site_id) &&
        absl::SimpleAtoi(parts.second, &site.last_check_ms) && sites.size() < kMostLateSites) {
      sites.push_back(site);
    }
  }
  return sites;
}

}  // namespace

absl::Status SaveActivity(sql::Transaction& tx, const std::vector<BucketActivity>& rows) {
  const std::string insert =
      "INSERT INTO jetmon_bucket_activity (bucket_no, epoch, sites, checked, late, "
      "oldest_check_ms, first_check_ms, updated_at_ms, late_sites) VALUES (?, ?, ?, ?, ?, ?, ?, ?, "
      "?)" +
      tx.dialect().OnDuplicateUpdate(
          {"bucket_no"}, {"epoch", "sites", "checked", "late", "oldest_check_ms", "first_check_ms",
                          "updated_at_ms", "late_sites"});
  for (const BucketActivity& a : rows) {
    auto saved =
        tx.Execute(insert, {a.bucket, a.epoch, a.sites, a.checked, a.late, a.oldest_check_ms,
                            a.first_check_ms, a.updated_at_ms, LateText(a.late_sites)});
    if (!saved.ok()) return saved.status();
  }
  return absl::OkStatus();
}

absl::StatusOr<std::vector<BucketActivity>> ListActivity(sql::Transaction& tx, Range range) {
  std::vector<BucketActivity> rows;
  auto s = tx.Query(
      "SELECT bucket_no, epoch, sites, checked, late, oldest_check_ms, first_check_ms, "
      "updated_at_ms, late_sites FROM jetmon_bucket_activity WHERE bucket_no "
      "BETWEEN ? AND ? "
      "ORDER BY bucket_no",
      {range.min, range.max}, [&](const sql::Row& row) {
        BucketActivity a;
        a.bucket = static_cast<uint32_t>(row.Int(0));
        a.epoch = row.Uint(1);
        a.sites = row.Uint(2);
        a.checked = row.Uint(3);
        a.late = row.Uint(4);
        a.oldest_check_ms = row.Int(5);
        a.first_check_ms = row.Int(6);
        a.updated_at_ms = row.Int(7);
        a.late_sites = LateSitesOf(row.Text(8));
        rows.push_back(std::move(a));
        return absl::OkStatus();
      });
  if (!s.ok()) return s;
  return rows;
}

}  // namespace jetmon::store
