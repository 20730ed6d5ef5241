#include "store/sql/database.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/resource.h>
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
                     auto s = tx.Execute(
                         "CREATE TABLE n (id INTEGER PRIMARY KEY AUTOINCREMENT, "
                         "v BIGINT, t TEXT, UNIQUE (t))");
                     if (!s.ok()) return s.status();
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
  for (int t = 0; t < 10; ++t) {
    threads.emplace_back([&, db = t % 2 == 0 ? db_.get() : other.get()] {
      for (int i = 0; i < 200; ++i) {
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
  EXPECT_EQ(Read(), 2000);
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

TEST_F(DatabaseTest, AReadSeesOneSnapshot) {
  auto other = Open();
  EXPECT_TRUE(other
                  ->Read([&](Transaction& tx) -> absl::Status {
                    int64_t sums[2] = {-1, -1};
                    for (int64_t& sum : sums) {
                      auto s = tx.Query("SELECT SUM(v) FROM n", {}, [&](const Row& r) {
                        sum = r.Int(0);
                        return absl::OkStatus();
                      });
                      if (!s.ok()) return s;
                      if (sum != 0) continue;
                      EXPECT_TRUE(db_->Write([](Transaction& w) {
                                       return w.Execute("UPDATE n SET v = 8").status();
                                     })
                                      .ok());
                    }
                    EXPECT_EQ(sums[0], 0);
                    EXPECT_EQ(sums[1], 0);
                    return absl::OkStatus();
                  })
                  .ok());
  EXPECT_EQ(Read(), 8);
}

TEST_F(DatabaseTest, AReadCannotWriteByAQueryEither) {
  EXPECT_FALSE(db_->Read([](Transaction& tx) {
                    return tx.Query("UPDATE n SET v = 9 RETURNING v", {},
                                    [](const Row&) { return absl::OkStatus(); });
                  })
                   .ok());
  EXPECT_EQ(Read(), 0);
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
    return tx.Execute("INSERT INTO n (id, t) VALUES (1, 'z')").status();
  })));
  EXPECT_TRUE(absl::IsFailedPrecondition(db_->Write([](Transaction& tx) -> absl::Status {
    auto made = tx.Execute("CREATE TABLE c (x INT NOT NULL CHECK (x < 5))");
    if (!made.ok()) return made.status();
    EXPECT_TRUE(absl::IsFailedPrecondition(tx.Execute("INSERT INTO c VALUES (9)").status()));
    return tx.Execute("INSERT INTO c VALUES (NULL)").status();
  })));
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
                   const auto found =
                       tx.QueryOne("SELECT v, t, 1.5 FROM n WHERE id = ?", {2}, [](const Row& r) {
                         EXPECT_FALSE(r.IsNull(0));
                         EXPECT_EQ(r.Text(1), "b");
                         EXPECT_EQ(r.Double(2), 1.5);
                         return absl::OkStatus();
                       });
                   EXPECT_TRUE(found.ok() && *found);
                   return found.status();
                 })
                  .ok());
}

TEST_F(DatabaseTest, ValuesComeBackAsTheyWent) {
  const std::string text("a\0b\xc3\xa9'\"?", 9);
  const std::string bytes("\0\xff\x80", 3);
  constexpr int64_t kLeast = INT64_MIN;
  ASSERT_TRUE(
      db_->Write([&](Transaction& tx) -> absl::Status {
           auto made = tx.Execute("CREATE TABLE k (i BIGINT, t TEXT, b BLOB, d DOUBLE)");
           if (!made.ok()) return made.status();
           EXPECT_EQ(*tx.Execute("INSERT INTO k VALUES (?, ?, ?, ?)",
                                 {kLeast, text, Value::Blob(bytes), 0.1}),
                     1);
           EXPECT_EQ(*tx.Execute("INSERT INTO k VALUES (?, ?, ?, ?)",
                                 {uint64_t{1} << 40, "", Value::Blob(""), Value()}),
                     1);
           std::optional<int64_t> no_int;
           std::optional<std::string> no_text;
           return tx.Execute("INSERT INTO k VALUES (?, ?, NULL, NULL)", {no_int, no_text}).status();
         })
          .ok());
  int rows = 0;
  ASSERT_TRUE(db_->Read([&](Transaction& tx) {
                   rows = 0;
                   return tx.Query("SELECT i, t, b, d FROM k ORDER BY rowid", {},
                                   [&](const Row& r) {
                                     switch (rows++) {
                                       case 0:
                                         EXPECT_EQ(r.Int(0), kLeast);
                                         EXPECT_EQ(r.Text(1), text);
                                         EXPECT_EQ(r.OptText(1), text);
                                         EXPECT_EQ(r.Text(2), bytes);
                                         EXPECT_EQ(r.Double(3), 0.1);
                                         break;
                                       case 1:
                                         EXPECT_EQ(r.Uint(0), uint64_t{1} << 40);
                                         EXPECT_FALSE(r.IsNull(1));
                                         EXPECT_EQ(r.OptText(1), "");
                                         EXPECT_EQ(r.Text(2), "");
                                         EXPECT_TRUE(r.IsNull(3));
                                         break;
                                       default:
                                         EXPECT_FALSE(r.OptInt(0).has_value());
                                         EXPECT_FALSE(r.OptText(1).has_value());
                                         EXPECT_EQ(r.Int(0), 0);
                                         EXPECT_EQ(r.Text(1), "");
                                     }
                                     return absl::OkStatus();
                                   });
                 })
                  .ok());
  EXPECT_EQ(rows, 3);
}

