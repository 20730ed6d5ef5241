#include "controlplane/rollout/smoke.h"

#include <gtest/gtest.h>

#include "controlplane/rollout/commits.h"
#include "controlplane/rollout/test_service.h"
#include "controlplane/rollout/test_tables.h"
#include "probe/test_tls_server.h"

namespace jetmon::rollout {
namespace {

class SmokeTest : public ServiceTest {
 protected:
  SmokeTest() {
    // A machine that is busy with other tests is not to look paused.
    rollout_.options().times.grace = std::chrono::seconds(30);
    service_ = MakeService();
    run_id_ = OpenSession();
  }
  v1::SmokeRequest Mine() const { return On<v1::SmokeRequest>(run_id_); }
  static CodeSet Warnings(const v1::OperationResponse& answer) {
    CodeSet codes;
    for (const auto& w : answer.warnings()) codes.insert(w.code());
    return codes;
  }

  std::string run_id_;
};

TEST_F(SmokeTest, PassesWhereTheSitesAnswer) {
  for (uint64_t id = 1; id <= 20; ++id) rollout_.AddSite(id, 2 + id % 4, 1, sites_.Url("/up"));
  auto request = Mine();
  request.set_sample_size("12");
  const auto answer = Smoke(request);
  EXPECT_EQ(answer.status(), "ok") << answer.ShortDebugString();
  EXPECT_EQ(answer.smoke().sample_size(), 12u);
  EXPECT_EQ(answer.smoke().checked(), 12u);
  EXPECT_EQ(answer.smoke().successes(), 12u);
  EXPECT_EQ(answer.smoke().mode(), "head-legacy");
  EXPECT_GT(answer.smoke().p50_ms(), 0);
  EXPECT_LE(answer.smoke().p50_ms(), answer.smoke().p99_ms());
  ASSERT_EQ(answer.smoke().classes_size(), 1);
  EXPECT_EQ(answer.smoke().classes(0).count(), 12u);
  EXPECT_EQ(rollout_.CheckpointKinds(run_id_), std::vector<std::string>{"smoke_passed"});
  ASSERT_EQ(sites_.requests().size(), 12u);
  EXPECT_EQ(sites_.requests()[0].substr(0, 5), "HEAD ");
}

TEST_F(SmokeTest, OnlyFailuresThatV1DoesNotKnowBlock) {
  rollout_.AddSite(1, 2, 1, sites_.Url("/up"));
  rollout_.AddSite(2, 3, 2, sites_.Url("/down"));
  rollout_.AddSite(3, 3, 0, sites_.Url("/up"));
  auto answer = Smoke(Mine());
  EXPECT_EQ(answer.status(), "ok") << answer.ShortDebugString();
  EXPECT_EQ(answer.smoke().known_down(), 1u);
  EXPECT_EQ(answer.smoke().successes(), 2u);
  rollout_.AddSite(4, 4, 1, sites_.Url("/down"));
  answer = Smoke(Mine());
  EXPECT_EQ(answer.status(), "blocked");
  EXPECT_EQ(Codes(answer), CodeSet{"smoke_failures"});
  EXPECT_EQ(answer.job().state(), "blocked");
  EXPECT_EQ(answer.smoke().failures(), 1u);
  ASSERT_EQ(answer.smoke().examples_size(), 1);
  EXPECT_EQ(answer.smoke().examples(0).site_id(), 4u);
  EXPECT_EQ(answer.smoke().examples(0).http_code(), 500);
  EXPECT_EQ(answer.smoke().examples(0).failure_class(), "server");
  EXPECT_EQ(rollout_.CheckpointKinds(run_id_), std::vector<std::string>{"smoke_passed"});
}

TEST_F(SmokeTest, WhatCantBeProbedIsSkippedAndSaid) {
  rollout_.AddSite(1, 2, 1, "https://localhost/");
  rollout_.AddSite(2, 3, 1, "http://10.0.0.1/");
  const auto answer = Smoke(Mine());
  EXPECT_EQ(answer.status(), "ok");
  EXPECT_EQ(answer.smoke().skipped(), 2u);
  EXPECT_EQ(answer.smoke().checked(), 0u);
  EXPECT_EQ(Warnings(answer), (CodeSet{"sample_is_all", "sites_skipped"}));
}

TEST_F(SmokeTest, SaysWhatIsWrongWithTls) {
  probe::TestTlsServer server(probe::MakeSelfSigned({}),
                              [](probe::TestTlsServer::Connection& c, const std::string&) {
                                c.Send("HTTP/1.1 200 OK\r\n\r\n");
                              });
  rollout_.AddSite(1, 2, 1, server.Url("/"));
  rollout_.AddSite(2, 3, 1, "https://127.0.0.1:1/");
  auto request = Mine();
  request.set_mode("head-legacy");
  auto answer = Smoke(request);
  EXPECT_EQ(answer.smoke().successes(), 1u) << answer.ShortDebugString();
  request.set_mode("head-simple");
  answer = Smoke(request);
  EXPECT_EQ(Codes(answer), CodeSet{"smoke_failures"});
  ASSERT_EQ(answer.smoke().examples_size(), 2) << answer.ShortDebugString();
  std::map<uint64_t, v1::ProbeExample> examples;
  for (const auto& e : answer.smoke().examples()) examples[e.site_id()] = e;
  EXPECT_EQ(examples[1].error_code(), static_cast<int>(probe::ErrorCode::kTls));
  EXPECT_EQ(examples[1].failure_class(), "https");
  EXPECT_NE(examples[1].detail(), "");
  EXPECT_EQ(examples[2].error_code(), static_cast<int>(probe::ErrorCode::kConnect));
}

TEST_F(SmokeTest, FullReadsTheBody) {
  probe::TestServer server([](probe::TestServer::Connection& c, const std::string&) {
    c.Send("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhello");
  });
  rollout_.AddSite(1, 2, 1, server.Url("/"));
  auto request = Mine();
  request.set_mode("get-simple");
  EXPECT_EQ(Smoke(request).smoke().successes(), 1u);
  request.set_mode("get-full");
  const auto answer = Smoke(request);
  EXPECT_EQ(Codes(answer), CodeSet{"smoke_failures"});
  ASSERT_EQ(answer.smoke().examples_size(), 1);
  EXPECT_EQ(answer.smoke().examples(0).error_code(), static_cast<int>(probe::ErrorCode::kBodyRead));
}

TEST_F(SmokeTest, AnEmptyRangePassesWithAWarning) {
  const auto answer = Smoke(Mine());
  EXPECT_EQ(answer.status(), "ok");
  EXPECT_EQ(Warnings(answer), CodeSet{"empty_range"});
}

TEST_F(SmokeTest, WritesNothingButItsJobAndItsEvidence) {
  rollout_.AddSite(1, 2, 1, sites_.Url("/down"));
  rollout_.AddSite(2, 2, 2, sites_.Url("/up"));
  Tables before = ReadTables(rollout_.db());
  EXPECT_EQ(Smoke(Mine()).status(), "blocked");
  // The run's sequence, and the number by which evidence is ordered.
  CodeSet expected = {"jetmon_counters", "jetmon_rollout_jobs", "jetmon_rollout_sessions"};
  EXPECT_EQ(Changed(before, ReadTables(rollout_.db())), expected);
  rollout_.Write([](sql::Transaction& tx) {
    return tx.Execute("UPDATE jetpack_monitor_sites SET site_status = 2", {}).status();
  });
  before = ReadTables(rollout_.db());
  EXPECT_EQ(Smoke(Mine()).status(), "ok");
  expected.insert("jetmon_rollout_checkpoints");
  EXPECT_EQ(Changed(before, ReadTables(rollout_.db())), expected);
}

TEST_F(SmokeTest, TakesEverySiteOfAnySizeOnce) {
  std::vector<store::Site> sites;
  for (uint64_t id = 1; id <= 3000; ++id) {
    store::Site& s = sites.emplace_back();
    s.site_id = id;
    s.blog_id = 1000 + id;
    s.bucket = static_cast<uint32_t>(2 + id % 4);
    s.url = sites_.Url("/" + std::to_string(id));
  }
  rollout_.Write([&](sql::Transaction& tx) { return store::InsertSites(tx, sites); });
  auto request = Mine();
  request.set_sample_size("10000000");
  const auto answer = Smoke(request);
  EXPECT_EQ(answer.status(), "ok") << answer.ShortDebugString();
  EXPECT_EQ(answer.smoke().sample_size(), 3000u);
  EXPECT_EQ(answer.smoke().successes(), 3000u);
  EXPECT_EQ(Warnings(answer), CodeSet{"sample_is_all"});
  EXPECT_EQ(answer.job().total(), 3000u);
  EXPECT_EQ(answer.job().done(), 3000u);
  const auto requests = sites_.requests();
  EXPECT_EQ(std::set<std::string>(requests.begin(), requests.end()).size(), 3000u);
  EXPECT_EQ(requests.size(), 3000u);
}

// A job of smoke that no worker of the service takes.
class SmokeJobTest : public SmokeTest {
 protected:
  SmokeJobTest() {
    service_->Stop();
    for (uint64_t id = 1; id <= 20; ++id) rollout_.AddSite(id, 2 + id % 4, 1, sites_.Url("/up"));
    auto request = Mine();
    request.set_read_only(true);
    rollout_.AddJob("rjob_1", "smoke", run_id_, kRange, 0, "monitor-a",
                    request.SerializeAsString());
  }
};

TEST_F(SmokeJobTest, CanBeCancelledWhileItChoosesItsSites) {
  int shown = 0;
  rollout_.parts().at_commit = [&](std::string_view name, bool committed) {
    if (!committed || name != commits::kShowLife) return;
    // Each turn is due, and between the first two an operator cancels.
    rollout_.clock().Push(rollout_.options().times.grace / 4);
    if (++shown > 1) return;
    rollout_.Write(
        [](sql::Transaction& tx) { return store::RequestCancel(tx, "rjob_1", 5).status(); });
  };
  EXPECT_EQ(rollout_.RunJob("rjob_1", ExecuteSmoke).state, "cancelled");
  EXPECT_EQ(shown, 2);
  EXPECT_TRUE(sites_.requests().empty());
  EXPECT_TRUE(rollout_.CheckpointKinds(run_id_).empty());
}

TEST_F(SmokeJobTest, ATakenOverOneStartsAgain) {
  const store::JobLease dead = rollout_.Claim("rjob_1");
  rollout_.Write([&](sql::Transaction& tx) -> absl::Status {
    auto saved = store::SaveJobProgress(tx, dead, 15, 20, "", "");
    return saved.ok() ? store::YieldJob(tx, dead).status() : saved.status();
  });
  const store::Job job = rollout_.RunJob("rjob_1", ExecuteSmoke);
  EXPECT_EQ(job.state, "completed");
  EXPECT_EQ(job.done, 20u);
  EXPECT_EQ(sites_.requests().size(), 20u);
}

TEST_F(SmokeJobTest, IsLeftToOthersWhenTheProcessStops) {
  const store::Job job = rollout_.RunJob("rjob_1", ExecuteSmoke, [] { return true; });
  EXPECT_EQ(job.state, "running");
  EXPECT_TRUE(sites_.requests().empty());
}

TEST_F(SmokeTest, WhatIsWrongWithTheRequestIsAnError) {
  const std::string closed = ClosedSession();
  struct Case {
    v1::ErrorReason reason;
    std::function<void(v1::SmokeRequest*)> change;
  };
  std::vector<Case> cases = {
      {v1::READ_ONLY_REQUIRED, [](auto* r) { r->clear_read_only(); }},
      {v1::READ_ONLY_REQUIRED, [](auto* r) { r->set_read_only(false); }},
      {v1::INVALID_BUCKET_RANGE, [](auto* r) { r->clear_bucket_min(); }},
      {v1::INVALID_BUCKET_RANGE, [](auto* r) { r->set_bucket_min(6); }},
      {v1::INVALID_BUCKET_RANGE, [](auto* r) { r->set_bucket_max(TestRollout::kBuckets); }},
      {v1::INVALID_FIELD, [](auto* r) { r->set_owner_host("a b"); }},
      {v1::INVALID_FIELD, [](auto* r) { r->set_wait("1h"); }},
      {v1::INVALID_FIELD, [](auto* r) { r->set_wait("-1s"); }},
      {v1::INVALID_CANARY, [](auto* r) { r->add_canaries(); }},
      {v1::RUN_NOT_FOUND, [](auto* r) { r->set_run_id("rol_0"); }},
      {v1::RUN_NOT_FOUND, [](auto* r) { r->clear_run_id(); }},
      {v1::RUN_CLOSED, [&](auto* r) { r->set_run_id(closed); }},
      {v1::RUN_RANGE_MISMATCH, [](auto* r) { r->set_bucket_max(6); }},
  };
  for (const char* mode : {"post-legacy", "head-full", "HEAD", "head", "head-legacy "}) {
    cases.push_back({v1::INVALID_MODE, [mode](auto* r) { r->set_mode(mode); }});
  }
  for (const char* size :
       {"0", "-1", "101%", "50%", "1e9", "ten", " 5", "5.0", "10000001", "18446744073709551617"}) {
    cases.push_back({v1::INVALID_SIZE, [size](auto* r) { r->set_sample_size(size); }});
  }
  for (const Case& one : cases) {
    auto request = Mine();
    request.set_read_only(true);
    one.change(&request);
    v1::OperationResponse answer;
    EXPECT_EQ(ReasonOf(service_->Smoke(Key(), request, {}, &answer)), one.reason)
        << request.ShortDebugString();
  }
  EXPECT_TRUE(
      rollout_.Get([](sql::Transaction& tx) { return store::ListUnfinishedJobs(tx); }).empty());
}

}  // namespace
}  // namespace jetmon::rollout
