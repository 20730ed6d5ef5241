// Migrating a server or a cluster: one at a time, whoever dies is taken over from, and whoever was
// taken over from is told.
#include <signal.h>

#include <latch>
#include <thread>

#include "absl/strings/str_cat.h"
#include "store/sql/migration_lock.h"
#include "store/sql/migrator.h"
#include "store/sql/test_child.h"
#include "store/sql/test_server.h"

namespace jetmon::sql {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

// A holder beats every second.
constexpr milliseconds kDeadAfter{2500};

std::vector<std::string> First(const Dialect&) {
  return {"CREATE TABLE IF NOT EXISTS m_a (x INT)", "ALTER TABLE m_a ADD COLUMN y INT",
          "CREATE INDEX IF NOT EXISTS m_a_x ON m_a (x)"};
}
std::vector<std::string> Second(const Dialect&) {
  return {"CREATE TABLE IF NOT EXISTS m_b (x INT)", "ALTER TABLE m_a ADD COLUMN z INT"};
}
std::vector<std::string> Broken(const Dialect&) {
  return {"CREATE TABLE IF NOT EXISTS m_c (x INT)", "NONSENSE"};
}
std::vector<Migration> Both() { return {{1, "first", First, 1}, {2, "second", Second, 1}}; }

class MysqlMigrationTest : public ServerTest {
 protected:
  MysqlMigrationTest() {
    for (const char* table :
         {"jetmon_schema_migrations", "jetmon_schema_lock", "m_a", "m_b", "m_c"}) {
      Admin(absl::StrCat("DROP TABLE IF EXISTS ", table));
    }
    for (int i = 0; i < 3; ++i) db_.push_back(Open(Url(i % nodes())));
  }
  int64_t Columns(const std::string& table) {
    return Ask(
        absl::StrCat("SELECT COUNT(*) FROM information_schema.columns WHERE table_schema = "
                     "DATABASE() AND table_name = '",
                     table, "'"));
  }
  void ExpectDone() {
    EXPECT_EQ(Ask("SELECT COUNT(*) FROM jetmon_schema_migrations"), 2);
    EXPECT_EQ(Columns("m_a"), 3);
    EXPECT_EQ(Columns("m_b"), 1);
    EXPECT_EQ(Ask("SELECT COUNT(*) FROM jetmon_schema_lock WHERE holder = ''"), 1) << "not freed";
  }

