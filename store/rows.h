#ifndef JETMON_STORE_ROWS_H_
#define JETMON_STORE_ROWS_H_

#include <functional>
#include <initializer_list>
#include <string>
#include <string_view>
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

// What stands behind the table of a query for a page of rows, newest first: only the filters that
// are set, so that an engine that plans before it knows the values finds the index of each.
class PageQuery {
 public:
  struct Filter {
    std::string_view column, value;  // "" = any
  };
  // Rows with a `key` below `before` ("" = from the newest), at most `limit`.
  PageQuery(std::initializer_list<Filter> filters, std::string_view key, std::string_view before,
            int limit);
  const std::string& rest() const { return rest_; }
  const std::vector<sql::Value>& values() const { return values_; }

 private:
  std::string rest_;
  std::vector<sql::Value> values_;
};

}  // namespace jetmon::store

#endif  // JETMON_STORE_ROWS_H_
