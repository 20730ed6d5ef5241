#include "controlplane/rollout/service.h"

#include <google/protobuf/util/json_util.h>
#include <gtest/gtest.h>

#include "controlplane/rollout/test_service.h"
#include "store/events.h"

namespace jetmon::rollout {
namespace {

TEST_F(ServiceTest, AWholeRolloutThereAndBack) {
  monitor_.Run();
  rollout_.AddSite(1, 2, 1, sites_.Url("/up"));
  rollout_.AddSite(2, 5, 2, sites_.Url("/down"));
  const std::string run_id = OpenSession();
  const auto on = On<v1::PlannedRequest>(run_id);

  const auto preflight = Preflight(run_id);
  EXPECT_EQ(preflight.status(), "ok") << preflight.ShortDebugString();
  EXPECT_NE(preflight.job_id(), "");
  EXPECT_EQ(preflight.preflight().active_sites(), 2u);
  const auto smoke = Smoke(On<v1::SmokeRequest>(run_id));
  EXPECT_EQ(smoke.status(), "ok") << smoke.ShortDebugString();
  EXPECT_EQ(smoke.smoke().successes(), 1u);
  EXPECT_EQ(smoke.smoke().known_down(), 1u);
  const auto seed = Do(Operation::kSeed, on);
  EXPECT_EQ(seed.seed().targets_written(), 2u);
  EXPECT_EQ(seed.seed().adopted(), 1u);
  Checkpoint(run_id, "v1_stopped");
  EXPECT_EQ(Do(Operation::kFinalReconcile, on).seed().targets_written(), 0u);
  const auto activated = Do(Operation::kActivate, on);
  EXPECT_EQ(activated.activate().range_state(), "active");

  v1::RolloutStatus status;
  ASSERT_TRUE(service_->GetStatus(&status).ok());
  ASSERT_EQ(status.ranges_size(), 1);
  EXPECT_EQ(status.ranges(0).state(), "active");
  EXPECT_EQ(status.ranges(0).epoch(), activated.activate().epoch());
  EXPECT_EQ(status.monitors_size(), 1);
  EXPECT_EQ(Gate(Service::Gate::kCoverage).status(), "ok");
  EXPECT_EQ(Gate(Service::Gate::kDrift).status(), "ok");

  const auto released = Do(Operation::kRelease, on);
  EXPECT_TRUE(released.release().v1_may_start());
  Checkpoint(run_id, "v1_started");
  v1::CloseSessionRequest close;
  close.set_run_id(run_id);
  v1::Session session;
  EXPECT_TRUE(service_->CloseSession(Key(), close, &session).ok());
  EXPECT_EQ(session.state(), "closed");
  EXPECT_EQ(rollout_.CheckpointKinds(run_id),
            (std::vector<std::string>{"preflight_passed", "smoke_passed", "seed_completed",
                                      "v1_stopped", "final_reconcile_completed", "activated",
                                      "released", "v1_started"}));
  v1::GetTimelineRequest story;
  story.set_run_id(run_id);
  v1::Timeline timeline;
  ASSERT_TRUE(service_->GetTimeline(story, &timeline).ok());
  EXPECT_GE(timeline.entries_size(), 8);
}

TEST_F(ServiceTest, EveryAnswerOfAnOperationNamesItsJob) {
  const std::string run_id = OpenSession();
  const auto seed = Do(Operation::kSeed, On<v1::PlannedRequest>(run_id));
  EXPECT_EQ(seed.job_id(), seed.job().job_id());
  EXPECT_EQ(seed.status_url(), "/api/v1/rollout/jobs/" + seed.job_id());
  EXPECT_EQ(seed.job().state(), "completed");
  v1::OperationResponse again;
  ASSERT_TRUE(service_->GetJob(seed.job_id(), &again).ok());
  EXPECT_EQ(again.SerializeAsString(), seed.SerializeAsString());
  EXPECT_EQ(ReasonOf(service_->GetJob("rjob_0", &again)), v1::JOB_NOT_FOUND);
}

TEST_F(ServiceTest, WhatCommitsSettlesTheIdempotencyRecordWithIt) {
  std::vector<std::string> settled;
  Caller caller = Key();
  caller.on_commit = [&](sql::Transaction&, std::string_view kind, std::string_view id) {
    settled.push_back(std::string(kind) + " " + std::string(id));
    return absl::OkStatus();
  };
  const std::string run_id = OpenSession();
  auto request = On<v1::PlannedRequest>(run_id);
  v1::OperationResponse answer;
  request.set_dry_run(true);
  ASSERT_TRUE(service_->Planned(caller, Operation::kSeed, request, {}, &answer).ok());
  EXPECT_TRUE(settled.empty());
  const auto execute = Executing(On<v1::PlannedRequest>(run_id), answer.confirmation_token());
  // One that can't be settled must not commit.
  Caller overtaken = caller;
  overtaken.on_commit = [](sql::Transaction&, std::string_view, std::string_view) {
    return Error(v1::IDEMPOTENCY_CONFLICT, "taken over");
  };
  EXPECT_EQ(ReasonOf(service_->Planned(overtaken, Operation::kSeed, execute, {}, &answer)),
            v1::IDEMPOTENCY_CONFLICT);
  ASSERT_TRUE(service_->Planned(caller, Operation::kSeed, execute, {}, &answer).ok());
  EXPECT_EQ(settled, std::vector<std::string>{"job " + answer.job_id()});
}

TEST_F(ServiceTest, SessionsAreListedAndRefused) {
  v1::CreateSessionRequest request;
  v1::Session session;
  EXPECT_EQ(ReasonOf(service_->CreateSession(Key(), request, &session)), v1::INVALID_BUCKET_RANGE);
  request.set_bucket_min(0);
  request.set_bucket_max(TestRollout::kBuckets);
  EXPECT_EQ(ReasonOf(service_->CreateSession(Key(), request, &session)), v1::INVALID_BUCKET_RANGE);
  request.set_bucket_max(3);
  request.set_owner_host("not a host");
  EXPECT_EQ(ReasonOf(service_->CreateSession(Key(), request, &session)), v1::INVALID_FIELD);
  request.set_owner_host("");
  request.set_change_ref(std::string(256, 'x'));
  EXPECT_EQ(ReasonOf(service_->CreateSession(Key(), request, &session)), v1::INVALID_FIELD);
  request.set_change_ref("CHG-1");
  ASSERT_TRUE(google::protobuf::util::JsonStringToMessage("{\"notifications\":\"none\"}",
                                                          request.mutable_metadata())
                  .ok());
  ASSERT_TRUE(service_->CreateSession(Key(), request, &session).ok());
  v1::Session read;
  ASSERT_TRUE(service_->GetSession(session.run_id(), &read).ok());
  std::string metadata;
  ASSERT_TRUE(google::protobuf::util::MessageToJsonString(read.metadata(), &metadata).ok());
  EXPECT_EQ(metadata, "{\"notifications\":\"none\"}");
  EXPECT_EQ(read.change_ref(), "CHG-1");
  EXPECT_EQ(read.consumer(), "tester");
  const std::string second = OpenSession();
  v1::ListSessionsRequest list;
  list.set_page_size(1);
  v1::ListSessionsResponse page;
  ASSERT_TRUE(service_->ListSessions(list, &page).ok());
  ASSERT_EQ(page.sessions_size(), 1);
  EXPECT_EQ(page.sessions(0).run_id(), second);
  list.set_page_token(page.next_page_token());
  ASSERT_TRUE(service_->ListSessions(list, &page).ok());
  EXPECT_EQ(page.sessions(0).run_id(), session.run_id());
  EXPECT_EQ(page.next_page_token(), "");
  list.set_page_token("nonsense!");
  EXPECT_EQ(ReasonOf(service_->ListSessions(list, &page)), v1::INVALID_FIELD);
  list.set_page_token("");
  list.set_page_size(201);
  EXPECT_EQ(ReasonOf(service_->ListSessions(list, &page)), v1::INVALID_FIELD);
  EXPECT_EQ(ReasonOf(service_->GetSession("rol_0", &read)), v1::RUN_NOT_FOUND);
}

TEST_F(ServiceTest, ASessionInUseIsNotClosed) {
  monitor_.Run();
  const std::string run_id = Activate();
  v1::CloseSessionRequest close;
  close.set_run_id(run_id);
  v1::Session session;
  EXPECT_EQ(ReasonOf(service_->CloseSession(Key(), close, &session)), v1::SESSION_IN_USE);
  const std::string other = OpenSession({8, 9});
  rollout_.AddJob("rjob_waits", "seed", other, {8, 9});
  service_->Stop();
  rollout_.AddJob("rjob_waits_too", "seed", other, {8, 9});
  close.set_run_id(other);
  EXPECT_EQ(ReasonOf(service_->CloseSession(Key(), close, &session)), v1::SESSION_IN_USE);
  service_ = MakeService();
  Do(Operation::kRelease, On<v1::PlannedRequest>(run_id));
  close.set_run_id(run_id);
  EXPECT_TRUE(service_->CloseSession(Key(), close, &session).ok());
  EXPECT_EQ(ReasonOf(service_->CloseSession(Key(), close, &session)), v1::RUN_CLOSED);
  EXPECT_EQ(Refused(Operation::kSeed,
                    [&] {
                      auto r = On<v1::PlannedRequest>(run_id);
                      r.set_dry_run(true);
                      return r;
                    }()),
            v1::RUN_CLOSED);
}

TEST_F(ServiceTest, CheckpointsOfOperationsAreTheirOwn) {
  const std::string run_id = OpenSession();
  v1::RecordCheckpointRequest request;
  request.set_run_id(run_id);
  v1::Checkpoint checkpoint;
  for (const char* kind :
       {"", "seed_completed", "preflight_passed", "smoke_passed", "activated", "released",
        "final_reconcile_completed", "V1_STOPPED", "a b", "a23456789012345678901234567890123"}) {
    request.set_kind(kind);
    EXPECT_EQ(ReasonOf(service_->RecordCheckpoint(Key(), request, &checkpoint)), v1::INVALID_FIELD)
        << kind;
  }
  request.set_kind("lunch");
  request.set_note(std::string(1001, 'x'));
  EXPECT_EQ(ReasonOf(service_->RecordCheckpoint(Key(), request, &checkpoint)), v1::INVALID_FIELD);
  request.set_note("back at one");
  std::string id;
  Caller caller = Key();
  caller.on_commit = [&](sql::Transaction&, std::string_view, std::string_view i) {
    id = std::string(i);
    return absl::OkStatus();
  };
  ASSERT_TRUE(service_->RecordCheckpoint(caller, request, &checkpoint).ok());
  EXPECT_EQ(checkpoint.note(), "back at one");
  v1::Checkpoint replayed;
  ASSERT_TRUE(service_->ReplayCheckpoint(id, &replayed).ok());
  EXPECT_EQ(replayed.SerializeAsString(), checkpoint.SerializeAsString());
}

TEST_F(ServiceTest, V1IsNotStartedWhereV2Holds) {
  monitor_.Run();
  const std::string run_id = Activate();
  v1::RecordCheckpointRequest request;
  request.set_run_id(run_id);
  request.set_kind("v1_started");
  v1::Checkpoint checkpoint;
  EXPECT_EQ(ReasonOf(service_->RecordCheckpoint(Key(), request, &checkpoint)),
            v1::INVALID_CHECKPOINT);
  Do(Operation::kRelease, On<v1::PlannedRequest>(run_id));
  EXPECT_TRUE(service_->RecordCheckpoint(Key(), request, &checkpoint).ok());
}

TEST_F(ServiceTest, AJobIsWatchedToItsEnd) {
  for (uint64_t id = 1; id <= 200; ++id) {
    rollout_.AddSite(id, id % TestRollout::kBuckets);
  }
  const std::string run_id = OpenSession({0, 15});
  const auto on = On<v1::PlannedRequest>(run_id, {0, 15});
  v1::OperationResponse answer;
  ASSERT_TRUE(
      Planned(Operation::kSeed, Executing(on, Token(Operation::kSeed, on), "0s"), &answer).ok());
  std::vector<v1::OperationResponse> seen;
  ASSERT_TRUE(service_
                  ->WatchJob(answer.job_id(), {},
                             [&](const v1::OperationResponse& r) {
                               seen.push_back(r);
                               return true;
                             })
                  .ok());
  ASSERT_FALSE(seen.empty());
  EXPECT_EQ(seen.back().status(), "ok");
  for (size_t i = 1; i < seen.size(); ++i) {
    EXPECT_NE(seen[i].SerializeAsString(), seen[i - 1].SerializeAsString());
    EXPECT_GE(seen[i].job().done(), seen[i - 1].job().done());
  }
  // A finished one: its last state, once.
  seen.clear();
  ASSERT_TRUE(service_
                  ->WatchJob(answer.job_id(), {},
                             [&](const v1::OperationResponse& r) {
                               seen.push_back(r);
                               return true;
                             })
                  .ok());
  EXPECT_EQ(seen.size(), 1u);
}

TEST_F(ServiceTest, AQueuedJobIsShownAtOnceAndCancelled) {
  service_->Stop();
  const std::string run_id = OpenSession();
  rollout_.AddJob("rjob_1", "seed", run_id, kRange);
  int shown = 0;
  ASSERT_TRUE(service_
                  ->WatchJob("rjob_1", {},
                             [&](const v1::OperationResponse& r) {
                               ++shown;
                               EXPECT_EQ(r.job().state(), "queued");
                               return false;
                             })
                  .ok());
  EXPECT_EQ(shown, 1);
  v1::OperationResponse answer;
  ASSERT_TRUE(service_->CancelJob(Key(), "rjob_1", &answer).ok());
  EXPECT_EQ(answer.job().state(), "cancelled");
  EXPECT_EQ(ReasonOf(service_->CancelJob(Key(), "rjob_1", &answer)), v1::NOT_CANCELLABLE);
  EXPECT_EQ(ReasonOf(service_->CancelJob(Key(), "rjob_0", &answer)), v1::JOB_NOT_FOUND);
  rollout_.AddJob("rjob_2", "activate_buckets", run_id, kRange);
  EXPECT_EQ(ReasonOf(service_->CancelJob(Key(), "rjob_2", &answer)), v1::NOT_CANCELLABLE);
}

TEST_F(ServiceTest, AnAnswerDoesNotWaitLongerThanAsked) {
  service_->Stop();  // nobody runs the job
  const std::string run_id = OpenSession();
  const auto on = On<v1::PlannedRequest>(run_id);
  v1::OperationResponse answer;
  ASSERT_TRUE(
      Planned(Operation::kSeed, Executing(on, Token(Operation::kSeed, on), "0s"), &answer).ok());
  EXPECT_EQ(answer.status(), "running");
  EXPECT_NE(answer.job_id(), "");
}

TEST_F(ServiceTest, ASeedGoesOnInAnotherProcess) {
  constexpr uint64_t kSites = 8000;
  std::vector<store::Site> sites;
  for (uint64_t id = 1; id <= kSites; ++id) {
    store::Site site;
    site.site_id = id;
    site.blog_id = id;
    site.bucket = id % TestRollout::kBuckets;
    site.url = "http://127.0.0.1/";
    site.site_status = id % 10 == 0 ? 2 : 1;
    sites.push_back(site);
  }
  rollout_.Write([&](sql::Transaction& tx) { return store::InsertSites(tx, sites); });
  const std::string run_id = OpenSession({0, 15});
  const auto on = On<v1::PlannedRequest>(run_id, {0, 15});
  v1::OperationResponse answer;
  ASSERT_TRUE(
      Planned(Operation::kSeed, Executing(on, Token(Operation::kSeed, on), "0s"), &answer).ok());
  while (rollout_.Job(answer.job_id()).done == 0) std::this_thread::yield();
  service_.reset();
  const store::Job left = rollout_.Job(answer.job_id());
  EXPECT_EQ(left.state, "queued");
  EXPECT_LT(left.done, kSites);
  service_ = MakeService();
  ASSERT_TRUE(service_
                  ->WatchJob(answer.job_id(), {},
                             [&](const v1::OperationResponse& r) {
                               answer = r;
                               return true;
                             })
                  .ok());
  EXPECT_EQ(answer.status(), "ok");
  EXPECT_EQ(answer.job().attempt(), 2u);
  EXPECT_EQ(answer.job().done(), kSites);
  EXPECT_EQ(answer.seed().targets_written(), kSites);
  EXPECT_EQ(answer.seed().targets_after(), kSites);
  EXPECT_EQ(answer.seed().adopted(), kSites / 10);
  EXPECT_EQ(answer.seed().open_events_after(), kSites / 10);
}

}  // namespace
}  // namespace jetmon::rollout
