// Dialect v1: what adoption makes of every word of v1's, for every state of our own event.
#include "absl/strings/str_cat.h"
#include "store/events.h"
#include "store/notifications.h"
#include "store/tells.h"
#include "store/test_adoption.h"
#include "store/test_database.h"
#include "store/test_sites.h"

namespace jetmon::store {
namespace {

constexpr int64_t kBegan = 1'700'000'000'000;  // 2023-11-14 22:13:20
constexpr int64_t kNow = kBegan + 7'200'000;
constexpr char kFirst[] = "2023-11-01 00:00:00", kLater[] = "2023-11-14 23:00:00",
               kToCome[] = "2037-01-01 00:00:00";

// What v2 has of the site. kOld: told by an older build, whose events do not say when.
enum Ours { kNone, kSuspected, kQueued, kMuted, kTold, kOld };

class AdoptionV1Test : public testing::TestWithParam<bool> {
 protected:
  void Write(const sql::Body& body) {
    const absl::Status s = db_->Write(body);
    EXPECT_TRUE(s.ok()) << s << sql::EngineText(s);
  }
  static Actor At(int64_t now_ms, LegacyDialect dialect = LegacyDialect::kV1) {
    Actor actor;
    actor.source = "monitor";
    actor.epoch = 4;
    actor.instance = "ins_1";
    actor.host = "monitor-a";
    actor.notify_sends = true;
    actor.dialect = dialect;
    actor.now_ms = now_ms;
    return actor;
  }
  uint64_t Make(Ours ours) {
    Site site;
    site.site_id = ++last_;
    site.blog_id = last_;
    site.bucket = 3;
    site.url = "http://192.0.2.1/";
    site.last_status_change = kFirst;
    Write([&](sql::Transaction& tx) -> absl::Status {
      if (auto s = InsertSites(tx, {site}); !s.ok() || ours == kNone) return s;
      Actor actor = At(kBegan, ours == kOld ? LegacyDialect::kJetmon2 : LegacyDialect::kV1);
      actor.muted = ours == kMuted;
      Event e;
      auto opened = OpenEvent(tx, site, {1, 0, "intermittent", ""}, actor, &e);
      if (!opened.ok() || ours == kSuspected) return opened.status();
      auto down = ConfirmDown(tx, e, transition::kVerifierConfirmed, site.url, "[]", actor);
      if (!down.ok() || ours != kTold) return down.status();
      auto due = DueNotifications(tx, {3, 3}, kBegan, 1000);
      if (!due.ok()) return due.status();
      Notification& mine = due->back();  // the newest incident's
      auto told = CommitTell(tx, mine, actor);
      if (!told.ok()) return told.status();
      mine.state = "sending";
      return MarkDelivered(tx, mine, kBegan).status();
    });
    return last_;
  }
  void Say(uint64_t site_id, int status, const std::string& time) {
    Write([&](sql::Transaction& tx) {
      return tx
          .Execute(
              "UPDATE jetpack_monitor_sites SET site_status = ?, last_status_change = ? WHERE "
              "jetpack_monitor_site_id = ?",
              {status, time.empty() ? sql::Value() : sql::Value(time), site_id})
          .status();
    });
  }
  Adoption Adopt(uint64_t site_id) {
    Adoption did = Adoption::kNothing;
    Write([&](sql::Transaction& tx) -> absl::Status {
      Actor actor = At(kNow);
      actor.source = "rollout:seed";
      auto adopted = AdoptOne(tx, **GetSite(tx, site_id), actor, GetParam());
      if (adopted.ok()) did = *adopted;
      return adopted.status();
    });
    return did;
  }
  std::optional<Event> Open(uint64_t site_id) {
    std::optional<Event> e;
    Write([&](sql::Transaction& tx) -> absl::Status {
      e = *OpenEventOfSite(tx, site_id);
      return absl::OkStatus();
    });
    return e;
  }
  std::string Outbox(uint64_t site_id) {
    std::string states;
    Write([&](sql::Transaction& tx) {
      states.clear();
      return tx.Query(
          "SELECT kind, state FROM jetmon_notifications WHERE site_id = ? ORDER BY kind", {site_id},
          [&](const sql::Row& row) {
            absl::StrAppend(&states, row.Text(0), ":", row.Text(1), " ");
            return absl::OkStatus();
          });
    });
    return states;
  }

