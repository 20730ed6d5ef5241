#include "daemon/daemon.h"

#include <gflags/gflags.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "daemon/flags.h"
#include "daemon/log.h"
#include "daemon/open_files.h"

namespace jetmon::daemon {
namespace {

constexpr int kExitUsage = 2;

int Fail(const Program& program, const absl::Status& status) {
  std::string line(status.message());
  for (char& c : line) {
    if (c == '\n') c = ' ';
  }
  fprintf(stderr, "%s: %s\n", program.name.c_str(), line.c_str());
  return kExitUsage;
}

// Takes a flag's value from the environment, before the command line is read.
absl::Status FromEnvironment(const char* variable, const char* flag) {
  const char* value = getenv(variable);
  gflags::CommandLineFlagInfo info;
  if (value == nullptr || *value == '\0' || !gflags::GetCommandLineFlagInfo(flag, &info)) {
    return absl::OkStatus();
  }
  if (gflags::SetCommandLineOption(flag, value).empty()) {
    return absl::InvalidArgumentError(
        absl::StrCat(variable, " holds a value that --", flag, " does not take"));
  }
  return absl::OkStatus();
}

void PrintHelp(const Program& program) {
  printf("%s - %s\n\nExample:\n  %s\n\nFlags:\n%s", program.name.c_str(), program.summary.c_str(),
         program.example.c_str(), DescribeFlags().c_str());
}

// The signals that Main waits for; blocked in every thread, so that only sigwait sees them.
sigset_t BlockSignals() {
  signal(SIGPIPE, SIG_IGN);
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGTERM);
  sigaddset(&set, SIGINT);
  sigaddset(&set, SIGHUP);
  pthread_sigmask(SIG_BLOCK, &set, nullptr);
  return set;
}

void Reload(Daemon& daemon, const std::string& flagfile) {
  if (flagfile.empty()) {
    LogWarning("SIGHUP: there is no --flagfile to read again");
    return;
  }
  absl::Status s = ReadFlagFile(flagfile);
  if (s.ok()) s = daemon.Reload();
  if (s.ok()) {
    LogInfo(absl::StrCat("SIGHUP: configuration read again from ", flagfile));
  } else {
    LogError(absl::StrCat("SIGHUP: the old configuration stays: ", s.message()));
  }
}

void WaitForEnd(Daemon& daemon, const sigset_t& signals, const std::string& flagfile) {
  for (;;) {
    int signal = 0;
    if (sigwait(&signals, &signal) != 0) continue;
    if (signal == SIGHUP) {
      Reload(daemon, flagfile);
      continue;
    }
    LogInfo(absl::StrCat("stopping on ", signal == SIGTERM ? "SIGTERM" : "SIGINT"));
    return;
  }
}

}  // namespace

std::string Version() { return "2.0.0"; }

int Main(int argc, char** argv, const Program& program) {
  // Debian's Abseil looks for lock cycles under a global lock: memory and time per stream.
  absl::SetMutexDeadlockDetectionMode(absl::OnDeadlockCycle::kIgnore);
  Parsed parsed;
  absl::Status s = FromEnvironment("JETMON_DATABASE", "database");
  if (s.ok()) s = FromEnvironment("ROLLOUT_MODE", "rollout_mode");
  if (s.ok()) s = ParseFlags(std::vector<std::string>(argv + 1, argv + argc), &parsed);
  if (!s.ok()) return Fail(program, s);
  if (parsed.help) {
    PrintHelp(program);
    return 0;
  }
  if (parsed.version) {
    printf("%s %s\n", program.name.c_str(), Version().c_str());
    return 0;
  }
  const uint64_t open_files = RaiseOpenFiles();
  const sigset_t signals = BlockSignals();
  auto daemon = program.start();
  if (!daemon.ok()) return Fail(program, daemon.status());
  LogInfo(absl::StrCat(program.name, " ", Version(), " started, pid ", getpid(), ", ", open_files,
                       " open files at most"));
  WaitForEnd(**daemon, signals, parsed.flagfile);
  (*daemon)->Shutdown();
  daemon->reset();
  LogInfo(absl::StrCat(program.name, " stopped"));
  return 0;
}

}  // namespace jetmon::daemon
