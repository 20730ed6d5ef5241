// Connections as the server sees them: never more than the bound, none in doubt used twice, and the
// next host of the URL when one is gone.
#include <atomic>
#include <latch>
#include <thread>

#include "absl/strings/str_cat.h"
#include "store/sql/test_proxy.h"
#include "store/sql/test_server.h"

namespace jetmon::sql {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

absl::Status First(Transaction& tx) { return Increment(tx, 1); }

class MysqlPoolTest : public ServerTest {
 protected:
  // A user of its own, so that its connections can be told from others.
  MysqlPoolTest() : url_(Url()) {
    url_.user = "pooled";
    Admin("DROP USER IF EXISTS pooled@'127.0.0.1'");
    Admin("CREATE USER pooled@'127.0.0.1' IDENTIFIED BY 'its-own'");
    Admin(absl::StrCat("GRANT ALL ON ", url_.database, ".* TO pooled@'127.0.0.1'"));
  }
  std::unique_ptr<Database> OpenPool(int size, const Clock* clock = nullptr) {
    Options options;
    options.server.password = "its-own";
    options.server.connect_limit = seconds(2);
    options.pool_size = size;
    options.clock = clock;
    return Open(url_, options);
  }
  int64_t Connected() const { return Connections("pooled"); }
  // `depth` connections in use at once.
  static absl::Status Nest(Database& db, int depth, const std::function<void()>& inside) {
    return db.Read(In(seconds(20)), [&](Transaction&) {
      if (depth == 1) {
        inside();
        return absl::OkStatus();
      }
      return Nest(db, depth - 1, inside);
    });
  }

  DatabaseUrl url_;
};

TEST_F(MysqlPoolTest, ManyThreadsUseNoMoreConnectionsThanTheBoundAndTheSessions) {
  auto db = OpenPool(3);
  auto lease = db->NewSession(), other_lease = db->NewSession();
  ASSERT_TRUE(lease.ok() && other_lease.ok());
  constexpr int kThreads = 12, kEach = 30;
  std::atomic<bool> done{false};
  std::atomic<int64_t> most{0}, not_done{0};
  std::thread watch([&] {
    while (!done) most = std::max(most.load(), Connected());
  });
  std::latch start(kThreads);
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([&, t] {
      start.arrive_and_wait();
      for (int i = 0; i < kEach; ++i) {
        // Some connections break on the way.
        bool broke = t != 0 || i % 10 != 0;
        const absl::Status s = db->Write(In(seconds(60)), [&](Transaction& tx) {
          if (!std::exchange(broke, true)) Admin(absl::StrCat("KILL ", ConnectionId(tx)));
          return First(tx);
        });
        // A kill may meet COMMIT instead; then it was not done.
        EXPECT_TRUE(s.ok() || (t == 0 && OutcomeUnknown(s))) << s;
        not_done += s.ok() ? 0 : 1;
      }
    });
  }
  for (std::thread& t : threads) t.join();
  done = true;
  watch.join();
  EXPECT_EQ(V(1), kThreads * kEach - not_done);
  EXPECT_LE(most, 3 + 2);
  EXPECT_GE(most, 3);
}

TEST_F(MysqlPoolTest, WhoWaitsForAConnectionIsToldInTime) {
  Options options;
  options.server.password = "its-own";
  options.pool_size = 2;
  options.pool_wait = milliseconds(200);
  auto db = Open(url_, options);
  const BootTime start = SystemClock().Boot();
  absl::Status told;
  ASSERT_TRUE(Nest(*db, 2, [&] { told = db->Write(In(seconds(10)), First); }).ok());
  EXPECT_TRUE(absl::IsUnavailable(told)) << told;
  EXPECT_NE(told.message().find("all 2 database connections stayed in use"),
            absl::string_view::npos)
      << told;
  EXPECT_LT(SystemClock().Boot() - start, seconds(5));
  EXPECT_TRUE(db->Write(First).ok());
}

TEST_F(MysqlPoolTest, IdleConnectionsThatTheServerClosedAreNoError) {
  ManualClock clock;
  auto db = OpenPool(4, &clock);
  for (const seconds idle : {seconds(0), seconds(60)}) {
    ASSERT_TRUE(db->Read(clock.Boot() + seconds(9), [&](Transaction&) {
                    return db->Write(clock.Boot() + seconds(9), First);
                  }).ok());
    Admin("KILL USER pooled@'127.0.0.1'");
    ASSERT_TRUE(Until([&] { return Connected() == 0; }));
    // Trusted, as it was used just now, or asked first: either way the caller sees nothing of it.
    clock.Advance(idle);
    const int64_t before = V(1);
    const absl::Status s = db->Write(clock.Boot() + seconds(9), First);
    EXPECT_TRUE(s.ok()) << s;
    EXPECT_EQ(V(1), before + 1);
  }
}

