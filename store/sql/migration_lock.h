#ifndef JETMON_STORE_SQL_MIGRATION_LOCK_H_
#define JETMON_STORE_SQL_MIGRATION_LOCK_H_

#include <atomic>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "store/sql/database.h"

namespace jetmon::sql {

// The statements that make the lock, as Take runs them.
std::vector<std::string> MigrationLockStatements(const Dialect& dialect);

// The right to migrate a server's schema: one row, taken by a conditional update, because neither
// GET_LOCK nor SELECT ... FOR UPDATE holds between the nodes of a Galera cluster. A thread bumps
// its sequence every second; whoever sees it unchanged for `dead_after` on its own clock takes it
// over.
class MigrationLock {
 public:
  // Waits until it is free, for `limit` at most (Unavailable then, naming the command that waits).
  static absl::StatusOr<std::unique_ptr<MigrationLock>> Take(
      Database& db, std::chrono::seconds limit,
      std::chrono::milliseconds dead_after = std::chrono::seconds(30));
  // Frees it.
  ~MigrationLock();

  // To stand in the transaction that records a migration: Internal if somebody took it over.
  absl::Status Check(Transaction& tx) const;
  bool lost() const { return lost_; }

 private:
  MigrationLock(Database& db, std::string holder);
  void Beat();

  Database& db_;
  const std::string holder_;
  std::atomic<bool> lost_{false};
  std::mutex mutex_;
  std::condition_variable wake_;
  bool ending_ = false;  // guarded by mutex_
  std::thread thread_;
};

}  // namespace jetmon::sql

#endif  // JETMON_STORE_SQL_MIGRATION_LOCK_H_
