// Stages of a check policy: plan, execute, pause, roll back.
#include "controlplane/rollout/policy.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <thread>

#include "controlplane/rollout/cohort.h"
#include "controlplane/rollout/commits.h"
#include "controlplane/rollout/test_service.h"
#include "store/policy_stages.h"

namespace jetmon::rollout {
namespace {

using store::job_state::kCancelled;
using store::job_state::kCompleted;

// A hundred sites in the range, ten elsewhere.
class PolicyTest : public ServiceTest {
 protected:
  static constexpr uint64_t kSites = 100;

  PolicyTest() {
    run_id_ = OpenSession();
    std::vector<store::Site> sites;
    for (uint64_t id = 1; id <= kSites + 10; ++id) {
      store::Site s;
      s.site_id = id;
      s.blog_id = id;
      s.bucket = id <= kSites ? 2 + static_cast<uint32_t>(id % 4) : 9;
      s.url = "http://127.0.0.1:1/";
      sites.push_back(s);
    }
    rollout_.Write([&](sql::Transaction& tx) { return store::InsertSites(tx, sites); });
  }

  v1::StagePolicyRequest Ask(const std::string& mode, const std::string& run = "",
                             store::Range range = kRange) const {
    auto request = On<v1::StagePolicyRequest>(run.empty() ? run_id_ : run, range);
    request.set_mode(mode);
    return request;
  }
  v1::StagePolicyRequest Stage(const std::string& size, const std::string& method = "GET",
                               const std::string& profile = "legacy") const {
    auto request = Ask("stage");
    request.set_method(method);
    request.set_profile(profile);
    request.set_size(size);
    return request;
  }
  absl::Status Send(const v1::StagePolicyRequest& request, v1::OperationResponse* answer,
                    const std::string& key = "key_1") {
    return service_->StagePolicy(Key(key), request, {}, answer);
  }
  v1::OperationResponse PlanOf(v1::StagePolicyRequest request) {
    request.set_dry_run(true);
    v1::OperationResponse answer;
    const absl::Status s = Send(request, &answer);
    EXPECT_TRUE(s.ok()) << s;
    return answer;
  }
  v1::StagePolicyRequest Confirmed(v1::StagePolicyRequest request,
                                   const std::string& wait = "30s") {
    const auto plan = PlanOf(request);
    EXPECT_EQ(plan.status(), "ok") << plan.ShortDebugString();
    request.set_execute(true);
    request.set_confirm(plan.confirmation_token());
    request.set_wait(wait);
    return request;
  }
  // Plans, executes, waits.
  v1::OperationResponse Carry(const v1::StagePolicyRequest& request) {
    v1::OperationResponse answer;
    const absl::Status s = Send(Confirmed(request), &answer);
    EXPECT_TRUE(s.ok()) << s;
    EXPECT_EQ(answer.status(), "ok") << answer.ShortDebugString();
    return answer;
  }
  v1::ErrorReason RefusedFor(const v1::StagePolicyRequest& request) {
    v1::OperationResponse answer;
    const absl::Status s = Send(request, &answer);
    EXPECT_FALSE(s.ok()) << answer.ShortDebugString();
    return ReasonOf(s);
  }
  // "method profile" by site, of those that have a row.
  std::map<uint64_t, std::string> Policies() {
    std::map<uint64_t, std::string> rows;
    rollout_.Read([&](sql::Transaction& tx) {
      rows.clear();
      return tx.Query("SELECT site_id, method, profile FROM jetmon_endpoint_check_config", {},
                      [&](const sql::Row& row) {
                        rows[row.Uint(0)] = row.Text(1) + " " + row.Text(2);
                        return absl::OkStatus();
                      });
    });
    return rows;
  }
  std::set<uint64_t> With(const std::string& policy) {
    std::set<uint64_t> sites;
    for (const auto& [id, p] : Policies()) {
      if (p == policy) sites.insert(id);
    }
    return sites;
  }
  // The first `n` sites in the run's order.
  std::set<uint64_t> First(size_t n) {
    std::vector<std::pair<uint64_t, uint64_t>> order;
    for (uint64_t id = 1; id <= kSites; ++id) order.emplace_back(SiteOrder(run_id_).RankOf(id), id);
    std::sort(order.begin(), order.end());
    std::set<uint64_t> first;
    for (size_t i = 0; i < n; ++i) first.insert(order[i].second);
    return first;
  }
  // What another editor does.
  void Edit(uint64_t site, const std::string& set) {
    rollout_.Write([&](sql::Transaction& tx) {
      return tx
          .Execute("UPDATE jetmon_endpoint_check_config SET " + set +
                       ", revision = revision + 1 WHERE site_id = ?",
                   {site})
          .status();
    });
  }
  void AddRow(uint64_t site, const std::string& method, const std::string& profile) {
    rollout_.Write([&](sql::Transaction& tx) {
      return tx
          .Execute(
              "INSERT INTO jetmon_endpoint_check_config (site_id, method, profile, revision, "
              "updated_at_ms) VALUES (?, ?, ?, 1, 1)",
              {site, method, profile})
          .status();
    });
  }
  std::vector<store::PolicyStage> Standing() {
    return rollout_.Get(
        [&](sql::Transaction& tx) { return store::ListStandingStages(tx, run_id_); });
  }
  // Nothing takes jobs up any more: they are run by hand.
  void StopService() { service_->Stop(); }
  v1::OperationResponse Queue(const v1::StagePolicyRequest& request) {
    v1::OperationResponse answer;
    const absl::Status s = Send(Confirmed(request, "0s"), &answer);
    EXPECT_TRUE(s.ok()) << s;
    EXPECT_EQ(answer.status(), "running") << answer.ShortDebugString();
    return answer;
  }
  store::Job Run(const std::string& job_id) { return rollout_.RunJob(job_id, ExecuteStagePolicy); }
  static v1::StagePolicyResult ResultOf(const store::Job& job) {
    v1::OperationResponse answer;
    EXPECT_TRUE(answer.ParseFromString(job.result));
    return answer.stage_policy();
  }

