#include "store/policy_stages.h"

#include <algorithm>
#include <map>

#include "store/test_database.h"
#include "store/test_sites.h"

namespace jetmon::store {
namespace {

constexpr int64_t kNow = 1'700'000'000'000;

// Six sites in bucket 3, of which the last is not active, and one in bucket 4. Read by bucket and
// by site.
class PolicyStagesTest : public testing::TestWithParam<bool> {
 protected:
  PolicyStagesTest() {
    std::vector<Site> sites;
    for (uint64_t id = 1; id <= 7; ++id) {
      Site s;
      s.site_id = id;
      s.blog_id = 7 + id;
      s.bucket = id == 7 ? 4 : 3;
      s.url = "http://192.0.2.1/";
      s.active = id != 6;
      s.check_interval = static_cast<int>(1 + id % 3);
      sites.push_back(s);
    }
    Write([&](sql::Transaction& tx) { return InsertSites(tx, sites); });
    slice_.buckets = {3, 3};
    slice_.by_site = GetParam();
  }
  void Write(const sql::Body& body) {
    const absl::Status s = db_->Write(body);
    EXPECT_TRUE(s.ok()) << s << sql::EngineText(s);
  }
  // What somebody else does, by hand.
  void Edit(const std::string& sql, sql::Params params) {
    Write([&](sql::Transaction& tx) { return tx.Execute(sql, params).status(); });
  }
  template <typename F>
  auto Get(F f) {
    std::decay_t<decltype(*f(std::declval<sql::Transaction&>()))> result;
    Write([&](sql::Transaction& tx) {
      auto got = f(tx);
      if (got.ok()) result = *std::move(got);
      return got.status();
    });
    return result;
  }
  PolicyStage Stage(const std::string& id, const std::string& method = "GET",
                    const std::string& profile = "legacy", const std::string& run = "rol_1") {
    PolicyStage stage;
    stage.stage_id = id;
    stage.run_id = run;
    stage.range = {3, 3};
    stage.method = method;
    stage.profile = profile;
    stage.size = "50%";
    stage.job_id = "rjob_" + id;
    stage.created_at_ms = kNow;
    return Get([&](sql::Transaction& tx) { return InsertPolicyStage(tx, stage); });
  }
  std::map<uint64_t, PolicySite> Sites(const std::string& run = "rol_1") {
    std::map<uint64_t, PolicySite> by_id;
    for (auto& s : Get([&](sql::Transaction& tx) { return PolicySitesIn(tx, slice_, run); })) {
      EXPECT_TRUE(by_id.emplace(s.site_id, s).second);
    }
    return by_id;
  }
  std::vector<PolicySite> Of(const std::vector<uint64_t>& ids) {
    auto all = Sites();
    std::vector<PolicySite> sites;
    for (uint64_t id : ids) sites.push_back(all.at(id));
    return sites;
  }
  void Apply(const PolicyStage& stage, const std::vector<uint64_t>& ids) {
    const auto sites = Of(ids);
    Write([&](sql::Transaction& tx) { return WritePolicy(tx, stage, sites, kNow); });
  }
  std::vector<StagedSite> Staged(const PolicyStage& stage, uint64_t after = 0, int limit = 100) {
    return Get([&](sql::Transaction& tx) { return StagedSites(tx, stage, after, limit); });
  }
  void Restore(const PolicyStage& stage) {
    const auto sites = Staged(stage);
    Write([&](sql::Transaction& tx) { return RestorePolicy(tx, stage, sites, kNow); });
  }
  std::vector<PolicyStage> Standing(const std::string& run = "rol_1") {
    return Get([&](sql::Transaction& tx) { return ListStandingStages(tx, run); });
  }
  // "method/profile/revision of all sites that have a row".
  std::map<uint64_t, std::string> Rows() {
    std::map<uint64_t, std::string> rows;
    Write([&](sql::Transaction& tx) {
      rows.clear();
      return tx.Query(
          "SELECT site_id, COALESCE(method, '-'), COALESCE(profile, '-'), revision FROM "
          "jetmon_endpoint_check_config",
          {}, [&](const sql::Row& row) {
            rows[row.Uint(0)] = row.Text(1) + "/" + row.Text(2) + "/" + row.Text(3);
            return absl::OkStatus();
          });
    });
    return rows;
  }

