// Of several processes that do the same work at the same moment (a job, a notification, an incident
// of a site) exactly one does it, the others are told, and the row is the winner's.
#include <algorithm>

#include "absl/strings/str_cat.h"
#include "store/events.h"
#include "store/hosts.h"
#include "store/jobs.h"
#include "store/notifications.h"
#include "store/race_fixture.h"
#include "store/test_adoption.h"
#include "store/test_sites.h"

namespace jetmon::store {
namespace {

std::string Name(const char* what, int i) { return what + std::to_string(i); }

int64_t Count(sql::Transaction& tx, const std::string& from) {
  int64_t count = -1;
  EXPECT_TRUE(tx.Query("SELECT COUNT(*) FROM " + from, {}, [&](const sql::Row& row) {
                  count = row.Int(0);
                  return absl::OkStatus();
                }).ok());
  return count;
}

class JobsRaceTest : public RaceFixture {
 protected:
  std::string NewJob(int round) {
    Job j;
    j.job_id = Name("rjob_", round);
    j.operation = "seed";
    j.run_id = "rol_1";
    j.state = job_state::kQueued;
    Write([&](sql::Transaction& tx) { return InsertJob(tx, j); });
    return j.job_id;
  }
  JobLease Claim(const std::string& id) {
    JobLease lease;
    Write([&](sql::Transaction& tx) -> absl::Status {
      lease = **ClaimQueuedJob(tx, id, "cp-old", 5);
      return absl::OkStatus();
    });
    return lease;
  }
  Job Read(const std::string& id) {
    Job job;
    Write([&](sql::Transaction& tx) -> absl::Status {
      job = **GetJob(tx, id);
      return absl::OkStatus();
    });
    return job;
  }
};

TEST_F(JobsRaceTest, AJobIsClaimedOnceAndTakenOverOnce) {
  for (int round = 0; round < kRounds; ++round) {
    const std::string id = NewJob(round);
    const auto has = [](const absl::StatusOr<std::optional<JobLease>>& lease) {
      return lease.ok() ? absl::StatusOr<bool>(lease->has_value()) : lease.status();
    };
    const auto claimed = Winners([&](sql::Transaction& tx, int i) {
      return has(ClaimQueuedJob(tx, id, Name("cp-", i), 5));
    });
    ASSERT_EQ(claimed.size(), 1u) << "round " << round;
    const Job seen = Read(id);
    ASSERT_EQ(seen.lease_owner, Name("cp-", claimed[0]));
    ASSERT_EQ(seen.attempt, 1u);
    const auto took = Winners([&](sql::Transaction& tx, int i) {
      return has(TakeOverJob(tx, id, seen.seq, Name("next-", i)));
    });
    ASSERT_EQ(took.size(), 1u) << "round " << round;
    ASSERT_EQ(Read(id).lease_owner, Name("next-", took[0]));
    ASSERT_EQ(Read(id).attempt, 2u);
  }
}

TEST_F(JobsRaceTest, ATakeOverEndsWhatTheOldWorkerMayDo) {
  // Renewal, progress, end and giving back: each against a take-over on the sequence seen.
  const std::vector<std::function<absl::StatusOr<bool>(sql::Transaction&, const JobLease&)>> acts =
      {[](auto& tx, const JobLease& l) { return BumpJob(tx, l); },
       [](auto& tx, const JobLease& l) { return SaveJobProgress(tx, l, 1, 2, "c", "p"); },
       [](auto& tx, const JobLease& l) {
         return FinishJob(tx, l, job_state::kCompleted, "r", "", 9);
       },
       [](auto& tx, const JobLease& l) { return YieldJob(tx, l); }};
  for (int round = 0; round < kRounds; ++round) {
    const std::string id = NewJob(round);
    const JobLease lease = Claim(id);
    const uint64_t seq = Read(id).seq;
    const auto& act = acts[round % acts.size()];
    const auto won = Winners([&](sql::Transaction& tx, int i) -> absl::StatusOr<bool> {
      if (i == 0) return act(tx, lease);
      auto took = TakeOverJob(tx, id, seq, Name("next-", i));
      if (!took.ok()) return took.status();
      return took->has_value();
    });
    ASSERT_EQ(won.size(), 1u) << "round " << round;
    const Job now = Read(id);
    if (won[0] == 0) {
      ASSERT_EQ(now.attempt, 1u);
    } else {
      ASSERT_EQ(now.lease_owner, Name("next-", won[0]));
      ASSERT_EQ(now.state, job_state::kRunning);
      ASSERT_EQ(now.cursor, "");  // nothing of the old worker's
    }
  }
}

TEST_F(JobsRaceTest, AJobIsCancelledBeforeItsClaimOrAskedToStop) {
  for (int round = 0; round < kRounds; ++round) {
    const std::string id = NewJob(round);
    bool claimed = false, cancelled = false;
    AtOnce(2, [&](int i) {
      const absl::Status s = Db(i + round).Write([&](sql::Transaction& tx) -> absl::Status {
        if (i == 0) {
          auto lease = ClaimQueuedJob(tx, id, "cp-1", 5);
          claimed = lease.ok() && lease->has_value();
          return lease.status();
        }
        auto done = RequestCancel(tx, id, 7);
        cancelled = done.ok() && *done;
        return done.status();
      });
      EXPECT_TRUE(s.ok()) << s;
    });
    const Job now = Read(id);
    EXPECT_TRUE(cancelled);
    EXPECT_TRUE(now.cancel_requested);
    EXPECT_EQ(now.state, claimed ? job_state::kRunning : job_state::kCancelled);
    EXPECT_EQ(now.attempt, claimed ? 1u : 0u);
  }
}

using NotificationsRaceTest = RaceFixture;

TEST_F(NotificationsRaceTest, OneIsQueuedOnceAndMarkedOnce) {
  for (int round = 0; round < kRounds; ++round) {
    Notification n;
    n.notification_id = Name("ntf_", round);
    n.event_id = round;
    n.kind = "down";
    n.site_id = 1;
    n.state = "queued";
    const auto queued =
        Winners([&](sql::Transaction& tx, int) { return QueueNotification(tx, n); });
    ASSERT_EQ(queued.size(), 1u) << "round " << round;
    // Delivered, says one sender; failed, says another.
    const auto marked = Winners([&](sql::Transaction& tx, int i) {
      return i % 2 == 0 ? MarkDelivered(tx, n, 100 + i) : MarkFailedAttempt(tx, n, 100 + i);
    });
    ASSERT_EQ(marked.size(), 1u) << "round " << round;
    Write([&](sql::Transaction& tx) -> absl::Status {
      const std::string row =
          absl::StrCat("jetmon_notifications WHERE notification_id = '", n.notification_id,
                       "' AND attempts = 1 AND ",
                       marked[0] % 2 == 0 ? "state = 'delivered' AND delivered_at_ms = "
                                          : "state = 'queued' AND next_attempt_at_ms = ",
                       100 + marked[0]);
      EXPECT_EQ(Count(tx, row), 1) << row;
      return absl::OkStatus();
    });
  }
}

class EventsRaceTest : public RaceFixture {
 protected:
  Site NewSite(int round, int status = 1) {
    Site site;
    site.site_id = round + 1;
    site.blog_id = 7;
    site.bucket = 3;
    site.url = "http://192.0.2.1/";
    site.site_status = status;
    if (status != 1) site.last_status_change = LegacyTime(kNow - 60'000);
    Write([&](sql::Transaction& tx) { return InsertSites(tx, {site}); });
    return site;
  }
  // As the Monitor of process i.
  Actor By(int i) {
    Actor a;
    a.source = "monitor";
    a.epoch = 4;
    a.instance = Name("ins_", i);
    a.host = Name("monitor-", i);
    a.now_ms = kNow + i;
    a.project = true;
    a.notify_sends = true;
    return a;
  }
  Event Open(const Site& site) {
    Event event;
    Write([&](sql::Transaction& tx) -> absl::Status {
      EXPECT_EQ(*OpenEvent(tx, site, {1, 0, "intermittent", "slow"}, By(0), nullptr),
                ChangeOutcome::kChanged);
      event = **OpenEventOfSite(tx, site.site_id);
      return absl::OkStatus();
    });
    return event;
  }
  static absl::StatusOr<bool> Changed(const absl::StatusOr<ChangeOutcome>& outcome) {
    if (!outcome.ok()) return outcome.status();
    EXPECT_NE(*outcome, ChangeOutcome::kSiteGone);
    return *outcome == ChangeOutcome::kChanged;
  }
  // How many transitions the site's events had, and whose the last was.
  std::pair<int, std::string> Transitions(uint64_t site_id) {
    std::pair<int, std::string> found;
    Write([&](sql::Transaction& tx) {
      found = {0, ""};
      return tx.Query(
          "SELECT instance FROM jetmon_event_transitions WHERE site_id = ? ORDER BY event_id, seq",
          {site_id}, [&](const sql::Row& row) {
            ++found.first;
            found.second = row.Text(0);
            return absl::OkStatus();
          });
    });
    return found;
  }
  int64_t Rows(const std::string& from) {
    int64_t rows = -1;
    Write([&](sql::Transaction& tx) -> absl::Status {
      rows = Count(tx, from);
      return absl::OkStatus();
    });
    return rows;
  }

  static constexpr int64_t kNow = 1'700'000'000'000;
};

TEST_F(EventsRaceTest, TwoMonitorsOpenOneEventForASite) {
  for (int round = 0; round < kRounds; ++round) {
    const Site site = NewSite(round);
    const auto opened = Winners([&](sql::Transaction& tx, int i) {
      return Changed(OpenEvent(tx, site, {1, 0, "intermittent", "slow"}, By(i), nullptr));
    });
    ASSERT_EQ(opened.size(), 1u) << "round " << round;
    ASSERT_EQ(Transitions(site.site_id), std::pair(1, Name("ins_", opened[0])));
    ASSERT_EQ(Rows(absl::StrCat("jetmon_events WHERE site_id = ", site.site_id,
                                " AND started_at_ms = ", kNow + opened[0])),
              1);
  }
  EXPECT_EQ(Rows("jetmon_events"), kRounds);
}

TEST_F(EventsRaceTest, AnEventIsConfirmedOnceAndNotifiedOnce) {
  for (int round = 0; round < kRounds; ++round) {
    const Site site = NewSite(round);
    const Event seen = Open(site);
    const auto confirmed = Winners([&](sql::Transaction& tx, int i) {
      return Changed(ConfirmDown(tx, seen, transition::kVerifierConfirmed, site.url, "[]", By(i)));
    });
    ASSERT_EQ(confirmed.size(), 1u) << "round " << round;
    ASSERT_EQ(Transitions(site.site_id), std::pair(2, Name("ins_", confirmed[0])));
    ASSERT_EQ(Rows(absl::StrCat("jetmon_notifications WHERE site_id = ", site.site_id)), 1);
  }
}

TEST_F(EventsRaceTest, AnEventIsConfirmedOrClosed) {
  for (int round = 0; round < kRounds; ++round) {
    const Site site = NewSite(round);
    const Event seen = Open(site);
    const auto changed = Winners([&](sql::Transaction& tx, int i) {
      return Changed(
          i % 2 == 0 ? ConfirmDown(tx, seen, transition::kVerifierConfirmed, site.url, "[]", By(i))
                     : CloseEvent(tx, seen, transition::kRecovered, site.url, "[]", By(i)));
    });
    ASSERT_EQ(changed.size(), 1u) << "round " << round;
    const bool down = changed[0] % 2 == 0;
    ASSERT_EQ(Transitions(site.site_id), std::pair(2, Name("ins_", changed[0])));
    ASSERT_EQ(Rows(absl::StrCat("jetmon_notifications WHERE site_id = ", site.site_id)), down);
    ASSERT_EQ(Rows(absl::StrCat("jetpack_monitor_sites WHERE jetpack_monitor_site_id = ",
                                site.site_id, " AND site_status = ", down ? 2 : 1)),
              1);
  }
}

TEST_F(EventsRaceTest, WhatV1SawIsAdoptedOnce) {
  for (int round = 0; round < kRounds; ++round) {
    const Site site = NewSite(round, 2);
    std::vector<Adoption> did(kRacers, Adoption::kGone);
    const auto adopted = Winners([&](sql::Transaction& tx, int i) -> absl::StatusOr<bool> {
      auto adoption = AdoptOne(tx, site, By(i), /*by_site=*/round % 2 == 1);
      if (!adoption.ok()) return adoption.status();
      did[i] = *adoption;
      return *adoption == Adoption::kOpened;
    });
    ASSERT_EQ(adopted.size(), 1u) << "round " << round;
    EXPECT_EQ(std::count(did.begin(), did.end(), Adoption::kNothing), kRacers - 1) << round;
    ASSERT_EQ(Transitions(site.site_id), std::pair(1, Name("ins_", adopted[0])));
  }
}

using HostsRaceTest = RaceFixture;

TEST_F(HostsRaceTest, ProcessesOfANewHostReportAtTheSameMoment) {
  for (int round = 0; round < kRounds; ++round) {
    const std::string host = Name("h", round);
    for (int report = 1; report <= 2; ++report) {
      Winners([&](sql::Transaction& tx, int i) -> absl::StatusOr<bool> {
        ProcessHealth h;
        h.instance = host + Name("_", i);
        h.kind = "monitor";
        h.host = host;
        if (auto s = ReportHealth(tx, h); !s.ok()) return s;
        return false;
      });
      Write([&](sql::Transaction& tx) -> absl::Status {
        EXPECT_EQ(Count(tx, "jetmon_hosts WHERE host = '" + host + "'"), 1);
        EXPECT_EQ(Count(tx, absl::StrCat("jetmon_process_health WHERE host = '", host,
                                         "' AND seq = ", report)),
                  kRacers);
        return absl::OkStatus();
      });
    }
  }
}

}  // namespace
}  // namespace jetmon::store
