#include "controlplane/rollout/smoke.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>

#include "controlplane/rollout/test_service.h"

namespace jetmon::rollout {
namespace {

std::vector<store::Site> Sites(uint64_t n) {
  std::vector<store::Site> sites(n);
  for (uint64_t i = 0; i < n; ++i) sites[i].site_id = i + 1;
  return sites;
}

std::vector<uint64_t> Ids(const std::vector<store::Site>& sites) {
  std::vector<uint64_t> ids;
  for (const auto& s : sites) ids.push_back(s.site_id);
  return ids;
}

TEST(StratifyTest, TakesInProportion) {
  EXPECT_EQ(Stratify({10, 20, 70}, 10), (std::vector<size_t>{1, 2, 7}));
  EXPECT_EQ(Stratify({}, 10), std::vector<size_t>{});
  EXPECT_EQ(Stratify({0, 0}, 10), (std::vector<size_t>{0, 0}));
  EXPECT_EQ(Stratify({3, 0, 4}, 100), (std::vector<size_t>{3, 0, 4}));
}

TEST(StratifyTest, TakesAsManyAsAskedAndNoMoreThanABucketHas) {
  std::vector<size_t> counts;
  for (size_t i = 0; i < 512; ++i) counts.push_back((i * 7919) % 13);
  const size_t total = std::accumulate(counts.begin(), counts.end(), size_t{0});
  for (size_t size : {size_t{1}, size_t{100}, size_t{511}, total - 1, total, total + 1}) {
    const auto take = Stratify(counts, size);
    EXPECT_EQ(std::accumulate(take.begin(), take.end(), size_t{0}), std::min(size, total));
    for (size_t i = 0; i < counts.size(); ++i) EXPECT_LE(take[i], counts[i]);
  }
}

TEST(PickSitesTest, ARunAlwaysTakesTheSameAndALargerSampleContainsASmallerOne) {
  const auto ten = Ids(PickSites("rol_1", Sites(100), 10));
  EXPECT_EQ(ten.size(), 10u);
  EXPECT_EQ(ten, Ids(PickSites("rol_1", Sites(100), 10)));
  const auto twenty = Ids(PickSites("rol_1", Sites(100), 20));
  EXPECT_TRUE(std::equal(ten.begin(), ten.end(), twenty.begin()));
  EXPECT_NE(ten, Ids(PickSites("rol_2", Sites(100), 10)));
  EXPECT_EQ(PickSites("rol_1", Sites(3), 10).size(), 3u);
}

class SmokeTest : public ServiceTest {
 protected:
  SmokeTest() { run_id_ = OpenSession(); }
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
  rollout_.AddSite(1, 2, 1, "https://127.0.0.1/");
  rollout_.AddSite(2, 3, 1, "http://10.0.0.1/");
  const auto answer = Smoke(Mine());
  EXPECT_EQ(answer.status(), "ok");
  EXPECT_EQ(answer.smoke().skipped(), 2u);
  EXPECT_EQ(answer.smoke().checked(), 0u);
  EXPECT_EQ(Warnings(answer), (CodeSet{"sample_is_all", "sites_skipped"}));
}

TEST_F(SmokeTest, AnEmptyRangePassesWithAWarning) {
  const auto answer = Smoke(Mine());
  EXPECT_EQ(answer.status(), "ok");
  EXPECT_EQ(Warnings(answer), CodeSet{"empty_range"});
}

TEST_F(SmokeTest, WritesNothingButItsJobAndItsEvidence) {
  rollout_.AddSite(1, 2, 1, sites_.Url("/down"));
  Smoke(Mine());
  rollout_.Read([](sql::Transaction& tx) -> absl::Status {
    for (const char* table :
         {"jetmon_check_targets", "jetmon_endpoint_runtime", "jetmon_events",
          "jetmon_event_transitions", "jetmon_check_history", "jetmon_notifications"}) {
      auto s = tx.Query(std::string("SELECT COUNT(*) FROM ") + table, {}, [&](const sql::Row& row) {
        EXPECT_EQ(row.Int(0), 0) << table;
        return absl::OkStatus();
      });
      if (!s.ok()) return s;
    }
    EXPECT_EQ((*store::GetSite(tx, 1))->site_status, 1);
    return absl::OkStatus();
  });
}

TEST_F(SmokeTest, WhatIsWrongWithTheRequestIsAnError) {
  const auto reason = [this](const v1::SmokeRequest& request) {
    v1::OperationResponse answer;
    return ReasonOf(service_->Smoke(Key(), request, {}, &answer));
  };
  EXPECT_EQ(reason(Mine()), v1::READ_ONLY_REQUIRED);
  auto request = Mine();
  request.set_read_only(true);
  request.set_mode("post-legacy");
  EXPECT_EQ(reason(request), v1::INVALID_MODE);
  request.set_mode("get-simple");
  request.set_sample_size("none");
  EXPECT_EQ(reason(request), v1::INVALID_SIZE);
  request.set_sample_size("5");
  request.set_wait("1h");
  EXPECT_EQ(reason(request), v1::INVALID_FIELD);
  request.set_wait("0s");
  request.set_run_id("rol_0");
  EXPECT_EQ(reason(request), v1::RUN_NOT_FOUND);
  EXPECT_TRUE(
      rollout_.Get([](sql::Transaction& tx) { return store::ListUnfinishedJobs(tx); }).empty());
}

}  // namespace
}  // namespace jetmon::rollout
