#include "store/sql/migrator.h"

#include <algorithm>
#include <chrono>

#include "absl/strings/str_cat.h"
#include "store/sql/migration_lock.h"

namespace jetmon::sql {
namespace {

constexpr std::chrono::seconds kMigrateLimit{60};
// Of one statement on a server: an index over millions of rows.
constexpr std::chrono::hours kStatementLimit{1};

constexpr char kTable[] =
    "CREATE TABLE IF NOT EXISTS jetmon_schema_migrations ("
    "number INT NOT NULL PRIMARY KEY, name VARCHAR(128) NOT NULL, oldest_build INT NOT NULL, "
    "applied_at_ms BIGINT NOT NULL)";

constexpr char kRecord[] =
    "INSERT INTO jetmon_schema_migrations (number, name, oldest_build, applied_at_ms) VALUES (?, "
    "?, "
    "?, ?)";

int Newest(const std::vector<Migration>& migrations) {
  int newest = 0;
  for (const Migration& m : migrations) newest = std::max(newest, m.number);
  return newest;
}

absl::Status ReadState(Transaction& tx, SchemaState* state, int* oldest_build) {
  return tx.Query(
      "SELECT COALESCE(MAX(number), 0), COALESCE(MAX(oldest_build), 0) FROM "
      "jetmon_schema_migrations",
      {}, [&](const Row& row) {
        state->database = static_cast<int>(row.Int(0));
        *oldest_build = static_cast<int>(row.Int(1));
        return absl::OkStatus();
      });
}

// Whoever migrates must know what failed, in the engine's own words.
absl::Status Failed(const Migration& m, const absl::Status& s) {
  return absl::Status(s.code(), absl::StrCat("migration ", m.number, " (", m.name,
                                             "): ", s.message(), " (", EngineText(s), ")"));
}

absl::Status Record(Transaction& tx, const Migration& m, int64_t now_ms) {
  return tx.Execute(kRecord, {m.number, m.name, m.oldest_build, now_ms}).status();
}

absl::Status InOneTransaction(Database& db, const std::vector<Migration>& migrations,
                              const std::function<void(const Migration&)>& progress) {
  const int64_t now_ms = db.clock().WallMs();
  return db.Write(db.clock().Boot() + kMigrateLimit, [&](Transaction& tx) -> absl::Status {
    if (auto made = tx.Execute(kTable); !made.ok()) return made.status();
    SchemaState state;
    int oldest_build = 0;
    if (auto s = ReadState(tx, &state, &oldest_build); !s.ok()) return s;
    for (const Migration& m : migrations) {
      if (m.number <= state.database) continue;
      if (progress) progress(m);
      for (const std::string& statement : m.statements(tx.dialect())) {
        if (auto done = tx.Execute(statement); !done.ok()) return Failed(m, done.status());
      }
      if (auto s = Record(tx, m, now_ms); !s.ok()) return s;
    }
    return absl::OkStatus();
  });
}

absl::Status RunBehindLock(Database& db, const MigrationLock& lock, const Migration& m) {
  for (const std::string& statement : m.statements(db.dialect())) {
    if (lock.lost()) return absl::AbortedError("another process took the migration over");
    absl::Status s = db.ChangeSchema(db.clock().Boot() + kStatementLimit,
                                     db.dialect().SchemaStatement(statement));
    if (!s.ok() && !absl::IsAlreadyExists(s)) return Failed(m, s);
  }
  return db.Write([&](Transaction& tx) -> absl::Status {
    if (auto s = lock.Check(tx); !s.ok()) return s;
    return Record(tx, m, db.clock().WallMs());
  });
}

absl::Status StepByStep(Database& db, const std::vector<Migration>& migrations,
                        const std::function<void(const Migration&)>& progress,
                        std::chrono::milliseconds dead_after) {
  auto made =
      db.ChangeSchema(db.clock().Boot() + kMigrateLimit, db.dialect().SchemaStatement(kTable));
  if (!made.ok() && !absl::IsAlreadyExists(made)) return made;
  auto lock = MigrationLock::Take(db, kMigrateLimit, dead_after);
  if (!lock.ok()) return lock.status();
  auto state = InspectSchema(db, migrations);
  if (!state.ok()) return state.status();
  for (const Migration& m : migrations) {
    if (m.number <= state->database) continue;
    if (progress) progress(m);
    if (auto s = RunBehindLock(db, **lock, m); !s.ok()) return s;
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<SchemaState> InspectSchema(Transaction& tx,
                                          const std::vector<Migration>& migrations) {
  SchemaState state;
  int oldest_build = 0;
  // The table is looked for by asking it; an engine's own catalogue differs from the next one's.
  const absl::Status asked = tx.Query("SELECT 1 FROM jetmon_schema_migrations LIMIT 1", {},
                                      [](const Row&) { return absl::OkStatus(); });
  if (asked.ok()) {
    if (auto s = ReadState(tx, &state, &oldest_build); !s.ok()) return s;
  } else if (!absl::IsInternal(asked)) {  // no such table
    return asked;
  }
  state.build = Newest(migrations);
  state.too_new = oldest_build > state.build;
  return state;
}

absl::StatusOr<SchemaState> InspectSchema(Database& db, const std::vector<Migration>& migrations) {
  SchemaState state;
  const absl::Status s = db.Read([&](Transaction& tx) {
    auto inspected = InspectSchema(tx, migrations);
    if (inspected.ok()) state = *inspected;
    return inspected.status();
  });
  if (!s.ok()) return s;
  return state;
}

std::vector<std::string> MissingStatements(const SchemaState& state,
                                           const std::vector<Migration>& migrations,
                                           const Dialect& dialect) {
  std::vector<std::string> statements;
  if (state.database == 0) {
    statements.push_back(dialect.SchemaStatement(kTable));
    if (!dialect.TransactionalSchema()) {
      for (std::string& s : MigrationLockStatements(dialect)) statements.push_back(std::move(s));
    }
  }
  for (const Migration& m : migrations) {
    if (m.number <= state.database) continue;
    for (const std::string& statement : m.statements(dialect)) {
      statements.push_back(dialect.SchemaStatement(statement));
    }
    statements.push_back(absl::StrCat(
        "INSERT INTO jetmon_schema_migrations (number, name, oldest_build, applied_at_ms) VALUES (",
        m.number, ", '", m.name, "', ", m.oldest_build, ", ", std::string(dialect.NowMs()), ")"));
  }
  return statements;
}

absl::Status Migrate(Database& db, const std::vector<Migration>& migrations,
                     const std::function<void(const Migration&)>& progress,
                     std::chrono::milliseconds dead_after) {
  return db.dialect().TransactionalSchema() ? InOneTransaction(db, migrations, progress)
                                            : StepByStep(db, migrations, progress, dead_after);
}

absl::Status CheckSchema(const SchemaState& state) {
  if (state.too_new) {
    return absl::FailedPreconditionError(absl::StrCat("the database's schema (", state.database,
                                                      ") is too new for this build (", state.build,
                                                      "); install a newer build"));
  }
  if (state.database < state.build) {
    return absl::FailedPreconditionError(absl::StrCat(
        "the database's schema (", state.database, ") is older than this build needs (",
        state.build, "); run: jetmon2 migrate --database=URL"));
  }
  return absl::OkStatus();
}

}  // namespace jetmon::sql
