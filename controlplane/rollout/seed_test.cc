#include "controlplane/rollout/seed.h"

#include <gtest/gtest.h>

#include <utility>

#include "controlplane/rollout/commits.h"
#include "controlplane/rollout/test_rollout.h"
#include "store/events.h"
#include "store/notifications.h"

namespace jetmon::rollout {
namespace {

constexpr store::Range kRange{2, 5};

// Sites in order of ids, or, when the range has few of the table's, bucket by bucket.
enum class Way { kBySite, kByBucket };

class SeedTest : public ::testing::TestWithParam<Way> {
 protected:
  SeedTest() {
    rollout_.AddSession("rol_1", kRange, "monitor-a");
    if (GetParam() == Way::kByBucket) rollout_.AddSite(1'000'000, 9);
  }
  // Runs a new job of this kind to its end; its answer.
  v1::OperationResponse Seed(const std::string& operation = "seed") {
    const std::string id = "rjob_" + std::to_string(++jobs_);
    rollout_.AddJob(id, operation, "rol_1", kRange);
    const auto answer = Answer(rollout_.RunJob(id, ExecuteSeed));
    EXPECT_TRUE(AddsUp(answer)) << answer.DebugString();
    return answer;
  }
  // As SeedResult says, and the answer says nothing else.
  static bool AddsUp(const v1::OperationResponse& answer) {
    const v1::SeedResult& r = answer.seed();
    const bool targets =
        r.targets_before() + r.targets_inserted() - r.targets_removed() == r.targets_after();
    const bool events =
        r.open_events_before() + r.adopted() - r.closed() - r.gone() == r.open_events_after();
    EXPECT_EQ(r.targets_written(), r.targets_inserted() + r.targets_changed());
    EXPECT_EQ(r.active_sites(), r.legacy_up() + r.legacy_seems_down() + r.legacy_down());
    EXPECT_EQ(answer.warnings().empty(), targets && events);
    return targets && events;
  }
  static v1::OperationResponse Answer(const store::Job& job) {
    v1::OperationResponse answer;
    EXPECT_TRUE(answer.ParseFromString(job.result));
    return answer;
  }
  std::vector<store::Target> Targets(uint32_t bucket) {
    return rollout_.Get([&](sql::Transaction& tx) { return store::TargetsOfBucket(tx, bucket); });
  }
  std::optional<store::Event> OpenEvent(uint64_t site_id) {
    return rollout_.Get([&](sql::Transaction& tx) { return store::OpenEventOfSite(tx, site_id); });
  }
  void Change(uint64_t site_id, const std::string& assignment) {
    rollout_.Write([&](sql::Transaction& tx) {
      return tx
          .Execute("UPDATE jetpack_monitor_sites SET " + assignment +
                       " WHERE jetpack_monitor_site_id = ?",
                   {site_id})
          .status();
    });
  }

