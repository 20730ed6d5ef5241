#include <CLI/CLI.hpp>
#include <iostream>

#include "cli/api_commands.h"
#include "cli/database_commands.h"
#include "cli/key_commands.h"
#include "cli/probe_commands.h"
#include "cli/rollout_commands.h"
#include "cli/terminal.h"

int main(int argc, char** argv) {
  using namespace jetmon::cli;
  CLI::App app("jetmon2 - the operator's command line of Jetmon 2", "jetmon2");
  app.require_subcommand(1);
  app.set_version_flag("--version", "jetmon2 2.0.0");
  app.footer(
      "Example:\n  jetmon2 api rollout guided --bucket-min 0 --bucket-max 99 --owner-host "
      "monitor-a\n\nExit codes: 0 ok, 1 failed, 2 usage, 3 blocked gate, 4 refused confirmation");
  int exit_code = kOk;
  ApiOptions options;
  options.connection = ConnectionFromEnvironment();
  AddApiCommands(app, &options, &exit_code);
  AddDatabaseCommands(app, &exit_code);
  AddKeyCommands(app, &exit_code);
  AddProbeCommands(app, &exit_code);
  AddRolloutCommands(app, &exit_code);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& e) {
    const int code = app.exit(e);
    return code == 0 ? kOk : kUsage;
  }
  return exit_code;
}
