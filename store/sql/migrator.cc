#include "store/sql/migrator.h"

#include <algorithm>
#include <chrono>

#include "absl/strings/str_cat.h"

namespace jetmon::sql {
namespace {

constexpr std::chrono::seconds kMigrateLimit{60};

constexpr char kTable[] =
    "CREATE TABLE IF NOT EXISTS jetmon_schema_migrations ("
    "number INT NOT NULL PRIMARY KEY, name VARCHAR(128) NOT NULL, oldest_build INT NOT NULL, "
    "applied_at_ms BIGINT NOT NULL)";

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

absl::Status RunMigration(Transaction& tx, const Migration& m, int64_t now_ms) {
  for (const std::string& statement : m.statements(tx.dialect())) {
    auto done = tx.Execute(statement);
    if (!done.ok()) {
      // Whoever migrates must know what failed, in the engine's own words.
      return absl::Status(done.status().code(), absl::StrCat("migration ", m.number, " (", m.name,
                                                             "): ", done.status().message(), " (",
                                                             EngineText(done.status()), ")"));
    }
  }
  auto recorded = tx.Execute(
      "INSERT INTO jetmon_schema_migrations (number, name, oldest_build, applied_at_ms) "
      "VALUES (?, ?, ?, ?)",
      {m.number, m.name, m.oldest_build, now_ms});
  return recorded.status();
}

}  // namespace

absl::StatusOr<SchemaState> InspectSchema(Database& db, const std::vector<Migration>& migrations) {
  SchemaState state;
  int oldest_build = 0;
  absl::Status s = db.Read([&](Transaction& tx) -> absl::Status {
    // The table is looked for by asking it; an engine's own catalogue differs from the next one's.
    absl::Status asked = tx.Query("SELECT 1 FROM jetmon_schema_migrations LIMIT 1", {},
                                  [](const Row&) { return absl::OkStatus(); });
    if (absl::IsInternal(asked)) return absl::OkStatus();  // no such table
    return asked.ok() ? ReadState(tx, &state, &oldest_build) : asked;
  });
  if (!s.ok()) return s;
  state.build = Newest(migrations);
  state.too_new = oldest_build > state.build;
  return state;
}

absl::Status Migrate(Database& db, const std::vector<Migration>& migrations) {
  const int64_t now_ms = db.clock().WallMs();
  return db.Write(db.clock().Boot() + kMigrateLimit, [&](Transaction& tx) -> absl::Status {
    if (auto made = tx.Execute(kTable); !made.ok()) return made.status();
    SchemaState state;
    int oldest_build = 0;
    if (auto s = ReadState(tx, &state, &oldest_build); !s.ok()) return s;
    for (const Migration& m : migrations) {
      if (m.number <= state.database) continue;
      if (auto s = RunMigration(tx, m, now_ms); !s.ok()) return s;
    }
    return absl::OkStatus();
  });
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
