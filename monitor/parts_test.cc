// A part leaves the range of a Monitor, which goes on watching the rest.
#include "store/parts.h"

#include "monitor/ownership_fixture.h"
#include "store/notifications.h"

namespace jetmon::monitor {
namespace {

namespace rs = store::range_state;
using std::chrono::seconds;

// Site i is in bucket i % 4.
constexpr store::Range kPart{0, 1}, kRest{2, 3};
constexpr char kJob[] = "rjob_part";
bool IsOfPart(uint64_t site) { return kPart.Contains(site % 4); }

class PartsTest : public OwnershipTest {
 protected:
  // The range is this Monitor's, and every site was checked.
  void Begin() {
    epoch_ = Give();
    ownership_->Poll();
    ASSERT_TRUE(Until([&] { return server_.requests().size() >= kSites; }));
  }
  void BeginPart(store::Range part = kPart) {
    Write([&](sql::Transaction& tx) -> absl::Status {
      EXPECT_TRUE(*store::BeginPartRelease(tx, epoch_, part, kJob, 9));
      return absl::OkStatus();
    });
  }
  void Revoke() {
    Write([&](sql::Transaction& tx) -> absl::Status {
      EXPECT_TRUE(*store::RevokePart(tx, kJob, 9));
      return absl::OkStatus();
    });
  }
  store::RangePart Part() {
    store::RangePart part;
    Write([&](sql::Transaction& tx) -> absl::Status {
      part = **store::GetRangePart(tx, kJob);
      return absl::OkStatus();
    });
    return part;
  }
  bool DrainsSoon() {
    return Until([&] {
      ownership_->Poll();
      return Part().drained;
    });
  }
  size_t RequestsOfPart() {
    size_t n = 0;
    for (uint64_t site = 1; site <= kSites; ++site) {
      if (IsOfPart(site)) n += RequestsFor(site).size();
    }
    return n;
  }
  // Every site of the rest was checked in its interval, without a hole, and until now.
  void ExpectRestWasWatched() {
    for (uint64_t site = 1; site <= kSites; ++site) {
      if (IsOfPart(site)) continue;
      std::vector<BootTime> times = RequestsFor(site);
      ASSERT_FALSE(times.empty()) << site;
      times.push_back(clock_.Boot());
      for (size_t i = 1; i < times.size(); ++i) {
        EXPECT_LE(times[i] - times[i - 1], seconds(6)) << "site " << site << ", check " << i;
      }
    }
  }
  // Two more rounds for the rest; the part gets no request.
  void ExpectOnlyRestIsWatched() {
    const size_t before = RequestsOfPart();
    const size_t rest = RequestsFor(2).size();
    EXPECT_TRUE(Until([&] { return RequestsFor(2).size() >= rest + 2; }));
    EXPECT_EQ(RequestsOfPart(), before);
    ExpectRestWasWatched();
  }
  void Move(uint64_t site, uint32_t bucket) {
    Write([&](sql::Transaction& tx) {
      return tx
          .Execute(
              "UPDATE jetpack_monitor_sites SET bucket_no = ? WHERE jetpack_monitor_site_id = ?",
              {bucket, site})
          .status();
    });
  }

