// What adoption makes of every word of v1's, for every state of our own event.
#include <algorithm>
#include <map>

#include "absl/strings/str_cat.h"
#include "store/event_rows.h"
#include "store/events.h"
#include "store/notifications.h"
#include "store/test_adoption.h"
#include "store/test_database.h"
#include "store/test_sites.h"

namespace jetmon::store {
namespace {

constexpr int64_t kOpenedMs = 1'700'000'000'000;  // 2023-11-14 22:13:20
constexpr int64_t kConfirmedMs = kOpenedMs + 60'000;
constexpr int64_t kNowMs = kOpenedMs + 7'200'000;

// What v2 has of the site when v1's word is looked at.
enum class Ours { kNothing, kSeemsDown, kDown, kSeemsDownUnprojected, kDownUnprojected };
constexpr Ours kOurs[] = {Ours::kNothing, Ours::kSeemsDown, Ours::kDown,
                          Ours::kSeemsDownUnprojected, Ours::kDownUnprojected};
// Of last_status_change; kAsItWas: v1 has not touched it.
constexpr char kAsItWas[] = "as it was", kNull[] = "", kZero[] = "0000-00-00 00:00:00",
               kOlder[] = "2023-11-14 20:00:00", kNewer[] = "2023-11-14 23:00:00",
               kSameSecond[] = "2023-11-14 22:13:20", kNextSecond[] = "2023-11-14 22:13:21",
               kToCome[] = "2037-01-01 00:00:00";
constexpr const char* kTimes[] = {kAsItWas, kNull, kZero, kOlder, kNewer, kToCome};
constexpr int kStatuses[] = {0, 1, 2, 3, -1, 100};

// Of sites that are found by their bucket, or by their id.
class AdoptionTest : public testing::TestWithParam<bool> {
 protected:
  void Write(const sql::Body& body) {
    const absl::Status s = db_->Write(body);
    EXPECT_TRUE(s.ok()) << s << sql::EngineText(s);
  }
  static Actor At(int64_t now_ms, bool project = true) {
    Actor actor;
    actor.source = "monitor";
    actor.epoch = 4;
    actor.instance = "ins_1";
    actor.project = project;
    actor.notify_sends = true;
    actor.now_ms = now_ms;
    return actor;
  }
  // A new site, up, with what is ours.
  uint64_t Make(Ours ours) {
    Site site;
    site.site_id = ++last_;
    site.blog_id = 7;  // one blog, one URL, many sites
    site.bucket = 3;
    site.url = "http://192.0.2.1/";
    site.last_status_change = "2023-11-01 00:00:00";
    const bool project = ours == Ours::kSeemsDown || ours == Ours::kDown;
    Write([&](sql::Transaction& tx) -> absl::Status {
      if (auto s = InsertSites(tx, {site}); !s.ok() || ours == Ours::kNothing) return s;
      Event e;
      auto opened = OpenEvent(tx, site, {1, 0, "intermittent", ""}, At(kOpenedMs, project), &e);
      if (!opened.ok() || ours == Ours::kSeemsDown || ours == Ours::kSeemsDownUnprojected) {
        return opened.status();
      }
      return ConfirmDown(tx, e, transition::kVerifierConfirmed, site.url, "[]",
                         At(kConfirmedMs, project))
          .status();
    });
    return last_;
  }
  void Say(uint64_t site_id, int status, const std::string& time) {
    Write([&](sql::Transaction& tx) -> absl::Status {
      auto s = tx.Execute(
          "UPDATE jetpack_monitor_sites SET site_status = ? WHERE jetpack_monitor_site_id = ?",
          {status, site_id});
      if (!s.ok() || time == kAsItWas) return s.status();
      return tx
          .Execute(
              "UPDATE jetpack_monitor_sites SET last_status_change = ? WHERE "
              "jetpack_monitor_site_id = ?",
              {time.empty() ? sql::Value() : sql::Value(time), site_id})
          .status();
    });
  }
  Site Read(uint64_t site_id) {
    std::optional<Site> site;
    Write([&](sql::Transaction& tx) {
      auto row = GetSite(tx, site_id);
      if (row.ok()) site = *row;
      return row.status();
    });
    return *site;
  }
  Adoption Adopt(uint64_t site_id) {
    Adoption adoption = Adoption::kNothing;
    Write([&](sql::Transaction& tx) -> absl::Status {
      Actor actor = At(kNowMs);
      actor.source = "rollout:seed";
      auto site = GetSite(tx, site_id);
      if (!site.ok()) return site.status();
      auto adopted = AdoptOne(tx, **site, actor, GetParam());
      if (adopted.ok()) adoption = *adopted;
      return adopted.status();
    });
    return adoption;
  }
  std::optional<Event> Open(uint64_t site_id) {
    std::optional<Event> e;
    Write([&](sql::Transaction& tx) {
      auto open = OpenEventOfSite(tx, site_id);
      if (open.ok()) e = *open;
      return open.status();
    });
    return e;
  }
  std::vector<std::string> Notifications() {
    std::vector<std::string> ids;
    Write([&](sql::Transaction& tx) {
      ids.clear();
      return tx.Query("SELECT notification_id FROM jetmon_notifications ORDER BY notification_id",
                      {}, [&](const sql::Row& row) {
                        ids.push_back(row.Text(0));
                        return absl::OkStatus();
                      });
    });
    return ids;
  }

