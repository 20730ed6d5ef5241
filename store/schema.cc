#include "store/schema.h"

#include "absl/strings/str_replace.h"
#include "store/migrations/0001_initial.h"
#include "store/migrations/0002_notifications_order.h"
#include "store/migrations/0003_grown_tables.h"
#include "store/migrations/0004_rollout_complete.h"
#include "store/migrations/0005_who_wrote_it.h"
#include "store/migrations/0006_v1s_words.h"

namespace jetmon::store {
namespace {

// The statements in the words of the dialect.
template <size_t N>
std::vector<std::string> InDialect(const char* const (&texts)[N], const sql::Dialect& dialect) {
  const std::string open_key =
      dialect.JoinedWhileNull({"blog_id", "site_id", "check_type", "discriminator"}, "ended_at_ms");
  std::vector<std::string> statements;
  for (const std::string_view text : texts) {
    // On a server v1's table is there and v1's own.
    if (!dialect.Embedded() && text.find(" jetpack_monitor_sites ") != text.npos) continue;
    statements.push_back(absl::StrReplaceAll(
        absl::string_view(text.data(), text.size()),
        {{"{AUTO_ID}", std::string(dialect.AutoIncrementKey())}, {"{OPEN_KEY}", open_key}}));
  }
  return statements;
}

std::vector<std::string> Initial(const sql::Dialect& dialect) {
  return InDialect(migrations::k0001Initial, dialect);
}

std::vector<std::string> NotificationsOrder(const sql::Dialect& dialect) {
  return InDialect(migrations::k0002NotificationsOrder, dialect);
}

std::vector<std::string> GrownTables(const sql::Dialect& dialect) {
  return InDialect(migrations::k0003GrownTables, dialect);
}

std::vector<std::string> RolloutComplete(const sql::Dialect& dialect) {
  return InDialect(migrations::k0004RolloutComplete, dialect);
}

std::vector<std::string> WhoWroteIt(const sql::Dialect& dialect) {
  return InDialect(migrations::k0005WhoWroteIt, dialect);
}

std::vector<std::string> V1sWords(const sql::Dialect& dialect) {
  return InDialect(migrations::k0006V1sWords, dialect);
}

}  // namespace

const std::vector<sql::Migration>& Migrations() {
  static const auto* migrations = new std::vector<sql::Migration>{
      {1, "initial", Initial, 1},
      {2, "notifications_order", NotificationsOrder, 1},
      {3, "grown_tables", GrownTables, 1},
      // An older Monitor would not see that a part of its range leaves.
      {4, "rollout_complete", RolloutComplete, 4},
      {5, "who_wrote_it", WhoWroteIt, 4},
      // An older Monitor would take 0 for a suspicion, and tell again what v1 has told.
      {6, "v1s_words", V1sWords, 6},
  };
  return *migrations;
}

absl::StatusOr<std::unique_ptr<sql::Database>> OpenDatabase(const DatabaseSettings& settings,
                                                            sql::Options options) {
  auto db = sql::Database::Open(settings.url, std::move(options));
  if (!db.ok()) return db.status();
  auto state = sql::InspectSchema(**db, Migrations());
  if (!state.ok()) return state.status();
  if (MigratesByItself(settings) && !state->too_new && state->database < state->build) {
    if (auto s = MigrateDatabase(settings); !s.ok()) return s;
    state = sql::InspectSchema(**db, Migrations());
    if (!state.ok()) return state.status();
  }
  if (auto s = sql::CheckSchema(*state); !s.ok()) return s;
  return db;
}

absl::StatusOr<std::unique_ptr<sql::Database>> OpenDatabase(const DatabaseSettings& settings) {
  auto options = OptionsFrom(settings);
  if (!options.ok()) return options.status();
  return OpenDatabase(settings, std::move(*options));
}

absl::Status MigrateDatabase(const DatabaseSettings& settings,
                             const std::function<void(const sql::Migration&)>& progress) {
  auto options = OptionsFrom(settings);
  if (!options.ok()) return options.status();
  options->server.statement_limit = std::chrono::hours(1);
  auto db = sql::Database::Open(settings.url, std::move(*options));
  if (!db.ok()) return db.status();
  return sql::Migrate(**db, Migrations(), progress);
}

}  // namespace jetmon::store
