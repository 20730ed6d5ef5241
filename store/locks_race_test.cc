// Two Database objects over one file, as two processes have it; many threads on each.
#include <atomic>
#include <thread>

#include "store/locks_fixture.h"
#include "store/race_fixture.h"

namespace jetmon::store {
namespace {

namespace rs = range_state;

class LocksRaceTest : public LocksFixture {
 protected:
  // Of all ranges.
  int64_t TenureRows() {
    int64_t rows = -1;
    Write([&](sql::Transaction& tx) {
      return tx.Query("SELECT COUNT(*) FROM jetmon_rollout_range_tenures", {},
                      [&](const sql::Row& row) {
                        rows = row.Int(0);
                        return absl::OkStatus();
                      });
    });
    return rows;
  }
};

TEST_F(LocksRaceTest, OfOverlappingGrantsExactlyOneWins) {
  for (int round = 0; round < 50; ++round) {
    std::atomic<uint64_t> epoch{0};
    std::atomic<int> won{0}, taken{0};
    std::vector<uint64_t> generations;
    for (int i = 0; i < kHosts; ++i) generations.push_back(Generation(i));
    AtOnce(kHosts, [&](int i) {
      // All hold bucket 10; lengths and ends differ.
      const Range range{static_cast<uint32_t>(10 - i), static_cast<uint32_t>(10 + (i * 5) % 8)};
      GrantOutcome outcome;
      const uint64_t got = Give(Db(i), range, i, generations[i], &outcome);
      if (got != 0) {
        ++won;
        epoch = got;
      }
      taken += outcome == GrantOutcome::kBucketsTaken ? 1 : 0;
    });
    ASSERT_EQ(won, 1) << "round " << round;
    ASSERT_EQ(taken, kHosts - 1);
    const std::vector<RangeLock> held = Held();
    ASSERT_EQ(held.size(), 1u);
    ASSERT_EQ(held[0].epoch, epoch);
    ASSERT_EQ(TenureRows(), round + 1) << "whoever lost left a tenure";
    // The winner has all of its buckets, and whoever lost left none behind.
    ASSERT_EQ(Buckets(epoch, rs::kPreparing), held[0].range.size());
    ASSERT_EQ(Buckets(0, kBucketFree), kBuckets - held[0].range.size());
    Release(epoch);
    ASSERT_EQ(Buckets(0, kBucketFree), kBuckets);
  }
}

TEST_F(LocksRaceTest, OfTwoRangesForOneOwnerExactlyOneIsGranted) {
  for (int round = 0; round < 50; ++round) {
    const uint64_t generation = Generation(0);
    std::atomic<int> won{0}, changed{0};
    AtOnce(8, [&](int i) {
      const Range range{static_cast<uint32_t>(4 * i), static_cast<uint32_t>(4 * i + 3)};
      GrantOutcome outcome;
      won += Give(Db(i), range, 0, generation, &outcome) != 0 ? 1 : 0;
      changed += outcome == GrantOutcome::kOwnerChanged ? 1 : 0;
    });
    ASSERT_EQ(won, 1) << "round " << round;
    ASSERT_EQ(changed, 7);
    const std::vector<RangeLock> held = Held();
    ASSERT_EQ(held.size(), 1u);
    ASSERT_EQ(Buckets(0, kBucketFree), kBuckets - 4);
    // With the generation of now it still is one range an owner.
    GrantOutcome outcome;
    const Range other{held[0].range.min == 0 ? 4u : 0u, held[0].range.min == 0 ? 7u : 3u};
    ASSERT_EQ(Give(Db(1), other, 0, Generation(0), &outcome), 0u);
    ASSERT_EQ(outcome, GrantOutcome::kOwnerHasRange);
    Release(held[0].epoch);
  }
}

TEST_F(LocksRaceTest, NothingFencedCommitsAfterTheRangeIsFreed) {
  for (int round = 0; round < 15; ++round) {
    const uint64_t epoch = Activate({0, 3}, 0);
    ASSERT_TRUE(Do([&](auto& tx) { return BeginRelease(tx, epoch, "rjob_2", 8); }));
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
          auto freed = FreeDead(tx, epoch, seq, 9);
          if (auto s = count(tx, &at_free); !s.ok()) return s;
          return freed;
        }));
        return;
      }
      while (WriteFenced(Db(i), i, epoch, i)) ++written;
    });
    int64_t at_end = 0;
    Write([&](sql::Transaction& tx) { return count(tx, &at_end); });
    EXPECT_EQ(at_free, at_end) << "round " << round;
    EXPECT_EQ(at_end, written);
  }
}

