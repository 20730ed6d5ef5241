#include "store/locks.h"

#include <atomic>
#include <thread>

#include "store/hosts.h"
#include "store/test_database.h"

namespace jetmon::store {
namespace {

namespace rs = range_state;

void AddHost(sql::Transaction& tx, const std::string& host) {
  ProcessHealth h;
  h.instance = "ins_" + host;
  h.kind = "monitor";
  h.host = host;
  EXPECT_TRUE(ReportHealth(tx, h).ok());
}

class LocksTest : public testing::Test {
 protected:
  LocksTest() {
    Write([](sql::Transaction& tx) {
      for (const char* host : {"a", "b", "c"}) AddHost(tx, host);
      return EnsureBuckets(tx, 16, 1);
    });
  }
  void Write(const sql::Body& body) {
    const absl::Status s = db_->Write(body);
    EXPECT_TRUE(s.ok()) << s;
  }
  // A grant; 0 when it was not granted (and rolled back).
  uint64_t Give(Range range, const std::string& host) {
    uint64_t epoch = 0;
    last_ = GrantOutcome::kGranted;
    db_->Write([&](sql::Transaction& tx) -> absl::Status {
         Grant g{range, host, "ins_" + host, *HostGeneration(tx, host), "rol_1", "rjob_1", "[]", 5};
         auto result = GrantRange(tx, g);
         if (!result.ok()) return result.status();
         last_ = result->outcome;
         if (last_ != GrantOutcome::kGranted) return absl::NotFoundError("roll back");
         epoch = result->lock.epoch;
         return absl::OkStatus();
       })
        .IgnoreError();
    return epoch;
  }
  template <typename F>
  bool Do(F f) {
    bool matched = false;
    Write([&](sql::Transaction& tx) -> absl::Status {
      auto result = f(tx);
      if (result.ok()) matched = *result;
      return result.status();
    });
    return matched;
  }
  RangeLock Lock(uint64_t epoch) {
    RangeLock lock;
    Write([&](sql::Transaction& tx) -> absl::Status {
      lock = **GetRangeLock(tx, epoch);
      return absl::OkStatus();
    });
    return lock;
  }
  // How many bucket rows are in that state under that epoch.
  size_t Buckets(uint64_t epoch, const std::string& state) {
    size_t n = 0;
    Write([&](sql::Transaction& tx) -> absl::Status {
      const auto rows = ListBuckets(tx, {0, 15});
      for (const auto& b : *rows) {
        if (b.epoch == epoch && b.state == state) ++n;
      }
      return absl::OkStatus();
    });
    return n;
  }
  // preparing -> activating -> active.
  uint64_t Activate(Range range, const std::string& host) {
    const uint64_t epoch = Give(range, host);
    EXPECT_TRUE(Do([&](auto& tx) { return BeginActivating(tx, epoch, 6); }));
    const uint64_t revision = Lock(epoch).revision;
    EXPECT_TRUE(
        Do([&](auto& tx) { return AcknowledgeRange(tx, epoch, "ins_" + host, revision, 7); }));
    return epoch;
  }
  bool Fence(uint64_t epoch, uint32_t bucket, const std::string& instance) {
    return Do([&](auto& tx) { return FenceBucket(tx, bucket, epoch, instance); });
  }
  TestDatabase db_;
  GrantOutcome last_ = GrantOutcome::kGranted;
};

TEST_F(LocksTest, TheWholeLifeOfARange) {
  const uint64_t epoch = Give({2, 5}, "a");
  ASSERT_GT(epoch, 0u);
  EXPECT_EQ(Buckets(epoch, rs::kPreparing), 4u);
  EXPECT_FALSE(Fence(epoch, 2, "ins_a"));
  EXPECT_FALSE(Do([&](auto& tx) { return RenewLease(tx, epoch, "ins_a", 1); }));
  EXPECT_FALSE(Do([&](auto& tx) { return AcknowledgeRange(tx, epoch, "ins_a", 1, 6); }));
  EXPECT_TRUE(Do([&](auto& tx) { return BeginActivating(tx, epoch, 6); }));
  EXPECT_FALSE(Do([&](auto& tx) { return BeginActivating(tx, epoch, 6); }));
  const uint64_t revision = Lock(epoch).revision;
  EXPECT_TRUE(Do([&](auto& tx) { return RenewLease(tx, epoch, "ins_a", revision); }));
  EXPECT_FALSE(Do([&](auto& tx) { return AcknowledgeRange(tx, epoch, "ins_b", revision, 7); }));
  EXPECT_FALSE(Do([&](auto& tx) { return AcknowledgeRange(tx, epoch, "ins_a", revision - 1, 7); }));
  EXPECT_TRUE(Do([&](auto& tx) { return AcknowledgeRange(tx, epoch, "ins_a", revision, 7); }));
  EXPECT_FALSE(Do([&](auto& tx) { return AcknowledgeRange(tx, epoch, "ins_a", revision, 7); }));
  EXPECT_EQ(Buckets(epoch, rs::kActive), 4u);
  EXPECT_TRUE(Fence(epoch, 5, "ins_a"));
  EXPECT_FALSE(Fence(epoch, 6, "ins_a"));
  EXPECT_FALSE(Fence(epoch, 5, "ins_b"));
  EXPECT_FALSE(Fence(epoch + 1, 5, "ins_a"));
  // A renewal with the revision of before the change does not match.
  EXPECT_FALSE(Do([&](auto& tx) { return RenewLease(tx, epoch, "ins_a", revision); }));
  EXPECT_TRUE(Do([&](auto& tx) { return BeginRelease(tx, epoch, "rjob_2", 8); }));
  EXPECT_FALSE(Do([&](auto& tx) { return BeginRelease(tx, epoch, "rjob_3", 8); }));
  EXPECT_EQ(Buckets(epoch, rs::kDraining), 4u);
  EXPECT_TRUE(Fence(epoch, 5, "ins_a"));
  EXPECT_FALSE(Do([&](auto& tx) { return FreeDrained(tx, epoch, 9); }));
  EXPECT_FALSE(Do([&](auto& tx) { return ReportDrained(tx, epoch, "ins_b", 0, 9); }));
  EXPECT_TRUE(Do([&](auto& tx) { return ReportDrained(tx, epoch, "ins_a", 3, 9); }));
  EXPECT_FALSE(Do([&](auto& tx) { return ReportDrained(tx, epoch, "ins_a", 3, 9); }));
  EXPECT_TRUE(Do([&](auto& tx) { return FreeDrained(tx, epoch, 10); }));
  EXPECT_FALSE(Do([&](auto& tx) { return FreeDrained(tx, epoch, 10); }));
  EXPECT_FALSE(Fence(epoch, 5, "ins_a"));
  EXPECT_EQ(Lock(epoch).state, rs::kReleased);
  EXPECT_EQ(Lock(epoch).notifications_left, 3u);
  EXPECT_EQ(Buckets(0, kBucketFree), 16u);
  EXPECT_GT(Give({2, 5}, "a"), epoch);  // epochs only grow
}

TEST_F(LocksTest, AGrantTakesAllOrNothing) {
  const uint64_t first = Give({4, 7}, "a");
  EXPECT_EQ(Give({0, 4}, "b"), 0u);
  EXPECT_EQ(last_, GrantOutcome::kBucketsTaken);
  EXPECT_EQ(Give({0, 3}, "a"), 0u);
  EXPECT_EQ(last_, GrantOutcome::kOwnerHasRange);
  EXPECT_EQ(Buckets(first, rs::kPreparing), 4u);
  EXPECT_EQ(Buckets(0, kBucketFree), 12u);
  Write([&](sql::Transaction& tx) -> absl::Status {
    Grant stale{{0, 3}, "b", "ins_b", 7, "rol_1", "rjob_1", "[]", 5};
    EXPECT_EQ(GrantRange(tx, stale)->outcome, GrantOutcome::kOwnerChanged);
    return absl::OkStatus();
  });
}

TEST_F(LocksTest, OverlappingGrantsHaveOneWinner) {
  for (int round = 0; round < 30; ++round) {
    std::atomic<int> won{0};
    std::vector<std::thread> threads;
    const char* hosts[] = {"a", "b", "c"};
    for (int t = 0; t < 3; ++t) {
      threads.emplace_back([&, t] {
        const auto other = db_.OpenAnother();
        const Range range{static_cast<uint32_t>(t), static_cast<uint32_t>(t + 4)};
        const absl::Status s = other->Write([&](sql::Transaction& tx) -> absl::Status {
          const std::string host = hosts[t];
          Grant g{range, host, "ins_" + host, *HostGeneration(tx, host), "r", "j", "[]", 5};
          auto result = GrantRange(tx, g);
          if (!result.ok()) return result.status();
          return result->outcome == GrantOutcome::kGranted ? absl::OkStatus()
                                                           : absl::NotFoundError("lost");
        });
        if (s.ok()) ++won;
        EXPECT_TRUE(s.ok() || absl::IsNotFound(s)) << s;
      });
    }
    for (std::thread& t : threads) t.join();
    ASSERT_EQ(won, 1) << "round " << round;
    std::vector<RangeLock> held;
    Write([&](sql::Transaction& tx) -> absl::Status {
      held = *ListHeldRanges(tx);
      return absl::OkStatus();
    });
    ASSERT_EQ(held.size(), 1u);
    ASSERT_EQ(Buckets(held[0].epoch, rs::kPreparing), held[0].range.size());
    ASSERT_EQ(Buckets(0, kBucketFree), 16 - held[0].range.size());
    EXPECT_TRUE(Do([&](auto& tx) { return BeginRelease(tx, held[0].epoch, "j", 8); }));
    EXPECT_TRUE(Do([&](auto& tx) { return FreeDrained(tx, held[0].epoch, 9); }));
  }
}

TEST_F(LocksTest, TwoRangesForOneOwnerHaveOneWinner) {
  for (int round = 0; round < 30; ++round) {
    std::atomic<int> won{0};
    std::vector<std::thread> threads;
    for (int t = 0; t < 2; ++t) {
      threads.emplace_back([&, t] {
        const Range range{static_cast<uint32_t>(8 * t), static_cast<uint32_t>(8 * t + 3)};
        const absl::Status s = db_->Write([&](sql::Transaction& tx) -> absl::Status {
          Grant g{range, "a", "ins_a", *HostGeneration(tx, "a"), "r", "j", "[]", 5};
          auto result = GrantRange(tx, g);
          if (!result.ok()) return result.status();
          return result->outcome == GrantOutcome::kGranted ? absl::OkStatus()
                                                           : absl::NotFoundError("lost");
        });
        if (s.ok()) ++won;
      });
    }
    for (std::thread& t : threads) t.join();
    ASSERT_EQ(won, 1);
    Write([&](sql::Transaction& tx) -> absl::Status {
      auto held = *ListHeldRanges(tx);
      EXPECT_TRUE(*BeginRelease(tx, held[0].epoch, "j", 8));
      EXPECT_TRUE(*FreeDrained(tx, held[0].epoch, 9));
      return absl::OkStatus();
    });
  }
}

TEST_F(LocksTest, ADeadOwnersRangeIsFreedOnTheSequenceSeen) {
  const uint64_t epoch = Activate({0, 3}, "a");
  EXPECT_FALSE(Do([&](auto& tx) { return FreeDead(tx, epoch, 1, 9); }));  // still active
  EXPECT_TRUE(Do([&](auto& tx) { return BeginRelease(tx, epoch, "j", 8); }));
  const RangeLock seen = Lock(epoch);
  EXPECT_TRUE(Do([&](auto& tx) { return RenewLease(tx, epoch, "ins_a", seen.revision); }));
  EXPECT_FALSE(Do([&](auto& tx) { return FreeDead(tx, epoch, seen.lease_seq, 9); }));
  EXPECT_TRUE(Do([&](auto& tx) { return FreeDead(tx, epoch, seen.lease_seq + 1, 9); }));
  EXPECT_FALSE(Fence(epoch, 0, "ins_a"));
}

TEST_F(LocksTest, ARevokedRangeCanNotBeRenewedOrTakenOver) {
  const uint64_t epoch = Activate({0, 3}, "a");
  EXPECT_FALSE(Do([&](auto& tx) { return RevokeRange(tx, epoch, 9); }));
  EXPECT_TRUE(Do([&](auto& tx) { return BeginRelease(tx, epoch, "j", 8); }));
  EXPECT_TRUE(Do([&](auto& tx) { return RevokeRange(tx, epoch, 9); }));
  const RangeLock lock = Lock(epoch);
  EXPECT_FALSE(Do([&](auto& tx) { return RenewLease(tx, epoch, "ins_a", lock.revision); }));
  EXPECT_FALSE(Do([&](auto& tx) { return ReportDrained(tx, epoch, "ins_a", 0, 9); }));
  EXPECT_FALSE(
      Do([&](auto& tx) { return TakeOverRange(tx, epoch, "ins_a", lock.lease_seq, "ins_a2", 9); }));
  EXPECT_FALSE(Fence(epoch, 0, "ins_a"));
  EXPECT_TRUE(Do([&](auto& tx) { return FreeDead(tx, epoch, lock.lease_seq, 9); }));
}

TEST_F(LocksTest, ATakeOverMovesTheFence) {
  const uint64_t epoch = Activate({0, 3}, "a");
  const RangeLock lock = Lock(epoch);
  EXPECT_FALSE(Do([&](auto& tx) {
    return TakeOverRange(tx, epoch, "ins_a", lock.lease_seq + 1, "ins_a2", 9);
  }));
  EXPECT_FALSE(
      Do([&](auto& tx) { return TakeOverRange(tx, epoch, "ins_x", lock.lease_seq, "ins_a2", 9); }));
  EXPECT_TRUE(
      Do([&](auto& tx) { return TakeOverRange(tx, epoch, "ins_a", lock.lease_seq, "ins_a2", 9); }));
  EXPECT_FALSE(Fence(epoch, 0, "ins_a"));
  EXPECT_TRUE(Fence(epoch, 0, "ins_a2"));
  EXPECT_FALSE(Do([&](auto& tx) { return RenewLease(tx, epoch, "ins_a", lock.revision); }));
  // A draining one is drained by the take-over.
  EXPECT_TRUE(Do([&](auto& tx) { return BeginRelease(tx, epoch, "j", 8); }));
  const RangeLock draining = Lock(epoch);
  EXPECT_TRUE(Do([&](auto& tx) {
    return TakeOverRange(tx, epoch, "ins_a2", draining.lease_seq, "ins_a3", 9);
  }));
  EXPECT_TRUE(Lock(epoch).drained);
}

TEST_F(LocksTest, GivingUpDrainsAndVoidsEvidence) {
  const uint64_t epoch = Give({0, 3}, "a");
  uint64_t before = 0, after = 0;
  Write([&](sql::Transaction& tx) -> absl::Status {
    before = *LastChangeOrdinal(tx, {0, 3});
    EXPECT_TRUE(*BeginActivating(tx, epoch, 6));
    EXPECT_TRUE(*GiveUpActivation(tx, epoch, "rjob_2", 7));
    after = *LastChangeOrdinal(tx, {0, 3});
    return absl::OkStatus();
  });
  EXPECT_GT(after, before);
  EXPECT_TRUE(Lock(epoch).gave_up);
  EXPECT_EQ(Lock(epoch).release_job_id, "rjob_2");
  EXPECT_FALSE(Lock(epoch).drained);  // the Monitor may have seen it
  EXPECT_EQ(Lock(epoch).state, rs::kDraining);
}

TEST_F(LocksTest, ReleasingWhatTheMonitorNeverSawIsDrainedAtOnce) {
  const uint64_t epoch = Give({0, 3}, "a");
  EXPECT_TRUE(Do([&](auto& tx) { return BeginRelease(tx, epoch, "j", 8); }));
  EXPECT_TRUE(Lock(epoch).drained);
}

TEST_F(LocksTest, ASmallerBucketTotalIsRefusedWhileMoreAreHeld) {
  Activate({12, 15}, "a");
  const absl::Status s = db_->Write([](sql::Transaction& tx) { return EnsureBuckets(tx, 8, 1); });
  EXPECT_TRUE(absl::IsFailedPrecondition(s)) << s;
}

}  // namespace
}  // namespace jetmon::store
