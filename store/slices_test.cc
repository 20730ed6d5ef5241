#include "store/slices.h"

#include <map>

#include "absl/strings/str_cat.h"
#include "store/events.h"
#include "store/rows.h"
#include "store/test_adoption.h"
#include "store/test_database.h"
#include "store/test_sites.h"

namespace jetmon::store {
namespace {

constexpr int64_t kNow = 1'700'000'000'000;

// Ten sites in the buckets 3 and 4; of bucket 3, the second is not active. Read by bucket and by
// site.
class SlicesTest : public testing::TestWithParam<bool> {
 protected:
  SlicesTest() {
    std::vector<Site> sites;
    for (uint64_t id = 1; id <= 10; ++id) sites.push_back(MakeSite(id, id <= 6 ? 3 : 4));
    sites[1].active = false;
    sites[2].site_status = 2;
    sites[3].site_status = 0;
    sites[8].site_status = 7;  // v1's word for nothing
    Write([&](sql::Transaction& tx) { return InsertSites(tx, sites); });
  }
  static Site MakeSite(uint64_t id, uint32_t bucket) {
    Site s;
    s.site_id = id;
    s.blog_id = 7 + id;
    s.bucket = bucket;
    s.url = "http://192.0.2.1/s/" + std::to_string(id);
    s.check_interval = static_cast<int>(1 + id % 5);
    return s;
  }
  void Write(const sql::Body& body) {
    const absl::Status s = db_->Write(body);
    EXPECT_TRUE(s.ok()) << s << sql::EngineText(s);
  }
  void Change(const std::string& set, uint64_t site_id) {
    Write([&](sql::Transaction& tx) {
      return tx
          .Execute("UPDATE jetpack_monitor_sites SET " + set + " WHERE jetpack_monitor_site_id = ?",
                   {site_id})
          .status();
    });
  }
  // All of the two buckets: slices of at most `rows` rows, one after the other.
  void EachSlice(uint64_t rows,
                 const std::function<absl::Status(sql::Transaction&, const Slice&)>& f) {
    std::vector<Range> ranges = {{3, 4}};
    if (!GetParam()) ranges = {{3, 3}, {4, 4}};
    for (const Range& range : ranges) {
      Slice slice;
      slice.buckets = range;
      slice.by_site = GetParam();
      bool more = true;
      while (more) {
        Write([&](sql::Transaction& tx) -> absl::Status {
          slice.upto = kLastSite;
          auto end = SliceEnd(tx, slice, rows);
          if (!end.ok()) return end.status();
          slice.upto = *end;
          more = *end != kLastSite;
          return f(tx, slice);
        });
        slice.after = slice.upto;
      }
    }
  }
  // Brings the targets of all slices up to date; what that did.
  SyncCounts Sync() {
    SyncCounts sum;
    EachSlice(3, [&](sql::Transaction& tx, const Slice& slice) -> absl::Status {
      auto c = SyncTargets(tx, slice, kNow);
      if (!c.ok()) return c.status();
      sum.active += c->active;
      sum.inserted += c->inserted;
      sum.changed += c->changed;
      for (const auto& [bucket, n] : c->moved) sum.moved[bucket] += n;
      sum.removed += c->removed;
      return absl::OkStatus();
    });
    return sum;
  }
  static uint64_t Written(const SyncCounts& counts) {
    uint64_t written = counts.inserted + counts.changed;
    for (const auto& [bucket, n] : counts.moved) written += n;
    return written;
  }
  uint64_t WriteAll() { return Written(Sync()); }

