// What a server refuses or can't do now: one clear line each, within the limits.
#include <signal.h>

#include <filesystem>
#include <fstream>
#include <string>
#include <thread>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "store/sql/test_child.h"
#include "store/sql/test_proxy.h"
#include "store/sql/test_server.h"

namespace jetmon::sql {
namespace {

namespace fs = std::filesystem;
using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr char kSlow[] = "SELECT COUNT(*) FROM seq_1_to_1000000 a, seq_1_to_1000000 b";

class MysqlLimitsTest : public ServerTest {
 protected:
  static void ExpectLine(const absl::Status& s, absl::StatusCode code,
                         std::initializer_list<const char*> words) {
    EXPECT_EQ(s.code(), code) << s;
    EXPECT_EQ(s.message().find('\n'), absl::string_view::npos) << s;
    for (const char* word : words) EXPECT_TRUE(absl::StrContains(s.message(), word)) << s;
    for (const char* sql : {"SELECT", "UPDATE ", "INSERT", "jetmon-test"}) {
      EXPECT_FALSE(absl::StrContains(s.message(), sql)) << s;
    }
  }
  // A user of that name who may do everything with our database.
  DatabaseUrl NewUser(const std::string& name, const std::string& with = "") const {
    Admin(absl::StrCat("DROP USER IF EXISTS ", name, "@'127.0.0.1'"));
    Admin(absl::StrCat("CREATE USER ", name, "@'127.0.0.1' IDENTIFIED BY 'its-own'", with));
    Admin(absl::StrCat("GRANT ALL ON ", Url().database, ".* TO ", name, "@'127.0.0.1'"));
    DatabaseUrl url = Url();
    url.user = name;
    return url;
  }
  static Options ItsOwn() {
    Options options;
    options.server.password = "its-own";
    return options;
  }
};

TEST_F(MysqlLimitsTest, AStatementOverTheLimitEndsInTime) {
  Options options;
  options.server.statement_limit = seconds(1);
  auto db = Open(Url(), options);
  int runs = 0;
  const BootTime start = SystemClock().Boot();
  const absl::Status s = db->Read(In(seconds(30)), [&](Transaction& tx) {
    ++runs;
    return tx.Query(kSlow, {}, [](const Row&) { return absl::OkStatus(); });
  });
  ExpectLine(s, absl::StatusCode::kUnavailable, {"longer than it may"});
  EXPECT_LT(SystemClock().Boot() - start, seconds(3));
  EXPECT_EQ(runs, 1) << "the next try would take as long";
  EXPECT_TRUE(db->Write([](Transaction& tx) { return Increment(tx, 1); }).ok());
}

// Stops a process, and returns when none of its threads runs any more: the signal alone only asks.
void Stop(pid_t pid) {
  kill(pid, SIGSTOP);
  const auto runs = [&] {
    for (const auto& task : fs::directory_iterator(absl::StrCat("/proc/", pid, "/task"))) {
      std::ifstream stat(task.path() / "stat");
      std::string line;
      std::getline(stat, line);
      const size_t name = line.rfind(')');
      if (name != line.npos && line.substr(name, 3) != ") T") return true;
    }
    return false;
  };
  while (runs()) std::this_thread::sleep_for(milliseconds(1));
}

TEST_F(MysqlLimitsTest, AStoppedServerIsAnErrorWithinTheLimits) {
  Options options;
  options.server.connect_limit = seconds(1);
  options.server.statement_limit = seconds(1);
  auto db = Open(Url(), options);
  auto session = db->NewSession();
  ASSERT_TRUE(session.ok());
  const auto write = [](Transaction& tx) { return Increment(tx, 1); };
  ASSERT_TRUE(db->Write(write).ok());
  Stop(pid());
  std::vector<absl::Status> answers(3);
  std::vector<milliseconds> took(3);
  std::vector<std::thread> threads;
  for (int i = 0; i < 3; ++i) {
    threads.emplace_back([&, i] {
      const BootTime start = SystemClock().Boot();
      if (i == 0) answers[i] = db->Write(In(seconds(1)), write);
      if (i == 1) answers[i] = (*session)->Write(In(seconds(1)), write);
      if (i == 2) answers[i] = TryOpen(Url(), options).status();
      took[i] = std::chrono::duration_cast<milliseconds>(SystemClock().Boot() - start);
    });
  }
  for (std::thread& t : threads) t.join();
  kill(pid(), SIGCONT);
  for (int i = 0; i < 3; ++i) {
    ExpectLine(answers[i], absl::StatusCode::kUnavailable, {});
    EXPECT_FALSE(OutcomeUnknown(answers[i])) << "nothing can have been committed";
    // A second to connect; a second for the statement, and two of the server's silence.
    EXPECT_LT(took[i], seconds(6)) << i;
  }
  EXPECT_TRUE(db->Write(write).ok());
  EXPECT_TRUE((*session)->Write(In(seconds(10)), write).ok());
  EXPECT_EQ(V(1), 3) << "what was given up must not be done later";
}

TEST_F(MysqlLimitsTest, ManyIdleConnectionsToASilentServerCostNoMoreThanOne) {
  TestProxy proxy(Url().hosts[0].port);
  DatabaseUrl url = Url();
  url.hosts[0].port = proxy.port();
  ManualClock clock;
  Options options;
  options.clock = &clock;
  options.server.connect_limit = seconds(1);
  options.server.statement_limit = seconds(1);
  auto db = Open(url, options);
  // Six connections at once, then all idle.
  std::function<absl::Status(int)> nest = [&](int depth) -> absl::Status {
    if (depth == 0) return absl::OkStatus();
    return db->Read(clock.Boot() + seconds(10), [&](Transaction&) { return nest(depth - 1); });
  };
  ASSERT_TRUE(nest(6).ok());
  clock.Advance(seconds(10));  // so long that they are asked whether they answer
  proxy.Freeze();
  const BootTime start = SystemClock().Boot();
  // This clock stands still, so no deadline ends it: the pool's own bound must.
  const absl::Status s = db->Read(clock.Boot() + milliseconds(1), [](Transaction& tx) {
    return tx.Query("SELECT 1", {}, [](const Row&) { return absl::OkStatus(); });
  });
  EXPECT_TRUE(absl::IsUnavailable(s)) << s;
  // Asking one: three seconds of silence; connecting: one.
  EXPECT_LT(SystemClock().Boot() - start, seconds(8));
}

TEST_F(MysqlLimitsTest, ASilentServerIsLeftForTheNextOneByASessionWithItsOwnLimit) {
  TestProxy proxy(Url().hosts[0].port);
  DatabaseUrl url = Url();
  url.hosts.insert(url.hosts.begin(), {"127.0.0.1", proxy.port()});
  auto db = Open(url);  // its own limits are ten seconds, and five to connect
  auto session = db->NewSession(seconds(1));
  ASSERT_TRUE(session.ok()) << session.status();
  const auto increment = [](Transaction& tx) { return Increment(tx, 1); };
  ASSERT_TRUE((*session)->Write(In(seconds(5)), increment).ok());
  proxy.Freeze();
  BootTime start = SystemClock().Boot();
  absl::Status s = (*session)->Write(In(seconds(20)), increment);
  EXPECT_TRUE(s.ok()) << s;
  // Three seconds of silence, and none to try that server again.
  EXPECT_GT(SystemClock().Boot() - start, milliseconds(2500));
  EXPECT_LT(SystemClock().Boot() - start, seconds(7));
  // What it has found out is known to all of the process.
  start = SystemClock().Boot();
  s = db->Write(In(seconds(20)), increment);
  EXPECT_TRUE(s.ok()) << s;
  EXPECT_LT(SystemClock().Boot() - start, seconds(2));
  EXPECT_EQ(V(1), 3);
}

TEST_F(MysqlLimitsTest, WhoIsNotLetInIsToldWhy) {
  Options wrong;
  wrong.server.password = "wrong";
  ExpectLine(TryOpen(Url(), wrong).status(), absl::StatusCode::kUnavailable,
             {"127.0.0.1:", "does not let this user in", "--database_password_file"});
  DatabaseUrl url = Url();
  url.user = "nobody_knows";
  ExpectLine(TryOpen(url).status(), absl::StatusCode::kUnavailable, {"does not let this user in"});
  url = Url();
  url.database = "nowhere";
  ExpectLine(TryOpen(url).status(), absl::StatusCode::kUnavailable, {"CREATE DATABASE"});
  url = Url();
  url.hosts[0].port = 9;
  ExpectLine(TryOpen(url).status(), absl::StatusCode::kUnavailable, {"127.0.0.1:9"});
  url = NewUser("locked");
  Admin("ALTER USER locked@'127.0.0.1' ACCOUNT LOCK");
  ExpectLine(TryOpen(url, ItsOwn()).status(), absl::StatusCode::kUnavailable,
             {"does not let this user in"});
}

TEST_F(MysqlLimitsTest, AMissingRightIsNamedAsOne) {
  Admin("DROP USER IF EXISTS reader@'127.0.0.1'");
  Admin("CREATE USER reader@'127.0.0.1' IDENTIFIED BY 'its-own'");
  Admin(absl::StrCat("GRANT SELECT ON ", Url().database, ".* TO reader@'127.0.0.1'"));
  DatabaseUrl url = Url();
  url.user = "reader";
  auto db = Open(url, ItsOwn());
  ExpectLine(db->Write([](Transaction& tx) { return Increment(tx, 1); }),
             absl::StatusCode::kPermissionDenied, {"lacks a right", "docs/database.md"});
  EXPECT_EQ(V(1), 0);
}

TEST_F(MysqlLimitsTest, AReadOnlyServerIsRefusedAndLeft) {
  auto before = Open(NewUser("writer"), ItsOwn());
  ASSERT_TRUE(before->Write([](Transaction& tx) { return Increment(tx, 1); }).ok());
  Admin("SET GLOBAL read_only = 1");
  ExpectLine(TryOpen(Url()).status(), absl::StatusCode::kUnavailable, {"read-only"});
  ExpectLine(before->Write(In(seconds(1)), [](Transaction& tx) { return Increment(tx, 1); }),
             absl::StatusCode::kUnavailable, {"read-only"});
  Admin("SET GLOBAL read_only = 0");
  EXPECT_TRUE(before->Write([](Transaction& tx) { return Increment(tx, 1); }).ok());
  EXPECT_EQ(V(1), 2);
}

TEST_F(MysqlLimitsTest, NoConnectionLeftIsSaidAndPasses) {
  const DatabaseUrl url = NewUser("many");
  const int64_t limit = Ask("SELECT @@GLOBAL.max_connections");
  Admin("SET GLOBAL max_connections = 10");
  std::vector<std::unique_ptr<Database>> held;
  absl::Status full;
  for (int i = 0; i < 12 && full.ok(); ++i) {
    auto db = TryOpen(url, ItsOwn());
    full = db.status();
    if (db.ok()) held.push_back(std::move(*db));
  }
  ExpectLine(full, absl::StatusCode::kUnavailable, {"no connection left"});
  // A pool that can't grow: what it has goes on.
  EXPECT_TRUE(held[0]->Write([](Transaction& tx) { return Increment(tx, 1); }).ok());
  // And whoever waits gets through when one is free.
  std::thread waits([&] {
    const absl::Status s = held[0]->Read(In(seconds(10)), [&](Transaction&) {
      return held[0]->Read(In(seconds(10)), [](Transaction& tx) {
        return tx.Query("SELECT 1", {}, [](const Row&) { return absl::OkStatus(); });
      });
    });
    EXPECT_TRUE(s.ok()) << s;
  });
  held.pop_back();
  waits.join();
  Admin(absl::StrCat("SET GLOBAL max_connections = ", limit));
  const DatabaseUrl two = NewUser("two", " WITH MAX_USER_CONNECTIONS 2");
  auto first = Open(two, ItsOwn()), second = Open(two, ItsOwn());
  ExpectLine(TryOpen(two, ItsOwn()).status(), absl::StatusCode::kUnavailable,
             {"no connection left"});
}

TEST_F(MysqlLimitsTest, AStatementsValuesAreCountedAndNoneStaysFromTheLastRun) {
  auto db = Open(Url());
  const char* update = "UPDATE n SET v = ? WHERE id = ?";
  EXPECT_TRUE(db->Write([&](Transaction& tx) { return tx.Execute(update, {7, 1}).status(); }).ok());
  for (const auto& values :
       {std::vector<Value>{}, std::vector<Value>{9}, std::vector<Value>{9, 1, 1}}) {
    const absl::Status s =
        db->Write([&](Transaction& tx) { return tx.Execute(update, values).status(); });
    ExpectLine(s, absl::StatusCode::kInternal, {"takes 2"});
  }
  EXPECT_EQ(V(1), 7);
  ExpectLine(db->Write([&](Transaction& tx) {
    return tx.Execute(update, {Value(), 1}).status();
  }),
             absl::StatusCode::kFailedPrecondition, {"refused a value"});
  EXPECT_EQ(V(1), 7);
}

TEST_F(MysqlLimitsTest, AnUnchangedRowIsMatched) {
  auto db = Open(Url());
  EXPECT_TRUE(db->Write([](Transaction& tx) -> absl::Status {
                  EXPECT_TRUE(*tx.ExecuteOne("UPDATE n SET v = ? WHERE id = 1", {5}));
                  EXPECT_TRUE(*tx.ExecuteOne("UPDATE n SET v = ? WHERE id = 1", {5}));
                  EXPECT_EQ(*tx.Execute("UPDATE n SET v = 5"), 2);
                  EXPECT_FALSE(*tx.ExecuteOne("UPDATE n SET v = 5 WHERE id = 99"));
                  return absl::OkStatus();
                }).ok());
}

TEST_F(MysqlLimitsTest, WhatEndsATransactionIsNoStatementOfOne) {
  auto db = Open(Url());
  for (const char* sql : {"COMMIT", "ROLLBACK", "CREATE TABLE x (y INT)", "SET autocommit = 0",
                          "UPDATE n SET v = 1; UPDATE n SET v = 2"}) {
    EXPECT_FALSE(db->Write([&](Transaction& tx) -> absl::Status {
                     if (auto s = Increment(tx, 1); !s.ok()) return s;
                     return tx.Execute(sql).status();
                   }).ok())
        << sql;
  }
  EXPECT_FALSE(db->Read([](Transaction& tx) { return Increment(tx, 1); }).ok());
  EXPECT_EQ(V(1), 0);
}

TEST_F(MysqlLimitsTest, ValuesComeBackAsTheyWent) {
  Admin("DROP TABLE IF EXISTS k");
  Admin(
      "CREATE TABLE k (r INT PRIMARY KEY, i BIGINT, t TEXT, b BLOB, d DOUBLE) DEFAULT "
      "CHARSET=utf8mb4 COLLATE=utf8mb4_bin");
  auto db = Open(Url());
  const std::string text("a\0b\xc3\xa9'\"?\\ \xf0\x9f\x92\xa1", 15);
  const std::string bytes("\0\xff\x80", 3);
  const absl::Status s = db->Write([&](Transaction& tx) -> absl::Status {
    EXPECT_EQ(*tx.Execute("INSERT INTO k VALUES (?, ?, ?, ?, ?), (?, ?, ?, ?, ?)",
                          {1, INT64_MIN, text, Value::Blob(bytes), 0.1, 2, Value(), "",
                           Value::Blob(""), Value()}),
              2);
    return tx.Query("SELECT i, t, b, d FROM k ORDER BY r", {}, [&, row = 0](const Row& r) mutable {
      if (row++ == 0) {
        EXPECT_EQ(r.Int(0), INT64_MIN);
        EXPECT_EQ(r.Text(1), text);
        EXPECT_EQ(r.Text(2), bytes);
        EXPECT_EQ(r.Double(3), 0.1);
      } else {
        EXPECT_TRUE(r.IsNull(0));
        EXPECT_EQ(r.Int(0), 0);
        EXPECT_EQ(r.OptText(1), "");
        EXPECT_EQ(r.OptText(2), "");
        EXPECT_TRUE(r.IsNull(3));
      }
      return absl::OkStatus();
    });
  });
  EXPECT_TRUE(s.ok()) << s << EngineText(s);
}

// A process that is stopped between its write and its COMMIT holds a row; the server takes it from
// it after 5 s.
TEST_F(MysqlLimitsTest, AStoppedWriterFreesItsRowAndIsToldThatItsWriteIsLost) {
  TestChild child("MysqlChild.DISABLED_WritesAndWaits", {});
  ASSERT_TRUE(Until([&] { return V(2) == 1; })) << "the other process did not get to its write";
  child.Signal(SIGSTOP);
  auto db = Open(Url());
  const BootTime start = SystemClock().Boot();
  const absl::Status s =
      db->Write(In(seconds(20)), [](Transaction& tx) { return Increment(tx, 1); });
  EXPECT_TRUE(s.ok()) << s;
  EXPECT_GT(SystemClock().Boot() - start, seconds(3)) << "the row was not held";
  EXPECT_LT(SystemClock().Boot() - start, seconds(12));
  EXPECT_EQ(V(1), 1);
  Admin("UPDATE n SET v = 2 WHERE id = 2");  // the other process may go on
  child.Signal(SIGCONT);
  EXPECT_EQ(child.Wait(), 0);
  EXPECT_EQ(V(1), 1) << "the stopped process's write was not lost";
}

TEST(MysqlChild, DISABLED_WritesAndWaits) {
  auto db = OpenServer(), other = OpenServer();
  const auto set = [&](int v) {
    const absl::Status s = other->Write([&](Transaction& tx) {
      return tx.Execute("UPDATE n SET v = ? WHERE id = 2", {v}).status();
    });
    EXPECT_TRUE(s.ok()) << s;
  };
  const auto told = [&] {
    int64_t v = 0;
    const absl::Status s = other->Read([&](Transaction& tx) {
      return tx.Query("SELECT v FROM n WHERE id = 2", {}, [&](const Row& row) {
        v = row.Int(0);
        return absl::OkStatus();
      });
    });
    EXPECT_TRUE(s.ok()) << s;
    return v == 2;
  };
  const absl::Status s = db->Write(In(seconds(60)), [&](Transaction& tx) -> absl::Status {
    if (auto s = Increment(tx, 1); !s.ok()) return s;
    set(1);  // the parent stops us from here on
    while (!told()) std::this_thread::sleep_for(milliseconds(5));
    return absl::OkStatus();
  });
  EXPECT_TRUE(OutcomeUnknown(s)) << s;
}

}  // namespace
}  // namespace jetmon::sql