TEST_F(LocksRaceTest, OfTakeOverAndRenewalExactlyOneMatches) {
  const uint64_t epoch = Activate({0, 3}, 0);
  int takeovers = 0;
  for (int round = 0; round < 50; ++round) {
    const RangeLock seen = Lock(epoch);
    const std::string successor = "next_" + std::to_string(round);
    std::atomic<bool> took{false}, renewed{false};
    AtOnce(2, [&](int i) {
      if ((i + round) % 2 == 0) {
        took = Do(Db(i), [&](auto& tx) {
          return TakeOverRange(tx, epoch, seen.owner_instance, seen.lease_seq, successor, 9);
        });
      } else {
        renewed = Do(Db(i), [&](auto& tx) {
          return RenewLease(tx, epoch, seen.owner_instance, seen.revision);
        });
      }
    });
    ASSERT_NE(took, renewed) << "round " << round;
    const RangeLock now = Lock(epoch);
    ASSERT_EQ(now.owner_instance, took ? successor : seen.owner_instance);
    // Range row and bucket rows name the same instance: only that one passes the fence.
    ASSERT_TRUE(Do([&](auto& tx) { return FenceBucket(tx, 3, epoch, now.owner_instance); }));
    if (took) {
      ASSERT_FALSE(Do([&](auto& tx) { return FenceBucket(tx, 3, epoch, seen.owner_instance); }));
      ++takeovers;
    }
    // The grant's row, and one for each take-over that matched: a lost one leaves none.
    ASSERT_EQ(Tenures(epoch).size(), 1u + takeovers) << "round " << round;
  }
  RecordProperty("takeovers", takeovers);
}

TEST_F(LocksRaceTest, OfTwoSuccessorsExactlyOneTakesOver) {
  const uint64_t epoch = Activate({0, 3}, 0);
  for (int round = 0; round < 30; ++round) {
    const RangeLock seen = Lock(epoch);
    std::atomic<int> took{0};
    AtOnce(4, [&](int i) {
      const std::string successor = std::to_string(round) + "_" + std::to_string(i);
      took += Do(Db(i), [&](auto& tx) {
        return TakeOverRange(tx, epoch, seen.owner_instance, seen.lease_seq, successor, 9);
      });
    });
    ASSERT_EQ(took, 1) << "round " << round;
    const RangeLock now = Lock(epoch);
    const std::vector<std::string> tenures = Tenures(epoch);
    ASSERT_EQ(tenures.size(), 2u + round);
    ASSERT_EQ(tenures.back(), absl::StrCat(Host(0), "/", now.owner_instance, " from revision ",
                                           now.revision, " at 9"));
  }
}

TEST_F(LocksRaceTest, OfAcknowledgementAndGivingUpExactlyOneMatches) {
  for (int round = 0; round < 30; ++round) {
    const uint64_t epoch = Give({0, 3}, 0);
    ASSERT_TRUE(Do([&](auto& tx) { return BeginActivating(tx, epoch, 6); }));
    const uint64_t revision = Lock(epoch).revision;
    std::atomic<bool> acknowledged{false}, gave_up{false};
    AtOnce(2, [&](int i) {
      if ((i + round) % 2 == 0) {
        acknowledged = Do(
            Db(i), [&](auto& tx) { return AcknowledgeRange(tx, epoch, Instance(0), revision, 7); });
      } else {
        gave_up = Do(Db(i), [&](auto& tx) { return GiveUpActivation(tx, epoch, "rjob_back", 7); });
      }
    });
    ASSERT_NE(acknowledged, gave_up) << "round " << round;
    ASSERT_EQ(Lock(epoch).release_job_id, gave_up ? "rjob_back" : "");
    ASSERT_EQ(Buckets(epoch, acknowledged ? rs::kActive : rs::kDraining), 4u);
    Release(epoch);
  }
}

