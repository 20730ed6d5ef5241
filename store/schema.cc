#include "store/schema.h"

#include "absl/strings/str_replace.h"
#include "store/migrations/0001_initial.h"
#include "store/migrations/0002_notifications_site.h"

namespace jetmon::store {
namespace {

// The statements in the words of the dialect.
template <size_t N>
std::vector<std::string> InDialect(const char* const (&texts)[N], const sql::Dialect& dialect) {
  const std::string open_key =
      dialect.JoinedWhileNull({"blog_id", "site_id", "check_type", "discriminator"}, "ended_at_ms");
  std::vector<std::string> statements;
  for (const char* text : texts) {
    statements.push_back(absl::StrReplaceAll(
        text, {{"{AUTO_ID}", std::string(dialect.AutoIncrementKey())}, {"{OPEN_KEY}", open_key}}));
  }
  return statements;
}

std::vector<std::string> Initial(const sql::Dialect& dialect) {
  return InDialect(migrations::k0001Initial, dialect);
}

std::vector<std::string> NotificationsSite(const sql::Dialect& dialect) {
  return InDialect(migrations::k0002NotificationsSite, dialect);
}

}  // namespace

const std::vector<sql::Migration>& Migrations() {
  static const auto* migrations = new std::vector<sql::Migration>{
      {1, "initial", Initial, 1},
      {2, "notifications_site", NotificationsSite, 1},
  };
  return *migrations;
}

absl::StatusOr<std::unique_ptr<sql::Database>> OpenDatabase(std::string_view url,
                                                            bool auto_migrate) {
  auto db = sql::Database::Open(url);
  if (!db.ok()) return db.status();
  auto state = sql::InspectSchema(**db, Migrations());
  if (!state.ok()) return state.status();
  if (auto_migrate && !state->too_new && state->database < state->build) {
    if (auto s = sql::Migrate(**db, Migrations()); !s.ok()) return s;
    state = sql::InspectSchema(**db, Migrations());
    if (!state.ok()) return state.status();
  }
  if (auto s = sql::CheckSchema(*state); !s.ok()) return s;
  return db;
}

}  // namespace jetmon::store
