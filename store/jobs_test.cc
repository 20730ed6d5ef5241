#include "store/jobs.h"

#include <atomic>
#include <thread>

#include "store/test_database.h"

namespace jetmon::store {
namespace {

Job MakeJob(const std::string& id) {
  Job j;
  j.job_id = id;
  j.operation = "seed";
  j.run_id = "rol_1";
  j.range = {0, 9};
  j.state = job_state::kQueued;
  j.request = std::string("\0bytes", 6);
  j.key_id = "key_1";
  j.consumer = "bot";
  return j;
}

TEST(Jobs, OneWorkerClaims) {
  TestDatabase db;
  ASSERT_TRUE(
      db->Write([](sql::Transaction& tx) { return InsertJob(tx, MakeJob("rjob_1")); }).ok());
  std::atomic<int> won{0}, failed{0};
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      bool mine = false;
      const absl::Status s = db->Write([&](sql::Transaction& tx) {
        auto lease = ClaimQueuedJob(tx, "rjob_1", "cp-" + std::to_string(t), 5);
        mine = lease.ok() && lease->has_value();
        return lease.status();
      });
      if (!s.ok()) ++failed;
      if (mine) ++won;
    });
  }
  for (std::thread& t : threads) t.join();
  EXPECT_EQ(won, 1);
  EXPECT_EQ(failed, 0);
}

TEST(Jobs, OnlyTheHolderWrites) {
  TestDatabase db;
  ASSERT_TRUE(db->Write([](sql::Transaction& tx) -> absl::Status {
                  EXPECT_TRUE(InsertJob(tx, MakeJob("rjob_1")).ok());
                  const JobLease first = **ClaimQueuedJob(tx, "rjob_1", "cp-1", 5);
                  EXPECT_TRUE(*BumpJob(tx, first));
                  const Job seen = **GetJob(tx, "rjob_1");
                  EXPECT_EQ(seen.request, std::string("\0bytes", 6));
                  EXPECT_GT(seen.started_ordinal, 0u);
                  EXPECT_FALSE(TakeOverJob(tx, "rjob_1", seen.seq - 1, "cp-2")->has_value());
                  const JobLease second = **TakeOverJob(tx, "rjob_1", seen.seq, "cp-2");
                  EXPECT_EQ(second.attempt, 2u);
                  EXPECT_FALSE(*BumpJob(tx, first));
                  EXPECT_FALSE(*SaveJobProgress(tx, first, 1, 2, "c", "p"));
                  EXPECT_FALSE(*FinishJob(tx, first, job_state::kCompleted, "r", "", 9));
                  EXPECT_TRUE(*SaveJobProgress(tx, second, 1, 2, "c", "p"));
                  EXPECT_TRUE(ClearJobProgress(tx, "rjob_1").ok());
                  EXPECT_EQ((*GetJob(tx, "rjob_1"))->progress, "");
                  EXPECT_TRUE(*SaveJobProgress(tx, second, 1, 2, "c", "p"));
                  EXPECT_EQ(*CountUnfinishedJobs(tx, "rol_1"), 1u);
                  EXPECT_TRUE(*FinishJob(tx, second, job_state::kCompleted, "r", "", 9));
                  EXPECT_FALSE(*BumpJob(tx, second));
                  EXPECT_EQ(*CountUnfinishedJobs(tx, "rol_1"), 0u);
                  EXPECT_TRUE(ClearJobProgress(tx, "rjob_1").ok());
                  const Job done = **GetJob(tx, "rjob_1");
                  EXPECT_EQ(done.progress, "p");  // it has ended
                  EXPECT_EQ(done.cursor, "c");
                  EXPECT_EQ(done.result, "r");
                  EXPECT_TRUE(IsFinished(done.state));
                  return absl::OkStatus();
                }).ok());
}

TEST(Jobs, AWorkerIsKnownByItsNameAndItsAttempt) {
  TestDatabase db;
  ASSERT_TRUE(db->Write([](sql::Transaction& tx) -> absl::Status {
                  EXPECT_TRUE(InsertJob(tx, MakeJob("rjob_1")).ok());
                  const JobLease first = **ClaimQueuedJob(tx, "rjob_1", "cp-1", 5);
                  EXPECT_FALSE(*BumpJob(tx, {"rjob_1", "cp-2", first.attempt}));
                  // A worker that lost its job and got it back is another one.
                  const JobLease second =
                      **TakeOverJob(tx, "rjob_1", (*GetJob(tx, "rjob_1"))->seq, "cp-1");
                  EXPECT_FALSE(*BumpJob(tx, first));
                  EXPECT_FALSE(*FinishJob(tx, first, job_state::kCompleted, "", "", 9));
                  EXPECT_TRUE(*BumpJob(tx, second));
                  return absl::OkStatus();
                }).ok());
}

