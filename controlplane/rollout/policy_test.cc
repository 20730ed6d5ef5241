// Stages of a check policy: plan, execute, roll back.
#include "controlplane/rollout/policy.h"

#include <gtest/gtest.h>

#include "controlplane/rollout/test_policy.h"

namespace jetmon::rollout {
namespace {

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

TEST_F(PolicyTest, FullIsAPolicyAsAnyOther) {
  Carry(Stage("10", "GET", "full"));
  EXPECT_EQ(With("GET full"), First(10));
  EXPECT_EQ(Policies().size(), 10u);
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

}  // namespace
}  // namespace jetmon::rollout
