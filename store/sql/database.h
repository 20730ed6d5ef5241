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
// Aborted (busy, deadlock, certification: run the whole transaction again; Write and Read do),
// Unavailable (lost, unreachable, or still busy at the deadline; see OutcomeUnknown),
// PermissionDenied (a right that the database's user lacks), Internal (anything else). Messages
// never hold SQL: what the engine itself said is kept apart, see EngineText.
namespace jetmon::sql {

// What the engine said about an error of this layer, for a log; it may quote SQL, so it goes to
// nobody else. "" if it said nothing.
std::string EngineText(const absl::Status& status);

// True of a Write's error if the connection was lost at COMMIT: the transaction may have been done,
// or may yet be, once a server that was silent wakes up. Whoever needs to know reads again what
// only this transaction could have written, in a transaction that changes a row which this one
// changed: that waits for its end. After any other error of Write nothing was written.
bool OutcomeUnknown(const absl::Status& status);

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
// Aborted or Unavailable every further one fails with the same, and so does the transaction,
// whatever its body returns. Statements are prepared once a connection and kept.
class Transaction {
 public:
  virtual ~Transaction() = default;
  // Runs a statement that returns no rows; how many rows it matched (UPDATE, DELETE) or inserted.
  virtual absl::StatusOr<int64_t> Execute(std::string_view sql, Params params = {}) = 0;
  // Runs an INSERT ("INSERT INTO table (...) VALUES (...)") of one row that is left out if a row
  // with its key is there already; true if it was inserted.
  absl::StatusOr<bool> InsertIfNew(std::string_view sql, Params params = {});
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

// How a database server is spoken to; an embedded database takes none of it.
struct ServerOptions {
  std::string password;
  // kAuto: kVerify, but kOff when every host is a loopback address or a socket is used.
  enum class Tls { kAuto, kVerify, kOff } tls = Tls::kAuto;
  // PEM files: what certifies the server ("" = the system's), our own certificate and its key.
  std::string tls_ca, tls_certificate, tls_key;
  std::chrono::seconds connect_limit{5};
  // A statement that takes longer is ended by the server (where it can), and a server that stays
  // silent for 2 s longer is given up.
  std::chrono::seconds statement_limit{10};
};

struct Options {
  const Clock* clock = nullptr;  // nullptr = SystemClock()
  // Connections at most, and how long a caller waits for one before Unavailable (less when its
  // deadline is nearer).
  int pool_size = 8;
  std::chrono::milliseconds pool_wait{5000};
  ServerOptions server;
  // Sees every statement and its values before it is run, on the caller's thread; for tests.
  std::function<void(std::string_view, Params)> observer;
};

// How long Write and Read without a deadline of their own may take.
inline constexpr std::chrono::seconds kDefaultTransactionLimit{10};

// What a Database has done since it was opened, its sessions included.
struct Figures {
  uint64_t transactions = 0;      // tries
  uint64_t conflicts = 0;         // of those, run again after a conflict
  uint64_t lost = 0;              // of those, ended by a lost connection
  uint64_t unknown_outcomes = 0;  // of those, lost at COMMIT
  uint64_t exhausted = 0;         // callers that got no connection in time
  uint64_t connections = 0;       // made
};

class Connection;
class Pool;

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
  Session(Pool& pool, std::unique_ptr<Connection> connection, std::chrono::seconds statement_limit);
  absl::Status Run(BootTime deadline, bool write, const Body& body);
  Pool& pool_;
  const std::chrono::seconds statement_limit_;
  std::unique_ptr<Connection> connection_;  // nullptr: to be made
};

// A database with a bounded pool of connections. Thread-safe. A body must do no I/O, wait for
// nothing and not call Write or Read; it may run more than once (the whole transaction is run again
// with jitter after a conflict, and on another connection when one was lost before COMMIT, until
// the deadline), so it must set its results, not add to them.
class Database {
 public:
  // Opens and checks that it answers. InvalidArgument for a URL of another form and for
  // TLS files that can't be read, Unavailable when it can't be reached or is no database; each one
  // line that says what to do.
  static absl::StatusOr<std::unique_ptr<Database>> Open(std::string_view url, Options options = {});
  ~Database();
  Database(const Database&) = delete;
  Database& operator=(const Database&) = delete;

  // BEGIN, body, COMMIT. A body that returns an error is rolled back and that error returned.
  absl::Status Write(BootTime deadline, const Body& body);
  absl::Status Write(const Body& body);
  // The same over one consistent snapshot; statements that write fail. A write transaction on a
  // server sees what others commit meanwhile: what it decides by, it must also change.
  absl::Status Read(BootTime deadline, const Body& body);
  absl::Status Read(const Body& body);

  // Runs one statement that changes the schema and commits by itself, where schema changes are no
  // part of transactions (see Dialect::TransactionalSchema); AlreadyExists if it was done before.
  absl::Status ChangeSchema(BootTime deadline, std::string_view sql);

  // With a limit of its own for each statement, for who must know sooner than others that a server
  // does not answer; see ServerOptions.
  absl::StatusOr<std::unique_ptr<Session>> NewSession(
      std::optional<std::chrono::seconds> statement_limit = std::nullopt);
  const Dialect& dialect() const;
  const Clock& clock() const;
  Figures figures() const;

 private:
  explicit Database(std::unique_ptr<Pool> pool);
  absl::Status OnPooled(BootTime deadline, bool write, const Body& body);

  std::unique_ptr<Pool> pool_;
};

}  // namespace jetmon::sql

#endif  // JETMON_STORE_SQL_DATABASE_H_
