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
  auto db = Open(Url());
  int killed = 0;
  for (int round = 0; round < 12; ++round) {
    std::atomic<int64_t> connection{0};
    std::thread killer([&] {
      if (!Until([&] { return connection != 0; })) return;
      const std::string running = absl::StrCat(
          "SELECT COUNT(*) FROM information_schema.processlist WHERE id = ", connection.load(),
          " AND command = 'Execute'");
      // Some are killed at once, some when most of the rows are out.
      if (!Until([&] { return Ask(running) == 1 || connection < 0; })) return;
      std::this_thread::sleep_for(std::chrono::milliseconds(round * 15));
      Admin(absl::StrCat(round % 3 == 2 ? "KILL SOFT CONNECTION " : "KILL QUERY ",
                         std::abs(connection.load())));
    });
    const Read read = ReadBig(*db, &connection);
    connection = -std::abs(connection.load());
    killer.join();
    ExpectWhole(read);
    killed += read.runs > 1 ? 1 : 0;
  }
  EXPECT_GE(killed, 3) << "too few were killed while they ran: nothing was tested";
}

TEST_F(MysqlResultTest, AConnectionCutInTheMiddleNeverEndsShort) {
  TestProxy proxy(Url().hosts[0].port);
  DatabaseUrl url = Url();
  url.hosts[0].port = proxy.port();
  auto db = Open(url);
  for (const int64_t bytes : {100'000, 3'000'000, 30'000'000}) {
    proxy.CutAnswersAfter(bytes);
    std::thread mend([&, runs = 0]() mutable {
      // Whole again once it was cut: the next try gets through.
      std::this_thread::sleep_for(seconds(2));
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
        Until([&] {
          return Ask(absl::StrCat("SELECT COUNT(*) FROM information_schema.processlist WHERE id = ",
                                  id, " AND command = 'Execute'")) == 1;
        });
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
