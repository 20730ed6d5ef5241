#ifndef JETMON_CONTROLPLANE_ROLLOUT_TEST_TABLES_H_
#define JETMON_CONTROLPLANE_ROLLOUT_TEST_TABLES_H_

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "store/sql/database.h"

namespace jetmon::rollout {

// All rows of every table, each as text; to see what changed.
using Tables = std::map<std::string, std::vector<std::string>>;

inline Tables ReadTables(sql::Database& db) {
  Tables tables;
  const absl::Status s = db.Read([&](sql::Transaction& tx) -> absl::Status {
    tables.clear();
    std::map<std::string, std::vector<std::string>> columns;
    auto read = tx.Query(
        tx.dialect().Embedded()
            ? "SELECT t.name, c.name FROM sqlite_master t JOIN pragma_table_info(t.name) c WHERE "
              "t.type = 'table'"
            : "SELECT table_name, column_name FROM information_schema.columns WHERE table_schema = "
              "DATABASE()",
        {}, [&](const sql::Row& row) {
          columns[row.Text(0)].push_back(row.Text(1));
          return absl::OkStatus();
        });
    for (const auto& [table, names] : columns) {
      if (!read.ok()) return read;
      std::string list;
      for (const std::string& name : names) list += (list.empty() ? "" : ", ") + name;
      std::vector<std::string>& rows = tables[table];
      const size_t n = names.size();
      read = tx.Query("SELECT " + list + " FROM " + table, {}, [&rows, n](const sql::Row& row) {
        std::string& text = rows.emplace_back();
        for (size_t i = 0; i < n; ++i) text += row.Text(static_cast<int>(i)) + "|";
        return absl::OkStatus();
      });
      std::sort(rows.begin(), rows.end());
    }
    return read;
  });
  EXPECT_TRUE(s.ok()) << s;
  EXPECT_GT(tables.size(), 20u);
  return tables;
}

inline std::set<std::string> Changed(const Tables& before, const Tables& after) {
  std::set<std::string> changed;
  for (const auto& [table, rows] : after) {
    if (before.at(table) != rows) changed.insert(table);
  }
  return changed;
}

}  // namespace jetmon::rollout

#endif  // JETMON_CONTROLPLANE_ROLLOUT_TEST_TABLES_H_
