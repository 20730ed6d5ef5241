#ifndef JETMON_DAEMON_DAEMON_H_
#define JETMON_DAEMON_DAEMON_H_

#include <functional>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

// What the main function of each of our daemons does, once.
namespace jetmon::daemon {

// A daemon that runs: made by Program::start, with threads of its own. Destroyed on the main
// thread after Shutdown.
class Daemon {
 public:
  virtual ~Daemon() = default;
  // SIGHUP, after the flag file was read again: build a new configuration from the flags and use
  // what can change while running. An error is logged and the old configuration stays.
  virtual absl::Status Reload() { return absl::OkStatus(); }
  // SIGTERM or SIGINT: end in good order (drain, say goodbye) within 30 s and return.
  virtual void Shutdown() = 0;
};

struct Program {
  std::string name;     // "jetmon-monitor"
  std::string summary;  // one or two sentences for --help
  std::string example;  // a command line that works
  // Reads the flags into the daemon's configuration and starts it. An error is printed as one
  // line, and the process exits with 2.
  std::function<absl::StatusOr<std::unique_ptr<Daemon>>()> start;
};

// The version that --version prints and that health records carry.
std::string Version();

// Runs the program: sets up Abseil, reads the environment (JETMON_DATABASE for --database,
// ROLLOUT_MODE for --rollout_mode; flags win), --flagfile and flags; answers --help and --version
// with 0; refuses unknown flags, bad values and leftovers with one line and 2; starts the daemon,
// waits for signals, shuts it down. The exit code is 0 after a shutdown in good order.
int Main(int argc, char** argv, const Program& program);

}  // namespace jetmon::daemon

#endif  // JETMON_DAEMON_DAEMON_H_