TEST_F(DatabaseTest, ParametersDoNotStayFromOneUseToTheNext) {
  ASSERT_TRUE(db_->Write([](Transaction& tx) -> absl::Status {
                   const char* insert = "INSERT INTO n (v, t) VALUES (?, ?)";
                   EXPECT_TRUE(tx.Execute(insert, {7, "x"}).ok());
                   EXPECT_TRUE(tx.Execute(insert, {Value(), "y"}).ok());
                   EXPECT_TRUE(absl::IsInternal(tx.Execute(insert, {1}).status()));
                   const auto found =
                       tx.QueryOne("SELECT v FROM n WHERE t = ?", {"y"}, [](const Row& r) {
                         EXPECT_TRUE(r.IsNull(0));
                         return absl::OkStatus();
                       });
                   EXPECT_TRUE(found.ok() && *found);
                   return found.status();
                 })
                  .ok());
}

TEST_F(DatabaseTest, MoreStatementsThanAreKeptAndAChangedSchema) {
  auto other = Open();
  const auto count = [&](Transaction& tx, const std::string& sql) {
    int rows = 0;
    EXPECT_TRUE(tx.Query(sql, {},
                         [&](const Row&) {
                           ++rows;
                           return absl::OkStatus();
                         })
                    .ok())
        << sql;
    return rows;
  };
  ASSERT_TRUE(db_->Write([&](Transaction& tx) {
                   for (int i = 0; i < 600; ++i) {
                     EXPECT_EQ(count(tx, "SELECT " + std::to_string(i) + ", n.* FROM n"), 1);
                   }
                   return absl::OkStatus();
                 })
                  .ok());
  ASSERT_TRUE(other
                  ->Write([](Transaction& tx) {
                    return tx.Execute("ALTER TABLE n ADD COLUMN added INT").status();
                  })
                  .ok());
  ASSERT_TRUE(db_->Write([&](Transaction& tx) {
                   EXPECT_EQ(count(tx, "SELECT 599, n.* FROM n"), 1);  // prepared before
                   return absl::OkStatus();
                 })
                  .ok());
}

