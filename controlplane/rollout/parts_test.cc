// Release of a part of a range: what may be released, what its job does, and what goes on beside.
#include "store/parts.h"

#include "controlplane/rollout/range_jobs.h"
#include "controlplane/rollout/test_active_range.h"
#include "store/events.h"

namespace jetmon::rollout {
namespace {

namespace rs = store::range_state;

constexpr store::Range kPrefix{2, 3}, kSuffix{5, 5}, kRest{4, 5};

class PartsTest : public ActiveRangeTest {
 protected:
  // kRange is active, held by this run.
  void SetUp() override {
    monitor_.Run();
    ActivateRange();
  }
  void ExpectV1s(store::Range range) {
    for (const auto& b :
         rollout_.Get([&](sql::Transaction& tx) { return store::ListBuckets(tx, range); })) {
      EXPECT_EQ(b.pool, store::kPoolV1);
      EXPECT_EQ(b.owner_host, "");
    }
  }
  absl::StatusOr<v1::Checkpoint> V1Started(std::optional<store::Range> range) {
    v1::RecordCheckpointRequest request;
    request.set_run_id(run_);
    request.set_kind("v1_started");
    if (range.has_value()) {
      request.set_bucket_min(range->min);
      request.set_bucket_max(range->max);
    }
    v1::Checkpoint checkpoint;
    const absl::Status s = service_->RecordCheckpoint(Key(), request, &checkpoint);
    if (!s.ok()) return s;
    return checkpoint;
  }
};

TEST_F(PartsTest, APartIsReleasedAndTheOwnerKeepsTheRest) {
  const auto plan = Plan(Operation::kRelease, Of(kPrefix));
  EXPECT_EQ(plan.status(), "ok");
  EXPECT_TRUE(plan.release().part());
  EXPECT_EQ(plan.release().kept_bucket_min(), 4u);
  EXPECT_EQ(plan.release().kept_bucket_max(), 5u);
  EXPECT_NE(plan.summary().find("keeps 4-5"), std::string::npos) << plan.summary();
  const auto released = Do(Operation::kRelease, Of(kPrefix));
  EXPECT_TRUE(released.release().v1_may_start());
  EXPECT_TRUE(released.release().drained());
  EXPECT_EQ(released.release().how(), "drained");
  EXPECT_EQ(released.release().range_state(), rs::kReleased);
  EXPECT_TRUE(released.release().part());
  EXPECT_EQ(released.release().kept_bucket_min(), 4u);
  EXPECT_EQ(released.release().kept_bucket_max(), 5u);
  EXPECT_EQ(released.bucket_min(), 2u);
  EXPECT_EQ(released.bucket_max(), 3u);
  ExpectV1s(kPrefix);
  ASSERT_EQ(Held().size(), 1u);
  EXPECT_EQ(Held()[0].range, kRest);
  EXPECT_EQ(Held()[0].state, rs::kActive);
  EXPECT_EQ(Held()[0].epoch, epoch_);
  EXPECT_EQ(rollout_.CheckpointKinds(run_), (std::vector<std::string>{"activated", "released"}));
  // The same once more finds nothing; the other end and the rest go on.
  EXPECT_EQ(Codes(Plan(Operation::kRelease, Of(kPrefix))), CodeSet{"nothing_to_roll_back"});
  EXPECT_EQ(Codes(Plan(Operation::kRelease, Of(kRange))), CodeSet{"owner_range_conflict"});
  EXPECT_EQ(Do(Operation::kRelease, Of(kSuffix)).release().kept_bucket_max(), 4u);
  const auto last = Do(Operation::kRelease, Of({4, 4}));
  EXPECT_FALSE(last.release().part());
  EXPECT_FALSE(last.release().has_kept_bucket_min());
  EXPECT_TRUE(Held().empty());
  ExpectV1s(kRange);
}

TEST_F(PartsTest, WhatIsNoEndOfOneRangeIsRefusedAndSaid) {
  const auto middle = Plan(Operation::kRelease, Of({3, 4}));
  ASSERT_EQ(Codes(middle), CodeSet{"owner_range_conflict"});
  EXPECT_EQ(middle.confirmation_token(), "");
  EXPECT_NE(middle.blockers(0).text().find("middle"), std::string::npos);
  EXPECT_NE(middle.blockers(0).text().find("monitor-a holds 2-5"), std::string::npos);
  EXPECT_NE(middle.blockers(0).action().find("either end"), std::string::npos);
  const std::string wide = OpenSession({0, 15});
  for (const store::Range range : {store::Range{1, 3}, store::Range{5, 6}, store::Range{0, 15}}) {
    EXPECT_EQ(Codes(Plan(Operation::kRelease, On<v1::PlannedRequest>(wide, range))),
              CodeSet{"owner_range_conflict"});
  }
  // Two ranges at once.
  FakeMonitor other(rollout_.db(), "monitor-b", "b-1");
  other.Run();
  const std::string second = OpenSession({6, 9}, "monitor-b");
  Do(Operation::kActivate, Overridden(On<v1::PlannedRequest>(second, {6, 9})));
  const auto both = Plan(Operation::kRelease, On<v1::PlannedRequest>(wide, {5, 6}));
  ASSERT_EQ(Codes(both), CodeSet{"owner_range_conflict"});
  EXPECT_NE(both.blockers(0).text().find("monitor-b holds 6-9"), std::string::npos);
  // Another run's part; the text names the run.
  const auto foreign = Plan(Operation::kRelease, On<v1::PlannedRequest>(wide, kPrefix));
  ASSERT_EQ(Codes(foreign), CodeSet{"owner_range_conflict"});
  EXPECT_NE(foreign.blockers(0).action().find(run_), std::string::npos);
}

TEST_F(PartsTest, WhileAPartIsOnItsWayNothingElseOfTheRangeIsReleased) {
  monitor_.drains = false;
  const std::string before = Token(Operation::kRelease, Of(kSuffix));
  const std::string job = Begin(kPrefix);
  // The very same is that job, and is not planned again.
  const auto again = Plan(Operation::kRelease, Of(kPrefix));
  EXPECT_EQ(again.job_id(), job);
  EXPECT_EQ(again.confirmation_token(), "");
  for (const store::Range range : {kSuffix, kRange, store::Range{2, 2}}) {
    const auto plan = Plan(Operation::kRelease, Of(range));
    ASSERT_EQ(Codes(plan), CodeSet{"owner_range_conflict"}) << range.ToString();
    EXPECT_NE(plan.blockers(0).text().find(job), std::string::npos);
  }
  v1::OperationResponse answer;
  ASSERT_TRUE(Planned(Operation::kRelease, Executing(Of(kSuffix), before), &answer).ok());
  EXPECT_EQ(Codes(answer), CodeSet{"owner_range_conflict"});
  EXPECT_FALSE(Consumed(before));
  // It is seen in the status and as a gap.
  v1::RolloutStatus status;
  ASSERT_TRUE(service_->GetStatus(&status).ok());
  ASSERT_EQ(status.ranges_size(), 1);
  EXPECT_EQ(status.ranges(0).state(), rs::kActive);
  EXPECT_EQ(status.ranges(0).part().bucket_max(), 3u);
  EXPECT_EQ(status.ranges(0).part().state(), rs::kDraining);
  EXPECT_EQ(status.ranges(0).part().job_id(), job);
  const auto coverage = Gate(Service::Gate::kCoverage);
  EXPECT_EQ(Codes(coverage), CodeSet{"coverage_gap"});
  ASSERT_EQ(coverage.coverage().gaps_size(), 1);
  EXPECT_EQ(coverage.coverage().gaps(0).bucket_min(), 2u);
  EXPECT_EQ(coverage.coverage().gaps(0).bucket_max(), 3u);
  EXPECT_EQ(coverage.coverage().gaps(0).state(), rs::kDraining);
  EXPECT_EQ(Gate(Service::Gate::kCoverage, kRest).status(), "ok");
  // v1 may not be started for it, nor may anybody be given it, until it is v1's.
  EXPECT_EQ(ReasonOf(V1Started(kPrefix).status()), v1::INVALID_CHECKPOINT);
  EXPECT_EQ(Codes(Plan(Operation::kActivate, Overridden(On<v1::PlannedRequest>(
                                                 OpenSession(kPrefix, "monitor-a"), kPrefix)))),
            (CodeSet{"bucket_range_conflict"}));
  monitor_.drains = true;
  EXPECT_TRUE(End(job).release().v1_may_start());
  ASSERT_TRUE(service_->GetStatus(&status).ok());
  EXPECT_FALSE(status.ranges(0).has_part());
  EXPECT_EQ(Plan(Operation::kRelease, Of(kRest)).status(), "ok");
}

TEST_F(PartsTest, V1IsStartedForThePartAlone) {
  Do(Operation::kRelease, Of(kPrefix));
  EXPECT_EQ(ReasonOf(V1Started(std::nullopt).status()), v1::INVALID_CHECKPOINT);
  EXPECT_EQ(ReasonOf(V1Started(store::Range{3, 4}).status()), v1::INVALID_CHECKPOINT);
  EXPECT_EQ(ReasonOf(V1Started(store::Range{1, 3}).status()), v1::RUN_RANGE_MISMATCH);
  EXPECT_EQ(ReasonOf(V1Started(store::Range{3, 2}).status()), v1::INVALID_BUCKET_RANGE);
  const auto started = V1Started(kPrefix);
  ASSERT_TRUE(started.ok()) << started.status();
  EXPECT_EQ(started->bucket_min(), 2u);
  EXPECT_EQ(started->bucket_max(), 3u);
}

TEST_F(PartsTest, AnotherOwnerGetsThePartAndTheFirstNoExtension) {
  FakeMonitor other(rollout_.db(), "monitor-b", "b-1");
  other.Run();
  const std::string theirs = OpenSession(kPrefix, "monitor-b");
  rollout_.AddEvidence(theirs, kPrefix, "monitor-b", rollout_.clock().WallMs());
  Do(Operation::kRelease, Of(kPrefix));
  const std::string mine = OpenSession(kPrefix, "monitor-a");
  EXPECT_EQ(Codes(Plan(Operation::kActivate, Overridden(On<v1::PlannedRequest>(mine, kPrefix)))),
            CodeSet{"owner_range_conflict"});
  // What was shown before the release counts for nothing.
  const auto request = On<v1::PlannedRequest>(theirs, kPrefix);
  EXPECT_EQ(Codes(Plan(Operation::kActivate, request)), CodeSet{"evidence_missing"});
  rollout_.AddEvidence(theirs, kPrefix, "monitor-b", rollout_.clock().WallMs());
  EXPECT_EQ(Do(Operation::kActivate, request).activate().range_state(), rs::kActive);
  ASSERT_EQ(Held().size(), 2u);
  EXPECT_EQ(Held()[0].owner_host, "monitor-b");
  EXPECT_EQ(Held()[0].range, kPrefix);
  EXPECT_EQ(Held()[1].owner_host, "monitor-a");
  EXPECT_EQ(Held()[1].range, kRest);
  EXPECT_EQ(Gate(Service::Gate::kCoverage, kRest).status(), "ok");
}

TEST_F(PartsTest, APartOfWhatIsNotActiveIsRefused) {
  monitor_.drains = false;
  const std::string job = Begin(kRange);
  const auto plan = Plan(Operation::kRelease, Of(kPrefix));
  ASSERT_EQ(Codes(plan), CodeSet{"owner_range_conflict"});
  EXPECT_NE(plan.blockers(0).action().find(job), std::string::npos);
  monitor_.drains = true;
  EXPECT_TRUE(End(job).release().v1_may_start());
  // And one that nobody has acknowledged yet.
  monitor_.acknowledges = false;
  const auto request = Overridden(Of(kRange));
  v1::OperationResponse answer;
  ASSERT_TRUE(Planned(Operation::kActivate,
                      Executing(request, Token(Operation::kActivate, request), "0s"), &answer)
                  .ok());
  const auto early = Plan(Operation::kRelease, Of(kPrefix));
  ASSERT_EQ(Codes(early), CodeSet{"owner_range_conflict"});
  EXPECT_NE(early.blockers(0).action().find("release all of it"), std::string::npos);
  End(answer.job_id());
}

TEST_F(PartsTest, APartIsReleasedInAClosedRun) {
  rollout_.Write(
      [&](sql::Transaction& tx) { return store::CloseSession(tx, run_, "", 1).status(); });
  EXPECT_TRUE(Do(Operation::kRelease, Of(kPrefix)).release().v1_may_start());
}

TEST_F(PartsTest, ADeadOwnersPartIsFreedAfterAGrace) {
  monitor_.Kill();
  const auto answer = Do(Operation::kRelease, Of(kPrefix));
  EXPECT_EQ(answer.release().how(), "owner_dead");
  EXPECT_FALSE(answer.release().drained());
  EXPECT_TRUE(answer.release().v1_may_start());
  ExpectV1s(kPrefix);
  // What it had else stays its own, until a successor takes it over or it is released.
  EXPECT_EQ(Held().front().range, kRest);
}

// Restarted with longer checks after it was activated: these are waited for, dead or revoked.
class LongerChecksTest : public PartsTest {
 protected:
  static constexpr std::chrono::milliseconds kBeyond{1'000};
  void SetUp() override {
    PartsTest::SetUp();
    monitor_.longest_check_ms = (DeadlineBudget::kDefaultCheck + kBeyond).count();
    const auto told = [&] {
      return rollout_
          .Get([&](sql::Transaction& tx) { return store::LastWordsOf(tx, monitor_.instance()); })
          .longest_check_ms;
    };
    for (int i = 0; i < 1000 && told() != monitor_.longest_check_ms; ++i) {
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
    }
    ASSERT_EQ(told(), monitor_.longest_check_ms);
  }
  const Times& times() { return rollout_.options().times; }
};

TEST_F(LongerChecksTest, OfADeadOwnerAreWaitedFor) {
  // As it is outside of tests: who is dead is known to be before it would be revoked.
  rollout_.options().times.drain_within = std::chrono::minutes(1);
  service_->Stop();
  service_ = MakeService();
  monitor_.Kill();
  const BootTime killed = rollout_.clock().Boot();
  EXPECT_EQ(Do(Operation::kRelease, Of(kPrefix)).release().how(), "owner_dead");
  EXPECT_GE(rollout_.clock().Boot() - killed, times().grace + kBeyond);
  EXPECT_EQ(Do(Operation::kRelease, Of(kRest)).release().how(), "owner_dead");
}

TEST_F(LongerChecksTest, OfARevokedPartAreWaitedFor) {
  monitor_.drains = false;
  const BootTime began = rollout_.clock().Boot();
  EXPECT_EQ(Do(Operation::kRelease, Of(kPrefix)).release().how(), "revoked");
  EXPECT_GE(rollout_.clock().Boot() - began, times().drain_within + times().grace + kBeyond);
}

TEST_F(PartsTest, WhoSaidGoodbyeIsNotWaitedFor) {
  monitor_.Goodbye();
  EXPECT_EQ(Do(Operation::kRelease, Of(kSuffix)).release().kept_bucket_max(), 4u);
  ExpectV1s(kSuffix);
}

TEST_F(PartsTest, WhoRenewsButDoesNotDrainIsRevokedAndAGraceLaterThePartIsFree) {
  monitor_.drains = false;
  const BootTime began = rollout_.clock().Boot();
  const auto answer = Do(Operation::kRelease, Of(kPrefix));
  EXPECT_EQ(answer.release().how(), "revoked");
  EXPECT_FALSE(answer.release().drained());
  ExpectV1s(kPrefix);
  const auto part =
      rollout_.Get([&](sql::Transaction& tx) { return store::GetRangePart(tx, answer.job_id()); });
  EXPECT_NE(part->revoked_at_ms, 0);
  const auto& times = rollout_.options().times;
  EXPECT_GE(rollout_.clock().Boot() - began, times.drain_within + times.grace);
  // Its owner lives and keeps the rest.
  EXPECT_EQ(Held().front().range, kRest);
  EXPECT_EQ(Held().front().state, rs::kActive);
}

TEST_F(PartsTest, TheLegacyTableOfThePartIsBroughtUpToDate) {
  const store::Site left = rollout_.AddSite(7, 3);
  const store::Site kept = rollout_.AddSite(8, 4);
  // Incidents that were not projected: as with --legacy_projection=off.
  rollout_.Write([&](sql::Transaction& tx) -> absl::Status {
    store::Actor actor;
    actor.source = "monitor";
    actor.project = false;
    actor.now_ms = TestRollout::kNow;
    store::Event opened;
    for (const store::Site& site : {left, kept}) {
      if (auto s = store::OpenEvent(tx, site, {}, actor, &opened); !s.ok()) return s.status();
    }
    return absl::OkStatus();
  });
  EXPECT_EQ(Do(Operation::kRelease, Of(kPrefix)).release().projected(), 1);
  const auto status = [&](uint64_t id) {
    return rollout_.Get([&](sql::Transaction& tx) { return store::GetSite(tx, id); })->site_status;
  };
  EXPECT_EQ(status(7), 0);
  EXPECT_EQ(status(8), 1);
}

TEST_F(PartsTest, TheSweepGoesOnWithAPartThatHasNoJob) {
  service_->Stop();
  rollout_.Write([&](sql::Transaction& tx) -> absl::Status {
    EXPECT_TRUE(*store::BeginPartRelease(tx, epoch_, kPrefix, "rjob_gone", TestRollout::kNow));
    return absl::OkStatus();
  });
  service_ = MakeService();
  EXPECT_TRUE(Comes([&] { return Held().front().range == kRest; }));
  // One job did it, of the part's buckets.
  const auto jobs = rollout_.Get([&](sql::Transaction& tx) {
    return store::ListJobs(tx, run_, "", {50, ""});
  });
  int releases = 0;
  for (const store::Job& job : jobs.rows) {
    if (job.operation != "release_buckets") continue;
    ++releases;
    EXPECT_EQ(job.range, kPrefix);
    EXPECT_EQ(job.consumer, "sweep");
  }
  EXPECT_EQ(releases, 1);
}

TEST_F(PartsTest, AWorkerThatStoppedIsFollowedByOneThatCountsTheGraceAnew) {
  monitor_.drains = false;
  const std::string job = Begin(kPrefix);
  ASSERT_TRUE(Comes([&] {
    const auto part =
        rollout_.Get([&](sql::Transaction& tx) { return store::GetRangePart(tx, job); });
    return part->state == rs::kRevoked;
  }));
  service_->Stop();
  const BootTime again = rollout_.clock().Boot();
  service_ = MakeService();
  EXPECT_EQ(End(job).release().how(), "revoked");
  EXPECT_GE(rollout_.clock().Boot() - again, rollout_.options().times.grace);
}

TEST_F(PartsTest, OfReleasesAtOnceOneBegins) {
  monitor_.drains = false;
  std::vector<v1::PlannedRequest> requests;
  for (const store::Range range : {kPrefix, kSuffix, kRange, store::Range{2, 4}}) {
    requests.push_back(Executing(Of(range), Token(Operation::kRelease, Of(range)), "0s"));
  }
  std::atomic<int> began{0}, blocked{0};
  std::vector<std::thread> threads;
  for (const auto& request : requests) {
    threads.emplace_back([&, request] {
      v1::OperationResponse answer;
      const absl::Status s = Planned(Operation::kRelease, request, &answer);
      EXPECT_TRUE(s.ok()) << s;
      began += answer.status() == "running" ? 1 : 0;
      blocked += answer.status() == "blocked" ? 1 : 0;
    });
  }
  for (std::thread& t : threads) t.join();
  EXPECT_EQ(began, 1);
  EXPECT_EQ(blocked, 3);
}

}  // namespace
}  // namespace jetmon::rollout
