#ifndef JETMON_STORE_LEGACY_TABLE_H_
#define JETMON_STORE_LEGACY_TABLE_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "store/sql/database.h"

namespace jetmon::store {

// What was found of v1's table, against the shape that v1 made it in.
struct LegacyFinding {
  enum class Level { kOk, kWarning, kBlocker } level = Level::kOk;
  // columns, column_missing, column_type, index_missing, indexes, engine, extra_columns,
  // table_missing, buckets, bucket_out_of_range
  std::string code;
  std::string text;  // what is, and what to do about it
};
// "ok", "warning", "blocker".
const char* LevelName(LegacyFinding::Level level);

// Looks at jetpack_monitor_sites: columns, their types, the indexes that our queries are led by,
// the storage engine, and whether all bucket numbers are below `bucket_total`. Reads only, and no
// row without an index. At least one finding.
absl::StatusOr<std::vector<LegacyFinding>> CheckLegacyTable(sql::Transaction& tx,
                                                            uint32_t bucket_total);

// The columns, as "(a, b)", that an index of it must begin with and none does.
absl::StatusOr<std::vector<std::string>> MissingLegacyIndexes(sql::Transaction& tx);

}  // namespace jetmon::store

#endif  // JETMON_STORE_LEGACY_TABLE_H_