class MysqlHostsTest : public MysqlPoolTest {
 protected:
  MysqlHostsTest() : first_(url_.hosts[0].port), second_(url_.hosts[0].port) {
    url_.hosts = {{"127.0.0.1", first_.port()}, {"127.0.0.1", second_.port()}};
    for (TestProxy* proxy : {&first_, &second_}) {
      proxy->OnCommand([this, proxy](std::string_view text) {
        // Not what closing a connection says.
        if (!text.empty()) (proxy == &first_ ? by_first_ : by_second_) += 1;
        return TestProxy::Fate::kPass;
      });
    }
  }
  TestProxy first_, second_;  // two ways to one server, as nodes of a cluster are
  std::atomic<int> by_first_{0}, by_second_{0};  // statements
};

TEST_F(MysqlHostsTest, TheNextHostTakesOverAndKeepsIt) {
  auto db = OpenPool(4);
  auto session = db->NewSession();
  ASSERT_TRUE(session.ok());
  ASSERT_TRUE(db->Write(First).ok());
  EXPECT_EQ(by_second_, 0) << "a process writes through one host at a time";
  first_.Close();
  EXPECT_TRUE(db->Write(First).ok());
  EXPECT_TRUE((*session)->Write(In(seconds(10)), First).ok());
  EXPECT_GT(by_second_, 0);
  first_.Open();  // back, but nothing is wrong with the other
  by_first_ = 0;
  EXPECT_TRUE(Nest(*db, 4, [] {}).ok());
  EXPECT_TRUE(db->Write(First).ok());
  EXPECT_TRUE((*session)->Write(In(seconds(10)), First).ok());
  EXPECT_EQ(by_first_, 0);
  second_.Close();
  EXPECT_TRUE(db->Write(First).ok());
  EXPECT_EQ(V(1), 6);
}

TEST_F(MysqlHostsTest, ConnectionsToTheOldHostAreLeftWhenAnotherIsInUse) {
  auto db = OpenPool(4);
  auto session = db->NewSession();
  ASSERT_TRUE(session.ok());
  ASSERT_TRUE((*session)->Write(In(seconds(10)), First).ok());
  // One is lost and finds the first host closed; the session's own is as good as ever.
  const absl::Status s = db->Write(In(seconds(10)), [&](Transaction& tx) -> absl::Status {
    if (auto s = First(tx); !s.ok()) return s;
    if (by_second_ == 0) {
      // New connections are refused, those that are there go on.
      first_.Refuse();
      Admin(absl::StrCat("KILL ", ConnectionId(tx)));
    }
    return First(tx);
  });
  ASSERT_TRUE(s.ok()) << s;
  EXPECT_GT(by_second_, 0);
  by_first_ = 0;
  EXPECT_TRUE((*session)->Write(In(seconds(10)), First).ok());
  EXPECT_EQ(by_first_, 0) << "two hosts were written through at once";
  EXPECT_EQ(V(1), 4);
}

TEST_F(MysqlHostsTest, AHostThatIsSilentIsLeftToo) {
  first_.Freeze();
  const BootTime start = SystemClock().Boot();
  auto db = OpenPool(2);
  EXPECT_TRUE(db->Write(First).ok());
  EXPECT_LT(SystemClock().Boot() - start, seconds(5));
  EXPECT_EQ(V(1), 1);
  first_.Thaw();
}

TEST_F(MysqlHostsTest, SoIsOneThatGoesSilentInTheMiddle) {
  Options options;
  options.server.password = "its-own";
  options.server.connect_limit = options.server.statement_limit = seconds(1);
  auto db = Open(url_, options);
  ASSERT_TRUE(db->Write(First).ok());
  const BootTime start = SystemClock().Boot();
  bool froze = false;
  const absl::Status s = db->Write(In(seconds(20)), [&](Transaction& tx) -> absl::Status {
    if (!std::exchange(froze, true)) first_.Freeze();
    return First(tx);
  });
  EXPECT_TRUE(s.ok()) << s;
  // The statement's second and two of silence; the silent host is not tried first again.
  EXPECT_LT(SystemClock().Boot() - start, seconds(6));
  EXPECT_EQ(V(1), 2);
  first_.Thaw();
}

TEST_F(MysqlHostsTest, WhenAllAreAwayTheFirstIsNamed) {
  first_.Close();
  second_.Close();
  Options options;
  options.server.password = "its-own";
  const absl::Status s = TryOpen(url_, options).status();
  EXPECT_TRUE(absl::IsUnavailable(s)) << s;
  EXPECT_NE(s.message().find(absl::StrCat("127.0.0.1:", first_.port())), absl::string_view::npos)
      << s;
}

}  // namespace
}  // namespace jetmon::sql
