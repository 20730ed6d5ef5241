#include "store/test_database.h"

#include <gtest/gtest.h>
#include <stdio.h>
#include <stdlib.h>

#include <filesystem>
#include <mutex>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_split.h"
#include "store/sql/url.h"

namespace jetmon::store {
namespace {

constexpr char kEnvironment[] = "JETMON_TEST_DATABASE";
// A file that gets every statement: a JSON array a line, of its text and its values. For the test
// of their plans.
constexpr char kStatements[] = "JETMON_TEST_STATEMENTS";

// As v1 made it; on an embedded database the migration does the same.
constexpr char kLegacyTable[] =
    "CREATE TABLE IF NOT EXISTS jetpack_monitor_sites (jetpack_monitor_site_id BIGINT UNSIGNED NOT "
    "NULL AUTO_INCREMENT PRIMARY KEY, blog_id BIGINT UNSIGNED NOT NULL, bucket_no SMALLINT "
    "UNSIGNED NOT NULL, monitor_url VARCHAR(300) NOT NULL, monitor_active TINYINT NOT "
    "NULL DEFAULT 1, site_status TINYINT NOT NULL DEFAULT 1, last_status_change TIMESTAMP "
    "NULL DEFAULT NULL, check_interval TINYINT NOT NULL DEFAULT 5, KEY "
    "blog_id_monitor_url (blog_id, monitor_url), KEY bucket_no_monitor_active_check_interval "
    "(bucket_no, monitor_active, check_interval)) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 "
    "COLLATE=utf8mb4_bin";

// As JSON has it.
std::string Quoted(std::string_view text) {
  std::string quoted = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') quoted.push_back('\\');
    if (static_cast<unsigned char>(c) < ' ' || static_cast<unsigned char>(c) > '~') {
      absl::StrAppendFormat(&quoted, "\\u%04x", static_cast<unsigned char>(c));
    } else {
      quoted.push_back(c);
    }
  }
  return quoted + "\"";
}
std::string JsonOf(const sql::Value& value) {
  const sql::Value::Variant& v = value.variant();
  if (const auto* i = std::get_if<int64_t>(&v)) return absl::StrCat(*i);
  if (const auto* d = std::get_if<double>(&v)) return absl::StrCat(*d);
  if (const auto* s = std::get_if<std::string>(&v)) return Quoted(*s);
  if (const auto* b = std::get_if<sql::Value::Bytes>(&v)) return Quoted(b->data);
  return "null";
}

sql::Options Observed(sql::Options options) {
  const char* path = getenv(kStatements);
  if (path == nullptr) return options;
  options.observer = [path, tests = options.observer](std::string_view sql, sql::Params params) {
    if (tests) tests(sql, params);
    std::string line = "[" + Quoted(sql);
    for (const sql::Value& value : params.values()) absl::StrAppend(&line, ", ", JsonOf(value));
    line += "]\n";
    static std::mutex mutex;
    std::lock_guard lock(mutex);
    if (FILE* file = fopen(path, "a"); file != nullptr) {
      fwrite(line.data(), 1, line.size(), file);
      fclose(file);
    }
  };
  return options;
}

sql::Options WithPassword(sql::Options options) {
  const char* password = getenv("JETMON_DATABASE_PASSWORD");
  if (password != nullptr) options.server.password = password;
  return Observed(std::move(options));
}

// One URL for each host, that host first.
std::vector<std::string> OneEach(const std::string& url) {
  auto parsed = sql::ParseDatabaseUrl(url);
  EXPECT_TRUE(parsed.ok()) << parsed.status();
  std::vector<std::string> urls;
  for (size_t i = 0; i < parsed->hosts.size(); ++i) {
    sql::DatabaseUrl one = *parsed;
    one.hosts = {parsed->hosts[i]};
    urls.push_back(one.ToString());
  }
  return urls;
}

}  // namespace

TestDatabase::TestDatabase() {
  const char* server = getenv(kEnvironment);
  if (server != nullptr) {
    embedded_ = false;
    urls_ = OneEach(server);
  } else {
    const char* base = getenv("TEST_TMPDIR");
    std::string pattern = absl::StrCat(base != nullptr ? base : "/tmp", "/jetmon_XXXXXX");
    dir_ = mkdtemp(pattern.data());
    urls_ = {absl::StrCat("sqlite://", dir_, "/test.db")};
  }
  Open();
  if (!embedded()) Empty();
}

TestDatabase::TestDatabase(const std::string& file) : urls_({absl::StrCat("sqlite://", file)}) {
  Open();
}

void TestDatabase::Open() {
  for (const std::string& url : urls_) {
    DatabaseSettings settings;
    settings.url = url;
    settings.auto_migrate = true;
    auto db = OpenDatabase(settings, WithPassword({}));
    EXPECT_TRUE(db.ok()) << db.status() << " " << sql::EngineText(db.status());
    nodes_.push_back(std::move(*db));
  }
}

TestDatabase::~TestDatabase() {
  nodes_.clear();
  std::error_code ignored;
  if (!dir_.empty()) std::filesystem::remove_all(dir_, ignored);
}

sql::Database* TestDatabase::Next() { return nodes_[next_++ % nodes_.size()].get(); }

std::unique_ptr<sql::Database> TestDatabase::OpenAnother(sql::Options options) {
  auto db = sql::Database::Open(urls_[next_++ % urls_.size()], WithPassword(std::move(options)));
  EXPECT_TRUE(db.ok()) << db.status();
  return std::move(*db);
}

void TestDatabase::Empty() {
  sql::Database& db = *nodes_[0];
  const absl::Status made =
      db.ChangeSchema(db.clock().Boot() + std::chrono::seconds(10), kLegacyTable);
  EXPECT_TRUE(made.ok()) << made;
  const absl::Status s = db.Write([](sql::Transaction& tx) -> absl::Status {
    std::vector<std::string> tables;
    auto s = tx.Query(
        "SELECT table_name FROM information_schema.tables WHERE table_schema = DATABASE() AND "
        "table_name NOT IN ('jetmon_schema_migrations', 'jetmon_schema_lock')",
        {}, [&](const sql::Row& row) {
          tables.push_back(row.Text(0));
          return absl::OkStatus();
        });
    for (const std::string& table : tables) {
      if (s.ok()) s = tx.Execute(absl::StrCat("DELETE FROM ", table)).status();
    }
    return s;
  });
  EXPECT_TRUE(s.ok()) << s << " " << sql::EngineText(s);
}

}  // namespace jetmon::store
