#ifndef JETMON_STORE_SQL_TEST_CHILD_H_
#define JETMON_STORE_SQL_TEST_CHILD_H_

#include <sys/types.h>

#include <string>
#include <utility>
#include <vector>

namespace jetmon::sql {

// Another process that runs one case of this very test program: a case whose name begins with
// DISABLED_, so that the program itself leaves it out. Killed with the object.
class TestChild {
 public:
  // `name`: "Suite.DISABLED_Case". `environment`: what the process has besides our own.
  TestChild(const std::string& name,
            const std::vector<std::pair<std::string, std::string>>& environment);
  ~TestChild();
  TestChild(const TestChild&) = delete;

  void Signal(int signal) const;
  // Waits for its end: the exit status, or minus the signal that killed it.
  int Wait();

 private:
  pid_t pid_ = -1;
};

}  // namespace jetmon::sql

#endif  // JETMON_STORE_SQL_TEST_CHILD_H_
