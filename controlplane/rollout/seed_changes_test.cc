// Seed, final reconcile and activation while v1's table changes under them and their workers die:
// whatever happened in between, the end is that of a fresh computation.
#include <gtest/gtest.h>

#include <map>
#include <random>
#include <set>

#include "absl/strings/str_cat.h"
#include "controlplane/rollout/commits.h"
#include "controlplane/rollout/range_jobs.h"
#include "controlplane/rollout/seed.h"
#include "controlplane/rollout/test_rollout.h"
#include "jetmon/v1/operation.pb.h"
#include "store/events.h"

namespace jetmon::rollout {
namespace {

constexpr store::Range kRange{2, 5};
constexpr uint64_t kSites = 60;
constexpr int64_t kV1Began = 1'699'920'000'000;  // 2023-11-14 00:00:00

// v1's table as it is lived with: incidents, edits, sites that come, go and move.
class LegacyLife {
 public:
  LegacyLife(TestRollout& rollout, uint64_t seed) : rollout_(rollout), random_(seed) {}

  uint64_t Below(uint64_t n) { return random_() % n; }
  void Begin() {
    // In steps of seven, so that sites may come between the others.
    for (uint64_t i = 1; i <= kSites; ++i) Come(7 * i);
  }
  // One change to one site.
  void Change() {
    const uint64_t id = 7 * (1 + Below(kSites)) + (Below(4) == 0 ? Below(7) : 0);
    const auto at = status_.find(id);
    if (at == status_.end()) return Come(id);
    switch (Below(12)) {
      case 0:
        return Set(id, absl::StrCat("monitor_active = ", Below(2)));
      case 1:
        return Set(id, absl::StrCat("bucket_no = ", Bucket()));
      case 2:
        return Set(id, absl::StrCat("monitor_url = 'http://192.0.2.1/", ++edits_, "'"));
      case 3:
        return Set(id, absl::StrCat("check_interval = ", 1 + Below(9)));
      case 4:
        return Go(id);
      default:
        return V1Sees(id, &at->second);
    }
  }

 private:
  uint32_t Bucket() { return 1 + static_cast<uint32_t>(Below(6)); }  // 2 to 5 are the range's
  std::string NextTime() { return store::LegacyTime(kV1Began + 1000 * ++changes_); }
  void Set(uint64_t id, const std::string& assignments) {
    rollout_.Write([&](sql::Transaction& tx) {
      return tx
          .Execute("UPDATE jetpack_monitor_sites SET " + assignments +
                       " WHERE jetpack_monitor_site_id = ?",
                   {id})
          .status();
    });
  }
  void Come(uint64_t id) {
    rollout_.AddSite(id, Bucket());
    status_[id] = 1;
  }
  void Go(uint64_t id) {
    rollout_.Write([&](sql::Transaction& tx) {
      return tx.Execute("DELETE FROM jetpack_monitor_sites WHERE jetpack_monitor_site_id = ?", {id})
          .status();
    });
    status_.erase(id);
  }
  // Up -> Seems Down -> Down -> up, or back; and now and then what is no word.
  void V1Sees(uint64_t id, int* status) {
    if (*status == 1) {
      *status = Below(10) == 0 ? 3 : 0;
    } else if (*status == 0) {
      *status = Below(3) == 0 ? 1 : 2;
    } else {
      *status = 1;
    }
    Set(id, absl::StrCat("site_status = ", *status, ", last_status_change = '", NextTime(), "'"));
  }

  TestRollout& rollout_;
  std::mt19937_64 random_;
  std::map<uint64_t, int> status_;
  uint64_t edits_ = 0;
  int64_t changes_ = 0;
};

struct Param {
  bool by_site = false;
  uint64_t seed = 0;
};

class SeedChangesTest : public ::testing::TestWithParam<Param> {
 protected:
  SeedChangesTest() {
    rollout_.options().seed_rows = 5;
    rollout_.AddSession("rol_1", kRange, "monitor-a");
    if (!GetParam().by_site) rollout_.AddSite(1'000'000, 9);
    life_.Begin();
    rollout_.parts().at_commit = [this](std::string_view name, bool committed) {
      if (name != commits::kSeedBatch || !committed || !lively_) return;
      for (uint64_t n = life_.Below(6); n > 0; --n) life_.Change();
      // An activation's pass begins anew each time.
      killed_ = kills_left_ > 0 && life_.Below(4) == 0;
      if (killed_) --kills_left_;
    };
  }

