#include "store/sql/test_child.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"

namespace jetmon::sql {

TestChild::TestChild(const std::string& name,
                     const std::vector<std::pair<std::string, std::string>>& environment) {
  std::vector<std::string> variables;
  for (char** v = environ; *v != nullptr; ++v) {
    // What would make it write our report.
    const bool ours = absl::StartsWith(*v, "XML_OUTPUT_FILE=") || absl::StartsWith(*v, "GTEST_") ||
                      absl::StartsWith(*v, "TESTBRIDGE_") ||
                      absl::StartsWith(*v, "TEST_PREMATURE_EXIT_FILE=");
    if (!ours) variables.push_back(*v);
  }
  for (const auto& [key, value] : environment) variables.push_back(absl::StrCat(key, "=", value));
  std::vector<std::string> words = {"/proc/self/exe", absl::StrCat("--gtest_filter=", name),
                                    "--gtest_also_run_disabled_tests"};
  std::vector<char*> arguments, variable_pointers;
  for (std::string& w : words) arguments.push_back(w.data());
  for (std::string& v : variables) variable_pointers.push_back(v.data());
  arguments.push_back(nullptr);
  variable_pointers.push_back(nullptr);
  EXPECT_EQ(posix_spawn(&pid_, "/proc/self/exe", nullptr, nullptr, arguments.data(),
                        variable_pointers.data()),
            0);
}

TestChild::~TestChild() {
  if (pid_ <= 0) return;
  kill(pid_, SIGKILL);
  waitpid(pid_, nullptr, 0);
}

void TestChild::Signal(int signal) const { EXPECT_EQ(kill(pid_, signal), 0); }

int TestChild::Wait() {
  int status = 0;
  EXPECT_EQ(waitpid(pid_, &status, 0), pid_);
  pid_ = -1;
  return WIFSIGNALED(status) ? -WTERMSIG(status) : WEXITSTATUS(status);
}

}  // namespace jetmon::sql