  TestRollout rollout_;
  int jobs_ = 0;
};

TEST_P(SeedTest, WritesTargetsAndAdoptsWhatV1Knows) {
  rollout_.AddSite(1, 2, 1);
  rollout_.AddSite(2, 3, 0);
  rollout_.AddSite(3, 5, 2);
  rollout_.AddSite(4, 6, 2);  // outside
  const auto answer = Seed();
  const v1::SeedResult& r = answer.seed();
  EXPECT_EQ(answer.status(), "ok");
  EXPECT_EQ(r.active_sites(), 3u);
  EXPECT_EQ(r.targets_before(), 0u);
  EXPECT_EQ(r.targets_written(), 3u);
  EXPECT_EQ(r.targets_after(), 3u);
  EXPECT_EQ(r.adopted(), 2u);
  EXPECT_EQ(r.open_events_after(), 2u);
  EXPECT_EQ(r.legacy_up(), 1u);
  EXPECT_EQ(r.legacy_seems_down(), 1u);
  EXPECT_EQ(r.legacy_down(), 1u);
  EXPECT_EQ(OpenEvent(2)->severity, store::Severity::kSeemsDown);
  EXPECT_EQ(OpenEvent(3)->severity, store::Severity::kDown);
  EXPECT_EQ(OpenEvent(3)->notified, 2);
  EXPECT_FALSE(OpenEvent(4).has_value());
  // Nobody is told, whatever v1's state was.
  EXPECT_EQ(rollout_.Get([](sql::Transaction& tx) {
    return store::CountQueued(tx, {0, TestRollout::kBuckets - 1});
  }),
            0u);
  EXPECT_EQ(rollout_.CheckpointKinds("rol_1"), std::vector<std::string>{"seed_completed"});
}

TEST_P(SeedTest, AnotherPassChangesNothing) {
  rollout_.AddSite(1, 2, 1);
  rollout_.AddSite(2, 3, 2);
  Seed();
  const auto before = Targets(3);
  const auto answer = Seed("final_reconcile");
  EXPECT_EQ(answer.seed().targets_before(), 2u);
  EXPECT_EQ(answer.seed().targets_written(), 0u);
  EXPECT_EQ(answer.seed().adopted(), 0u);
  EXPECT_EQ(answer.seed().open_events_before(), 1u);
  EXPECT_EQ(rollout_.CheckpointKinds("rol_1"),
            (std::vector<std::string>{"seed_completed", "final_reconcile_completed"}));
}

TEST_P(SeedTest, FollowsWhatHappenedUnderV1) {
  for (uint64_t id = 1; id <= 7; ++id) rollout_.AddSite(id, 3, id <= 4 ? 0 : 1);
  Seed();
  Change(1, "site_status = 1, last_status_change = '2023-11-14 01:00:00'");  // recovered
  Change(2, "site_status = 2");                                              // worse
  Change(3, "last_status_change = '2023-11-14 02:00:00'");                   // a newer incident
  Change(4, "monitor_active = 0");                                           // gone, with an event
  Change(5, "monitor_url = 'http://127.0.0.2/'");                            // edited
  Change(6, "bucket_no = 4");                                                // moved within
  Change(7, "bucket_no = 9");                                                // moved away
  const auto answer = Seed();
  const v1::SeedResult& r = answer.seed();
  EXPECT_EQ(r.closed(), 1u);
  EXPECT_EQ(r.promoted(), 1u);
  EXPECT_EQ(r.reopened(), 1u);
  EXPECT_EQ(r.adopted(), 0u);
  EXPECT_EQ(r.gone(), 1u);
  EXPECT_EQ(r.targets_removed() - r.targets_inserted(), 2u);  // 4 and 7
  EXPECT_FALSE(OpenEvent(1).has_value());
  EXPECT_EQ(OpenEvent(2)->severity, store::Severity::kDown);
  EXPECT_EQ(OpenEvent(3)->started_at_ms, store::ParseLegacyTime("2023-11-14 02:00:00"));
  EXPECT_FALSE(OpenEvent(4).has_value());
  std::vector<uint64_t> left;
  for (const auto& t : Targets(3)) left.push_back(t.site_id);
  EXPECT_EQ(left, (std::vector<uint64_t>{1, 2, 3, 5}));
  EXPECT_EQ(Targets(3)[3].url, "http://127.0.0.2/");
  ASSERT_EQ(Targets(4).size(), 1u);
  EXPECT_EQ(Targets(4)[0].site_id, 6u);
  EXPECT_EQ(r.targets_after(), 5u);
}

TEST_P(SeedTest, TakesWhatOtherBucketsHaveOfASite) {
  for (uint64_t id = 1; id <= 6; ++id) rollout_.AddSite(id, id <= 4 ? 9 : 3, id % 2 == 0 ? 2 : 1);
  rollout_.AddSession("rol_9", {9, 9}, "monitor-b");
  rollout_.AddJob("rjob_9", "seed", "rol_9", {9, 9});
  rollout_.RunJob("rjob_9", ExecuteSeed);
  Seed();
  Change(1, "bucket_no = 5");                   // up, with a target
  Change(2, "bucket_no = 5");                   // down, with an event
  Change(4, "bucket_no = 2, site_status = 1");  // has recovered since
  Change(6, "bucket_no = 5");                   // within the range
  const auto answer = Seed();
  const v1::SeedResult& r = answer.seed();
  EXPECT_EQ(r.targets_after(), 5u);
  EXPECT_EQ(r.open_events_after(), 2u);
  EXPECT_EQ(r.closed(), 0u) << "it was no open event of the range";
  for (const uint64_t id : {2, 6}) {
    EXPECT_EQ(OpenEvent(id)->bucket, 5u);
    EXPECT_EQ(OpenEvent(id)->notified, 2);
  }
  EXPECT_FALSE(OpenEvent(4).has_value());
  rollout_.AddJob("rjob_10", "seed", "rol_9", {9, 9});
  EXPECT_TRUE(AddsUp(Answer(rollout_.RunJob("rjob_10", ExecuteSeed))));
  EXPECT_EQ(Targets(5).size(), 3u) << "what went to another range is not gone";
}

TEST_P(SeedTest, ABlogHasManySitesAndATimeMayBeMissing) {
  const std::vector<std::string> times = {"NULL", "'0000-00-00 00:00:00'", "'2023-11-14 00:00:00'",
                                          "'2037-01-01 00:00:00'"};
  const std::vector<int> statuses = {0, 1, 2, 3, -1, 100};
  uint64_t id = 0;
  for (const std::string& time : times) {
    for (const int status : statuses) {
      rollout_.AddSite(++id, 3, status, "http://192.0.2.1/the-same");
      Change(id, "blog_id = 7, last_status_change = " + time);
    }
  }
  const auto answer = Seed();
  EXPECT_EQ(answer.seed().active_sites(), id);
  EXPECT_EQ(answer.seed().targets_inserted(), id);
  EXPECT_EQ(answer.seed().adopted(), id / 6 * 5);
  EXPECT_EQ(answer.seed().legacy_down(), id / 6);
  EXPECT_EQ(answer.seed().legacy_seems_down(), id / 6 * 4);
  for (uint64_t site_id = 1; site_id <= id; ++site_id) {
    const int status = statuses[(site_id - 1) % 6];
    const auto open = OpenEvent(site_id);
    ASSERT_EQ(open.has_value(), status != 1) << site_id;
    if (status == 1) continue;
    EXPECT_EQ(open->severity, status == 2 ? store::Severity::kDown : store::Severity::kSeemsDown);
    EXPECT_EQ(open->notified, status == 2 ? 2 : 0);
    EXPECT_LE(open->started_at_ms, rollout_.clock().WallMs());
  }
  const auto again = Seed();
  EXPECT_EQ(again.seed().targets_written() + again.seed().adopted() + again.seed().promoted() +
                again.seed().closed() + again.seed().reopened() + again.seed().gone(),
            0u);
}

// v2 held the range, with open incidents; v1 has had it since.
TEST_P(SeedTest, GoesOnFromAnEarlierTimeUnderV2) {
  constexpr int kSites = 6;
  for (uint64_t id = 1; id <= kSites; ++id) rollout_.AddSite(id, 4);
  const auto incident = [&](uint64_t id, bool down) {
    rollout_.Write([&](sql::Transaction& tx) -> absl::Status {
      store::Actor monitor;
      monitor.source = "monitor";
      monitor.epoch = 1;
      monitor.instance = "a-1";
      monitor.notify_sends = true;
      monitor.now_ms = TestRollout::kNow;
      auto site = store::GetSite(tx, id);
      if (!site.ok()) return site.status();
      store::Event e;
      auto opened = store::OpenEvent(tx, **site, {1, 0, "timeout", ""}, monitor, &e);
      if (!opened.ok() || !down) return opened.status();
      return store::ConfirmDown(tx, e, store::transition::kVerifierConfirmed, "", "[]", monitor)
          .status();
    });
  };
  for (uint64_t id = 1; id <= kSites; ++id) incident(id, id != 3 && id != 6);
  const auto queued = [&] {
    return rollout_.Get([](sql::Transaction& tx) {
      return store::CountQueued(tx, {0, TestRollout::kBuckets - 1});
    });
  };
  ASSERT_EQ(queued(), 4u);
  const auto ours = [&](uint64_t id) { return OpenEvent(id)->event_id; };
  const std::vector<uint64_t> before = {0, ours(1), ours(2), ours(3), ours(4), ours(5), ours(6)};
  Change(1, "site_status = 1, last_status_change = '2023-11-15 01:00:00'");  // ended
  Change(2, "last_status_change = '2023-11-15 02:00:00'");                   // another, told by v1
  Change(3, "site_status = 2, last_status_change = '2023-11-15 03:00:00'");  // worse, told by v1
  Change(4, "site_status = 0, last_status_change = '2023-11-15 04:00:00'");  // another, not told
  const auto answer = Seed();
  const v1::SeedResult& r = answer.seed();
  EXPECT_EQ(r.open_events_before(), 6u);
  EXPECT_EQ(r.closed(), 1u);
  EXPECT_EQ(r.reopened(), 2u);
  EXPECT_EQ(r.promoted(), 1u);
  EXPECT_EQ(r.open_events_after(), 5u);
  EXPECT_EQ(queued(), 4u) << "seed tells nobody";
  EXPECT_NE(ours(2), before[2]);
  EXPECT_NE(ours(4), before[4]);
  for (const uint64_t id : {3, 5, 6}) EXPECT_EQ(ours(id), before[id]) << id;
  const std::vector<int> notified = {0, 0, 2, 2, 0, 1, 0};
  for (uint64_t id = 2; id <= kSites; ++id) EXPECT_EQ(OpenEvent(id)->notified, notified[id]) << id;
  const auto again = Seed("final_reconcile");
  EXPECT_EQ(again.seed().closed() + again.seed().reopened() + again.seed().promoted(), 0u);
}

TEST_P(SeedTest, SaysSoWhenSomebodyElseWrote) {
  rollout_.AddSite(1, 3, 2);
  bool once = true;
  rollout_.parts().at_commit = [&](std::string_view name, bool committed) {
    if (name != commits::kSeedBatch || !committed || !std::exchange(once, false)) return;
    rollout_.Write([](sql::Transaction& tx) { return store::DeleteTargets(tx, {1}); });
  };
  rollout_.AddJob("rjob_x", "seed", "rol_1", kRange);
  const auto answer = Answer(rollout_.RunJob("rjob_x", ExecuteSeed));
  EXPECT_EQ(answer.status(), "ok");
  EXPECT_FALSE(AddsUp(answer));
  ASSERT_EQ(answer.warnings_size(), 1);
  EXPECT_EQ(answer.warnings(0).code(), "counts_do_not_add_up");
}

TEST_P(SeedTest, IsRefusedWhereTheRangeIsNotV1s) {
  rollout_.AddSite(1, 2, 2);
  FakeMonitor monitor(rollout_.db(), "monitor-a", "a-1");
  monitor.Poll();
  rollout_.AddGrant({4, 6}, "monitor-a", "a-1", "rol_2", "rjob_x");
  rollout_.AddJob("rjob_1", "seed", "rol_1", kRange);
  const store::Job job = rollout_.RunJob("rjob_1", ExecuteSeed);
  EXPECT_EQ(job.state, "blocked");
  const auto answer = Answer(job);
  ASSERT_EQ(answer.blockers_size(), 1);
  EXPECT_EQ(answer.blockers(0).code(), "bucket_range_conflict");
  EXPECT_TRUE(rollout_.CheckpointKinds("rol_1").empty());
}

TEST_P(SeedTest, WritesAgainWhatDiffersAndNothingElse) {
  for (uint64_t id = 1; id <= 600; ++id) rollout_.AddSite(id, 3, 1);
  Seed();
  Change(7, "blog_id = 8");
  Change(8, "monitor_url = 'https://m\u00fcller.example/?a=b%20c'");
  Change(9, "check_interval = 7");
  Change(10, "site_status = 0");  // v1's word, not configuration
  rollout_.Write([](sql::Transaction& tx) { return store::DeleteTargets(tx, {300, 301, 600}); });
  const auto answer = Seed();
  EXPECT_EQ(answer.seed().targets_written(), 6u);
  EXPECT_EQ(answer.seed().adopted(), 1u);
  const auto targets = Targets(3);
  ASSERT_EQ(targets.size(), 600u);
  // What the database computed is what a Monitor computes.
  for (const auto& t : targets) {
    const auto site =
        rollout_.Get([&](sql::Transaction& tx) { return store::GetSite(tx, t.site_id); });
    const store::Target expected = store::TargetOf(*site);
    EXPECT_EQ(t.config_hash, expected.config_hash) << t.site_id;
    EXPECT_EQ(t.phase, expected.phase);
    EXPECT_EQ(t.url, expected.url);
    EXPECT_EQ(t.blog_id, expected.blog_id);
    EXPECT_EQ(t.interval, expected.interval);
  }
}

TEST_P(SeedTest, EndsInSmallBatchesWhereBigOnesDo) {
  for (uint64_t id = 1; id <= 300; ++id) {
    rollout_.AddSite(3 * id, 2 + id % 3, static_cast<int>(id % 3));
  }
  for (const uint64_t rows : {7, 100, 0}) {
    rollout_.options().seed_rows = rows;
    const auto answer = Seed();
    EXPECT_EQ(answer.seed().active_sites(), 300u) << rows;
    EXPECT_EQ(answer.seed().targets_written(), rows == 7 ? 300u : 0u) << rows;
    EXPECT_EQ(answer.seed().adopted(), rows == 7 ? 200u : 0u) << rows;
    EXPECT_EQ(answer.seed().targets_after(), 300u) << rows;
    EXPECT_EQ(answer.seed().open_events_after(), 200u) << rows;
    EXPECT_EQ(answer.seed().legacy_up(), 100u) << rows;
    EXPECT_EQ(answer.seed().legacy_down(), 100u) << rows;
  }
}

TEST_P(SeedTest, RemovesWhatLiesBetweenAndBehindTheSites) {
  for (const uint64_t id : {1, 50, 51, 90, 200}) rollout_.AddSite(id, 4, 2);
  rollout_.options().seed_rows = 2;
  Seed();
  for (const uint64_t id : {1, 51, 200}) Change(id, "monitor_active = 0");
  rollout_.Write([](sql::Transaction& tx) {
    return tx.Execute("DELETE FROM jetpack_monitor_sites WHERE jetpack_monitor_site_id = 90")
        .status();
  });
  const auto answer = Seed();
  EXPECT_EQ(answer.seed().targets_removed(), 4u);
  EXPECT_EQ(answer.seed().targets_after(), 1u);
  EXPECT_EQ(answer.seed().open_events_after(), 1u);
}

// Lets a worker write `n` transactions, then stops it as a kill does: it gives nothing back.
class StopAfter {
 public:
  explicit StopAfter(TestRollout& rollout, std::string job_id, uint64_t n)
      : rollout_(rollout), job_id_(std::move(job_id)), seq_(rollout.Job(job_id_).seq + n) {}
  bool operator()() const { return rollout_.Job(job_id_).seq >= seq_; }

