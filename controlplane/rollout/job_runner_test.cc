#include "controlplane/rollout/job_runner.h"

#include <gtest/gtest.h>

#include "controlplane/error/error.h"
#include "controlplane/rollout/commits.h"
#include "controlplane/rollout/range_jobs.h"
#include "controlplane/rollout/test_rollout.h"

namespace jetmon::rollout {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr store::Range kRange{2, 5};

class JobRunnerTest : public ::testing::Test {
 protected:
  JobRunnerTest() { rollout_.AddSession("rol_1", kRange, "monitor-a"); }
  std::unique_ptr<JobRunner> MakeRunner(std::map<std::string, Executor> executors) {
    auto runner = std::make_unique<JobRunner>(rollout_.parts(), rollout_.options(),
                                              rollout_.observer(), std::move(executors));
    runner->Run();
    return runner;
  }
  // The job once it has ended.
  store::Job Ended(JobRunner& runner, const std::string& job_id) {
    auto job = runner.WaitForChange(job_id, std::nullopt, seconds(30), {});
    EXPECT_TRUE(job.ok()) << job.status();
    EXPECT_TRUE(store::IsFinished(job->state)) << job->state;
    return *job;
  }
  static absl::Status Complete(JobRun& run) {
    return run.Finish(store::job_state::kCompleted, "answer", "");
  }

