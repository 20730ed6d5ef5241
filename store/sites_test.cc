#include "store/sites.h"

#include <set>

#include "store/test_database.h"
#include "store/test_sites.h"

namespace jetmon::store {
namespace {

Site MakeSite(uint64_t id, uint32_t bucket, int status = 1, bool active = true) {
  Site s;
  s.site_id = id;
  s.blog_id = 7;
  s.bucket = bucket;
  s.url = "http://127.0.0.1/s/" + std::to_string(id);
  s.active = active;
  s.site_status = status;
  return s;
}

TEST(Sites, AreFoundByPlaceAndById) {
  TestDatabase db;
  ASSERT_TRUE(db->Write([](sql::Transaction& tx) -> absl::Status {
                  Site rare = MakeSite(1, 3);
                  rare.check_interval = 30;
                  EXPECT_TRUE(InsertSites(tx, {rare, MakeSite(2, 3, 2), MakeSite(3, 4),
                                               MakeSite(4, 3, 1, false), MakeSite(5, 3, 0)})
                                  .ok());
                  const auto all = ActiveSitesOfBucket(tx, 3, {}, 10);
                  std::vector<SiteCursor> places;
                  for (SiteCursor after;;) {
                    auto page = ActivePlacesOfBucket(tx, 3, after, 2);
                    places.insert(places.end(), page->begin(), page->end());
                    if (page->size() < 2) break;
                    after = page->back();
                  }
                  EXPECT_EQ(places.size(), 3u);
                  for (size_t i = 0; i < places.size(); ++i) {
                    EXPECT_EQ(places[i].site_id, (*all)[i].site_id);
                    EXPECT_EQ(places[i].interval, (*all)[i].check_interval);
                  }
                  EXPECT_EQ(places.back().site_id, 1u);
                  auto found = ActiveSitesById(tx, {5, 4, 3, 99});
                  EXPECT_EQ(found->size(), 2u);
                  for (const Site& s : *found) {
                    EXPECT_EQ(s.url, "http://127.0.0.1/s/" + std::to_string(s.site_id));
                    EXPECT_NE(s.site_id, 4u);
                  }
                  EXPECT_TRUE(ActiveSitesById(tx, {})->empty());
                  return absl::OkStatus();
                }).ok());
}

TEST(Sites, ArePagedByKey) {
  TestDatabase db;
  ASSERT_TRUE(db->Write([](sql::Transaction& tx) -> absl::Status {
                  EXPECT_TRUE(InsertSites(tx, {MakeSite(1, 3), MakeSite(2, 3, 2), MakeSite(3, 4),
                                               MakeSite(4, 3, 1, false), MakeSite(5, 3, 0)})
                                  .ok());
                  auto page = ActiveSitesOfBucket(tx, 3, {}, 2);
                  EXPECT_EQ(page->size(), 2u);
                  page = ActiveSitesOfBucket(tx, 3, SiteCursor::After((*page)[1]), 2);
                  EXPECT_EQ(page->size(), 1u);
                  EXPECT_EQ((*page)[0].site_id, 5u);
                  EXPECT_EQ((*page)[0].last_status_change, "");
                  const auto counts = CountSites(tx, {3, 4});
                  EXPECT_EQ(counts->active, 4u);
                  EXPECT_EQ(counts->down, 1u);
                  EXPECT_EQ(counts->seems_down, 1u);
                  EXPECT_FALSE(GetSite(tx, 99)->has_value());
                  EXPECT_FALSE((*GetSite(tx, 4))->active);
                  EXPECT_TRUE(MissingLegacyColumns(tx)->empty());
                  return absl::OkStatus();
                }).ok());
}

TEST(Sites, RowsOfOneBlogAndUrlAreFoundAcrossRanges) {
  TestDatabase db;
  ASSERT_TRUE(db->Write([](sql::Transaction& tx) -> absl::Status {
                  std::vector<Site> sites;
                  const auto add = [&](uint64_t id, uint64_t blog, uint32_t bucket,
                                       const char* path, bool active = true) {
                    Site s;
                    s.site_id = id;
                    s.blog_id = blog;
                    s.bucket = bucket;
                    s.url = std::string("http://192.0.2.1/") + path;
                    s.active = active;
                    sites.push_back(s);
                  };
                  add(1, 7, 3, "a");
                  add(2, 7, 4, "a");  // within
                  add(3, 7, 9, "a");  // below are outside
                  add(4, 7, 2, "a");
                  add(5, 7, 9, "a", false);  // off
                  add(6, 8, 9, "a");         // another blog's
                  add(7, 7, 9, "b");         // another URL
                  add(8, 9, 3, "c", false);
                  add(9, 9, 9, "c");
                  if (auto s = InsertSites(tx, sites); !s.ok()) return s;
                  std::set<uint64_t> others;
                  const auto twins = SplitTwinsOfBucket(tx, 3, {3, 5}, 10);
                  for (const SplitTwin& t : *twins) {
                    EXPECT_EQ(t.site_id, 1u);
                    EXPECT_EQ(t.blog_id, 7u);
                    EXPECT_EQ(t.url, "http://192.0.2.1/a");
                    EXPECT_EQ(t.other_bucket, t.other_site_id == 3 ? 9u : 2u);
                    others.insert(t.other_site_id);
                  }
                  EXPECT_EQ(others, (std::set<uint64_t>{3, 4}));
                  EXPECT_EQ(SplitTwinsOfBucket(tx, 3, {3, 5}, 1)->size(), 1u);
                  EXPECT_TRUE(SplitTwinsOfBucket(tx, 5, {3, 5}, 10)->empty());
                  return absl::OkStatus();
                }).ok());
}

TEST(Sites, OfSeveralIntervalsArePagedOnce) {
  TestDatabase db;
  ASSERT_TRUE(db->Write([](sql::Transaction& tx) -> absl::Status {
                  std::vector<Site> sites;
                  for (uint64_t id = 1; id <= 300; ++id) {
                    sites.push_back(MakeSite(id, 3));
                    sites.back().check_interval = static_cast<int>(id * 7 % 5) - 1;
                  }
                  if (auto s = InsertSites(tx, sites); !s.ok()) return s;
                  for (const int size : {1, 7, 60, 300, 1000}) {
                    std::set<uint64_t> seen;
                    size_t rows = 0;
                    for (SiteCursor after;;) {
                      auto page = ActiveSitesOfBucket(tx, 3, after, size);
                      if (!page.ok()) return page.status();
                      rows += page->size();
                      for (const Site& s : *page) seen.insert(s.site_id);
                      if (page->size() < static_cast<size_t>(size)) break;
                      after = SiteCursor::After(page->back());
                    }
                    EXPECT_EQ(rows, 300u) << size;
                    EXPECT_EQ(seen.size(), 300u) << size;
                  }
                  return absl::OkStatus();
                }).ok());
}

TEST(Sites, AreCountedAlikeWhereverTheyStand) {
  TestDatabase db;
  ASSERT_TRUE(db->Write([](sql::Transaction& tx) -> absl::Status {
                  std::vector<Site> sites;
                  for (uint64_t id = 1; id <= 100; ++id) {
                    sites.push_back(MakeSite(id, id % 4, static_cast<int>(id % 5), id % 10 != 0));
                  }
                  if (auto s = InsertSites(tx, sites); !s.ok()) return s;
                  for (const bool far : {false, true}) {
                    // A site far away makes the ids too many to be read one after the other.
                    if (far) {
                      auto s = InsertSites(tx, {MakeSite(1'000'000, 9, 2)});
                      if (!s.ok()) return s;
                    }
                    const auto c = CountSites(tx, {0, 3});
                    if (!c.ok()) return c.status();
                    EXPECT_EQ(c->active, 90u);
                    EXPECT_EQ(c->seems_down, 10u);
                    EXPECT_EQ(c->up, 20u);
                    EXPECT_EQ(c->down, 20u);
                    EXPECT_EQ(c->other, 40u);
                    EXPECT_EQ(*CountActiveSites(tx, {0, 3}), 90u);
                    EXPECT_EQ(CountSites(tx, {5, 6})->active, 0u);
                  }
                  return absl::OkStatus();
                }).ok());
}

TEST(Targets, FollowTheirSites) {
  TestDatabase db;
  ASSERT_TRUE(
      db->Write([](sql::Transaction& tx) -> absl::Status {
          Site site = MakeSite(1, 3);
          EXPECT_TRUE(UpsertTargets(tx, {TargetOf(site), TargetOf(MakeSite(2, 3))}, 5).ok());
          site.url += "?changed";
          EXPECT_TRUE(UpsertTargets(tx, {TargetOf(site)}, 6).ok());
          auto targets = TargetsOfBucket(tx, 3);
          EXPECT_EQ(targets->size(), 2u);
          EXPECT_EQ((*targets)[0].url, site.url);
          EXPECT_EQ((*targets)[0].config_hash, ConfigHash(site));
          EXPECT_TRUE(SaveFreshness(tx, {{1, 3, 50, 60}}).ok());
          EXPECT_TRUE(DeleteTargets(tx, {1}).ok());
          EXPECT_EQ(*CountTargets(tx, {0, 9}), 1u);
          EXPECT_TRUE(ConfigsOfBucket(tx, 3)->empty());
          for (const int id : {1, 2}) {  // 1 has no target
            auto s = tx.Execute(
                "INSERT INTO jetmon_endpoint_check_config (site_id, method, updated_at_ms) VALUES "
                "(?, 'GET', 1)",
                {id});
            if (!s.ok()) return s.status();
          }
          const auto configs = ConfigsOfBucket(tx, 3);
          EXPECT_EQ(configs->size(), 1u);
          EXPECT_EQ((*configs)[0].site_id, 2u);
          EXPECT_EQ((*configs)[0].method, "GET");
          EXPECT_FALSE((*configs)[0].profile.has_value());
          EXPECT_FALSE((*configs)[0].keyword.has_value());
          EXPECT_FALSE((*configs)[0].headers.has_value());
          EXPECT_FALSE((*configs)[0].timeout_ms.has_value());
          EXPECT_TRUE(ConfigsOfBucket(tx, 4)->empty());
          return absl::OkStatus();
        }).ok());
}

TEST(CheckConfigs, AreReadAsTheyStandThere) {
  TestDatabase db;
  ASSERT_TRUE(
      db->Write([](sql::Transaction& tx) -> absl::Status {
          EXPECT_TRUE(
              UpsertTargets(tx, {TargetOf(MakeSite(1, 3)), TargetOf(MakeSite(2, 3))}, 5).ok());
          const std::string headers = R"({"X-Key": "abc"})";
          const std::string endless(CheckConfig::kMaxHeadersChars + 20'000, 'h');
          for (const auto& [id, text] : {std::pair(1, headers), std::pair(2, endless)}) {
            auto s = tx.Execute(
                "INSERT INTO jetmon_endpoint_check_config (site_id, method, profile, keyword, "
                "forbidden_keyword, headers, timeout_ms, redirect_policy, updated_at_ms) VALUES "
                "(?, 'GET', 'full', 'welcome', 'Fatal error', ?, 2500, 'alert', 1)",
                {id, text});
            if (!s.ok()) return s.status();
          }
          const auto configs = ConfigsOfBucket(tx, 3);
          EXPECT_EQ(configs->size(), 2u);
          const CheckConfig& c = configs->front();
          EXPECT_EQ(c.site_id, 1u);
          EXPECT_EQ(c.method, "GET");
          EXPECT_EQ(c.profile, "full");
          EXPECT_EQ(c.keyword, "welcome");
          EXPECT_EQ(c.forbidden_keyword, "Fatal error");
          EXPECT_EQ(c.headers, headers);
          EXPECT_EQ(c.timeout_ms, 2500);
          EXPECT_EQ(c.redirect_policy, "alert");
          // Bounded, and seen to be too long.
          EXPECT_EQ(configs->back().headers->size(), CheckConfig::kMaxHeadersChars + 1);
          return absl::OkStatus();
        }).ok());
}

TEST(Phase, IsASitesOwnAndFarFromItsNeighbours) {
  EXPECT_EQ(PhaseOf(7), PhaseOf(7));
  EXPECT_EQ(TargetOf(MakeSite(7, 3)).phase, PhaseOf(7));
  for (uint64_t id = 1; id < 1000; ++id) {
    EXPECT_LT(PhaseOf(id), 1u << 31);
    const auto apart = static_cast<int64_t>(PhaseOf(id)) - static_cast<int64_t>(PhaseOf(id + 1));
    EXPECT_GT(std::abs(apart), 1000);
  }
}

TEST(ConfigHash, ChangesWithEveryPartThatMatters) {
  const Site base = MakeSite(1, 3);
  std::vector<Site> others(4, base);
  others[0].blog_id = 8;
  others[1].url = "http://127.0.0.1/x";
  others[2].active = false;
  others[3].check_interval = 6;
  for (const Site& other : others) EXPECT_NE(ConfigHash(other), ConfigHash(base));
  Site same = base;
  same.site_status = 2;  // v1's word, not configuration
  EXPECT_EQ(ConfigHash(same), ConfigHash(base));
}

}  // namespace
}  // namespace jetmon::store
