#include "controlplane/rollout/range_jobs.h"

#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "controlplane/rollout/commits.h"
#include "controlplane/rollout/observer.h"
#include "controlplane/rollout/test_rollout.h"
#include "jetmon/v1/operation.pb.h"
#include "store/events.h"

namespace jetmon::rollout {
namespace {

namespace rs = store::range_state;

constexpr store::Range kRange{2, 5};

class RangeJobsTest : public ::testing::Test {
 protected:
  RangeJobsTest() {
    rollout_.AddSession("rol_1", kRange, "monitor-a");
    monitor_.Poll();
    lock_ = rollout_.AddGrant(kRange, "monitor-a", "a-1", "rol_1", "rjob_1");
    rollout_.AddJob("rjob_1", "activate_buckets", "rol_1", kRange, lock_.epoch, "monitor-a");
  }
  // The range is active and its Monitor runs.
  void Activate() {
    monitor_.Run();
    ASSERT_EQ(rollout_.RunJob("rjob_1", ExecuteActivate).state, "completed");
  }
  void BeginRelease() {
    rollout_.AddJob("rjob_2", "release_buckets", "rol_1", kRange, lock_.epoch, "monitor-a");
    rollout_.Write([this](sql::Transaction& tx) {
      auto begun = store::BeginRelease(tx, lock_.epoch, "rjob_2", TestRollout::kNow);
      EXPECT_TRUE(begun.ok() && *begun);
      return begun.status();
    });
  }
  v1::OperationResponse Answer(const store::Job& job) {
    v1::OperationResponse answer;
    EXPECT_TRUE(answer.ParseFromString(job.result));
    return answer;
  }
  void ExpectV1s() {
    EXPECT_EQ(rollout_.Lock(lock_.epoch).state, rs::kReleased);
    for (const auto& b :
         rollout_.Get([](sql::Transaction& tx) { return store::ListBuckets(tx, kRange); })) {
      EXPECT_EQ(b.pool, store::kPoolV1);
      EXPECT_EQ(b.owner_host, "");
    }
  }

