#ifndef JETMON_CLI_API_COMMANDS_H_
#define JETMON_CLI_API_COMMANDS_H_

#include <string>

#include "cli/api_client.h"

namespace CLI {
class App;
}

namespace jetmon::cli {

// What every `jetmon2 api` command takes.
struct ApiOptions {
  Connection connection;
  std::string token_file;
  std::string output = "json";
  bool pretty = false;
};

// Adds `api` and all that stands below it. A command that ran leaves its exit code in *exit_code.
void AddApiCommands(CLI::App& app, ApiOptions* options, int* exit_code);

// Settles the connection (the token file) before a command runs.
absl::Status SettleConnection(ApiOptions* options);

// Sends, prints the answer on standard output or the error on standard error, and returns the exit
// code: 0 ok, 1 failed, 3 a blocked answer, 4 a refused confirmation.
int SendAndPrint(const ApiOptions& options, const Request& request);
// The same of a list, all of its pages as one.
int SendAllAndPrint(const ApiOptions& options, const Request& request, const std::string& list);
int StreamAndPrint(const ApiOptions& options, const Request& request);

// The pieces of SendAndPrint: what was not sent or not answered, an error answer, an answer.
int SayNotSent(const absl::Status& status);
int SayErrorAnswer(const Response& answer);
int PrintAnswer(const ApiOptions& options, const Response& answer);

}  // namespace jetmon::cli

#endif  // JETMON_CLI_API_COMMANDS_H_
