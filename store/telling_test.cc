// Whom the end of an incident is told, and whose word a legacy column is, where the incident is not
// what it usually is: moved, removed, never told, confirmed without projection.
#include "absl/strings/str_cat.h"
#include "store/events.h"
#include "store/notifications.h"
#include "store/test_adoption.h"
#include "store/test_incident.h"

namespace jetmon::store {
namespace {

class TellingTest : public IncidentTest {
 protected:
  Event Open() {
    Event e;
    Write([&](sql::Transaction& tx) -> absl::Status {
      auto open = OpenEventOfSite(tx, 1);
      if (!open.ok()) return open.status();
      EXPECT_TRUE(open->has_value());
      if (open->has_value()) e = **open;
      return absl::OkStatus();
    });
    return e;
  }
  void Begin() {
    Write([&](sql::Transaction& tx) -> absl::Status {
      auto outcome = OpenEvent(tx, site_, {1, 0, "intermittent", ""}, actor_, nullptr);
      if (outcome.ok()) {
        EXPECT_EQ(*outcome, ChangeOutcome::kChanged);
      }
      return outcome.status();
    });
  }
  ChangeOutcome Confirm(const Event& seen) {
    ChangeOutcome did = ChangeOutcome::kStale;
    Write([&](sql::Transaction& tx) -> absl::Status {
      auto outcome = ConfirmDown(tx, seen, transition::kVerifierConfirmed, site_.url, "[]", actor_);
      if (outcome.ok()) did = *outcome;
      return outcome.status();
    });
    return did;
  }
  ChangeOutcome Close(const Event& seen, const char* reason) {
    ChangeOutcome did = ChangeOutcome::kStale;
    Write([&](sql::Transaction& tx) -> absl::Status {
      auto outcome = CloseEvent(tx, seen, reason, site_.url, "[]", actor_);
      if (outcome.ok()) did = *outcome;
      return outcome.status();
    });
    return did;
  }
  Adoption Adopt() {
    Adoption did = Adoption::kNothing;
    Write([&](sql::Transaction& tx) -> absl::Status {
      auto site = GetSite(tx, 1);
      if (!site.ok()) return site.status();
      auto adopted = AdoptOne(tx, **site, actor_);
      if (adopted.ok()) did = *adopted;
      return adopted.status();
    });
    return did;
  }
  void Execute(std::string_view sql) {
    Write([&](sql::Transaction& tx) { return tx.Execute(sql).status(); });
  }
  std::string Told() {
    std::string kinds;
    Write([&](sql::Transaction& tx) {
      kinds.clear();
      return tx.Query("SELECT kind FROM jetmon_notifications ORDER BY event_id, kind", {},
                      [&](const sql::Row& row) {
                        absl::StrAppend(&kinds, row.Text(0), " ");
                        return absl::OkStatus();
                      });
    });
    return kinds;
  }
};

TEST_F(TellingTest, ASiteThatMovedGetsNoWordOfItsFormerOwner) {
  Begin();
  const Event seen = Open();
  Execute("UPDATE jetpack_monitor_sites SET bucket_no = 4, site_status = 1");
  EXPECT_EQ(Confirm(seen), ChangeOutcome::kSiteGone);
  EXPECT_EQ(Close(seen, transition::kRecovered), ChangeOutcome::kSiteGone);
  Write([](sql::Transaction& tx) -> absl::Status {
    auto site = GetSite(tx, 1);
    if (site.ok()) {
      EXPECT_EQ((*site)->site_status, 1);
    }
    return site.status();
  });
  EXPECT_EQ(Told(), "");
}

TEST_F(TellingTest, OnlyARecoveryIsTold) {
  for (const char* reason : {transition::kSiteRemoved, transition::kFalseAlarm}) {
    SCOPED_TRACE(reason);
    Begin();
    EXPECT_EQ(Confirm(Open()), ChangeOutcome::kChanged);
    const std::string before = Told();
    EXPECT_EQ(Close(Open(), reason), ChangeOutcome::kChanged);
    EXPECT_EQ(Told(), before);
  }
}

TEST_F(TellingTest, TheEndOfWhatNobodyHeardOfIsNotTold) {
  Begin();
  EXPECT_EQ(Close(Open(), transition::kRecovered), ChangeOutcome::kChanged);
  EXPECT_EQ(Told(), "");
}

// Without projection v1's column goes on saying what it said when we confirmed.
TEST_F(TellingTest, WhatWeConfirmedUnprojectedIsNoNewIncident) {
  Execute(
      "UPDATE jetpack_monitor_sites SET site_status = 0, last_status_change = '2023-11-01 "
      "00:00:00'");
  EXPECT_EQ(Adopt(), Adoption::kOpened);
  actor_.project = false;
  EXPECT_EQ(Confirm(Open()), ChangeOutcome::kChanged);
  EXPECT_EQ(Adopt(), Adoption::kNothing);
  EXPECT_EQ(Open().severity, Severity::kDown);
  EXPECT_EQ(Told(), "down ");
}

// A range that an older build was given goes back to v1: a suspicion is nothing that was told, and
// what was told is 0. Taken again it is told.
TEST_F(TellingTest, WhatAnOlderBuildHeldGoesBackInV1sWords) {
  const auto status = [this] {
    int read = -1;
    Write([&](sql::Transaction& tx) -> absl::Status {
      read = (*GetSite(tx, 1))->site_status;
      return absl::OkStatus();
    });
    return read;
  };
  const auto hand_back = [this] {
    Actor actor = actor_;
    actor.hand_to_v1 = true;
    Write([&](sql::Transaction& tx) { return ProjectBucket(tx, 3, actor).status(); });
  };
  Begin();
  EXPECT_EQ(status(), 0);
  hand_back();
  EXPECT_EQ(status(), 1);
  Confirm(Open());
  EXPECT_EQ(status(), 2);
  hand_back();
  EXPECT_EQ(status(), 0);
  actor_.dialect = LegacyDialect::kV1;
  EXPECT_EQ(Adopt(), Adoption::kReopened);
  EXPECT_EQ(Open().notified, kAdoptedDown);
  EXPECT_NE(Open().told_at_ms, 0);
}

}  // namespace
}  // namespace jetmon::store
