// Named blockers that are let pass, and the checkpoints that operators record.
#include <gtest/gtest.h>

#include "controlplane/rollout/test_service.h"

namespace jetmon::rollout {
namespace {

class OverridesTest : public ServiceTest {
 protected:
  OverridesTest() {
    monitor_.Poll();
    monitor_.Run();
    run_id_ = OpenSession();
  }
  using Given = std::vector<std::pair<std::string, std::string>>;  // code, reason
  v1::PlannedRequest With(const Given& given) const {
    auto request = On<v1::PlannedRequest>(run_id_);
    for (const auto& [code, reason] : given) {
      v1::Override* o = request.add_override();
      o->set_code(code);
      o->set_reason(reason);
    }
    return request;
  }
  // What is still missing, and the warnings' codes.
  std::set<std::string> Blocked(const Given& given, std::set<std::string>* warnings) {
    const auto answer = Plan(Operation::kActivate, With(given));
    std::set<std::string> missing;
    for (const auto& b : answer.blockers()) {
      EXPECT_EQ(b.code(), "evidence_missing") << b.text();
      missing.insert(b.text().substr(0, b.text().find(' ')));
    }
    warnings->clear();
    for (const auto& w : answer.warnings()) warnings->insert(w.code());
    return missing;
  }

  std::string run_id_;
};

TEST_F(OverridesTest, EachPartOfTheEvidenceLetsItselfPassAndNoOther) {
  const std::set<std::string> all = {"preflight", "smoke", "seed", "v1_stopped", "final_reconcile"};
  std::set<std::string> warnings;
  EXPECT_EQ(Blocked({}, &warnings), all);
  EXPECT_TRUE(warnings.empty());
  for (const std::string& part : all) {
    auto left = all;
    left.erase(part);
    EXPECT_EQ(Blocked({{"evidence_missing." + part, "why"}}, &warnings), left);
    EXPECT_EQ(warnings, std::set<std::string>{"evidence_missing." + part});
  }
  EXPECT_TRUE(Blocked({{"evidence_missing", "why"}}, &warnings).empty());
  EXPECT_EQ(warnings.size(), 5u);
}

TEST_F(OverridesTest, WhatIsNotOneIsRefused) {
  const std::string kAll = "evidence_missing";
  const Given cases[] = {
      {{"", "why"}},
      {{"evidence_missing.", "why"}},
      {{"evidence_missing.foo", "why"}},
      {{"evidence_missing.smoke.more", "why"}},
      {{"evidence_missing.Smoke", "why"}},
      {{"EVIDENCE_MISSING", "why"}},
      {{"evidence_missing ", "why"}},
      {{std::string(5000, 'x'), "why"}},
      {{"owner_ambiguous", "why"}},
      {{kAll, ""}},
      {{kAll, " \t\n"}},
      {{kAll, std::string(256, 'x')}},
      {{kAll, "why"}, {kAll, "again"}},
      {{"evidence_missing.seed", "why"}, {"evidence_missing.seed", "why"}},
  };
  for (const Given& given : cases) {
    auto request = With(given);
    request.set_dry_run(true);
    EXPECT_EQ(Refused(Operation::kActivate, request), v1::INVALID_FIELD) << given[0].first;
  }
  EXPECT_EQ(Plan(Operation::kActivate, With({{kAll, std::string(255, 'x')}})).status(), "ok");
}

TEST_F(OverridesTest, OneThatLetsNothingPassIsSaidAndNotKept) {
  rollout_.AddCheckpoint(run_id_, store::checkpoint::kSeed, kRange, "", rollout_.clock().WallMs());
  const auto request = With({{"evidence_missing.seed", "not needed"},
                             {"evidence_missing.smoke", "smoked by hand"},
                             {"evidence_missing", "the rest"}});
  std::set<std::string> warnings;
  EXPECT_TRUE(Blocked({{"evidence_missing.seed", "not needed"},
                       {"evidence_missing.smoke", "smoked by hand"},
                       {"evidence_missing", "the rest"}},
                      &warnings)
                  .empty());
  EXPECT_EQ(warnings.count("override_not_needed"), 1u);
  EXPECT_EQ(warnings.count("evidence_missing.seed"), 0u);
  Do(Operation::kActivate, request);
  v1::RolloutStatus status;
  ASSERT_TRUE(service_->GetStatus(&status).ok());
  std::map<std::string, std::string> kept;
  for (const auto& o : status.ranges(0).overrides()) kept[o.code()] = o.reason();
  EXPECT_EQ(kept,
            (std::map<std::string, std::string>{{"evidence_missing", "the rest"},
                                                {"evidence_missing.smoke", "smoked by hand"}}));
}

TEST_F(OverridesTest, WhatIsWrongWithACheckpointIsAnError) {
  const std::string closed = ClosedSession();
  struct Case {
    std::string run_id, kind, note;
    v1::ErrorReason reason;
  };
  const Case cases[] = {
      {run_id_, "", "", v1::INVALID_FIELD},
      {run_id_, std::string(33, 'a'), "", v1::INVALID_FIELD},
      {run_id_, "V1_STOPPED", "", v1::INVALID_FIELD},
      {run_id_, "v1 stopped", "", v1::INVALID_FIELD},
      {run_id_, "v1_stopped", std::string(1001, 'n'), v1::INVALID_FIELD},
      {run_id_, "preflight_passed", "", v1::INVALID_FIELD},
      {run_id_, "smoke_passed", "", v1::INVALID_FIELD},
      {run_id_, "seed_completed", "", v1::INVALID_FIELD},
      {run_id_, "final_reconcile_completed", "", v1::INVALID_FIELD},
      {run_id_, "activated", "", v1::INVALID_FIELD},
      {run_id_, "released", "", v1::INVALID_FIELD},
      {"rol_0", "v1_stopped", "", v1::RUN_NOT_FOUND},
      {"", "v1_stopped", "", v1::RUN_NOT_FOUND},
      {std::string(5000, 'r'), "v1_stopped", "", v1::RUN_NOT_FOUND},
      {closed, "v1_stopped", "", v1::RUN_CLOSED},
  };
  for (const Case& c : cases) {
    v1::RecordCheckpointRequest request;
    request.set_run_id(c.run_id);
    request.set_kind(c.kind);
    request.set_note(c.note);
    v1::Checkpoint checkpoint;
    EXPECT_EQ(ReasonOf(service_->RecordCheckpoint(Key(), request, &checkpoint)), c.reason)
        << c.kind.substr(0, 40);
  }
  EXPECT_TRUE(rollout_.CheckpointKinds(run_id_).empty());
  v1::RecordCheckpointRequest request;
  request.set_run_id(run_id_);
  request.set_kind(std::string(32, 'a'));
  request.set_note(std::string(1000, 'n'));
  v1::Checkpoint checkpoint;
  ASSERT_TRUE(service_->RecordCheckpoint(Key(), request, &checkpoint).ok());
  EXPECT_EQ(checkpoint.note().size(), 1000u);
  EXPECT_EQ(checkpoint.consumer(), "tester");
}

TEST_F(OverridesTest, V1StartsNowhereInAHeldRangeWhateverItsState) {
  // A run over more than what is held.
  const std::string wide = OpenSession({0, 9});
  monitor_.acknowledges = false;
  monitor_.drains = false;
  const auto lock = rollout_.AddGrant(kRange, "monitor-a", "a-1", run_id_, "rjob_held");
  v1::RecordCheckpointRequest request;
  request.set_kind("v1_started");
  v1::Checkpoint checkpoint;
  const auto refused = [&](const std::string& run_id) {
    request.set_run_id(run_id);
    return ReasonOf(service_->RecordCheckpoint(Key(), request, &checkpoint)) ==
           v1::INVALID_CHECKPOINT;
  };
  EXPECT_TRUE(refused(run_id_));
  EXPECT_TRUE(refused(wide));
  EXPECT_TRUE(rollout_.CheckpointKinds(wide).empty());
  // A neighbour's is not held.
  request.set_run_id(OpenSession({6, 9}));
  EXPECT_TRUE(service_->RecordCheckpoint(Key(), request, &checkpoint).ok());
  // It drains while nobody looks after it.
  service_->Stop();
  rollout_.Write([&](sql::Transaction& tx) {
    return store::GiveUpActivation(tx, lock.epoch, "rjob_back", TestRollout::kNow).status();
  });
  EXPECT_TRUE(refused(wide));
  EXPECT_EQ(rollout_.Lock(lock.epoch).state, store::range_state::kDraining);
  service_ = MakeService();
  ASSERT_TRUE(Comes([&] { return rollout_.Lock(lock.epoch).state == "released"; }));
  request.set_run_id(wide);
  EXPECT_TRUE(service_->RecordCheckpoint(Key(), request, &checkpoint).ok());
}

}  // namespace
}  // namespace jetmon::rollout
