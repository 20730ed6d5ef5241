// A result is whole or an error, whatever happens to the query while it is read.
#include <atomic>
#include <thread>

#include "absl/strings/str_cat.h"
#include "store/sql/test_proxy.h"
#include "store/sql/test_server.h"

namespace jetmon::sql {
namespace {

using std::chrono::seconds;

constexpr int64_t kRows = 1'000'000;
constexpr char kBig[] = "SELECT seq, 'something that has a length' FROM seq_1_to_1000000";

class MysqlResultTest : public ServerTest {
 protected:
  // Reads all; how often the body was run, and how many rows the last run was given.
  struct Read {
    absl::Status status;
    int runs = 0;
    int64_t rows = 0;
    int64_t sum = 0;
  };
  static Read ReadBig(Database& db, std::atomic<int64_t>* connection = nullptr) {
    Read read;
    read.status = db.Read(In(seconds(60)), [&](Transaction& tx) {
      ++read.runs;
      read.rows = read.sum = 0;
      if (connection != nullptr) *connection = ConnectionId(tx);
      return tx.Query(kBig, {}, [&](const Row& row) {
        ++read.rows;
        read.sum += row.Int(0);
        return absl::OkStatus();
      });
    });
    return read;
  }
  static void ExpectWhole(const Read& read) {
    ASSERT_TRUE(read.status.ok()) << read.status << EngineText(read.status);
    ASSERT_EQ(read.rows, kRows);
    ASSERT_EQ(read.sum, kRows * (kRows + 1) / 2);
  }
};

TEST_F(MysqlResultTest, AQueryKilledInTheMiddleNeverEndsShort) {
  TestProxy proxy(Url().hosts[0].port);
  DatabaseUrl url = Url();
  url.hosts[0].port = proxy.port();
  auto db = Open(url);
  // From the first rows to where most of them are out; what is left is more than sockets hold.
  for (const char* kill : {"KILL QUERY ", "KILL SOFT CONNECTION "}) {
    for (const int64_t bytes : {100'000, 1'000'000, 5'000'000, 12'000'000, 20'000'000}) {
      SCOPED_TRACE(absl::StrCat(kill, "at ", bytes));
      std::atomic<int64_t> connection{0};
      proxy.HoldAnswersAfter(bytes);
      std::thread killer([&] {
        EXPECT_TRUE(Until([&] { return proxy.holds(); }));
        Admin(absl::StrCat(kill, connection.load()));
        proxy.HoldAnswersAfter(0);
      });
      const Read read = ReadBig(*db, &connection);
      killer.join();
      ExpectWhole(read);
      EXPECT_EQ(read.runs, 2);
    }
  }
}

TEST_F(MysqlResultTest, AConnectionCutInTheMiddleNeverEndsShort) {
  TestProxy proxy(Url().hosts[0].port);
  DatabaseUrl url = Url();
  url.hosts[0].port = proxy.port();
  auto db = Open(url);
  for (const int64_t bytes : {100'000, 3'000'000, 30'000'000}) {
    proxy.CutAnswersAfter(bytes);
    std::thread mend([&, before = proxy.cuts()] {
      // Whole again once it was cut: the next try gets through.
      EXPECT_TRUE(Until([&] { return proxy.cuts() > before; }));
      proxy.CutAnswersAfter(0);
    });
    const Read read = ReadBig(*db);
    mend.join();
    EXPECT_GT(read.runs, 1);
    ExpectWhole(read);
  }
  proxy.CutAnswersAfter(3'000'000);
  const absl::Status s = db->Read(In(seconds(2)), [](Transaction& tx) {
    return tx.Query(kBig, {}, [](const Row&) { return absl::OkStatus(); });
  });
  EXPECT_TRUE(absl::IsUnavailable(s)) << s;
}

TEST_F(MysqlResultTest, InAWriteTooAKilledQueryRunsAllAgain) {
  auto db = Open(Url());
  int runs = 0;
  int64_t rows = 0;
  const absl::Status s = db->Write(In(seconds(60)), [&](Transaction& tx) -> absl::Status {
    ++runs;
    rows = 0;
    if (auto s = Increment(tx, 1); !s.ok()) return s;
    const int64_t id = ConnectionId(tx);
    std::thread killer;
    if (runs == 1) {
      killer = std::thread([&, id] {
        EXPECT_TRUE(Until([&] {
          return Ask(absl::StrCat("SELECT COUNT(*) FROM information_schema.processlist WHERE id = ",
                                  id, " AND command = 'Execute'")) == 1;
        }));
        Admin(absl::StrCat("KILL QUERY ", id));
      });
    }
    auto s = tx.Query(
        "SELECT a.seq FROM seq_1_to_1000000 a JOIN seq_1_to_1000000 b ON a.seq = "
        "b.seq ORDER BY a.seq % 1000, a.seq",
        {}, [&](const Row&) {
          ++rows;
          return absl::OkStatus();
        });
    if (killer.joinable()) killer.join();
    return s;
  });
  EXPECT_TRUE(s.ok()) << s << EngineText(s);
  EXPECT_EQ(runs, 2);
  EXPECT_EQ(rows, kRows);
  EXPECT_EQ(V(1), 1);
}

}  // namespace
}  // namespace jetmon::sql
