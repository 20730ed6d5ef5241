#ifndef JETMON_CLI_ROLLOUT_COMMANDS_H_
#define JETMON_CLI_ROLLOUT_COMMANDS_H_

namespace CLI {
class App;
}

namespace jetmon::cli {

// Adds `rollout`: what an operator checks of a rollout without a control plane. A command that ran
// leaves its exit code in *exit_code.
void AddRolloutCommands(CLI::App& app, int* exit_code);

}  // namespace jetmon::cli

#endif  // JETMON_CLI_ROLLOUT_COMMANDS_H_
