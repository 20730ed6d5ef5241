#ifndef JETMON_STORE_SQL_MIGRATOR_H_
#define JETMON_STORE_SQL_MIGRATOR_H_

#include <functional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "store/sql/database.h"

namespace jetmon::sql {

// One step of the schema: forward only, additive, idempotent.
struct Migration {
  int number = 0;  // 1, 2, 3 ...
  std::string name;
  // Statements for this dialect, run in order.
  std::vector<std::string> (*statements)(const Dialect& dialect) = nullptr;
  // The oldest build's schema number that may run on a database that has this migration.
  int oldest_build = 1;
};

// What a database has, against what a build knows.
struct SchemaState {
  int database = 0;      // newest migration recorded, 0 = none
  int build = 0;         // newest migration that the build knows
  bool too_new = false;  // the database asks for a newer build
};

absl::StatusOr<SchemaState> InspectSchema(Database& db, const std::vector<Migration>& migrations);
// The same within a transaction.
absl::StatusOr<SchemaState> InspectSchema(Transaction& tx,
                                          const std::vector<Migration>& migrations);

// What Migrate would run, in order, so that somebody else can run it as it is: of each missing
// migration its statements, and last the one that records it.
std::vector<std::string> MissingStatements(const SchemaState& state,
                                           const std::vector<Migration>& migrations,
                                           const Dialect& dialect);

// Runs what is missing; safe when several processes do it at once. In one transaction where schema
// changes can be part of one; elsewhere statement by statement, behind a lock that is a row of the
// database: whoever dies while it migrates is taken over from after `dead_after`, and the
// statements that it ran already are found done. `progress` (may be empty) is told of each
// migration before it begins. A server's statement_limit must allow for the longest statement.
absl::Status Migrate(Database& db, const std::vector<Migration>& migrations,
                     const std::function<void(const Migration&)>& progress = {},
                     std::chrono::milliseconds dead_after = std::chrono::seconds(30));

// OK if the build can run on the database; else one line that says which command to run.
absl::Status CheckSchema(const SchemaState& state);

}  // namespace jetmon::sql

#endif  // JETMON_STORE_SQL_MIGRATOR_H_
