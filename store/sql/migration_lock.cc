#include "store/sql/migration_lock.h"

#include <random>

#include "absl/strings/str_cat.h"

namespace jetmon::sql {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr seconds kBeat{1};
constexpr milliseconds kLook{200};
constexpr seconds kStatementLimit{10};

constexpr char kTable[] =
    "CREATE TABLE IF NOT EXISTS jetmon_schema_lock (id INT NOT NULL PRIMARY KEY, holder "
    "VARCHAR(64) NOT NULL, seq BIGINT NOT NULL)";
constexpr char kRow[] = "INSERT INTO jetmon_schema_lock (id, holder, seq) VALUES (1, '', 0)";

struct Seen {
  std::string holder;  // "" = free
  int64_t seq = 0;
};

absl::StatusOr<Seen> Look(Database& db) {
  Seen seen;
  auto s = db.Read(db.clock().Boot() + kStatementLimit, [&](Transaction& tx) {
    return tx.Query("SELECT holder, seq FROM jetmon_schema_lock WHERE id = 1", {},
                    [&](const Row& row) {
                      seen = {row.Text(0), row.Int(1)};
                      return absl::OkStatus();
                    });
  });
  if (!s.ok()) return s;
  return seen;
}

// From what was seen to another holder; false if it has changed meanwhile.
absl::StatusOr<bool> Change(Database& db, const Seen& seen, const std::string& holder) {
  bool matched = false;
  auto s = db.Write(db.clock().Boot() + kStatementLimit, [&](Transaction& tx) -> absl::Status {
    auto done = tx.ExecuteOne(
        "UPDATE jetmon_schema_lock SET holder = ?, seq = seq + 1 WHERE id = 1 AND holder = ? AND "
        "seq = ?",
        {holder, seen.holder, seen.seq});
    if (done.ok()) matched = *done;
    return done.status();
  });
  if (!s.ok()) return s;
  return matched;
}

absl::Status MakeRow(Database& db) {
  const BootTime deadline = db.clock().Boot() + kStatementLimit;
  auto s = db.ChangeSchema(deadline, db.dialect().SchemaStatement(kTable));
  if (!s.ok() && !absl::IsAlreadyExists(s)) return s;
  return db.Write(deadline, [](Transaction& tx) { return tx.InsertIfNew(kRow).status(); });
}

std::string NewHolder() {
  std::random_device random;
  return absl::StrCat(absl::Hex(random(), absl::kZeroPad8), absl::Hex(random(), absl::kZeroPad8),
                      absl::Hex(random(), absl::kZeroPad8));
}

}  // namespace

std::vector<std::string> MigrationLockStatements(const Dialect& dialect) {
  return {dialect.SchemaStatement(kTable), kRow};
}

MigrationLock::MigrationLock(Database& db, std::string holder)
    : db_(db), holder_(std::move(holder)), thread_([this] { Beat(); }) {}

absl::StatusOr<std::unique_ptr<MigrationLock>> MigrationLock::Take(Database& db, seconds limit,
                                                                   milliseconds dead_after) {
  if (auto s = MakeRow(db); !s.ok()) return s;
  const std::string holder = NewHolder();
  const BootTime end = db.clock().Boot() + limit;
  Seen last;
  BootTime since = db.clock().Boot();
  while (db.clock().Boot() < end) {
    auto seen = Look(db);
    const BootTime now = db.clock().Boot();
    if (!seen.ok()) {
      // A cluster that changes its schema answers nobody meanwhile: what was not seen to stand
      // still is not dead.
      if (!absl::IsUnavailable(seen.status()) || now >= end) return seen.status();
      since = now;
      continue;
    }
    if (seen->holder != last.holder || seen->seq != last.seq) {
      last = *seen;
      since = now;
    }
    if (seen->holder.empty() || now - since >= dead_after) {
      auto taken = Change(db, *seen, holder);
      if (!taken.ok()) return taken.status();
      if (*taken) return std::unique_ptr<MigrationLock>(new MigrationLock(db, holder));
    }
    std::this_thread::sleep_for(kLook);
  }
  return absl::UnavailableError(absl::StrCat("somebody else has been migrating this database for ",
                                             limit.count(),
                                             " s; look with: jetmon2 migrate status"));
}

void MigrationLock::Beat() {
  std::unique_lock lock(mutex_);
  while (!wake_.wait_for(lock, kBeat, [this] { return ending_; })) {
    lock.unlock();
    auto s =
        db_.Write(db_.clock().Boot() + kStatementLimit, [&](Transaction& tx) { return Check(tx); });
    // An error that passes is none: the lock is lost when somebody has taken it.
    if (absl::IsInternal(s)) lost_ = true;
    lock.lock();
  }
}

absl::Status MigrationLock::Check(Transaction& tx) const {
  auto mine = tx.ExecuteOne(
      "UPDATE jetmon_schema_lock SET seq = seq + 1 WHERE id = 1 AND holder = ?", {holder_});
  if (!mine.ok()) return mine.status();
  return *mine ? absl::OkStatus()
               : absl::InternalError("another process took the migration over; run it again");
}

MigrationLock::~MigrationLock() {
  {
    std::lock_guard lock(mutex_);
    ending_ = true;
  }
  wake_.notify_one();
  thread_.join();
  // If this fails, others wait for dead_after.
  db_.Write([&](Transaction& tx) {
       return tx
           .ExecuteOne(
               "UPDATE jetmon_schema_lock SET holder = '', seq = seq + 1 WHERE id = 1 AND holder = "
               "?",
               {holder_})
           .status();
     })
      .IgnoreError();
}

}  // namespace jetmon::sql
