#ifndef JETMON_CLI_KEY_COMMANDS_H_
#define JETMON_CLI_KEY_COMMANDS_H_

namespace CLI {
class App;
}

namespace jetmon::cli {

// Adds `keys create|list|revoke`, which work straight on the database.
void AddKeyCommands(CLI::App& app, int* exit_code);

}  // namespace jetmon::cli

#endif  // JETMON_CLI_KEY_COMMANDS_H_
