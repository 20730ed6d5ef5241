// A connection that is lost at each step of a transaction: nothing that was reported as done is
// missing, nothing is done twice, and nothing is done by halves.
#include <signal.h>

#include <atomic>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "store/sql/test_proxy.h"
#include "store/sql/test_server.h"

namespace jetmon::sql {
namespace {

using std::chrono::seconds;
using Fate = TestProxy::Fate;

class MysqlCommitTest : public ServerTest {
 protected:
  MysqlCommitTest() : proxy_(Url().hosts[0].port) { OpenAnew(); }
  void OpenAnew() {
    DatabaseUrl url = Url();
    url.hosts[0].port = proxy_.port();
    db_ = Open(url);
  }
  // Cuts at the first command that begins with `word` ("": of those without a text), from now on.
  void CutOnce(const std::string& word, Fate fate) {
    cut_ = false;
    proxy_.OnCommand([this, word, fate](std::string_view text) {
      const bool meant = word.empty()
                             ? text.empty()
                             : absl::StartsWith(absl::string_view(text.data(), text.size()), word);
      return meant && !cut_.exchange(true) ? fate : Fate::kPass;
    });
  }
  // Both rows + 1 in one transaction.
  absl::Status Both(const std::function<void(Transaction&)>& between = {}) {
    runs_ = 0;
    return db_->Write(In(seconds(10)), [&](Transaction& tx) -> absl::Status {
      ++runs_;
      if (auto s = Increment(tx, 1); !s.ok()) return s;
      if (between) between(tx);
      return Increment(tx, 2);
    });
  }
  void Kill(int64_t connection) {
    Admin(absl::StrCat("KILL ", connection));
    EXPECT_TRUE(Until([&] {
      return Ask(absl::StrCat("SELECT COUNT(*) FROM information_schema.processlist WHERE id = ",
                              connection)) == 0;
    }));
  }