  TestRollout rollout_;
};

TEST_F(JobRunnerTest, RunsWhatIsQueued) {
  rollout_.AddJob("rjob_1", "seed", "rol_1", kRange);
  auto runner = MakeRunner({{"seed", Complete}});
  EXPECT_EQ(Ended(*runner, "rjob_1").result, "answer");
  rollout_.AddJob("rjob_2", "seed", "rol_1", kRange);
  runner->Wake();
  const store::Job job = Ended(*runner, "rjob_2");
  EXPECT_EQ(job.state, "completed");
  EXPECT_EQ(job.attempt, 1u);
}

TEST_F(JobRunnerTest, AnErrorFailsTheJobWithItsText) {
  rollout_.AddJob("rjob_1", "seed", "rol_1", kRange);
  rollout_.AddJob("rjob_2", "unheard_of", "rol_1", kRange);
  auto runner = MakeRunner({{"seed", [](JobRun&) { return absl::InternalError("it broke"); }}});
  const store::Job job = Ended(*runner, "rjob_1");
  EXPECT_EQ(job.state, "failed");
  EXPECT_EQ(job.error, "it broke");
  EXPECT_EQ(Ended(*runner, "rjob_2").state, "failed");
}

TEST_F(JobRunnerTest, ADatabaseThatIsAwayIsTriedAgain) {
  rollout_.AddJob("rjob_1", "seed", "rol_1", kRange);
  std::atomic<int> tries{0};
  auto runner = MakeRunner({{"seed", [&](JobRun& run) -> absl::Status {
                               if (tries++ == 0) return absl::UnavailableError("away");
                               return Complete(run);
                             }}});
  EXPECT_EQ(Ended(*runner, "rjob_1").state, "completed");
  EXPECT_EQ(tries, 2);
}

TEST_F(JobRunnerTest, TakesADeadWorkersJobAndNoLiveOnes) {
  rollout_.AddJob("rjob_1", "seed", "rol_1", kRange);
  rollout_.AddJob("rjob_2", "seed", "rol_1", kRange);
  // Workers of another replica took both; one of them lives.
  const auto claim = [this](const std::string& id) {
    store::JobLease lease;
    rollout_.Write([&](sql::Transaction& tx) {
      auto won = store::ClaimQueuedJob(tx, id, "controlplane-0", TestRollout::kNow);
      lease = **won;
      return won.status();
    });
    return lease;
  };
  claim("rjob_1");
  const store::JobLease live = claim("rjob_2");
  auto runner = MakeRunner({{"seed", Complete}});
  std::atomic<bool> over{false};
  std::thread worker([&] {
    while (!over) {
      rollout_.Write([&](sql::Transaction& tx) { return store::BumpJob(tx, live).status(); });
      std::this_thread::sleep_for(milliseconds(10));
    }
  });
  const store::Job taken = Ended(*runner, "rjob_1");
  EXPECT_EQ(taken.state, "completed");
  EXPECT_EQ(taken.attempt, 2u);
  EXPECT_EQ(rollout_.Job("rjob_2").lease_owner, "controlplane-0");
  over = true;
  worker.join();
  EXPECT_EQ(Ended(*runner, "rjob_2").attempt, 2u);
}

TEST_F(JobRunnerTest, AWorkerLivesUntilAWholeGraceIsOver) {
  rollout_.AddJob("rjob_1", "seed", "rol_1", kRange);
  rollout_.Write([](sql::Transaction& tx) {
    return store::ClaimQueuedJob(tx, "rjob_1", "controlplane-0", TestRollout::kNow).status();
  });
  Observer observer(rollout_.db(), rollout_.clock(), rollout_.options().times);
  JobRunner runner(rollout_.parts(), rollout_.options(), observer, {{"seed", Complete}});
  const std::function<bool()> goes_on = [] { return false; };
  EXPECT_FALSE(runner.RunOne(goes_on));  // nothing is known of it
  ASSERT_TRUE(observer.Read().ok());
  EXPECT_FALSE(runner.RunOne(goes_on));
  // It showed its life.
  rollout_.Write([](sql::Transaction& tx) {
    return tx.Execute("UPDATE jetmon_rollout_jobs SET seq = seq + 1").status();
  });
  ASSERT_TRUE(observer.Read().ok());
  EXPECT_FALSE(runner.RunOne(goes_on));
  rollout_.clock().Push(rollout_.options().times.grace);
  ASSERT_TRUE(observer.Read().ok());
  EXPECT_TRUE(runner.RunOne(goes_on));
  EXPECT_EQ(rollout_.Job("rjob_1").state, "completed");
  EXPECT_EQ(rollout_.Job("rjob_1").attempt, 2u);
}

TEST_F(JobRunnerTest, AWorkerThatLostItsJobRecordsNothing) {
  rollout_.AddJob("rjob_1", "seed", "rol_1", kRange);
  const store::JobLease lease = rollout_.Claim("rjob_1");
  rollout_.Write([](sql::Transaction& tx) {
    auto job = store::GetJob(tx, "rjob_1");
    return store::TakeOverJob(tx, "rjob_1", (*job)->seq, "controlplane-2").status();
  });
  const std::function<bool()> goes_on = [] { return false; };
  JobRun run(rollout_.parts(), rollout_.options(), rollout_.observer(), rollout_.Job("rjob_1"),
             lease, goes_on);
  const auto record = [&run](sql::Transaction& tx) {
    return run.Record(tx, store::checkpoint::kSeed, "");
  };
  EXPECT_TRUE(absl::IsCancelled(run.Finish(store::job_state::kCompleted, "answer", "", record)));
  EXPECT_EQ(rollout_.Job("rjob_1").state, "running");
  EXPECT_TRUE(rollout_.CheckpointKinds("rol_1").empty());
  const auto session =
      rollout_.Get([](sql::Transaction& tx) { return store::GetSession(tx, "rol_1"); });
  EXPECT_EQ(session->sequence, 0u);
}

TEST_F(JobRunnerTest, AJobUnderWayIsGivenBackWhenTheProcessStops) {
  rollout_.AddJob("rjob_1", "seed", "rol_1", kRange);
  std::atomic<bool> began{false};
  auto runner = MakeRunner({{"seed", [&](JobRun& run) {
                               began = true;
                               while (run.Pause(milliseconds(5))) {
                               }
                               return absl::OkStatus();
                             }}});
  ASSERT_TRUE(Comes([&] { return began.load(); }));
  runner->Stop();
  EXPECT_EQ(rollout_.Job("rjob_1").state, "queued");
  auto successor = MakeRunner({{"seed", Complete}});
  const store::Job job = Ended(*successor, "rjob_1");
  EXPECT_EQ(job.state, "completed");
  EXPECT_EQ(job.attempt, 2u);
}

TEST_F(JobRunnerTest, WritesAreRefusedToAWorkerThatLostItsJob) {
  rollout_.AddJob("rjob_1", "seed", "rol_1", kRange);
  absl::Status wrote, finished;
  std::atomic<bool> over{false};
  auto runner = MakeRunner(
      {{"seed", [&](JobRun& run) {
          rollout_.Write([&](sql::Transaction& tx) {
            auto job = store::GetJob(tx, "rjob_1");
            return store::TakeOverJob(tx, "rjob_1", (*job)->seq, "controlplane-2").status();
          });
          wrote = run.Write(commits::kShowLife, [](sql::Transaction&) { return absl::OkStatus(); });
          finished = Complete(run);
          over = true;
          return finished;
        }}});
  ASSERT_TRUE(Comes([&] { return over.load(); }));
  runner->Stop();
  EXPECT_TRUE(absl::IsCancelled(wrote));
  EXPECT_TRUE(absl::IsCancelled(finished));
  EXPECT_EQ(rollout_.Job("rjob_1").lease_owner, "controlplane-2");
}

TEST_F(JobRunnerTest, JobsThatWaitForMonitorsKeepNobodyElseWaiting) {
  std::atomic<bool> released{false};
  const auto wait = [&](JobRun& run) -> absl::Status {
    while (!released && run.Pause(milliseconds(5))) {
    }
    return Complete(run);
  };
  auto runner =
      MakeRunner({{"activate_buckets", wait}, {"release_buckets", Complete}, {"seed", Complete}});
  for (int i = 0; i < 10; ++i) {
    rollout_.AddJob("rjob_a" + std::to_string(i), "activate_buckets", "rol_1", kRange);
  }
  rollout_.AddJob("rjob_z1", "release_buckets", "rol_1", kRange);
  rollout_.AddJob("rjob_z2", "seed", "rol_1", kRange);
  EXPECT_EQ(Ended(*runner, "rjob_z1").state, "completed");
  EXPECT_EQ(Ended(*runner, "rjob_z2").state, "completed");
  released = true;
  for (int i = 0; i < 10; ++i) Ended(*runner, "rjob_a" + std::to_string(i));
}

TEST_F(JobRunnerTest, TheSweepGoesOnWithARangeWhoseJobIsGone) {
  FakeMonitor monitor(rollout_.db(), "monitor-a", "a-1");
  monitor.Poll();
  const auto lock = rollout_.AddGrant(kRange, "monitor-a", "a-1", "rol_1", "rjob_lost");
  monitor.Run();
  auto runner =
      MakeRunner({{"activate_buckets", ExecuteActivate}, {"release_buckets", ExecuteRelease}});
  const auto reaches = [&](const char* state) {
    return Comes([&] { return rollout_.Lock(lock.epoch).state == state; });
  };
  EXPECT_TRUE(reaches(store::range_state::kActive));
  rollout_.Write([&](sql::Transaction& tx) {
    return store::BeginRelease(tx, lock.epoch, "rjob_lost_too", 1).status();
  });
  EXPECT_TRUE(reaches(store::range_state::kReleased));
}

TEST_F(JobRunnerTest, TheSweepMakesOneJobARange) {
  FakeMonitor monitor(rollout_.db(), "monitor-a", "a-1");
  monitor.Poll();
  rollout_.AddGrant(kRange, "monitor-a", "a-1", "rol_1", "rjob_lost");
  JobRunner runner(rollout_.parts(), rollout_.options(), rollout_.observer(), {});
  ASSERT_TRUE(runner.Sweep().ok());
  ASSERT_TRUE(runner.Sweep().ok());
  const auto jobs =
      rollout_.Get([](sql::Transaction& tx) { return store::ListUnfinishedJobs(tx); });
  ASSERT_EQ(jobs.size(), 1u);
  EXPECT_EQ(jobs[0].operation, "activate_buckets");
  EXPECT_EQ(jobs[0].range, kRange);
}

TEST_F(JobRunnerTest, WaitingEndsAtTheLimitOrWhenNobodyWaitsAnyMore) {
  rollout_.AddJob("rjob_1", "seed", "rol_1", kRange);
  JobRunner runner(rollout_.parts(), rollout_.options(), rollout_.observer(), {});
  EXPECT_EQ(runner.WaitForChange("rjob_1", std::nullopt, milliseconds(1), {})->state, "queued");
  EXPECT_EQ(runner.WaitForChange("rjob_1", std::nullopt, seconds(60), [] { return true; })->state,
            "queued");
  EXPECT_EQ(ReasonOf(runner.WaitForChange("rjob_2", std::nullopt, seconds(60), {}).status()),
            v1::JOB_NOT_FOUND);
}

}  // namespace
}  // namespace jetmon::rollout