  TestRollout rollout_;
  FakeMonitor monitor_{rollout_.db(), "monitor-a", "a-1"};
  store::RangeLock lock_;
};

TEST_F(RangeJobsTest, ActivationAdoptsThenWaitsForTheAcknowledgement) {
  rollout_.AddSite(1, 3, /*status=*/2);
  rollout_.AddSite(2, 4);
  Activate();
  const auto answer = Answer(rollout_.Job("rjob_1"));
  EXPECT_EQ(answer.status(), "ok");
  EXPECT_EQ(answer.activate().range_state(), rs::kActive);
  EXPECT_EQ(answer.activate().epoch(), lock_.epoch);
  EXPECT_TRUE(answer.activate().has_acknowledged_at());
  EXPECT_EQ(answer.activate().active_sites(), 2u);
  const auto event =
      rollout_.Get([](sql::Transaction& tx) { return store::OpenEventOfSite(tx, 1); });
  ASSERT_TRUE(event.has_value());
  EXPECT_EQ(event->severity, store::Severity::kDown);
  EXPECT_EQ(rollout_.Get([](sql::Transaction& tx) { return store::CountTargets(tx, kRange); }), 2);
  EXPECT_EQ(rollout_.CheckpointKinds("rol_1"), std::vector<std::string>{"activated"});
}

TEST_F(RangeJobsTest, AMonitorSeesNothingOfARangeThatIsPreparing) {
  monitor_.Poll();
  EXPECT_EQ(rollout_.Lock(lock_.epoch).state, rs::kPreparing);
}

TEST_F(RangeJobsTest, AnActivationThatNobodyAcknowledgesIsGivenUpAndDrains) {
  monitor_.acknowledges = false;
  monitor_.Run();
  const store::Job job = rollout_.RunJob("rjob_1", ExecuteActivate);
  EXPECT_EQ(job.state, "failed");
  EXPECT_NE(job.error, "");
  const auto lock = rollout_.Lock(lock_.epoch);
  EXPECT_EQ(lock.state, rs::kDraining);
  EXPECT_TRUE(lock.gave_up);
  // Its release began with it.
  const auto jobs =
      rollout_.Get([](sql::Transaction& tx) { return store::ListUnfinishedJobs(tx); });
  ASSERT_EQ(jobs.size(), 1u);
  EXPECT_EQ(jobs[0].operation, "release_buckets");
  EXPECT_EQ(lock.release_job_id, jobs[0].job_id);
  EXPECT_EQ(rollout_.RunJob(jobs[0].job_id, ExecuteRelease).state, "completed");
  EXPECT_EQ(rollout_.Lock(lock_.epoch).release_job_id, jobs[0].job_id);
  ExpectV1s();
}

TEST_F(RangeJobsTest, WhatIsAcknowledgedAtTheLastMomentIsNotGivenUp) {
  rollout_.options().times.acknowledge_within = std::chrono::milliseconds(0);
  // The acknowledgement comes between the look that gives it up and the giving up.
  rollout_.parts().at_commit = [this](std::string_view name, bool committed) {
    const bool looked = name == commits::kActivateLook && committed;
    if (looked && rollout_.Lock(lock_.epoch).state == rs::kActivating) monitor_.Poll();
  };
  EXPECT_EQ(rollout_.RunJob("rjob_1", ExecuteActivate).state, "completed");
  EXPECT_EQ(rollout_.Lock(lock_.epoch).state, rs::kActive);
  EXPECT_TRUE(
      rollout_.Get([](sql::Transaction& tx) { return store::ListUnfinishedJobs(tx); }).empty());
}

TEST_F(RangeJobsTest, AnActivationThatIsReleasedMeanwhileFails) {
  BeginRelease();
  const store::Job job = rollout_.RunJob("rjob_1", ExecuteActivate);
  EXPECT_EQ(job.state, "failed");
  EXPECT_EQ(rollout_.RunJob("rjob_2", ExecuteRelease).state, "completed");
  ExpectV1s();
}

TEST_F(RangeJobsTest, AReleaseEndsWhenTheMonitorHasDrained) {
  Activate();
  BeginRelease();
  const auto answer = Answer(rollout_.RunJob("rjob_2", ExecuteRelease));
  EXPECT_TRUE(answer.release().v1_may_start());
  EXPECT_TRUE(answer.release().drained());
  EXPECT_EQ(answer.release().how(), "drained");
  EXPECT_EQ(answer.release().range_state(), rs::kReleased);
  ExpectV1s();
}

TEST_F(RangeJobsTest, AReleaseBringsTheLegacyTableUpToDate) {
  const store::Site site = rollout_.AddSite(7, 3);
  Activate();
  // An incident that was not projected: as with --legacy_projection=off.
  rollout_.Write([&](sql::Transaction& tx) {
    store::Actor actor;
    actor.source = "monitor";
    actor.project = false;
    actor.now_ms = TestRollout::kNow;
    store::Event opened;
    return store::OpenEvent(tx, site, {}, actor, &opened).status();
  });
  BeginRelease();
  EXPECT_EQ(Answer(rollout_.RunJob("rjob_2", ExecuteRelease)).release().projected(), 1);
  EXPECT_EQ(rollout_.Get([](sql::Transaction& tx) { return store::GetSite(tx, 7); })->site_status,
            0);
  EXPECT_EQ(
      rollout_.Get([](sql::Transaction& tx) { return store::FindDrift(tx, kRange, 10); }).count, 0);
  // The control plane wrote that, under the grant that ends; no Monitor did.
  std::string by;
  rollout_.Write([&](sql::Transaction& tx) {
    return tx.Query(
        "SELECT projected_epoch || '/' || projected_instance || '/' || projected_host FROM "
        "jetmon_events WHERE site_id = 7",
        {}, [&](const sql::Row& row) {
          by = row.Text(0);
          return absl::OkStatus();
        });
  });
  EXPECT_EQ(by, absl::StrCat(lock_.epoch, "/", rollout_.options().instance, "/"));
}

TEST_F(RangeJobsTest, ADeadOwnersRangeIsFreedAfterAGrace) {
  Activate();
  monitor_.Kill();
  BeginRelease();
  const BootTime began = rollout_.clock().Boot();
  const auto answer = Answer(rollout_.RunJob("rjob_2", ExecuteRelease));
  EXPECT_EQ(answer.release().how(), "owner_dead");
  EXPECT_FALSE(answer.release().drained());
  EXPECT_TRUE(answer.release().v1_may_start());
  // The lease may have been seen unchanged for some of the grace before.
  EXPECT_GE(rollout_.clock().Boot() - began, std::chrono::milliseconds(100));
  ExpectV1s();
}

// The dead one may have written until it was shut out, which is after all was projected.
TEST_F(RangeJobsTest, WhatADeadOwnerWroteLastIsProjectedToo) {
  const store::Site site = rollout_.AddSite(7, 3);
  Activate();
  monitor_.Kill();
  BeginRelease();
  bool wrote = false;
  rollout_.parts().at_commit = [&](std::string_view name, bool committed) {
    if (name != commits::kProject || !committed || wrote) return;
    wrote = true;
    rollout_.Write([&](sql::Transaction& tx) {
      store::Actor actor;
      actor.source = "monitor";
      actor.project = false;
      actor.now_ms = TestRollout::kNow;
      return store::OpenEvent(tx, site, {}, actor, nullptr).status();
    });
  };
  EXPECT_EQ(Answer(rollout_.RunJob("rjob_2", ExecuteRelease)).release().how(), "owner_dead");
  ASSERT_TRUE(wrote);
  EXPECT_EQ(
      rollout_.Get([](sql::Transaction& tx) { return store::FindDrift(tx, kRange, 10); }).count, 0);
}

// The observer saw it unchanged for a grace; it has renewed since, which was not observed yet.
TEST_F(RangeJobsTest, WhoRenewedSinceItWasLookedAtIsNotDead) {
  Activate();
  monitor_.Kill();
  BeginRelease();
  Observer observer(rollout_.db(), rollout_.clock(), rollout_.options().times);
  ASSERT_TRUE(observer.Read().ok());
  rollout_.clock().Push(2 * rollout_.options().times.grace);
  ASSERT_TRUE(observer.Read().ok());
  ASSERT_TRUE(observer.Dead(observer.Lease(lock_.epoch)));
  FakeMonitor same(rollout_.db(), "monitor-a", "a-1");
  same.drains = false;
  same.Poll();
  int looks = 0;
  rollout_.parts().at_commit = [&](std::string_view name, bool committed) {
    looks += name == commits::kReleaseLook && committed ? 1 : 0;
  };
  const std::function<bool()> stopping = [&] { return looks >= 3; };
  JobRun run(rollout_.parts(), rollout_.options(), observer, rollout_.Job("rjob_2"),
             rollout_.Claim("rjob_2"), stopping);
  EXPECT_TRUE(ExecuteRelease(run).ok());
  EXPECT_EQ(rollout_.Lock(lock_.epoch).state, rs::kDraining);
  // Unchanged for another grace it is.
  ASSERT_TRUE(observer.Read().ok());
  rollout_.clock().Push(2 * rollout_.options().times.grace);
  ASSERT_TRUE(observer.Read().ok());
  looks = -1000;
  EXPECT_TRUE(ExecuteRelease(run).ok());
  EXPECT_EQ(rollout_.Lock(lock_.epoch).state, rs::kReleased);
}

TEST_F(RangeJobsTest, WhoSaidGoodbyeIsNotWaitedFor) {
  rollout_.options().times.grace = std::chrono::hours(1);
  Activate();
  monitor_.Goodbye();
  BeginRelease();
  EXPECT_EQ(rollout_.RunJob("rjob_2", ExecuteRelease).state, "completed");
  ExpectV1s();
}

TEST_F(RangeJobsTest, WhoRenewsButDoesNotDrainIsRevoked) {
  Activate();
  monitor_.drains = false;
  BeginRelease();
  const auto answer = Answer(rollout_.RunJob("rjob_2", ExecuteRelease));
  EXPECT_EQ(answer.release().how(), "revoked");
  EXPECT_FALSE(answer.release().drained());
  const auto lock = rollout_.Lock(lock_.epoch);
  EXPECT_NE(lock.revoked_at_ms, 0);
  ExpectV1s();
}

TEST_F(RangeJobsTest, AWorkerThatLostItsJobWritesNothing) {
  const store::JobLease lease = rollout_.Claim("rjob_1");
  rollout_.Write([&](sql::Transaction& tx) {
    auto job = store::GetJob(tx, "rjob_1");
    return store::TakeOverJob(tx, "rjob_1", (*job)->seq, "controlplane-2").status();
  });
  const std::function<bool()> goes_on = [] { return false; };
  JobRun run(rollout_.parts(), rollout_.options(), rollout_.observer(), rollout_.Job("rjob_1"),
             lease, goes_on);
  EXPECT_TRUE(absl::IsCancelled(ExecuteActivate(run)));
  EXPECT_EQ(rollout_.Lock(lock_.epoch).state, rs::kPreparing);
}

}  // namespace
}  // namespace jetmon::rollout
