// Dialect v1: of which buckets an owner may tell, and what else may happen to a range of which some
// are muted.
#include <atomic>
#include <thread>

#include "store/locks_fixture.h"
#include "store/parts.h"

namespace jetmon::store {
namespace {

constexpr Range kAll{2, 5}, kPrefix{2, 3}, kRest{4, 5};
constexpr char kJob[] = "rjob_mute", kOther[] = "rjob_other";

class MutesTest : public LocksFixture {
 protected:
  bool Mute(uint64_t epoch, Range range, const char* job = kJob) {
    return Do([&](auto& tx) { return MuteRange(tx, epoch, range, job, 8); });
  }
  // The buckets of which host 0 may tell, as "2 3 ".
  std::string Tells(uint64_t epoch) {
    std::string tells;
    for (uint32_t bucket = 0; bucket < 8; ++bucket) {
      if (Do([&](auto& tx) { return FenceTell(tx, bucket, epoch, Instance(0)); })) {
        absl::StrAppend(&tells, bucket, " ");
      }
    }
    return tells;
  }
  std::string Checks(uint64_t epoch) {
    std::string checks;
    for (uint32_t bucket = 0; bucket < 8; ++bucket) {
      if (Do([&](auto& tx) { return FenceBucket(tx, bucket, epoch, Instance(0)); })) {
        absl::StrAppend(&checks, bucket, " ");
      }
    }
    return checks;
  }
};

TEST_F(MutesTest, WhoIsMutedChecksOnAndTellsNothing) {
  const uint64_t epoch = Activate(kAll, 0);
  EXPECT_EQ(Tells(epoch), "2 3 4 5 ");
  EXPECT_TRUE(Mute(epoch, kAll));
  EXPECT_EQ(Tells(epoch), "");
  EXPECT_EQ(Checks(epoch), "2 3 4 5 ");
  const RangeLock lock = Lock(epoch);
  ASSERT_TRUE(lock.mute.has_value());
  EXPECT_EQ(lock.mute->job_id, kJob);
  EXPECT_EQ(lock.mute->range, kAll);
  EXPECT_EQ(lock.mute->at_ms, 8);
  // Its owner renews no more before it has read that.
  EXPECT_FALSE(Do([&](auto& tx) { return RenewLease(tx, epoch, Instance(0), lock.revision - 1); }));
}

TEST_F(MutesTest, OfTheRestItTellsOn) {
  const uint64_t epoch = Activate(kAll, 0);
  EXPECT_TRUE(Mute(epoch, kPrefix));
  EXPECT_EQ(Tells(epoch), "4 5 ");
  EXPECT_TRUE(Do([&](auto& tx) { return BeginPartRelease(tx, epoch, kPrefix, kJob, 9); }));
  EXPECT_EQ(Tells(epoch), "4 5 ");
  EXPECT_TRUE(Do([&](auto& tx) { return ReportPartDrained(tx, kJob, Instance(0), 0, 10); }));
  EXPECT_TRUE(Do([&](auto& tx) { return FreePartDrained(tx, kJob, 11); }));
  EXPECT_EQ(Tells(epoch), "4 5 ");
  EXPECT_FALSE(Lock(epoch).mute.has_value());
  // The next part leaves in the same way.
  EXPECT_TRUE(Mute(epoch, {5, 5}, kOther));
  EXPECT_EQ(Tells(epoch), "4 ");
}

TEST_F(MutesTest, WhatWasMutedIsNotWhenItIsGivenAgain) {
  uint64_t epoch = Activate(kAll, 0);
  EXPECT_TRUE(Mute(epoch, kAll));
  Release(epoch);
  epoch = Activate(kAll, 0);
  EXPECT_EQ(Tells(epoch), "2 3 4 5 ");
  EXPECT_TRUE(Mute(epoch, kPrefix));
  EXPECT_TRUE(Do([&](auto& tx) { return BeginPartRelease(tx, epoch, kPrefix, kJob, 9); }));
  const uint64_t seq = Lock(epoch).lease_seq;
  EXPECT_TRUE(Do([&](auto& tx) { return FreePartDead(tx, kJob, seq, 11); }));
  Release(epoch);
  epoch = Activate(kAll, 0);
  EXPECT_EQ(Tells(epoch), "2 3 4 5 ");
}

TEST_F(MutesTest, OnlyAnActiveRangeTells) {
  const uint64_t epoch = Give(kAll, 0);
  EXPECT_FALSE(Mute(epoch, kAll));
  EXPECT_EQ(Tells(epoch), "");
  EXPECT_TRUE(Do([&](auto& tx) { return BeginActivating(tx, epoch, 6); }));
  EXPECT_FALSE(Mute(epoch, kAll));
  EXPECT_EQ(Tells(epoch), "");
  const uint64_t revision = Lock(epoch).revision;
  EXPECT_TRUE(Do([&](auto& tx) { return AcknowledgeRange(tx, epoch, Instance(0), revision, 7); }));
  EXPECT_EQ(Tells(epoch), "2 3 4 5 ");
  EXPECT_TRUE(Do([&](auto& tx) { return BeginRelease(tx, epoch, kJob, 8); }));
  EXPECT_EQ(Tells(epoch), "");
  EXPECT_EQ(Checks(epoch), "2 3 4 5 ");
  EXPECT_FALSE(Mute(epoch, kAll));
}

TEST_F(MutesTest, NobodyElseTells) {
  const uint64_t epoch = Activate(kAll, 0);
  EXPECT_FALSE(Do([&](auto& tx) { return FenceTell(tx, 2, epoch, Instance(1)); }));
  EXPECT_FALSE(Do([&](auto& tx) { return FenceTell(tx, 2, epoch + 1, Instance(0)); }));
}

TEST_F(MutesTest, OnlyWhatCanLeaveIsMuted) {
  const uint64_t epoch = Activate(kAll, 0);
  for (const Range range : {Range{3, 4}, Range{3, 3}, Range{1, 3}, Range{4, 6}, Range{1, 6}}) {
    EXPECT_FALSE(Mute(epoch, range)) << range.ToString();
  }
  EXPECT_EQ(Tells(epoch), "2 3 4 5 ");
  EXPECT_FALSE(Lock(epoch).mute.has_value());
  EXPECT_TRUE(Mute(epoch, kRest));
  EXPECT_EQ(Tells(epoch), "2 3 ");
}

TEST_F(MutesTest, WhileSomeAreMutedNothingElseLeaves) {
  const uint64_t epoch = Activate(kAll, 0);
  EXPECT_TRUE(Mute(epoch, kPrefix));
  const std::string before = Dump();
  EXPECT_FALSE(Mute(epoch, kPrefix, kOther));
  EXPECT_FALSE(Mute(epoch, kRest, kOther));
  EXPECT_FALSE(Mute(epoch, kAll, kOther));
  EXPECT_FALSE(Do([&](auto& tx) { return BeginRelease(tx, epoch, kOther, 9); }));
  for (const Range range : {kRest, Range{2, 2}, Range{2, 4}}) {
    EXPECT_FALSE(Do([&](auto& tx) { return BeginPartRelease(tx, epoch, range, kOther, 9); }));
  }
  EXPECT_EQ(Dump(), before);
  EXPECT_TRUE(Do([&](auto& tx) { return BeginPartRelease(tx, epoch, kPrefix, kJob, 9); }));
  EXPECT_FALSE(Mute(epoch, kRest, kOther));
}

TEST_F(MutesTest, WhileAPartLeavesNothingIsMuted) {
  const uint64_t epoch = Activate(kAll, 0);
  EXPECT_TRUE(Do([&](auto& tx) { return BeginPartRelease(tx, epoch, kPrefix, kJob, 9); }));
  EXPECT_FALSE(Mute(epoch, kRest, kOther));
  EXPECT_EQ(Tells(epoch), "4 5 ");
}

TEST_F(MutesTest, ABucketThatIsLostIsAnErrorThatRollsBack) {
  const uint64_t epoch = Activate(kAll, 0);
  Write([](sql::Transaction& tx) {
    return tx.Execute("UPDATE jetmon_rollout_bucket_locks SET epoch = 0 WHERE bucket_no = 3", {})
        .status();
  });
  const std::string before = Dump();
  const absl::Status s = first_->Write(
      [&](sql::Transaction& tx) { return MuteRange(tx, epoch, kAll, kJob, 8).status(); });
  EXPECT_TRUE(absl::IsInternal(s)) << s;
  EXPECT_EQ(Dump(), before);
}

TEST_F(MutesTest, AMuteNeedsAJob) {
  const uint64_t epoch = Activate(kAll, 0);
  const absl::Status s = first_->Write(
      [&](sql::Transaction& tx) { return MuteRange(tx, epoch, kAll, "", 8).status(); });
  EXPECT_TRUE(absl::IsInvalidArgument(s)) << s;
}

TEST_F(MutesTest, ASuccessorIsMutedToo) {
  const uint64_t epoch = Activate(kAll, 0);
  EXPECT_TRUE(Mute(epoch, kPrefix));
  const uint64_t seq = Lock(epoch).lease_seq;
  EXPECT_TRUE(
      Do([&](auto& tx) { return TakeOverRange(tx, epoch, Instance(0), seq, "ins_new", 30); }));
  const auto tells = [&](uint32_t bucket) {
    return Do([&](auto& tx) { return FenceTell(tx, bucket, epoch, "ins_new"); });
  };
  EXPECT_FALSE(tells(3));
  EXPECT_TRUE(tells(4));
}

// A tell and a mute at the same moment: one of them is first, for all to see.
TEST_F(MutesTest, OfATellAndAMuteAtOnceOneIsFirst) {
  const uint64_t epoch = Activate(kAll, 0);
  for (int round = 0; round < 5; ++round) {
    Write([&](sql::Transaction& tx) -> absl::Status {
      auto lock = tx.Execute(
          "UPDATE jetmon_rollout_range_locks SET muted_job_id = '' WHERE epoch = ?", {epoch});
      if (!lock.ok()) return lock.status();
      return tx.Execute("UPDATE jetmon_rollout_bucket_locks SET muted = 0", {}).status();
    });
    std::atomic<bool> told_after{false};
    std::thread teller([&] {
      for (int i = 0; i < 20; ++i) {
        const bool muted = Lock(epoch).mute.has_value();
        const bool told = Do(Db(1), [&](auto& tx) { return FenceTell(tx, 3, epoch, Instance(0)); });
        told_after = told_after || (muted && told);
      }
    });
    EXPECT_TRUE(Mute(epoch, kAll));
    teller.join();
    EXPECT_FALSE(told_after);
    EXPECT_EQ(Tells(epoch), "");
  }
}

}  // namespace
}  // namespace jetmon::store
