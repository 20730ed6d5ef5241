#include "store/sites.h"

#include "store/test_database.h"

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

TEST(Sites, ArePagedByKey) {
  TestDatabase db;
  ASSERT_TRUE(db->Write([](sql::Transaction& tx) -> absl::Status {
                  EXPECT_TRUE(InsertSites(tx, {MakeSite(1, 3), MakeSite(2, 3, 2), MakeSite(3, 4),
                                               MakeSite(4, 3, 1, false), MakeSite(5, 3, 0)})
                                  .ok());
                  auto page = ActiveSitesOfBucket(tx, 3, 0, 2);
                  EXPECT_EQ(page->size(), 2u);
                  page = ActiveSitesOfBucket(tx, 3, (*page)[1].site_id, 2);
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

TEST(Targets, FollowTheirSites) {
  TestDatabase db;
  ASSERT_TRUE(
      db->Write([](sql::Transaction& tx) -> absl::Status {
          Site site = MakeSite(1, 3);
          EXPECT_TRUE(UpsertTargets(tx, {TargetOf(site), TargetOf(MakeSite(2, 3))}, 5).ok());
          site.url += "?changed";
          EXPECT_TRUE(UpsertTargets(tx, {TargetOf(site)}, 6).ok());
          auto targets = TargetsOfBucket(tx, 3, 0, 10);
          EXPECT_EQ(targets->size(), 2u);
          EXPECT_EQ((*targets)[0].url, site.url);
          EXPECT_EQ((*targets)[0].config_hash, ConfigHash(site));
          EXPECT_TRUE(SaveFreshness(tx, {{1, 3, 50, 60}}).ok());
          EXPECT_TRUE(DeleteTargets(tx, {1}).ok());
          EXPECT_EQ(*CountTargets(tx, {0, 9}), 1u);
          EXPECT_TRUE(ConfigsOfBucket(tx, 3)->empty());
          return absl::OkStatus();
        }).ok());
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

TEST(LegacyTime, GoesBothWays) {
  EXPECT_EQ(LegacyTime(1'700'000'000'123), "2023-11-14 22:13:20");
  EXPECT_EQ(ParseLegacyTime("2023-11-14 22:13:20"), 1'700'000'000'000);
  for (const char* bad : {"", "yesterday", "2023-11-14", "0000-00-00 00:00:00"}) {
    EXPECT_EQ(ParseLegacyTime(bad), 0) << bad;
  }
}

}  // namespace
}  // namespace jetmon::store
