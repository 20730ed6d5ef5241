#include "controlplane/rollout/sampler.h"

#include <algorithm>
#include <map>
#include <numeric>
#include <set>

#include "controlplane/rollout/test_rollout.h"

namespace jetmon::rollout {
namespace {

using Counts = std::vector<uint64_t>;

TEST(StratifyTest, TakesInProportion) {
  EXPECT_EQ(Stratify({10, 20, 70}, 10), (Counts{1, 2, 7}));
  EXPECT_EQ(Stratify({}, 10), Counts{});
  EXPECT_EQ(Stratify({0, 0}, 10), (Counts{0, 0}));
  EXPECT_EQ(Stratify({3, 0, 4}, 100), (Counts{3, 0, 4}));
}

TEST(StratifyTest, TakesAsManyAsAskedAndNoMoreThanABucketHas) {
  Counts counts;
  for (uint64_t i = 0; i < 512; ++i) counts.push_back((i * 7919) % 13);
  const uint64_t total = std::accumulate(counts.begin(), counts.end(), uint64_t{0});
  for (uint64_t size : {uint64_t{1}, uint64_t{100}, uint64_t{511}, total - 1, total, total + 1,
                        uint64_t{10'000'000}}) {
    const Counts take = Stratify(counts, size);
    EXPECT_EQ(std::accumulate(take.begin(), take.end(), uint64_t{0}), std::min(size, total));
    for (size_t i = 0; i < counts.size(); ++i) EXPECT_LE(take[i], counts[i]);
  }
}

TEST(SiteOrderTest, DependsOnRunAndSiteOnly) {
  const SiteOrder one("rol_1"), again("rol_1"), other("rol_2");
  std::set<uint64_t> ranks;
  int as_other = 0, rising = 0;
  for (uint64_t id = 1; id <= 1000; ++id) {
    EXPECT_EQ(one.RankOf(id), again.RankOf(id));
    as_other += one.RankOf(id) == other.RankOf(id);
    rising += one.RankOf(id) < one.RankOf(id + 1);
    ranks.insert(one.RankOf(id));
  }
  EXPECT_EQ(ranks.size(), 1000u);
  EXPECT_EQ(as_other, 0);
  EXPECT_NEAR(rising, 500, 60);
}

class SamplerTest : public ::testing::Test {
 protected:
  static constexpr store::Range kRange{2, 5};
  using Taken = std::map<uint32_t, std::vector<uint64_t>>;

  // Sites of each bucket of the range, their ids mixed; two more that are not active.
  void AddSites(const std::vector<int>& by_bucket) {
    uint64_t id = 0;
    std::vector<store::Site> sites;
    for (int round = 0; round < *std::max_element(by_bucket.begin(), by_bucket.end()); ++round) {
      for (uint32_t b = 0; b < by_bucket.size(); ++b) {
        if (round >= by_bucket[b]) continue;
        store::Site& s = sites.emplace_back();
        s.site_id = ++id;
        s.blog_id = 1000 + id;
        s.bucket = kRange.min + b;
        s.url = "http://127.0.0.1/" + std::to_string(id);
        s.check_interval = 1 + static_cast<int>(id % 3);
      }
    }
    for (int i = 0; i < 2; ++i) {
      sites.push_back(sites[i]);
      sites.back().site_id = ++id;
      sites.back().active = false;
    }
    rollout_.Write([&](sql::Transaction& tx) { return store::InsertSites(tx, sites); });
  }
  Sampler Make(const std::string& run_id = "rol_1", store::Range range = kRange) {
    return {rollout_.db(), run_id, range, [this] {
              ++asked_;
              return alive_;
            }};
  }
  static Taken All(Sampler& sampler, uint64_t* first_ordinal = nullptr) {
    Taken taken;
    uint64_t ordinal = 0;
    bool first = true;
    for (;;) {
      auto sites = sampler.Next();
      EXPECT_TRUE(sites.ok()) << sites.status();
      if (!sites.ok() || sites->empty()) return taken;
      for (const auto& s : *sites) {
        if (first && first_ordinal != nullptr) *first_ordinal = s.ordinal;
        if (first) ordinal = s.ordinal;
        first = false;
        EXPECT_EQ(s.ordinal, ordinal++);
        EXPECT_EQ(s.site.bucket, sampler.bucket());
        EXPECT_EQ(s.site.url, "http://127.0.0.1/" + std::to_string(s.site.site_id));
        taken[s.site.bucket].push_back(s.site.site_id);
      }
    }
  }
  Taken Sample(uint64_t size, const std::string& run_id = "rol_1") {
    Sampler sampler = Make(run_id);
    EXPECT_TRUE(sampler.Count().ok());
    sampler.TakeInProportion(size);
    return All(sampler);
  }
  static std::set<uint64_t> Ids(const Taken& taken) {
    std::set<uint64_t> ids;
    for (const auto& [bucket, of_bucket] : taken) ids.insert(of_bucket.begin(), of_bucket.end());
    return ids;
  }

