#include "store/sql/dialect.h"

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"

namespace jetmon::sql {
namespace {

class Sqlite final : public Dialect {
 public:
  std::string_view name() const override { return "sqlite"; }
  std::string_view InsertIgnore() const override { return "INSERT OR IGNORE INTO"; }
  std::string OnDuplicateUpdate(const std::vector<std::string>& key_columns,
                                const std::vector<std::string>& columns) const override {
    return absl::StrCat(" ON CONFLICT (", absl::StrJoin(key_columns, ", "), ") DO UPDATE SET ",
                        absl::StrJoin(columns, ", ", [](std::string* out, const std::string& c) {
                          absl::StrAppend(out, c, " = excluded.", c);
                        }));
  }
  std::string_view AutoIncrementKey() const override { return "INTEGER PRIMARY KEY AUTOINCREMENT"; }
  // A write transaction holds the whole database.
  std::string_view LockClause() const override { return ""; }
  std::string JoinedWhileNull(const std::vector<std::string>& columns,
                              std::string_view null_column) const override {
    return absl::StrCat("GENERATED ALWAYS AS (CASE WHEN ",
                        absl::string_view(null_column.data(), null_column.size()), " IS NULL THEN ",
                        absl::StrJoin(columns, " || '/' || "), " END) VIRTUAL");
  }
};

}  // namespace

const Dialect& SqliteDialect() {
  static const Sqlite dialect;
  return dialect;
}

}  // namespace jetmon::sql