  TestProxy proxy_;
  std::unique_ptr<Database> db_;
  std::atomic<bool> cut_{false};
  int runs_ = 0;
};

TEST_F(MysqlCommitTest, AConnectionKilledRightBeforeCommitIsNoSuccess) {
  for (int round = 0; round < 10; ++round) {
    int runs = 0;
    const absl::Status s = db_->Write([&](Transaction& tx) -> absl::Status {
      ++runs;
      if (auto s = Increment(tx, 1); !s.ok()) return s;
      Kill(ConnectionId(tx));
      return absl::OkStatus();
    });
    ASSERT_FALSE(s.ok()) << "round " << round << ": a lost write was reported as done";
    ASSERT_TRUE(OutcomeUnknown(s)) << s;
    ASSERT_TRUE(absl::IsUnavailable(s)) << s;
    ASSERT_EQ(runs, 1) << "what may have been done must not be done again";
    ASSERT_EQ(V(1), 0);
  }
  EXPECT_TRUE(Both().ok());  // the pool threw the dead ones away
}

TEST_F(MysqlCommitTest, ASessionKilledRightBeforeCommitIsNoSuccessAndIsMadeAgain) {
  auto session = db_->NewSession();
  ASSERT_TRUE(session.ok());
  const absl::Status s = (*session)->Write(In(seconds(10)), [&](Transaction& tx) -> absl::Status {
    if (auto s = Increment(tx, 1); !s.ok()) return s;
    Kill(ConnectionId(tx));
    return absl::OkStatus();
  });
  EXPECT_TRUE(OutcomeUnknown(s)) << s;
  EXPECT_EQ(V(1), 0);
  EXPECT_TRUE(
      (*session)->Write(In(seconds(10)), [](Transaction& tx) { return Increment(tx, 1); }).ok());
  EXPECT_EQ(V(1), 1);
}

TEST_F(MysqlCommitTest, ALossInsideATransactionRunsAllOfItAgain) {
  for (int round = 1; round <= 10; ++round) {
    bool killed = false;
    const absl::Status s = Both([&](Transaction& tx) {
      if (!killed) Kill(ConnectionId(tx));
      killed = true;
    });
    ASSERT_TRUE(s.ok()) << s;
    ASSERT_EQ(runs_, 2);
    // A connection that was silently made again would have written the second half alone.
    ASSERT_EQ(V(1), round);
    ASSERT_EQ(V(2), round);
  }
}

TEST_F(MysqlCommitTest, ACommitThatNeverArrivedIsOfUnknownOutcomeAndNotDone) {
  CutOnce("COMMIT", Fate::kCutBefore);
  const absl::Status s = Both();
  EXPECT_TRUE(cut_);
  EXPECT_TRUE(OutcomeUnknown(s)) << s;
  EXPECT_EQ(runs_, 1);
  EXPECT_EQ(V(1), 0);
  EXPECT_EQ(V(2), 0);
}

TEST_F(MysqlCommitTest, ACommitWhoseAnswerIsLostIsOfUnknownOutcomeAndDoneOnce) {
  for (int round = 1; round <= 10; ++round) {
    CutOnce("COMMIT", Fate::kCutAfter);
    const absl::Status s = Both();
    ASSERT_TRUE(cut_);
    ASSERT_TRUE(OutcomeUnknown(s)) << s;
    ASSERT_EQ(runs_, 1) << "it would have been done twice";
    ASSERT_EQ(V(1), round);
    ASSERT_EQ(V(2), round);
  }
}

TEST_F(MysqlCommitTest, ALossAtEveryOtherStepIsDoneOnceAllTheSame) {
  int64_t done = 0;
  for (const char* step : {"START TRANSACTION", "UPDATE n", ""}) {
    for (const Fate fate : {Fate::kCutBefore, Fate::kCutAfter}) {
      OpenAnew();  // nothing is prepared yet
      CutOnce(step, fate);
      const absl::Status s = Both();
      ASSERT_TRUE(cut_) << step;
      ASSERT_TRUE(s.ok()) << step << ": " << s;
      ++done;
      ASSERT_EQ(V(1), done) << step;
      ASSERT_EQ(V(2), done) << step;
    }
  }
}

TEST_F(MysqlCommitTest, ARollbackThatIsLostLeavesNothing) {
  for (const Fate fate : {Fate::kCutBefore, Fate::kCutAfter}) {
    CutOnce("ROLLBACK", fate);
    const absl::Status s = db_->Write([](Transaction& tx) -> absl::Status {
      if (auto s = Increment(tx, 1); !s.ok()) return s;
      return absl::NotFoundError("mine");
    });
    EXPECT_TRUE(cut_);
    EXPECT_TRUE(absl::IsNotFound(s)) << s;
    EXPECT_TRUE(Until([&] { return V(1) == 0; }));
    EXPECT_TRUE(Both().ok());
    EXPECT_EQ(V(1), V(2));
    Admin("UPDATE n SET v = 0");
  }
}

TEST_F(MysqlCommitTest, AReadIsRunAgainWhereverItWasLost) {
  for (const char* step : {"START TRANSACTION", "SELECT v", "COMMIT"}) {
    CutOnce(step, Fate::kCutAfter);
    int64_t v = -1;
    const absl::Status s = db_->Read([&](Transaction& tx) {
      return tx.Query(absl::StrCat("SELECT v FROM n WHERE id = 1 AND '", step, "' <> ''"), {},
                      [&](const Row& row) {
                        v = row.Int(0);
                        return absl::OkStatus();
                      });
    });
    EXPECT_TRUE(cut_) << step;
    EXPECT_TRUE(s.ok()) << step << ": " << s;
    EXPECT_EQ(v, 0);
  }
}

TEST_F(MysqlCommitTest, AServerThatStaysAwayEndsInOneLineAtTheDeadline) {
  proxy_.Close();
  const BootTime start = SystemClock().Boot();
  const absl::Status s =
      db_->Write(In(seconds(2)), [](Transaction& tx) { return Increment(tx, 1); });
  EXPECT_TRUE(absl::IsUnavailable(s)) << s;
  EXPECT_FALSE(OutcomeUnknown(s));
  EXPECT_TRUE(absl::StrContains(s.message(), "gave up at the deadline")) << s;
  EXPECT_TRUE(absl::StrContains(s.message(), "127.0.0.1:")) << s;
  EXPECT_EQ(s.message().find('\n'), absl::string_view::npos);
  EXPECT_LT(SystemClock().Boot() - start, seconds(4));
  proxy_.Open();
  EXPECT_TRUE(Both().ok());
  EXPECT_EQ(V(1), 1);
}

}  // namespace
}  // namespace jetmon::sql
