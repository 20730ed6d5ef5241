// The schema on a bare database of each engine (see test_database.h for JETMON_TEST_DATABASE).
#include "store/schema.h"

#include <gtest/gtest.h>
#include <stdlib.h>

#include <algorithm>
#include <fstream>

#include "absl/strings/str_cat.h"
#include "store/sql/test_child.h"
#include "store/sql/url.h"

namespace jetmon::store {
namespace {

constexpr char kChildsUrl[] = "JETMON_TEST_CHILDS_DATABASE";

// A database without a table of ours; of a cluster, one URL a node.
class SchemaTest : public testing::Test {
 protected:
  SchemaTest() {
    const char* server = getenv("JETMON_TEST_DATABASE");
    if (server == nullptr) {
      std::string pattern = testing::TempDir() + "/schema_XXXXXX";
      urls_ = {absl::StrCat("sqlite://", mkdtemp(pattern.data()), "/t.db")};
      return;
    }
    const auto all = sql::ParseDatabaseUrl(server);
    for (const auto& host : all->hosts) {
      sql::DatabaseUrl one = *all;
      one.hosts = {host};
      urls_.push_back(one.ToString());
    }
    DropAll();
  }

  DatabaseSettings At(size_t node = 0) const {
    DatabaseSettings s;
    s.url = urls_[node % urls_.size()];
    return s;
  }
  static std::unique_ptr<sql::Database> Plain(const DatabaseSettings& settings) {
    auto db = sql::Database::Open(settings.url, *OptionsFrom(settings));
    EXPECT_TRUE(db.ok()) << db.status();
    return std::move(*db);
  }
  std::vector<std::string> Column(const char* query) {
    std::vector<std::string> values;
    const absl::Status s = Plain(At())->Read([&](sql::Transaction& tx) {
      values.clear();
      return tx.Query(query, {}, [&](const sql::Row& row) {
        values.push_back(row.Text(0));
        return absl::OkStatus();
      });
    });
    EXPECT_TRUE(s.ok()) << s << sql::EngineText(s);
    return values;
  }

  std::vector<std::string> urls_;

 private:
  void DropAll() {
    auto db = Plain(At());
    for (const std::string& table : Column("SELECT table_name FROM information_schema.tables WHERE "
                                           "table_schema = DATABASE()")) {
      const absl::Status s = db->ChangeSchema(db->clock().Boot() + std::chrono::seconds(20),
                                              absl::StrCat("DROP TABLE ", table));
      ASSERT_TRUE(s.ok()) << s << sql::EngineText(s);
    }
  }
};

TEST_F(SchemaTest, AnOlderSchemaIsRefusedInOneLineAndMigratedIfAsked) {
  DatabaseSettings settings = At();
  settings.auto_migrate = false;
  const absl::Status old = OpenDatabase(settings).status();
  EXPECT_TRUE(absl::IsFailedPrecondition(old)) << old;
  EXPECT_NE(old.message().find("jetmon2 migrate"), absl::string_view::npos) << old;
  EXPECT_EQ(old.message().find('\n'), absl::string_view::npos);
  settings.auto_migrate = true;
  EXPECT_TRUE(OpenDatabase(settings).ok());
  settings.auto_migrate = false;
  EXPECT_TRUE(OpenDatabase(settings).ok());
  EXPECT_EQ(Column("SELECT number FROM jetmon_schema_migrations").size(), Migrations().size());
}

TEST_F(SchemaTest, ANewerSchemaIsRefusedInOneLineIfItAsksForANewerBuild) {
  ASSERT_TRUE(MigrateDatabase(At()).ok());
  const int next = Migrations().back().number + 1;
  const auto pretend = [&](int oldest_build) {
    auto db = Plain(At());
    const absl::Status s = db->Write([&](sql::Transaction& tx) -> absl::Status {
      auto gone = tx.Execute("DELETE FROM jetmon_schema_migrations WHERE number = ?", {next});
      if (!gone.ok()) return gone.status();
      return tx
          .Execute(
              "INSERT INTO jetmon_schema_migrations (number, name, oldest_build, applied_at_ms) "
              "VALUES (?, 'later', ?, 1)",
              {next, oldest_build})
          .status();
    });
    EXPECT_TRUE(s.ok()) << s;
  };
  pretend(1);  // an additive step: this build may stay
  EXPECT_TRUE(OpenDatabase(At()).ok());
  pretend(next);
  for (const std::optional<bool> asked : {std::optional<bool>(true), std::optional<bool>()}) {
    DatabaseSettings settings = At();
    settings.auto_migrate = asked;
    const absl::Status s = OpenDatabase(settings).status();
    EXPECT_TRUE(absl::IsFailedPrecondition(s)) << s;
    EXPECT_NE(s.message().find("install a newer build"), absl::string_view::npos) << s;
    EXPECT_EQ(s.message().find('\n'), absl::string_view::npos);
  }
}

TEST_F(SchemaTest, MigratingAgainChangesNothingAndTellsNothing) {
  std::vector<int> told;
  const auto tell = [&](const sql::Migration& m) { told.push_back(m.number); };
  ASSERT_TRUE(MigrateDatabase(At(), tell).ok());
  EXPECT_EQ(told.size(), Migrations().size());
  ASSERT_TRUE(MigrateDatabase(At(1), tell).ok());
  EXPECT_EQ(told.size(), Migrations().size());
}

TEST_F(SchemaTest, ProcessesAtOnceOnEveryNodeEachSucceedAndEachStepIsRecordedOnce) {
  for (int round = 0; round < 2; ++round) {
    {
      std::vector<std::unique_ptr<sql::TestChild>> children;
      for (int i = 0; i < 3; ++i) {
        children.push_back(std::make_unique<sql::TestChild>(
            "SchemaChild.DISABLED_Migrates",
            std::vector<std::pair<std::string, std::string>>{{kChildsUrl, At(i).url}}));
      }
      for (auto& child : children) EXPECT_EQ(child->Wait(), 0);
    }
    const auto numbers = Column("SELECT number FROM jetmon_schema_migrations ORDER BY number");
    ASSERT_EQ(numbers.size(), Migrations().size());
    for (size_t i = 0; i < numbers.size(); ++i) {
      EXPECT_EQ(numbers[i], std::to_string(Migrations()[i].number));
    }
    EXPECT_TRUE(OpenDatabase(At(2)).ok());
  }
}

// The other process of the test above.
TEST(SchemaChild, DISABLED_Migrates) {
  DatabaseSettings settings;
  settings.url = getenv(kChildsUrl);
  settings.auto_migrate = true;
  const auto db = OpenDatabase(settings);
  ASSERT_TRUE(db.ok()) << db.status() << sql::EngineText(db.status());
}

}  // namespace
}  // namespace jetmon::store