  TestDatabase db_;
};

TEST_P(SlicesTest, TogetherHoldEachActiveSiteOnceWhateverTheirSize) {
  for (const uint64_t rows : {1, 2, 3, 100}) {
    SiteCounts all;
    std::vector<uint64_t> not_up;
    EachSlice(rows, [&](sql::Transaction& tx, const Slice& slice) -> absl::Status {
      const auto c = CountSlice(tx, slice);
      if (!c.ok()) return c.status();
      EXPECT_LE(c->active, rows);
      all.active += c->active;
      all.up += c->up;
      all.seems_down += c->seems_down;
      all.down += c->down;
      all.other += c->other;
      const auto sites = SitesNotUp(tx, slice);
      if (!sites.ok()) return sites.status();
      for (const Site& site : *sites) not_up.push_back(site.site_id);
      return absl::OkStatus();
    });
    EXPECT_EQ(all.active, 9u) << rows;
    EXPECT_EQ(all.up, 6u);
    EXPECT_EQ(all.seems_down, 1u);
    EXPECT_EQ(all.down, 1u);
    EXPECT_EQ(all.other, 1u);
    std::sort(not_up.begin(), not_up.end());
    EXPECT_EQ(not_up, (std::vector<uint64_t>{3, 4, 9}));
  }
}

TEST_P(SlicesTest, TargetsAreWrittenAsWeWouldWriteThemAndOnlyWhereTheyDiffer) {
  EXPECT_EQ(WriteAll(), 9u);
  EXPECT_EQ(WriteAll(), 0u);
  Change("monitor_url = 'http://192.0.2.1/changed'", 1);
  Change("bucket_no = 4", 3);
  Change("monitor_active = 1", 2);
  EXPECT_EQ(WriteAll(), 3u);
  EXPECT_EQ(WriteAll(), 0u);
  Write([&](sql::Transaction& tx) -> absl::Status {
    uint64_t found = 0;
    for (const uint32_t bucket : {3, 4}) {
      const auto targets = TargetsOfBucket(tx, bucket);
      for (const Target& t : *targets) {
        ++found;
        const Target ours = TargetOf(**GetSite(tx, t.site_id));
        EXPECT_EQ(t.bucket, ours.bucket);
        EXPECT_EQ(t.blog_id, ours.blog_id);
        EXPECT_EQ(t.url, ours.url);
        EXPECT_EQ(t.interval, ours.interval);
        EXPECT_EQ(t.phase, ours.phase);
        EXPECT_EQ(t.config_hash, ours.config_hash);
      }
    }
    EXPECT_EQ(found, 10u);
    return absl::OkStatus();
  });
}

TEST_P(SlicesTest, TargetsWhoseSiteLeftGo) {
  WriteAll();
  EXPECT_EQ(Sync().removed, 0u);
  Change("monitor_active = 0", 1);
  Change("bucket_no = 9", 7);
  EXPECT_EQ(Sync().removed, 2u);
  // One goes and one comes: as many as before, and yet not the same.
  Change("monitor_active = 0", 8);
  Change("monitor_active = 1", 1);
  const SyncCounts both = Sync();
  EXPECT_EQ(both.removed, 1u);
  EXPECT_EQ(both.inserted, 1u);
  EXPECT_EQ(Written(both), 1u);
  EXPECT_EQ(both.active, 7u);
  EXPECT_EQ(Sync().removed, 0u);
  Write([&](sql::Transaction& tx) -> absl::Status {
    EXPECT_EQ(*CountTargets(tx, {0, 100}), 7u);
    return absl::OkStatus();
  });
}

TEST_P(SlicesTest, WhatV1SawIsAdoptedAndWhatIsGoneEnds) {
  Actor actor;
  actor.source = "rollout:seed";
  actor.epoch = 4;
  actor.instance = "ins_1";
  actor.host = "monitor-a";
  actor.now_ms = kNow;
  AdoptionCounts sum;
  const auto adopt = [&](sql::Transaction& tx, const Slice& slice) -> absl::Status {
    const auto c = AdoptSlice(tx, slice, actor);
    if (!c.ok()) return c.status();
    sum.opened += c->opened;
    sum.promoted += c->promoted;
    sum.closed += c->closed;
    sum.reopened += c->reopened;
    return absl::OkStatus();
  };
  const auto open = [&] {
    uint64_t n = 0;
    Write([&](sql::Transaction& tx) -> absl::Status {
      auto count = CountOpenEvents(tx, {3, 4});
      if (count.ok()) n = *count;
      return count.status();
    });
    return n;
  };
  EachSlice(2, adopt);
  EXPECT_EQ(sum.opened, open());
  const auto texts = [&](const std::string& query, uint64_t site_id) {
    std::vector<std::string> found;
    Write([&](sql::Transaction& tx) {
      found.clear();
      return tx.Query(query, {site_id}, [&](const sql::Row& row) {
        found.push_back(row.Text(0));
        return absl::OkStatus();
      });
    });
    return found;
  };
  const auto said = [&](uint64_t site_id) {
    return texts(
        "SELECT reason || ' ' || seq || ' ' || from_severity || ' ' || to_severity || ' ' || "
        "notified || ' ' || ended || ' ' || source || ' ' || epoch || '/' || instance || '/' || "
        "host || ' ' || detail FROM jetmon_event_transitions WHERE site_id = ? ORDER BY event_id, "
        "seq",
        site_id);
  };
  const auto projected = [&](uint64_t site_id) {
    return texts(
        "SELECT projected_epoch || '/' || projected_instance || '/' || projected_host || ' at ' || "
        "projected_at_ms FROM jetmon_events WHERE site_id = ? ORDER BY event_id",
        site_id);
  };
  const std::string who = " rollout:seed 4/ins_1/monitor-a ";
  std::vector<std::string> words = {
      absl::StrCat("adopted 1 0 4 2 0", who, "site_status 2, last_status_change NULL")};
  EXPECT_EQ(said(3), words);
  const std::string projection = absl::StrCat("4/ins_1/monitor-a at ", kNow);
  EXPECT_EQ(projected(3), std::vector<std::string>{projection});
  EXPECT_EQ(sum.opened, 3u);  // 3, 4, and 9 by what its status is taken for
  EachSlice(2, adopt);
  EXPECT_EQ(sum.opened, open()) << "adopted twice";
  // v1 found 3 up in between: the event that is opened anew has the words of any other.
  Change("last_status_change = '2023-11-14 20:00:00'", 3);
  EachSlice(2, adopt);
  EXPECT_EQ(sum.reopened, 1u);
  const std::string now = who + "site_status 2, last_status_change 2023-11-14 20:00:00";
  words.push_back("superseded 2 4 0 2 1" + now);
  words.push_back("adopted 1 0 4 2 0" + now);
  EXPECT_EQ(said(3), words);
  EXPECT_EQ(projected(3), (std::vector<std::string>{projection, projection}));
  // v1 finds 3 up and 4 down; 9 is not checked any more.
  Change("site_status = 1", 3);
  Change("site_status = 2", 4);
  EachSlice(100, adopt);
  EXPECT_EQ(sum.closed, 1u);
  EXPECT_EQ(sum.promoted, 1u);
  const uint64_t before = open();
  Change("monitor_active = 0", 4);
  for (int i = 0; i < 2; ++i) {
    EachSlice(2, adopt);
    EXPECT_EQ(open(), before - 1);
  }
}

// v1 moved a site here from a bucket outside of the slices, where it has an event and a target.
TEST_P(SlicesTest, WhatASiteHasInABucketThatItLeftIsInNobodysWay) {
  Site moved = MakeSite(11, 9);
  moved.site_status = 2;
  Actor actor;
  actor.source = "rollout:seed";
  actor.now_ms = kNow;
  Write([&](sql::Transaction& tx) -> absl::Status {
    if (auto s = InsertSites(tx, {moved}); !s.ok()) return s;
    if (auto s = UpsertTargets(tx, {TargetOf(moved)}, kNow); !s.ok()) return s;
    return AdoptOne(tx, moved, actor).status();
  });
  Change("bucket_no = 4", 11);
  AdoptionCounts sum;
  EachSlice(100, [&](sql::Transaction& tx, const Slice& slice) -> absl::Status {
    auto c = AdoptSlice(tx, slice, actor);
    if (!c.ok()) return c.status();
    sum.opened += c->opened;
    sum.reopened += c->reopened;
    for (const auto& [bucket, n] : c->left) sum.left[bucket] += n;
    return absl::OkStatus();
  });
  EXPECT_EQ(sum.reopened, 0u);
  EXPECT_EQ(sum.left, (std::map<uint32_t, uint64_t>{{9, 1}}));
  const SyncCounts synced = Sync();
  EXPECT_EQ(synced.active, 10u);
  EXPECT_EQ(synced.inserted, 9u);
  EXPECT_EQ(synced.moved, (std::map<uint32_t, uint64_t>{{9, 1}}));
  Write([&](sql::Transaction& tx) -> absl::Status {
    EXPECT_EQ((*OpenEventOfSite(tx, 11))->bucket, 4u);
    EXPECT_EQ(*CountOpenEvents(tx, {9, 9}), 0u);
    EXPECT_EQ(*CountTargets(tx, {9, 9}), 0u);
    EXPECT_EQ(*CountTargets(tx, {3, 4}), 10u);
    return absl::OkStatus();
  });
}

TEST_P(SlicesTest, ConditionsHoldForSitesAndForRowsOfTheirs) {
  WriteAll();
  Slice slice;
  slice.buckets = GetParam() ? Range{3, 4} : Range{3, 3};
  slice.after = 3;
  slice.upto = GetParam() ? 8 : 5;
  slice.by_site = GetParam();
  const auto ids = [&](const std::string& query, const SliceCondition& in) {
    std::vector<uint64_t> found;
    Write([&](sql::Transaction& tx) {
      found.clear();
      return tx.Query(query + in.sql + " ORDER BY 1", in.values, [&](const sql::Row& row) {
        found.push_back(row.Uint(0));
        return absl::OkStatus();
      });
    });
    return found;
  };
  const std::vector<uint64_t> expected =
      GetParam() ? std::vector<uint64_t>{4, 5, 6, 7, 8} : std::vector<uint64_t>{4, 5};
  EXPECT_EQ(
      ids("SELECT s.jetpack_monitor_site_id FROM jetpack_monitor_sites s WHERE ", SitesIn(slice)),
      expected);
  EXPECT_EQ(ids("SELECT site_id FROM jetmon_check_targets WHERE ", RowsIn(slice, "")), expected);
  EXPECT_EQ(ids("SELECT t.site_id FROM jetmon_check_targets t WHERE ", RowsIn(slice, "t.")),
            expected);
}

INSTANTIATE_TEST_SUITE_P(Ways, SlicesTest, testing::Bool(),
                         [](const auto& p) { return p.param ? "BySite" : "ByBucket"; });

TEST(Slices, AreReadBySiteWhereTheyAreAGoodPartOfTheTable) {
  TestDatabase db;
  const absl::Status s = db->Write([](sql::Transaction& tx) -> absl::Status {
    Site first, last;
    first.site_id = 1;
    last.site_id = 8001;
    first.url = last.url = "http://192.0.2.1/";
    if (auto s = InsertSites(tx, {first, last}); !s.ok()) return s;
    const auto ids = GetSiteIds(tx);
    if (!ids.ok()) return ids.status();
    EXPECT_EQ(ids->first, 1u);
    EXPECT_EQ(ids->last, 8001u);
    EXPECT_FALSE(IsReadBySite(2, *ids));
    EXPECT_TRUE(IsReadBySite(4000, *ids));
    EXPECT_GT(MostRowsAtOnce(sql::SqliteDialect()), MostRowsAtOnce(sql::MysqlDialect()));
    EXPECT_GT(MostRowsAtOnce(tx.dialect()), 0u);
    return absl::OkStatus();
  });
  EXPECT_TRUE(s.ok()) << s;
}

TEST(Rows, ComeInPiecesOfFewSizes) {
  std::vector<std::pair<size_t, size_t>> pieces;
  const auto keep = [&](size_t at, size_t n) {
    pieces.push_back({at, n});
    return absl::OkStatus();
  };
  EXPECT_TRUE(InPieces(0, keep).ok());
  EXPECT_TRUE(pieces.empty());
  EXPECT_TRUE(InPieces(600, keep).ok());
  size_t next = 0;
  for (const auto& [at, n] : pieces) {
    EXPECT_EQ(at, next);
    EXPECT_EQ(n & (n - 1), 0u) << n;
    EXPECT_LE(n, 256u);
    next += n;
  }
  EXPECT_EQ(next, 600u);
  int calls = 0;
  EXPECT_TRUE(absl::IsNotFound(InPieces(600, [&](size_t, size_t) {
    ++calls;
    return absl::NotFoundError("");
  })));
  EXPECT_EQ(calls, 1);
  EXPECT_EQ(Marks(1), "(?)");
  EXPECT_EQ(Marks(3), "(?, ?, ?)");
}

TEST(Rows, AreInsertedAndFoundByIdHoweverMany) {
  TestDatabase db;
  constexpr int64_t kRows = 700;
  const absl::Status s = db->Write([](sql::Transaction& tx) -> absl::Status {
    std::vector<std::vector<sql::Value>> rows;
    std::vector<uint64_t> odd;
    for (int64_t i = 1; i <= kRows; ++i) {
      rows.push_back({i, i % 7});
      if (i % 2 == 1) odd.push_back(i);
    }
    const char* head = "INSERT INTO jetmon_endpoint_runtime (site_id, bucket_no) VALUES ";
    if (auto s = InsertRows(tx, head, "", 2, rows); !s.ok()) return s;
    EXPECT_TRUE(absl::IsAlreadyExists(InsertRows(tx, head, "", 2, {rows[0]})));
    const std::string again = tx.dialect().OnDuplicateUpdate({"site_id"}, {"bucket_no"});
    if (auto s = InsertRows(tx, head, again, 2, {{1, 50}}); !s.ok()) return s;
    if (auto s = ExecuteIn(tx, "DELETE FROM jetmon_endpoint_runtime WHERE site_id",
                           " AND bucket_no <> 50", odd);
        !s.ok()) {
      return s;
    }
    // One row, whatever there is.
    return tx.Query("SELECT COUNT(*), MIN(site_id), SUM(site_id) FROM jetmon_endpoint_runtime", {},
                    [](const sql::Row& row) {
                      EXPECT_EQ(row.Int(0), kRows / 2 + 1);
                      EXPECT_EQ(row.Int(1), 1);
                      EXPECT_EQ(row.Int(2), 1 + 2 * (kRows / 2) * (kRows / 2 + 1) / 2);
                      return absl::OkStatus();
                    });
  });
  EXPECT_TRUE(s.ok()) << s << sql::EngineText(s);
}

}  // namespace
}  // namespace jetmon::store
