#include "cli/key_commands.h"

#include <CLI/CLI.hpp>
#include <chrono>
#include <iostream>
#include <memory>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "cli/database_options.h"
#include "cli/json.h"
#include "cli/terminal.h"
#include "clock/clock.h"
#include "store/ids.h"
#include "store/keys.h"

namespace jetmon::cli {
namespace {

constexpr std::chrono::seconds kLimit{30};

struct KeyOptions {
  store::DatabaseSettings database;
  std::string consumer, scope = "read", expires_in, key_id, output = "table";
};

std::string Time(int64_t ms) {
  if (ms == 0) return "never";
  return absl::FormatTime("%Y-%m-%dT%H:%M:%SZ", absl::FromUnixMillis(ms), absl::UTCTimeZone());
}

absl::Status InWrite(sql::Database& db, std::function<absl::Status(sql::Transaction&)> body) {
  return db.Write(SystemClock().Boot() + kLimit, std::move(body));
}

int CreateKey(const KeyOptions& o) {
  auto db = OpenAsItIs(o.database);
  if (!db.ok()) return Fail(db.status());
  const std::string token = store::NewApiToken();
  store::ApiKey key;
  key.created_at_ms = SystemClock().WallMs();
  key.key_id = "key_" + store::NewUlid(key.created_at_ms);
  key.consumer = o.consumer;
  key.scope = o.scope;
  key.token_hash = store::Sha256Hex(token);
  if (!o.expires_in.empty()) {
    absl::Duration d;
    if (!absl::ParseDuration(o.expires_in, &d) || d <= absl::ZeroDuration()) {
      return Fail(absl::InvalidArgumentError("--expires-in takes a duration such as 720h"));
    }
    key.expires_at_ms = key.created_at_ms + absl::ToInt64Milliseconds(d);
  }
  const absl::Status s =
      InWrite(**db, [&](sql::Transaction& tx) { return store::InsertKey(tx, key); });
  if (!s.ok()) return Fail(s);
  std::cout << token << "\n";
  std::cerr << "created " << key.key_id << " for " << key.consumer << ", scope " << key.scope
            << "; this is the only time that the token is shown\n";
  return kOk;
}

int ListKeys(const KeyOptions& o) {
  auto db = OpenAsItIs(o.database);
  if (!db.ok()) return Fail(db.status());
  std::vector<store::ApiKey> keys;
  const absl::Status s = InWrite(**db, [&](sql::Transaction& tx) {
    auto rows = store::ListKeys(tx);
    if (rows.ok()) keys = std::move(*rows);
    return rows.status();
  });
  if (!s.ok()) return Fail(s);
  Json list;
  for (const store::ApiKey& k : keys) {
    Json row;
    row.Set("key_id", k.key_id).Set("consumer", k.consumer).Set("scope", k.scope);
    row.Set("created_at", Time(k.created_at_ms)).Set("expires_at", Time(k.expires_at_ms));
    row.Set("revoked_at", Time(k.revoked_at_ms));
    if (o.output == "table") {
      std::cout << k.key_id << "  " << k.scope << "  " << k.consumer << "  created "
                << Time(k.created_at_ms) << "  expires " << Time(k.expires_at_ms) << "  revoked "
                << Time(k.revoked_at_ms) << "\n";
    }
    list.Append(row);
  }
  if (o.output == "json") std::cout << (keys.empty() ? "[]" : list.Dump()) << "\n";
  return kOk;
}

int RevokeKey(const KeyOptions& o) {
  auto db = OpenAsItIs(o.database);
  if (!db.ok()) return Fail(db.status());
  bool revoked = false;
  const absl::Status s = InWrite(**db, [&](sql::Transaction& tx) {
    auto matched = store::RevokeKey(tx, o.key_id, SystemClock().WallMs());
    if (matched.ok()) revoked = *matched;
    return matched.status();
  });
  if (!s.ok()) return Fail(s);
  if (!revoked) {
    return Fail(absl::NotFoundError(
        absl::StrCat("no key ", o.key_id, " that is not revoked already; see: jetmon2 keys list")));
  }
  std::cout << o.key_id << " is revoked; control planes that know it refuse it within 2 s\n";
  return kOk;
}

}  // namespace

void AddKeyCommands(CLI::App& app, int* exit_code) {
  auto o = std::make_shared<KeyOptions>();
  CLI::App* keys = app.add_subcommand("keys", "API keys, straight on the database");
  keys->require_subcommand(1);
  CLI::App* create = keys->add_subcommand("create", "Make a key; prints the token alone, once");
  create->footer("Example:\n  jetmon2 keys create --consumer deploy-bot --scope admin");
  AddDatabaseOptions(create, &o->database);
  create->add_option("--consumer", o->consumer, "who will use it")->required();
  create->add_option("--scope", o->scope, "read, write or admin")
      ->check(CLI::IsMember({"read", "write", "admin"}));
  create->add_option("--expires-in", o->expires_in, "such as 720h; never if left out");
  create->callback([o, exit_code] { *exit_code = CreateKey(*o); });

  CLI::App* list = keys->add_subcommand("list", "List keys; never their tokens");
  list->footer("Example:\n  jetmon2 keys list --output=json");
  AddDatabaseOptions(list, &o->database);
  list->add_option("--output", o->output, "json or table")->check(CLI::IsMember({"json", "table"}));
  list->callback([o, exit_code] { *exit_code = ListKeys(*o); });

  CLI::App* revoke = keys->add_subcommand("revoke", "Revoke a key now");
  revoke->footer("Example:\n  jetmon2 keys revoke key_...");
  AddDatabaseOptions(revoke, &o->database);
  revoke->add_option("key_id", o->key_id, "as keys list shows it")->required();
  revoke->callback([o, exit_code] { *exit_code = RevokeKey(*o); });
}

}  // namespace jetmon::cli