TEST_F(LocksRaceTest, OfFreeingTheDeadAndALastRenewalExactlyOneMatches) {
  for (int round = 0; round < 30; ++round) {
    const uint64_t epoch = Activate({0, 3}, 0);
    ASSERT_TRUE(Do([&](auto& tx) { return BeginRelease(tx, epoch, "rjob_2", 8); }));
    const RangeLock seen = Lock(epoch);
    std::atomic<int> freed{0}, renewed{0};
    AtOnce(4, [&](int i) {
      if ((i + round) % 4 == 0) {
        renewed +=
            Do(Db(i), [&](auto& tx) { return RenewLease(tx, epoch, Instance(0), seen.revision); });
      } else {
        freed += Do(Db(i), [&](auto& tx) { return FreeDead(tx, epoch, seen.lease_seq, 9); });
      }
    });
    ASSERT_EQ(freed + renewed, 1) << "round " << round;
    ASSERT_EQ(Buckets(0, kBucketFree), freed == 1 ? kBuckets : kBuckets - 4);
    if (renewed == 1) Release(epoch);
  }
}

TEST_F(LocksRaceTest, OfDrainedAndRevokedExactlyOneMatches) {
  for (int round = 0; round < 30; ++round) {
    const uint64_t epoch = Activate({0, 3}, 0);
    ASSERT_TRUE(Do([&](auto& tx) { return BeginRelease(tx, epoch, "rjob_2", 8); }));
    std::atomic<int> drained{0}, revoked{0};
    AtOnce(4, [&](int i) {
      if ((i + round) % 2 == 0) {
        drained +=
            Do(Db(i / 2), [&](auto& tx) { return ReportDrained(tx, epoch, Instance(0), 0, 9); });
      } else {
        revoked += Do(Db(i / 2), [&](auto& tx) { return RevokeRange(tx, epoch, 9); });
      }
    });
    ASSERT_EQ(drained + revoked, 1) << "round " << round;
    ASSERT_EQ(Lock(epoch).drained, drained == 1);
    ASSERT_EQ(Buckets(epoch, drained == 1 ? rs::kDraining : rs::kRevoked), 4u);
    std::atomic<int> freed{0};
    const uint64_t seq = Lock(epoch).lease_seq;
    AtOnce(4, [&](int i) {
      freed += Do(Db(i), [&](auto& tx) {
        return drained == 1 ? FreeDrained(tx, epoch, 10) : FreeDead(tx, epoch, seq, 10);
      });
    });
    ASSERT_EQ(freed, 1) << "round " << round;
    ASSERT_EQ(Buckets(0, kBucketFree), kBuckets);
  }
}

TEST_F(LocksRaceTest, NothingThatHoldsBucketsCommitsAfterTheyAreGranted) {
  for (int round = 0; round < 15; ++round) {
    const uint64_t generation = Generation(0);
    std::atomic<int> written{0};
    std::atomic<uint64_t> epoch{0};
    int64_t at_grant = -1;
    const auto count = [&](sql::Transaction& tx, int64_t* rows) {
      return tx.Query("SELECT COUNT(*) FROM jetmon_check_history WHERE at_ms = ?", {round},
                      [&](const sql::Row& row) {
                        *rows = row.Int(0);
                        return absl::OkStatus();
                      });
    };
    AtOnce(4, [&](int i) {
      if (i == 0) {
        // Granted in the middle of the others' writes.
        while (written.load() < 5) std::this_thread::yield();
        const absl::Status s = Db(1).Write([&](sql::Transaction& tx) -> absl::Status {
          auto grant = GrantRange(
              tx, {{0, 3}, Host(0), Instance(0), generation, "rol_1", "rjob_1", "[]", 5});
          if (!grant.ok()) return grant.status();
          EXPECT_EQ(grant->outcome, GrantOutcome::kGranted);
          epoch = grant->lock.epoch;
          return count(tx, &at_grant);
        });
        EXPECT_TRUE(s.ok()) << s;
        return;
      }
      for (;;) {
        const absl::Status s = Db(i).Write([&](sql::Transaction& tx) -> absl::Status {
          auto held = HoldBuckets(tx, {0, 3}, 0);
          if (!held.ok()) return held.status();
          if (!*held) return absl::NotFoundError("not v1's any more");
          return tx
              .Insert(
                  "INSERT INTO jetmon_check_history (site_id, bucket_no, at_ms, source, "
                  "outcome, http_code, error_code, failure_class, total_us) VALUES (1, ?, ?, "
                  "'h0', 'down', 0, 1, '', 1)",
                  {i, round})
              .status();
        });
        if (absl::IsNotFound(s)) return;
        EXPECT_TRUE(s.ok()) << s;
        if (!s.ok()) return;
        ++written;
      }
    });
    int64_t at_end = 0;
    Write([&](sql::Transaction& tx) { return count(tx, &at_end); });
    EXPECT_EQ(at_grant, at_end) << "round " << round;
    EXPECT_EQ(at_end, written);
    // Under the grant, until it is active, whoever knows the epoch may hold them.
    EXPECT_TRUE(Do([&](auto& tx) { return HoldBuckets(tx, {0, 3}, epoch); }));
    EXPECT_FALSE(Do([&](auto& tx) { return HoldBuckets(tx, {0, 4}, epoch); }));
    EXPECT_TRUE(Do([&](auto& tx) { return BeginActivating(tx, epoch, 6); }));
    EXPECT_FALSE(Do([&](auto& tx) { return HoldBuckets(tx, {0, 3}, epoch); }));
    Write(
        [&](sql::Transaction& tx) { return GiveUpActivation(tx, epoch, "rjob_back", 7).status(); });
    Release(epoch);
  }
}

