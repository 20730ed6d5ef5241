#include "cli/database_commands.h"

#include <CLI/CLI.hpp>
#include <iostream>
#include <memory>

#include "absl/strings/str_cat.h"
#include "cli/database_options.h"
#include "cli/json.h"
#include "cli/terminal.h"
#include "store/legacy_table.h"
#include "store/schema.h"

namespace jetmon::cli {
namespace {

struct Options {
  store::DatabaseSettings database;
  bool dry_run = false;
  std::string output = "table";
  uint32_t bucket_total = 512;
};

// Without looking at its schema.
absl::StatusOr<std::unique_ptr<sql::Database>> OpenUnseen(const store::DatabaseSettings& settings) {
  auto options = store::OptionsFrom(settings);
  if (!options.ok()) return options.status();
  return sql::Database::Open(settings.url, std::move(*options));
}

int Migrate(const Options& o) {
  auto db = OpenUnseen(o.database);
  if (!db.ok()) return Fail(db.status());
  auto state = sql::InspectSchema(**db, store::Migrations());
  if (!state.ok()) return Fail(state.status());
  if (state->too_new) return Fail(sql::CheckSchema(*state));
  if (o.dry_run) {
    for (const std::string& statement :
         sql::MissingStatements(*state, store::Migrations(), (*db)->dialect())) {
      std::cout << statement << ";\n";
    }
    std::cerr << (state->database >= state->build ? "nothing to do" : "nothing was changed")
              << "; the database's schema is " << state->database << ", this build's "
              << state->build << "\n";
    return kOk;
  }
  const absl::Status s = store::MigrateDatabase(o.database, [](const sql::Migration& m) {
    std::cout << "migration " << m.number << " (" << m.name << ") ..." << std::endl;
  });
  if (!s.ok()) return Fail(s);
  std::cout << "the schema is up to date\n";
  return kOk;
}

int MigrateStatus(const Options& o) {
  auto db = OpenUnseen(o.database);
  if (!db.ok()) return Fail(db.status());
  auto state = sql::InspectSchema(**db, store::Migrations());
  if (!state.ok()) return Fail(state.status());
  const absl::Status fits = sql::CheckSchema(*state);
  if (o.output == "json") {
    Json json;
    json.Set("database_schema", static_cast<double>(state->database));
    json.Set("build_schema", static_cast<double>(state->build));
    json.Set("status", fits.ok() ? "current" : state->too_new ? "too_new" : "outdated");
    std::cout << json.Dump() << "\n";
  } else {
    for (const sql::Migration& m : store::Migrations()) {
      std::cout << m.number << "  " << m.name << "  "
                << (m.number <= state->database ? "applied" : "missing") << "\n";
    }
    std::cout << (fits.ok() ? "the schema is up to date" : std::string(fits.message())) << "\n";
  }
  return fits.ok() ? kOk : kBlocked;
}

int Validate(const Options& o) {
  auto db = OpenUnseen(o.database);
  if (!db.ok()) return Fail(db.status());
  std::vector<store::LegacyFinding> findings;
  const absl::Status s = (*db)->Read([&](sql::Transaction& tx) {
    auto found = store::CheckLegacyTable(tx, o.bucket_total);
    if (found.ok()) findings = std::move(*found);
    return found.status();
  });
  if (!s.ok()) return Fail(s);
  bool blocked = false;
  Json list;
  for (const store::LegacyFinding& f : findings) {
    blocked = blocked || f.level == store::LegacyFinding::Level::kBlocker;
    const char* level = store::LevelName(f.level);
    Json row;
    row.Set("level", level).Set("code", f.code).Set("text", f.text);
    list.Append(row);
    if (o.output == "table") std::cout << level << "  " << f.code << "  " << f.text << "\n";
  }
  if (o.output == "json") {
    Json json;
    json.Set("status", blocked ? "blocked" : "ok").Set("findings", list);
    std::cout << json.Dump() << "\n";
  }
  return blocked ? kBlocked : kOk;
}

}  // namespace

void AddDatabaseCommands(CLI::App& app, int* exit_code) {
  auto o = std::make_shared<Options>();
  CLI::App* migrate = app.add_subcommand("migrate", "Bring a database to this build's schema");
  migrate->footer(
      "Examples:\n  jetmon2 migrate --database=sqlite:///var/lib/jetmon/jetmon.db\n"
      "  jetmon2 migrate --database=mysql://migrator@db/jetmon --dry-run\n"
      "  jetmon2 migrate status --database=mysql://migrator@db/jetmon");
  AddDatabaseOptions(migrate, &o->database);
  migrate->add_flag("--dry-run", o->dry_run, "print the SQL that would be run, and run none");
  CLI::App* status = migrate->add_subcommand(
      "status", "Which migrations are applied; exit 3 if the schema is not this build's");
  AddDatabaseOptions(status, &o->database);
  status->add_option("--output", o->output, "json or table")
      ->check(CLI::IsMember({"json", "table"}));
  migrate->callback([=] { *exit_code = status->parsed() ? MigrateStatus(*o) : Migrate(*o); });

  CLI::App* validate = app.add_subcommand(
      "validate-config",
      "Check that v1's table has what Jetmon 2 reads; changes nothing; exit 3 if something is "
      "missing");
  validate->footer("Example:\n  jetmon2 validate-config --database=mysql://jetmon@db/jetmon");
  AddDatabaseOptions(validate, &o->database);
  validate->add_option("--bucket-total", o->bucket_total, "how many buckets there are")
      ->check(CLI::Range(1, 65536));
  validate->add_option("--output", o->output, "json or table")
      ->check(CLI::IsMember({"json", "table"}));
  validate->callback([=] { *exit_code = Validate(*o); });
}

}  // namespace jetmon::cli
