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

// Sessions of ours are at +00:00.
constexpr char kTimeFormat[] = "%Y-%m-%d %H:%M:%S";
constexpr size_t kTimeSize = 19;

std::string ColumnTime(int64_t unix_seconds) {
  return absl::FormatTime(kTimeFormat, absl::FromUnixSeconds(unix_seconds), absl::UTCTimeZone());
}

std::optional<int64_t> ParseColumnTime(const std::string& text) {
  absl::Time time;
  std::string error;
  if (!absl::ParseTime(kTimeFormat, text.substr(0, kTimeSize), absl::UTCTimeZone(), &time,
                       &error)) {
    return std::nullopt;
  }
  return absl::ToUnixSeconds(time);
}

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
    const std::string changed = ColumnTime(unix_seconds);
    return db_->Write(db_->clock().Boot() + kWriteLimit, [&](sql::Transaction& tx) {
      return tx
          .Execute(
              "UPDATE jetpack_monitor_sites SET site_status = ?, last_status_change = ? WHERE "
              "jetpack_monitor_site_id = ?",
              {status, changed, site_id})
          .status();
    });
  }

  absl::StatusOr<std::vector<LegacyRow>> Rows(BucketRange range, bool with_inactive) override {
    std::vector<LegacyRow> rows;
    const auto status = db_->Read(db_->clock().Boot() + kReadLimit, [&](sql::Transaction& tx) {
      rows.clear();
      return tx.Query(
          "SELECT jetpack_monitor_site_id, blog_id, bucket_no, monitor_url, monitor_active, "
          "site_status, last_status_change FROM jetpack_monitor_sites WHERE bucket_no >= ? AND "
          "bucket_no <= ? AND (monitor_active = 1 OR ? = 1) ORDER BY jetpack_monitor_site_id",
          {range.min, range.max, with_inactive ? 1 : 0}, [&](const sql::Row& row) {
            rows.push_back(ReadRow(row));
            return absl::OkStatus();
          });
    });
    if (!status.ok()) return status;
    return rows;
  }

  absl::StatusOr<int64_t> SetStatusOf(uint64_t blog_id, const std::string& url, int status,
                                      int64_t unix_seconds) override {
    int64_t count = 0;
    const auto written = db_->Write(db_->clock().Boot() + kWriteLimit, [&](sql::Transaction& tx) {
      auto matched = tx.Execute(
          "UPDATE jetpack_monitor_sites SET site_status = ?, last_status_change = ? WHERE "
          "blog_id = ? AND monitor_url = ?",
          {status, ColumnTime(unix_seconds), blog_id, url});
      if (matched.ok()) count = *matched;
      return matched.status();
    });
    if (!written.ok()) return written;
    return count;
  }

 private:
  static LegacyRow ReadRow(const sql::Row& row) {
    LegacyRow read;
    read.site_id = row.Uint(0);
    read.blog_id = row.Uint(1);
    read.bucket = static_cast<uint32_t>(row.Int(2));
    read.url = row.Text(3);
    read.active = row.Bool(4);
    read.site_status = static_cast<int>(row.Int(5));
    if (!row.IsNull(6)) read.last_status_change_s = ParseColumnTime(row.Text(6));
    return read;
  }

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