  absl::Status alive_;
  int asked_ = 0;
  TestRollout rollout_;
};

TEST_F(SamplerTest, TakesOfEachBucketInProportion) {
  AddSites({10, 20, 0, 70});
  Sampler sampler = Make();
  ASSERT_TRUE(sampler.Count().ok());
  EXPECT_EQ(sampler.active(), 100u);
  sampler.TakeInProportion(10);
  EXPECT_EQ(sampler.size(), 10u);
  EXPECT_EQ(sampler.by_bucket(), (Counts{1, 2, 0, 7}));
  const Taken taken = All(sampler);
  EXPECT_EQ(taken.at(2).size(), 1u);
  EXPECT_EQ(taken.at(3).size(), 2u);
  EXPECT_EQ(taken.at(5).size(), 7u);
  EXPECT_EQ(sampler.bucket(), 6u);
}

TEST_F(SamplerTest, ARunAlwaysTakesTheSameAndALargerSampleContainsASmallerOne) {
  AddSites({50, 50, 50, 50});
  const Taken ten = Sample(12);
  EXPECT_EQ(ten, Sample(12));
  EXPECT_NE(ten, Sample(12, "rol_2"));
  const auto small = Ids(ten), large = Ids(Sample(100));
  EXPECT_EQ(small.size(), 12u);
  EXPECT_EQ(large.size(), 100u);
  EXPECT_TRUE(std::includes(large.begin(), large.end(), small.begin(), small.end()));
}

TEST_F(SamplerTest, ALargeSampleTakesAll) {
  AddSites({600, 1, 0, 1100});
  const Taken all = Sample(10'000'000);
  EXPECT_EQ(Ids(all).size(), 1701u);
  EXPECT_EQ(Ids(all), Ids(Sample(1701)));
  // One less is picked instead of read whole: the same sites, in the same order.
  const Taken fewer = Sample(1700);
  EXPECT_EQ(fewer.at(2).size() + fewer.at(5).size(), 1699u + (fewer.count(3) > 0 ? 0 : 1));
  std::vector<uint64_t> rest;
  for (uint64_t id : all.at(5)) {
    if (Ids(fewer).count(id) > 0) rest.push_back(id);
  }
  EXPECT_EQ(rest, fewer.at(5));
}

TEST_F(SamplerTest, OfNothingIsNothing) {
  EXPECT_TRUE(Sample(100).empty());
  AddSites({5, 5, 5, 5});
  Sampler sampler = Make("rol_1", {9, 9});
  ASSERT_TRUE(sampler.Count().ok());
  sampler.TakeInProportion(10);
  EXPECT_TRUE(All(sampler).empty());
}

TEST_F(SamplerTest, GoesOnFromABucketAsItBegan) {
  AddSites({20, 30, 10, 40});
  Sampler first = Make();
  ASSERT_TRUE(first.Count().ok());
  first.TakeInProportion(50);
  const Taken all = All(first);
  // Sites that came meanwhile do not change how many are taken.
  rollout_.AddSite(5000, 3);
  Sampler again = Make();
  ASSERT_TRUE(again.Count().ok());
  ASSERT_TRUE(again.GoOn(first.by_bucket(), 4));
  uint64_t ordinal = 0;
  const Taken rest = All(again, &ordinal);
  EXPECT_EQ(ordinal, 25u);
  EXPECT_EQ(rest.count(3), 0u);
  EXPECT_EQ(rest.at(4), all.at(4));
  EXPECT_EQ(rest.at(5), all.at(5));
  EXPECT_FALSE(Make().GoOn({1, 2}, 2));
  EXPECT_FALSE(Make().GoOn(first.by_bucket(), 1));
}

TEST_F(SamplerTest, LeavesOutWhatCeasedToBeActive) {
  AddSites({20, 20, 20, 20});
  Sampler sampler = Make();
  ASSERT_TRUE(sampler.Count().ok());
  sampler.TakeInProportion(40);
  auto some = sampler.Next();
  ASSERT_TRUE(some.ok());
  rollout_.Write([](sql::Transaction& tx) {
    return tx.Execute("UPDATE jetpack_monitor_sites SET monitor_active = 0 WHERE bucket_no = 3", {})
        .status();
  });
  const Taken rest = All(sampler);
  EXPECT_EQ(rest.count(3), 0u);
  EXPECT_EQ(rest.at(4).size(), 10u);
}

TEST_F(SamplerTest, EndsWhenItsJobEnds) {
  AddSites({5, 5, 5, 5});
  Sampler sampler = Make();
  ASSERT_TRUE(sampler.Count().ok());
  EXPECT_GE(asked_, 4);
  sampler.TakeInProportion(8);
  ASSERT_TRUE(sampler.Next().ok());
  alive_ = absl::CancelledError("not ours");
  EXPECT_EQ(sampler.Next().status(), alive_);
  EXPECT_EQ(Make().Count(), alive_);
}

}  // namespace
}  // namespace jetmon::rollout
