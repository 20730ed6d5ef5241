#include "controlplane/rollout/compare.h"

#include <gtest/gtest.h>

#include "controlplane/rollout/commits.h"
#include "controlplane/rollout/compare_progress.h"
#include "controlplane/rollout/test_service.h"
#include "controlplane/rollout/test_tables.h"

namespace jetmon::rollout {
namespace {

namespace cc = store::comparison_class;

store::ComparedCheck Up() { return {"up", 200, 0, "success", "", 1000}; }
store::ComparedCheck Down(const char* failure_class) {
  return {"down", 500, 0, failure_class, "", 1000};
}

TEST(ComparisonClassTest, ByOutcomeAndFailureClass) {
  EXPECT_EQ(ComparisonClass(Up(), Up()), cc::kSame);
  EXPECT_EQ(ComparisonClass(Down("server"), Down("server")), cc::kSame);
  EXPECT_EQ(ComparisonClass(Down("server"), Up()), cc::kGetBetter);
  EXPECT_EQ(ComparisonClass(Up(), Down("server")), cc::kGetWorse);
  EXPECT_EQ(ComparisonClass(Down("server"), Down("blocked")), cc::kDifferentFailure);
}

TEST(CompareProgressTest, TheCursorWaitsForTheSlowest) {
  using End = CompareProgress::End;
  CompareProgress p(2);
  p.by_bucket = {1, 1, 0, 2};
  p.Begun(2);
  p.Begun(3);
  p.Begun(5);
  p.Ended(3, End::kSkipped);
  p.GivenOut(5);
  EXPECT_EQ(p.cursor(), 2u);
  EXPECT_EQ(p.skipped(), 1u);
  p.Ended(2, End::kStored);
  p.GivenOut(5);
  EXPECT_EQ(p.cursor(), 5u);
  EXPECT_EQ(p.done(), 2u);
  p.Begun(5);
  p.Ended(5, End::kLost);
  p.GivenOut(6);
  EXPECT_EQ(p.cursor(), 5u);
  // What was counted of a bucket under way is counted again by who goes on.
  auto saved = CompareProgress::Load("5", p.Save());
  ASSERT_TRUE(saved.ok()) << saved.status();
  EXPECT_EQ(saved->cursor(), 5u);
  EXPECT_EQ(saved->by_bucket, p.by_bucket);
  EXPECT_EQ(saved->stored, 1u);
  EXPECT_EQ(saved->skipped(), 1u);
  EXPECT_EQ(saved->lost(), 0u);
  p.Ended(5, End::kStored);
  p.GivenOut(6);
  EXPECT_EQ(p.cursor(), 6u);
  EXPECT_EQ(p.lost(), 1u);
  EXPECT_EQ(p.done(), 4u);
}

TEST(CompareProgressTest, WhatCantBeReadIsAnError) {
  EXPECT_TRUE(CompareProgress::Load("2", "0 0 0 1,2").ok());
  for (const char* saved : {"", "0 0 0", "0 0 0 ", "0 0 x 1", "0 0 0 1,,2", "0 0 0 1 2"}) {
    EXPECT_FALSE(CompareProgress::Load("2", saved).ok()) << saved;
  }
  EXPECT_FALSE(CompareProgress::Load("", "0 0 0 1").ok());
}

class CompareTest : public ServiceTest {
 protected:
  CompareTest() {
    // A machine that is busy with other tests is not to look paused.
    rollout_.options().times.grace = std::chrono::seconds(30);
    service_ = MakeService();
    run_id_ = OpenSession();
  }

