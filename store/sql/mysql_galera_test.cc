// Certification on a cluster: whoever writes the same row on two nodes at once is told that it was
// refused, wherever in the transaction the refusal meets it, and runs again whole.
#include <atomic>
#include <latch>
#include <thread>

#include "absl/strings/str_cat.h"
#include "store/sql/test_server.h"

namespace jetmon::sql {
namespace {

using std::chrono::seconds;

class MysqlGaleraTest : public ServerTest {
 protected:
  MysqlGaleraTest() {
    EXPECT_EQ(nodes(), 3u);
    for (size_t i = 0; i < nodes(); ++i) db_.push_back(Open(Url(i)));
  }
  // Another process takes the row on another node; when this returns, node 0 has applied it, and
  // whoever had changed the row there has lost.
  void TakeRowElsewhere() {
    const absl::Status s = db_[1]->Write([](Transaction& tx) { return Increment(tx, 1); });
    EXPECT_TRUE(s.ok()) << s;
    V(1, 0);  // waits for what was committed anywhere
  }
  // A transaction on node 0 that has changed row 1 when the other node takes it, and then does
  // `after`. Held to: it ran twice, and both have counted.
  void Refuse(const std::function<absl::Status(Transaction&)>& after) {
    int runs = 0;
    const int64_t before = V(1), second = V(2);
    const absl::Status s = db_[0]->Write(In(seconds(20)), [&](Transaction& tx) -> absl::Status {
      ++runs;
      if (auto s = Increment(tx, 1); !s.ok()) return s;
      if (auto s = Increment(tx, 2); !s.ok()) return s;
      if (runs > 1) return absl::OkStatus();
      TakeRowElsewhere();
      return after(tx);
    });
    EXPECT_TRUE(s.ok()) << s;
    EXPECT_EQ(runs, 2);
    EXPECT_EQ(V(1, 2), before + 2);
    EXPECT_EQ(V(2, 2), second + 1) << "a half was committed alone";
  }

  std::vector<std::unique_ptr<Database>> db_;
};

TEST_F(MysqlGaleraTest, RefusedAtCommit) {
  for (int round = 0; round < 10; ++round) {
    Refuse([](Transaction&) { return absl::OkStatus(); });
  }
}

TEST_F(MysqlGaleraTest, RefusedAtTheNextStatement) {
  for (int round = 0; round < 10; ++round) {
    // Prepared before: one that changes something, one that reads.
    Refuse([](Transaction& tx) {
      const absl::Status s = Increment(tx, 2);
      EXPECT_TRUE(absl::IsAborted(s)) << s;
      return s;
    });
    Refuse([](Transaction& tx) {
      const absl::Status s =
          tx.Query("SELECT v FROM n WHERE id = 2", {}, [](const Row&) { return absl::OkStatus(); });
      EXPECT_TRUE(absl::IsAborted(s)) << s;
      return s;
    });
  }
}

TEST_F(MysqlGaleraTest, RefusedThoughTheBodyLooksAway) {
  for (int round = 0; round < 5; ++round) {
    Refuse([](Transaction& tx) -> absl::Status {
      Increment(tx, 2).IgnoreError();
      Increment(tx, 2).IgnoreError();
      return absl::OkStatus();
    });
  }
}

TEST_F(MysqlGaleraTest, RefusedAtAStatementThatIsYetToBePrepared) {
  for (int round = 0; round < 10; ++round) {
    Refuse([&](Transaction& tx) -> absl::Status {
      return tx
          .Execute(absl::StrCat("UPDATE n SET v = v + 1 WHERE id = 2 AND ", round, " = ", round))
          .status();
    });
    Refuse([&](Transaction& tx) -> absl::Status {
      return tx.Query(absl::StrCat("SELECT v, ", round, " FROM n"), {},
                      [](const Row&) { return absl::OkStatus(); });
    });
  }
}

TEST_F(MysqlGaleraTest, RefusedWhileAnInsertsIdIsAsked) {
  Admin("DROP TABLE IF EXISTS m");
  Admin("CREATE TABLE m (id BIGINT NOT NULL AUTO_INCREMENT PRIMARY KEY, b BLOB) ENGINE=InnoDB");
  for (int round = 0; round < 10; ++round) {
    Refuse([&](Transaction& tx) -> absl::Status {
      return tx.Insert("INSERT INTO m (b) VALUES (?)", {Value::Blob("bytes")}).status();
    });
  }
  // Of the refused transactions nothing stays.
  EXPECT_EQ(Ask("SELECT COUNT(*) FROM m"), 0);
}

// What is in the rows against what was reported as done. Nothing is in step here, so refusals meet
// whatever is under way: executions, commits, and above all PREPAREs, of which there are many.
class Racers {
 public:
  Racers(std::vector<std::unique_ptr<Database>>& db, int threads, int rounds)
      : db_(db), threads_(threads), rounds_(rounds) {}

  void Run(const std::function<absl::Status(Transaction&, int thread, int round)>& body) {
    std::latch start(threads_);
    std::vector<std::thread> threads;
    for (int t = 0; t < threads_; ++t) {
      threads.emplace_back([&, t] {
        start.arrive_and_wait();
        for (int round = 0; round < rounds_; ++round) {
          int runs = 0;
          const absl::Status s = db_[t % db_.size()]->Write(In(std::chrono::seconds(60)),
                                                            [&](Transaction& tx) -> absl::Status {
                                                              ++runs;
                                                              return body(tx, t, round);
                                                            });
          again_ += runs - 1;
          (s.ok() ? done_ : failed_) += 1;
          if (!s.ok()) ADD_FAILURE() << s << " " << EngineText(s);
        }
      });
    }
    for (std::thread& t : threads) t.join();
  }
  int64_t done() const { return done_; }
  int64_t again() const { return again_; }

