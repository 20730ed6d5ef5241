#include "store/legacy_table.h"

#include <algorithm>
#include <map>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"

namespace jetmon::store {
namespace {

using Level = LegacyFinding::Level;

constexpr char kTable[] = "jetpack_monitor_sites";

// A column that v2 reads; `types` are beginnings of its type that our statements get on with.
struct Needed {
  const char* name;
  const char* shape;  // as v1 made it
  std::vector<const char*> types;
};

const std::vector<Needed>& NeededColumns() {
  static const auto* needed = new std::vector<Needed>{
      {"jetpack_monitor_site_id", "bigint unsigned, primary key", {"bigint", "int"}},
      {"blog_id", "bigint unsigned", {"bigint", "int"}},
      {"bucket_no", "smallint unsigned", {"smallint", "mediumint", "int", "bigint", "tinyint"}},
      {"monitor_url", "varchar(300)", {"varchar", "char", "text"}},
      {"monitor_active", "tinyint", {"tinyint", "smallint", "int", "bool"}},
      {"site_status", "tinyint", {"tinyint", "smallint", "int"}},
      {"last_status_change", "timestamp null", {"timestamp", "datetime"}},
      {"check_interval", "tinyint", {"tinyint", "smallint", "int"}},
  };
  return *needed;
}

struct Column {
  std::string type;
  bool nullable = false;
};

struct Shape {
  std::map<std::string, Column> columns;
  std::map<std::string, std::vector<std::string>> indexes;  // by name, columns in order
  std::string engine;
};

absl::StatusOr<Shape> ShapeOf(sql::Transaction& tx) {
  Shape shape;
  auto s = tx.Query(tx.dialect().ColumnsOf(kTable), {}, [&](const sql::Row& row) {
    shape.columns[row.Text(0)] = {row.Text(1), row.Bool(2)};
    return absl::OkStatus();
  });
  if (!s.ok()) return s;
  s = tx.Query(tx.dialect().IndexesOf(kTable), {}, [&](const sql::Row& row) {
    shape.indexes[row.Text(0)].push_back(row.Text(1));
    return absl::OkStatus();
  });
  if (!s.ok()) return s;
  s = tx.Query(tx.dialect().EngineOf(kTable), {}, [&](const sql::Row& row) {
    shape.engine = row.Text(0);
    return absl::OkStatus();
  });
  if (!s.ok()) return s;
  return shape;
}

class Findings {
 public:
  void Add(Level level, std::string code, std::string text) {
    list_.push_back({level, std::move(code), std::move(text)});
  }
  bool Has(std::string_view code) const {
    return std::any_of(list_.begin(), list_.end(), [&](const auto& f) { return f.code == code; });
  }
  std::vector<LegacyFinding> Take() { return std::move(list_); }

