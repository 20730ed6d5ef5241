#include "tests/lab/legacy_table.h"

#include <sqlite3.h>

#include <mutex>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/strings/strip.h"

namespace jetmon::lab {
namespace {

// A process that was stopped inside a write transaction blocks every writer for as long.
constexpr int kBusyTimeoutMs = 60'000;

class SqliteLegacyTable final : public LegacyTable {
 public:
  explicit SqliteLegacyTable(sqlite3* db) : db_(db) {}
  ~SqliteLegacyTable() override { sqlite3_close(db_); }

  absl::StatusOr<std::vector<LegacySite>> ActiveSites(BucketRange range) override {
    const std::lock_guard<std::mutex> lock(mutex_);
    const Statement query(db_,
                          "SELECT jetpack_monitor_site_id, bucket_no, monitor_url, site_status, "
                          "check_interval FROM jetpack_monitor_sites "
                          "WHERE bucket_no BETWEEN ? AND ? AND monitor_active = 1 "
                          "ORDER BY jetpack_monitor_site_id");
    query.Bind(1, range.min);
    query.Bind(2, range.max);
    std::vector<LegacySite> sites;
    int code;
    while ((code = query.Step()) == SQLITE_ROW) {
      LegacySite site;
      site.site_id = query.Number(0);
      site.bucket = static_cast<uint32_t>(query.Number(1));
      site.url = query.Text(2);
      site.site_status = static_cast<int>(query.Number(3));
      site.check_interval = static_cast<int>(query.Number(4));
      sites.push_back(std::move(site));
    }
    if (code != SQLITE_DONE) return Failed();
    return sites;
  }

  absl::Status SetStatus(uint64_t site_id, int status, int64_t unix_seconds) override {
    const std::lock_guard<std::mutex> lock(mutex_);
    const Statement update(db_,
                           "UPDATE jetpack_monitor_sites SET site_status = ?, "
                           "last_status_change = strftime('%Y-%m-%d %H:%M:%S', ?, 'unixepoch') "
                           "WHERE jetpack_monitor_site_id = ?");
    update.Bind(1, status);
    update.Bind(2, unix_seconds);
    update.Bind(3, static_cast<int64_t>(site_id));
    return update.Step() == SQLITE_DONE ? absl::OkStatus() : Failed();
  }

 private:
  class Statement {
   public:
    Statement(sqlite3* db, const char* sql) { sqlite3_prepare_v2(db, sql, -1, &s_, nullptr); }
    ~Statement() { sqlite3_finalize(s_); }
    Statement(const Statement&) = delete;
    Statement& operator=(const Statement&) = delete;
    void Bind(int at, int64_t value) const { sqlite3_bind_int64(s_, at, value); }
    int Step() const { return s_ == nullptr ? SQLITE_ERROR : sqlite3_step(s_); }
    int64_t Number(int column) const { return sqlite3_column_int64(s_, column); }
    std::string Text(int column) const {
      const unsigned char* text = sqlite3_column_text(s_, column);
      return text == nullptr ? "" : reinterpret_cast<const char*>(text);
    }

   private:
    sqlite3_stmt* s_ = nullptr;
  };

  absl::Status Failed() const {
    return absl::UnavailableError(absl::StrCat("database: ", sqlite3_errmsg(db_)));
  }

  std::mutex mutex_;
  sqlite3* const db_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<LegacyTable>> OpenLegacyTable(const std::string& url) {
  absl::string_view path = url;
  if (!absl::ConsumePrefix(&path, "sqlite://")) {
    return absl::InvalidArgumentError(absl::StrCat("--database=", url, " is not sqlite:///path"));
  }
  sqlite3* db = nullptr;
  const int code = sqlite3_open_v2(std::string(path).c_str(), &db,
                                   SQLITE_OPEN_READWRITE | SQLITE_OPEN_FULLMUTEX, nullptr);
  auto table = std::make_unique<SqliteLegacyTable>(db);
  if (code != SQLITE_OK) {
    return absl::FailedPreconditionError(absl::StrCat("can't open ", url));
  }
  sqlite3_busy_timeout(db, kBusyTimeoutMs);
  sqlite3_exec(db, "PRAGMA synchronous = NORMAL", nullptr, nullptr, nullptr);
  if (auto s = table->ActiveSites({0, 0}); !s.ok()) return s.status();
  return table;
}

}  // namespace jetmon::lab