// What a job saw is as old as its first attempt: a final reconcile that v1's stop fell into does
// not begin after it because another worker goes on with it.
TEST(Jobs, BeginsOnceHoweverOftenItIsGivenBack) {
  TestDatabase db;
  ASSERT_TRUE(db->Write([](sql::Transaction& tx) -> absl::Status {
                  EXPECT_TRUE(InsertJob(tx, MakeJob("rjob_1")).ok());
                  const JobLease first = **ClaimQueuedJob(tx, "rjob_1", "cp-1", 5);
                  const Job began = **GetJob(tx, "rjob_1");
                  EXPECT_GT(began.started_ordinal, 0u);
                  EXPECT_EQ(began.started_at_ms, 5);
                  EXPECT_TRUE(*YieldJob(tx, first));
                  EXPECT_FALSE(*BumpJob(tx, first));
                  EXPECT_TRUE(ClaimQueuedJob(tx, "rjob_1", "cp-2", 6)->has_value());
                  const Job goes_on = **GetJob(tx, "rjob_1");
                  EXPECT_EQ(goes_on.started_ordinal, began.started_ordinal);
                  EXPECT_EQ(goes_on.started_at_ms, 5);
                  return absl::OkStatus();
                }).ok());
}

TEST(Jobs, CancelEndsAQueuedOneAndAsksARunningOne) {
  TestDatabase db;
  ASSERT_TRUE(db->Write([](sql::Transaction& tx) -> absl::Status {
                  EXPECT_TRUE(InsertJob(tx, MakeJob("rjob_1")).ok());
                  EXPECT_TRUE(InsertJob(tx, MakeJob("rjob_2")).ok());
                  EXPECT_TRUE(ClaimQueuedJob(tx, "rjob_2", "cp-1", 5)->has_value());
                  EXPECT_EQ(ListUnfinishedJobs(tx)->size(), 2u);
                  EXPECT_TRUE(*RequestCancel(tx, "rjob_1", 7));
                  EXPECT_TRUE(*RequestCancel(tx, "rjob_2", 7));
                  EXPECT_EQ((*GetJob(tx, "rjob_1"))->state, job_state::kCancelled);
                  EXPECT_EQ((*GetJob(tx, "rjob_2"))->state, job_state::kRunning);
                  EXPECT_TRUE((*GetJob(tx, "rjob_2"))->cancel_requested);
                  EXPECT_FALSE(*RequestCancel(tx, "rjob_1", 7));
                  EXPECT_EQ(ListJobs(tx, "rol_1", "", {1, ""})->rows[0].job_id, "rjob_2");
                  EXPECT_EQ(ListJobs(tx, "", "cancelled", {5, ""})->rows.size(), 1u);
                  return absl::OkStatus();
                }).ok());
}

TEST(Jobs, OnlyOnesThatHaveEndedAreRemoved) {
  TestDatabase db;
  ASSERT_TRUE(db->Write([](sql::Transaction& tx) -> absl::Status {
                  for (const char* state :
                       {job_state::kQueued, job_state::kRunning, job_state::kCompleted,
                        job_state::kBlocked, job_state::kFailed, job_state::kCancelled}) {
                    Job j = MakeJob(std::string("rjob_") + state);
                    j.state = state;
                    EXPECT_TRUE(IsJobState(state));
                    EXPECT_TRUE(InsertJob(tx, j).ok());
                    EXPECT_EQ(*DeleteJob(tx, j.job_id), IsFinished(state)) << state;
                    EXPECT_EQ(GetJob(tx, j.job_id)->has_value(), !IsFinished(state)) << state;
                  }
                  EXPECT_FALSE(*DeleteJob(tx, "rjob_0"));
                  EXPECT_FALSE(IsJobState(""));
                  EXPECT_FALSE(IsJobState("Queued"));
                  return absl::OkStatus();
                }).ok());
}

}  // namespace
}  // namespace jetmon::store