 private:
  std::vector<std::unique_ptr<Database>>& db_;
  const int threads_, rounds_;
  std::atomic<int64_t> done_{0}, failed_{0}, again_{0};
};

// Read, decide, write: an increment of what was read is lost if anybody wrote in between.
absl::Status ReadAndWrite(Transaction& tx, int id, const std::string& comment) {
  int64_t v = -1;
  auto found =
      tx.QueryOne(absl::StrCat("SELECT v FROM n WHERE id = ?", comment), {id}, [&](const Row& row) {
        v = row.Int(0);
        return absl::OkStatus();
      });
  if (!found.ok()) return found.status();
  auto written = tx.ExecuteOne(absl::StrCat("UPDATE n SET v = ? WHERE id = ? AND v = ?", comment),
                               {v + 1, id, v});
  if (!written.ok()) return written.status();
  return *written ? absl::OkStatus() : absl::AbortedError("changed meanwhile");
}

TEST_F(MysqlGaleraTest, NoIncrementIsLostAndNoneCountsByHalves) {
  Racers racers(db_, 6, 200);
  racers.Run([](Transaction& tx, int, int) -> absl::Status {
    if (auto s = ReadAndWrite(tx, 1, ""); !s.ok()) return s;
    return ReadAndWrite(tx, 2, "");
  });
  EXPECT_EQ(V(1), racers.done());
  EXPECT_EQ(V(2), racers.done());
  EXPECT_GT(racers.again(), 20) << "too few met each other";
}

TEST_F(MysqlGaleraTest, NorWhenEveryStatementIsPreparedAnew) {
  Racers racers(db_, 6, 300);
  std::atomic<int> made{0};
  racers.Run([&](Transaction& tx, int, int) -> absl::Status {
    // No text was ever seen before: PREPAREs inside the transaction, between its writes.
    for (int id = 1; id <= 2; ++id) {
      const std::string comment = absl::StrCat(" AND ", ++made, " > 0");
      if (auto s = ReadAndWrite(tx, id, comment); !s.ok()) return s;
      if (auto s = Increment(tx, id); !s.ok()) return s;
    }
    return absl::OkStatus();
  });
  EXPECT_EQ(V(1), 2 * racers.done());
  EXPECT_EQ(V(2), 2 * racers.done());
  EXPECT_GT(racers.again(), 20) << "too few met each other";
}

TEST_F(MysqlGaleraTest, NorWhenPreparedStatementsAreDroppedInBetween) {
  // More texts than are kept: the cache is emptied inside transactions, COM_STMT_CLOSE has no
  // answer that could tell of a refusal.
  Racers racers(db_, 3, 40);
  std::atomic<int> made{0};
  racers.Run([&](Transaction& tx, int, int) -> absl::Status {
    if (auto s = Increment(tx, 1); !s.ok()) return s;
    for (int i = 0; i < 60; ++i) {
      const auto s = tx.Query(absl::StrCat("SELECT ", ++made), {},
                              [](const Row&) { return absl::OkStatus(); });
      if (!s.ok()) return s;
    }
    return Increment(tx, 2);
  });
  EXPECT_EQ(V(1), racers.done());
  EXPECT_EQ(V(2), racers.done());
  EXPECT_GT(racers.again(), 10) << "too few met each other";
}

TEST_F(MysqlGaleraTest, NorWithBytesThatAreSentApart) {
  Admin("DROP TABLE IF EXISTS m");
  Admin("CREATE TABLE m (id BIGINT NOT NULL AUTO_INCREMENT PRIMARY KEY, b BLOB) ENGINE=InnoDB");
  Racers racers(db_, 6, 200);
  racers.Run([&](Transaction& tx, int t, int round) -> absl::Status {
    if (auto s = Increment(tx, 1); !s.ok()) return s;
    auto id = tx.Insert("INSERT INTO m (b) VALUES (?)", {Value::Blob(absl::StrCat(t, "/", round))});
    if (!id.ok()) return id.status();
    if (*id == 0) return absl::InternalError("no id");
    return Increment(tx, 2);
  });
  EXPECT_EQ(V(1), racers.done());
  EXPECT_EQ(V(2), racers.done());
  EXPECT_EQ(Ask("SELECT COUNT(*) FROM m"), racers.done());
  EXPECT_EQ(Ask("SELECT COUNT(DISTINCT b) FROM m"), racers.done());
}

TEST_F(MysqlGaleraTest, WhatWasCommittedOnOneNodeIsReadOnTheNext) {
  for (int i = 1; i <= 100; ++i) {
    const absl::Status s = db_[i % 3]->Write([](Transaction& tx) { return Increment(tx, 1); });
    ASSERT_TRUE(s.ok()) << s;
    int64_t v = 0;
    const absl::Status read = db_[(i + 1) % 3]->Read([&](Transaction& tx) {
      return tx.Query("SELECT v FROM n WHERE id = 1", {}, [&](const Row& row) {
        v = row.Int(0);
        return absl::OkStatus();
      });
    });
    ASSERT_TRUE(read.ok()) << read;
    ASSERT_EQ(v, i);
  }
}

}  // namespace
}  // namespace jetmon::sql
