#include "store/sql/database.h"

#include <algorithm>
#include <condition_variable>
#include <mutex>
#include <random>
#include <thread>
#include <vector>

#include "absl/strings/cord.h"
#include "absl/strings/str_cat.h"
#include "store/sql/connection.h"
#include "store/sql/url.h"

namespace jetmon::sql {
namespace {

using std::chrono::microseconds;
using std::chrono::milliseconds;
using std::chrono::nanoseconds;

// Between two tries of a transaction: between half of this and this, doubling up to the limit.
constexpr microseconds kFirstPause{500};
constexpr microseconds kLongestPause{50'000};

void Pause(microseconds limit) {
  thread_local std::minstd_rand random(std::random_device{}());
  std::uniform_int_distribution<int64_t> pick(limit.count() / 2, limit.count());
  std::this_thread::sleep_for(microseconds(pick(random)));
}

absl::Status RunOnce(Connection& connection, bool write, const Body& body) {
  if (auto s = connection.Begin(write); !s.ok()) return s;
  absl::Status s = body(connection);
  if (s.ok()) s = connection.Commit();
  if (!s.ok()) {
    // The body's error is what the caller needs; a rollback that fails makes the connection
    // unusable, and closing it rolls back.
    connection.Rollback().IgnoreError();
  }
  return s;
}

absl::Status RunUntil(const Clock& clock, BootTime deadline, Connection& connection, bool write,
                      const Body& body) {
  microseconds pause = kFirstPause;
  for (;;) {
    const absl::Status s = RunOnce(connection, write, body);
    if (!absl::IsAborted(s)) return s;
    if (clock.Boot() + pause >= deadline) {
      return absl::UnavailableError(absl::StrCat("gave up at the deadline: ", s.message()));
    }
    Pause(pause);
    pause = std::min(pause * 2, kLongestPause);
  }
}

absl::StatusOr<std::unique_ptr<Connection>> Connect(const DatabaseUrl& url) {
  return OpenSqlite(url.path);
}

}  // namespace

std::string EngineText(const absl::Status& status) {
  const auto text = status.GetPayload(kEngineTextKey);
  return text.has_value() ? std::string(*text) : "";
}

absl::StatusOr<bool> Transaction::ExecuteOne(std::string_view sql, Params params) {
  auto matched = Execute(sql, params);
  if (!matched.ok()) return matched.status();
  if (*matched > 1) {
    return absl::InternalError(absl::StrCat("a change of one row matched ", *matched));
  }
  return *matched == 1;
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

struct Database::Pool {
  DatabaseUrl url;
  Options options;
  std::mutex mutex;
  std::condition_variable freed;
  std::vector<std::unique_ptr<Connection>> idle;  // guarded by mutex
  int out = 0;                                    // guarded by mutex

  // Waits for `limit` at most, and no longer than pool_wait.
  absl::StatusOr<std::unique_ptr<Connection>> Take(nanoseconds limit) {
    const auto wait = std::min(limit, nanoseconds(options.pool_wait));
    std::unique_lock lock(mutex);
    const bool free =
        freed.wait_for(lock, wait, [this] { return !idle.empty() || out < options.pool_size; });
    if (!free) {
      return absl::UnavailableError(
          absl::StrCat("all ", options.pool_size, " database connections stayed in use"));
    }
    ++out;
    if (!idle.empty()) {
      auto connection = std::move(idle.back());
      idle.pop_back();
      return connection;
    }
    lock.unlock();
    auto made = Connect(url);
    if (!made.ok()) Give(nullptr);
    return made;
  }

  void Give(std::unique_ptr<Connection> connection) {
    {
      std::lock_guard lock(mutex);
      --out;
      if (connection != nullptr && connection->usable()) idle.push_back(std::move(connection));
    }
    freed.notify_one();
  }
};

Database::Database(const Clock& clock, std::unique_ptr<Pool> pool)
    : clock_(clock), pool_(std::move(pool)) {}
Database::~Database() = default;

absl::StatusOr<std::unique_ptr<Database>> Database::Open(std::string_view url, Options options) {
  auto parsed = ParseDatabaseUrl(url);
  if (!parsed.ok()) return parsed.status();
  auto pool = std::make_unique<Pool>();
  pool->url = *parsed;
  pool->options = options;
  const Clock& clock = options.clock != nullptr ? *options.clock : SystemClock();
  auto first = pool->Take(options.pool_wait);
  if (!first.ok()) return first.status();
  pool->Give(std::move(*first));
  std::unique_ptr<Database> db(new Database(clock, std::move(pool)));
  absl::Status s = db->Read([](Transaction& tx) {
    return tx.Query("SELECT 1", {}, [](const Row&) { return absl::OkStatus(); });
  });
  if (!s.ok()) return s;
  return db;
}

absl::Status Database::OnPooled(BootTime deadline, bool write, const Body& body) {
  auto connection = pool_->Take(deadline - clock_.Boot());
  if (!connection.ok()) return connection.status();
  absl::Status s = RunUntil(clock_, deadline, **connection, write, body);
  pool_->Give(std::move(*connection));
  return s;
}

absl::Status Database::Write(BootTime deadline, const Body& body) {
  return OnPooled(deadline, /*write=*/true, body);
}
absl::Status Database::Write(const Body& body) {
  return Write(clock_.Boot() + kDefaultTransactionLimit, body);
}
absl::Status Database::Read(BootTime deadline, const Body& body) {
  return OnPooled(deadline, /*write=*/false, body);
}
absl::Status Database::Read(const Body& body) {
  return Read(clock_.Boot() + kDefaultTransactionLimit, body);
}

const Dialect& Database::dialect() const { return SqliteDialect(); }

absl::StatusOr<std::unique_ptr<Session>> Database::NewSession() {
  auto connection = Connect(pool_->url);
  if (!connection.ok()) return connection.status();
  return std::unique_ptr<Session>(new Session(clock_, pool_->url, std::move(*connection)));
}

Session::Session(const Clock& clock, DatabaseUrl url, std::unique_ptr<Connection> connection)
    : clock_(clock), url_(std::move(url)), connection_(std::move(connection)) {}
Session::~Session() = default;

absl::Status Session::Run(BootTime deadline, bool write, const Body& body) {
  if (connection_ == nullptr) {
    auto made = Connect(url_);
    if (!made.ok()) return made.status();
    connection_ = std::move(*made);
  }
  absl::Status s = RunUntil(clock_, deadline, *connection_, write, body);
  if (!connection_->usable()) connection_.reset();
  return s;
}

absl::Status Session::Write(BootTime deadline, const Body& body) {
  return Run(deadline, /*write=*/true, body);
}
absl::Status Session::Read(BootTime deadline, const Body& body) {
  return Run(deadline, /*write=*/false, body);
}

}  // namespace jetmon::sql