 private:
  std::vector<LegacyFinding> list_;
};

void CheckColumns(const Shape& shape, Findings* findings) {
  for (const Needed& n : NeededColumns()) {
    const auto column = shape.columns.find(n.name);
    if (column == shape.columns.end()) {
      findings->Add(Level::kBlocker, "column_missing",
                    absl::StrCat(kTable, " has no column ", n.name, " (", n.shape,
                                 "), which Jetmon 2 reads"));
      continue;
    }
    const std::string& type = column->second.type;
    const bool fits = std::any_of(n.types.begin(), n.types.end(),
                                  [&](const char* t) { return absl::StartsWith(type, t); });
    if (!fits) {
      findings->Add(Level::kBlocker, "column_type",
                    absl::StrCat(n.name, " is ", type, "; Jetmon 2 reads it as ", n.shape));
    }
  }
  const auto change = shape.columns.find("last_status_change");
  if (change != shape.columns.end() && !change->second.nullable) {
    findings->Add(Level::kWarning, "column_type",
                  "last_status_change takes no NULL; v1 made it `timestamp null`");
  }
  if (change != shape.columns.end() && absl::StartsWith(change->second.type, "datetime")) {
    findings->Add(Level::kWarning, "column_type",
                  "last_status_change is datetime, which has no time zone: Jetmon 2 reads and "
                  "writes it in UTC, v1 in its server's; make it `timestamp null`, or run v1's "
                  "database in UTC");
  }
  std::vector<std::string> extra;
  for (const auto& [name, column] : shape.columns) {
    const auto& needed = NeededColumns();
    if (std::none_of(needed.begin(), needed.end(),
                     [&, &name = name](const Needed& n) { return name == n.name; })) {
      extra.push_back(name);
    }
  }
  if (!extra.empty()) {
    findings->Add(Level::kOk, "extra_columns",
                  absl::StrCat("left alone: ", absl::StrJoin(extra, ", ")));
  }
  if (!findings->Has("column_missing") && !findings->Has("column_type")) {
    findings->Add(Level::kOk, "columns",
                  absl::StrCat("all ", NeededColumns().size(), " columns are as v1 made them"));
  }
}

bool IsLed(const Shape& shape, const std::vector<std::string>& columns) {
  return std::any_of(shape.indexes.begin(), shape.indexes.end(), [&](const auto& index) {
    const auto& has = index.second;
    return has.size() >= columns.size() && std::equal(columns.begin(), columns.end(), has.begin());
  });
}

// What our queries are led by, and what happens without.
struct NeededIndex {
  std::vector<std::string> columns;
  const char* otherwise;
};

const std::vector<NeededIndex>& NeededIndexes() {
  static const auto* needed = new std::vector<NeededIndex>{
      {{"jetpack_monitor_site_id"}, "reading a site would scan the whole table"},
      {{"bucket_no", "monitor_active"}, "reading a bucket would scan the whole table"},
      {{"blog_id"}, "telling people would scan the whole table, for rows of the same blog and URL"},
  };
  return *needed;
}

void CheckIndexes(const Shape& shape, Findings* findings) {
  for (const NeededIndex& n : NeededIndexes()) {
    if (IsLed(shape, n.columns)) continue;
    findings->Add(Level::kBlocker, "index_missing",
                  absl::StrCat("no index begins with (", absl::StrJoin(n.columns, ", "),
                               "): ", n.otherwise, "; add one, as v1 has it"));
  }
  if (!findings->Has("index_missing")) {
    findings->Add(Level::kOk, "indexes", "sites are found by id, by bucket and by blog");
  }
}

absl::Status CheckBuckets(sql::Transaction& tx, uint32_t bucket_total, Findings* findings) {
  int64_t greatest = -1;
  auto s =
      tx.Query("SELECT MAX(bucket_no) FROM jetpack_monitor_sites", {}, [&](const sql::Row& row) {
        if (!row.IsNull(0)) greatest = row.Int(0);
        return absl::OkStatus();
      });
  if (!s.ok()) return s;
  if (greatest >= static_cast<int64_t>(bucket_total)) {
    findings->Add(
        Level::kBlocker, "bucket_out_of_range",
        absl::StrCat("the greatest bucket_no is ", greatest, ", and there are ", bucket_total,
                     " buckets; say --bucket-total (daemons: "
                     "--bucket_total) as v1 has it"));
  } else {
    findings->Add(Level::kOk, "buckets",
                  greatest < 0 ? "the table is empty"
                               : absl::StrCat("the greatest bucket_no is ", greatest, ", of ",
                                              bucket_total, " buckets"));
  }
  return absl::OkStatus();
}

}  // namespace

const char* LevelName(Level level) {
  switch (level) {
    case Level::kOk:
      return "ok";
    case Level::kWarning:
      return "warning";
    case Level::kBlocker:
      return "blocker";
  }
  return "?";
}

absl::StatusOr<std::vector<std::string>> MissingLegacyIndexes(sql::Transaction& tx) {
  auto shape = ShapeOf(tx);
  if (!shape.ok()) return shape.status();
  std::vector<std::string> missing;
  for (const NeededIndex& n : NeededIndexes()) {
    if (IsLed(*shape, n.columns)) continue;
    missing.push_back(absl::StrCat("(", absl::StrJoin(n.columns, ", "), ")"));
  }
  return missing;
}

absl::StatusOr<std::vector<LegacyFinding>> CheckLegacyTable(sql::Transaction& tx,
                                                            uint32_t bucket_total) {
  auto shape = ShapeOf(tx);
  if (!shape.ok()) return shape.status();
  Findings findings;
  if (shape->columns.empty()) {
    findings.Add(Level::kBlocker, "table_missing",
                 absl::StrCat("this database has no table ", kTable,
                              "; point --database at the one that v1 uses"));
    return findings.Take();
  }
  CheckColumns(*shape, &findings);
  CheckIndexes(*shape, &findings);
  if (!shape->engine.empty() && shape->engine != "InnoDB") {
    findings.Add(Level::kBlocker, "engine",
                 absl::StrCat(kTable, " is stored by ", shape->engine,
                              ", which has no transactions; Jetmon 2 needs InnoDB"));
  }
  // Without its index the greatest number would be a scan.
  if (!findings.Has("index_missing") && !findings.Has("column_missing")) {
    if (auto s = CheckBuckets(tx, bucket_total, &findings); !s.ok()) return s;
  }
  return findings.Take();
}

}  // namespace jetmon::store
