#ifndef JETMON_STORE_SQL_DIALECT_H_
#define JETMON_STORE_SQL_DIALECT_H_

#include <string>
#include <string_view>
#include <vector>

namespace jetmon::sql {

// Where engines differ. Stateless.
class Dialect {
 public:
  virtual ~Dialect() = default;
  // "sqlite".
  virtual std::string_view name() const = 0;
  // What goes before the table of an INSERT that leaves rows alone whose key is there already:
  // "INSERT OR IGNORE INTO".
  virtual std::string_view InsertIgnore() const = 0;
  // What goes behind the VALUES of an INSERT that updates `columns` when the key is there already.
  virtual std::string OnDuplicateUpdate(const std::vector<std::string>& key_columns,
                                        const std::vector<std::string>& columns) const = 0;
  // Column type of a key that the database assigns and never uses again.
  virtual std::string_view AutoIncrementKey() const = 0;
  // What goes behind a SELECT whose rows the transaction is about to change.
  virtual std::string_view LockClause() const = 0;
  // Type and definition of a generated column that joins `columns` with '/' while `null_column` is
  // NULL, and is NULL otherwise.
  virtual std::string JoinedWhileNull(const std::vector<std::string>& columns,
                                      std::string_view null_column) const = 0;
};

const Dialect& SqliteDialect();

}  // namespace jetmon::sql

#endif  // JETMON_STORE_SQL_DIALECT_H_
