#ifndef JETMON_CLI_DATABASE_COMMANDS_H_
#define JETMON_CLI_DATABASE_COMMANDS_H_

namespace CLI {
class App;
}

namespace jetmon::cli {

// Adds `migrate [status]` and `validate-config`, which work straight on the database.
void AddDatabaseCommands(CLI::App& app, int* exit_code);

}  // namespace jetmon::cli

#endif  // JETMON_CLI_DATABASE_COMMANDS_H_
