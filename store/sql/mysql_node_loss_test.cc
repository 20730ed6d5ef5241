// kill -9 of the node of a cluster that a process writes through. It is the last of its cluster's
// tests: the node stays dead.
#include <signal.h>

#include <atomic>
#include <mutex>
#include <set>
#include <thread>

#include "absl/strings/str_cat.h"
#include "store/sql/test_server.h"

namespace jetmon::sql {
namespace {

using std::chrono::seconds;

class MysqlNodeLossTest : public ServerTest {};

TEST_F(MysqlNodeLossTest, NoWriteThatWasReportedAsDoneIsMissingAndNoneIsDoneTwice) {
  ASSERT_EQ(nodes(), 3u);
  Admin("DROP TABLE IF EXISTS log");
  Admin(
      "CREATE TABLE log (id BIGINT NOT NULL AUTO_INCREMENT PRIMARY KEY, entry VARCHAR(64) NOT "
      "NULL) ENGINE=InnoDB");
  auto db = OpenServer();  // the first node, then the others
  constexpr int kThreads = 4, kAfter = 50;
  std::mutex mutex;
  std::set<std::string> done, unknown;  // the writers' own log
  std::atomic<bool> killed{false};
  std::atomic<int> before{0}, after{0};
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([&, t] {
      // Every writer writes on after the loss.
      for (int i = 0, since = 0; since < kAfter && i < 100'000; ++i) {
        const std::string entry = absl::StrCat(t, "/", i);
        const absl::Status s = db->Write(In(seconds(40)), [&](Transaction& tx) -> absl::Status {
          if (auto s = Increment(tx, 1); !s.ok()) return s;
          return tx.Insert("INSERT INTO log (entry) VALUES (?)", {entry}).status();
        });
        EXPECT_TRUE(s.ok() || OutcomeUnknown(s)) << s;
        std::lock_guard lock(mutex);
        (s.ok() ? done : unknown).insert(entry);
        if (!s.ok()) continue;
        ++(killed ? after : before);
        since += killed ? 1 : 0;
      }
    });
  }
  ASSERT_TRUE(Until([&] { return before > 200; }));
  ASSERT_EQ(kill(pid(0), SIGKILL), 0);
  killed = true;
  for (std::thread& t : threads) t.join();
  EXPECT_GE(after, kThreads * kAfter);
  for (const size_t node : {1, 2}) {
    auto reader = Open(Url(node));
    std::multiset<std::string> there;
    const absl::Status s = reader->Read(In(seconds(20)), [&](Transaction& tx) {
      there.clear();
      return tx.Query("SELECT entry FROM log", {}, [&](const Row& row) {
        there.insert(row.Text(0));
        return absl::OkStatus();
      });
    });
    ASSERT_TRUE(s.ok()) << s;
    for (const std::string& entry : done) {
      EXPECT_EQ(there.count(entry), 1u) << entry << " was reported as done";
    }
    for (const std::string& entry : there) {
      EXPECT_EQ(there.count(entry), 1u) << entry;
      EXPECT_TRUE(done.contains(entry) || unknown.contains(entry)) << entry;
    }
    EXPECT_EQ(V(1, node), static_cast<int64_t>(there.size())) << "a half was committed";
  }
  printf("%zu reported as done, %zu of unknown outcome\n", done.size(), unknown.size());
}

}  // namespace
}  // namespace jetmon::sql
