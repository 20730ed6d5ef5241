#ifndef JETMON_CLI_RUN_FIXTURE_H_
#define JETMON_CLI_RUN_FIXTURE_H_

#include <CLI/CLI.hpp>
#include <algorithm>
#include <functional>
#include <iostream>
#include <sstream>
#include <string>
#include <vector>

#include "cli/terminal.h"

namespace jetmon::cli {

// What a command printed, and its exit code.
struct Ran {
  int code = -1;
  std::string out, err;
};

// Runs a command line as main does, with the commands that `add` adds.
inline Ran RunCommand(std::vector<std::string> words,
                      const std::function<void(CLI::App&, int* exit_code)>& add) {
  CLI::App app("jetmon2", "jetmon2");
  app.require_subcommand(1);
  Ran ran;
  add(app, &ran.code);
  std::ostringstream out, err;
  auto* const before_out = std::cout.rdbuf(out.rdbuf());
  auto* const before_err = std::cerr.rdbuf(err.rdbuf());
  std::reverse(words.begin(), words.end());  // as CLI11 takes a vector
  try {
    app.parse(words);
  } catch (const CLI::ParseError& e) {
    ran.code = app.exit(e, out, err) == 0 ? kOk : kUsage;
  }
  std::cout.rdbuf(before_out);
  std::cerr.rdbuf(before_err);
  ran.out = out.str();
  ran.err = err.str();
  return ran;
}

}  // namespace jetmon::cli

#endif  // JETMON_CLI_RUN_FIXTURE_H_
