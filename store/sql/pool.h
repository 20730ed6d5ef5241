#ifndef JETMON_STORE_SQL_POOL_H_
#define JETMON_STORE_SQL_POOL_H_

#include <atomic>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <vector>

#include "store/sql/connection.h"

namespace jetmon::sql {

// A bounded set of connections that callers borrow. Thread-safe.
class Pool {
 public:
  Pool(Options options, std::unique_ptr<Connector> connector);

  // A connection that answered when it was last asked. Unavailable when all stay in use until the
  // deadline or for pool_wait, or when none can be made.
  absl::StatusOr<std::unique_ptr<Connection>> Take(BootTime deadline);
  // Gives it back; one that is in doubt, or leads to a server that is no longer in use, is closed,
  // and with it all that lie idle: what took it may have taken them too.
  void Give(std::unique_ptr<Connection> connection);
  // One outside of the bound.
  absl::StatusOr<std::unique_ptr<Connection>> Make(std::chrono::seconds statement_limit);
  // A connection is about to be closed; a server that has gone silent is not the next one tried.
  void Closing(const Connection& connection) {
    if (connection.silent()) connector_->Avoid(connection);
  }
  bool IsGood(const Connection& connection) const {
    return connection.usable() && connector_->IsCurrent(connection);
  }

  // What happened so far; see Figures. Counted by whoever sees it.
  struct Counts {
    std::atomic<uint64_t> transactions{0}, conflicts{0}, lost{0}, unknown_outcomes{0}, exhausted{0},
        connections{0};
  };
  Counts& counts() { return counts_; }

  const Clock& clock() const { return clock_; }
  const Dialect& dialect() const { return connector_->dialect(); }
  const Options& options() const { return options_; }

 private:
  struct Idle {
    std::unique_ptr<Connection> connection;
    BootTime since;
  };

  const Options options_;
  const Clock& clock_;
  const std::unique_ptr<Connector> connector_;
  std::mutex mutex_;
  std::condition_variable freed_;
  std::vector<Idle> idle_;  // guarded by mutex_
  int out_ = 0;             // guarded by mutex_
  Counts counts_;
};

}  // namespace jetmon::sql

#endif  // JETMON_STORE_SQL_POOL_H_
