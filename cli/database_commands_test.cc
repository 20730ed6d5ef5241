#include "cli/database_commands.h"

#include <gtest/gtest.h>
#include <stdlib.h>

#include <CLI/CLI.hpp>
#include <filesystem>
#include <iostream>
#include <sstream>

#include "cli/key_commands.h"
#include "cli/run_fixture.h"
#include "cli/terminal.h"
#include "store/schema.h"

namespace jetmon::cli {
namespace {

Ran Jetmon2(std::vector<std::string> words) {
  return RunCommand(std::move(words), [](CLI::App& app, int* exit_code) {
    AddDatabaseCommands(app, exit_code);
    AddKeyCommands(app, exit_code);
  });
}

class DatabaseCommandsTest : public testing::Test {
 protected:
  DatabaseCommandsTest() {
    std::string pattern = std::string(getenv("TEST_TMPDIR")) + "/commands_XXXXXX";
    folder_ = mkdtemp(pattern.data());
    database_ = "--database=sqlite://" + folder_ + "/jetmon.db";
  }
  ~DatabaseCommandsTest() override { std::filesystem::remove_all(folder_); }

  void Change(const std::string& sql) {
    auto db = sql::Database::Open(database_.substr(database_.find('=') + 1));
    ASSERT_TRUE(db.ok()) << db.status();
    const absl::Status s =
        (*db)->Write([&](sql::Transaction& tx) { return tx.Execute(sql).status(); });
    ASSERT_TRUE(s.ok()) << s << sql::EngineText(s);
  }

  std::string folder_, database_;
};

TEST_F(DatabaseCommandsTest, ADryRunPrintsTheSqlAndChangesNothing) {
  for (int i = 0; i < 2; ++i) {
    const Ran ran = Jetmon2({"migrate", database_, "--dry-run"});
    EXPECT_EQ(ran.code, kOk);
    EXPECT_NE(ran.out.find("CREATE TABLE IF NOT EXISTS jetmon_events"), std::string::npos);
    EXPECT_NE(ran.out.find("jetpack_monitor_sites"), std::string::npos);
    EXPECT_NE(ran.err.find("nothing was changed"), std::string::npos);
  }
  EXPECT_EQ(Jetmon2({"migrate", "status", database_}).code, kBlocked);
  EXPECT_EQ(Jetmon2({"migrate", database_}).code, kOk);
  const Ran after = Jetmon2({"migrate", database_, "--dry-run"});
  EXPECT_EQ(after.out, "");
  EXPECT_NE(after.err.find("nothing to do"), std::string::npos);
}

TEST_F(DatabaseCommandsTest, WhatADryRunPrintsCanBeRunByHand) {
  const Ran ran = Jetmon2({"migrate", database_, "--dry-run"});
  const std::string& sql = ran.out;
  for (size_t at = 0, end; (end = sql.find(";\n", at)) != sql.npos; at = end + 2) {
    Change(sql.substr(at, end - at));
  }
  EXPECT_EQ(Jetmon2({"migrate", "status", database_}).code, kOk);
  EXPECT_EQ(Jetmon2({"keys", "list", database_}).code, kOk);
}

TEST_F(DatabaseCommandsTest, StatusSaysWhatIsMissing) {
  Ran ran = Jetmon2({"migrate", "status", database_});
  EXPECT_EQ(ran.code, kBlocked);
  EXPECT_NE(ran.out.find("1  initial  missing"), std::string::npos) << ran.out;
  EXPECT_NE(ran.out.find("run: jetmon2 migrate"), std::string::npos);
  ASSERT_EQ(Jetmon2({"migrate", database_}).code, kOk);
  ran = Jetmon2({"migrate", "status", database_, "--output=json"});
  EXPECT_EQ(ran.code, kOk);
  EXPECT_NE(ran.out.find("\"current\""), std::string::npos) << ran.out;
}

TEST_F(DatabaseCommandsTest, ASchemaOfANewerBuildIsRefused) {
  ASSERT_EQ(Jetmon2({"migrate", database_}).code, kOk);
  Change("INSERT INTO jetmon_schema_migrations VALUES (9999, 'of tomorrow', 9999, 1)");
  const std::vector<std::vector<std::string>> commands = {
      {"migrate", database_}, {"migrate", database_, "--dry-run"}, {"keys", "list", database_}};
  for (const auto& words : commands) {
    const Ran ran = Jetmon2(words);
    EXPECT_EQ(ran.code, kFailed);
    EXPECT_NE(ran.err.find("install a newer build"), std::string::npos) << ran.err;
    EXPECT_EQ(std::count(ran.err.begin(), ran.err.end(), '\n'), 1);
  }
  EXPECT_EQ(Jetmon2({"migrate", "status", database_}).code, kBlocked);
}

TEST_F(DatabaseCommandsTest, KeysWantTheSchemaOfThisBuild) {
  const Ran ran = Jetmon2({"keys", "create", "--consumer=c", database_});
  EXPECT_EQ(ran.code, kFailed);
  EXPECT_NE(ran.err.find("run: jetmon2 migrate"), std::string::npos) << ran.err;
}

TEST_F(DatabaseCommandsTest, ValidateConfigReportsAndAltersNothing) {
  ASSERT_EQ(Jetmon2({"migrate", database_}).code, kOk);
  Ran ran = Jetmon2({"validate-config", database_});
  EXPECT_EQ(ran.code, kOk) << ran.out << ran.err;
  EXPECT_NE(ran.out.find("ok  columns"), std::string::npos) << ran.out;
  Change("ALTER TABLE jetpack_monitor_sites DROP COLUMN last_status_change");
  for (int i = 0; i < 2; ++i) {
    ran = Jetmon2({"validate-config", database_, "--output=json"});
    EXPECT_EQ(ran.code, kBlocked);
    EXPECT_NE(ran.out.find("last_status_change"), std::string::npos) << ran.out;
  }
}

TEST_F(DatabaseCommandsTest, WrongInputIsOneLineThatSaysWhatToDo) {
  const auto err = [](const std::vector<std::string>& words) { return Jetmon2(words).err; };
  EXPECT_NE(err({"migrate", "--database=postgres://x"}).find("mysql://user@host"),
            std::string::npos);
  const std::string leak = err({"migrate", "--database=mysql://user:secret@host/db"});
  EXPECT_NE(leak.find("--database_password_file"), std::string::npos) << leak;
  EXPECT_EQ(leak.find("secret"), std::string::npos);
  EXPECT_NE(err({"migrate", "--database=mysql://u@127.0.0.1/db", "--database-password-file=/none"})
                .find("can't read a line from /none"),
            std::string::npos);
  EXPECT_EQ(Jetmon2({"migrate", database_, "--database-tls=perhaps"}).code, kUsage);
  EXPECT_EQ(Jetmon2({"validate-config", database_, "--bucket-total=0"}).code, kUsage);
}

}  // namespace
}  // namespace jetmon::cli
