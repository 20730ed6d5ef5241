#include "store/sql/database.h"

#include <algorithm>
#include <random>
#include <thread>

#include "absl/strings/cord.h"
#include "absl/strings/str_cat.h"
#include "store/sql/connection.h"
#include "store/sql/pool.h"
#include "store/sql/url.h"

namespace jetmon::sql {
namespace {

using std::chrono::microseconds;

// Between two tries of a transaction: between half of this and this, doubling up to the limit.
constexpr microseconds kFirstPause{500};
constexpr microseconds kLongestPause{50'000};
// The same after a connection was lost or refused: a server that starts needs seconds.
constexpr microseconds kFirstPauseAway{50'000};
constexpr microseconds kLongestPauseAway{500'000};

constexpr char kOutcomeUnknownKey[] = "jetmon.sql/outcome_unknown";

void Pause(microseconds limit) {
  thread_local std::minstd_rand random(std::random_device{}());
  std::uniform_int_distribution<int64_t> pick(limit.count() / 2, limit.count());
  std::this_thread::sleep_for(microseconds(pick(random)));
}

bool WasLost(const absl::Status& s) { return s.GetPayload(kLostKey).has_value(); }

// Holds a body to what a failed statement means: after a conflict or a loss the engine may have
// rolled back already, and what follows would run and commit alone.
class Guarded final : public Transaction {
 public:
  Guarded(Connection& connection, const Options& options)
      : connection_(connection), observer_(options.observer) {}

  absl::StatusOr<int64_t> Execute(std::string_view sql, Params params) override {
    if (!failed_.ok()) return failed_;
    Observe(sql, params);
    auto done = connection_.Execute(sql, params);
    if (!done.ok()) Note(done.status());
    return done;
  }
  absl::StatusOr<int64_t> Insert(std::string_view sql, Params params) override {
    if (!failed_.ok()) return failed_;
    Observe(sql, params);
    auto done = connection_.Insert(sql, params);
    if (!done.ok()) Note(done.status());
    return done;
  }
  absl::Status Query(std::string_view sql, Params params, const RowCallback& row) override {
    if (!failed_.ok()) return failed_;
    Observe(sql, params);
    bool callers = false;  // the error is the callback's own
    absl::Status s = connection_.Query(sql, params, [&](const Row& r) {
      absl::Status status = row(r);
      callers = !status.ok();
      return status;
    });
    if (!s.ok() && !callers) Note(s);
    return s;
  }
  const Dialect& dialect() const override { return connection_.dialect(); }
  const absl::Status& failed() const { return failed_; }

 private:
  void Observe(std::string_view sql, Params params) const {
    if (observer_) observer_(sql, params);
  }
  void Note(const absl::Status& s) {
    if (absl::IsAborted(s) || absl::IsUnavailable(s)) failed_ = s;
  }

  Connection& connection_;
  const std::function<void(std::string_view, Params)>& observer_;
  absl::Status failed_;
};

// What a COMMIT that failed means for the caller.
absl::Status CommitFailed(absl::Status s, bool write) {
  // What COMMIT answers for a conflict or a constraint says that it was rolled back.
  if (!write || !(absl::IsUnavailable(s) || absl::IsInternal(s))) return s;
  absl::Status unknown(s.code(),
                       absl::StrCat(s.message(), "; whether the last change was made is unknown"));
  unknown.SetPayload(kEngineTextKey, absl::Cord(EngineText(s)));
  unknown.SetPayload(kOutcomeUnknownKey, absl::Cord("1"));
  return unknown;
}

absl::Status TryOnce(Connection& connection, const Options& options, bool write, const Body& body) {
  if (auto s = connection.Begin(write); !s.ok()) return s;
  Guarded tx(connection, options);
  absl::Status s = body(tx);
  if (!tx.failed().ok()) s = tx.failed();
  if (s.ok()) {
    s = connection.Commit();
    if (s.ok()) return s;
    s = CommitFailed(std::move(s), write);
  }
  // The first error is what the caller needs; a rollback that fails makes the connection unusable,
  // and closing it rolls back.
  connection.Rollback().IgnoreError();
  return s;
}

absl::Status RunOnce(Pool& pool, Connection& connection, bool write, const Body& body) {
  absl::Status s = TryOnce(connection, pool.options(), write, body);
  ++pool.counts().transactions;
  if (absl::IsAborted(s)) ++pool.counts().conflicts;
  if (WasLost(s) || OutcomeUnknown(s)) ++pool.counts().lost;
  if (OutcomeUnknown(s)) ++pool.counts().unknown_outcomes;
  return s;
}

// Tries `once` until it succeeds, fails for good, or the deadline is near.
template <typename Once>
absl::Status UntilDone(const Clock& clock, BootTime deadline, const Once& once) {
  microseconds pause = kFirstPause;
  for (;;) {
    const absl::Status s = once();
    const bool lost = WasLost(s);
    if (!absl::IsAborted(s) && !lost) return s;
    if (lost) pause = std::max(pause, kFirstPauseAway);
    if (clock.Boot() + pause >= deadline) {
      absl::Status given_up =
          absl::UnavailableError(absl::StrCat("gave up at the deadline: ", s.message()));
      given_up.SetPayload(kEngineTextKey, absl::Cord(EngineText(s)));
      return given_up;
    }
    Pause(pause);
    pause = std::min(pause * 2, lost ? kLongestPauseAway : kLongestPause);
  }
}

absl::StatusOr<std::unique_ptr<Connector>> NewConnector(const DatabaseUrl& url,
                                                        const Options& options) {
  if (url.engine == "mysql") return NewMysqlConnector(url, options.server);
  return NewSqliteConnector(url.path);
}

}  // namespace

std::string EngineText(const absl::Status& status) {
  const auto text = status.GetPayload(kEngineTextKey);
  return text.has_value() ? std::string(*text) : "";
}

bool OutcomeUnknown(const absl::Status& status) {
  return status.GetPayload(kOutcomeUnknownKey).has_value();
}

absl::StatusOr<bool> Transaction::ExecuteOne(std::string_view sql, Params params) {
  auto matched = Execute(sql, params);
  if (!matched.ok()) return matched.status();
  if (*matched > 1) {
    return absl::InternalError(absl::StrCat("a change of one row matched ", *matched));
  }
  return *matched == 1;
}

absl::StatusOr<bool> Transaction::InsertIfNew(std::string_view sql, Params params) {
  auto inserted = ExecuteOne(sql, params);
  if (absl::IsAlreadyExists(inserted.status())) return false;
  return inserted;
}

absl::StatusOr<bool> Transaction::QueryOne(std::string_view sql, Params params,
                                           const RowCallback& row) {
  int rows = 0;
  absl::Status s = Query(sql, params, [&](const Row& r) {
    if (++rows > 1) return absl::InternalError("a query for one row found more");
    return row(r);
  });
  if (!s.ok()) return s;
  return rows == 1;
}

Database::Database(std::unique_ptr<Pool> pool) : pool_(std::move(pool)) {}
Database::~Database() = default;

absl::StatusOr<std::unique_ptr<Database>> Database::Open(std::string_view url, Options options) {
  auto parsed = ParseDatabaseUrl(url);
  if (!parsed.ok()) return parsed.status();
  auto connector = NewConnector(*parsed, options);
  if (!connector.ok()) return connector.status();
  auto pool = std::make_unique<Pool>(std::move(options), std::move(*connector));
  // Once, without waiting for a server that is away: whoever starts a program wants to know.
  auto first = pool->Take(pool->clock().Boot() + pool->options().pool_wait);
  if (!first.ok()) return first.status();
  absl::Status s = RunOnce(*pool, **first, /*write=*/false, [](Transaction& tx) {
    return tx.Query("SELECT 1", {}, [](const Row&) { return absl::OkStatus(); });
  });
  pool->Give(std::move(*first));
  if (!s.ok()) return s;
  return std::unique_ptr<Database>(new Database(std::move(pool)));
}

absl::Status Database::OnPooled(BootTime deadline, bool write, const Body& body) {
  return UntilDone(clock(), deadline, [&]() -> absl::Status {
    auto connection = pool_->Take(deadline);
    if (!connection.ok()) return connection.status();
    absl::Status s = RunOnce(*pool_, **connection, write, body);
    pool_->Give(std::move(*connection));
    return s;
  });
}

absl::Status Database::Write(BootTime deadline, const Body& body) {
  return OnPooled(deadline, /*write=*/true, body);
}
absl::Status Database::Write(const Body& body) {
  return Write(clock().Boot() + kDefaultTransactionLimit, body);
}
absl::Status Database::Read(BootTime deadline, const Body& body) {
  return OnPooled(deadline, /*write=*/false, body);
}
absl::Status Database::Read(const Body& body) {
  return Read(clock().Boot() + kDefaultTransactionLimit, body);
}

absl::Status Database::ChangeSchema(BootTime deadline, std::string_view sql) {
  return UntilDone(clock(), deadline, [&]() -> absl::Status {
    auto connection = pool_->Take(deadline);
    if (!connection.ok()) return connection.status();
    absl::Status s = (*connection)->ChangeSchema(sql);
    pool_->Give(std::move(*connection));
    return s;
  });
}

const Dialect& Database::dialect() const { return pool_->dialect(); }
const Clock& Database::clock() const { return pool_->clock(); }

Figures Database::figures() const {
  const Pool::Counts& c = pool_->counts();
  return {c.transactions, c.conflicts, c.lost, c.unknown_outcomes, c.exhausted, c.connections};
}

absl::StatusOr<std::unique_ptr<Session>> Database::NewSession(
    std::optional<std::chrono::seconds> statement_limit) {
  const auto limit = statement_limit.value_or(pool_->options().server.statement_limit);
  auto connection = pool_->Make(limit);
  if (!connection.ok()) return connection.status();
  return std::unique_ptr<Session>(new Session(*pool_, std::move(*connection), limit));
}

Session::Session(Pool& pool, std::unique_ptr<Connection> connection,
                 std::chrono::seconds statement_limit)
    : pool_(pool), statement_limit_(statement_limit), connection_(std::move(connection)) {}
Session::~Session() = default;

absl::Status Session::Run(BootTime deadline, bool write, const Body& body) {
  return UntilDone(pool_.clock(), deadline, [&]() -> absl::Status {
    if (connection_ == nullptr || !pool_.IsGood(*connection_)) {
      connection_.reset();
      auto made = pool_.Make(statement_limit_);
      if (!made.ok()) return made.status();
      connection_ = std::move(*made);
    }
    absl::Status s = RunOnce(pool_, *connection_, write, body);
    if (!connection_->usable()) {
      pool_.Closing(*connection_);
      connection_.reset();
    }
    return s;
  });
}

absl::Status Session::Write(BootTime deadline, const Body& body) {
  return Run(deadline, /*write=*/true, body);
}
absl::Status Session::Read(BootTime deadline, const Body& body) {
  return Run(deadline, /*write=*/false, body);
}

}  // namespace jetmon::sql
