// Stages of a check policy: their jobs, paused, cancelled, killed, and two at once.
#include <gtest/gtest.h>

#include <thread>

#include "controlplane/rollout/commits.h"
#include "controlplane/rollout/policy.h"
#include "controlplane/rollout/test_policy.h"

namespace jetmon::rollout {
namespace {

using store::job_state::kCancelled;
using store::job_state::kCompleted;

// --- pause, cancel, one at a time

TEST_F(PolicyTest, AStageUnderWayHoldsOthersUp) {
  StopService();
  const auto queued = Queue(Stage("50%"));
  EXPECT_EQ(Codes(PlanOf(Stage("60%"))), CodeSet{"stage_under_way"});
  EXPECT_EQ(Codes(PlanOf(Ask("rollback-last-stage"))), CodeSet{"stage_under_way"});
  EXPECT_EQ(Run(queued.job_id()).state, kCompleted);
  EXPECT_EQ(Codes(PlanOf(Stage("60%"))), CodeSet{});
  const auto back = Queue(Ask("rollback-all"));
  EXPECT_EQ(Codes(PlanOf(Stage("60%"))), CodeSet{"stage_under_way"});
  EXPECT_EQ(Run(back.job_id()).state, kCompleted);
}

TEST_F(PolicyTest, APauseEndsTheStageUnderWay) {
  EXPECT_EQ(Codes(PlanOf(Ask("pause"))), CodeSet{"nothing_to_pause"});
  StopService();
  rollout_.options().seed_rows = 10;
  const std::string job_id = Queue(Stage("100%")).job_id();
  // The stage's first batch is written when the pause is executed.
  std::string pause;
  int batches = 0;
  rollout_.parts().at_commit = [&](std::string_view name, bool committed) {
    if (name != commits::kPolicyBatch || !committed || ++batches != 1) return;
    pause = Queue(Ask("pause")).job_id();
  };
  const store::Job job = Run(job_id);
  rollout_.parts().at_commit = {};
  EXPECT_EQ(job.state, kCancelled);
  const uint64_t changed = ResultOf(job).changed();
  EXPECT_GT(changed, 0u);
  EXPECT_LT(changed, kSites);
  EXPECT_EQ(Policies().size(), changed);
  ASSERT_EQ(Standing().size(), 1u);
  EXPECT_EQ(Standing()[0].state, store::stage_state::kApplied);
  EXPECT_EQ(Standing()[0].changed, changed);
  EXPECT_EQ(Run(pause).state, kCompleted);
  EXPECT_EQ(rollout_.CheckpointKinds(run_id_),
            std::vector<std::string>{store::checkpoint::kPolicyPaused});
  // It says so until somebody goes on.
  auto plan = PlanOf(Stage("100%"));
  EXPECT_EQ(plan.status(), "ok");
  ASSERT_EQ(plan.warnings_size(), 1);
  EXPECT_EQ(plan.warnings(0).code(), "policy_paused");
  const std::string on = Queue(Stage("100%")).job_id();
  EXPECT_EQ(ResultOf(Run(on)).changed(), kSites - changed);
  EXPECT_EQ(PlanOf(Stage("100%", "HEAD", "simple_http")).warnings_size(), 0);
  const std::string back = Queue(Ask("rollback-all")).job_id();
  EXPECT_EQ(ResultOf(Run(back)).restored(), kSites);
  EXPECT_TRUE(Policies().empty());
}

TEST_F(PolicyTest, APauseWaitsForTheStagesLastBatch) {
  StopService();
  const std::string job_id = Queue(Stage("100%")).job_id();
  const store::JobLease lease = rollout_.Claim(job_id);
  const std::string pause = Queue(Ask("pause")).job_id();
  std::thread waits([&] { EXPECT_EQ(Run(pause).state, kCompleted); });
  EXPECT_TRUE(Comes([&] { return rollout_.Job(pause).seq >= 5; }));  // it looks, and waits
  EXPECT_EQ(rollout_.Job(pause).state, store::job_state::kRunning);
  const std::function<bool()> goes_on = [] { return false; };
  JobRun run(rollout_.parts(), rollout_.options(), rollout_.observer(), rollout_.Job(job_id), lease,
             goes_on);
  EXPECT_TRUE(ExecuteStagePolicy(run).ok());
  waits.join();
  EXPECT_EQ(rollout_.Job(job_id).state, kCancelled);
  EXPECT_TRUE(Policies().empty());
}

TEST_F(PolicyTest, AStageThatIsPausedOrCancelledBeforeItBeganHasEnded) {
  StopService();
  Queue(Stage("10"));
  const std::string pause = Queue(Ask("pause")).job_id();
  EXPECT_EQ(Standing()[0].state, store::stage_state::kApplied);
  EXPECT_EQ(Run(pause).state, kCompleted);
  const std::string job_id = Queue(Stage("10")).job_id();
  v1::OperationResponse answer;
  EXPECT_TRUE(service_->CancelJob(Key(), job_id, &answer).ok());
  EXPECT_EQ(Standing()[0].state, store::stage_state::kApplied);
  EXPECT_EQ(Run(Queue(Ask("rollback-all")).job_id()).state, kCompleted);
  EXPECT_TRUE(Standing().empty());
}

TEST_F(PolicyTest, ACancelledRollbackCanBeBegunAgain) {
  Carry(Stage("100%"));
  StopService();
  rollout_.options().seed_rows = 30;
  const std::string job_id = Queue(Ask("rollback-last-stage")).job_id();
  int batches = 0;
  rollout_.parts().at_commit = [&](std::string_view name, bool committed) {
    if (name != commits::kPolicyRollback || !committed || ++batches != 2) return;
    v1::OperationResponse answer;
    EXPECT_TRUE(service_->CancelJob(Key(), job_id, &answer).ok());
  };
  store::Job job = Run(job_id);
  rollout_.parts().at_commit = {};
  EXPECT_EQ(job.state, kCancelled);
  EXPECT_EQ(ResultOf(job).restored(), 60u);
  EXPECT_EQ(Policies().size(), 40u);
  job = Run(Queue(Ask("rollback-last-stage")).job_id());
  EXPECT_EQ(job.state, kCompleted);
  EXPECT_EQ(ResultOf(job).restored(), 40u);
  EXPECT_TRUE(Policies().empty());
}

TEST_F(PolicyTest, AJobThatFailsLeavesAStageThatCanBeTakenBack) {
  StopService();
  const std::string job_id = Queue(Stage("100%")).job_id();
  rollout_.Write([&](sql::Transaction& tx) {
    return tx
        .Execute("UPDATE jetmon_rollout_jobs SET job_cursor = 'nonsense' WHERE job_id = ?",
                 {job_id})
        .status();
  });
  EXPECT_EQ(Run(job_id).state, store::job_state::kFailed);
  EXPECT_EQ(Standing()[0].state, store::stage_state::kApplied);
  EXPECT_EQ(Codes(PlanOf(Ask("rollback-all"))), CodeSet{});
}

// --- killed at every commit, it goes on

class KilledTest : public PolicyTest {
 protected:
  // Runs the job with workers that each are killed after one more transaction.
  store::Job RunKilled(const std::string& job_id) {
    rollout_.Claim(job_id);
    for (int attempt = 1; attempt < 200; ++attempt) {
      const store::Job seen = rollout_.Job(job_id);
      if (store::IsFinished(seen.state)) return seen;
      std::optional<store::JobLease> lease;
      rollout_.Write([&](sql::Transaction& tx) {
        auto taken = store::TakeOverJob(tx, job_id, seen.seq, "controlplane-x");
        if (taken.ok()) lease = *taken;
        return taken.status();
      });
      const uint64_t from = rollout_.Job(job_id).seq;
      const std::function<bool()> stopping = [&] { return rollout_.Job(job_id).seq > from; };
      JobRun run(rollout_.parts(), rollout_.options(), rollout_.observer(), rollout_.Job(job_id),
                 *lease, stopping);
      EXPECT_TRUE(ExecuteStagePolicy(run).ok());
      workers_ = attempt;
    }
    return rollout_.Job(job_id);
  }
  int workers_ = 0;
};

TEST_F(KilledTest, AStageAndARollbackGoOnFromTheCursor) {
  AddRow(3, "HEAD", "simple_http");
  StopService();
  rollout_.options().seed_rows = 7;
  store::Job job = RunKilled(Queue(Stage("60%")).job_id());
  EXPECT_EQ(job.state, kCompleted);
  EXPECT_GT(workers_, 8);
  EXPECT_EQ(ResultOf(job).changed(), 60u);
  EXPECT_EQ(job.done, 60u);
  EXPECT_EQ(job.total, 60u);
  EXPECT_EQ(With("GET legacy"), First(60));
  EXPECT_EQ(Standing()[0].cohort, 60u);
  EXPECT_EQ(Standing()[0].eligible, 100u);
  job = RunKilled(Queue(Stage("90%", "GET", "simple_http")).job_id());
  EXPECT_EQ(ResultOf(job).changed(), 90u);
  job = RunKilled(Queue(Ask("rollback-all")).job_id());
  EXPECT_EQ(job.state, kCompleted);
  EXPECT_GT(workers_, 15);
  EXPECT_EQ(ResultOf(job).restored(), 150u);
  EXPECT_EQ(ResultOf(job).conflicts(), 0u);
  EXPECT_EQ(job.done, 150u);
  EXPECT_EQ(Policies(), (std::map<uint64_t, std::string>{{3, "HEAD simple_http"}}));
}

// --- at the same time

TEST_F(PolicyTest, TwoRunsOfOverlappingRangesWriteNoSiteUnseen) {
  rollout_.options().seed_rows = 5;
  service_ = MakeService();
  const std::string other = OpenSession();
  const auto of = [&](const std::string& run, const std::string& profile) {
    auto request = Stage("100%", "GET", profile);
    request.set_run_id(run);
    return Confirmed(request);
  };
  const v1::StagePolicyRequest requests[] = {of(run_id_, "legacy"), of(other, "simple_http")};
  v1::OperationResponse answers[2];
  std::thread rival([&] { EXPECT_TRUE(Send(requests[1], &answers[1]).ok()); });
  EXPECT_TRUE(Send(requests[0], &answers[0]).ok());
  rival.join();
  for (const auto& a : answers) {
    EXPECT_EQ(a.status(), "ok") << a.ShortDebugString();
    EXPECT_EQ(a.stage_policy().changed(), 100u);
  }
  // Whoever came second to a site knows what the first one wrote: taken back in that order, nothing
  // is left; in the other, the first finds a change that is not its own.
  const size_t second = With("GET simple_http").size();
  EXPECT_EQ(With("GET legacy").size(), 100u - second);
  EXPECT_EQ(Carry(Ask("rollback-all")).stage_policy().conflicts(), second);
  EXPECT_EQ(Carry(Ask("rollback-all", other)).stage_policy().conflicts(), 0u);
  EXPECT_EQ(Policies().size(), second);
  EXPECT_EQ(With("GET legacy").size(), second);
}

TEST_F(PolicyTest, AnEditorDuringAStageIsNeverOverwrittenUnseen) {
  rollout_.options().seed_rows = 5;
  service_ = MakeService();
  AddRow(50, "HEAD", "legacy");
  std::atomic<bool> over{false};
  // Again and again, and yet not so that nobody else ever gets the row.
  std::thread editor([&] {
    while (!over) {
      Edit(50, "cooldown_ms = COALESCE(cooldown_ms, 0) + 1");
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
  });
  const auto done = Carry(Stage("100%"));
  over = true;
  editor.join();
  EXPECT_EQ(done.stage_policy().changed(), 100u);
  // Every edit is there, and so is the policy.
  uint64_t revision = 0, edits = 0;
  rollout_.Read([&](sql::Transaction& tx) {
    return tx.Query(
        "SELECT revision, cooldown_ms FROM jetmon_endpoint_check_config WHERE site_id "
        "= 50",
        {}, [&](const sql::Row& row) {
          revision = row.Uint(0);
          edits = row.Uint(1);
          return absl::OkStatus();
        });
  });
  EXPECT_EQ(Policies()[50], "GET legacy");
  EXPECT_GE(revision, edits + 1);
}

}  // namespace
}  // namespace jetmon::rollout
