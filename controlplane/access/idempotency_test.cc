#include "controlplane/access/idempotency.h"

#include <atomic>
#include <thread>
#include <vector>

#include "controlplane/error/error.h"
#include "gtest/gtest.h"
#include "store/keys.h"
#include "store/test_database.h"

namespace jetmon::access {
namespace {

using std::chrono::seconds;

class IdempotencyTest : public ::testing::Test {
 protected:
  static BootTime Soon() { return SystemClock().Boot() + seconds(20); }
  absl::StatusOr<Idempotency::Begun> Begin(Idempotency& idempotency,
                                           const std::string& hash = "hash",
                                           const std::string& key_id = "key_1") {
    return idempotency.Begin(key_id, "idem", "RolloutService/Seed", hash, Soon());
  }
  absl::Status Complete(IdempotencyClaim& claim) {
    return db_->Write([&](sql::Transaction& tx) { return claim.Complete(tx, "job", "rjob_1"); });
  }

  ManualClock clock_;
  store::TestDatabase db_;
  Idempotency idempotency_{*db_, clock_};
};

TEST_F(IdempotencyTest, CompletedIsReplayed) {
  auto first = Begin(idempotency_);
  ASSERT_TRUE(first.ok()) << first.status();
  ASSERT_NE(first->claim, nullptr);
  ASSERT_TRUE(Complete(*first->claim).ok());
  ASSERT_TRUE(first->claim->Release(Soon()).ok());
  const auto second = Begin(idempotency_);
  ASSERT_TRUE(second.ok());
  EXPECT_EQ(second->claim, nullptr);
  EXPECT_EQ(second->replay_kind, "job");
  EXPECT_EQ(second->replay_id, "rjob_1");
  // A restart, or another replica, knows it, too.
  Idempotency other(*db_, clock_);
  EXPECT_EQ(Begin(other)->replay_id, "rjob_1");
}

TEST_F(IdempotencyTest, AnotherRequestConflicts) {
  auto first = Begin(idempotency_);
  ASSERT_TRUE(first.ok());
  EXPECT_EQ(ReasonOf(Begin(idempotency_, "other").status()), v1::IDEMPOTENCY_CONFLICT);
  ASSERT_TRUE(Complete(*first->claim).ok());
  EXPECT_EQ(ReasonOf(Begin(idempotency_, "other").status()), v1::IDEMPOTENCY_CONFLICT);
  EXPECT_EQ(
      ReasonOf(
          idempotency_.Begin("key_1", "idem", "RolloutService/Smoke", "hash", Soon()).status()),
      v1::IDEMPOTENCY_CONFLICT);
}

TEST_F(IdempotencyTest, KeysOfOthersAreOthers) {
  ASSERT_TRUE(Begin(idempotency_).ok());
  const auto other = Begin(idempotency_, "other", "key_2");
  ASSERT_TRUE(other.ok());
  EXPECT_NE(other->claim, nullptr);
}

TEST_F(IdempotencyTest, ReleasedWithoutCommitIsFree) {
  auto first = Begin(idempotency_);
  ASSERT_TRUE(first.ok());
  // Completed in a transaction that does not commit.
  EXPECT_FALSE(db_->Write([&](sql::Transaction& tx) -> absl::Status {
                    EXPECT_TRUE(first->claim->Complete(tx, "job", "rjob_1").ok());
                    return absl::InternalError("rolled back");
                  })
                   .ok());
  ASSERT_TRUE(first->claim->Release(Soon()).ok());
  // Even for another request: nothing was done under this key.
  const auto second = Begin(idempotency_, "other");
  ASSERT_TRUE(second.ok());
  EXPECT_NE(second->claim, nullptr);
}

TEST_F(IdempotencyTest, RunningIsTakenOverAfterTheLease) {
  auto first = Begin(idempotency_);
  ASSERT_TRUE(first.ok());
  const absl::Status busy = Begin(idempotency_).status();
  EXPECT_EQ(ReasonOf(busy), v1::IDEMPOTENCY_IN_PROGRESS);
  EXPECT_TRUE(RetryAfterOf(busy).has_value());
  clock_.Advance(seconds(59));
  EXPECT_EQ(ReasonOf(Begin(idempotency_).status()), v1::IDEMPOTENCY_IN_PROGRESS);
  clock_.Advance(seconds(1));
  auto second = Begin(idempotency_);
  ASSERT_TRUE(second.ok()) << second.status();
  ASSERT_NE(second->claim, nullptr);
  // The first was only slow: its mutation must not commit, nor may its end free the key.
  EXPECT_EQ(ReasonOf(Complete(*first->claim)), v1::IDEMPOTENCY_CONFLICT);
  ASSERT_TRUE(first->claim->Release(Soon()).ok());
  EXPECT_EQ(ReasonOf(Begin(idempotency_).status()), v1::IDEMPOTENCY_IN_PROGRESS);
  EXPECT_TRUE(Complete(*second->claim).ok());
}

TEST_F(IdempotencyTest, AnotherRequestTakesNothingOver) {
  ASSERT_TRUE(Begin(idempotency_).ok());
  ASSERT_EQ(ReasonOf(Begin(idempotency_).status()), v1::IDEMPOTENCY_IN_PROGRESS);  // it is watched
  clock_.Advance(seconds(60));
  EXPECT_EQ(ReasonOf(Begin(idempotency_, "other").status()), v1::IDEMPOTENCY_CONFLICT);
  const auto same = Begin(idempotency_);
  ASSERT_TRUE(same.ok()) << same.status();
  EXPECT_NE(same->claim, nullptr);
}

TEST_F(IdempotencyTest, OneOfManyThreadsGoesOn) {
  constexpr int kRounds = 20;
  for (int round = 0; round < kRounds; ++round) {
    std::atomic<int> claimed{0}, in_progress{0}, other{0};
    std::vector<std::thread> threads;
    for (int i = 0; i < 6; ++i) {
      threads.emplace_back([&] {
        const auto begun = idempotency_.Begin("key_1", "idem" + std::to_string(round),
                                              "RolloutService/Seed", "hash", Soon());
        if (begun.ok() && begun->claim != nullptr) {
          ++claimed;
        } else if (ReasonOf(begun.status()) == v1::IDEMPOTENCY_IN_PROGRESS) {
          ++in_progress;
        } else {
          ++other;
        }
      });
    }
    for (auto& thread : threads) thread.join();
    EXPECT_EQ(claimed.load(), 1);
    EXPECT_EQ(in_progress.load(), 5);
    EXPECT_EQ(other.load(), 0);
  }
}

TEST(ValidIdempotencyKeyTest, VisibleAscii) {
  EXPECT_TRUE(ValidIdempotencyKey("a"));
  EXPECT_TRUE(ValidIdempotencyKey(std::string(255, '~')));
  EXPECT_FALSE(ValidIdempotencyKey(""));
  EXPECT_FALSE(ValidIdempotencyKey(std::string(256, 'a')));
  EXPECT_FALSE(ValidIdempotencyKey("a b"));
  EXPECT_FALSE(ValidIdempotencyKey("a\x7f"));
  EXPECT_FALSE(ValidIdempotencyKey("\xC3\xA4"));
}

}  // namespace
}  // namespace jetmon::access
