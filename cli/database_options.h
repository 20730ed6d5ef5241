#ifndef JETMON_CLI_DATABASE_OPTIONS_H_
#define JETMON_CLI_DATABASE_OPTIONS_H_

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "store/settings.h"
#include "store/sql/database.h"

namespace CLI {
class App;
}

namespace jetmon::cli {

// Adds --database and the options of a server's connection to a subcommand: those that daemons
// take as flags, here with hyphens (the underscores are understood too). Defaults come from the
// environment.
void AddDatabaseOptions(CLI::App* subcommand, store::DatabaseSettings* settings);

// Opens the database as it is: an older or newer schema is refused with what to run.
absl::StatusOr<std::unique_ptr<sql::Database>> OpenAsItIs(const store::DatabaseSettings& settings);

// Prints "jetmon2: ..." on stderr; what main returns for it.
int Fail(const absl::Status& status);

}  // namespace jetmon::cli

#endif  // JETMON_CLI_DATABASE_OPTIONS_H_
