#include "tests/lab/legacy_table.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "store/settings.h"
#include "store/sql/database.h"

namespace jetmon::lab {
namespace {

// A process that was stopped inside a write transaction may block every writer of an embedded
// database for as long; a server that was killed needs time to come back.
constexpr std::chrono::seconds kWriteLimit{60};
constexpr std::chrono::seconds kReadLimit{30};

class SqlLegacyTable final : public LegacyTable {
 public:
  explicit SqlLegacyTable(std::unique_ptr<sql::Database> db) : db_(std::move(db)) {}

  absl::StatusOr<std::vector<LegacySite>> ActiveSites(BucketRange range) override {
    std::vector<LegacySite> sites;
    const auto status = db_->Read(db_->clock().Boot() + kReadLimit, [&](sql::Transaction& tx) {
      sites.clear();
      absl::Status s;
      for (uint32_t bucket = range.min; bucket <= range.max && s.ok(); ++bucket) {
        s = ReadBucket(tx, bucket, &sites);
      }
      return s;
    });
    if (!status.ok()) return status;
    return sites;
  }

  absl::Status SetStatus(uint64_t site_id, int status, int64_t unix_seconds) override {
    const std::string changed = absl::FormatTime(
        "%Y-%m-%d %H:%M:%S", absl::FromUnixSeconds(unix_seconds), absl::UTCTimeZone());
    return db_->Write(db_->clock().Boot() + kWriteLimit, [&](sql::Transaction& tx) {
      return tx
          .Execute(
              "UPDATE jetpack_monitor_sites SET site_status = ?, last_status_change = ? WHERE "
              "jetpack_monitor_site_id = ?",
              {status, changed, site_id})
          .status();
    });
  }

 private:
  static absl::Status ReadBucket(sql::Transaction& tx, uint32_t bucket,
                                 std::vector<LegacySite>* sites) {
    return tx.Query(
        "SELECT jetpack_monitor_site_id, bucket_no, monitor_url, site_status, check_interval FROM "
        "jetpack_monitor_sites WHERE bucket_no = ? AND monitor_active = 1 ORDER BY "
        "jetpack_monitor_site_id",
        {bucket}, [&](const sql::Row& row) {
          LegacySite site;
          site.site_id = row.Uint(0);
          site.bucket = static_cast<uint32_t>(row.Int(1));
          site.url = row.Text(2);
          site.site_status = static_cast<int>(row.Int(3));
          site.check_interval = static_cast<int>(row.Int(4));
          sites->push_back(std::move(site));
          return absl::OkStatus();
        });
  }

  const std::unique_ptr<sql::Database> db_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<LegacyTable>> OpenLegacyTable(const std::string& url) {
  store::DatabaseSettings settings;
  settings.url = url;
  auto options = store::OptionsFrom(settings);
  if (!options.ok()) return options.status();
  auto db = sql::Database::Open(url, std::move(*options));
  if (!db.ok()) return db.status();
  auto table = std::make_unique<SqlLegacyTable>(std::move(*db));
  if (auto s = table->ActiveSites({0, 0}); !s.ok()) {
    return absl::FailedPreconditionError(
        absl::StrCat("can't read v1's table in ", url, ": ", s.status().message()));
  }
  return table;
}

}  // namespace jetmon::lab
