// Dialect v1: which buckets of a range may be muted, what a mute stops, and what goes on.
#include <atomic>
#include <thread>

#include "store/locks_fixture.h"
#include "store/parts.h"

namespace jetmon::store {
namespace {

class MutesTest : public LocksFixture {
 protected:
  MutesTest() : epoch_(Activate({4, 9}, 1)) {}

  bool Mute(Range range, const char* job = "rjob_2") {
    return Do([&](auto& tx) { return MuteRange(tx, epoch_, range, job, 20); });
  }
  bool MayTell(uint32_t bucket, uint64_t epoch = 0, int host = 1) {
    return Do([&](auto& tx) {
      return FenceTell(tx, bucket, epoch == 0 ? epoch_ : epoch, Instance(host));
    });
  }
  bool MayWrite(uint32_t bucket) {
    return Do([&](auto& tx) { return FenceBucket(tx, bucket, epoch_, Instance(1)); });
  }

  const uint64_t epoch_;
};

TEST_F(MutesTest, AnActiveRangesOwnerMayTell) {
  EXPECT_TRUE(MayTell(4));
  EXPECT_TRUE(MayTell(9));
  EXPECT_FALSE(MayTell(3));
  EXPECT_FALSE(MayTell(4, epoch_ + 1));
  EXPECT_FALSE(MayTell(4, epoch_, 2));
}

TEST_F(MutesTest, AMuteStopsTellsAndNothingElse) {
  const uint64_t before = Lock(epoch_).revision;
  EXPECT_TRUE(Mute({4, 9}));
  const RangeLock lock = Lock(epoch_);
  EXPECT_EQ(lock.state, range_state::kActive);
  EXPECT_GT(lock.revision, before);  // who renews has read of it
  ASSERT_TRUE(lock.mute.has_value());
  EXPECT_EQ(lock.mute->job_id, "rjob_2");
  EXPECT_EQ(lock.mute->range, (Range{4, 9}));
  EXPECT_EQ(lock.mute->at_ms, 20);
  for (uint32_t bucket = 4; bucket <= 9; ++bucket) {
    EXPECT_FALSE(MayTell(bucket));
    EXPECT_TRUE(MayWrite(bucket));
  }
  EXPECT_FALSE(Do([&](auto& tx) { return RenewLease(tx, epoch_, Instance(1), before); }));
  EXPECT_TRUE(Do([&](auto& tx) { return RenewLease(tx, epoch_, Instance(1), lock.revision); }));
}

TEST_F(MutesTest, OneEndOrAllAndOnceAtATime) {
  for (const Range wrong : {Range{5, 8}, Range{3, 6}, Range{8, 10}, Range{0, 3}}) {
    EXPECT_FALSE(Mute(wrong)) << wrong.ToString();
  }
  EXPECT_TRUE(Mute({4, 6}));
  EXPECT_FALSE(Mute({4, 6}, "rjob_3"));
  EXPECT_FALSE(Mute({8, 9}, "rjob_3"));
  EXPECT_FALSE(MayTell(6));
  EXPECT_TRUE(MayTell(7));
  // Nothing else of it leaves meanwhile.
  EXPECT_FALSE(Do([&](auto& tx) { return BeginRelease(tx, epoch_, "rjob_3", 21); }));
  EXPECT_FALSE(Do([&](auto& tx) { return BeginPartRelease(tx, epoch_, {8, 9}, "rjob_3", 21); }));
  EXPECT_TRUE(Do([&](auto& tx) { return BeginPartRelease(tx, epoch_, {4, 6}, "rjob_3", 21); }));
}

TEST_F(MutesTest, WhoHasThePartNextMayTell) {
  EXPECT_TRUE(Mute({4, 6}));
  EXPECT_TRUE(Do([&](auto& tx) { return BeginPartRelease(tx, epoch_, {4, 6}, "rjob_2", 21); }));
  EXPECT_FALSE(MayTell(4));
  EXPECT_TRUE(Do([&](auto& tx) { return ReportPartDrained(tx, "rjob_2", Instance(1), 0, 22); }));
  EXPECT_TRUE(Do([&](auto& tx) { return FreePartDrained(tx, "rjob_2", 23); }));
  EXPECT_FALSE(Lock(epoch_).mute.has_value());
  EXPECT_TRUE(MayTell(7));
  const uint64_t next = Activate({4, 6}, 2);
  EXPECT_TRUE(MayTell(4, next, 2));
  EXPECT_TRUE(Mute({7, 9}));  // and the rest can be muted in its turn
}

TEST_F(MutesTest, WhoHasTheRangeNextMayTell) {
  EXPECT_TRUE(Mute({4, 9}));
  EXPECT_TRUE(Do([&](auto& tx) { return BeginRelease(tx, epoch_, "rjob_2", 21); }));
  EXPECT_FALSE(MayTell(4));
  EXPECT_TRUE(Do([&](auto& tx) { return ReportDrained(tx, epoch_, Instance(1), 0, 22); }));
  EXPECT_TRUE(Do([&](auto& tx) { return FreeDrained(tx, epoch_, 23); }));
  const uint64_t next = Activate({4, 9}, 1);
  EXPECT_FALSE(Lock(next).mute.has_value());
  EXPECT_TRUE(MayTell(9, next));
}

TEST_F(MutesTest, NothingButAnActiveRangeIsMuted) {
  const uint64_t preparing = Give({12, 13}, 3);
  EXPECT_FALSE(Do([&](auto& tx) { return MuteRange(tx, preparing, {12, 13}, "rjob_2", 20); }));
  EXPECT_TRUE(Do([&](auto& tx) { return BeginRelease(tx, epoch_, "rjob_2", 21); }));
  EXPECT_FALSE(Mute({4, 9}));
  EXPECT_FALSE(MayTell(4));
  EXPECT_TRUE(MayWrite(4));  // it drains
}

TEST_F(MutesTest, ASuccessorIsMutedToo) {
  EXPECT_TRUE(Mute({4, 6}));
  const uint64_t seq = Lock(epoch_).lease_seq;
  EXPECT_TRUE(
      Do([&](auto& tx) { return TakeOverRange(tx, epoch_, Instance(1), seq, "ins_new", 30); }));
  const auto tells = [&](uint32_t bucket) {
    return Do([&](auto& tx) { return FenceTell(tx, bucket, epoch_, "ins_new"); });
  };
  EXPECT_FALSE(tells(5));
  EXPECT_TRUE(tells(7));
}

// A tell and a mute at the same moment: one of them is first, for all to see.
TEST_F(MutesTest, OfATellAndAMuteAtOnceOneIsFirst) {
  for (uint32_t bucket = 4; bucket <= 9; ++bucket) {
    Write([&](sql::Transaction& tx) {
      return tx
          .Execute("UPDATE jetmon_rollout_range_locks SET muted_job_id = '' WHERE epoch = ?",
                   {epoch_})
          .status();
    });
    Write([&](sql::Transaction& tx) {
      return tx.Execute("UPDATE jetmon_rollout_bucket_locks SET muted = 0", {}).status();
    });
    std::atomic<bool> told_after{false};
    std::thread teller([&] {
      for (int i = 0; i < 20; ++i) {
        const bool muted = Lock(epoch_).mute.has_value();
        const bool told =
            Do(Db(1), [&](auto& tx) { return FenceTell(tx, bucket, epoch_, Instance(1)); });
        told_after = told_after || (muted && told);
      }
    });
    EXPECT_TRUE(Mute({4, 9}));
    teller.join();
    EXPECT_FALSE(told_after);
    EXPECT_FALSE(MayTell(bucket));
  }
}

}  // namespace
}  // namespace jetmon::store
