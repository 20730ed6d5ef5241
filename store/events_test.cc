#include "store/events.h"

#include <map>

#include "store/notifications.h"
#include "store/test_adoption.h"
#include "store/test_incident.h"

namespace jetmon::store {
namespace {

class EventsTest : public IncidentTest {
 protected:
  void SetSite(int status, const std::string& changed, bool active = true) {
    Write([&](sql::Transaction& tx) {
      return tx
          .Execute(
              "UPDATE jetpack_monitor_sites SET site_status = ?, last_status_change = ?, "
              "monitor_active = ?",
              {status, changed.empty() ? sql::Value() : sql::Value(changed), active})
          .status();
    });
  }
  Site ReadSite() {
    Site site;
    Write([&](sql::Transaction& tx) -> absl::Status {
      site = **GetSite(tx, 1);
      return absl::OkStatus();
    });
    return site;
  }
  std::optional<Event> Open() {
    std::optional<Event> e;
    Write([&](sql::Transaction& tx) -> absl::Status {
      e = *OpenEventOfSite(tx, 1);
      return absl::OkStatus();
    });
    return e;
  }
  ChangeOutcome OpenIt() {
    ChangeOutcome outcome = ChangeOutcome::kStale;
    Write([&](sql::Transaction& tx) -> absl::Status {
      outcome = *OpenEvent(tx, site_, {1, 0, "intermittent", "slow"}, actor_, nullptr);
      return absl::OkStatus();
    });
    return outcome;
  }
  ChangeOutcome ConfirmIt(const Event& seen) {
    ChangeOutcome outcome = ChangeOutcome::kStale;
    Write([&](sql::Transaction& tx) -> absl::Status {
      outcome = *ConfirmDown(tx, seen, transition::kVerifierConfirmed, site_.url, "[]", actor_);
      return absl::OkStatus();
    });
    return outcome;
  }
  ChangeOutcome CloseIt(const Event& seen, const char* reason) {
    ChangeOutcome outcome = ChangeOutcome::kStale;
    Write([&](sql::Transaction& tx) -> absl::Status {
      outcome = *CloseEvent(tx, seen, reason, site_.url, "[]", actor_);
      return absl::OkStatus();
    });
    return outcome;
  }
  Adoption Adopt() {
    Adoption adoption = Adoption::kNothing;
    Write([&](sql::Transaction& tx) -> absl::Status {
      auto site = *GetSite(tx, 1);
      Actor actor = actor_;
      actor.source = "rollout:seed";
      adoption = *AdoptOne(tx, *site, actor);
      return absl::OkStatus();
    });
    return adoption;
  }
  std::string Told() {
    std::string kinds;
    Write([&](sql::Transaction& tx) {
      kinds.clear();
      return tx.Query("SELECT kind, state FROM jetmon_notifications ORDER BY event_id, kind", {},
                      [&](const sql::Row& row) {
                        kinds += row.Text(0) + ":" + row.Text(1) + " ";
                        return absl::OkStatus();
                      });
    });
    return kinds;
  }
  uint64_t Drifting() {
    uint64_t count = 0;
    Write([&](sql::Transaction& tx) -> absl::Status {
      count = FindDrift(tx, {0, 9}, 10)->count;
      return absl::OkStatus();
    });
    return count;
  }
};

TEST_F(EventsTest, AnOutageFromEndToEnd) {
  EXPECT_EQ(OpenIt(), ChangeOutcome::kChanged);
  EXPECT_EQ(OpenIt(), ChangeOutcome::kStale);
  EXPECT_EQ(ReadSite().site_status, 0);
  EXPECT_EQ(ReadSite().last_status_change, "2023-11-14 22:13:20");
  EXPECT_EQ(Drifting(), 0u);
  const Event seems_down = *Open();
  EXPECT_EQ(ConfirmIt(seems_down), ChangeOutcome::kChanged);
  EXPECT_EQ(ConfirmIt(seems_down), ChangeOutcome::kStale);
  EXPECT_EQ(CloseIt(seems_down, transition::kProbeCleared), ChangeOutcome::kStale);
  EXPECT_EQ(ReadSite().site_status, 2);
  const Event down = *Open();
  EXPECT_EQ(down.severity, Severity::kDown);
  EXPECT_EQ(CloseIt(down, transition::kRecovered), ChangeOutcome::kChanged);
  EXPECT_EQ(CloseIt(down, transition::kRecovered), ChangeOutcome::kStale);
  EXPECT_EQ(ReadSite().site_status, 1);
  EXPECT_FALSE(Open().has_value());
  EXPECT_EQ(Told(), "down:recorded up:recorded ");
  EXPECT_EQ(Drifting(), 0u);
}

TEST_F(EventsTest, TransitionsRebuildTheEvent) {
  OpenIt();
  ConfirmIt(*Open());
  CloseIt(*Open(), transition::kRecovered);
  Write([](sql::Transaction& tx) -> absl::Status {
    int severity = 0, seq = 0, ended = 0, events = 0;
    auto s = tx.Query(
        "SELECT seq, from_severity, to_severity, ended FROM jetmon_event_transitions ORDER BY seq",
        {}, [&](const sql::Row& row) {
          EXPECT_EQ(row.Int(0), ++seq);
          EXPECT_EQ(row.Int(1), severity);
          severity = static_cast<int>(row.Int(2));
          ended = static_cast<int>(row.Int(3));
          return absl::OkStatus();
        });
    if (!s.ok()) return s;
    EXPECT_EQ(seq, 3);
    EXPECT_EQ(ended, 1);
    s = tx.Query("SELECT severity, last_seq, ended_at_ms IS NOT NULL FROM jetmon_events", {},
                 [&](const sql::Row& row) {
                   ++events;
                   EXPECT_EQ(row.Int(0), severity);
                   EXPECT_EQ(row.Int(1), seq);
                   EXPECT_EQ(row.Int(2), ended);
                   return absl::OkStatus();
                 });
    EXPECT_EQ(events, 1);
    return s;
  });
}

TEST_F(EventsTest, ASeemingOutageTellsNobody) {
  OpenIt();
  EXPECT_EQ(CloseIt(*Open(), transition::kProbeCleared), ChangeOutcome::kChanged);
  EXPECT_EQ(Told(), "");
}

TEST_F(EventsTest, WithAReceiverNotificationsAreQueued) {
  actor_.notify_sends = true;
  OpenIt();
  ConfirmIt(*Open());
  EXPECT_EQ(Told(), "down:queued ");
}

TEST_F(EventsTest, AGoneSiteChangesNothing) {
  OpenIt();
  const Event seen = *Open();
  SetSite(0, "2023-11-14 22:13:20", /*active=*/false);
  EXPECT_EQ(ConfirmIt(seen), ChangeOutcome::kSiteGone);
  EXPECT_EQ(Open()->severity, Severity::kSeemsDown);
  EXPECT_EQ(Told(), "");
  actor_.project = false;
  EXPECT_EQ(CloseIt(seen, transition::kSiteRemoved), ChangeOutcome::kChanged);
  EXPECT_EQ(OpenIt(), ChangeOutcome::kChanged);  // without projection nobody looks
}

TEST_F(EventsTest, AdoptsWhatV1HasOpenSilently) {
  SetSite(2, "2023-11-01 00:00:00");
  EXPECT_EQ(Adopt(), Adoption::kOpened);
  EXPECT_EQ(Adopt(), Adoption::kNothing);
  EXPECT_EQ(Open()->severity, Severity::kDown);
  EXPECT_EQ(Open()->notified, 2);
  EXPECT_EQ(LegacyTime(Open()->started_at_ms), "2023-11-01 00:00:00");
  EXPECT_EQ(Told(), "");
  CloseIt(*Open(), transition::kRecovered);
  EXPECT_EQ(Told(), "up:recorded ");  // v1 told the down
}

TEST_F(EventsTest, AnAdoptedSeemingOutageOwesNoUp) {
  SetSite(0, "");
  EXPECT_EQ(Adopt(), Adoption::kOpened);
  EXPECT_EQ(Open()->severity, Severity::kSeemsDown);
  EXPECT_EQ(Open()->started_at_ms, actor_.now_ms);  // v1 said no time
  CloseIt(*Open(), transition::kProbeCleared);
  EXPECT_EQ(Told(), "");
}

TEST_F(EventsTest, FollowsV1sLaterWord) {
  SetSite(0, "2023-11-01 00:00:00");
  Adopt();
  SetSite(2, "2023-11-01 00:10:00");
  EXPECT_EQ(Adopt(), Adoption::kPromoted);
  EXPECT_EQ(Open()->severity, Severity::kDown);
  EXPECT_EQ(Open()->notified, 2);
  // Recovered and down again under v1: a newer incident.
  SetSite(2, "2023-11-01 02:00:00");
  EXPECT_EQ(Adopt(), Adoption::kReopened);
  EXPECT_EQ(LegacyTime(Open()->started_at_ms), "2023-11-01 02:00:00");
  SetSite(1, "2023-11-01 03:00:00");
  EXPECT_EQ(Adopt(), Adoption::kClosed);
  EXPECT_FALSE(Open().has_value());
  EXPECT_EQ(Told(), "");
}

TEST_F(EventsTest, AnEventOfABucketThatTheSiteHasLeftIsOpenedAnew) {
  SetSite(2, "2023-11-01 00:00:00");
  Adopt();
  const uint64_t first = Open()->event_id;
  Write([](sql::Transaction& tx) {
    return tx.Execute("UPDATE jetpack_monitor_sites SET bucket_no = 4").status();
  });
  EXPECT_EQ(Adopt(), Adoption::kReopened);
  EXPECT_NE(Open()->event_id, first);
  EXPECT_EQ(Open()->bucket, 4u);
  EXPECT_EQ(Open()->notified, 2);
  EXPECT_EQ(Adopt(), Adoption::kNothing);
  EXPECT_EQ(Told(), "");
}

TEST_F(EventsTest, WhatV2ProjectedIsNoWordOfV1s) {
  OpenIt();
  ConfirmIt(*Open());
  // The value that v2 itself wrote last is newer than the event's start only by its own doing.
  EXPECT_EQ(Adopt(), Adoption::kNothing);
}

TEST_F(EventsTest, DriftHasACause) {
  SetSite(2, "2023-11-01 00:00:00");
  Write([&](sql::Transaction& tx) -> absl::Status {
    const auto report = FindDrift(tx, {0, 9}, 10);
    EXPECT_EQ(report->count, 1u);
    EXPECT_EQ(report->rows[0].cause, "missing_event");
    EXPECT_EQ(report->groups[0].bucket, 3u);
    return absl::OkStatus();
  });
  Adopt();
  EXPECT_EQ(Drifting(), 0u);
  SetSite(1, "2023-11-01 01:00:00");
  Write([&](sql::Transaction& tx) -> absl::Status {
    EXPECT_EQ(FindDrift(tx, {0, 9}, 10)->rows[0].cause, "stale_projection");
    EXPECT_EQ(*ProjectBucket(tx, 3, actor_), 1u);
    EXPECT_EQ(*ProjectBucket(tx, 3, actor_), 0u);
    return absl::OkStatus();
  });
  EXPECT_EQ(Drifting(), 0u);
  EXPECT_EQ(ReadSite().site_status, 2);
  SetSite(9, "");
  Write([&](sql::Transaction& tx) -> absl::Status {
    EXPECT_EQ(FindDrift(tx, {0, 9}, 10)->rows[0].cause, "unexpected_status");
    return absl::OkStatus();
  });
}

TEST_F(EventsTest, DriftOfASiteThatWasMovedOrSwitchedOff) {
  OpenIt();
  const auto move = [&](uint32_t bucket, bool active) {
    Write([&](sql::Transaction& tx) {
      return tx
          .Execute(
              "UPDATE jetpack_monitor_sites SET bucket_no = ?, monitor_active = ?, site_status = 1 "
              "WHERE jetpack_monitor_site_id = 1",
              {bucket, active})
          .status();
    });
  };
  move(4, true);
  Write([&](sql::Transaction& tx) -> absl::Status {
    // Its event is found where the site is now, and says so.
    EXPECT_EQ(FindDrift(tx, {3, 3}, 10)->count, 0u);
    const auto report = FindDrift(tx, {4, 4}, 10);
    EXPECT_EQ(report->count, 1u);
    EXPECT_EQ(report->rows[0].cause, "event_elsewhere");
    EXPECT_EQ(report->rows[0].expected_status, 0);
    return absl::OkStatus();
  });
  move(3, false);
  EXPECT_EQ(Drifting(), 0u);
}

TEST_F(EventsTest, DriftCountsAllAndNamesSome) {
  Write([&](sql::Transaction& tx) {
    std::vector<Site> sites;
    for (uint64_t id = 100; id < 130; ++id) {
      Site site = site_;
      site.site_id = id;
      site.blog_id = 1000 + id;
      site.bucket = id % 3;
      site.site_status = id < 115 ? 2 : 0;
      sites.push_back(site);
    }
    return InsertSites(tx, sites);
  });
  Write([&](sql::Transaction& tx) -> absl::Status {
    const auto report = FindDrift(tx, {0, 1}, 12);
    EXPECT_EQ(report->count, 20u);
    EXPECT_EQ(report->rows.size(), 12u);
    EXPECT_EQ(report->groups.size(), 2u);
    uint64_t sum = 0;
    for (const auto& group : report->groups) sum += group.count;
    EXPECT_EQ(sum, 20u);
    return absl::OkStatus();
  });
}

TEST_F(EventsTest, DriftOfASiteWithSeveralOpenEventsIsCountedOnce) {
  OpenIt();
  ConfirmIt(*Open());
  Write([&](sql::Transaction& tx) {
    return tx
        .Execute(
            "INSERT INTO jetmon_events (blog_id, site_id, bucket_no, check_type, discriminator, "
            "severity, source, started_at_ms, last_seq) VALUES (?, 1, 3, 'http', 'x', 3, "
            "'monitor', 1, 1)",
            {site_.blog_id})
        .status();
  });
  // The worst of them says what the column must be.
  EXPECT_EQ(Drifting(), 0u);
  SetSite(1, "2023-11-01 00:00:00");
  EXPECT_EQ(Drifting(), 1u);
}

TEST_F(EventsTest, WhatEndedUnseenByV1IsProjectedToo) {
  actor_.project = false;
  const auto project = [&] {
    uint64_t written = 0;
    Write([&](sql::Transaction& tx) -> absl::Status {
      written = *ProjectBucket(tx, 3, actor_);
      return absl::OkStatus();
    });
    return written;
  };
  // v1's word alone, and what v1 saw last, stay.
  SetSite(2, "2023-11-01 00:00:00");
  EXPECT_EQ(project(), 0u);
  EXPECT_EQ(Adopt(), Adoption::kOpened);
  EXPECT_EQ(project(), 0u);
  EXPECT_EQ(CloseIt(*Open(), transition::kRecovered), ChangeOutcome::kChanged);
  EXPECT_EQ(ReadSite().site_status, 2);
  SetSite(2, LegacyTime(actor_.now_ms + 1000));
  EXPECT_EQ(project(), 0u);
  // What v1 wrote before the incident ended does not.
  SetSite(2, "2023-11-01 00:00:00");
  EXPECT_EQ(project(), 1u);
  EXPECT_EQ(ReadSite().site_status, 1);
  EXPECT_EQ(ReadSite().last_status_change, LegacyTime(actor_.now_ms));
  EXPECT_EQ(project(), 0u);
  // A site's removal ends an event, not the outage.
  SetSite(2, "2023-11-01 00:00:00");
  EXPECT_EQ(Adopt(), Adoption::kOpened);
  EXPECT_EQ(CloseIt(*Open(), transition::kSiteRemoved), ChangeOutcome::kChanged);
  EXPECT_EQ(project(), 0u);
}

TEST_F(EventsTest, OneOpenEventASiteIsTheSchemasWordToo) {
  OpenIt();
  const absl::Status s = db_->Write([](sql::Transaction& tx) {
    return tx
        .Execute(
            "INSERT INTO jetmon_events (blog_id, site_id, bucket_no, check_type, severity, "
            "source, started_at_ms, last_seq) VALUES (7, 1, 3, 'http', 3, 'x', 1, 1)")
        .status();
  });
  EXPECT_TRUE(absl::IsAlreadyExists(s)) << s;
}

TEST_F(EventsTest, OpenOnesOfABucketComeBySite) {
  Site second = site_, elsewhere = site_;
  second.site_id = 2;
  elsewhere.site_id = 3;
  elsewhere.bucket = 4;
  Write([&](sql::Transaction& tx) -> absl::Status {
    if (auto s = InsertSites(tx, {second, elsewhere}); !s.ok()) return s;
    for (const Site& site : {elsewhere, second, site_}) {
      EXPECT_EQ(*OpenEvent(tx, site, {1, 0, "intermittent", ""}, actor_, nullptr),
                ChangeOutcome::kChanged);
    }
    const auto open = OpenEventsOfBucket(tx, 3);
    EXPECT_EQ(open->size(), 2u);
    EXPECT_EQ((*open)[0].site_id, 1u);
    EXPECT_EQ((*open)[1].site_id, 2u);
    EXPECT_EQ(*CloseEvent(tx, (*open)[0], transition::kRecovered, "", "[]", actor_),
              ChangeOutcome::kChanged);
    EXPECT_EQ(OpenEventsOfBucket(tx, 3)->size(), 1u);
    EXPECT_TRUE(OpenEventsOfBucket(tx, 5)->empty());
    return absl::OkStatus();
  });
}

TEST_F(EventsTest, AFalsePositiveIsKeptOncePerEvent) {
  OpenIt();
  const Event e = *Open();
  Write([&](sql::Transaction& tx) -> absl::Status {
    EXPECT_TRUE(InsertFalsePositive(tx, e, 2, 1, 77).ok());
    EXPECT_TRUE(absl::IsAlreadyExists(InsertFalsePositive(tx, e, 2, 1, 78)));
    int rows = 0;
    const auto s = tx.Query(
        "SELECT event_id, site_id, up_votes, down_votes, at_ms FROM "
        "jetmon_false_positives",
        {}, [&](const sql::Row& row) {
          ++rows;
          EXPECT_EQ(row.Uint(0), e.event_id);
          EXPECT_EQ(row.Uint(1), 1u);
          EXPECT_EQ(row.Int(2), 2);
          EXPECT_EQ(row.Int(3), 1);
          EXPECT_EQ(row.Int(4), 77);
          return absl::OkStatus();
        });
    EXPECT_EQ(rows, 1);
    return s;
  });
}

TEST_F(EventsTest, HistoryKeepsWhatWasSeenBounded) {
  CheckHistoryRow r;
  r.site_id = 1;
  r.bucket = 3;
  r.at_ms = 50;
  r.source = "monitor-a";
  r.outcome = "down";
  r.http_code = 503;
  r.error_code = 4;
  r.failure_class = "server_error";
  r.total_us = 1234;
  r.detail = std::string(254, 'x') + "\u00e9\u00e9";  // half a character does not fit
  Write([&](sql::Transaction& tx) -> absl::Status {
    if (auto s = InsertHistory(tx, {r, r}, actor_); !s.ok()) return s;
    if (auto s = InsertHistory(tx, {}, actor_); !s.ok()) return s;
    int rows = 0;
    auto s = tx.Query(
        "SELECT bucket_no, at_ms, source, outcome, http_code, error_code, failure_class, total_us, "
        "detail, epoch, instance, host FROM jetmon_check_history WHERE site_id = 1",
        {}, [&](const sql::Row& row) {
          ++rows;
          EXPECT_EQ(row.Int(0), 3);
          EXPECT_EQ(row.Int(1), 50);
          EXPECT_EQ(row.Text(2), "monitor-a");
          EXPECT_EQ(row.Text(3), "down");
          EXPECT_EQ(row.Int(4), 503);
          EXPECT_EQ(row.Int(5), 4);
          EXPECT_EQ(row.Text(6), "server_error");
          EXPECT_EQ(row.Int(7), 1234);
          EXPECT_EQ(row.Text(8), std::string(254, 'x'));
          EXPECT_EQ(row.Uint(9), actor_.epoch);
          EXPECT_EQ(row.Text(10), actor_.instance);
          EXPECT_EQ(row.Text(11), actor_.host);
          return absl::OkStatus();
        });
    EXPECT_EQ(rows, 2);
    return s;
  });
}

}  // namespace
}  // namespace jetmon::store