  TestDatabase db_;
  uint64_t last_ = 0;
};

INSTANTIATE_TEST_SUITE_P(Ways, AdoptionV1Test, testing::Bool(),
                         [](const auto& p) { return p.param ? "BySite" : "ByBucket"; });

TEST_P(AdoptionV1Test, FollowsTheTable) {
  using enum Adoption;
  struct Row {
    Ours ours;
    int status;
    Adoption did;
    bool told;           // the open event afterwards, if there is one
    const char* outbox;  // afterwards
  };
  const Row table[] = {
      // 1: v1 has told nothing of it that still stands.
      {kNone, 1, kNothing, false, ""},
      {kSuspected, 1, kClosed, false, ""},
      {kQueued, 1, kClosed, false, "down:cancelled "},
      {kMuted, 1, kClosed, false, ""},
      {kTold, 1, kClosed, false, "down:delivered "},
      {kOld, 1, kClosed, false, "down:queued "},
      // 0 and 2: people know.
      {kNone, 0, kOpened, true, ""},
      {kNone, 2, kOpened, true, ""},
      {kSuspected, 0, kPromoted, true, ""},
      {kSuspected, 2, kPromoted, true, ""},
      {kQueued, 0, kPromoted, true, "down:cancelled "},
      {kQueued, 2, kPromoted, true, "down:cancelled "},
      {kMuted, 0, kPromoted, true, ""},
      {kMuted, 2, kPromoted, true, ""},
      {kTold, 0, kNothing, true, "down:delivered "},
      {kTold, 2, kNothing, true, "down:delivered "},
      {kOld, 0, kReopened, true, "down:queued "},
      {kOld, 2, kReopened, true, "down:queued "},
      // Anything else proves nothing.
      {kNone, 3, kNothing, false, ""},
      {kSuspected, -1, kNothing, false, ""},
      {kQueued, 100, kNothing, false, "down:queued "},
      {kTold, 3, kNothing, true, "down:delivered "},
  };
  for (const Row& row : table) {
    for (const char* time : {kLater, "", kToCome}) {
      SCOPED_TRACE(absl::StrCat("ours ", row.ours, ", v1 says ", row.status, " at '", time, "'"));
      const uint64_t id = Make(row.ours);
      Say(id, row.status, time);
      EXPECT_EQ(Adopt(id), row.did);
      EXPECT_EQ(Outbox(id), row.outbox);
      EXPECT_EQ(Adopt(id), kNothing) << "a second time";
      const auto open = Open(id);
      const bool has = row.did == kOpened || row.did == kPromoted || row.did == kReopened ||
                       (row.did == kNothing && row.ours != kNone);
      ASSERT_EQ(open.has_value(), has);
      if (!has) continue;
      EXPECT_EQ(open->told_at_ms != 0, row.told);
      EXPECT_LE(open->told_at_ms, kNow);
      EXPECT_EQ(open->projected_status, row.status);
      if (row.told) {
        EXPECT_EQ(open->severity, Severity::kDown);
        EXPECT_EQ(open->notified, row.ours == kTold ? 1 : kAdoptedDown);
      }
      if (row.did == kOpened && std::string_view(time) == kLater) {
        EXPECT_EQ(open->told_at_ms, ParseLegacyTime(kLater));
      }
    }
  }
}

// Whoever had a site before: what people were told of it stays told.
TEST_P(AdoptionV1Test, ASiteThatCameFromAnotherBucketKeepsWhatWasTold) {
  const uint64_t told = Make(kTold), queued = Make(kQueued);
  Write([](sql::Transaction& tx) {
    return tx.Execute("UPDATE jetpack_monitor_sites SET bucket_no = 5", {}).status();
  });
  EXPECT_EQ(Adopt(told), Adoption::kReopened);
  EXPECT_EQ(Open(told)->bucket, 5u);
  EXPECT_NE(Open(told)->told_at_ms, 0);
  EXPECT_EQ(Outbox(told), "down:delivered ");
  EXPECT_EQ(Adopt(queued), Adoption::kClosed);
  EXPECT_EQ(Outbox(queued), "down:cancelled ");
}

}  // namespace
}  // namespace jetmon::store
