#ifndef JETMON_STORE_ROWS_H_
#define JETMON_STORE_ROWS_H_

#include <functional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "store/sql/database.h"

// Many rows in few statements; for the aggregates.
namespace jetmon::store {

// Calls `f(at, n)` for pieces of `count` rows. Pieces are of 256, 128, 64 ... rows, so that few
// different statements are prepared whatever the count. Stops at the first error.
absl::Status InPieces(size_t count, const std::function<absl::Status(size_t at, size_t n)>& f);

// "(?, ?, ?)" with `n` marks.
std::string Marks(size_t n);

// Runs `head` + "(?, ..), (?, ..)" + `tail` for all rows; `columns` values a row.
absl::Status InsertRows(sql::Transaction& tx, const std::string& head, const std::string& tail,
                        size_t columns, const std::vector<std::vector<sql::Value>>& rows);

// Runs `head` + " IN (?, ?, ..)" + `tail` for all ids.
absl::Status ExecuteIn(sql::Transaction& tx, const std::string& head, const std::string& tail,
                       const std::vector<uint64_t>& ids);

}  // namespace jetmon::store

#endif  // JETMON_STORE_ROWS_H_
