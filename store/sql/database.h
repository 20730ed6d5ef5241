#ifndef JETMON_STORE_SQL_DATABASE_H_
#define JETMON_STORE_SQL_DATABASE_H_

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "clock/clock.h"
#include "store/sql/dialect.h"
#include "store/sql/url.h"
#include "store/sql/value.h"

// The SQL layer: the only code that knows a database driver. Errors come back as statuses whose
// code says the class: AlreadyExists (duplicate key), FailedPrecondition (another constraint),
// Aborted (busy, deadlock: run the whole transaction again; Write and Read do), Unavailable (lost,
// unreachable, or still busy at the deadline), Internal (anything else). Messages never hold SQL:
// what the engine itself said is kept apart, see EngineText.
namespace jetmon::sql {

// What the engine said about an error of this layer, for a log; it may quote SQL, so it goes to
// nobody else. "" if it said nothing.
std::string EngineText(const absl::Status& status);

// One row of a result, valid during the callback only. Columns count from 0; a column of another
// type is converted as SQLite does; NULL reads as 0 or "".
class Row {
 public:
  virtual ~Row() = default;
  virtual bool IsNull(int column) const = 0;
  virtual int64_t Int(int column) const = 0;
  virtual double Double(int column) const = 0;
  virtual std::string Text(int column) const = 0;
  uint64_t Uint(int column) const { return static_cast<uint64_t>(Int(column)); }
  bool Bool(int column) const { return Int(column) != 0; }
  std::optional<int64_t> OptInt(int column) const {
    return IsNull(column) ? std::nullopt : std::optional<int64_t>(Int(column));
  }
  std::optional<std::string> OptText(int column) const {
    return IsNull(column) ? std::nullopt : std::optional<std::string>(Text(column));
  }
};

using RowCallback = std::function<absl::Status(const Row&)>;

// A transaction under way; what aggregates run their statements on. Made by Database::Write or
// Read, valid during their body only. One thread at a time. After a statement that failed with
// Aborted or Unavailable the body must return that status. Statements are prepared once a
// connection and kept.
class Transaction {
 public:
  virtual ~Transaction() = default;
  // Runs a statement that returns no rows; how many rows it matched (UPDATE, DELETE) or inserted.
  virtual absl::StatusOr<int64_t> Execute(std::string_view sql, Params params = {}) = 0;
  // Runs an INSERT; the id that the database assigned.
  virtual absl::StatusOr<int64_t> Insert(std::string_view sql, Params params = {}) = 0;
  // Runs a query; calls back for each row until one returns an error, which is then the result.
  // The callback must not run statements on this transaction.
  virtual absl::Status Query(std::string_view sql, Params params, const RowCallback& row) = 0;
  virtual const Dialect& dialect() const = 0;

  // Like Execute, and true if it matched exactly one row, false if none; Internal if more.
  absl::StatusOr<bool> ExecuteOne(std::string_view sql, Params params = {});
  // Like Query for at most one row; true if there was one. Internal if there were more.
  absl::StatusOr<bool> QueryOne(std::string_view sql, Params params, const RowCallback& row);
};

using Body = std::function<absl::Status(Transaction&)>;

struct Options {
  const Clock* clock = nullptr;  // nullptr = SystemClock()
  // Connections at most, and how long a caller waits for one before Unavailable (less when its
  // deadline is nearer).
  int pool_size = 8;
  std::chrono::milliseconds pool_wait{5000};
};

// How long Write and Read without a deadline of their own may take.
inline constexpr std::chrono::seconds kDefaultTransactionLimit{10};

class Connection;

// A connection of one's own, outside of the pool: for renewing leases, which must not wait behind
// other work. After an error that leaves doubt about the connection, the next call makes another.
// Not thread-safe. Must not outlive its Database.
class Session {
 public:
  ~Session();
  absl::Status Write(BootTime deadline, const Body& body);
  absl::Status Read(BootTime deadline, const Body& body);

 private:
  friend class Database;
  Session(const Clock& clock, DatabaseUrl url, std::unique_ptr<Connection> connection);
  absl::Status Run(BootTime deadline, bool write, const Body& body);
  const Clock& clock_;
  const DatabaseUrl url_;
  std::unique_ptr<Connection> connection_;  // nullptr: to be made
};

// A database with a bounded pool of connections. Thread-safe. A body must do no I/O, wait for
// nothing and not call Write or Read; it may run more than once (the whole transaction is run again
// with jitter after a conflict, until the deadline), so it must set its results, not add to them.
class Database {
 public:
  // Opens and checks that it answers. InvalidArgument for a URL of another form, Unimplemented for
  // an engine that this build lacks, Unavailable when it can't be reached or is no database; each
  // one line that says what to do.
  static absl::StatusOr<std::unique_ptr<Database>> Open(std::string_view url, Options options = {});
  ~Database();
  Database(const Database&) = delete;
  Database& operator=(const Database&) = delete;

  // BEGIN, body, COMMIT. A body that returns an error is rolled back and that error returned.
  absl::Status Write(BootTime deadline, const Body& body);
  absl::Status Write(const Body& body);
  // The same over one consistent snapshot; statements that write fail.
  absl::Status Read(BootTime deadline, const Body& body);
  absl::Status Read(const Body& body);

  absl::StatusOr<std::unique_ptr<Session>> NewSession();
  const Dialect& dialect() const;
  const Clock& clock() const { return clock_; }

 private:
  struct Pool;
  explicit Database(const Clock& clock, std::unique_ptr<Pool> pool);
  absl::Status OnPooled(BootTime deadline, bool write, const Body& body);

  const Clock& clock_;
  std::unique_ptr<Pool> pool_;
};

}  // namespace jetmon::sql

#endif  // JETMON_STORE_SQL_DATABASE_H_
