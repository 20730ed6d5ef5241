#include "controlplane/rollout/cohort.h"

#include <algorithm>
#include <set>

#include "controlplane/rollout/test_rollout.h"

namespace jetmon::rollout {
namespace {

class CohortTest : public testing::Test {
 protected:
  static constexpr store::Range kRange{2, 5};
  static constexpr uint64_t kFirst = 100, kSites = 403;

  CohortTest() {
    std::vector<store::Site> sites;
    for (uint64_t id = kFirst; id < kFirst + kSites; ++id) {
      store::Site s;
      s.site_id = id;
      s.blog_id = id;
      s.bucket = 2 + static_cast<uint32_t>(id % 4);
      s.url = "http://192.0.2.1/";
      sites.push_back(s);
    }
    sites[3].active = false;
    store::Site elsewhere = sites[0];
    elsewhere.site_id = 5;
    elsewhere.bucket = 6;
    sites.push_back(elsewhere);
    rollout_.Write([&](sql::Transaction& tx) { return store::InsertSites(tx, sites); });
  }
  Cohort Find(const std::string& size, const std::string& run = "rol_1",
              store::Range range = kRange) {
    RangeReader reader(rollout_.db(), range, [] { return absl::OkStatus(); });
    auto cohort = FindCohort(reader, SiteOrder(run), *StageSizeOf(size));
    EXPECT_TRUE(cohort.ok()) << cohort.status();
    return *cohort;
  }
  std::set<uint64_t> Members(const Cohort& cohort, const std::string& run = "rol_1") {
    std::set<uint64_t> members;
    for (uint64_t id = kFirst; id < kFirst + kSites; ++id) {
      if (id != kFirst + 3 && cohort.Has(SiteOrder(run), id)) members.insert(id);
    }
    return members;
  }

  TestRollout rollout_;
};

TEST_F(CohortTest, HasExactlyTheFirstSitesOfTheOrder) {
  std::vector<std::pair<uint64_t, uint64_t>> order;
  for (uint64_t id = kFirst; id < kFirst + kSites; ++id) {
    if (id != kFirst + 3) order.emplace_back(SiteOrder("rol_1").RankOf(id), id);
  }
  std::sort(order.begin(), order.end());
  for (const uint64_t n : {1, 2, 7, 100, 401, 402}) {
    const Cohort cohort = Find(std::to_string(n));
    EXPECT_EQ(cohort.eligible, 402u);
    EXPECT_EQ(cohort.size, n);
    std::set<uint64_t> first;
    for (size_t i = 0; i < n; ++i) first.insert(order[i].second);
    EXPECT_EQ(Members(cohort), first) << n;
  }
}

TEST_F(CohortTest, APercentageIsRoundedUpAndACountTakesWhatIsThere) {
  EXPECT_EQ(Members(Find("1%")).size(), 5u);  // 4.02
  EXPECT_EQ(Members(Find("25%")).size(), 101u);
  EXPECT_EQ(Members(Find("100%")).size(), 402u);
  EXPECT_EQ(Members(Find("5000")).size(), 402u);
  EXPECT_EQ(Find("10%", "rol_1", {9, 10}).size, 0u);
  EXPECT_FALSE(Find("10%", "rol_1", {9, 10}).Has(SiteOrder("rol_1"), kFirst));
}

TEST_F(CohortTest, AGreaterOneContainsASmallerOneAndAnotherRunHasAnother) {
  std::set<uint64_t> before;
  for (const char* size : {"1", "3%", "50", "30%", "61%", "400", "100%"}) {
    const auto members = Members(Find(size));
    EXPECT_TRUE(std::includes(members.begin(), members.end(), before.begin(), before.end()));
    EXPECT_GT(members.size(), before.size());
    before = members;
  }
  EXPECT_NE(Members(Find("50%", "rol_2"), "rol_2"), Members(Find("50%")));
}

TEST_F(CohortTest, TheReaderGivesUpWhenItIsTold) {
  RangeReader reader(rollout_.db(), kRange, [] { return absl::CancelledError("enough"); });
  EXPECT_TRUE(
      absl::IsCancelled(FindCohort(reader, SiteOrder("rol_1"), *StageSizeOf("1")).status()));
}

TEST(StandOf, TellsOursFromOthers) {
  store::PolicySite s;
  EXPECT_EQ(StandOf(s, "GET", "legacy"), Stand::kChange);
  EXPECT_EQ(StandOf(s, "HEAD", "legacy"), Stand::kAlready);  // the default
  s.has_row = true;
  s.profile = "simple_http";
  s.revision = 7;
  EXPECT_EQ(StandOf(s, "HEAD", "simple_http"), Stand::kAlready);
  EXPECT_EQ(StandOf(s, "GET", "simple_http"), Stand::kChange);
  s.method = "GET";
  s.staged_by = 1;
  s.staged_revision = 7;
  s.staged_method = "GET";
  s.staged_profile = "simple_http";
  EXPECT_EQ(StandOf(s, "GET", "simple_http"), Stand::kStaged);
  EXPECT_EQ(StandOf(s, "GET", "legacy"), Stand::kChange);
  auto other = s;
  other.revision = 8;
  EXPECT_EQ(StandOf(other, "GET", "legacy"), Stand::kConflict);
  other = s;
  other.profile = "legacy";  // by one who counts no revision
  EXPECT_EQ(StandOf(other, "GET", "legacy"), Stand::kConflict);
  other = s;
  other.has_row = false;
  EXPECT_EQ(StandOf(other, "GET", "legacy"), Stand::kConflict);
}

TEST(Stands, KeepsTwentyExamples) {
  Stands stands;
  for (uint64_t id = 1; id <= 30; ++id) stands.Add(Stand::kConflict, id);
  stands.Add(Stand::kChange, 1);
  stands.Add(Stand::kStaged, 1);
  stands.Add(Stand::kAlready, 1);
  EXPECT_EQ(stands.conflicts, 30u);
  EXPECT_EQ(stands.examples.size(), 20u);
  EXPECT_EQ(stands.change + stands.staged + stands.already, 3u);
}

}  // namespace
}  // namespace jetmon::rollout