TEST_F(DatabaseTest, ARowThatIsRefusedEndsTheQueryAndNothingStaysLocked) {
  ASSERT_TRUE(db_->Write([](Transaction& tx) {
                   return tx.Execute("INSERT INTO n (v, t) VALUES (1, 'b')").status();
                 })
                  .ok());
  int rows = 0;
  const absl::Status s = db_->Read([&](Transaction& tx) {
    rows = 0;
    return tx.Query("SELECT v FROM n", {}, [&](const Row&) {
      ++rows;
      return absl::OutOfRangeError("enough");
    });
  });
  EXPECT_TRUE(absl::IsOutOfRange(s)) << s;
  EXPECT_EQ(rows, 1);
  EXPECT_TRUE(absl::IsInternal(db_->Read([](Transaction& tx) {
    return tx.QueryOne("SELECT v FROM n", {}, [](const Row&) { return absl::OkStatus(); }).status();
  })));
  EXPECT_TRUE(db_->Write(SystemClock().Boot() + milliseconds(200),
                         [](Transaction& tx) { return tx.Execute("UPDATE n SET v = 2").status(); })
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

TEST_F(DatabaseTest, WaitingForAConnectionEndsAtTheDeadline) {
  Options options;
  options.pool_size = 1;
  options.pool_wait = std::chrono::minutes(5);
  auto small = Open(options);
  const BootTime start = SystemClock().Boot();
  const absl::Status s = small->Read([&](Transaction&) {
    return small->Read(SystemClock().Boot() + milliseconds(50),
                       [](Transaction&) { return absl::OkStatus(); });
  });
  EXPECT_TRUE(absl::IsUnavailable(s)) << s;
  EXPECT_LT(SystemClock().Boot() - start, std::chrono::minutes(1));
}

TEST_F(DatabaseTest, TextBehindAStatementIsRefusedNotDropped) {
  for (const char* two : {"UPDATE n SET v = 1; UPDATE n SET v = 2", "", "  ", "-- nothing"}) {
    EXPECT_TRUE(absl::IsInternal(db_->Write([&](Transaction& tx) {
      return tx.Execute(two).status();
    }))) << two;
  }
  EXPECT_EQ(Read(), 0);
  EXPECT_TRUE(
      db_->Write([](Transaction& tx) { return tx.Execute("UPDATE n SET v = 4 ; \n").status(); })
          .ok());
  EXPECT_EQ(Read(), 4);
}

TEST_F(DatabaseTest, MessagesHoldNoSqlButTheEngineTextDoes) {
  for (const char* sql : {"SELECT secret_word FROM n", "secret_word", "SELECT 1 FROM secret_word",
                          "INSERT INTO n (id, t) VALUES (1, 'secret_word')",
                          "INSERT INTO n (nowhere, t) VALUES (1, 'secret_word')"}) {
    const absl::Status s = db_->Write([&](Transaction& tx) { return tx.Execute(sql).status(); });
    EXPECT_FALSE(s.ok());
    EXPECT_EQ(s.message().find("secret_word"), absl::string_view::npos) << s.message();
    EXPECT_NE(EngineText(s), "") << sql;
  }
}

// Makes every later change of this connection fail as on a full disk.
absl::Status FillUp(Transaction& tx) {
  return tx.Query("PRAGMA max_page_count = 1", {}, [](const Row&) { return absl::OkStatus(); });
}
absl::Status Grow(Transaction& tx) {
  return tx.Execute("INSERT INTO n (v, t) VALUES (1, ?)", {std::string(100'000, 'x')}).status();
}

TEST_F(DatabaseTest, ASessionMakesItsConnectionAgainAfterItBroke) {
  auto session = db_->NewSession();
  ASSERT_TRUE(session.ok());
  const auto write = [&](const Body& body) {
    return (*session)->Write(SystemClock().Boot() + std::chrono::seconds(5), body);
  };
  ASSERT_TRUE(write(FillUp).ok());
  const absl::Status full = write(Grow);
  EXPECT_TRUE(absl::IsUnavailable(full)) << full;
  const absl::Status again = write(Grow);
  EXPECT_TRUE(again.ok()) << again;
}

TEST_F(DatabaseTest, APoolThrowsABrokenConnectionAway) {
  Options options;
  options.pool_size = 1;
  auto small = Open(options);
  ASSERT_TRUE(small->Write(FillUp).ok());
  EXPECT_TRUE(absl::IsUnavailable(small->Write(Grow)));
  const absl::Status again = small->Write(Grow);
  EXPECT_TRUE(again.ok()) << again;
}

// Closing any descriptor of the file in this process would drop its locks; a process that comes and
// goes would then remove the log that this one writes, and its commits would be lost to others.
TEST_F(DatabaseTest, NewConnectionsDropNoLocks) {
  const std::string path = url_.substr(9);
  const auto look = [&] {
    const std::string command = "sqlite3 " + path + " 'SELECT v FROM n'";
    FILE* other = popen(command.c_str(), "r");
    int v = -1;
    EXPECT_EQ(fscanf(other, "%d", &v), 1);
    pclose(other);
    return v;
  };
  for (int i = 1; i <= 5; ++i) {
    auto session = db_->NewSession();
    ASSERT_TRUE(session.ok());
    ASSERT_TRUE(
        db_->Write([&](Transaction& tx) { return tx.Execute("UPDATE n SET v = ?", {i}).status(); })
            .ok());
    EXPECT_EQ(look(), i);
  }
}

// While it lives, this process can write no file: the disk refuses.
class NoFileWrites {
 public:
  NoFileWrites() {
    signal(SIGXFSZ, SIG_IGN);  // the write fails instead
    getrlimit(RLIMIT_FSIZE, &before_);
    rlimit none = before_;
    none.rlim_cur = 0;
    setrlimit(RLIMIT_FSIZE, &none);
  }
  ~NoFileWrites() { setrlimit(RLIMIT_FSIZE, &before_); }

 private:
  rlimit before_{};
};

TEST_F(DatabaseTest, ACommitThatTheDiskRefusesIsNoSuccess) {
  absl::Status in_body, refused;
  {
    const NoFileWrites full;
    refused = db_->Write([&](Transaction& tx) {
      in_body = tx.Execute("UPDATE n SET v = 6 WHERE t = 'a'").status();
      return in_body;
    });
  }
  EXPECT_TRUE(in_body.ok()) << "COMMIT is to fail, not this: " << in_body;
  EXPECT_TRUE(absl::IsUnavailable(refused)) << refused;
  EXPECT_EQ(Read(), 0);
  EXPECT_TRUE(db_->Write([](Transaction& tx) {
                   return tx.Execute("UPDATE n SET v = 7 WHERE t = 'a'").status();
                 })
                  .ok());
  EXPECT_EQ(Read(), 7);
}

TEST_F(DatabaseTest, ABodyThatEndsTheTransactionItselfIsNoSuccess) {
  EXPECT_FALSE(db_->Write([](Transaction& tx) { return tx.Execute("COMMIT").status(); }).ok());
  EXPECT_EQ(Read(), 0);
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
