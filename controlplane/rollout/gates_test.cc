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
              int64_t before_ms = 0, int64_t oldest_ms = 5'000,
              const std::vector<store::LateSite>& late_sites = {}) {
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
      if (checked == sites) a.oldest_check_ms = a.updated_at_ms - oldest_ms;
      a.late_sites = late_sites;
      return store::SaveActivity(tx, {a});
    });
  }
  void ReportAll(uint64_t sites, uint64_t checked, uint64_t late) {
    for (uint32_t b = kRange.min; b <= kRange.max; ++b) Report(b, sites, checked, late);
  }
  v1::OperationResponse Activity(const std::string& since) {
    auto request = On<v1::GateRequest>("");
    request.set_since(since);
    v1::OperationResponse answer;
    const absl::Status s = service_->LookAtGate(GateKind::kActivity, request, &answer);
    EXPECT_TRUE(s.ok()) << s;
    return answer;
  }
  void KillAndWaitUntilKnown() {
    monitor_.Kill();
    ASSERT_TRUE(Comes([&] { return Gate(GateKind::kCoverage).coverage().owner_dead(); }));
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

TEST_F(GatesTest, CoverageNamesTheRunAndTheStateOfEachGap) {
  const std::string run_id = Activate();
  // As while a part of the range leaves.
  rollout_.Write([](sql::Transaction& tx) {
    return tx
        .Execute("UPDATE jetmon_rollout_bucket_locks SET state = 'draining' WHERE bucket_no = 5")
        .status();
  });
  const auto answer = Gate(GateKind::kCoverage, {2, 7});
  EXPECT_EQ(Codes(answer), CodeSet{"coverage_gap"});
  EXPECT_EQ(answer.coverage().covered(), 3u);
  ASSERT_EQ(answer.coverage().gaps_size(), 2);
  const v1::BucketRun& leaving = answer.coverage().gaps(0);
  EXPECT_EQ(leaving.state(), "draining");
  EXPECT_EQ(leaving.owner_host(), "monitor-a");
  EXPECT_EQ(leaving.run_id(), run_id);
  EXPECT_FALSE(leaving.owner_dead());
  EXPECT_EQ(answer.coverage().gaps(1).run_id(), "");
  const std::string& text = answer.blockers(0).text();
  EXPECT_NE(text.find("3 of 6 buckets"), std::string::npos) << text;
  EXPECT_NE(text.find("5-5 monitor-a's (draining"), std::string::npos) << text;
  EXPECT_NE(text.find("6-7 v1's"), std::string::npos) << text;
}

TEST_F(GatesTest, CoverageSaysThatWhoHoldsAGapIsDead) {
  Activate();
  KillAndWaitUntilKnown();
  auto request = On<v1::GateRequest>("");
  request.set_owner_host("monitor-b");
  v1::OperationResponse answer;
  ASSERT_TRUE(service_->LookAtGate(GateKind::kCoverage, request, &answer).ok());
  ASSERT_EQ(answer.coverage().gaps_size(), 1);
  EXPECT_TRUE(answer.coverage().gaps(0).owner_dead());
  EXPECT_FALSE(answer.coverage().owner_dead());  // monitor-b's
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
  // The summary of whoever held the bucket before.
  Report(3, 10, 10, 0);
  EXPECT_EQ(Gate(GateKind::kActivity).status(), "ok");
  rollout_.Write([](sql::Transaction& tx) {
    return tx.Execute("UPDATE jetmon_bucket_activity SET epoch = epoch - 1 WHERE bucket_no = 3")
        .status();
  });
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

TEST_F(GatesTest, ActivityNamesTheSitesThatAreLate) {
  rollout_.AddSite(1, 3, 1, "http://late.example/");  // every 5 minutes
  rollout_.AddSite(2, 3);
  rollout_.AddSite(3, 4);
  rollout_.AddSite(4, 9);  // has moved since
  Activate();
  monitor_.Poll();
  const int64_t now = monitor_.wall_ms;
  ReportAll(2, 2, 0);
  Report(3, 2, 2, 2, 0, 900'000, {{1, now - 900'000}, {2, now - 400'000}});
  Report(4, 2, 1, 2, 0, 0, {{3, 0}, {4, now - 950'000}});
  const auto answer = Gate(GateKind::kActivity);
  EXPECT_EQ(Codes(answer), CodeSet{"sites_late"});
  ASSERT_EQ(answer.activity().late_sites_size(), 3);
  // Not checked since it was acknowledged, which was long ago.
  EXPECT_EQ(answer.activity().late_sites(0).site_id(), 3u);
  EXPECT_FALSE(answer.activity().late_sites(0).has_last_check_at());
  const v1::LateSite& late = answer.activity().late_sites(1);
  EXPECT_EQ(late.site_id(), 1u);
  EXPECT_EQ(late.bucket(), 3u);
  EXPECT_EQ(late.url(), "http://late.example/");
  EXPECT_EQ(late.last_check_at().seconds(), (now - 900'000) / 1000);
  EXPECT_DOUBLE_EQ(late.late_by_s(), 600);
  EXPECT_EQ(answer.activity().late_sites(2).site_id(), 2u);
  EXPECT_DOUBLE_EQ(answer.activity().late_sites(2).late_by_s(), 100);
  EXPECT_EQ(answer.activity().buckets(0).oldest_check_at().seconds(), (now - 900'000) / 1000);
}

TEST_F(GatesTest, ActivityNamesAHundredLateSitesAtMost) {
  for (uint64_t id = 1; id <= 160; ++id) rollout_.AddSite(id, kRange.min + id % 4);
  Activate();
  monitor_.Poll();
  const int64_t now = monitor_.wall_ms;
  for (uint32_t b = kRange.min; b <= kRange.max; ++b) {
    std::vector<store::LateSite> late;
    for (uint64_t id = 1; id <= 160; ++id) {
      if (kRange.min + id % 4 == b)
        late.push_back({id, now - 1'000'000 + static_cast<int64_t>(id)});
    }
    Report(b, 40, 40, 40, 0, 1'000'000, late);
  }
  const auto answer = Gate(GateKind::kActivity);
  EXPECT_EQ(answer.activity().late(), 160u);
  // A summary keeps 20 of its bucket.
  ASSERT_EQ(answer.activity().late_sites_size(), 80);
  EXPECT_EQ(answer.activity().late_sites(0).site_id(), 1u);
  EXPECT_EQ(answer.activity().late_sites(79).site_id(), 80u);
}

TEST_F(GatesTest, WhatSinceAsksFor) {
  Activate();
  monitor_.Poll();
  ReportAll(10, 10, 0);
  Report(3, 10, 10, 0, 0, /*oldest_ms=*/1'200'000);
  // Nobody asked: no site is late, that is all.
  EXPECT_EQ(Activity("").status(), "ok");
  EXPECT_EQ(Activity("21m").status(), "ok");
  const auto answer = Activity("15m");
  EXPECT_EQ(Codes(answer), CodeSet{"not_yet_due"});
  EXPECT_NE(answer.blockers(0).text().find("1 buckets"), std::string::npos);
  EXPECT_NE(answer.blockers(0).text().find("1200 s ago"), std::string::npos)
      << answer.blockers(0).text();
  ASSERT_EQ(answer.activity().buckets_size(), 1);
  EXPECT_EQ(answer.activity().buckets(0).bucket(), 3u);
  // What is late is said as late.
  Report(3, 10, 10, 1, 0, /*oldest_ms=*/1'200'000);
  EXPECT_EQ(Codes(Activity("15m")), CodeSet{"sites_late"});
}

TEST_F(GatesTest, SinceIsCutAtTheAcknowledgement) {
  monitor_.wall_ms = TestRollout::kNow + 120'000;  // it acknowledges at kNow
  Activate();
  monitor_.Poll();
  ReportAll(10, 10, 0);
  Report(3, 10, 10, 0, 0, /*oldest_ms=*/110'000);
  // An hour ago is before it; every site was checked since.
  EXPECT_EQ(Activity("1h").status(), "ok");
  EXPECT_EQ(Codes(Activity("100s")), CodeSet{"not_yet_due"});
}

TEST_F(GatesTest, DriftSaysWhatIsNotHeld) {
  auto answer = Gate(GateKind::kDrift);
  ASSERT_EQ(answer.warnings_size(), 1);
  EXPECT_EQ(answer.warnings(0).code(), "not_held");
  EXPECT_NE(answer.warnings(0).text().find("4 of 4"), std::string::npos);
  EXPECT_EQ(answer.status(), "ok");
  Activate();
  EXPECT_EQ(Gate(GateKind::kDrift).warnings_size(), 0);
  answer = Gate(GateKind::kDrift, {2, 6});
  ASSERT_EQ(answer.warnings_size(), 1);
  EXPECT_NE(answer.warnings(0).text().find("1 of 5"), std::string::npos);
}

TEST_F(GatesTest, DriftOfAllBucketsIsAddedUp) {
  for (uint64_t id = 1; id <= 150; ++id) rollout_.AddSite(id, id % 16, id % 3 == 0 ? 7 : 2);
  const auto answer = Gate(GateKind::kDrift, {0, 15});
  EXPECT_EQ(answer.drift().count(), 150u);
  EXPECT_EQ(answer.drift().rows_size(), 100);
  EXPECT_EQ(answer.drift().groups_size(), 32);
  EXPECT_NE(answer.blockers(0).text().find("150 sites"), std::string::npos);
  EXPECT_NE(answer.blockers(0).text().find("100 missing_event, 50 unexpected_status"),
            std::string::npos)
      << answer.blockers(0).text();
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
  const std::string run_id = OpenSession();
  struct Case {
    const char* what;
    v1::ErrorReason reason;
    std::function<void(v1::GateRequest*)> spoil;
  };
  const Case cases[] = {
      {"unknown run", v1::RUN_NOT_FOUND, [](auto* r) { r->set_run_id("rol_0"); }},
      {"overlong run", v1::RUN_NOT_FOUND, [](auto* r) { r->set_run_id(std::string(5000, 'x')); }},
      {"not within the run", v1::RUN_RANGE_MISMATCH, [](auto* r) { r->set_bucket_max(6); }},
      {"no min", v1::INVALID_BUCKET_RANGE, [](auto* r) { r->clear_bucket_min(); }},
      {"no max", v1::INVALID_BUCKET_RANGE, [](auto* r) { r->clear_bucket_max(); }},
      {"reversed", v1::INVALID_BUCKET_RANGE, [](auto* r) { r->set_bucket_min(6); }},
      {"past the total", v1::INVALID_BUCKET_RANGE, [](auto* r) { r->set_bucket_max(16); }},
      {"at the end of numbers", v1::INVALID_BUCKET_RANGE,
       [](auto* r) { r->set_bucket_max(4'294'967'295u); }},
      {"host", v1::INVALID_FIELD, [](auto* r) { r->set_owner_host("monitor a"); }},
      {"long host", v1::INVALID_FIELD, [](auto* r) { r->set_owner_host(std::string(129, 'a')); }},
      {"yesterday", v1::INVALID_SINCE, [](auto* r) { r->set_since("yesterday"); }},
      {"backwards", v1::INVALID_SINCE, [](auto* r) { r->set_since("-5m"); }},
      {"nothing", v1::INVALID_SINCE, [](auto* r) { r->set_since("0s"); }},
      {"too long", v1::INVALID_SINCE, [](auto* r) { r->set_since("1000000h"); }},
      {"for ever", v1::INVALID_SINCE, [](auto* r) { r->set_since("inf"); }},
      {"the future", v1::INVALID_SINCE, [](auto* r) { r->set_since("2999-01-01T00:00:00Z"); }},
      {"long ago", v1::INVALID_SINCE, [](auto* r) { r->set_since("0001-01-01T00:00:00Z"); }},
      {"no zone", v1::INVALID_SINCE, [](auto* r) { r->set_since("2023-11-14T00:00:00"); }},
  };
  for (GateKind gate : {GateKind::kCoverage, GateKind::kActivity, GateKind::kDrift}) {
    for (const Case& c : cases) {
      auto request = On<v1::GateRequest>(run_id);
      c.spoil(&request);
      v1::OperationResponse answer;
      EXPECT_EQ(ReasonOf(service_->LookAtGate(gate, request, &answer)), c.reason) << c.what;
    }
    // A closed run may still be looked at.
    auto request = On<v1::GateRequest>(run_id);
    request.set_since("2023-11-14T00:00:00Z");
    v1::OperationResponse answer;
    EXPECT_TRUE(service_->LookAtGate(gate, request, &answer).ok());
  }
}

}  // namespace
}  // namespace jetmon::rollout