  v1::CompareMethodsRequest Mine() const {
    auto request = On<v1::CompareMethodsRequest>(run_id_);
    request.set_from("head-legacy");
    request.set_to("get-simple");
    request.set_sample_size("1000");
    request.set_wait("30s");
    return request;
  }
  v1::OperationResponse Compare(const v1::CompareMethodsRequest& request) {
    v1::OperationResponse answer;
    const absl::Status s = service_->CompareMethods(Key(), request, {}, &answer);
    EXPECT_TRUE(s.ok()) << s;
    return answer;
  }
  // Answers as its path says: /HEAD-CODE/GET-CODE/...
  void AddSite(uint64_t id, uint32_t bucket, const std::string& codes) {
    rollout_.AddSite(id, bucket, 1, by_method_.Url("/" + codes + "/" + std::to_string(id)));
  }
  std::vector<v1::ComparisonRow> Rows(const std::string& job_id, const std::string& wanted = "") {
    v1::ListComparisonResultsRequest request;
    request.set_job_id(job_id);
    request.set_page_size(200);
    request.set_comparison_class(wanted);
    std::vector<v1::ComparisonRow> rows;
    do {
      v1::ListComparisonResultsResponse page;
      const absl::Status s = service_->ListComparisonResults(request, &page);
      EXPECT_TRUE(s.ok()) << s;
      rows.insert(rows.end(), page.results().begin(), page.results().end());
      request.set_page_token(page.next_page_token());
    } while (!request.page_token().empty());
    return rows;
  }
  // By site, the methods in the order in which they came.
  std::map<uint64_t, std::vector<std::string>> Seen() const {
    std::map<uint64_t, std::vector<std::string>> seen;
    for (const std::string& request : by_method_.requests()) {
      const size_t end = request.find(" HTTP/");
      const uint64_t id = std::stoull(request.substr(request.rfind('/', end) + 1));
      seen[id].push_back(request.substr(0, request.find(' ')));
    }
    return seen;
  }