  TestDatabase db_;
  Slice slice_;
};

INSTANTIATE_TEST_SUITE_P(Order, PolicyStagesTest, testing::Bool(),
                         [](const auto& info) { return info.param ? "BySite" : "ByBucket"; });

TEST_P(PolicyStagesTest, StagesOfARunAreCountedAndFound) {
  EXPECT_EQ(Stage("s1").number, 1u);
  EXPECT_EQ(Stage("s2").number, 2u);
  EXPECT_EQ(Stage("x1", "GET", "legacy", "rol_2").number, 1u);
  EXPECT_EQ(Get([](sql::Transaction& tx) { return NextStageNumber(tx, "rol_1"); }), 3u);
  const auto standing = Standing();
  ASSERT_EQ(standing.size(), 2u);
  EXPECT_EQ(standing[0].stage_id, "s2");  // newest first
  EXPECT_EQ(standing[1].state, stage_state::kApplying);
  EXPECT_EQ(standing[1].range, (Range{3, 3}));
  EXPECT_EQ(standing[1].size, "50%");
  EXPECT_TRUE(Standing("rol_3").empty());
  const auto of_job = Get([](sql::Transaction& tx) { return GetStageOfJob(tx, "rjob_s2"); });
  EXPECT_EQ(of_job->number, 2u);
  EXPECT_FALSE(Get([](sql::Transaction& tx) { return GetStageOfJob(tx, "rjob_0"); }).has_value());
}

TEST_P(PolicyStagesTest, AStageGoesThroughItsStatesOnce) {
  const PolicyStage stage = Stage("s1");
  Stage("s2");
  Stage("x1", "GET", "legacy", "rol_2");
  Write([](sql::Transaction& tx) -> absl::Status {
    EXPECT_TRUE(SetStageSize(tx, "s1", 6, 3).ok());
    EXPECT_FALSE(SetStageSize(tx, "s9", 6, 3).ok());
    EXPECT_TRUE(*EndStage(tx, "s1"));
    EXPECT_FALSE(*EndStage(tx, "s1"));
    EXPECT_TRUE(EndStageOfJob(tx, "rjob_s2").ok());
    EXPECT_TRUE(EndStageOfJob(tx, "rjob_of_seed").ok());
    EXPECT_TRUE(PauseStages(tx, "rol_1", 77).ok());
    return absl::OkStatus();
  });
  for (const PolicyStage& s : Standing()) {
    EXPECT_EQ(s.state, stage_state::kApplied);
    EXPECT_EQ(s.paused_at_ms, 77);
  }
  EXPECT_EQ(Standing()[1].eligible, 6u);
  EXPECT_EQ(Standing()[1].cohort, 3u);
  EXPECT_EQ(Standing("rol_2")[0].paused_at_ms, 0);
  Write([](sql::Transaction& tx) -> absl::Status {
    EXPECT_TRUE(*BeginRollback(tx, "s1", "rjob_r"));
    EXPECT_TRUE(*BeginRollback(tx, "s1", "rjob_r2"));  // the first was cancelled
    EXPECT_TRUE(*BeginRollback(tx, "s2", "rjob_r2"));
    auto todo = StagesToRollBack(tx, "rjob_r2");
    EXPECT_EQ(todo->size(), 2u);
    EXPECT_EQ((*todo)[0].stage_id, "s2");
    EXPECT_TRUE(StagesToRollBack(tx, "rjob_r")->empty());
    EXPECT_TRUE(*EndRollback(tx, "s2", 99));
    EXPECT_FALSE(*EndRollback(tx, "s2", 100));
    EXPECT_FALSE(*BeginRollback(tx, "s2", "rjob_r3"));
    EXPECT_EQ(StagesToRollBack(tx, "rjob_r2")->size(), 1u);
    const PolicyStage ended = **GetStageOfJob(tx, "rjob_s2");
    EXPECT_EQ(ended.state, stage_state::kRolledBack);
    EXPECT_EQ(ended.rolled_back_at_ms, 99);
    return absl::OkStatus();
  });
  EXPECT_EQ(Standing().size(), 1u);
}

TEST_P(PolicyStagesTest, SitesOfASliceAreSeenWithTheirRows) {
  Edit(
      "INSERT INTO jetmon_endpoint_check_config (site_id, profile, revision, updated_at_ms) "
      "VALUES (2, 'simple_http', 5, 1)",
      {});
  const auto sites = Sites();
  ASSERT_EQ(sites.size(), 5u);  // neither 6 nor 7
  EXPECT_FALSE(sites.at(1).has_row);
  EXPECT_TRUE(sites.at(2).has_row);
  EXPECT_FALSE(sites.at(2).method.has_value());
  EXPECT_EQ(sites.at(2).profile, "simple_http");
  EXPECT_EQ(sites.at(2).revision, 5u);
  EXPECT_EQ(sites.at(2).staged_by, 0u);
  auto ids = Get([&](sql::Transaction& tx) { return SiteIdsIn(tx, slice_); });
  std::sort(ids.begin(), ids.end());
  EXPECT_EQ(ids, (std::vector<uint64_t>{1, 2, 3, 4, 5}));
}

TEST_P(PolicyStagesTest, AStageWritesAndItsRollbackRestores) {
  Edit(
      "INSERT INTO jetmon_endpoint_check_config (site_id, profile, keyword, revision, "
      "updated_at_ms) VALUES (2, 'simple_http', 'hello', 5000000000, 1)",
      {});
  const auto before = Rows();
  const PolicyStage one = Stage("s1");
  Apply(one, {1, 2, 3});
  // The counter's next, or one more than what somebody counted by himself.
  EXPECT_EQ(Rows(), (std::map<uint64_t, std::string>{{1, "GET/legacy/1000000001"},
                                                     {2, "GET/legacy/5000000001"},
                                                     {3, "GET/legacy/1000000001"}}));
  const auto sites = Sites();
  EXPECT_EQ(sites.at(2).staged_by, 1u);
  EXPECT_EQ(sites.at(2).staged_revision, 5000000001u);
  EXPECT_EQ(sites.at(2).staged_method, "GET");
  EXPECT_EQ(sites.at(2).staged_profile, "legacy");
  EXPECT_EQ(sites.at(4).staged_by, 0u);
  EXPECT_EQ(Sites("rol_2").at(2).staged_by, 0u);
  EXPECT_EQ(Standing()[0].changed, 3u);

  const PolicyStage two = Stage("s2", "HEAD", "simple_http");
  Apply(two, {2, 3, 4});
  EXPECT_EQ(Sites().at(2).staged_by, 2u);
  EXPECT_EQ(Sites().at(1).staged_by, 1u);
  Restore(two);
  EXPECT_EQ(Rows(), (std::map<uint64_t, std::string>{{1, "GET/legacy/1000000001"},
                                                     {2, "GET/legacy/5000000001"},
                                                     {3, "GET/legacy/1000000001"}}));
  EXPECT_TRUE(Staged(two).empty());
  Restore(one);
  EXPECT_EQ(Rows(), before);
  EXPECT_EQ(Standing()[1].restored, 3u);
  EXPECT_EQ(Standing()[1].conflicts, 0u);
}

TEST_P(PolicyStagesTest, StagedSitesComeInPages) {
  const PolicyStage one = Stage("s1");
  Apply(one, {5, 1, 3});
  auto page = Staged(one, 0, 2);
  ASSERT_EQ(page.size(), 2u);
  EXPECT_EQ(page[0].site_id, 1u);
  EXPECT_TRUE(page[0].stands);
  EXPECT_FALSE(page[0].had_row);
  page = Staged(one, 3, 2);
  ASSERT_EQ(page.size(), 1u);
  EXPECT_EQ(page[0].site_id, 5u);
}

TEST_P(PolicyStagesTest, WhatSomebodyElseChangedIsLeftAlone) {
  Edit(
      "INSERT INTO jetmon_endpoint_check_config (site_id, method, revision, updated_at_ms) "
      "VALUES (5, 'HEAD', 3, 1)",
      {});
  const PolicyStage one = Stage("s1");
  Apply(one, {1, 2, 3, 4, 5});
  Write([](sql::Transaction& tx) { return BeginRollback(tx, "s1", "rjob_r").status(); });
  // As an editor should, as one who counts nothing, one who adds something, one who removes it, and
  // one who removes it and makes it again.
  Edit(
      "UPDATE jetmon_endpoint_check_config SET profile = 'full', revision = revision + 1 WHERE "
      "site_id = 1",
      {});
  Edit("UPDATE jetmon_endpoint_check_config SET method = 'HEAD' WHERE site_id = 2", {});
  Edit("UPDATE jetmon_endpoint_check_config SET keyword = 'k' WHERE site_id = 3", {});
  Edit("DELETE FROM jetmon_endpoint_check_config WHERE site_id = 4", {});
  Edit("DELETE FROM jetmon_endpoint_check_config WHERE site_id = 5", {});
  Edit(
      "INSERT INTO jetmon_endpoint_check_config (site_id, method, profile, updated_at_ms) VALUES "
      "(5, 'GET', 'legacy', 1)",
      {});
  const auto edited = Rows();
  EXPECT_FALSE(Staged(one).empty());
  for (const StagedSite& s : Staged(one)) EXPECT_FALSE(s.stands) << s.site_id;
  EXPECT_EQ(Sites().at(1).staged_revision + 1, Sites().at(1).revision);
  EXPECT_FALSE(Sites().at(4).has_row);
  EXPECT_EQ(Sites().at(4).staged_by, 1u);
  Restore(one);
  EXPECT_EQ(Rows(), edited);
  EXPECT_EQ(Standing()[0].conflicts, 5u);
  EXPECT_EQ(Standing()[0].restored, 0u);
  // It is nothing of the run's any more.
  EXPECT_EQ(Sites().at(1).staged_by, 0u);
  EXPECT_EQ(Get([](sql::Transaction& tx) {
              return ConflictsOfRollback(tx, "rjob_r", {1, 4, 9});
            }),
            (std::set<uint64_t>{1, 4}));
  EXPECT_TRUE(Get([](sql::Transaction& tx) {
                return ConflictsOfRollback(tx, "rjob_0", {1, 4});
              }).empty());
}

// Between reading and writing.
TEST_P(PolicyStagesTest, ASiteThatIsNotAsItWasReadStopsTheBatch) {
  const PolicyStage one = Stage("s1");
  Edit(
      "INSERT INTO jetmon_endpoint_check_config (site_id, method, revision, updated_at_ms) "
      "VALUES (2, 'HEAD', 3, 1)",
      {});
  const auto sites = Of({1, 2, 3});
  const auto tries = [&](const std::function<absl::Status(sql::Transaction&)>& f) {
    return db_->Write(SystemClock().Boot() + std::chrono::milliseconds(50), f);
  };
  const auto write = [&](sql::Transaction& tx) { return WritePolicy(tx, one, sites, kNow); };
  Edit("UPDATE jetmon_endpoint_check_config SET revision = 4 WHERE site_id = 2", {});
  EXPECT_FALSE(tries(write).ok());
  Edit("UPDATE jetmon_endpoint_check_config SET revision = 3 WHERE site_id = 2", {});
  Edit(
      "INSERT INTO jetmon_endpoint_check_config (site_id, method, updated_at_ms) VALUES (3, "
      "'HEAD', 1)",
      {});
  EXPECT_FALSE(tries(write).ok());
  EXPECT_TRUE(Staged(one).empty());  // all of it was undone
  EXPECT_EQ(Rows().size(), 2u);
  Edit("DELETE FROM jetmon_endpoint_check_config WHERE site_id = 3", {});
  EXPECT_TRUE(tries(write).ok());

  const auto staged = Staged(one);
  const auto restore = [&](sql::Transaction& tx) { return RestorePolicy(tx, one, staged, kNow); };
  for (const uint64_t site : {1, 2}) {  // one to remove, one to update
    const auto was = Rows();
    Edit("UPDATE jetmon_endpoint_check_config SET revision = revision + 1 WHERE site_id = ?",
         {site});
    EXPECT_FALSE(tries(restore).ok());
    EXPECT_EQ(Staged(one).size(), 3u);
    Edit("UPDATE jetmon_endpoint_check_config SET revision = revision - 1 WHERE site_id = ?",
         {site});
    EXPECT_EQ(Rows(), was);
  }
  EXPECT_TRUE(tries(restore).ok());
  EXPECT_EQ(Rows(), (std::map<uint64_t, std::string>{{2, "HEAD/-/3"}}));
}

// Two runs, one after the other: what the second wrote is not the first's to restore.
TEST_P(PolicyStagesTest, AnotherRunsStageIsAnotherEditor) {
  const PolicyStage one = Stage("s1");
  Apply(one, {1, 2});
  const PolicyStage other = Stage("x1", "GET", "simple_http", "rol_2");
  Apply(other, {2, 3});
  EXPECT_EQ(Sites("rol_1").at(2).staged_by, 1u);
  EXPECT_NE(Sites("rol_1").at(2).staged_revision, Sites("rol_1").at(2).revision);
  EXPECT_EQ(Sites("rol_2").at(2).staged_revision, Sites("rol_2").at(2).revision);
  Restore(one);
  EXPECT_EQ(Rows(), (std::map<uint64_t, std::string>{{2, "GET/simple_http/1000000002"},
                                                     {3, "GET/simple_http/1000000002"}}));
  EXPECT_EQ(Standing()[0].conflicts, 1u);
}

TEST_P(PolicyStagesTest, ManySitesAtOnce) {
  std::vector<Site> more;
  for (uint64_t id = 100; id < 1100; ++id) {
    Site s;
    s.site_id = id;
    s.blog_id = id;
    s.bucket = 3;
    s.url = "http://192.0.2.1/";
    more.push_back(s);
  }
  Write([&](sql::Transaction& tx) { return InsertSites(tx, more); });
  std::vector<uint64_t> odd, all;
  for (const auto& [id, s] : Sites()) {
    all.push_back(id);
    if (id % 2 == 1) odd.push_back(id);
  }
  const PolicyStage one = Stage("s1"), two = Stage("s2", "GET", "simple_http");
  Apply(one, odd);
  const auto between = Rows();
  EXPECT_EQ(between.size(), odd.size());
  Apply(two, all);
  EXPECT_EQ(Rows().size(), all.size());
  Restore(two);  // 100 of StagedSites: the first ones
  EXPECT_EQ(Staged(two, 0, 2000).size(), all.size() - 100);
  while (!Staged(two).empty()) Restore(two);
  EXPECT_EQ(Rows(), between);
}

}  // namespace
}  // namespace jetmon::store