  uint64_t epoch_ = 0;
};

TEST_F(PartsTest, APartDrainsAndTheRestIsWatchedAllTheWhile) {
  Begin();
  Watch* const watch = ownership_->watch();
  BeginPart();
  ASSERT_TRUE(DrainsSoon());
  EXPECT_EQ(ownership_->watch(), watch);
  EXPECT_EQ(watch->range(), kRest);
  EXPECT_EQ(watch->figures().targets, 6u);
  EXPECT_EQ(ownership_->state(), "active");
  ExpectOnlyRestIsWatched();
  // The part's buckets are v1's; nothing changes for the rest.
  Write([&](sql::Transaction& tx) { return store::FreePartDrained(tx, kJob, 10).status(); });
  ExpectOnlyRestIsWatched();
  EXPECT_EQ(ownership_->watch(), watch);
  // What fails there is found and written.
  down_ = true;
  EXPECT_TRUE(Until([&] { return OpenEventOf(2).has_value() && OpenEventOf(3).has_value(); }));
  EXPECT_FALSE(OpenEventOf(1).has_value());
}

TEST_F(PartsTest, TheOtherEndAndThenTheRest) {
  Begin();
  BeginPart({3, 3});
  ASSERT_TRUE(DrainsSoon());
  EXPECT_EQ(ownership_->watch()->range(), (store::Range{0, 2}));
  Write([&](sql::Transaction& tx) -> absl::Status {
    EXPECT_TRUE(*store::FreePartDrained(tx, kJob, 10));
    EXPECT_TRUE(*store::BeginPartRelease(tx, epoch_, {0, 0}, "rjob_next", 11));
    return absl::OkStatus();
  });
  EXPECT_TRUE(Until([&] {
    ownership_->Poll();
    return Lock(epoch_).part->drained;
  }));
  EXPECT_EQ(ownership_->watch()->range(), (store::Range{1, 2}));
  Write([&](sql::Transaction& tx) -> absl::Status {
    EXPECT_TRUE(*store::FreePartDrained(tx, "rjob_next", 12));
    EXPECT_TRUE(*store::BeginRelease(tx, epoch_, "rjob_all", 13));
    return absl::OkStatus();
  });
  EXPECT_TRUE(Until([&] {
    ownership_->Poll();
    return Lock(epoch_).drained;
  }));
  EXPECT_EQ(ownership_->watch(), nullptr);
}

TEST_F(PartsTest, WhatIsInFlightEndsAndIsWrittenBeforeThePartIsReported) {
  Begin();
  Hold(4);
  const size_t before = RequestsFor(4).size();
  ASSERT_TRUE(Until([&] { return RequestsFor(4).size() > before; }));
  BeginPart();
  for (int i = 0; i < 5; ++i) ownership_->Poll();
  EXPECT_FALSE(Part().drained);
  EXPECT_EQ(ownership_->watch()->range(), (store::Range{0, 3}));
  ASSERT_TRUE(DrainsSoon());
  // It ended by its timeout: an incident, which v1 is to go on with.
  ASSERT_TRUE(OpenEventOf(4).has_value());
  EXPECT_EQ(RequestsFor(4).size(), before + 1);
  ExpectOnlyRestIsWatched();
  EXPECT_TRUE(OpenEventOf(4).has_value());
}

TEST_F(PartsTest, NobodyIsAskedAboutASiteThatLeaves) {
  Begin();
  down_ = true;
  ASSERT_TRUE(Until([&] { return OpenEventOf(4).has_value(); }));
  BeginPart();
  ownership_->Poll();
  ASSERT_TRUE(DrainsSoon());
  EXPECT_EQ(OpenEventOf(4)->severity, store::Severity::kSeemsDown);
  EXPECT_TRUE(Until([&] {
    auto e = OpenEventOf(2);
    return e.has_value() && e->severity == store::Severity::kDown;
  }));
  EXPECT_EQ(OpenEventOf(4)->severity, store::Severity::kSeemsDown);
}

TEST_F(PartsTest, NotificationsOfThePartAreWaitedForAndThenHandedOver) {
  config_.notify_url = "http://127.0.0.1:1/";
  Begin();
  Write([](sql::Transaction& tx) -> absl::Status {
    for (uint32_t bucket : {0, 2}) {
      store::Notification n;
      n.event_id = 900 + bucket;
      n.notification_id = "ntf_" + std::to_string(900 + bucket) + "_down";
      n.kind = "down";
      n.bucket = bucket;
      n.state = "queued";
      EXPECT_TRUE(*store::QueueNotification(tx, n));
    }
    return absl::OkStatus();
  });
  BeginPart();
  ownership_->Poll();
  const BootTime began = clock_.Boot();
  ASSERT_TRUE(Until([&] { return ownership_->watch()->part_drained(); }));
  ownership_->Poll();
  const milliseconds limit = config_.Deadlines().drain();
  if (clock_.Boot() - began < limit) {
    EXPECT_FALSE(Part().drained);
  }
  ASSERT_TRUE(DrainsSoon());
  EXPECT_GE(clock_.Boot() - began, limit);
  EXPECT_EQ(Part().notifications_left, 1u);
  ExpectRestWasWatched();
}

TEST_F(PartsTest, ARevokedPartIsDroppedAtOnceAndTheLeaseGoesOn) {
  Begin();
  Watch* const watch = ownership_->watch();
  Hold(4);
  const size_t before = RequestsFor(4).size();
  ASSERT_TRUE(Until([&] { return RequestsFor(4).size() > before; }));
  BeginPart();
  ownership_->Poll();
  Revoke();
  const uint64_t seq = Lock(epoch_).lease_seq;
  ownership_->Poll();
  EXPECT_EQ(watch->range(), kRest);
  EXPECT_EQ(Lock(epoch_).lease_seq, seq + 1);  // read, so renewed
  EXPECT_TRUE(watch->lease().MaySend(clock_.Boot()));
  ExpectOnlyRestIsWatched();
  EXPECT_EQ(ownership_->watch(), watch);
  EXPECT_FALSE(Part().drained);
  EXPECT_FALSE(OpenEventOf(4).has_value());  // what was in flight counts for nothing
}

TEST_F(PartsTest, ARevocationThatIsNotReadYetStopsWritesOfThePartAndNotTheWatch) {
  Begin();
  Watch* const watch = ownership_->watch();
  BeginPart();
  Revoke();
  // Not read yet: it checks all sites, finds them down, and its write is refused.
  down_ = true;
  for (int i = 0; i < 2000 && !watch->fenced_out().has_value(); ++i) {
    clock_.Advance(milliseconds(5));
    std::this_thread::sleep_for(milliseconds(1));
  }
  ASSERT_TRUE(watch->fenced_out().has_value());
  ownership_->Poll();
  EXPECT_EQ(ownership_->watch(), watch);
  EXPECT_EQ(watch->range(), kRest);
  EXPECT_TRUE(Until([&] { return OpenEventOf(2).has_value() && OpenEventOf(3).has_value(); }));
  EXPECT_FALSE(watch->fenced_out().has_value());
  for (uint64_t site = 1; site <= kSites; ++site) {
    if (IsOfPart(site)) {
      EXPECT_FALSE(OpenEventOf(site).has_value()) << site;
    }
  }
}

TEST_F(PartsTest, ARefusedWriteOfTheRestStillEndsTheWatch) {
  Begin();
  BeginPart();
  Revoke();
  Write([&](sql::Transaction& tx) {
    return tx.Execute("UPDATE jetmon_rollout_bucket_locks SET epoch = 77 WHERE bucket_no = 3")
        .status();
  });
  down_ = true;
  ownership_->Poll();
  // A write about the part may be refused first: that one ends nothing, as the test above shows.
  for (int i = 0; i < 2000 && ownership_->watch() != nullptr; ++i) {
    clock_.Advance(milliseconds(5));
    std::this_thread::sleep_for(milliseconds(1));
    if (ownership_->watch()->fenced_out().has_value()) ownership_->Poll();
  }
  EXPECT_EQ(ownership_->watch(), nullptr);
}

TEST_F(PartsTest, WhoSleptWhileAPartWasFreedDropsItWhenItWakes) {
  Begin();
  Watch* const watch = ownership_->watch();
  BeginPart();
  clock_.Advance(seconds(40));
  Write([&](sql::Transaction& tx) -> absl::Status {
    const uint64_t seq = (*store::GetRangeLock(tx, epoch_))->lease_seq;
    EXPECT_TRUE(*store::FreePartDead(tx, kJob, seq, 9));
    return absl::OkStatus();
  });
  EXPECT_FALSE(watch->lease().MaySend(clock_.Boot()));
  const size_t before = RequestsOfPart();
  ownership_->Poll();
  EXPECT_EQ(ownership_->watch(), watch);
  EXPECT_EQ(watch->range(), kRest);
  EXPECT_TRUE(watch->lease().MaySend(clock_.Boot()));
  const size_t rest = RequestsFor(2).size();
  EXPECT_TRUE(Until([&] { return RequestsFor(2).size() >= rest + 2; }));
  EXPECT_EQ(RequestsOfPart(), before);
}

TEST_F(PartsTest, APartThatWasNeverLoadedIsReportedAtOnce) {
  epoch_ = Give();
  Write([&](sql::Transaction& tx) -> absl::Status {
    EXPECT_TRUE(*store::AcknowledgeRange(tx, epoch_, "ins_1", 2, 5));
    EXPECT_TRUE(*store::BeginPartRelease(tx, epoch_, kPart, kJob, 9));
    return absl::OkStatus();
  });
  ownership_->Poll();
  ownership_->Poll();
  EXPECT_TRUE(Part().drained);
  EXPECT_EQ(ownership_->watch()->range(), kRest);
  ExpectOnlyRestIsWatched();
  EXPECT_EQ(RequestsOfPart(), 0u);
}

TEST_F(PartsTest, APartOfAWatchThatWasDroppedIsReportedWhenItsVerifliersHaveEnded) {
  Begin();
  FenceOutOnce();
  BeginPart();
  ownership_->Poll();  // drops it, loads the rest, and reports nothing yet
  const BootTime until = clock_.Boot() + config_.Deadlines().round();
  while (clock_.Boot() < until) {
    ownership_->Poll();
    EXPECT_FALSE(Part().drained);
    clock_.Advance(milliseconds(499));
  }
  clock_.Advance(milliseconds(100));
  ownership_->Poll();
  EXPECT_TRUE(Part().drained);
  EXPECT_EQ(ownership_->watch()->range(), kRest);
}

TEST_F(PartsTest, APartOfAWatchLoadedAgainIsReportedWhenTheVerifliersOfTheOneBeforeHaveEnded) {
  Begin();
  FenceOutOnce();
  ownership_->Poll();  // drops it
  ASSERT_EQ(ownership_->watch(), nullptr);
  ownership_->Poll();  // loads it again
  ASSERT_TRUE(ownership_->watch()->started());
  BeginPart();
  ownership_->Poll();
  EXPECT_TRUE(Until([&] { return ownership_->watch()->part_drained(); }, /*poll=*/false));
  ownership_->Poll();
  EXPECT_FALSE(Part().drained);
  clock_.Advance(config_.Deadlines().round());
  ownership_->Poll();
  EXPECT_TRUE(Part().drained);
}

TEST_F(PartsTest, NoGoodbyeWhileAVeriflierMayStillSendForARevokedPart) {
  Begin();
  BeginPart();
  Revoke();
  ownership_->Poll();
  ASSERT_EQ(ownership_->watch()->range(), kRest);
  ownership_->Stop(seconds(0));
  EXPECT_FALSE(SaidGoodbye());
}

TEST_F(PartsTest, ASuccessorLoadsTheRestAlone) {
  for (const bool revoked : {false, true}) {
    SCOPED_TRACE(revoked ? "revoked" : "draining");
    ForgetRequests();
    epoch_ = Give("ins_old");
    Write([&](sql::Transaction& tx) -> absl::Status {
      EXPECT_TRUE(*store::AcknowledgeRange(tx, epoch_, "ins_old", 2, 5));
      EXPECT_TRUE(*store::BeginPartRelease(tx, epoch_, kPart, kJob, 9));
      if (revoked) {
        EXPECT_TRUE(*store::RevokePart(tx, kJob, 9));
      }
      return Leave(tx);
    });
    ownership_->Poll();
    EXPECT_EQ(Part().drained, !revoked);
    ownership_->Poll();
    ASSERT_NE(ownership_->watch(), nullptr);
    EXPECT_EQ(ownership_->watch()->range(), kRest);
    ExpectOnlyRestIsWatched();
    EXPECT_EQ(RequestsOfPart(), 0u);
    // Away with all of it, for the next turn.
    ownership_ = NewOwnership();
    Write([&](sql::Transaction& tx) -> absl::Status {
      EXPECT_TRUE(*store::FreePartDead(tx, kJob, (*store::GetRangeLock(tx, epoch_))->lease_seq, 9));
      EXPECT_TRUE(*store::BeginRelease(tx, epoch_, "rjob_all", 9));
      EXPECT_TRUE(*store::FreeDead(tx, epoch_, (*store::GetRangeLock(tx, epoch_))->lease_seq, 9));
      return tx.Execute("DELETE FROM jetmon_rollout_range_parts").status();
    });
  }
}

TEST_F(PartsTest, AGoodbyeWhileAPartDrainsLeavesItToOthers) {
  Begin();
  BeginPart();
  std::atomic<bool> stopped{false};
  std::thread time([&] {
    while (!stopped) {
      clock_.Advance(milliseconds(50));
      std::this_thread::sleep_for(milliseconds(2));
    }
  });
  ownership_->Stop(seconds(30));
  stopped = true;
  time.join();
  EXPECT_TRUE(SaidGoodbye());
  Write([&](sql::Transaction& tx) -> absl::Status {
    // Reported or not, it can be freed at once.
    const auto lock = **store::GetRangeLock(tx, epoch_);
    EXPECT_EQ(lock.state, rs::kActive);
    EXPECT_TRUE(*store::FreePartDead(tx, kJob, lock.lease_seq, 10));
    return absl::OkStatus();
  });
  EXPECT_EQ(Lock(epoch_).range, kRest);
}

TEST_F(PartsTest, ASiteThatMovesBetweenBucketsOfTheRangeIsWatchedOn) {
  Begin();
  Move(4, 3);
  const auto bucket_of_target = [&] {
    uint32_t bucket = 99;
    Write([&](sql::Transaction& tx) {
      return tx.Query("SELECT bucket_no FROM jetmon_check_targets WHERE site_id = 4", {},
                      [&](const sql::Row& row) {
                        bucket = static_cast<uint32_t>(row.Int(0));
                        return absl::OkStatus();
                      });
    });
    return bucket;
  };
  ASSERT_TRUE(Until([&] { return bucket_of_target() == 3; }));
  const size_t before = RequestsFor(4).size();
  EXPECT_TRUE(Until([&] { return RequestsFor(4).size() >= before + 2; }));
  // An incident of it is of the new bucket.
  down_ = true;
  ASSERT_TRUE(Until([&] { return OpenEventOf(4).has_value(); }));
  EXPECT_EQ(OpenEventOf(4)->bucket, 3u);
}

TEST_F(PartsTest, ASiteThatMovesOutOfALeavingBucketStaysAndOneThatMovesIntoItGoes) {
  Begin();
  // What keeps the part from being drained: the outbox.
  config_.notify_url = "http://127.0.0.1:1/";
  Write([](sql::Transaction& tx) -> absl::Status {
    store::Notification n;
    n.event_id = 900;
    n.notification_id = "ntf_900_down";
    n.kind = "down";
    n.bucket = 0;
    n.state = "queued";
    EXPECT_TRUE(*store::QueueNotification(tx, n));
    return absl::OkStatus();
  });
  BeginPart();
  ownership_->Poll();
  Move(4, 3);
  Move(2, 1);
  const size_t out = RequestsFor(4).size();
  ASSERT_TRUE(Until([&] { return RequestsFor(4).size() >= out + 1; }));
  ASSERT_TRUE(DrainsSoon());
  EXPECT_EQ(ownership_->watch()->range(), kRest);
  EXPECT_EQ(ownership_->watch()->figures().targets, 6u);  // five of before, and site 4
  const size_t moved = RequestsFor(4).size(), gone = RequestsFor(2).size();
  EXPECT_TRUE(Until([&] { return RequestsFor(4).size() >= moved + 2; }));
  EXPECT_EQ(RequestsFor(2).size(), gone);
  Write([&](sql::Transaction& tx) { return store::FreePartDrained(tx, kJob, 10).status(); });
  down_ = true;
  EXPECT_TRUE(Until([&] { return OpenEventOf(4).has_value(); }));
  EXPECT_EQ(OpenEventOf(4)->bucket, 3u);
}

TEST_F(PartsTest, ASiteOfALeavingBucketThatIsDownAndMovesHasNoIncidentLeftThere) {
  Begin();
  down_ = true;
  ASSERT_TRUE(Until([&] { return OpenEventOf(4).has_value(); }));
  const uint64_t first = OpenEventOf(4)->event_id;
  Hold(8);  // its check keeps the part from being drained for a while
  const size_t before = RequestsFor(8).size();
  ASSERT_TRUE(Until([&] { return RequestsFor(8).size() > before; }));
  BeginPart();
  ownership_->Poll();
  Move(4, 3);
  ASSERT_TRUE(Until([&] {
    auto e = OpenEventOf(4);
    return e.has_value() && e->event_id != first && e->bucket == 3;
  }));
  LetGo();
  ASSERT_TRUE(DrainsSoon());
}

}  // namespace
}  // namespace jetmon::monitor