  std::string run_id_;
  probe::TestServer by_method_{[](probe::TestServer::Connection& c, const std::string& request) {
    const size_t at = request.find(" /") + (request.substr(0, 4) == "HEAD" ? 2 : 6);
    c.Send("HTTP/1.1 " + request.substr(at, 3) + " Answer\r\nContent-Length: 0\r\n\r\n");
  }};
};

TEST_F(CompareTest, StoresARowASiteAndSumsThemUp) {
  AddSite(1, 2, "200/200");
  AddSite(2, 2, "500/200");
  AddSite(3, 3, "200/403");
  AddSite(4, 3, "500/403");
  AddSite(5, 4, "503/500");
  AddSite(6, 5, "500/403");
  rollout_.AddSite(7, 5, 1, "http://10.0.0.1/");
  rollout_.AddSite(8, 5, 1, "https://localhost/");
  const auto answer = Compare(Mine());
  EXPECT_EQ(answer.status(), "ok") << answer.ShortDebugString();
  EXPECT_EQ(answer.job().state(), "completed");
  EXPECT_EQ(answer.job().done(), 8u);
  EXPECT_EQ(answer.job().total(), 8u);
  const v1::CompareResult& r = answer.compare();
  EXPECT_EQ(r.from(), "head-legacy");
  EXPECT_EQ(r.to(), "get-simple");
  EXPECT_EQ(r.sample_size(), 8u);
  EXPECT_EQ(r.compared(), 6u);
  EXPECT_EQ(r.same(), 2u);
  EXPECT_EQ(r.get_better(), 1u);
  EXPECT_EQ(r.get_worse(), 1u);
  EXPECT_EQ(r.different_failure(), 2u);
  EXPECT_EQ(r.skipped(), 2u);
  EXPECT_EQ(r.lost(), 0u);
  EXPECT_EQ(r.from_successes(), 2u);
  EXPECT_EQ(r.to_successes(), 2u);
  EXPECT_GT(r.latency_ratio(), 0);
  EXPECT_GT(r.from_p50_ms(), 0);
  EXPECT_LE(r.to_p50_ms(), r.to_p99_ms());
  ASSERT_EQ(r.changed_classes_size(), 3);
  EXPECT_EQ(r.changed_classes(0).from(), "server");
  EXPECT_EQ(r.changed_classes(0).to(), "blocked");
  EXPECT_EQ(r.changed_classes(0).count(), 2u);
  CodeSet warnings;
  for (const auto& w : answer.warnings()) warnings.insert(w.code());
  EXPECT_EQ(warnings, (CodeSet{"sample_is_all", "sites_skipped"}));

  const auto rows = Rows(answer.job_id());
  ASSERT_EQ(rows.size(), 6u);
  EXPECT_EQ(rows[1].site_id(), 2u);
  EXPECT_EQ(rows[1].url(), by_method_.Url("/500/200/2"));
  EXPECT_EQ(rows[1].bucket(), 2u);
  EXPECT_EQ(rows[1].comparison_class(), "get_better");
  EXPECT_EQ(rows[1].from().http_code(), 500);
  EXPECT_EQ(rows[1].from().failure_class(), "server");
  EXPECT_EQ(rows[1].from_outcome(), "down");
  EXPECT_EQ(rows[1].to().http_code(), 200);
  EXPECT_EQ(rows[1].to_outcome(), "up");
  EXPECT_GT(rows[1].to_ms(), 0);
  EXPECT_GT(rows[1].at().seconds(), 0);
  EXPECT_EQ(Rows(answer.job_id(), "different_failure").size(), 2u);
  // A worse result is information.
  EXPECT_TRUE(rollout_.CheckpointKinds(run_id_).empty());
}

TEST_F(CompareTest, FullFindsTheBodyThatBreaksOff) {
  probe::TestServer server([](probe::TestServer::Connection& c, const std::string& request) {
    const bool whole = request.find("/whole") != std::string::npos;
    c.Send(whole ? "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"
                 : "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhello");
  });
  rollout_.AddSite(1, 2, 1, server.Url("/whole"));
  rollout_.AddSite(2, 3, 1, server.Url("/cut"));
  auto request = Mine();
  request.set_from("get-simple");
  request.set_to("get-full");
  const auto answer = Compare(request);
  EXPECT_EQ(answer.compare().same(), 1u) << answer.ShortDebugString();
  const auto rows = Rows(answer.job_id(), "get_worse");
  ASSERT_EQ(rows.size(), 1u);
  EXPECT_EQ(rows[0].site_id(), 2u);
  EXPECT_EQ(rows[0].from_outcome(), "up");
  EXPECT_EQ(rows[0].to_outcome(), "down");
  EXPECT_EQ(rows[0].to().error_code(), static_cast<int>(probe::ErrorCode::kBodyRead));
  EXPECT_NE(rows[0].to().failure_class(), "");
  EXPECT_NE(rows[0].to().detail(), "");
}

TEST_F(CompareTest, TheModesGoFirstByTurns) {
  for (uint64_t id = 1; id <= 21; ++id) AddSite(id, 2 + id % 4, "200/200");
  const auto answer = Compare(Mine());
  EXPECT_EQ(answer.compare().compared(), 21u);
  EXPECT_EQ(answer.compare().from_first(), 11u);
  const auto seen = Seen();
  for (const auto& row : Rows(answer.job_id())) {
    const std::vector<std::string> from_first = {"HEAD", "GET"}, to_first = {"GET", "HEAD"};
    EXPECT_EQ(seen.at(row.site_id()), row.first() == "from" ? from_first : to_first);
  }
  // The same sites the same way round in the next comparison of the run.
  const auto again = Compare(Mine());
  const auto one = Rows(answer.job_id()), two = Rows(again.job_id());
  ASSERT_EQ(one.size(), two.size());
  for (size_t i = 0; i < one.size(); ++i) EXPECT_EQ(one[i].first(), two[i].first());
}

TEST_F(CompareTest, ChangesNothingButItsJobAndItsRows) {
  AddSite(1, 2, "200/500");
  AddSite(2, 3, "500/200");
  const Tables before = ReadTables(rollout_.db());
  EXPECT_EQ(Compare(Mine()).status(), "ok");
  // Counters: the number by which evidence is ordered.
  EXPECT_EQ(
      Changed(before, ReadTables(rollout_.db())),
      (CodeSet{"jetmon_counters", "jetmon_rollout_comparison_results", "jetmon_rollout_jobs"}));
}

TEST_F(CompareTest, APlanMadeMeanwhileStands) {
  AddSite(1, 2, "200/200");
  const auto seed = On<v1::PlannedRequest>(run_id_);
  const std::string token = Token(Operation::kSeed, seed);
  EXPECT_EQ(Compare(Mine()).status(), "ok");
  v1::OperationResponse answer;
  EXPECT_TRUE(Planned(Operation::kSeed, Executing(seed, token), &answer).ok());
}

TEST_F(CompareTest, AnEmptyRangeIsSaid) {
  const auto answer = Compare(Mine());
  EXPECT_EQ(answer.status(), "ok");
  ASSERT_EQ(answer.warnings_size(), 1);
  EXPECT_EQ(answer.warnings(0).code(), "empty_range");
  EXPECT_TRUE(Rows(answer.job_id()).empty());
}

TEST_F(CompareTest, WorksUnderAnyOpenRunThatCoversTheRange) {
  AddSite(1, 3, "200/200");
  const std::string wide = OpenSession({0, 15}, "");
  auto request = Mine();
  request.set_run_id(wide);
  request.set_bucket_min(3);
  request.set_bucket_max(3);
  EXPECT_EQ(Compare(request).compare().compared(), 1u);
}

TEST_F(CompareTest, WhatIsWrongWithTheRequestIsAnError) {
  const std::string closed = ClosedSession();
  struct Case {
    v1::ErrorReason reason;
    std::function<void(v1::CompareMethodsRequest*)> change;
  };
  std::vector<Case> cases = {
      {v1::INVALID_BUCKET_RANGE, [](auto* r) { r->clear_bucket_max(); }},
      {v1::INVALID_BUCKET_RANGE, [](auto* r) { r->set_bucket_min(6); }},
      {v1::INVALID_BUCKET_RANGE, [](auto* r) { r->set_bucket_max(TestRollout::kBuckets); }},
      {v1::INVALID_MODE, [](auto* r) { r->clear_from(); }},
      {v1::INVALID_MODE, [](auto* r) { r->clear_to(); }},
      {v1::INVALID_MODE, [](auto* r) { r->set_to("head-legacy"); }},
      {v1::INVALID_MODE, [](auto* r) { r->set_to("post-simple"); }},
      {v1::INVALID_MODE, [](auto* r) { r->set_from("GET"); }},
      {v1::INVALID_MODE, [](auto* r) { r->set_to("head-full"); }},
      {v1::INVALID_FIELD, [](auto* r) { r->set_wait("61s"); }},
      {v1::RUN_NOT_FOUND, [](auto* r) { r->set_run_id("rol_0"); }},
      {v1::RUN_CLOSED, [&](auto* r) { r->set_run_id(closed); }},
      {v1::RUN_RANGE_MISMATCH, [](auto* r) { r->set_bucket_min(1); }},
  };
  for (const char* size : {"0", "-1", "101%", "1e9", "ten", " "}) {
    cases.push_back({v1::INVALID_SIZE, [size](auto* r) { r->set_sample_size(size); }});
  }
  for (const Case& one : cases) {
    auto request = Mine();
    one.change(&request);
    v1::OperationResponse answer;
    EXPECT_EQ(ReasonOf(service_->CompareMethods(Key(), request, {}, &answer)), one.reason)
        << request.ShortDebugString();
  }
  EXPECT_TRUE(
      rollout_.Get([](sql::Transaction& tx) { return store::ListUnfinishedJobs(tx); }).empty());
}

TEST_F(CompareTest, RowsAreListedPageByPage) {
  for (uint64_t id = 1; id <= 7; ++id) AddSite(id, 2, id % 2 == 0 ? "200/500" : "200/200");
  const std::string job_id = Compare(Mine()).job_id();
  v1::ListComparisonResultsRequest request;
  request.set_job_id(job_id);
  request.set_page_size(4);
  v1::ListComparisonResultsResponse page;
  ASSERT_TRUE(service_->ListComparisonResults(request, &page).ok());
  ASSERT_EQ(page.results_size(), 4);
  EXPECT_EQ(page.results(3).site_id(), 4u);
  request.set_page_token(page.next_page_token());
  ASSERT_TRUE(service_->ListComparisonResults(request, &page).ok());
  ASSERT_EQ(page.results_size(), 3);
  EXPECT_EQ(page.results(0).site_id(), 5u);
  EXPECT_EQ(page.next_page_token(), "");
  EXPECT_EQ(Rows(job_id, "get_worse").size(), 3u);
  EXPECT_TRUE(Rows(job_id, "get_better").empty());
}

TEST_F(CompareTest, OnlyAComparisonHasRows) {
  AddSite(1, 2, "200/200");
  auto smoke = On<v1::SmokeRequest>(run_id_);
  const std::string other = Smoke(smoke).job_id(), job_id = Compare(Mine()).job_id();
  const auto reason = [this](const std::string& id, uint32_t size, const std::string& token,
                             const std::string& wanted) {
    v1::ListComparisonResultsRequest request;
    request.set_job_id(id);
    request.set_page_size(size);
    request.set_page_token(token);
    request.set_comparison_class(wanted);
    v1::ListComparisonResultsResponse page;
    return ReasonOf(service_->ListComparisonResults(request, &page));
  };
  EXPECT_EQ(reason(job_id, 200, "", "same"), v1::ERROR_REASON_UNSPECIFIED);
  EXPECT_EQ(reason("rjob_0", 0, "", ""), v1::JOB_NOT_FOUND);
  EXPECT_EQ(reason("", 0, "", ""), v1::JOB_NOT_FOUND);
  EXPECT_EQ(reason(other, 0, "", ""), v1::INVALID_FIELD);
  EXPECT_EQ(reason(job_id, 201, "", ""), v1::INVALID_FIELD);
  EXPECT_EQ(reason(job_id, 0, "p1.x", ""), v1::INVALID_FIELD);
  EXPECT_EQ(reason(job_id, 0, "", "worse"), v1::INVALID_FIELD);
}

// A comparison that no worker of the service takes.
class CompareJobTest : public CompareTest {
 protected:
  CompareJobTest() { service_->Stop(); }