  TestDatabase db_;
  uint64_t last_ = 0;
};

std::string Words(Ours ours, int status, const std::string& time) {
  return absl::StrCat("ours ", static_cast<int>(ours), ", v1 says ", status, " at '", time, "'");
}

INSTANTIATE_TEST_SUITE_P(Ways, AdoptionTest, testing::Bool(),
                         [](const auto& p) { return p.param ? "BySite" : "ByBucket"; });

// What holds after every adoption.
TEST_P(AdoptionTest, EveryWordForEveryStateEndsWellAndTellsNobody) {
  for (const Ours ours : kOurs) {
    for (const int status : kStatuses) {
      for (const char* time : kTimes) {
        SCOPED_TRACE(Words(ours, status, time));
        const uint64_t id = Make(ours);
        Say(id, status, time);
        const Site said = Read(id);
        const std::optional<Event> before = Open(id);
        const auto told = Notifications();
        const Adoption did = Adopt(id);
        EXPECT_EQ(Notifications(), told);
        EXPECT_EQ(Adopt(id), Adoption::kNothing) << "a second time";
        const Site after = Read(id);
        EXPECT_EQ(after.site_status, said.site_status);
        EXPECT_EQ(after.last_status_change, said.last_status_change);
        const std::optional<Event> open = Open(id);
        EXPECT_EQ(open.has_value(), status != 1);
        EXPECT_EQ(did == Adoption::kClosed, status == 1 && before.has_value());
        EXPECT_EQ(did == Adoption::kOpened, status != 1 && !before.has_value());
        if (!open.has_value()) continue;
        EXPECT_LE(open->started_at_ms, kNowMs);
        EXPECT_LE(open->confirmed_at_ms, kNowMs);
        EXPECT_EQ(open->severity == Severity::kDown, open->confirmed_at_ms != 0);
        EXPECT_EQ(open->severity == Severity::kDown, open->notified != 0);
        EXPECT_EQ(open->projected_status, said.site_status);
        EXPECT_EQ(open->projected_change, said.last_status_change);
        if (status == 2) {
          EXPECT_EQ(open->severity, Severity::kDown);
        }
        if (status == 0) {
          EXPECT_EQ(open->severity, Severity::kSeemsDown);
        }
        const bool same = before.has_value() && open->event_id == before->event_id;
        EXPECT_EQ(same, did == Adoption::kNothing || did == Adoption::kPromoted);
        if (same && before->severity == Severity::kDown) {
          EXPECT_EQ(open->notified, 1) << "our own";
        }
      }
    }
  }
}

TEST_P(AdoptionTest, TellsTheSameIncidentFromANewerOne) {
  struct Case {
    Ours ours;
    int status;
    const char* time;
    Adoption expected;
  };
  using enum Adoption;
  const Case cases[] = {
      // The same goes on.
      {Ours::kSeemsDown, 0, kAsItWas, kNothing},
      {Ours::kDown, 2, kAsItWas, kNothing},
      {Ours::kDown, 2, kNull, kNothing},
      {Ours::kDown, 2, kZero, kNothing},
      // v1 found it down for good.
      {Ours::kSeemsDown, 2, kAsItWas, kPromoted},
      {Ours::kSeemsDown, 2, kNewer, kPromoted},
      {Ours::kSeemsDown, 2, kNull, kPromoted},
      // It was up in between. What we wrote is known, so no two hosts' clocks are compared.
      {Ours::kSeemsDown, 0, kNewer, kReopened},
      {Ours::kDown, 2, kNewer, kReopened},
      {Ours::kDown, 2, kOlder, kReopened},
      {Ours::kDown, 2, kToCome, kReopened},
      // From Down to Seems Down v1 goes by way of up, whatever time it gives.
      {Ours::kDown, 0, kNewer, kReopened},
      {Ours::kDown, 0, kAsItWas, kReopened},
      {Ours::kDown, 0, kNull, kReopened},
      // No word of v1's ends what people know of.
      {Ours::kDown, 3, kNewer, kNothing},
      {Ours::kDown, -1, kNull, kNothing},
      {Ours::kDown, 100, kAsItWas, kNothing},
      // Never projected: only the times can tell.
      {Ours::kSeemsDownUnprojected, 0, kOlder, kNothing},
      {Ours::kSeemsDownUnprojected, 0, kNewer, kReopened},
      {Ours::kDownUnprojected, 2, kOlder, kNothing},
      // To the second, which is what v1 gives.
      {Ours::kSeemsDownUnprojected, 0, kSameSecond, kNothing},
      {Ours::kDownUnprojected, 2, kSameSecond, kNothing},
      {Ours::kSeemsDownUnprojected, 0, kNextSecond, kReopened},
      {Ours::kDownUnprojected, 2, kNewer, kReopened},
  };
  for (const Case& c : cases) {
    SCOPED_TRACE(Words(c.ours, c.status, c.time));
    const uint64_t id = Make(c.ours);
    Say(id, c.status, c.time);
    const auto before = Open(id);
    EXPECT_EQ(Adopt(id), c.expected);
    if (c.expected != kReopened) continue;
    const Event anew = *Open(id);
    EXPECT_NE(anew.event_id, before->event_id);
    const int64_t said = ParseLegacyTime(Read(id).last_status_change);
    EXPECT_EQ(anew.started_at_ms, said == 0 ? kNowMs : std::min(said, kNowMs));
    Write([&](sql::Transaction& tx) {
      auto old = SelectEvents(tx, "WHERE event_id = ?", {before->event_id});
      if (!old.ok()) return old.status();
      EXPECT_EQ((*old)[0].end_reason, transition::kSuperseded);
      EXPECT_EQ((*old)[0].ended_at_ms, kNowMs);
      EXPECT_EQ((*old)[0].notified, before->notified);
      return absl::OkStatus();
    });
  }
}

// v2 had it, v1 had it back, v2 takes it again: of each incident people hear a down once.
TEST_P(AdoptionTest, NoIncidentIsToldTwiceOverTwoHandovers) {
  const auto confirm = [&](uint64_t id) {
    Write([&](sql::Transaction& tx) {
      auto open = OpenEventOfSite(tx, id);
      if (!open.ok()) return open.status();
      return ConfirmDown(tx, **open, transition::kVerifierConfirmed, "", "[]", At(kNowMs)).status();
    });
  };
  const auto recover = [&](uint64_t id) {
    Write([&](sql::Transaction& tx) {
      auto open = OpenEventOfSite(tx, id);
      if (!open.ok()) return open.status();
      return CloseEvent(tx, **open, transition::kRecovered, "", "[]", At(kNowMs)).status();
    });
  };
  const auto told = [&](uint64_t id) {
    std::string kinds;
    Write([&](sql::Transaction& tx) {
      kinds.clear();
      return tx.Query(
          "SELECT kind FROM jetmon_notifications WHERE site_id = ? ORDER BY event_id, kind", {id},
          [&](const sql::Row& row) {
            absl::StrAppend(&kinds, row.Text(0), " ");
            return absl::OkStatus();
          });
    });
    return kinds;
  };
  // Told by v2, and it goes on: one down, one up.
  const uint64_t ours = Make(Ours::kDown);
  EXPECT_EQ(Adopt(ours), Adoption::kNothing);
  recover(ours);
  EXPECT_EQ(told(ours), "down up ");
  // Seen by v2, told by v1: v2 owes the up only.
  const uint64_t promoted = Make(Ours::kSeemsDown);
  Say(promoted, 2, kNewer);
  EXPECT_EQ(Adopt(promoted), Adoption::kPromoted);
  EXPECT_EQ(Open(promoted)->notified, 2);
  recover(promoted);
  EXPECT_EQ(told(promoted), "up ");
  // Told by v2, ended and told so by v1, begun anew: v2 tells what v1 did not live to tell.
  const uint64_t anew = Make(Ours::kDown);
  Say(anew, 0, kNewer);
  EXPECT_EQ(Adopt(anew), Adoption::kReopened);
  confirm(anew);
  recover(anew);
  EXPECT_EQ(told(anew), "down down up ");
  // The same, and v1 told the second down too.
  const uint64_t known = Make(Ours::kDown);
  Say(known, 2, kNewer);
  EXPECT_EQ(Adopt(known), Adoption::kReopened);
  recover(known);
  EXPECT_EQ(told(known), "down up ");
  // Told by v2, ended by v1.
  const uint64_t ended = Make(Ours::kDown);
  Say(ended, 1, kNewer);
  EXPECT_EQ(Adopt(ended), Adoption::kClosed);
  EXPECT_EQ(told(ended), "down ");
}

// A slice of many does what slices of one site after the other do.
TEST_P(AdoptionTest, ASliceIsItsSites) {
  std::vector<uint64_t> alone, together;
  for (const Ours ours : kOurs) {
    for (const int status : kStatuses) {
      for (const char* time : kTimes) {
        for (auto* ids : {&alone, &together}) {
          ids->push_back(Make(ours));
          Say(ids->back(), status, time);
        }
      }
    }
  }
  Write([&](sql::Transaction& tx) -> absl::Status {
    for (const uint64_t id : together) {
      auto s = tx.Execute(
          "UPDATE jetpack_monitor_sites SET bucket_no = 4 WHERE jetpack_monitor_site_id = ?", {id});
      if (!s.ok()) return s.status();
      s = tx.Execute("UPDATE jetmon_events SET bucket_no = 4 WHERE site_id = ?", {id});
      if (!s.ok()) return s.status();
    }
    return absl::OkStatus();
  });
  std::map<Adoption, uint64_t> did;
  for (const uint64_t id : alone) ++did[Adopt(id)];
  AdoptionCounts counts;
  Write([&](sql::Transaction& tx) -> absl::Status {
    Actor actor = At(kNowMs);
    actor.source = "rollout:seed";
    auto adopted = AdoptSlice(tx, {.buckets = {4, 4}, .by_site = GetParam()}, actor);
    if (adopted.ok()) counts = *adopted;
    return adopted.status();
  });
  EXPECT_EQ(counts.opened, did[Adoption::kOpened]);
  EXPECT_EQ(counts.promoted, did[Adoption::kPromoted]);
  EXPECT_EQ(counts.closed, did[Adoption::kClosed]);
  EXPECT_EQ(counts.reopened, did[Adoption::kReopened]);
  EXPECT_EQ(counts.gone, 0u);
  EXPECT_TRUE(counts.left.empty());
  EXPECT_EQ(counts.down, together.size() / 6);
  EXPECT_EQ(counts.seems_down, together.size() / 6 * 4);
  for (size_t i = 0; i < alone.size(); ++i) {
    const auto one = Open(alone[i]), other = Open(together[i]);
    ASSERT_EQ(one.has_value(), other.has_value()) << i;
    if (!one.has_value()) continue;
    EXPECT_EQ(one->severity, other->severity) << i;
    EXPECT_EQ(one->notified, other->notified) << i;
    EXPECT_EQ(one->started_at_ms, other->started_at_ms) << i;
    EXPECT_EQ(one->confirmed_at_ms, other->confirmed_at_ms) << i;
    EXPECT_EQ(one->projected_status, other->projected_status) << i;
    EXPECT_EQ(one->projected_change, other->projected_change) << i;
    EXPECT_EQ(one->last_seq, other->last_seq) << i;
  }
}

}  // namespace
}  // namespace jetmon::store
