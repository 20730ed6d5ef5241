#ifndef JETMON_CONTROLPLANE_ROLLOUT_TEST_POLICY_H_
#define JETMON_CONTROLPLANE_ROLLOUT_TEST_POLICY_H_

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "controlplane/rollout/cohort.h"
#include "controlplane/rollout/policy.h"
#include "controlplane/rollout/test_service.h"
#include "store/policy_stages.h"
#include "store/test_sites.h"

// What the tests of the stages of a check policy share.
namespace jetmon::rollout {

// A hundred sites in the range, ten elsewhere.
class PolicyTest : public ServiceTest {
 protected:
  static constexpr uint64_t kSites = 100;

  PolicyTest() {
    run_id_ = OpenSession();
    std::vector<store::Site> sites;
    for (uint64_t id = 1; id <= kSites + 10; ++id) {
      store::Site s;
      s.site_id = id;
      s.blog_id = id;
      s.bucket = id <= kSites ? 2 + static_cast<uint32_t>(id % 4) : 9;
      s.url = "http://127.0.0.1:1/";
      sites.push_back(s);
    }
    rollout_.Write([&](sql::Transaction& tx) { return store::InsertSites(tx, sites); });
  }

  v1::StagePolicyRequest Ask(const std::string& mode, const std::string& run = "",
                             store::Range range = kRange) const {
    auto request = On<v1::StagePolicyRequest>(run.empty() ? run_id_ : run, range);
    request.set_mode(mode);
    return request;
  }
  v1::StagePolicyRequest Stage(const std::string& size, const std::string& method = "GET",
                               const std::string& profile = "legacy") const {
    auto request = Ask("stage");
    request.set_method(method);
    request.set_profile(profile);
    request.set_size(size);
    return request;
  }
  absl::Status Send(const v1::StagePolicyRequest& request, v1::OperationResponse* answer,
                    const std::string& key = "key_1") {
    return service_->StagePolicy(Key(key), request, {}, answer);
  }
  v1::OperationResponse PlanOf(v1::StagePolicyRequest request) {
    request.set_dry_run(true);
    v1::OperationResponse answer;
    const absl::Status s = Send(request, &answer);
    EXPECT_TRUE(s.ok()) << s;
    return answer;
  }
  v1::StagePolicyRequest Confirmed(v1::StagePolicyRequest request,
                                   const std::string& wait = "30s") {
    const auto plan = PlanOf(request);
    EXPECT_EQ(plan.status(), "ok") << plan.ShortDebugString();
    request.set_execute(true);
    request.set_confirm(plan.confirmation_token());
    request.set_wait(wait);
    return request;
  }
  // Plans, executes, waits.
  v1::OperationResponse Carry(const v1::StagePolicyRequest& request) {
    v1::OperationResponse answer;
    const absl::Status s = Send(Confirmed(request), &answer);
    EXPECT_TRUE(s.ok()) << s;
    EXPECT_EQ(answer.status(), "ok") << answer.ShortDebugString();
    return answer;
  }
  v1::ErrorReason RefusedFor(const v1::StagePolicyRequest& request) {
    v1::OperationResponse answer;
    const absl::Status s = Send(request, &answer);
    EXPECT_FALSE(s.ok()) << answer.ShortDebugString();
    return ReasonOf(s);
  }
  // "method profile" by site, of those that have a row.
  std::map<uint64_t, std::string> Policies() {
    std::map<uint64_t, std::string> rows;
    rollout_.Read([&](sql::Transaction& tx) {
      rows.clear();
      return tx.Query("SELECT site_id, method, profile FROM jetmon_endpoint_check_config", {},
                      [&](const sql::Row& row) {
                        rows[row.Uint(0)] = row.Text(1) + " " + row.Text(2);
                        return absl::OkStatus();
                      });
    });
    return rows;
  }
  std::set<uint64_t> With(const std::string& policy) {
    std::set<uint64_t> sites;
    for (const auto& [id, p] : Policies()) {
      if (p == policy) sites.insert(id);
    }
    return sites;
  }
  // The first `n` sites in the run's order.
  std::set<uint64_t> First(size_t n) {
    std::vector<std::pair<uint64_t, uint64_t>> order;
    for (uint64_t id = 1; id <= kSites; ++id) order.emplace_back(SiteOrder(run_id_).RankOf(id), id);
    std::sort(order.begin(), order.end());
    std::set<uint64_t> first;
    for (size_t i = 0; i < n; ++i) first.insert(order[i].second);
    return first;
  }
  // What another editor does.
  void Edit(uint64_t site, const std::string& set) {
    rollout_.Write([&](sql::Transaction& tx) {
      return tx
          .Execute("UPDATE jetmon_endpoint_check_config SET " + set +
                       ", revision = revision + 1 WHERE site_id = ?",
                   {site})
          .status();
    });
  }
  void AddRow(uint64_t site, const std::string& method, const std::string& profile) {
    rollout_.Write([&](sql::Transaction& tx) {
      return tx
          .Execute(
              "INSERT INTO jetmon_endpoint_check_config (site_id, method, profile, revision, "
              "updated_at_ms) VALUES (?, ?, ?, 1, 1)",
              {site, method, profile})
          .status();
    });
  }
  std::vector<store::PolicyStage> Standing() {
    return rollout_.Get(
        [&](sql::Transaction& tx) { return store::ListStandingStages(tx, run_id_); });
  }
  // Nothing takes jobs up any more: they are run by hand.
  void StopService() { service_->Stop(); }
  v1::OperationResponse Queue(const v1::StagePolicyRequest& request) {
    v1::OperationResponse answer;
    const absl::Status s = Send(Confirmed(request, "0s"), &answer);
    EXPECT_TRUE(s.ok()) << s;
    EXPECT_EQ(answer.status(), "running") << answer.ShortDebugString();
    return answer;
  }
  store::Job Run(const std::string& job_id) { return rollout_.RunJob(job_id, ExecuteStagePolicy); }
  static v1::StagePolicyResult ResultOf(const store::Job& job) {
    v1::OperationResponse answer;
    EXPECT_TRUE(answer.ParseFromString(job.result));
    return answer.stage_policy();
  }

  std::string run_id_;
};

}  // namespace jetmon::rollout

#endif  // JETMON_CONTROLPLANE_ROLLOUT_TEST_POLICY_H_