  // v2 has held the range before: incidents of its own, one in three told.
  void LeaveIncidentsOfV2s() {
    rollout_.Write([&](sql::Transaction& tx) -> absl::Status {
      store::Actor monitor;
      monitor.source = "monitor";
      monitor.epoch = 1;
      monitor.instance = "a-0";
      monitor.notify_sends = true;
      monitor.now_ms = kV1Began - 60'000;
      for (uint64_t id = 7; id <= 7 * kSites / 2; id += 7) {
        auto site = store::GetSite(tx, id);
        if (!site.ok()) return site.status();
        store::Event e;
        auto opened = store::OpenEvent(tx, **site, {1, 0, "timeout", ""}, monitor, &e);
        if (!opened.ok()) return opened.status();
        if (id % 3 != 0) continue;
        auto down =
            store::ConfirmDown(tx, e, store::transition::kVerifierConfirmed, "", "[]", monitor);
        if (!down.ok()) return down.status();
      }
      return absl::OkStatus();
    });
  }

  // Runs the job to its end, on one worker after the other when one is killed; its answer.
  v1::OperationResponse Run(const std::string& job_id, const Executor& executor) {
    store::JobLease lease = rollout_.Claim(job_id);
    kills_left_ = 6;
    for (;;) {
      killed_ = false;
      const std::function<bool()> stopping = [this] { return killed_; };
      JobRun run(rollout_.parts(), rollout_.options(), rollout_.observer(), rollout_.Job(job_id),
                 lease, stopping);
      const absl::Status s = executor(run);
      EXPECT_TRUE(s.ok()) << s << sql::EngineText(s);
      const store::Job job = rollout_.Job(job_id);
      if (store::IsFinished(job.state) || !s.ok()) {
        EXPECT_EQ(job.state, "completed") << job.error;
        v1::OperationResponse answer;
        EXPECT_TRUE(answer.ParseFromString(job.result));
        return answer;
      }
      rollout_.Write([&](sql::Transaction& tx) {
        auto taken = store::TakeOverJob(tx, job_id, job.seq, "controlplane-x");
        if (taken.ok() && taken->has_value()) lease = **taken;
        return taken.status();
      });
    }
  }
  void Seed(const std::string& operation) {
    const std::string job_id = absl::StrCat("rjob_", operation);
    rollout_.AddJob(job_id, operation, "rol_1", kRange);
    const auto answer = Run(job_id, ExecuteSeed);
    const v1::SeedResult& r = answer.seed();
    // Whatever v1 did meanwhile.
    EXPECT_EQ(r.targets_before() + r.targets_inserted() - r.targets_removed(), r.targets_after());
    EXPECT_EQ(r.open_events_before() + r.adopted() - r.closed() - r.gone(), r.open_events_after());
    EXPECT_EQ(r.legacy_up() + r.legacy_seems_down() + r.legacy_down(), r.active_sites());
    EXPECT_TRUE(answer.warnings().empty()) << answer.DebugString();
  }
  // As a Monitor at the first load of its epoch.
  void AdoptAsMonitor(uint64_t epoch) {
    rollout_.Write([&](sql::Transaction& tx) -> absl::Status {
      for (uint32_t bucket = kRange.min; bucket <= kRange.max; ++bucket) {
        auto passed = store::FenceBucket(tx, bucket, epoch, "a-1");
        if (!passed.ok()) return passed.status();
        EXPECT_TRUE(*passed);
        store::Actor actor;
        actor.source = "rollout:seed";
        actor.epoch = epoch;
        actor.instance = "a-1";
        actor.now_ms = rollout_.clock().WallMs();
        auto adopted = store::AdoptSlice(tx, {.buckets = {bucket, bucket}}, actor);
        if (!adopted.ok()) return adopted.status();
      }
      return absl::OkStatus();
    });
  }