  std::vector<std::unique_ptr<Database>> db_;  // of a cluster, one a node
};

TEST_F(MysqlMigrationTest, SeveralAtOnceAllSucceedAndEachStepIsTakenOnce) {
  std::atomic<int> steps{0};
  std::latch start(3);
  std::vector<std::thread> threads;
  for (int i = 0; i < 3; ++i) {
    threads.emplace_back([&, i] {
      start.arrive_and_wait();
      const absl::Status s = Migrate(*db_[i], Both(), [&](const Migration&) { ++steps; });
      EXPECT_TRUE(s.ok()) << s;
    });
  }
  for (std::thread& t : threads) t.join();
  EXPECT_EQ(steps, 2);
  ExpectDone();
}

TEST_F(MysqlMigrationTest, WhoIsKilledInTheMiddleIsTakenOverFrom) {
  TestChild child("MigrationChild.DISABLED_StopsInTheMiddle", {});
  ASSERT_TRUE(Until([&] { return V(2) == 1; }));
  EXPECT_EQ(Ask("SELECT COUNT(*) FROM jetmon_schema_migrations"), 1);
  child.Signal(SIGKILL);
  EXPECT_EQ(child.Wait(), -SIGKILL);
  // The first step is not taken again; what the second did already is found done.
  Admin("CREATE TABLE m_b (x INT)");
  std::vector<int> steps;
  const BootTime start = SystemClock().Boot();
  const absl::Status s = Migrate(
      *db_[1], Both(), [&](const Migration& m) { steps.push_back(m.number); }, kDeadAfter);
  EXPECT_TRUE(s.ok()) << s;
  EXPECT_EQ(steps, std::vector<int>{2});
  EXPECT_GE(SystemClock().Boot() - start, kDeadAfter);
  ExpectDone();
}

TEST_F(MysqlMigrationTest, WhoIsOnlyStoppedRecordsNothingAfterItWasTakenOverFrom) {
  TestChild child("MigrationChild.DISABLED_StopsInTheMiddle", {});
  ASSERT_TRUE(Until([&] { return V(2) == 1; }));
  child.Signal(SIGSTOP);
  const absl::Status s = Migrate(*db_[1], Both(), {}, kDeadAfter);
  EXPECT_TRUE(s.ok()) << s;
  ExpectDone();
  Admin("UPDATE n SET v = 2 WHERE id = 2");  // it may go on
  child.Signal(SIGCONT);
  EXPECT_EQ(child.Wait(), 0) << "it was not told";
  ExpectDone();
}

TEST_F(MysqlMigrationTest, WhoLivesIsWaitedForHoweverLong) {
  auto held = MigrationLock::Take(*db_[0], seconds(5), kDeadAfter);
  ASSERT_TRUE(held.ok()) << held.status();
  auto other = MigrationLock::Take(*db_[1], seconds(6), kDeadAfter);
  EXPECT_TRUE(absl::IsUnavailable(other.status())) << other.status();
  EXPECT_NE(other.status().message().find("jetmon2 migrate status"), absl::string_view::npos);
  EXPECT_FALSE((*held)->lost());
  held->reset();
  other = MigrationLock::Take(*db_[1], seconds(5), kDeadAfter);
  EXPECT_TRUE(other.ok()) << other.status();
}

TEST_F(MysqlMigrationTest, OfManyTheLockIsOnesAtATime) {
  constexpr int kMany = 6;
  std::atomic<int> inside{0}, had{0};
  std::latch start(kMany);
  std::vector<std::thread> threads;
  for (int i = 0; i < kMany; ++i) {
    threads.emplace_back([&, i] {
      start.arrive_and_wait();
      auto lock = MigrationLock::Take(*db_[i % 3], seconds(60));
      ASSERT_TRUE(lock.ok()) << lock.status();
      EXPECT_EQ(++inside, 1);
      // Held for so long, whoever else is let in is seen.
      const auto other = MigrationLock::Take(*db_[(i + 1) % 3], seconds(1));
      EXPECT_TRUE(absl::IsUnavailable(other.status())) << "held twice";
      EXPECT_EQ(--inside, 0);
      ++had;
    });
  }
  for (std::thread& t : threads) t.join();
  EXPECT_EQ(had, kMany);
}

TEST_F(MysqlMigrationTest, AStepThatFailsSaysWhichAndIsTakenAgain) {
  const absl::Status s = Migrate(*db_[0], {{1, "first", First, 1}, {2, "broken", Broken, 1}});
  EXPECT_NE(s.message().find("migration 2 (broken)"), absl::string_view::npos) << s;
  EXPECT_NE(s.message().find("NONSENSE"), absl::string_view::npos) << s;
  EXPECT_EQ(Ask("SELECT COUNT(*) FROM jetmon_schema_migrations"), 1);
  EXPECT_TRUE(Migrate(*db_[2], Both()).ok());
  ExpectDone();
}

TEST(MigrationChild, DISABLED_StopsInTheMiddle) {
  auto db = OpenServer(), other = OpenServer();
  const auto second_row = [&](bool set) {
    int64_t v = 0;
    const absl::Status s = other->Write([&](Transaction& tx) -> absl::Status {
      if (set) return tx.Execute("UPDATE n SET v = 1 WHERE id = 2").status();
      return tx.Query("SELECT v FROM n WHERE id = 2", {}, [&](const Row& row) {
        v = row.Int(0);
        return absl::OkStatus();
      });
    });
    EXPECT_TRUE(s.ok()) << s;
    return v;
  };
  const absl::Status s = Migrate(*db, Both(), [&](const Migration& m) {
    if (m.number != 2) return;
    second_row(true);  // we are stopped or killed from here on
    while (second_row(false) != 2) std::this_thread::sleep_for(milliseconds(5));
  });
  EXPECT_NE(s.message().find("took the migration over"), absl::string_view::npos) << s;
}

}  // namespace
}  // namespace jetmon::sql
