#include "store/twins.h"

#include <string>
#include <vector>

#include "absl/strings/str_cat.h"

namespace jetmon::store {
namespace {

constexpr char kTwins[] =
    "FROM jetpack_monitor_sites s JOIN %s x ON x.site_id = s.jetpack_monitor_site_id WHERE "
    "s.blog_id = ? AND s.monitor_url = ? AND s.jetpack_monitor_site_id <> ? AND s.monitor_active = "
    "1 AND ";

absl::StatusOr<bool> Any(sql::Transaction& tx, const Site& site, std::string_view table,
                         std::string_view condition, std::vector<sql::Value> more) {
  std::string from = kTwins;
  from.replace(from.find("%s"), 2, table);
  std::vector<sql::Value> values = {site.blog_id, site.url, site.site_id};
  values.insert(values.end(), more.begin(), more.end());
  bool any = false;
  auto s = tx.Query(absl::StrCat("SELECT x.site_id ", from, std::string(condition), " LIMIT 1"),
                    values, [&](const sql::Row&) {
                      any = true;
                      return absl::OkStatus();
                    });
  if (!s.ok()) return s;
  return any;
}

}  // namespace

absl::StatusOr<bool> ToldByTwin(sql::Transaction& tx, const Site& site, const Event& e, bool up) {
  auto down = Any(tx, site, "jetmon_events", "x.ended_at_ms IS NULL AND x.told_at_ms <> 0", {});
  if (!down.ok() || *down || !up) return down;
  return Any(
      tx, site, "jetmon_notifications",
      "x.kind = 'up' AND x.state IN ('sending', 'delivered', 'recorded') AND x.sent_at_ms >= "
      "?",
      {e.told_at_ms});
}

}  // namespace jetmon::store
