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
  // "sqlite" or "mysql".
  virtual std::string_view name() const = 0;
  // What goes behind the VALUES of an INSERT that updates `columns` when the key is there already.
  virtual std::string OnDuplicateUpdate(const std::vector<std::string>& key_columns,
                                        const std::vector<std::string>& columns) const = 0;
  // Column type of a key that the database assigns and never uses again.
  virtual std::string_view AutoIncrementKey() const = 0;
  // Type and definition of a generated column that joins `columns` with '/' while `null_column` is
  // NULL, and is NULL otherwise.
  virtual std::string JoinedWhileNull(const std::vector<std::string>& columns,
                                      std::string_view null_column) const = 0;
  // An expression: 16 hex digits of the SHA-256 of a text, as UTF-8.
  virtual std::string Hash16(std::string_view text) const = 0;
  // An expression: now, in Unix milliseconds by the database's clock. For statements that people
  // run by hand; ours get times as values.
  virtual std::string_view NowMs() const = 0;
  // A query for the columns of a table: name, type (lower case), whether it takes NULL (0 or 1).
  virtual std::string ColumnsOf(std::string_view table) const = 0;
  // A query for the indexes of a table: name of the index, column, by index and place in it. The
  // primary key is called PRIMARY.
  virtual std::string IndexesOf(std::string_view table) const = 0;
  // A query for the storage engine of a table, '' where there is only one.
  virtual std::string EngineOf(std::string_view table) const = 0;
  // A statement that changes the schema, in this engine's words: `sql` is CREATE TABLE or CREATE
  // INDEX with IF NOT EXISTS. Where an engine knows no IF NOT EXISTS for it, the statement fails
  // with AlreadyExists when the thing is there.
  virtual std::string SchemaStatement(std::string_view sql) const = 0;
  // True if statements that change the schema are part of the transaction that they stand in, and
  // false if each of them commits.
  virtual bool TransactionalSchema() const = 0;
  // True if the database is ours alone: a file that we make, with v1's table in it.
  virtual bool Embedded() const = 0;
};

const Dialect& SqliteDialect();
// MariaDB, Galera and MySQL.
const Dialect& MysqlDialect();

}  // namespace jetmon::sql

#endif  // JETMON_STORE_SQL_DIALECT_H_
