#ifndef JETMON_STORE_SCHEMA_H_
#define JETMON_STORE_SCHEMA_H_

#include <functional>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "store/settings.h"
#include "store/sql/database.h"
#include "store/sql/migrator.h"

// The schema that this build needs.
namespace jetmon::store {

// All migrations in order.
const std::vector<sql::Migration>& Migrations();

// Opens the database, and brings the schema up if the settings say so, else refuses an older one.
// Errors are one line that says what to do (the command to run for an old schema; a newer schema:
// upgrade).
absl::StatusOr<std::unique_ptr<sql::Database>> OpenDatabase(const DatabaseSettings& settings,
                                                            sql::Options options);
absl::StatusOr<std::unique_ptr<sql::Database>> OpenDatabase(const DatabaseSettings& settings);

// Brings the schema up, with the time that a server's schema changes take; see sql::Migrate.
absl::Status MigrateDatabase(const DatabaseSettings& settings,
                             const std::function<void(const sql::Migration&)>& progress = {});

}  // namespace jetmon::store

#endif  // JETMON_STORE_SCHEMA_H_
