#ifndef JETMON_STORE_SQL_CONNECTION_H_
#define JETMON_STORE_SQL_CONNECTION_H_

#include <memory>
#include <string>

#include "store/sql/database.h"

namespace jetmon::sql {

// The payload of a status in which a driver leaves what its engine said.
inline constexpr char kEngineTextKey[] = "jetmon.sql/engine_text";

// One connection of a driver. Not thread-safe; at most one transaction at a time.
class Connection : public Transaction {
 public:
  // BEGIN: a write transaction takes the right to write at once. Aborted when somebody else has it.
  virtual absl::Status Begin(bool write) = 0;
  virtual absl::Status Commit() = 0;
  virtual absl::Status Rollback() = 0;
  // False after an error that leaves doubt: it is thrown away.
  virtual bool usable() const = 0;
};

absl::StatusOr<std::unique_ptr<Connection>> OpenSqlite(const std::string& path);

}  // namespace jetmon::sql

#endif  // JETMON_STORE_SQL_CONNECTION_H_
