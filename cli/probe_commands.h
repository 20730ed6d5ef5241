#ifndef JETMON_CLI_PROBE_COMMANDS_H_
#define JETMON_CLI_PROBE_COMMANDS_H_

namespace CLI {
class App;
}

namespace jetmon::cli {

// Adds `probe URL` and `probe --file`, which check from here, with the engine of the daemons.
void AddProbeCommands(CLI::App& app, int* exit_code);

}  // namespace jetmon::cli

#endif  // JETMON_CLI_PROBE_COMMANDS_H_
