#include "store/schema.h"

#include "absl/strings/str_replace.h"
#include "store/migrations/0001_initial.h"

namespace jetmon::store {
namespace {

std::vector<std::string> Initial(const sql::Dialect& dialect) {
  const std::string open_key =
      dialect.JoinedWhileNull({"blog_id", "site_id", "check_type", "discriminator"}, "ended_at_ms");
  std::vector<std::string> statements;
  for (const char* text : migrations::k0001Initial) {
    statements.push_back(absl::StrReplaceAll(
        text, {{"{AUTO_ID}", std::string(dialect.AutoIncrementKey())}, {"{OPEN_KEY}", open_key}}));
  }
  return statements;
}

}  // namespace

const std::vector<sql::Migration>& Migrations() {
  static const auto* migrations = new std::vector<sql::Migration>{{1, "initial", Initial, 1}};
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
