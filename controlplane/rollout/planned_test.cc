// Plan -> confirmation token -> execute.
#include <gtest/gtest.h>

#include <thread>

#include "controlplane/error/test_metadata.h"
#include "controlplane/rollout/test_service.h"

namespace jetmon::rollout {
namespace {

class PlannedTest : public ServiceTest {
 protected:
  PlannedTest() { run_id_ = OpenSession(); }
  v1::PlannedRequest Mine() const { return On<v1::PlannedRequest>(run_id_); }

  std::string run_id_;
};

// --- form, run, confirmation

TEST_F(PlannedTest, Form) {
  EXPECT_EQ(Refused(Operation::kSeed, Mine()), v1::INVALID_FIELD);
  auto both = Executing(Mine(), "jmr_0");
  both.set_dry_run(true);
  EXPECT_EQ(Refused(Operation::kSeed, both), v1::INVALID_FIELD);
  auto plan = Mine();
  plan.set_dry_run(true);
  auto wrong = plan;
  wrong.clear_bucket_max();
  EXPECT_EQ(Refused(Operation::kSeed, wrong), v1::INVALID_BUCKET_RANGE);
  wrong = plan;
  wrong.set_bucket_max(1);
  EXPECT_EQ(Refused(Operation::kSeed, wrong), v1::INVALID_BUCKET_RANGE);
  wrong = plan;
  wrong.set_bucket_max(6);
  EXPECT_EQ(Refused(Operation::kSeed, wrong), v1::RUN_RANGE_MISMATCH);
  wrong = plan;
  wrong.set_run_id("rol_0");
  EXPECT_EQ(Refused(Operation::kSeed, wrong), v1::RUN_NOT_FOUND);
  wrong = plan;
  wrong.set_wait("61s");
  EXPECT_EQ(Refused(Operation::kSeed, wrong), v1::INVALID_FIELD);
  wrong = plan;
  wrong.set_owner_host("a b");
  EXPECT_EQ(Refused(Operation::kSeed, wrong), v1::INVALID_FIELD);
  EXPECT_EQ(Refused(Operation::kSeed, Overridden(plan)), v1::INVALID_FIELD);
  wrong = plan;
  wrong.add_override()->set_code("evidence_missing");
  EXPECT_EQ(Refused(Operation::kActivate, wrong), v1::INVALID_FIELD);
  wrong.mutable_override(0)->set_reason("because");
  for (const char* code : {"bucket_range_conflict", "owner_range_conflict", "owner_unavailable",
                           "owner_ambiguous", "rollout_mode_blocked", ""}) {
    wrong.mutable_override(0)->set_code(code);
    EXPECT_EQ(Refused(Operation::kActivate, wrong), v1::INVALID_FIELD) << code;
  }
  const std::string ownerless = OpenSession(kRange, "");
  auto activate = On<v1::PlannedRequest>(ownerless);
  activate.set_dry_run(true);
  EXPECT_EQ(Refused(Operation::kActivate, activate), v1::INVALID_FIELD);
}

TEST_F(PlannedTest, ATokenIsNeededAndMustBeKnown) {
  EXPECT_EQ(Refused(Operation::kSeed, Executing(Mine(), "")), v1::MISSING_CONFIRMATION);
  EXPECT_EQ(Refused(Operation::kSeed, Executing(Mine(), "nonsense")), v1::INVALID_CONFIRMATION);
  EXPECT_EQ(Refused(Operation::kSeed, Executing(Mine(), "jmr_" + std::string(48, '0'))),
            v1::INVALID_CONFIRMATION);
}

TEST_F(PlannedTest, ATokenIsOfOneKeyOperationRangeAndRequest) {
  const std::string token = Token(Operation::kSeed, Mine());
  EXPECT_EQ(token.substr(0, 4), "jmr_");
  EXPECT_EQ(token.size(), 52u);
  const auto execute = Executing(Mine(), token);
  EXPECT_EQ(Refused(Operation::kSeed, execute, "key_2"), v1::INVALID_CONFIRMATION);
  EXPECT_EQ(Refused(Operation::kFinalReconcile, execute), v1::INVALID_CONFIRMATION);
  auto other = execute;
  other.set_bucket_max(4);
  EXPECT_EQ(Refused(Operation::kSeed, other), v1::INVALID_CONFIRMATION);
  other = execute;
  other.set_owner_host("monitor-b");
  EXPECT_EQ(Refused(Operation::kSeed, other), v1::INVALID_CONFIRMATION);
  other = execute;
  other.set_run_id(OpenSession());
  EXPECT_EQ(Refused(Operation::kSeed, other), v1::INVALID_CONFIRMATION);
  // None of these used it up; and its own request may say a default, and another wait.
  EXPECT_FALSE(Consumed(token));
  other = execute;
  other.set_owner_host("monitor-a");
  other.set_wait("29s");
  v1::OperationResponse answer;
  EXPECT_TRUE(Planned(Operation::kSeed, other, &answer).ok());
  EXPECT_EQ(answer.status(), "ok");
}

TEST_F(PlannedTest, AnotherOverrideIsAnotherRequest) {
  monitor_.Run();
  const auto overridden = Overridden(Mine());
  auto execute = Executing(overridden, Token(Operation::kActivate, overridden));
  execute.mutable_override(0)->set_reason("another reason");
  EXPECT_EQ(Refused(Operation::kActivate, execute), v1::INVALID_CONFIRMATION);
}

TEST_F(PlannedTest, ATokenIsUsedOnceAndRemembersItsJob) {
  const auto execute = Executing(Mine(), Token(Operation::kSeed, Mine()));
  v1::OperationResponse answer;
  ASSERT_TRUE(Planned(Operation::kSeed, execute, &answer).ok());
  v1::OperationResponse ignored;
  const absl::Status again = Planned(Operation::kSeed, execute, &ignored);
  EXPECT_EQ(ReasonOf(again), v1::INVALID_CONFIRMATION);
  EXPECT_EQ(MetadataOf(again, "job_id"), answer.job_id());
}

TEST_F(PlannedTest, ATokenExpiresAfterFifteenMinutes) {
  const std::string late = Token(Operation::kSeed, Mine());
  rollout_.clock().Push(std::chrono::minutes(15));
  EXPECT_EQ(Refused(Operation::kSeed, Executing(Mine(), late)), v1::INVALID_CONFIRMATION);
  const auto plan = Plan(Operation::kSeed, Mine());
  const int64_t expires = plan.token_expires_at().seconds();
  EXPECT_NEAR(expires - rollout_.clock().WallMs() / 1000, 15 * 60, 5);
  rollout_.clock().Push(std::chrono::minutes(14));
  v1::OperationResponse answer;
  EXPECT_TRUE(
      Planned(Operation::kSeed, Executing(Mine(), plan.confirmation_token()), &answer).ok());
}

TEST_F(PlannedTest, TwoExecutionsWithOneTokenAtOnceAreOne) {
  for (int round = 0; round < 20; ++round) {
    const auto execute = Executing(Mine(), Token(Operation::kSeed, Mine()), "0s");
    absl::Status results[2];
    v1::OperationResponse answers[2];
    std::thread other([&] { results[1] = Planned(Operation::kSeed, execute, &answers[1]); });
    results[0] = Planned(Operation::kSeed, execute, &answers[0]);
    other.join();
    ASSERT_NE(results[0].ok(), results[1].ok());
    const int loser = results[0].ok() ? 1 : 0;
    EXPECT_EQ(ReasonOf(results[loser]), v1::INVALID_CONFIRMATION);
    EXPECT_EQ(MetadataOf(results[loser], "job_id"), answers[1 - loser].job_id());
    ASSERT_TRUE(service_
                    ->WatchJob(answers[1 - loser].job_id(), {},
                               [](const v1::OperationResponse&) { return true; })
                    .ok());
  }
}

// --- the plan

TEST_F(PlannedTest, WhatHappenedInTheRunSincePlanningChangesThePlan) {
  const std::string token = Token(Operation::kSeed, Mine());
  Checkpoint(run_id_, "lunch");
  EXPECT_EQ(Refused(Operation::kSeed, Executing(Mine(), token)), v1::PLAN_CHANGED);
  EXPECT_FALSE(Consumed(token));
}

TEST_F(PlannedTest, OtherEvidenceThanWasShownChangesThePlan) {
  monitor_.Run();
  const int64_t now = rollout_.clock().WallMs();
  rollout_.AddEvidence(run_id_, kRange, "monitor-a", now);
  const std::string token = Token(Operation::kActivate, Mine());
  // Of another run, whose doing leaves this one's sequence alone.
  rollout_.AddCheckpoint(OpenSession(), store::checkpoint::kPreflight, kRange, "monitor-a", now);
  EXPECT_EQ(Refused(Operation::kActivate, Executing(Mine(), token)), v1::PLAN_CHANGED);
  EXPECT_FALSE(Consumed(token));
}

TEST_F(PlannedTest, AnotherProcessOfTheOwnerChangesThePlan) {
  monitor_.Run();
  const auto request = Overridden(Mine());
  const std::string token = Token(Operation::kActivate, request);
  monitor_.Goodbye();
  FakeMonitor next(rollout_.db(), "monitor-a", "a-2");
  next.Run();
  service_->Stop();
  service_ = MakeService();  // waits until it has heard of that one
  ASSERT_EQ(Plan(Operation::kActivate, request).activate().owner_instance(), "a-2");
  EXPECT_EQ(Refused(Operation::kActivate, Executing(request, token)), v1::PLAN_CHANGED);
  EXPECT_FALSE(Consumed(token));
}

TEST_F(PlannedTest, ARangeThatIsInAnotherStateThanWasShownChangesThePlan) {
  service_->Stop();
  rollout_.options().times.sweep = std::chrono::hours(1);  // no job, which would change the run
  service_ = MakeService();
  monitor_.Poll();
  const auto lock = rollout_.AddGrant(kRange, "monitor-a", "a-1", run_id_, "rjob_1");
  rollout_.Write([&](sql::Transaction& tx) {
    return store::BeginActivating(tx, lock.epoch, TestRollout::kNow).status();
  });
  const std::string token = Token(Operation::kRelease, Mine());
  monitor_.Poll();  // acknowledges
  ASSERT_EQ(rollout_.Lock(lock.epoch).state, store::range_state::kActive);
  EXPECT_EQ(Refused(Operation::kRelease, Executing(Mine(), token)), v1::PLAN_CHANGED);
  EXPECT_FALSE(Consumed(token));
  EXPECT_EQ(rollout_.Lock(lock.epoch).state, store::range_state::kActive);
}

TEST_F(PlannedTest, AFigureThatGrewMuchChangesThePlan) {
  auto add = [this, next = uint64_t{1}](int n) mutable {
    for (; n > 0; --n) rollout_.AddSite(next++, 3);
  };
  std::string token = Token(Operation::kSeed, Mine());
  add(100);
  v1::OperationResponse answer;
  ASSERT_TRUE(Planned(Operation::kSeed, Executing(Mine(), token), &answer).ok());
  token = Token(Operation::kSeed, Mine());
  add(101);
  const absl::Status changed = Planned(Operation::kSeed, Executing(Mine(), token), &answer);
  EXPECT_EQ(ReasonOf(changed), v1::PLAN_CHANGED);
  EXPECT_NE(changed.message().find("100"), std::string::npos);
  EXPECT_NE(changed.message().find("201"), std::string::npos);
  EXPECT_FALSE(Consumed(token));
}

TEST_F(PlannedTest, AnActivationNeedsItsEvidence) {
  monitor_.Run();
  const auto plan = Plan(Operation::kActivate, Mine());
  EXPECT_EQ(plan.status(), "blocked");
  EXPECT_EQ(plan.confirmation_token(), "");
  EXPECT_EQ(plan.blockers_size(), 5);
  EXPECT_EQ(Codes(plan), CodeSet{"evidence_missing"});
  rollout_.AddEvidence(run_id_, kRange, "monitor-a", rollout_.clock().WallMs());
  EXPECT_EQ(Plan(Operation::kActivate, Mine()).status(), "ok");
}

TEST_F(PlannedTest, ANamedPartOfTheEvidenceCanBeOverridden) {
  monitor_.Run();
  auto request = Mine();
  v1::Override* o = request.add_override();
  o->set_code("evidence_missing.smoke");
  o->set_reason("smoked by hand");
  EXPECT_EQ(Plan(Operation::kActivate, request).blockers_size(), 4);
  o->set_code("evidence_missing");
  const auto plan = Plan(Operation::kActivate, request);
  EXPECT_EQ(plan.status(), "ok");
  EXPECT_EQ(plan.warnings_size(), 5);
  v1::OperationResponse answer;
  ASSERT_TRUE(
      Planned(Operation::kActivate, Executing(request, plan.confirmation_token()), &answer).ok());
  ASSERT_EQ(answer.activate().overrides_size(), 1);
  EXPECT_EQ(answer.activate().overrides(0), "evidence_missing");
  v1::RolloutStatus status;
  ASSERT_TRUE(service_->GetStatus(&status).ok());
  ASSERT_EQ(status.ranges(0).overrides_size(), 1);
  EXPECT_EQ(status.ranges(0).overrides(0).code(), "evidence_missing");
  EXPECT_EQ(status.ranges(0).overrides(0).reason(), "smoked by hand");
}

TEST_F(PlannedTest, OneLiveMonitorOfTheHostIsNeeded) {
  EXPECT_EQ(Codes(Plan(Operation::kActivate, Overridden(Mine()))), CodeSet{"owner_unavailable"});
  monitor_.Run();
  EXPECT_EQ(Plan(Operation::kActivate, Overridden(Mine())).status(), "ok");
  FakeMonitor twin(rollout_.db(), "monitor-a", "a-2");
  twin.Run();
  service_->Stop();
  service_ = MakeService();  // it hears of both
  EXPECT_EQ(Codes(Plan(Operation::kActivate, Overridden(Mine()))), CodeSet{"owner_ambiguous"});
  // One that said goodbye does not count, nor one that is known to be dead.
  twin.Goodbye();
  EXPECT_EQ(Codes(Plan(Operation::kActivate, Overridden(Mine()))).count("owner_ambiguous"), 0u);
  ASSERT_TRUE(
      Comes([&] { return Plan(Operation::kActivate, Overridden(Mine())).status() == "ok"; }));
  monitor_.Kill();
  ASSERT_TRUE(
      Comes([&] { return Plan(Operation::kActivate, Overridden(Mine())).status() == "blocked"; }));
  EXPECT_EQ(Codes(Plan(Operation::kActivate, Overridden(Mine()))), CodeSet{"owner_unavailable"});
}

TEST_F(PlannedTest, TheMonitorMustListenToTheApiAndSpeakOurProtocol) {
  monitor_.mode = "standby";
  monitor_.protocol = store::kMonitorProtocol + 1;
  monitor_.Run();
  EXPECT_EQ(Codes(Plan(Operation::kActivate, Overridden(Mine()))),
            (CodeSet{"rollout_mode_blocked", "protocol_mismatch"}));
}

TEST_F(PlannedTest, WhatIsHeldIsNotGivenAgain) {
  monitor_.Run();
  FakeMonitor second(rollout_.db(), "monitor-b", "b-1");
  second.Run();
  Activate();
  const std::string other = OpenSession({4, 8}, "monitor-b");
  const auto overlapping = Overridden(On<v1::PlannedRequest>(other, {4, 8}));
  EXPECT_EQ(Codes(Plan(Operation::kActivate, overlapping)), CodeSet{"bucket_range_conflict"});
  EXPECT_EQ(Codes(Plan(Operation::kSeed, On<v1::PlannedRequest>(other, {4, 8}))),
            CodeSet{"bucket_range_conflict"});
  EXPECT_EQ(Codes(Plan(Operation::kFinalReconcile, On<v1::PlannedRequest>(other, {4, 8}))),
            CodeSet{"bucket_range_conflict"});
  // Beside it all is well; but not for the owner, who has a range.
  EXPECT_EQ(Plan(Operation::kSeed, On<v1::PlannedRequest>(other, {6, 8})).status(), "ok");
  auto same_owner = Overridden(On<v1::PlannedRequest>(other, {6, 8}));
  same_owner.set_owner_host("monitor-a");
  EXPECT_EQ(Codes(Plan(Operation::kActivate, same_owner)), CodeSet{"owner_range_conflict"});
}

TEST_F(PlannedTest, ABlockedExecutionConsumesNothing) {
  monitor_.Run();
  FakeMonitor second(rollout_.db(), "monitor-b", "b-1");
  second.Run();
  const std::string other = OpenSession({4, 8}, "monitor-b");
  const auto request = Overridden(On<v1::PlannedRequest>(other, {4, 8}));
  const std::string token = Token(Operation::kActivate, request);
  Activate();
  v1::OperationResponse answer;
  ASSERT_TRUE(Planned(Operation::kActivate, Executing(request, token), &answer).ok());
  EXPECT_EQ(answer.status(), "blocked");
  EXPECT_EQ(Codes(answer), CodeSet{"bucket_range_conflict"});
  EXPECT_EQ(answer.job_id(), "");
  EXPECT_FALSE(Consumed(token));
  EXPECT_EQ(rollout_.Get([](sql::Transaction& tx) { return store::ListHeldRanges(tx); }).size(),
            1u);
}

TEST_F(PlannedTest, WhatIsDoneOrUnderWayIsAnsweredWithItsJob) {
  monitor_.Run();
  const auto request = Overridden(Mine());
  const std::string first = Token(Operation::kActivate, request);
  const std::string second = Token(Operation::kActivate, request);
  v1::OperationResponse activated, again;
  ASSERT_TRUE(Planned(Operation::kActivate, Executing(request, first), &activated).ok());
  ASSERT_TRUE(Planned(Operation::kActivate, Executing(request, second), &again).ok());
  EXPECT_EQ(again.job_id(), activated.job_id());
  EXPECT_FALSE(Consumed(second));
  EXPECT_EQ(Plan(Operation::kActivate, request).job_id(), activated.job_id());
  // It drains, and goes on draining.
  monitor_.drains = false;
  const std::string release = Token(Operation::kRelease, Mine());
  v1::OperationResponse released;
  ASSERT_TRUE(Planned(Operation::kRelease, Executing(Mine(), release, "0s"), &released).ok());
  EXPECT_EQ(released.status(), "running");
  const auto draining = Plan(Operation::kRelease, Mine());
  EXPECT_EQ(draining.job_id(), released.job_id());
  EXPECT_EQ(draining.confirmation_token(), "");
  // Nothing can be activated over it.
  EXPECT_EQ(Codes(Plan(Operation::kActivate, request)), CodeSet{"bucket_range_conflict"});
}

TEST_F(PlannedTest, AGivenUpActivationIsReleasedByItsOwnJob) {
  monitor_.acknowledges = false;
  monitor_.drains = false;
  monitor_.Run();
  const auto request = Overridden(Mine());
  v1::OperationResponse answer;
  ASSERT_TRUE(Planned(Operation::kActivate,
                      Executing(request, Token(Operation::kActivate, request)), &answer)
                  .ok());
  EXPECT_EQ(answer.job().state(), "failed");
  EXPECT_EQ(answer.status(), "blocked");
  const auto release = Plan(Operation::kRelease, Mine());
  EXPECT_EQ(release.status(), "running") << release.ShortDebugString();
  EXPECT_EQ(release.job().operation(), "release_buckets");
  ASSERT_TRUE(service_
                  ->WatchJob(release.job_id(), {},
                             [&](const v1::OperationResponse& r) {
                               answer = r;
                               return true;
                             })
                  .ok());
  EXPECT_TRUE(answer.release().v1_may_start());
}

TEST_F(PlannedTest, ARangeIsReleasedByItsRunAlone) {
  EXPECT_EQ(Codes(Plan(Operation::kRelease, Mine())), CodeSet{"nothing_to_roll_back"});
  monitor_.Run();
  const std::string holder = Activate();
  EXPECT_EQ(Codes(Plan(Operation::kRelease, Mine())), CodeSet{"owner_range_conflict"});
  auto wrong_owner = On<v1::PlannedRequest>(holder);
  wrong_owner.set_owner_host("monitor-b");
  EXPECT_EQ(Codes(Plan(Operation::kRelease, wrong_owner)), CodeSet{"owner_range_conflict"});
  EXPECT_TRUE(Do(Operation::kRelease, On<v1::PlannedRequest>(holder)).release().v1_may_start());
  EXPECT_EQ(Codes(Plan(Operation::kRelease, On<v1::PlannedRequest>(holder))),
            CodeSet{"nothing_to_roll_back"});
}

TEST_F(PlannedTest, AReleaseIsLegalInAClosedRun) {
  monitor_.Run();
  const std::string holder = Activate();
  rollout_.Write(
      [&](sql::Transaction& tx) { return store::CloseSession(tx, holder, "", 1).status(); });
  EXPECT_TRUE(Do(Operation::kRelease, On<v1::PlannedRequest>(holder)).release().v1_may_start());
}

}  // namespace
}  // namespace jetmon::rollout
