// A run's story, and what is wrong with the requests that look at runs and jobs.
#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "controlplane/rollout/test_service.h"
#include "store/keys.h"
#include "store/page.h"

namespace jetmon::rollout {
namespace {

class TimelineTest : public ServiceTest {
 protected:
  v1::Timeline Page(const std::string& run_id, uint32_t size = 200, const std::string& token = "") {
    v1::GetTimelineRequest request;
    request.set_run_id(run_id);
    request.set_page_size(size);
    request.set_page_token(token);
    v1::Timeline timeline;
    const absl::Status s = service_->GetTimeline(request, &timeline);
    EXPECT_TRUE(s.ok()) << s;
    return timeline;
  }
  // All of it, in pages of that size.
  std::vector<v1::TimelineEntry> Story(const std::string& run_id, uint32_t size = 200) {
    std::vector<v1::TimelineEntry> entries;
    std::string token;
    do {
      const v1::Timeline page = Page(run_id, size, token);
      EXPECT_LE(page.entries_size(), static_cast<int>(size));
      EXPECT_TRUE(page.entries_size() > 0 || token.empty());
      entries.insert(entries.end(), page.entries().begin(), page.entries().end());
      token = page.next_page_token();
    } while (!token.empty());
    return entries;
  }
  void Audit(const std::string& run_id, const std::string& operation, const std::string& outcome,
             const std::string& detail, int64_t at_ms) {
    rollout_.Write([&](sql::Transaction& tx) {
      store::AuditRow row;
      row.at_ms = at_ms;
      row.consumer = "tester";
      row.operation = "jetmon.v1.RolloutService/" + operation;
      row.run_id = run_id;
      row.bucket_min = kRange.min;
      row.bucket_max = kRange.max;
      row.request_id = "req_12345678";
      row.outcome = outcome;
      row.detail = detail;
      return store::InsertAudit(tx, row);
    });
  }
  // A millisecond that nothing else has.
  int64_t Later() {
    rollout_.clock().Push(std::chrono::milliseconds(2));
    return rollout_.clock().WallMs();
  }
  // Where the first entry with that text stands.
  static size_t At(const std::vector<v1::TimelineEntry>& story, const std::string& text) {
    for (size_t i = 0; i < story.size(); ++i) {
      if (story[i].text().find(text) != std::string::npos) return i;
    }
    ADD_FAILURE() << "no entry says: " << text;
    return story.size();
  }
  static void ExpectInOrder(const std::vector<v1::TimelineEntry>& story,
                            const std::vector<std::string>& texts) {
    size_t last = 0;
    for (const std::string& text : texts) {
      const size_t at = At(story, text);
      EXPECT_GE(at, last) << text;
      last = at;
    }
  }
};

TEST_F(TimelineTest, TellsAWholeRunInItsOrder) {
  monitor_.Run();
  const std::string run_id = OpenSession();
  EXPECT_EQ(Preflight(run_id).status(), "ok");
  Later();
  v1::RecordCheckpointRequest checkpoint;
  checkpoint.set_run_id(run_id);
  checkpoint.set_kind("v1_stopped");
  checkpoint.set_note("ticket 7");
  v1::Checkpoint recorded;
  ASSERT_TRUE(service_->RecordCheckpoint(Key(), checkpoint, &recorded).ok());
  Later();
  Do(Operation::kActivate, Overridden(On<v1::PlannedRequest>(run_id)));
  Audit(run_id, "ActivateBuckets", "ok", "execute; override evidence_missing: a test", Later());
  Later();
  Do(Operation::kRelease, On<v1::PlannedRequest>(run_id));
  Audit(run_id, "Seed", "plan_changed", "execute", Later());
  Later();
  v1::CloseSessionRequest close;
  close.set_run_id(run_id);
  close.set_reason("enough");
  v1::Session session;
  ASSERT_TRUE(service_->CloseSession(Key(), close, &session).ok());

  const auto story = Story(run_id);
  ExpectInOrder(story,
                {"opened for buckets 2-5, owner monitor-a", "preflight of buckets 2-5 queued",
                 "preflight_passed for buckets 2-5, owner monitor-a",
                 "v1_stopped for buckets 2-5, owner monitor-a: ticket 7",
                 "buckets 2-5 granted to monitor-a, overriding evidence_missing (a test)",
                 ": activating", ": acknowledged by monitor-a", "activated for buckets 2-5",
                 "ActivateBuckets of buckets 2-5: ok; execute; override", "buckets 2-5 draining",
                 "buckets 2-5 drained", "buckets 2-5 released", "released for buckets 2-5",
                 "release_buckets of buckets 2-5 completed", "Seed of buckets 2-5: plan_changed",
                 "closed: enough"});
  // The stand-in's clock runs years behind: its words stand where they belong all the same.
  const auto& acknowledged = story[At(story, ": acknowledged")];
  EXPECT_EQ(acknowledged.at().seconds(), TestRollout::kNow / 1000);
  EXPECT_EQ(acknowledged.kind(), "range");
  EXPECT_NE(acknowledged.job_id(), "");
  EXPECT_EQ(story[0].consumer(), "tester");
  EXPECT_EQ(story[At(story, "Seed of")].request_id(), "req_12345678");
  // Page by page it is the same.
  for (uint32_t size : {1u, 2u, 7u}) {
    const auto pages = Story(run_id, size);
    ASSERT_EQ(pages.size(), story.size());
    for (size_t i = 0; i < story.size(); ++i) {
      EXPECT_EQ(pages[i].SerializeAsString(), story[i].SerializeAsString());
    }
  }
}

TEST_F(TimelineTest, SaysHowAJobEnded) {
  const std::string run_id = OpenSession();
  const auto blocked = Preflight(run_id);  // no Monitor
  EXPECT_EQ(blocked.status(), "blocked");
  const auto story = Story(run_id);
  EXPECT_NE(story[At(story, "preflight of buckets 2-5 blocked")].text().find("owner_unavailable"),
            std::string::npos);
}

TEST_F(TimelineTest, OrdersWhatHappensAtOneMillisecond) {
  const std::string run_id = OpenSession();
  rollout_.clock().Push(std::chrono::seconds(1));
  const int64_t at = rollout_.clock().WallMs();
  for (int i = 0; i < 3; ++i) {
    Audit(run_id, "Smoke", "ok", absl::StrCat("audit ", i), at);
    rollout_.AddCheckpoint(run_id, absl::StrCat("note_", i), kRange, "", at);
  }
  const auto story = Story(run_id);
  ExpectInOrder(story, {"opened", "note_0", "note_1", "note_2", "audit 0", "audit 1", "audit 2"});
  EXPECT_EQ(story.size(), 7u);
  EXPECT_EQ(Story(run_id, 1).size(), 7u);
}

TEST_F(TimelineTest, NothingOfALongOneIsLeftOut) {
  const std::string run_id = OpenSession();
  rollout_.Write([&](sql::Transaction& tx) -> absl::Status {
    for (int i = 0; i < 2300; ++i) {
      store::AuditRow row;
      row.at_ms = TestRollout::kNow + i;
      row.operation = "jetmon.v1.RolloutService/Seed";
      row.run_id = run_id;
      row.outcome = "ok";
      row.detail = std::string(i == 0 ? 1000 : 10, 'd');
      if (auto s = store::InsertAudit(tx, row); !s.ok()) return s;
    }
    return absl::OkStatus();
  });
  for (int i = 0; i < 210; ++i) {
    rollout_.AddJob(absl::StrCat("rjob_many", i), "smoke", run_id, kRange);
  }
  EXPECT_GE(Story(run_id).size(), 1u + 2300 + 210);
}

TEST_F(TimelineTest, WhatIsWrongWithARequestIsAnError) {
  const std::string run_id = OpenSession();
  struct Case {
    std::string run_id;
    uint32_t size;
    std::string token;
    v1::ErrorReason reason;
  };
  const Case cases[] = {
      {"", 0, "", v1::RUN_NOT_FOUND},
      {"rol_0", 0, "", v1::RUN_NOT_FOUND},
      {std::string(5000, 'r'), 0, "", v1::RUN_NOT_FOUND},
      {run_id, 201, "", v1::INVALID_FIELD},
      {run_id, 4'294'967'295u, "", v1::INVALID_FIELD},
      {run_id, 0, "garbage", v1::INVALID_FIELD},
      {run_id, 0, "p1.", v1::INVALID_FIELD},
      {run_id, 0, "p1." + run_id, v1::INVALID_FIELD},
      {run_id, 0, std::string(5000, 'p'), v1::INVALID_FIELD},
  };
  for (const Case& c : cases) {
    v1::GetTimelineRequest request;
    request.set_run_id(c.run_id);
    request.set_page_size(c.size);
    request.set_page_token(c.token);
    v1::Timeline timeline;
    EXPECT_EQ(ReasonOf(service_->GetTimeline(request, &timeline)), c.reason) << c.token;
  }
  // Behind the end there is nothing.
  EXPECT_EQ(
      Page(run_id, 0, store::PageToken("999999999999999.00.00000000000000000000.")).entries_size(),
      0);
}

TEST_F(TimelineTest, WhatIsWrongWithAListOfJobsIsAnError) {
  const std::string run_id = OpenSession();
  rollout_.AddJob("rjob_1", "smoke", run_id, kRange);
  const auto list = [&](const std::function<void(v1::ListJobsRequest*)>& spoil) {
    v1::ListJobsRequest request;
    request.set_run_id(run_id);
    spoil(&request);
    v1::ListJobsResponse response;
    return service_->ListJobs(request, &response);
  };
  for (const char* state : {"Queued", "done", "queued,running", " queued"}) {
    EXPECT_EQ(ReasonOf(list([&](auto* r) { r->set_state(state); })), v1::INVALID_FIELD) << state;
  }
  EXPECT_EQ(ReasonOf(list([](auto* r) { r->set_page_size(201); })), v1::INVALID_FIELD);
  EXPECT_EQ(ReasonOf(list([](auto* r) { r->set_page_token("garbage"); })), v1::INVALID_FIELD);
  for (const char* state :
       {"", "queued", "running", "completed", "blocked", "failed", "cancelled"}) {
    EXPECT_TRUE(list([&](auto* r) { r->set_state(state); }).ok()) << state;
  }
  v1::OperationResponse answer;
  for (const std::string& id : {std::string(), std::string("rjob_0"), std::string(5000, 'j')}) {
    EXPECT_EQ(ReasonOf(service_->GetJob(id, &answer)), v1::JOB_NOT_FOUND);
    EXPECT_EQ(ReasonOf(service_->CancelJob(Key(), id, &answer)), v1::JOB_NOT_FOUND);
    EXPECT_EQ(ReasonOf(service_->WatchJob(id, {}, [](const auto&) { return true; })),
              v1::JOB_NOT_FOUND);
  }
}

TEST_F(TimelineTest, AJobThatWasRemovedIsNotFoundAndItsRunIsStillTold) {
  const std::string run_id = OpenSession();
  const std::string job_id = Preflight(run_id).job_id();
  rollout_.Write([&](sql::Transaction& tx) { return store::DeleteJob(tx, job_id).status(); });
  v1::OperationResponse answer;
  EXPECT_EQ(ReasonOf(service_->GetJob(job_id, &answer)), v1::JOB_NOT_FOUND);
  EXPECT_EQ(Story(run_id).size(), 1u);
}

}  // namespace
}  // namespace jetmon::rollout
