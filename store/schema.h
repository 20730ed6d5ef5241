#ifndef JETMON_STORE_SCHEMA_H_
#define JETMON_STORE_SCHEMA_H_

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "store/sql/database.h"
#include "store/sql/migrator.h"

// The schema that this build needs.
namespace jetmon::store {

// All migrations in order.
const std::vector<sql::Migration>& Migrations();

// Opens `url`, and brings the schema up if `auto_migrate`, else refuses an older one. Errors are
// one line that says what to do (the command to run for an old schema; a newer schema: upgrade).
absl::StatusOr<std::unique_ptr<sql::Database>> OpenDatabase(std::string_view url,
                                                            bool auto_migrate);

}  // namespace jetmon::store

#endif  // JETMON_STORE_SCHEMA_H_
