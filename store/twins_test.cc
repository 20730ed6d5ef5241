// Several rows of the legacy table with one blog and URL: to people they are one site.
#include "store/test_tells.h"

namespace jetmon::store {
namespace {

using TwinsTest = TellsTest;

// Two rows of one blog and URL: people hear of the first that is confirmed, and of the last end.
TEST_F(TwinsTest, AreToldOnceAsDownAndOnceAsUp) {
  Site twin = site_;
  twin.site_id = 2;
  twin.last_status_change = kBefore;
  Write([&](sql::Transaction& tx) { return InsertSites(tx, {twin}); });
  const Site first = site_;
  const auto of = [&](const Site& site) { site_ = site; };
  const auto open = [&](uint64_t id) {
    std::optional<Event> e;
    Write([&](sql::Transaction& tx) -> absl::Status {
      e = *OpenEventOfSite(tx, id);
      return absl::OkStatus();
    });
    return *e;
  };
  const auto confirm = [&](uint64_t id) {
    const Event e = open(id);
    return Did<ChangeOutcome>([&](sql::Transaction& tx) {
      return ConfirmDown(tx, e, transition::kVerifierConfirmed, site_.url, "[]", actor_);
    });
  };
  Fail();
  of(twin);
  Fail();
  confirm(2);
  EXPECT_EQ(Commit(), TellOutcome::kCommitted);
  Deliver();
  confirm(1);
  Pass(kSecond);
  EXPECT_EQ(Commit(), TellOutcome::kToldByTwin);
  EXPECT_EQ(Outbox(), "down:superseded down:delivered");
  EXPECT_EQ(Columns(), At(0, actor_.now_ms));
  EXPECT_EQ(Drift(), 0u);
  of(first);
  Close(open(2));
  Pass(kSecond);
  EXPECT_EQ(Commit(), TellOutcome::kToldByTwin);  // the other one is still down
  Close(open(1));
  EXPECT_EQ(Commit(), TellOutcome::kCommitted);
  EXPECT_EQ(Outbox(), "down:superseded up:sending down:delivered up:superseded");
  // Both ends at once: one is told.
  Deliver();
  Fail();
  of(twin);
  Fail();
  confirm(1);
  confirm(2);
  Commit();
  Deliver();
  EXPECT_EQ(Commit(), TellOutcome::kToldByTwin);
  Close(open(1));
  Close(open(2));
  EXPECT_EQ(Commit(), TellOutcome::kCommitted);
  EXPECT_EQ(Commit(*[&] {
              Deliver();
              return Due();
            }()),
            TellOutcome::kToldByTwin);
}

}  // namespace
}  // namespace jetmon::store
