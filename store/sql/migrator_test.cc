#include "store/sql/migrator.h"

#include <gtest/gtest.h>

#include <atomic>
#include <thread>

namespace jetmon::sql {
namespace {

std::vector<std::string> First(const Dialect&) { return {"CREATE TABLE a (x INT)"}; }
std::vector<std::string> Second(const Dialect&) { return {"ALTER TABLE a ADD COLUMN y INT"}; }
std::vector<std::string> Broken(const Dialect&) {
  return {"ALTER TABLE a ADD COLUMN z INT", "NONSENSE"};
}

std::string NewUrl() {
  std::string pattern = testing::TempDir() + "/migrate_XXXXXX";
  return std::string("sqlite://") + mkdtemp(pattern.data()) + "/t.db";
}

TEST(Migrate, RunsOnceWhoeverRunsIt) {
  const std::string url = NewUrl();
  const std::vector<Migration> migrations = {{1, "first", First, 1}, {2, "second", Second, 1}};
  std::atomic<int> failed{0};
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&] {
      auto db = Database::Open(url);
      if (!db.ok() || !Migrate(**db, migrations).ok()) ++failed;
    });
  }
  for (std::thread& t : threads) t.join();
  EXPECT_EQ(failed, 0);
  auto db = Database::Open(url);
  ASSERT_TRUE(db.ok());
  const auto state = InspectSchema(**db, migrations);
  ASSERT_TRUE(state.ok());
  EXPECT_EQ(state->database, 2);
  EXPECT_TRUE(CheckSchema(*state).ok());
}

TEST(Migrate, AnOlderSchemaNamesTheCommand) {
  auto db = Database::Open(NewUrl());
  ASSERT_TRUE(db.ok());
  const auto state = InspectSchema(**db, {{1, "first", First, 1}});
  ASSERT_TRUE(state.ok());
  EXPECT_EQ(state->database, 0);
  const absl::Status s = CheckSchema(*state);
  EXPECT_NE(s.message().find("jetmon2 migrate"), absl::string_view::npos) << s;
}

TEST(Migrate, ANewerSchemaIsRefusedOnlyIfItSaysSo) {
  auto db = Database::Open(NewUrl());
  ASSERT_TRUE(db.ok());
  const std::vector<Migration> old = {{1, "first", First, 1}};
  ASSERT_TRUE(Migrate(**db, {{1, "first", First, 1}, {2, "second", Second, 1}}).ok());
  EXPECT_TRUE(CheckSchema(*InspectSchema(**db, old)).ok());
  auto strict = Database::Open(NewUrl());
  ASSERT_TRUE(Migrate(**strict, {{1, "first", First, 1}, {2, "second", Second, 2}}).ok());
  EXPECT_FALSE(CheckSchema(*InspectSchema(**strict, old)).ok());
}

TEST(Migrate, AStepThatFailsLeavesNothing) {
  auto db = Database::Open(NewUrl());
  ASSERT_TRUE(db.ok());
  const absl::Status s = Migrate(**db, {{1, "first", First, 1}, {2, "broken", Broken, 1}});
  EXPECT_NE(s.message().find("migration 2 (broken)"), absl::string_view::npos) << s;
  EXPECT_NE(s.message().find("NONSENSE"), absl::string_view::npos) << s;
  EXPECT_EQ(InspectSchema(**db, {{1, "first", First, 1}})->database, 0);
}

}  // namespace
}  // namespace jetmon::sql
