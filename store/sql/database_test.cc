#include "store/sql/database.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <atomic>
#include <fstream>
#include <thread>
#include <vector>

namespace jetmon::sql {
namespace {

using std::chrono::milliseconds;

class DatabaseTest : public testing::Test {
 protected:
  DatabaseTest() {
    std::string pattern = testing::TempDir() + "/sql_XXXXXX";
    url_ = std::string("sqlite://") + mkdtemp(pattern.data()) + "/t.db";
    db_ = Open();
    EXPECT_TRUE(db_->Write([](Transaction& tx) {
                     if (auto s = tx.Execute("CREATE TABLE n (id INTEGER PRIMARY KEY "
                                             "AUTOINCREMENT, v BIGINT, t TEXT, UNIQUE (t))");
                         !s.ok()) {
                       return s.status();
                     }
                     return tx.Execute("INSERT INTO n (v, t) VALUES (0, 'a')").status();
                   })
                    .ok());
  }
  std::unique_ptr<Database> Open(Options options = {}) {
    auto db = Database::Open(url_, options);
    EXPECT_TRUE(db.ok()) << db.status();
    return std::move(*db);
  }
  int64_t Read() {
    int64_t v = -1;
    EXPECT_TRUE(db_->Read([&](Transaction& tx) {
                     return tx.Query("SELECT v FROM n WHERE t = 'a'", {}, [&](const Row& r) {
                       v = r.Int(0);
                       return absl::OkStatus();
                     });
                   })
                    .ok());
    return v;
  }
  std::string url_;
  std::unique_ptr<Database> db_;
};

TEST_F(DatabaseTest, ConcurrentWritersLoseNothing) {
  auto other = Open();
  std::atomic<int> failed{0};
  std::vector<std::thread> threads;
  for (int t = 0; t < 6; ++t) {
    threads.emplace_back([&, db = t % 2 == 0 ? db_.get() : other.get()] {
      for (int i = 0; i < 100; ++i) {
        const absl::Status s = db->Write(
            SystemClock().Boot() + std::chrono::minutes(1), [](Transaction& tx) -> absl::Status {
              int64_t v = 0;
              auto read = tx.QueryOne("SELECT v FROM n WHERE t = ?", {"a"}, [&](const Row& r) {
                v = r.Int(0);
                return absl::OkStatus();
              });
              if (!read.ok()) return read.status();
              return tx.Execute("UPDATE n SET v = ? WHERE t = ?", {v + 1, "a"}).status();
            });
        if (!s.ok()) ++failed;
      }
    });
  }
  for (std::thread& t : threads) t.join();
  EXPECT_EQ(failed, 0);
  EXPECT_EQ(Read(), 600);
}

TEST_F(DatabaseTest, ABodyThatFailsIsRolledBack) {
  const absl::Status s = db_->Write([](Transaction& tx) -> absl::Status {
    EXPECT_EQ(*tx.Execute("UPDATE n SET v = 7 WHERE t = 'a'"), 1);
    return absl::NotFoundError("mine");
  });
  EXPECT_TRUE(absl::IsNotFound(s));
  EXPECT_EQ(Read(), 0);
}

TEST_F(DatabaseTest, ABodyIsRunAgainWholeAfterAConflict) {
  int runs = 0;
  const absl::Status s = db_->Write([&](Transaction& tx) -> absl::Status {
    ++runs;
    if (auto u = tx.Execute("UPDATE n SET v = v + 1 WHERE t = 'a'"); !u.ok()) return u.status();
    return runs < 3 ? absl::AbortedError("conflict") : absl::OkStatus();
  });
  EXPECT_TRUE(s.ok()) << s;
  EXPECT_EQ(runs, 3);
  EXPECT_EQ(Read(), 1);
}

TEST_F(DatabaseTest, GivesUpAtTheDeadline) {
  auto other = Open();
  const absl::Status s = other->Write([&](Transaction&) {
    return db_->Write(SystemClock().Boot() + milliseconds(300),
                      [](Transaction&) { return absl::OkStatus(); });
  });
  EXPECT_TRUE(absl::IsUnavailable(s)) << s;
}

TEST_F(DatabaseTest, AReaderIsNotBlockedByAWriter) {
  auto other = Open();
  const absl::Status s = other->Write([&](Transaction& tx) -> absl::Status {
    if (auto u = tx.Execute("UPDATE n SET v = 5 WHERE t = 'a'"); !u.ok()) return u.status();
    EXPECT_EQ(Read(), 0);
    return absl::OkStatus();
  });
  EXPECT_TRUE(s.ok());
  EXPECT_EQ(Read(), 5);
}

TEST_F(DatabaseTest, AReadCannotWrite) {
  EXPECT_FALSE(db_->Read([](Transaction& tx) {
                    return tx.Execute("UPDATE n SET v = 9 WHERE t = 'a'").status();
                  })
                   .ok());
  EXPECT_EQ(Read(), 0);
}

TEST_F(DatabaseTest, ClassifiesErrors) {
  EXPECT_TRUE(absl::IsAlreadyExists(db_->Write([](Transaction& tx) {
    return tx.Execute("INSERT INTO n (v, t) VALUES (1, 'a')").status();
  })));
  const absl::Status syntax =
      db_->Write([](Transaction& tx) { return tx.Execute("NONSENSE").status(); });
  EXPECT_TRUE(absl::IsInternal(syntax)) << syntax;
  EXPECT_TRUE(absl::IsInternal(db_->Write(
      [](Transaction& tx) { return tx.Execute("UPDATE n SET v = ? WHERE t = ?", {1}).status(); })));
}

TEST_F(DatabaseTest, CountsAndTypes) {
  EXPECT_TRUE(db_->Write([](Transaction& tx) -> absl::Status {
                   EXPECT_EQ(*tx.Insert("INSERT INTO n (v, t) VALUES (?, ?)", {Value(), "b"}), 2);
                   EXPECT_EQ(*tx.Execute("UPDATE n SET v = v WHERE id > 0"), 2);
                   EXPECT_FALSE(*tx.ExecuteOne("UPDATE n SET v = 1 WHERE id = 99"));
                   EXPECT_TRUE(*tx.ExecuteOne("UPDATE n SET v = 1 WHERE id = 1"));
                   EXPECT_FALSE(tx.ExecuteOne("UPDATE n SET v = 1 WHERE id > 0").ok());
                   return tx.Query("SELECT v, t, 1.5 FROM n WHERE id = ?", {2}, [](const Row& r) {
                     EXPECT_FALSE(r.IsNull(0));
                     EXPECT_EQ(r.Text(1), "b");
                     EXPECT_EQ(r.Double(2), 1.5);
                     return absl::OkStatus();
                   });
                 })
                  .ok());
}

TEST_F(DatabaseTest, ThePoolIsBounded) {
  Options options;
  options.pool_size = 1;
  options.pool_wait = milliseconds(50);
  auto small = Open(options);
  const absl::Status s = small->Read(
      [&](Transaction&) { return small->Read([](Transaction&) { return absl::OkStatus(); }); });
  EXPECT_TRUE(absl::IsUnavailable(s)) << s;
}

TEST_F(DatabaseTest, ASessionIsNotOfThePool) {
  Options options;
  options.pool_size = 1;
  auto small = Open(options);
  auto session = small->NewSession();
  ASSERT_TRUE(session.ok());
  const absl::Status s = small->Read([&](Transaction&) {
    return (*session)->Write(SystemClock().Boot() + milliseconds(500), [](Transaction& tx) {
      return tx.Execute("UPDATE n SET v = 3 WHERE t = 'a'").status();
    });
  });
  EXPECT_TRUE(s.ok()) << s;
  EXPECT_EQ(Read(), 3);
}

TEST_F(DatabaseTest, TheFileIsItsOwnersAlone) {
  struct stat st {};
  ASSERT_EQ(stat(url_.substr(9).c_str(), &st), 0);
  EXPECT_EQ(st.st_mode & 0777, 0600u);
}

TEST(DatabaseOpen, SaysWhatIsWrongInOneLine) {
  const std::string not_a_database = testing::TempDir() + "/text.db";
  std::ofstream(not_a_database) << std::string(4096, 'x');
  for (const std::string& url : {std::string("sqlite:///no/such/folder/t.db"),
                                 "sqlite://" + not_a_database, std::string("sqlite:///tmp")}) {
    const auto db = Database::Open(url);
    EXPECT_TRUE(absl::IsUnavailable(db.status())) << url << ": " << db.status();
    EXPECT_EQ(db.status().message().find('\n'), absl::string_view::npos);
  }
}

}  // namespace
}  // namespace jetmon::sql