 private:
  TestRollout& rollout_;
  const std::string job_id_;
  const uint64_t seq_;
};

TEST_P(SeedTest, GoesOnFromWhereADeadWorkerWas) {
  for (uint64_t id = 1; id <= 40; ++id) rollout_.AddSite(id, 2 + id % 4, id % 5 == 0 ? 2 : 1);
  rollout_.options().seed_rows = 10;
  rollout_.AddJob("rjob_1", "seed", "rol_1", kRange);
  const store::JobLease first = rollout_.Claim("rjob_1");
  for (uint64_t left = 6;; --left) {
    // Killed again and again, after one batch each time.
    const std::function<bool()> stopping = StopAfter(rollout_, "rjob_1", 3);
    const store::Job seen = rollout_.Job("rjob_1");
    std::optional<store::JobLease> lease;
    rollout_.Write([&](sql::Transaction& tx) {
      auto taken = store::TakeOverJob(tx, "rjob_1", seen.seq, "controlplane-x");
      if (taken.ok()) lease = *taken;
      return taken.status();
    });
    ASSERT_TRUE(lease.has_value());
    JobRun run(rollout_.parts(), rollout_.options(), rollout_.observer(), rollout_.Job("rjob_1"),
               *lease, stopping);
    ASSERT_TRUE(ExecuteSeed(run).ok());
    const store::Job now = rollout_.Job("rjob_1");
    if (store::IsFinished(now.state)) break;
    EXPECT_NE(now.cursor, seen.cursor);
    EXPECT_GE(now.done, seen.done);
    ASSERT_GT(left, 0u);
  }
  const store::Job job = rollout_.Job("rjob_1");
  EXPECT_EQ(job.state, "completed");
  EXPECT_GT(job.attempt, 2u);
  const auto answer = Answer(job);
  EXPECT_EQ(answer.seed().active_sites(), 40u);
  EXPECT_EQ(answer.seed().targets_before(), 0u);
  EXPECT_EQ(answer.seed().targets_written(), 40u);
  EXPECT_EQ(answer.seed().adopted(), 8u);
  // Who was taken for dead and wakes writes nothing.
  const std::function<bool()> goes_on = [] { return false; };
  JobRun late(rollout_.parts(), rollout_.options(), rollout_.observer(), job, first, goes_on);
  EXPECT_TRUE(absl::IsCancelled(ExecuteSeed(late)));
}

TEST_P(SeedTest, IsCancelledBetweenBatches) {
  rollout_.AddSite(1, 5, 2);
  rollout_.AddJob("rjob_1", "seed", "rol_1", kRange);
  const store::JobLease lease = rollout_.Claim("rjob_1");
  rollout_.Write([](sql::Transaction& tx) {
    return store::RequestCancel(tx, "rjob_1", TestRollout::kNow).status();
  });
  const std::function<bool()> goes_on = [] { return false; };
  JobRun run(rollout_.parts(), rollout_.options(), rollout_.observer(), rollout_.Job("rjob_1"),
             lease, goes_on);
  ASSERT_TRUE(ExecuteSeed(run).ok());
  EXPECT_EQ(rollout_.Job("rjob_1").state, "cancelled");
  EXPECT_TRUE(Targets(5).empty());
  EXPECT_TRUE(rollout_.CheckpointKinds("rol_1").empty());
}

INSTANTIATE_TEST_SUITE_P(Ways, SeedTest, ::testing::Values(Way::kBySite, Way::kByBucket),
                         [](const auto& way) {
                           return way.param == Way::kBySite ? "BySite" : "ByBucket";
                         });

}  // namespace
}  // namespace jetmon::rollout
