#include "store/rows.h"

#include "absl/strings/str_cat.h"

namespace jetmon::store {
namespace {

constexpr size_t kMostRows = 256;

}  // namespace

absl::Status InPieces(size_t count, const std::function<absl::Status(size_t at, size_t n)>& f) {
  size_t n = kMostRows;
  for (size_t at = 0; at < count; at += n) {
    while (n > count - at) n /= 2;
    if (auto s = f(at, n); !s.ok()) return s;
  }
  return absl::OkStatus();
}

std::string Marks(size_t n) {
  std::string marks = "(?";
  for (size_t i = 1; i < n; ++i) marks += ", ?";
  return marks + ")";
}

absl::Status InsertRows(sql::Transaction& tx, const std::string& head, const std::string& tail,
                        size_t columns, const std::vector<std::vector<sql::Value>>& rows) {
  const std::string tuple = Marks(columns);
  return InPieces(rows.size(), [&](size_t at, size_t n) {
    std::string sql = head;
    std::vector<sql::Value> values;
    values.reserve(n * columns);
    for (size_t i = 0; i < n; ++i) {
      absl::StrAppend(&sql, i == 0 ? "" : ", ", tuple);
      values.insert(values.end(), rows[at + i].begin(), rows[at + i].end());
    }
    return tx.Execute(sql + tail, values).status();
  });
}

PageQuery::PageQuery(std::initializer_list<Filter> filters, std::string_view key,
                     std::string_view before, int limit) {
  const auto add = [this](std::string_view column, const char* compares, std::string_view value) {
    if (value.empty()) return;
    rest_ += rest_.empty() ? "WHERE " : "AND ";
    rest_.append(column).append(compares);
    values_.emplace_back(value);
  };
  for (const Filter& f : filters) add(f.column, " = ? ", f.value);
  add(key, " < ? ", before);
  rest_.append("ORDER BY ").append(key).append(" DESC LIMIT ?");
  values_.emplace_back(limit);
}

absl::Status ExecuteIn(sql::Transaction& tx, const std::string& head, const std::string& tail,
                       const std::vector<uint64_t>& ids) {
  return InPieces(ids.size(), [&](size_t at, size_t n) {
    const std::vector<sql::Value> values(ids.begin() + at, ids.begin() + at + n);
    return tx.Execute(absl::StrCat(head, " IN ", Marks(n), tail), values).status();
  });
}

}  // namespace jetmon::store
