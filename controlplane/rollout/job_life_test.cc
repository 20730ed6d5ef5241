#include "controlplane/rollout/job_life.h"

#include "controlplane/rollout/commits.h"
#include "controlplane/rollout/test_rollout.h"

namespace jetmon::rollout {
namespace {

class JobLifeTest : public ::testing::Test {
 protected:
  JobLifeTest() {
    rollout_.options().times.grace = std::chrono::seconds(30);
    rollout_.AddSession("rol_1", {0, 3}, "monitor-a");
    rollout_.AddJob("rjob_1", "smoke", "rol_1", {0, 3});
    const store::JobLease lease = rollout_.Claim("rjob_1");
    run_ = std::make_unique<JobRun>(rollout_.parts(), rollout_.options(), rollout_.observer(),
                                    rollout_.Job("rjob_1"), lease, stopping_query_);
    life_ = std::make_unique<JobLife>(*run_);
  }
  BootTime Now() { return rollout_.clock().Boot(); }

  bool stopping_ = false;
  const std::function<bool()> stopping_query_ = [this] { return stopping_; };
  TestRollout rollout_;
  std::unique_ptr<JobRun> run_;
  std::unique_ptr<JobLife> life_;
};

TEST_F(JobLifeTest, MaySendForHalfAGraceAfterItShowedThatItLives) {
  EXPECT_FALSE(life_->MaySend(Now()));  // it has shown nothing yet
  EXPECT_TRUE(life_->Turn(0, 10).ok());
  const BootTime shown = Now();
  EXPECT_TRUE(life_->MaySend(shown));
  EXPECT_FALSE(life_->MaySend(shown + rollout_.options().times.grace / 2));
  rollout_.clock().Push(rollout_.options().times.grace / 2);
  EXPECT_FALSE(life_->MaySend(Now()));
  EXPECT_TRUE(life_->Turn(7, 10).ok());
  EXPECT_TRUE(life_->MaySend(Now()));
  EXPECT_EQ(rollout_.Job("rjob_1").done, 7u);
  EXPECT_EQ(rollout_.Job("rjob_1").total, 10u);
}

TEST_F(JobLifeTest, WritesNowAndThenOnly) {
  EXPECT_TRUE(life_->Turn(1, 10).ok());
  const uint64_t seq = rollout_.Job("rjob_1").seq;
  rollout_.options().times.grace = std::chrono::hours(1);
  JobLife patient(*run_);
  EXPECT_TRUE(patient.Turn(2, 10).ok());
  for (int i = 0; i < 100; ++i) EXPECT_TRUE(patient.Turn(3, 10).ok());
  const store::Job job = rollout_.Job("rjob_1");
  EXPECT_GT(job.seq, seq);
  EXPECT_EQ(job.done, 2u);
}

TEST_F(JobLifeTest, KeepsWhatTheJobHasAndAddsWhatItIsGiven) {
  run_->job.cursor = "4";
  run_->job.progress = "so far";
  EXPECT_TRUE(life_
                  ->Save(commits::kCompareBatch, 5, 10,
                         [](sql::Transaction& tx) { return store::TouchSession(tx, "rol_1", 5); })
                  .ok());
  const store::Job job = rollout_.Job("rjob_1");
  EXPECT_EQ(job.cursor, "4");
  EXPECT_EQ(job.progress, "so far");
  EXPECT_EQ(job.done, 5u);
  EXPECT_EQ(
      rollout_.Get([](sql::Transaction& tx) { return store::GetSession(tx, "rol_1"); })->sequence,
      1u);
}

TEST_F(JobLifeTest, AnotherWorkersJobIsLeft) {
  rollout_.Write([](sql::Transaction& tx) {
    auto job = store::GetJob(tx, "rjob_1");
    if (!job.ok()) return job.status();
    return store::TakeOverJob(tx, "rjob_1", (*job)->seq, "controlplane-2").status();
  });
  const absl::Status s = life_->Turn(3, 10);
  EXPECT_TRUE(absl::IsCancelled(s)) << s;
  EXPECT_FALSE(life_->MaySend(Now()));
  EXPECT_EQ(life_->End(s), s);
  EXPECT_EQ(rollout_.Job("rjob_1").done, 0u);
}

TEST_F(JobLifeTest, AnOperatorsWordEndsItCancelled) {
  rollout_.Write(
      [](sql::Transaction& tx) { return store::RequestCancel(tx, "rjob_1", 5).status(); });
  const absl::Status s = life_->Turn(3, 10);
  EXPECT_TRUE(life_->Ending());
  EXPECT_FALSE(s.ok());
  EXPECT_TRUE(life_->End(s).ok());
  EXPECT_EQ(rollout_.Job("rjob_1").state, "cancelled");
}

TEST_F(JobLifeTest, AStoppingProcessLeavesItAsItIs) {
  stopping_ = true;
  const absl::Status s = life_->Turn(3, 10);
  EXPECT_FALSE(s.ok());
  EXPECT_TRUE(life_->End(s).ok());
  EXPECT_EQ(rollout_.Job("rjob_1").state, "running");
}

}  // namespace
}  // namespace jetmon::rollout