TEST_F(LocksRaceTest, OfDecisionsByWhatWasReadEachSeesTheOnesBefore) {
  for (int round = 0; round < 20; ++round) {
    std::atomic<int> decided{0};
    AtOnce(6, [&](int i) {
      bool mine = false;
      const absl::Status s = Db(i).Write([&](sql::Transaction& tx) -> absl::Status {
        mine = false;
        if (auto s = BeginDecision(tx); !s.ok()) return s;
        int64_t before = -1;
        auto s = tx.Query("SELECT COUNT(*) FROM jetmon_check_history WHERE at_ms = ?", {round},
                          [&](const sql::Row& row) {
                            before = row.Int(0);
                            return absl::OkStatus();
                          });
        if (!s.ok() || before > 0) return s;
        mine = true;  // nobody has: we may, and nothing that we write meets what another does
        return tx
            .Insert(
                "INSERT INTO jetmon_check_history (site_id, bucket_no, at_ms, source, outcome, "
                "http_code, error_code, failure_class, total_us) VALUES (?, 1, ?, 'h0', 'down', 0, "
                "1, '', 1)",
                {i, round})
            .status();
      });
      EXPECT_TRUE(s.ok()) << s;
      decided += mine;
    });
    ASSERT_EQ(decided, 1) << "round " << round;
  }
}

TEST_F(LocksRaceTest, OfTwoReleasesExactlyOneBegins) {
  for (int round = 0; round < 20; ++round) {
    const uint64_t epoch = Activate({0, 3}, 0);
    std::atomic<int> began{0};
    AtOnce(4, [&](int i) {
      began += Do(
          Db(i), [&](auto& tx) { return BeginRelease(tx, epoch, "rjob_" + std::to_string(i), 8); });
    });
    ASSERT_EQ(began, 1) << "round " << round;
    Release(epoch);
  }
}

TEST_F(LocksRaceTest, CountersGiveEachValueOnce) {
  constexpr int kThreads = 8, kEach = 25;
  std::vector<std::vector<uint64_t>> got(kThreads);
  AtOnce(kThreads, [&](int i) {
    for (int n = 0; n < kEach; ++n) {
      uint64_t value = 0;
      const absl::Status s = Db(i).Write([&](sql::Transaction& tx) -> absl::Status {
        auto next = NextCounter(tx, "test");
        if (next.ok()) value = *next;
        return next.status();
      });
      EXPECT_TRUE(s.ok()) << s;
      got[i].push_back(value);
    }
  });
  std::vector<bool> seen(kThreads * kEach + 1);
  for (const auto& values : got) {
    uint64_t last = 0;
    for (uint64_t v : values) {
      EXPECT_GT(v, last);  // each caller sees it grow
      last = v;
      ASSERT_LT(v, seen.size());
      EXPECT_FALSE(seen[v]) << v;
      seen[v] = true;
    }
  }
}

}  // namespace
}  // namespace jetmon::store
