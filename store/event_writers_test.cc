// Who wrote a transition, and who projected an event: the identity of the fence that was passed.
#include "absl/strings/str_cat.h"
#include "store/events.h"
#include "store/test_incident.h"

namespace jetmon::store {
namespace {

class EventWritersTest : public IncidentTest {
 protected:
  void SetSite(int status, const std::string& changed) {
    Write([&](sql::Transaction& tx) {
      return tx
          .Execute("UPDATE jetpack_monitor_sites SET site_status = ?, last_status_change = ?",
                   {status, changed.empty() ? sql::Value() : sql::Value(changed)})
          .status();
    });
  }
  Event Open() {
    std::optional<Event> e;
    Write([&](sql::Transaction& tx) -> absl::Status {
      e = *OpenEventOfSite(tx, 1);
      return absl::OkStatus();
    });
    return e.value_or(Event());
  }
  void OpenIt() {
    Write([&](sql::Transaction& tx) -> absl::Status {
      EXPECT_EQ(*OpenEvent(tx, site_, {1, 0, "intermittent", "slow"}, actor_, nullptr),
                ChangeOutcome::kChanged);
      return absl::OkStatus();
    });
  }
  void ConfirmIt() {
    const Event seen = Open();
    Write([&](sql::Transaction& tx) -> absl::Status {
      EXPECT_EQ(*ConfirmDown(tx, seen, transition::kVerifierConfirmed, site_.url, "[]", actor_),
                ChangeOutcome::kChanged);
      return absl::OkStatus();
    });
  }
  void CloseIt() {
    const Event seen = Open();
    Write([&](sql::Transaction& tx) -> absl::Status {
      EXPECT_EQ(*CloseEvent(tx, seen, transition::kRecovered, site_.url, "[]", actor_),
                ChangeOutcome::kChanged);
      return absl::OkStatus();
    });
  }
  AdoptionCounts Adopt() {
    AdoptionCounts counts;
    Write([&](sql::Transaction& tx) {
      Actor actor = actor_;
      actor.source = "rollout:seed";
      auto adopted = AdoptSlice(tx, {.buckets = {3, 3}}, actor);
      if (adopted.ok()) counts = *adopted;
      return adopted.status();
    });
    return counts;
  }
  uint64_t Project() {
    uint64_t written = 0;
    Write([&](sql::Transaction& tx) -> absl::Status {
      written = *ProjectBucket(tx, 3, actor_);
      return absl::OkStatus();
    });
    return written;
  }
  // Who wrote each transition of the site, in order: "reason epoch/instance/host".
  std::vector<std::string> Writers() {
    std::vector<std::string> writers;
    Write([&](sql::Transaction& tx) {
      writers.clear();
      return tx.Query(
          "SELECT reason || ' ' || epoch || '/' || instance || '/' || host FROM "
          "jetmon_event_transitions ORDER BY event_id, seq",
          {}, [&](const sql::Row& row) {
            writers.push_back(row.Text(0));
            return absl::OkStatus();
          });
    });
    return writers;
  }
  // What the newest event has as projected, and by whom: "status epoch/instance/host at ms".
  std::string Projected() {
    std::string projected;
    Write([&](sql::Transaction& tx) {
      return tx.Query(
          "SELECT COALESCE(projected_status, 'none') || ' ' || projected_epoch || '/' || "
          "projected_instance || '/' || projected_host || ' at ' || projected_at_ms FROM "
          "jetmon_events ORDER BY event_id DESC LIMIT 1",
          {}, [&](const sql::Row& row) {
            projected = row.Text(0);
            return absl::OkStatus();
          });
    });
    return projected;
  }
  // actor_, as the two above name it.
  std::string Me() const {
    return absl::StrCat(actor_.epoch, "/", actor_.instance, "/", actor_.host);
  }
};

TEST_F(EventWritersTest, EveryChangeSaysWhoMadeItAndWhoProjectedIt) {
  const auto at = [&](int status) {
    return absl::StrCat(status, " ", Me(), " at ", actor_.now_ms);
  };
  OpenIt();
  const std::string first = Me();
  EXPECT_EQ(Projected(), at(0));
  // Another instance goes on with it, under another grant.
  actor_.epoch = 5;
  actor_.instance = "ins_2";
  actor_.host = "monitor-b";
  actor_.now_ms += 1000;
  ConfirmIt();
  EXPECT_EQ(Projected(), at(2));
  const std::string second = Me();
  actor_.epoch = 6;
  actor_.now_ms += 1000;
  CloseIt();
  EXPECT_EQ(Projected(), at(1));
  EXPECT_EQ(Writers(), (std::vector<std::string>{"opened " + first, "verifier_confirmed " + second,
                                                 "recovered " + Me()}));
}

TEST_F(EventWritersTest, WhoDoesNotProjectIsNotNamedAsWhoDid) {
  OpenIt();
  const std::string projected = Projected();
  actor_.epoch = 5;
  actor_.instance = "ins_2";
  actor_.project = false;
  ConfirmIt();
  EXPECT_EQ(Projected(), projected);
  EXPECT_EQ(Open().projected_status, 0);
  CloseIt();
  EXPECT_EQ(Projected(), projected);
  OpenIt();
  EXPECT_EQ(Projected(), "none 0// at 0");
}

TEST_F(EventWritersTest, WhoAdoptsStandsForTheColumnsUnlessItIsASeed) {
  SetSite(0, "2023-11-01 00:00:00");
  Adopt();
  const std::string monitor = Me();
  EXPECT_EQ(Projected(), absl::StrCat("0 ", monitor, " at ", actor_.now_ms));
  // v1 says something new, and the control plane takes that over.
  actor_.epoch = 0;
  actor_.instance = "ins_cp";
  actor_.host = "";
  SetSite(0, "");
  Adopt();
  EXPECT_EQ(Projected(), "0 0// at 0");
  SetSite(2, "2023-11-01 00:10:00");
  EXPECT_EQ(Adopt().promoted, 1u);
  EXPECT_EQ(Projected(), "2 0// at 0");
  const std::string seed = Me();
  // And a Monitor on load.
  actor_.epoch = 7;
  actor_.instance = "ins_3";
  actor_.host = "monitor-c";
  actor_.now_ms += 1000;
  SetSite(2, "2023-11-01 02:00:00");
  EXPECT_EQ(Adopt().reopened, 1u);
  EXPECT_EQ(Projected(), absl::StrCat("2 ", Me(), " at ", actor_.now_ms));
  // What is as it was projected stays who projected it.
  const std::string before = Projected();
  actor_.epoch = 8;
  Adopt();
  EXPECT_EQ(Projected(), before);
  actor_.epoch = 7;
  EXPECT_EQ(Writers(), (std::vector<std::string>{"adopted " + monitor, "promoted " + seed,
                                                 "superseded " + Me(), "adopted " + Me()}));
}

TEST_F(EventWritersTest, AReleaseThatProjectsIsNamed) {
  actor_.project = false;
  OpenIt();
  actor_.epoch = 9;
  actor_.instance = "ins_cp";
  actor_.host = "";
  actor_.now_ms += 1000;
  EXPECT_EQ(Project(), 1u);
  EXPECT_EQ(Projected(), absl::StrCat("0 ", Me(), " at ", actor_.now_ms));
  // Of an incident that has ended, too.
  CloseIt();
  actor_.epoch = 10;
  actor_.now_ms += 1000;
  EXPECT_EQ(Project(), 1u);
  EXPECT_EQ(Projected(), absl::StrCat("1 ", Me(), " at ", actor_.now_ms));
}

}  // namespace
}  // namespace jetmon::store
