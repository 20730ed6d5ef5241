#include "controlplane/rollout/gates.h"

#include <gtest/gtest.h>

#include "controlplane/rollout/test_service.h"
#include "store/activity.h"
#include "store/events.h"

namespace jetmon::rollout {
namespace {

using GateKind = Service::Gate;

class GatesTest : public ServiceTest {
 protected:
  GatesTest() { monitor_.Run(); }
  // The summary of a bucket, so long before the Monitor's last report, by its clock.
  void Report(uint32_t bucket, uint64_t sites, uint64_t checked, uint64_t late,
              int64_t before_ms = 0) {
    rollout_.Write([&](sql::Transaction& tx) -> absl::Status {
      auto locks = store::ListHeldRanges(tx);
      if (!locks.ok()) return locks.status();
      auto processes = store::ListProcesses(tx, "monitor", false);
      if (!processes.ok()) return processes.status();
      store::BucketActivity a;
      a.bucket = bucket;
      a.epoch = (*locks)[0].epoch;
      a.sites = sites;
      a.checked = checked;
      a.late = late;
      a.updated_at_ms = (*processes)[0].updated_at_ms - before_ms;
      a.first_check_ms = a.updated_at_ms - 10'000;
      if (checked == sites) a.oldest_check_ms = a.updated_at_ms - 5'000;
      return store::SaveActivity(tx, {a});
    });
  }
  void ReportAll(uint64_t sites, uint64_t checked, uint64_t late) {
    for (uint32_t b = kRange.min; b <= kRange.max; ++b) Report(b, sites, checked, late);
  }
  void KillAndWaitUntilKnown() {
    monitor_.Kill();
    for (int i = 0; i < 500 && !Gate(GateKind::kCoverage).coverage().owner_dead(); ++i) {
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
  }
};

TEST_F(GatesTest, CoverageNamesWhoHoldsTheRest) {
  auto answer = Gate(GateKind::kCoverage);
  EXPECT_EQ(Codes(answer), CodeSet{"coverage_gap"});
  EXPECT_EQ(answer.coverage().covered(), 0u);
  Activate();
  answer = Gate(GateKind::kCoverage);
  EXPECT_EQ(answer.status(), "ok");
  EXPECT_EQ(answer.owner_host(), "monitor-a");
  EXPECT_EQ(answer.coverage().covered(), 4u);
  answer = Gate(GateKind::kCoverage, {0, 7});
  EXPECT_EQ(answer.status(), "blocked");
  EXPECT_EQ(answer.coverage().buckets(), 8u);
  EXPECT_EQ(answer.coverage().covered(), 4u);
  ASSERT_EQ(answer.coverage().gaps_size(), 2);
  EXPECT_EQ(answer.coverage().gaps(0).bucket_min(), 0u);
  EXPECT_EQ(answer.coverage().gaps(0).bucket_max(), 1u);
  EXPECT_EQ(answer.coverage().gaps(0).pool(), "v1");
  EXPECT_EQ(answer.coverage().gaps(1).bucket_min(), 6u);
  auto request = On<v1::GateRequest>("");
  request.set_owner_host("monitor-b");
  ASSERT_TRUE(service_->LookAtGate(GateKind::kCoverage, request, &answer).ok());
  EXPECT_EQ(Codes(answer), CodeSet{"coverage_gap"});
  EXPECT_EQ(answer.coverage().gaps(0).owner_host(), "monitor-a");
}

TEST_F(GatesTest, ADeadOwnerBlocks) {
  Activate();
  ReportAll(2, 2, 0);
  EXPECT_EQ(Gate(GateKind::kActivity).status(), "ok");
  KillAndWaitUntilKnown();
  EXPECT_EQ(Codes(Gate(GateKind::kCoverage)), CodeSet{"owner_unavailable"});
  EXPECT_EQ(Codes(Gate(GateKind::kActivity)), CodeSet{"owner_unavailable"});
}

TEST_F(GatesTest, ActivityIsOkWhenEverySiteWasCheckedAndNoneIsLate) {
  Activate();
  EXPECT_EQ(Codes(Gate(GateKind::kActivity)), CodeSet{"activity_missing"});
  ReportAll(10, 9, 0);
  EXPECT_EQ(Codes(Gate(GateKind::kActivity)), CodeSet{"sites_late"});
  ReportAll(10, 10, 0);
  const auto answer = Gate(GateKind::kActivity);
  EXPECT_EQ(answer.status(), "ok") << answer.ShortDebugString();
  EXPECT_EQ(answer.activity().sites(), 40u);
  EXPECT_EQ(answer.activity().checked(), 40u);
  EXPECT_NEAR(answer.activity().oldest_check_s(), 5, 1);
  EXPECT_EQ(answer.activity().buckets_size(), 0);
  Report(3, 10, 10, 2);
  EXPECT_EQ(Codes(Gate(GateKind::kActivity)), CodeSet{"sites_late"});
  EXPECT_EQ(Gate(GateKind::kActivity).activity().buckets(0).bucket(), 3u);
  // A Monitor that reports, but does not keep its summaries up.
  Report(3, 10, 10, 0, /*before_ms=*/60'000);
  EXPECT_EQ(Codes(Gate(GateKind::kActivity)), CodeSet{"activity_missing"});
  // A bucket that nobody checks.
  EXPECT_EQ(Codes(Gate(GateKind::kActivity, {2, 6})), CodeSet{"coverage_gap"});
}

TEST_F(GatesTest, ActivityIsNotYetDueRightAfterTheAcknowledgement) {
  monitor_.wall_ms = TestRollout::kNow + 10'000;  // it acknowledges at kNow
  Activate();
  monitor_.Poll();
  EXPECT_EQ(Codes(Gate(GateKind::kActivity)), CodeSet{"not_yet_due"});
  ReportAll(10, 4, 0);
  const auto answer = Gate(GateKind::kActivity);
  EXPECT_EQ(Codes(answer), CodeSet{"not_yet_due"});
  EXPECT_EQ(answer.activity().checked(), 16u);
  EXPECT_EQ(answer.activity().acknowledged_at().seconds(), TestRollout::kNow / 1000);
  ReportAll(10, 10, 0);
  EXPECT_EQ(Gate(GateKind::kActivity).status(), "ok");
}

TEST_F(GatesTest, DriftIsWhatV1sColumnsAndTheEventsDisagreeOn) {
  rollout_.AddSite(1, 3, /*status=*/1);
  EXPECT_EQ(Gate(GateKind::kDrift).status(), "ok");
  rollout_.AddSite(2, 3, /*status=*/2);
  rollout_.AddSite(3, 9, /*status=*/2);
  const auto answer = Gate(GateKind::kDrift);
  EXPECT_EQ(Codes(answer), CodeSet{"drift_found"});
  EXPECT_EQ(answer.drift().count(), 1u);
  ASSERT_EQ(answer.drift().rows_size(), 1);
  EXPECT_EQ(answer.drift().rows(0).site_id(), 2u);
  EXPECT_EQ(answer.drift().rows(0).cause(), "missing_event");
  EXPECT_EQ(answer.drift().groups(0).bucket(), 3u);
}

TEST_F(GatesTest, WhatIsWrongWithTheRequestIsAnError) {
  v1::OperationResponse answer;
  auto request = On<v1::GateRequest>("rol_0");
  EXPECT_EQ(ReasonOf(service_->LookAtGate(GateKind::kDrift, request, &answer)), v1::RUN_NOT_FOUND);
  request = On<v1::GateRequest>("");
  request.set_since("tomorrow");
  EXPECT_EQ(ReasonOf(service_->LookAtGate(GateKind::kActivity, request, &answer)),
            v1::INVALID_SINCE);
  request.clear_bucket_min();
  EXPECT_EQ(ReasonOf(service_->LookAtGate(GateKind::kCoverage, request, &answer)),
            v1::INVALID_BUCKET_RANGE);
}

}  // namespace
}  // namespace jetmon::rollout
