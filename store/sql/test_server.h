#ifndef JETMON_STORE_SQL_TEST_SERVER_H_
#define JETMON_STORE_SQL_TEST_SERVER_H_

#include <gtest/gtest.h>
#include <sys/types.h>

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "store/sql/database.h"
#include "store/sql/url.h"

namespace jetmon::sql {

// The server that the tests of the driver run on, as tests/conformance starts it and says so:
//   JETMON_TEST_DATABASE      its URL; of a cluster, all nodes
//   JETMON_DATABASE_PASSWORD  of the URL's user, who may do everything
//   JETMON_TEST_SERVER_PIDS   the servers' process ids by commas, in the URL's order
// and a table `n (id, v)` with the rows 1 and 2, both v = 0.
class ServerTest : public testing::Test {
 protected:
  ServerTest();

  // A URL of the server (or of that node), with another port, user or database where said.
  DatabaseUrl Url(size_t node = 0) const;
  size_t nodes() const { return all_.hosts.size(); }
  pid_t pid(size_t node = 0) const { return pids_.at(node); }

  // With our password, unless `options` has one.
  static absl::StatusOr<std::unique_ptr<Database>> TryOpen(const DatabaseUrl& url,
                                                           Options options = {});
  static std::unique_ptr<Database> Open(const DatabaseUrl& url, Options options = {});

  // A statement of an administrator, on a connection that no test is about.
  void Admin(const std::string& sql, size_t node = 0) const;
  // The one number that a query finds; of a cluster, after all that was committed anywhere.
  int64_t Ask(const std::string& query, size_t node = 0) const;
  int64_t V(int id, size_t node = 0) const {
    return Ask("SELECT v FROM n WHERE id = " + std::to_string(id), node);
  }
  // How many connections a user has on the server.
  int64_t Connections(const std::string& user, size_t node = 0) const;

  // Waits until `done`; false if it does not come true in 20 s.
  static bool Until(const std::function<bool()>& done);

 private:
  DatabaseUrl all_;
  std::vector<pid_t> pids_;
  std::vector<std::unique_ptr<Database>> admins_;  // one a node
};

// That server without the table being made anew, for another process of a test.
std::unique_ptr<Database> OpenServer();
// v + 1 on a row of `n`.
absl::Status Increment(Transaction& tx, int id);
// Which connection of the server this is.
int64_t ConnectionId(Transaction& tx);

inline BootTime In(std::chrono::milliseconds d) { return SystemClock().Boot() + d; }

}  // namespace jetmon::sql

#endif  // JETMON_STORE_SQL_TEST_SERVER_H_
