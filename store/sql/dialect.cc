#include "store/sql/dialect.h"

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"

namespace jetmon::sql {
namespace {

absl::string_view Plain(std::string_view text) {
  return absl::string_view(text.data(), text.size());
}

class Sqlite final : public Dialect {
 public:
  std::string_view name() const override { return "sqlite"; }
  std::string OnDuplicateUpdate(const std::vector<std::string>& key_columns,
                                const std::vector<std::string>& columns) const override {
    return absl::StrCat(" ON CONFLICT (", absl::StrJoin(key_columns, ", "), ") DO UPDATE SET ",
                        absl::StrJoin(columns, ", ", [](std::string* out, const std::string& c) {
                          absl::StrAppend(out, c, " = excluded.", c);
                        }));
  }
  std::string_view AutoIncrementKey() const override { return "INTEGER PRIMARY KEY AUTOINCREMENT"; }
  std::string JoinedWhileNull(const std::vector<std::string>& columns,
                              std::string_view null_column) const override {
    return absl::StrCat("GENERATED ALWAYS AS (CASE WHEN ", Plain(null_column), " IS NULL THEN ",
                        absl::StrJoin(columns, " || '/' || "), " END) VIRTUAL");
  }
  // A function of ours: SQLite has none.
  std::string Hash16(std::string_view text) const override {
    return absl::StrCat("jetmon_hash16(", Plain(text), ")");
  }
  std::string_view NowMs() const override { return "strftime('%s', 'now') * 1000"; }
  std::string ColumnsOf(std::string_view table) const override {
    return absl::StrCat("SELECT name, lower(type), 1 - \"notnull\" FROM pragma_table_info('",
                        Plain(table), "') ORDER BY cid");
  }
  std::string IndexesOf(std::string_view table) const override {
    return absl::StrCat("SELECT 'PRIMARY', name FROM pragma_table_info('", Plain(table),
                        "') WHERE pk > 0 UNION ALL SELECT l.name, i.name FROM pragma_index_list('",
                        Plain(table), "') l, pragma_index_info(l.name) i");
  }
  std::string EngineOf(std::string_view) const override { return "SELECT ''"; }
  std::string SchemaStatement(std::string_view sql) const override { return std::string(sql); }
  bool TransactionalSchema() const override { return true; }
  bool Embedded() const override { return true; }
};

class Mysql final : public Dialect {
 public:
  std::string_view name() const override { return "mysql"; }
  std::string OnDuplicateUpdate(const std::vector<std::string>&,
                                const std::vector<std::string>& columns) const override {
    return absl::StrCat(" ON DUPLICATE KEY UPDATE ",
                        absl::StrJoin(columns, ", ", [](std::string* out, const std::string& c) {
                          absl::StrAppend(out, c, " = VALUES(", c, ")");
                        }));
  }
  std::string_view AutoIncrementKey() const override {
    return "BIGINT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY";
  }
  std::string JoinedWhileNull(const std::vector<std::string>& columns,
                              std::string_view null_column) const override {
    return absl::StrCat("GENERATED ALWAYS AS (CASE WHEN ", Plain(null_column),
                        " IS NULL THEN CONCAT(", absl::StrJoin(columns, ", '/', "),
                        ") END) STORED");
  }
  std::string Hash16(std::string_view text) const override {
    return absl::StrCat("LEFT(SHA2(CONVERT(", Plain(text), " USING utf8mb4), 256), 16)");
  }
  std::string_view NowMs() const override { return "UNIX_TIMESTAMP() * 1000"; }
  std::string ColumnsOf(std::string_view table) const override {
    return absl::StrCat(
        "SELECT column_name, LOWER(column_type), is_nullable = 'YES' FROM "
        "information_schema.columns WHERE table_schema = DATABASE() AND table_name = '",
        Plain(table), "' ORDER BY ordinal_position");
  }
  std::string IndexesOf(std::string_view table) const override {
    return absl::StrCat(
        "SELECT index_name, column_name FROM information_schema.statistics WHERE table_schema = "
        "DATABASE() AND table_name = '",
        Plain(table), "' ORDER BY index_name, seq_in_index");
  }
  std::string EngineOf(std::string_view table) const override {
    return absl::StrCat(
        "SELECT engine FROM information_schema.tables WHERE table_schema = DATABASE() AND "
        "table_name = '",
        Plain(table), "'");
  }
  std::string SchemaStatement(std::string_view sql) const override {
    const absl::string_view text = Plain(sql);
    constexpr absl::string_view kIndex = "INDEX IF NOT EXISTS ";
    // MySQL has no IF NOT EXISTS for an index; MariaDB has.
    if (const size_t at = text.find(kIndex); at != absl::string_view::npos) {
      return absl::StrCat(text.substr(0, at), "INDEX ", text.substr(at + kIndex.size()));
    }
    if (!absl::StartsWith(text, "CREATE TABLE")) return std::string(text);
    return absl::StrCat(text, " ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin");
  }
  bool TransactionalSchema() const override { return false; }
  bool Embedded() const override { return false; }
};

}  // namespace

const Dialect& SqliteDialect() {
  static const Sqlite dialect;
  return dialect;
}

const Dialect& MysqlDialect() {
  static const Mysql dialect;
  return dialect;
}

}  // namespace jetmon::sql