  void AddSites(uint64_t n) {
    std::vector<store::Site> sites;
    for (uint64_t id = 1; id <= n; ++id) {
      store::Site& s = sites.emplace_back();
      s.site_id = id;
      s.blog_id = 1000 + id;
      s.bucket = static_cast<uint32_t>(2 + id % 4);
      s.url = by_method_.Url("/200/200/" + std::to_string(id));
    }
    rollout_.Write([&](sql::Transaction& tx) { return store::InsertSites(tx, sites); });
  }
  void AddCompareJob(const std::string& size = "100000") {
    auto request = Mine();
    request.set_sample_size(size);
    rollout_.AddJob("rjob_1", "compare_methods", run_id_, kRange, 0, "monitor-a",
                    request.SerializeAsString());
  }
  std::set<uint64_t> Stored() {
    std::set<uint64_t> ids;
    for (const auto& row : Rows("rjob_1")) ids.insert(row.site_id());
    return ids;
  }
  // Gives the job back, as a worker that stops does; one that was killed leaves it no otherwise.
  void Yield() {
    const store::Job job = rollout_.Job("rjob_1");
    rollout_.Write([&](sql::Transaction& tx) {
      return store::YieldJob(tx, {job.job_id, job.lease_owner, job.attempt}).status();
    });
  }
};

TEST_F(CompareJobTest, AnotherWorkerGoesOnBehindTheStoredRows) {
  AddSites(1500);
  AddCompareJob();
  int batches = 0;
  rollout_.parts().at_commit = [&](std::string_view name, bool committed) {
    batches += committed && name == commits::kCompareBatch;
  };
  // The first batch stores no row but what is to be done.
  EXPECT_EQ(rollout_.RunJob("rjob_1", ExecuteCompare, [&] { return batches > 2; }).state,
            "running");
  const std::set<uint64_t> stored = Stored();
  EXPECT_GT(stored.size(), 0u);
  EXPECT_LT(stored.size(), 1500u);
  const store::Job left = rollout_.Job("rjob_1");
  EXPECT_EQ(left.total, 1500u);
  EXPECT_GE(left.done, stored.size());
  Yield();
  const store::Job job = rollout_.RunJob("rjob_1", ExecuteCompare);
  EXPECT_EQ(job.state, "completed");
  v1::OperationResponse answer;
  ASSERT_TRUE(answer.ParseFromString(job.result));
  EXPECT_EQ(answer.compare().compared(), 1500u);
  EXPECT_EQ(answer.compare().from_first() * 2, 1500u);
  EXPECT_EQ(Stored().size(), 1500u);
  const auto seen = Seen();
  for (uint64_t id : stored) EXPECT_EQ(seen.at(id).size(), 2u) << id;
}

TEST_F(CompareJobTest, ASiteThatHasARowIsNotProbed) {
  AddSites(8);
  AddCompareJob();
  store::Comparison row;
  row.site_id = 5;
  row.bucket = 4;  // where it was
  row.url = "http://127.0.0.1/5";
  row.comparison_class = cc::kGetWorse;
  row.from = Up();
  row.to = Down("server");
  rollout_.Write(
      [&](sql::Transaction& tx) { return store::InsertComparisons(tx, "rjob_1", {row}); });
  const store::Job job = rollout_.RunJob("rjob_1", ExecuteCompare);
  v1::OperationResponse answer;
  ASSERT_TRUE(answer.ParseFromString(job.result));
  EXPECT_EQ(answer.compare().compared(), 8u);
  EXPECT_EQ(answer.compare().get_worse(), 1u);
  EXPECT_EQ(Seen().count(5), 0u);
}

TEST_F(CompareJobTest, AWorkerThatLostItStoresNothingMore) {
  AddSites(600);
  AddCompareJob();
  const store::JobLease lease = rollout_.Claim("rjob_1");
  const std::function<bool()> going_on = [] { return false; };
  JobRun run(rollout_.parts(), rollout_.options(), rollout_.observer(), rollout_.Job("rjob_1"),
             lease, going_on);
  int batches = 0;
  rollout_.parts().at_commit = [&](std::string_view name, bool committed) {
    if (!committed || name != commits::kCompareBatch || ++batches != 2) return;
    rollout_.Write([](sql::Transaction& tx) -> absl::Status {
      auto job = store::GetJob(tx, "rjob_1");
      if (!job.ok()) return job.status();
      return store::TakeOverJob(tx, "rjob_1", (*job)->seq, "controlplane-2").status();
    });
  };
  EXPECT_TRUE(absl::IsCancelled(ExecuteCompare(run)));
  EXPECT_EQ(batches, 2);
  const size_t stored = Stored().size();
  EXPECT_GT(stored, 0u);
  EXPECT_LT(stored, 600u);
  EXPECT_EQ(rollout_.Job("rjob_1").lease_owner, "controlplane-2");
}

TEST_F(CompareJobTest, CanBeCancelledAndKeepsWhatItStored) {
  AddSites(600);
  AddCompareJob();
  int batches = 0;
  rollout_.parts().at_commit = [&](std::string_view name, bool committed) {
    if (!committed || name != commits::kCompareBatch || ++batches != 2) return;
    rollout_.Write(
        [](sql::Transaction& tx) { return store::RequestCancel(tx, "rjob_1", 5).status(); });
  };
  EXPECT_EQ(rollout_.RunJob("rjob_1", ExecuteCompare).state, "cancelled");
  EXPECT_GT(Stored().size(), 0u);
}

}  // namespace
}  // namespace jetmon::rollout
