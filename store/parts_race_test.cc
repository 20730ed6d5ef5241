// Releases of parts that two processes want at once, with each other and with everything else that
// changes a range.
#include <atomic>
#include <thread>

#include "store/locks_fixture.h"
#include "store/parts.h"
#include "store/race_fixture.h"

namespace jetmon::store {
namespace {

namespace rs = range_state;

class PartsRaceTest : public LocksFixture {
 protected:
  static constexpr Range kAll{0, 7}, kPart{0, 2};

  std::string Job(int round, int i = 0) {
    return "rjob_" + std::to_string(round) + "_" + std::to_string(i);
  }
  // An active range whose part drains.
  uint64_t Draining(int round) {
    const uint64_t epoch = Activate(kAll, 0);
    EXPECT_TRUE(Do([&](auto& tx) { return BeginPartRelease(tx, epoch, kPart, Job(round), 8); }));
    return epoch;
  }
  // Everything back to v1.
  void End(uint64_t epoch) {
    const RangeLock lock = Lock(epoch);
    if (lock.part.has_value()) {
      EXPECT_TRUE(
          Do([&](auto& tx) { return FreePartDead(tx, lock.part->job_id, lock.lease_seq, 30); }));
    }
    Release(epoch);
    ASSERT_EQ(Buckets(0, kBucketFree), kBuckets);
  }
};

TEST_F(PartsRaceTest, OfReleasesOfPartsExactlyOneBegins) {
  for (int round = 0; round < 30; ++round) {
    const uint64_t epoch = Activate(kAll, 0);
    std::atomic<int> began{0};
    AtOnce(4, [&](int i) {
      // From both ends, overlapping or not.
      const Range part =
          i % 2 == 0 ? Range{0, static_cast<uint32_t>(i)} : Range{static_cast<uint32_t>(1 + i), 7};
      began +=
          Do(Db(i), [&](auto& tx) { return BeginPartRelease(tx, epoch, part, Job(round, i), 8); });
    });
    ASSERT_EQ(began, 1) << "round " << round;
    const RangeLock lock = Lock(epoch);
    ASSERT_TRUE(lock.part.has_value());
    ASSERT_EQ(Buckets(epoch, rs::kDraining), lock.part->range.size());
    ASSERT_EQ(Buckets(epoch, rs::kActive), 8 - lock.part->range.size());
    End(epoch);
  }
}

TEST_F(PartsRaceTest, OfAPartAndTheWholeExactlyOneBegins) {
  int parts = 0;
  for (int round = 0; round < 30; ++round) {
    const uint64_t epoch = Activate(kAll, 0);
    std::atomic<int> part{0}, whole{0};
    AtOnce(4, [&](int i) {
      if ((i + round) % 2 == 0) {
        part += Do(Db(i),
                   [&](auto& tx) { return BeginPartRelease(tx, epoch, kPart, Job(round, i), 8); });
      } else {
        whole += Do(Db(i), [&](auto& tx) { return BeginRelease(tx, epoch, Job(round, i), 8); });
      }
    });
    ASSERT_EQ(part + whole, 1) << "round " << round;
    ASSERT_EQ(Lock(epoch).state, part == 1 ? rs::kActive : rs::kDraining);
    ASSERT_EQ(Buckets(epoch, rs::kDraining), part == 1 ? 3u : 8u);
    parts += part;
    End(epoch);
  }
  RecordProperty("parts", parts);
}

TEST_F(PartsRaceTest, OfAPartAndGivingUpOnlyWhatTheStateAllowsMatches) {
  for (int round = 0; round < 30; ++round) {
    const uint64_t epoch = Give(kAll, 0);
    ASSERT_TRUE(Do([&](auto& tx) { return BeginActivating(tx, epoch, 6); }));
    const uint64_t revision = Lock(epoch).revision;
    std::atomic<int> acknowledged{0}, gave_up{0}, part{0};
    AtOnce(3, [&](int i) {
      if (i == 0) {
        acknowledged += Do(
            Db(0), [&](auto& tx) { return AcknowledgeRange(tx, epoch, Instance(0), revision, 7); });
      } else if (i == 1) {
        gave_up +=
            Do(Db(round), [&](auto& tx) { return GiveUpActivation(tx, epoch, "rjob_back", 7); });
      } else {
        part +=
            Do(Db(1), [&](auto& tx) { return BeginPartRelease(tx, epoch, kPart, Job(round), 8); });
      }
    });
    ASSERT_EQ(acknowledged + gave_up, 1) << "round " << round;
    ASSERT_LE(part, acknowledged);  // only of what is active
    ASSERT_EQ(Buckets(epoch, rs::kDraining), gave_up == 1 ? 8u : 3u * part);
    End(epoch);
  }
}

TEST_F(PartsRaceTest, OfTakeOverAndReportTheSequenceLetsOneEndTheDrain) {
  for (int round = 0; round < 30; ++round) {
    const uint64_t epoch = Draining(round);
    const RangeLock seen = Lock(epoch);
    std::atomic<int> took{0}, reported{0};
    AtOnce(4, [&](int i) {
      if ((i + round) % 2 == 0) {
        took += Do(Db(i / 2), [&](auto& tx) {
          return TakeOverRange(tx, epoch, Instance(0), seen.lease_seq, "next", 9);
        });
      } else {
        reported += Do(Db(i / 2), [&](auto& tx) {
          return ReportPartDrained(tx, Job(round), Instance(0), 5, 9);
        });
      }
    });
    ASSERT_EQ(took + reported, 1) << "round " << round;
    const RangeLock now = Lock(epoch);
    ASSERT_TRUE(now.part->drained);
    ASSERT_EQ(now.part->notifications_left, reported == 1 ? 5u : 0u);
    ASSERT_EQ(now.owner_instance, took == 1 ? "next" : Instance(0));
    End(epoch);
  }
}

TEST_F(PartsRaceTest, OfTakeOverAndBeginningBothMatchInSomeOrder) {
  for (int round = 0; round < 30; ++round) {
    const uint64_t epoch = Activate(kAll, 0);
    const RangeLock seen = Lock(epoch);
    std::atomic<int> took{0}, began{0};
    AtOnce(2, [&](int i) {
      if ((i + round) % 2 == 0) {
        took += Do(Db(i), [&](auto& tx) {
          return TakeOverRange(tx, epoch, Instance(0), seen.lease_seq, "next", 9);
        });
      } else {
        began +=
            Do(Db(i), [&](auto& tx) { return BeginPartRelease(tx, epoch, kPart, Job(round), 8); });
      }
    });
    ASSERT_EQ(took, 1) << "round " << round;  // a part changes nothing of the lease
    ASSERT_EQ(began, 1);
    const RangeLock now = Lock(epoch);
    ASSERT_EQ(now.owner_instance, "next");
    // Taken over first, the successor has loaded the part and drains it itself.
    if (!now.part->drained) {
      ASSERT_TRUE(Do([&](auto& tx) { return ReportPartDrained(tx, Job(round), "next", 0, 10); }));
    }
    ASSERT_TRUE(Do([&](auto& tx) { return FreePartDrained(tx, Job(round), 10); }));
    // Its rows name the successor, and no other passes.
    ASSERT_TRUE(Do([&](auto& tx) { return FenceBucket(tx, 5, epoch, "next"); }));
    ASSERT_FALSE(Do([&](auto& tx) { return FenceBucket(tx, 5, epoch, Instance(0)); }));
    End(epoch);
  }
}

TEST_F(PartsRaceTest, OfDrainedAndRevokedExactlyOneMatchesAndOneFrees) {
  for (int round = 0; round < 30; ++round) {
    const uint64_t epoch = Draining(round);
    std::atomic<int> drained{0}, revoked{0};
    AtOnce(4, [&](int i) {
      if ((i + round) % 2 == 0) {
        drained += Do(Db(i / 2), [&](auto& tx) {
          return ReportPartDrained(tx, Job(round), Instance(0), 0, 9);
        });
      } else {
        revoked += Do(Db(i / 2), [&](auto& tx) { return RevokePart(tx, Job(round), 9); });
      }
    });
    ASSERT_EQ(drained + revoked, 1) << "round " << round;
    ASSERT_EQ(Lock(epoch).part->drained, drained == 1);
    ASSERT_EQ(Buckets(epoch, drained == 1 ? rs::kDraining : rs::kRevoked), 3u);
    std::atomic<int> freed{0};
    AtOnce(4, [&](int i) {
      freed += Do(Db(i), [&](auto& tx) {
        return drained == 1 ? FreePartDrained(tx, Job(round), 10)
                            : FreePartRevoked(tx, Job(round), 10);
      });
    });
    ASSERT_EQ(freed, 1) << "round " << round;
    ASSERT_EQ(Lock(epoch).range, (Range{3, 7}));
    End(epoch);
  }
}

TEST_F(PartsRaceTest, OfFreeingTheDeadAndALastRenewalExactlyOneMatches) {
  for (int round = 0; round < 30; ++round) {
    const uint64_t epoch = Draining(round);
    const RangeLock seen = Lock(epoch);
    std::atomic<int> freed{0}, renewed{0};
    AtOnce(4, [&](int i) {
      if ((i + round) % 4 == 0) {
        renewed +=
            Do(Db(i), [&](auto& tx) { return RenewLease(tx, epoch, Instance(0), seen.revision); });
      } else {
        freed +=
            Do(Db(i), [&](auto& tx) { return FreePartDead(tx, Job(round), seen.lease_seq, 9); });
      }
    });
    ASSERT_EQ(freed + renewed, 1) << "round " << round;
    ASSERT_EQ(Buckets(0, kBucketFree), freed == 1 ? kBuckets - 5 : kBuckets - 8);
    End(epoch);
  }
}

TEST_F(PartsRaceTest, OfARevocationAndARenewalThatHasNotReadItNoneComesAfter) {
  for (int round = 0; round < 30; ++round) {
    const uint64_t epoch = Draining(round);
    const RangeLock seen = Lock(epoch);
    std::atomic<int> revoked{0};
    AtOnce(2, [&](int i) {
      if ((i + round) % 2 == 0) {
        revoked += Do(Db(i), [&](auto& tx) { return RevokePart(tx, Job(round), 9); });
      } else {
        Do(Db(i), [&](auto& tx) { return RenewLease(tx, epoch, Instance(0), seen.revision); });
      }
    });
    ASSERT_EQ(revoked, 1);
    ASSERT_FALSE(Do([&](auto& tx) { return RenewLease(tx, epoch, Instance(0), seen.revision); }));
    const RangeLock now = Lock(epoch);
    ASSERT_TRUE(Do([&](auto& tx) { return RenewLease(tx, epoch, Instance(0), now.revision); }));
    End(epoch);
  }
}

TEST_F(PartsRaceTest, NothingFencedOfThePartCommitsAfterItIsFreedAndTheRestGoesOn) {
  for (int round = 0; round < 10; ++round) {
    const uint64_t epoch = Draining(round);
    const uint64_t seq = Lock(epoch).lease_seq;
    std::atomic<int> written{0};
    int64_t at_free = -1;
    const auto count = [&](sql::Transaction& tx, int64_t* rows) {
      return tx.Query("SELECT COUNT(*) FROM jetmon_check_history WHERE site_id = ?", {epoch},
                      [&](const sql::Row& row) {
                        *rows = row.Int(0);
                        return absl::OkStatus();
                      });
    };
    AtOnce(4, [&](int i) {
      if (i == 0) {
        // Frees in the middle of the others' writes.
        while (written.load() < 5) std::this_thread::yield();
        EXPECT_TRUE(Do(Db(1), [&](sql::Transaction& tx) -> absl::StatusOr<bool> {
          auto freed = FreePartDead(tx, Job(round), seq, 9);
          if (auto s = count(tx, &at_free); !s.ok()) return s;
          return freed;
        }));
        return;
      }
      while (WriteFenced(Db(i), i - 1, epoch, i)) ++written;
    });
    int64_t at_end = 0;
    Write([&](sql::Transaction& tx) { return count(tx, &at_end); });
    EXPECT_EQ(at_free, at_end) << "round " << round;
    EXPECT_EQ(at_end, written);
    EXPECT_TRUE(Do([&](auto& tx) { return FenceBucket(tx, 5, epoch, Instance(0)); }));
    End(epoch);
  }
}

}  // namespace
}  // namespace jetmon::store