  std::string run_id_;
};

TEST_F(PolicyTest, Form) {
  auto plan = Stage("5%");
  EXPECT_EQ(RefusedFor(plan), v1::INVALID_FIELD);  // neither dry_run nor execute
  plan.set_dry_run(true);
  auto wrong = plan;
  for (const char* mode : {"", "Stage", "rollback"}) {
    wrong.set_mode(mode);
    EXPECT_EQ(RefusedFor(wrong), v1::INVALID_MODE) << mode;
  }
  wrong = plan;
  wrong.clear_size();
  EXPECT_EQ(RefusedFor(wrong), v1::SIZE_REQUIRED);
  for (const std::string& size :
       {std::string("0"), std::string("-1"), std::string("101%"), std::string("1e9"),
        std::string("5 %"), std::string("0%"), std::string("%"), std::string("05%"),
        std::string("5.5%"), std::string(" 5"), std::string("10000001"), std::string(1000, '1'),
        std::string("5%%"), std::string("5\0", 2)}) {
    wrong.set_size(size);
    EXPECT_EQ(RefusedFor(wrong), v1::INVALID_SIZE) << size;
  }
  wrong = plan;
  wrong.set_method("get");
  EXPECT_EQ(RefusedFor(wrong), v1::INVALID_FIELD);
  wrong = plan;
  wrong.clear_profile();
  EXPECT_EQ(RefusedFor(wrong), v1::INVALID_FIELD);
  wrong.set_profile("full");
  EXPECT_EQ(RefusedFor(wrong), v1::NOT_AVAILABLE);
  wrong.set_method("HEAD");
  EXPECT_EQ(RefusedFor(wrong), v1::INVALID_FIELD);
  wrong = plan;
  wrong.set_mode("pause");
  EXPECT_EQ(RefusedFor(wrong), v1::INVALID_FIELD);
  wrong = Ask("rollback-all");
  wrong.set_dry_run(true);
  wrong.set_size("5%");
  EXPECT_EQ(RefusedFor(wrong), v1::INVALID_FIELD);
  wrong = plan;
  wrong.set_bucket_max(9);
  EXPECT_EQ(RefusedFor(wrong), v1::RUN_RANGE_MISMATCH);
  wrong = plan;
  wrong.set_run_id("rol_0");
  EXPECT_EQ(RefusedFor(wrong), v1::RUN_NOT_FOUND);
  wrong = plan;
  wrong.clear_dry_run();
  wrong.set_execute(true);
  EXPECT_EQ(RefusedFor(wrong), v1::MISSING_CONFIRMATION);
  wrong.set_confirm("jmr_0");
  EXPECT_EQ(RefusedFor(wrong), v1::INVALID_CONFIRMATION);
}

TEST_F(PolicyTest, APlanShowsWhatItWouldDoAndDoesNothing) {
  AddRow(1, "GET", "legacy");
  const auto plan = PlanOf(Stage("100%"));
  EXPECT_EQ(plan.status(), "ok");
  EXPECT_EQ(plan.stage_policy().eligible(), 100u);
  EXPECT_EQ(plan.stage_policy().cohort(), 100u);
  EXPECT_EQ(plan.stage_policy().to_change(), 99u);
  EXPECT_EQ(plan.stage_policy().already(), 1u);
  EXPECT_EQ(plan.stage_policy().stage(), 1u);
  EXPECT_EQ(Policies().size(), 1u);
  EXPECT_TRUE(Standing().empty());
  const auto all = PlanOf(Stage("101"));
  ASSERT_EQ(all.warnings_size(), 1);
  EXPECT_EQ(all.warnings(0).code(), "cohort_is_all");
}

TEST_F(PolicyTest, ATokenIsOfOneMethodProfileAndSize) {
  const auto execute = Confirmed(Stage("10"));
  for (const auto& other : {Stage("11"), Stage("10%"), Stage("10", "HEAD", "simple_http"),
                            Stage("10", "GET", "simple_http")}) {
    auto request = other;
    request.set_execute(true);
    request.set_confirm(execute.confirm());
    EXPECT_EQ(RefusedFor(request), v1::INVALID_CONFIRMATION);
  }
  auto seed = Executing(On<v1::PlannedRequest>(run_id_), execute.confirm());
  EXPECT_EQ(Refused(Operation::kSeed, seed), v1::INVALID_CONFIRMATION);
  EXPECT_FALSE(Consumed(execute.confirm()));
  v1::OperationResponse answer;
  EXPECT_TRUE(Send(execute, &answer).ok());
  EXPECT_TRUE(Consumed(execute.confirm()));
  EXPECT_EQ(RefusedFor(execute), v1::INVALID_CONFIRMATION);
  EXPECT_EQ(With("GET legacy").size(), 10u);
}

TEST_F(PolicyTest, StagesNest) {
  auto done = Carry(Stage("10"));
  EXPECT_EQ(done.stage_policy().changed(), 10u);
  EXPECT_EQ(With("GET legacy"), First(10));
  done = Carry(Stage("25%"));
  EXPECT_EQ(done.stage_policy().stage(), 2u);
  EXPECT_EQ(done.stage_policy().changed(), 15u);
  EXPECT_EQ(done.stage_policy().staged(), 10u);
  EXPECT_EQ(With("GET legacy"), First(25));
  // Another policy for a smaller cohort, and for a greater one.
  done = Carry(Stage("5", "GET", "simple_http"));
  EXPECT_EQ(done.stage_policy().changed(), 5u);
  EXPECT_EQ(With("GET simple_http"), First(5));
  done = Carry(Stage("100%", "HEAD", "simple_http"));
  EXPECT_EQ(done.stage_policy().changed(), 100u);
  EXPECT_EQ(Policies().size(), 100u);  // and none of bucket 9
  EXPECT_EQ(rollout_.CheckpointKinds(run_id_),
            std::vector<std::string>(4, store::checkpoint::kPolicyStaged));

  // Back, one after the other.
  done = Carry(Ask("rollback-last-stage"));
  EXPECT_EQ(done.stage_policy().stage(), 4u);
  EXPECT_EQ(done.stage_policy().restored(), 100u);
  EXPECT_EQ(With("GET simple_http"), First(5));
  EXPECT_EQ(Policies().size(), 25u);
  done = Carry(Ask("rollback-last-stage"));
  EXPECT_EQ(With("GET legacy"), First(25));
  done = Carry(Ask("rollback-all"));
  EXPECT_EQ(done.stage_policy().stages(), 2u);
  EXPECT_EQ(done.stage_policy().restored(), 25u);
  EXPECT_TRUE(Policies().empty());
  EXPECT_EQ(Codes(PlanOf(Ask("rollback-all"))), CodeSet{"nothing_to_roll_back"});
  EXPECT_EQ(Codes(PlanOf(Ask("rollback-last-stage"))), CodeSet{"nothing_to_roll_back"});
  // Numbers are not used again.
  EXPECT_EQ(Carry(Stage("1")).stage_policy().stage(), 5u);
}

TEST_F(PolicyTest, AStageThatWouldChangeNothingIsBlocked) {
  Carry(Stage("20%"));
  for (const char* size : {"20%", "20", "7"}) {
    const auto plan = PlanOf(Stage(size));
    EXPECT_EQ(Codes(plan), CodeSet{"nothing_to_stage"}) << size;
    EXPECT_EQ(plan.confirmation_token(), "");
  }
  // What every site has by default.
  EXPECT_EQ(Codes(PlanOf(Stage("100%", "HEAD", "legacy"))), CodeSet{});
  Carry(Ask("rollback-all"));
  EXPECT_EQ(Codes(PlanOf(Stage("100%", "HEAD", "legacy"))), CodeSet{"nothing_to_stage"});
  const std::string empty = OpenSession({10, 11});
  auto request = Stage("5%");
  request.set_run_id(empty);
  request.set_bucket_min(10);
  request.set_bucket_max(11);
  EXPECT_EQ(Codes(PlanOf(request)), CodeSet{"nothing_to_stage"});
}

TEST_F(PolicyTest, AnotherEditorsChangeIsLeftAloneAndReported) {
  AddRow(1, "GET", "simple_http");  // before any stage: an ordinary policy
  Carry(Stage("100%"));
  EXPECT_EQ(With("GET legacy").size(), 100u);
  Edit(7, "profile = 'simple_http'");
  Edit(8, "method = 'HEAD'");
  auto plan = PlanOf(Stage("100%", "HEAD", "simple_http"));
  EXPECT_EQ(plan.stage_policy().conflicts(), 2u);
  EXPECT_EQ(plan.stage_policy().to_change(), 98u);
  ASSERT_EQ(plan.warnings_size(), 1);
  EXPECT_EQ(plan.warnings(0).code(), "policy_conflicts");
  auto done = Carry(Stage("100%", "HEAD", "simple_http"));
  EXPECT_EQ(done.stage_policy().changed(), 98u);
  EXPECT_EQ(done.stage_policy().conflicts(), 2u);
  EXPECT_EQ(done.stage_policy().conflict_sites(0) + done.stage_policy().conflict_sites(1), 15u);
  EXPECT_EQ(Policies()[7], "GET simple_http");
  EXPECT_EQ(Policies()[8], "HEAD legacy");

  // One more, of a site that two stages wrote: it counts once.
  Edit(9, "method = 'GET'");
  done = Carry(Ask("rollback-all"));
  EXPECT_EQ(done.stage_policy().conflicts(), 3u);
  EXPECT_EQ(done.stage_policy().restored(), 97u + 97u);
  EXPECT_EQ(done.warnings(0).code(), "policy_conflicts");
  EXPECT_EQ(Policies(), (std::map<uint64_t, std::string>{{1, "GET simple_http"},
                                                         {7, "GET simple_http"},
                                                         {8, "HEAD legacy"},
                                                         {9, "GET simple_http"}}));
}

TEST_F(PolicyTest, OnlyTwentyConflictsAreNamed) {
  Carry(Stage("100%"));
  for (uint64_t id = 1; id <= 30; ++id) Edit(id, "profile = 'simple_http'");
  const auto done = Carry(Ask("rollback-all"));
  EXPECT_EQ(done.stage_policy().conflicts(), 30u);
  EXPECT_EQ(done.stage_policy().conflict_sites_size(), 20);
  EXPECT_EQ(Policies().size(), 30u);
}

// A row that went and came again is not the one that the stage wrote, whatever it says.
TEST_F(PolicyTest, ARowMadeAgainIsAnotherEditors) {
  Carry(Stage("100%"));
  rollout_.Write([](sql::Transaction& tx) {
    return tx.Execute("DELETE FROM jetmon_endpoint_check_config WHERE site_id = 5").status();
  });
  AddRow(5, "GET", "legacy");
  // And one that a rollback removed and a stage made again has a revision of its own.
  const auto revision = [&](uint64_t site) {
    uint64_t r = 0;
    rollout_.Read([&](sql::Transaction& tx) {
      return tx.Query("SELECT revision FROM jetmon_endpoint_check_config WHERE site_id = ?", {site},
                      [&](const sql::Row& row) {
                        r = row.Uint(0);
                        return absl::OkStatus();
                      });
    });
    return r;
  };
  const uint64_t before = revision(6);
  EXPECT_EQ(Carry(Ask("rollback-all")).stage_policy().conflicts(), 1u);
  EXPECT_EQ(Policies().size(), 1u);
  Carry(Stage("100%"));
  EXPECT_GT(revision(6), before);
}

TEST_F(PolicyTest, ARollbackNamesARangeThatHasItsStages) {
  auto part = Stage("100%");
  part.set_bucket_max(3);
  Carry(part);
  EXPECT_EQ(With("GET legacy").size(), 50u);
  EXPECT_EQ(Codes(PlanOf(Ask("rollback-last-stage", "", {4, 5}))),
            CodeSet{"bucket_range_conflict"});
  EXPECT_EQ(Codes(PlanOf(Ask("rollback-all", "", {3, 5}))), CodeSet{"bucket_range_conflict"});
  // The same order whatever the range: the wider cohort contains what the part has of it.
  Carry(Stage("40"));
  std::set<uint64_t> expected = With("GET legacy");
  for (uint64_t id : First(40)) EXPECT_EQ(expected.count(id), 1u);
  Carry(Ask("rollback-last-stage"));
  EXPECT_EQ(With("GET legacy").size(), 50u);
  Carry(Ask("rollback-last-stage", "", {2, 3}));
  EXPECT_TRUE(Policies().empty());
}

TEST_F(PolicyTest, AClosedRunsStagesCanBeTakenBack) {
  Carry(Stage("10"));
  v1::CloseSessionRequest close;
  close.set_run_id(run_id_);
  v1::Session session;
  ASSERT_TRUE(service_->CloseSession(Key(), close, &session).ok());
  auto stage = Stage("20");
  stage.set_dry_run(true);
  EXPECT_EQ(RefusedFor(stage), v1::RUN_CLOSED);
  EXPECT_EQ(Carry(Ask("rollback-all")).stage_policy().restored(), 10u);
}

TEST_F(PolicyTest, WhatChangedSinceThePlanVoidsIt) {
  auto stage = Confirmed(Stage("10"));
  Checkpoint(run_id_, "looked");
  EXPECT_EQ(RefusedFor(stage), v1::PLAN_CHANGED);
  EXPECT_FALSE(Consumed(stage.confirm()));
  stage = Confirmed(Stage("10"));
  auto rival = Confirmed(Stage("10"));
  v1::OperationResponse answer;
  EXPECT_TRUE(Send(stage, &answer).ok());
  // There is nothing left to do for the other one.
  EXPECT_TRUE(Send(rival, &answer).ok());
  EXPECT_EQ(Codes(answer), CodeSet{"nothing_to_stage"});
  EXPECT_FALSE(Consumed(rival.confirm()));
}

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
  while (rollout_.Job(pause).seq < 5) std::this_thread::yield();  // it looks, and waits
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
  std::thread editor([&] {
    while (!over) Edit(50, "cooldown_ms = COALESCE(cooldown_ms, 0) + 1");
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