  std::map<uint64_t, store::Site> SitesOfRange() {
    std::map<uint64_t, store::Site> sites;
    for (uint32_t bucket = kRange.min; bucket <= kRange.max; ++bucket) {
      const auto of_bucket = rollout_.Get(
          [&](sql::Transaction& tx) { return store::ActiveSitesOfBucket(tx, bucket, {}, 10'000); });
      for (const store::Site& site : of_bucket) sites[site.site_id] = site;
    }
    return sites;
  }
  void ExpectTargetsOf(const std::map<uint64_t, store::Site>& sites) {
    size_t found = 0;
    for (uint32_t bucket = kRange.min; bucket <= kRange.max; ++bucket) {
      for (const store::Target& t :
           rollout_.Get([&](sql::Transaction& tx) { return store::TargetsOfBucket(tx, bucket); })) {
        ++found;
        ASSERT_TRUE(sites.contains(t.site_id)) << t.site_id;
        const store::Target expected = store::TargetOf(sites.at(t.site_id));
        EXPECT_EQ(t.bucket, expected.bucket) << t.site_id;
        EXPECT_EQ(t.url, expected.url) << t.site_id;
        EXPECT_EQ(t.interval, expected.interval) << t.site_id;
        EXPECT_EQ(t.config_hash, expected.config_hash) << t.site_id;
      }
    }
    EXPECT_EQ(found, sites.size());
  }
  void ExpectEventsOf(const std::map<uint64_t, store::Site>& sites) {
    std::set<uint64_t> open;
    for (uint32_t bucket = kRange.min; bucket <= kRange.max; ++bucket) {
      for (const store::Event& e : rollout_.Get(
               [&](sql::Transaction& tx) { return store::OpenEventsOfBucket(tx, bucket); })) {
        ASSERT_TRUE(sites.contains(e.site_id)) << "of a site that is gone: " << e.site_id;
        const store::Site& site = sites.at(e.site_id);
        SCOPED_TRACE(absl::StrCat("site ", site.site_id, ", site_status ", site.site_status, " at ",
                                  site.last_status_change));
        open.insert(e.site_id);
        EXPECT_EQ(e.bucket, site.bucket);
        EXPECT_NE(site.site_status, 1);
        EXPECT_EQ(e.severity == store::Severity::kDown, e.notified != 0);
        if (site.site_status != 3) {  // what is no word ends no Down
          EXPECT_EQ(e.severity,
                    site.site_status == 2 ? store::Severity::kDown : store::Severity::kSeemsDown);
          EXPECT_EQ(store::LegacyTime(site.site_status == 2 ? e.confirmed_at_ms : e.started_at_ms),
                    site.last_status_change)
              << "another incident than v1's";
        }
      }
    }
    for (const auto& [id, site] : sites) {
      EXPECT_EQ(open.contains(id), site.site_status != 1) << id;
    }
  }
  // Each event is what its transitions, in order, make of it.
  void ExpectReplays() {
    int events = 0;
    rollout_.Read([&](sql::Transaction& tx) {
      events = 0;
      return tx.Query(
          "SELECT e.event_id, e.last_seq, COUNT(t.seq), MAX(t.seq), SUM(t.to_severity - "
          "t.from_severity), e.severity, SUM(t.ended), e.ended_at_ms IS NOT NULL FROM "
          "jetmon_events e LEFT JOIN jetmon_event_transitions t ON t.event_id = e.event_id GROUP "
          "BY e.event_id, e.last_seq, e.severity, e.ended_at_ms",
          {}, [&](const sql::Row& row) {
            ++events;
            EXPECT_EQ(row.Int(1), row.Int(2)) << row.Uint(0);
            EXPECT_EQ(row.Int(1), row.Int(3)) << row.Uint(0);
            EXPECT_EQ(row.Int(4), row.Int(5)) << row.Uint(0);
            EXPECT_EQ(row.Int(6), row.Int(7)) << row.Uint(0);
            return absl::OkStatus();
          });
    });
    EXPECT_GT(events, 0);
  }
  uint64_t Notifications() {
    uint64_t count = 0;
    rollout_.Read([&](sql::Transaction& tx) {
      return tx.Query("SELECT COUNT(*) FROM jetmon_notifications", {}, [&](const sql::Row& row) {
        count = row.Uint(0);
        return absl::OkStatus();
      });
    });
    return count;
  }

  TestRollout rollout_;
  LegacyLife life_{rollout_, GetParam().seed};
  bool lively_ = false, killed_ = false;
  int kills_left_ = 0;
};

TEST_P(SeedChangesTest, EndsAsAFreshComputationWould) {
  if (GetParam().seed % 2 == 1) LeaveIncidentsOfV2s();
  const uint64_t told = Notifications();
  lively_ = true;
  Seed("seed");
  for (int i = 0; i < 20; ++i) life_.Change();
  Seed("final_reconcile");
  // Until the grant anything may change, and what is as it then is is what activation makes right.
  for (int i = 0; i < 20; ++i) life_.Change();
  FakeMonitor monitor(rollout_.db(), "monitor-a", "a-1");
  monitor.Poll();
  monitor.Run();
  const store::RangeLock lock =
      rollout_.AddGrant(kRange, "monitor-a", "a-1", "rol_1", "rjob_activate");
  // A pass that is disturbed is right about what it found; the rest is the Monitor's.
  lively_ = GetParam().seed % 3 == 0;
  rollout_.AddJob("rjob_activate", "activate_buckets", "rol_1", kRange, lock.epoch, "monitor-a");
  Run("rjob_activate", ExecuteActivate);
  if (!lively_) {
    ExpectTargetsOf(SitesOfRange());
    ExpectEventsOf(SitesOfRange());
  }
  for (int i = 0; i < 20; ++i) life_.Change();
  AdoptAsMonitor(lock.epoch);
  ExpectEventsOf(SitesOfRange());
  ExpectReplays();
  EXPECT_EQ(Notifications(), told) << "nobody is told by adoption";
}

std::vector<Param> Params() {
  std::vector<Param> params;
  for (uint64_t seed = 0; seed < 6; ++seed) {
    for (const bool by_site : {true, false}) params.push_back({by_site, seed});
  }
  return params;
}

INSTANTIATE_TEST_SUITE_P(Lives, SeedChangesTest, ::testing::ValuesIn(Params()), [](const auto& p) {
  return absl::StrCat(p.param.by_site ? "BySite" : "ByBucket", p.param.seed);
});

}  // namespace
}  // namespace jetmon::rollout
