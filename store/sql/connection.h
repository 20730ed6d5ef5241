#ifndef JETMON_STORE_SQL_CONNECTION_H_
#define JETMON_STORE_SQL_CONNECTION_H_

#include <memory>
#include <string>

#include "store/sql/database.h"

namespace jetmon::sql {

// The payload of a status in which a driver leaves what its engine said.
inline constexpr char kEngineTextKey[] = "jetmon.sql/engine_text";
// The payload that a driver leaves in Unavailable when the server could not be reached or went
// away: another try, on another connection, may do better.
inline constexpr char kLostKey[] = "jetmon.sql/lost";

// One connection of a driver. Not thread-safe; at most one transaction at a time.
class Connection : public Transaction {
 public:
  // BEGIN: a write transaction of an embedded database takes the right to write at once. Aborted
  // when somebody else has it.
  virtual absl::Status Begin(bool write) = 0;
  virtual absl::Status Commit() = 0;
  virtual absl::Status Rollback() = 0;
  // See Database::ChangeSchema; outside of a transaction.
  virtual absl::Status ChangeSchema(std::string_view) {
    return absl::InternalError("the schema of this engine is changed in transactions");
  }
  // False after an error that leaves doubt: it is thrown away.
  virtual bool usable() const = 0;
  // Asked of a connection that lay idle for a while; false: it is thrown away.
  virtual bool Answers() { return true; }
  // It is not usable because its server said nothing for as long as it may: what connects there
  // next would wait, too.
  virtual bool silent() const { return false; }
};

// Makes connections to one database. Thread-safe.
class Connector {
 public:
  virtual ~Connector() = default;
  // One whose statements take `statement_limit` at most, see ServerOptions.
  virtual absl::StatusOr<std::unique_ptr<Connection>> Connect(
      std::chrono::seconds statement_limit) = 0;
  virtual const Dialect& dialect() const = 0;
  // False: it leads to another server than the one in use now, as after a failure of that one.
  virtual bool IsCurrent(const Connection&) const { return true; }
  // Begins with the server after this connection's the next time.
  virtual void Avoid(const Connection&) {}
};

std::unique_ptr<Connector> NewSqliteConnector(std::string path);
// InvalidArgument for TLS files that can't be read.
absl::StatusOr<std::unique_ptr<Connector>> NewMysqlConnector(const DatabaseUrl& url,
                                                             const ServerOptions& options);

}  // namespace jetmon::sql

#endif  // JETMON_STORE_SQL_CONNECTION_H_
