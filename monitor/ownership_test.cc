#include "monitor/ownership.h"

#include <map>
#include <set>

#include "monitor/ownership_fixture.h"
#include "store/notifications.h"

namespace jetmon::monitor {
namespace {

using std::chrono::seconds;

TEST_F(OwnershipTest, NothingIsSentBeforeTheAcknowledgementMatched) {
  ownership_->Poll();
  EXPECT_EQ(ownership_->state(), "standby");
  const uint64_t epoch = Give();
  EXPECT_EQ(server_.connections(), 0);
  ownership_->Poll();
  EXPECT_EQ(Lock(epoch).state, store::range_state::kActive);
  EXPECT_TRUE(Until([&] { return server_.requests().size() >= kSites; }));
}

TEST_F(OwnershipTest, ChecksGoOnWhileTheDatabaseDoesNotAnswerTheRecorder) {
  std::atomic<bool> silent{false}, asked{false};
  sql::Options options;
  options.observer = [&](std::string_view sql, sql::Params) {
    if (sql.find(" jetmon_endpoint_check_config ") == sql.npos) return;
    while (silent) {
      asked = true;
      std::this_thread::sleep_for(milliseconds(1));
    }
  };
  auto db = db_.OpenAnother(std::move(options));
  ownership_ = std::make_unique<Ownership>(
      WatchParts{&config_, &clock_, db.get(), engine_.get(), &confirmer_});
  ASSERT_TRUE(ownership_->Open().ok());
  Give();
  ownership_->Poll();
  EXPECT_TRUE(Until([&] { return server_.requests().size() >= kSites; }));
  silent = true;
  EXPECT_TRUE(Until([&] { return asked.load(); }));
  const size_t before = server_.requests().size();
  EXPECT_TRUE(Until([&] { return server_.requests().size() >= before + 5 * kSites; }));
  silent = false;
  ownership_.reset();
}

TEST_F(OwnershipTest, AnotherInstancesGrantIsNotAcknowledged) {
  const uint64_t epoch = Give("ins_other");
  ownership_->Poll();
  EXPECT_EQ(Lock(epoch).state, store::range_state::kActivating);
  EXPECT_EQ(ownership_->watch(), nullptr);
}

TEST_F(OwnershipTest, AStandbyTakesNothing) {
  config_.mode = "standby";
  const uint64_t epoch = Give();
  ownership_->Poll();
  EXPECT_EQ(Lock(epoch).state, store::range_state::kActivating);
}

TEST_F(OwnershipTest, AnAcknowledgementWhoseAnswerWasLostIsFoundOut) {
  const uint64_t epoch = Give();
  Write([&](sql::Transaction& tx) {
    return store::AcknowledgeRange(tx, epoch, "ins_1", 2, 5).status();
  });
  ownership_->Poll();
  ASSERT_NE(ownership_->watch(), nullptr);
  EXPECT_TRUE(ownership_->watch()->started());
  EXPECT_TRUE(ownership_->watch()->lease().MaySend(clock_.Boot()));
}

TEST_F(OwnershipTest, TheLeaseCountsFromBeforeTheRenewalAndLapses) {
  Give();
  ownership_->Poll();
  clock_.Advance(seconds(14));
  EXPECT_TRUE(ownership_->watch()->lease().MaySend(clock_.Boot()));
  clock_.Advance(seconds(1));
  EXPECT_FALSE(ownership_->watch()->lease().MaySend(clock_.Boot()));
  ownership_->Poll();
  EXPECT_TRUE(ownership_->watch()->lease().MaySend(clock_.Boot()));
}

TEST_F(OwnershipTest, APausedMonitorSendsAndWritesNothingWhenItWakes) {
  const uint64_t epoch = Give();
  ownership_->Poll();
  EXPECT_TRUE(Until([&] { return server_.requests().size() >= kSites; }));
  ASSERT_TRUE(FencePasses(epoch));
  // Asleep for 40 s; meanwhile the range is released and freed over its unrenewed lease.
  clock_.Advance(seconds(40));
  Write([&](sql::Transaction& tx) -> absl::Status {
    EXPECT_TRUE(*store::BeginRelease(tx, epoch, "rjob_2", 9));
    auto lock = **store::GetRangeLock(tx, epoch);
    EXPECT_TRUE(*store::FreeDead(tx, epoch, lock.lease_seq, 9));
    return absl::OkStatus();
  });
  EXPECT_FALSE(ownership_->watch()->lease().MaySend(clock_.Boot()));
  EXPECT_FALSE(FencePasses(epoch));
  ownership_->Poll();
  EXPECT_EQ(ownership_->watch(), nullptr);
  EXPECT_EQ(ownership_->state(), "standby");
  const size_t before = server_.requests().size();
  for (int i = 0; i < 100; ++i) clock_.Advance(milliseconds(100));
  ownership_->Poll();
  EXPECT_EQ(server_.requests().size(), before);
}

TEST_F(OwnershipTest, DrainsAndReports) {
  const uint64_t epoch = Give();
  ownership_->Poll();
  EXPECT_TRUE(Until([&] { return server_.requests().size() >= kSites; }));
  Write([&](sql::Transaction& tx) { return store::BeginRelease(tx, epoch, "rjob_2", 9).status(); });
  ownership_->Poll();
  EXPECT_TRUE(Until([&] {
    ownership_->Poll();
    return Lock(epoch).drained;
  }));
  EXPECT_EQ(ownership_->watch(), nullptr);
  EXPECT_EQ(ownership_->state(), "standby");
}

TEST_F(OwnershipTest, ADrainOfWhatWasNeverLoadedIsReportedAtOnce) {
  const uint64_t epoch = Give();
  Write([&](sql::Transaction& tx) { return store::BeginRelease(tx, epoch, "rjob_2", 9).status(); });
  ownership_->Poll();
  EXPECT_TRUE(Lock(epoch).drained);
  EXPECT_EQ(server_.connections(), 0);
}

TEST_F(OwnershipTest, AWatchThatWasDroppedDrainsWhenItsVerifliersHaveEnded) {
  const uint64_t epoch = Give();
  ownership_->Poll();
  FenceOutOnce();
  Write([&](sql::Transaction& tx) { return store::BeginRelease(tx, epoch, "rjob_2", 9).status(); });
  ownership_->Poll();
  ASSERT_EQ(ownership_->watch(), nullptr);
  const BootTime until = clock_.Boot() + config_.Deadlines().round();
  while (clock_.Boot() + milliseconds(500) < until) {
    EXPECT_FALSE(Lock(epoch).drained);
    clock_.Advance(milliseconds(499));
    ownership_->Poll();
  }
  EXPECT_FALSE(Lock(epoch).drained);
  clock_.Advance(milliseconds(500));
  ownership_->Poll();
  EXPECT_TRUE(Lock(epoch).drained);
}

TEST_F(OwnershipTest, AWatchLoadedAgainDrainsWhenTheVerifliersOfTheOneBeforeHaveEnded) {
  const uint64_t epoch = Give();
  ownership_->Poll();
  FenceOutOnce();
  ownership_->Poll();  // drops it
  ASSERT_EQ(ownership_->watch(), nullptr);
  ownership_->Poll();  // loads it again
  ASSERT_TRUE(ownership_->watch()->started());
  Write([&](sql::Transaction& tx) { return store::BeginRelease(tx, epoch, "rjob_2", 9).status(); });
  ownership_->Poll();
  EXPECT_TRUE(Until([&] { return ownership_->watch()->drained(); }, /*poll=*/false));
  ownership_->Poll();
  EXPECT_FALSE(Lock(epoch).drained);
  clock_.Advance(config_.Deadlines().round());
  ownership_->Poll();
  EXPECT_TRUE(Lock(epoch).drained);
}

TEST_F(OwnershipTest, NoGoodbyeWhileAVeriflierMayStillSend) {
  Give();
  ownership_->Poll();
  FenceOutOnce();
  ownership_->Stop(seconds(30));
  EXPECT_FALSE(SaidGoodbye());
}

TEST_F(OwnershipTest, TakesOverOnlyFromTheDead) {
  const uint64_t epoch = Give("ins_old");
  Write([&](sql::Transaction& tx) {
    return store::AcknowledgeRange(tx, epoch, "ins_old", 2, 5).status();
  });
  ASSERT_EQ(config_.budget.grace(), seconds(32));
  for (int i = 0; i < 16; ++i) {  // seen last after 30 s: not yet
    ownership_->Poll();
    clock_.Advance(seconds(2));
  }
  EXPECT_EQ(Lock(epoch).owner_instance, "ins_old");
  // It renews once: the observation starts again.
  const uint64_t revision = Lock(epoch).revision;
  Write([&](sql::Transaction& tx) {
    return store::RenewLease(tx, epoch, "ins_old", revision).status();
  });
  for (int i = 0; i < 16; ++i) {
    ownership_->Poll();
    clock_.Advance(seconds(2));
  }
  EXPECT_EQ(Lock(epoch).owner_instance, "ins_old");
  ownership_->Poll();
  EXPECT_EQ(Lock(epoch).owner_instance, "ins_1");
  ownership_->Poll();
  ASSERT_NE(ownership_->watch(), nullptr);
  EXPECT_TRUE(ownership_->watch()->started());
}

// The one before was started with longer checks: what it had asked for may still be sent.
TEST_F(OwnershipTest, WaitsForTheLongerChecksOfTheOneBefore) {
  const uint64_t epoch = Give("ins_old");
  Write([&](sql::Transaction& tx) -> absl::Status {
    EXPECT_TRUE(*store::AcknowledgeRange(tx, epoch, "ins_old", 2, 5));
    store::ProcessHealth old;
    old.instance = "ins_old";
    old.kind = "monitor";
    old.host = "monitor-a";
    old.longest_check_ms = 20'000;
    return store::ReportHealth(tx, old);
  });
  for (int i = 0; i < 21; ++i) {  // seen last after 40 s, of 42
    ownership_->Poll();
    clock_.Advance(seconds(2));
  }
  EXPECT_EQ(Lock(epoch).owner_instance, "ins_old");
  ownership_->Poll();
  EXPECT_EQ(Lock(epoch).owner_instance, "ins_1");
}

TEST_F(OwnershipTest, SaysHowLongItsChecksMayTake) {
  config_.budget = *DeadlineBudget::Of(seconds(15));
  ownership_->Poll();
  Write([&](sql::Transaction& tx) -> absl::Status {
    EXPECT_EQ(store::LastWordsOf(tx, "ins_1")->longest_check_ms, 15'000);
    return absl::OkStatus();
  });
}

TEST_F(OwnershipTest, TakesOverAtOnceFromWhoSaidGoodbye) {
  const uint64_t epoch = Give("ins_old");
  Write([&](sql::Transaction& tx) -> absl::Status {
    EXPECT_TRUE(*store::AcknowledgeRange(tx, epoch, "ins_old", 2, 5));
    return Leave(tx);
  });
  ownership_->Poll();
  EXPECT_EQ(Lock(epoch).owner_instance, "ins_1");
}

TEST_F(OwnershipTest, WhatIsTakenOverIsNotAdoptedThoughTheFirstRenewalMatchesNothing) {
  config_.legacy_projection = false;  // v1's columns do not say what is open
  down_ = true;
  const uint64_t epoch = Give("ins_old");
  store::Event open;
  Write([&](sql::Transaction& tx) -> absl::Status {
    EXPECT_TRUE(*store::AcknowledgeRange(tx, epoch, "ins_old", 2, 5));
    store::Actor actor;
    actor.source = "monitor";
    actor.project = false;
    actor.now_ms = 6;
    auto site = store::GetSite(tx, 5);
    EXPECT_EQ(*store::OpenEvent(tx, **site, {}, actor, &open), store::ChangeOutcome::kChanged);
    return Leave(tx);
  });
  // The range changes, in its revision alone, while it is loaded.
  std::atomic<int> loads{0};
  sql::Options options;
  options.observer = [&](std::string_view sql, sql::Params) {
    if (sql.find(" jetmon_endpoint_check_config ") == sql.npos || loads++ > 0) return;
    Write([&](sql::Transaction& tx) {
      return tx
          .Execute("UPDATE jetmon_rollout_range_locks SET revision = revision + 1 WHERE epoch = ?",
                   {epoch})
          .status();
    });
  };
  auto db = db_.OpenAnother(std::move(options));
  ownership_ = std::make_unique<Ownership>(
      WatchParts{&config_, &clock_, db.get(), engine_.get(), &confirmer_});
  ASSERT_TRUE(ownership_->Open().ok());
  ownership_->Poll();  // takes it over
  ownership_->Poll();
  ASSERT_NE(ownership_->watch(), nullptr);
  ASSERT_FALSE(ownership_->watch()->started());
  ownership_->Poll();
  ASSERT_TRUE(ownership_->watch()->started());
  EXPECT_TRUE(Until([&] { return server_.requests().size() >= kSites; }));
  EXPECT_EQ(OpenEventOf(5).value_or(store::Event{}).event_id, open.event_id);
  ownership_.reset();
}

TEST_F(OwnershipTest, ADrainingRangeIsTakenOverAsDrainedAndNotLoaded) {
  const uint64_t epoch = Give("ins_old");
  Write([&](sql::Transaction& tx) -> absl::Status {
    EXPECT_TRUE(*store::AcknowledgeRange(tx, epoch, "ins_old", 2, 5));
    EXPECT_TRUE(*store::BeginRelease(tx, epoch, "rjob_2", 9));
    return Leave(tx);
  });
  ownership_->Poll();
  EXPECT_TRUE(Lock(epoch).drained);
  ownership_->Poll();
  EXPECT_EQ(ownership_->watch(), nullptr);
  EXPECT_EQ(server_.connections(), 0);
}

TEST_F(OwnershipTest, ARevokedRangeEndsAtOnce) {
  const uint64_t epoch = Give();
  ownership_->Poll();
  Write([&](sql::Transaction& tx) -> absl::Status {
    EXPECT_TRUE(*store::BeginRelease(tx, epoch, "rjob_2", 9));
    EXPECT_TRUE(*store::RevokeRange(tx, epoch, 9));
    return absl::OkStatus();
  });
  ownership_->Poll();
  EXPECT_EQ(ownership_->watch(), nullptr);
  EXPECT_FALSE(Lock(epoch).drained);
}

TEST_F(OwnershipTest, AnOutageIsConfirmedAndARecoveryTold) {
  Give();
  ownership_->Poll();
  EXPECT_TRUE(Until([&] { return server_.requests().size() >= kSites; }));
  down_ = true;
  EXPECT_TRUE(Until([&] { return OpenEventOf(5).has_value(); }));
  EXPECT_EQ(OpenEventOf(5)->severity, store::Severity::kSeemsDown);
  EXPECT_TRUE(Until([&] {
    auto e = OpenEventOf(5);
    return e.has_value() && e->severity == store::Severity::kDown;
  }));
  EXPECT_GE(confirmer_.rounds_.load(), 1);
  down_ = false;
  EXPECT_TRUE(Until([&] { return !OpenEventOf(5).has_value(); }));
  std::map<std::string, int> told;
  Write([&](sql::Transaction& tx) -> absl::Status {
    EXPECT_EQ((**store::GetSite(tx, 5)).site_status, 1);
    return tx.Query("SELECT notification_id FROM jetmon_notifications WHERE site_id = 5", {},
                    [&](const sql::Row& row) {
                      ++told[row.Text(0).substr(row.Text(0).rfind('_'))];
                      return absl::OkStatus();
                    });
  });
  EXPECT_EQ(told, (std::map<std::string, int>{{"_down", 1}, {"_up", 1}}));
}

TEST_F(OwnershipTest, WhateverItWritesSaysWhoWroteIt) {
  // One that v1 has down, which is adopted on load, and one that fails later.
  down_ = true;
  Write([](sql::Transaction& tx) {
    return tx
        .Execute(
            "UPDATE jetpack_monitor_sites SET site_status = 2, last_status_change = '2023-11-01 "
            "00:00:00' WHERE jetpack_monitor_site_id = 6")
        .status();
  });
  const uint64_t epoch = Give();
  ownership_->Poll();
  EXPECT_TRUE(Until([&] {
    auto e = OpenEventOf(5);
    return e.has_value() && e->severity == store::Severity::kDown;
  }));
  ASSERT_TRUE(OpenEventOf(6).has_value());
  ownership_.reset();
  const std::string me = absl::StrCat(epoch, "/ins_1/monitor-a");
  const auto writers = [&](const std::string& sql) {
    std::set<std::string> found;
    Write([&](sql::Transaction& tx) {
      found.clear();
      return tx.Query(sql, {}, [&](const sql::Row& row) {
        found.insert(absl::StrCat(row.Uint(0), "/", row.Text(1), "/", row.Text(2)));
        return absl::OkStatus();
      });
    });
    return found;
  };
  const std::set<std::string> only_me = {me};
  EXPECT_EQ(writers("SELECT epoch, instance, host FROM jetmon_event_transitions WHERE site_id = 5"),
            only_me);
  EXPECT_EQ(writers("SELECT epoch, instance, host FROM jetmon_event_transitions"), only_me);
  EXPECT_EQ(writers("SELECT epoch, instance, host FROM jetmon_check_history"), only_me);
  EXPECT_EQ(writers("SELECT projected_epoch, projected_instance, projected_host FROM jetmon_events "
                    "WHERE projected_at_ms > 0"),
            only_me);
  EXPECT_EQ(
      writers("SELECT projected_epoch, projected_instance, projected_host FROM jetmon_events"),
      only_me);
}

TEST_F(OwnershipTest, AFalseAlarmTellsNobody) {
  confirmer_.votes_ = Votes{3, 0, 3};
  Give();
  ownership_->Poll();
  EXPECT_TRUE(Until([&] { return server_.requests().size() >= kSites; }));
  down_ = true;
  EXPECT_TRUE(Until([&] {
    uint64_t alarms = 0;
    Write([&](sql::Transaction& tx) {
      return tx.Query("SELECT COUNT(*) FROM jetmon_false_positives", {}, [&](const sql::Row& r) {
        alarms = r.Uint(0);
        return absl::OkStatus();
      });
    });
    return alarms > 0;
  }));
  uint64_t told = 1;
  Write([&](sql::Transaction& tx) {
    return tx.Query("SELECT COUNT(*) FROM jetmon_notifications", {}, [&](const sql::Row& r) {
      told = r.Uint(0);
      return absl::OkStatus();
    });
  });
  EXPECT_EQ(told, 0u);
}

TEST_F(OwnershipTest, ASiteThatGoesAwayIsDropped) {
  down_ = true;
  Give();
  ownership_->Poll();
  EXPECT_TRUE(Until([&] { return OpenEventOf(5).has_value(); }));
  Write([&](sql::Transaction& tx) {
    return tx
        .Execute(
            "UPDATE jetpack_monitor_sites SET monitor_active = 0 WHERE "
            "jetpack_monitor_site_id = 5")
        .status();
  });
  EXPECT_TRUE(Until([&] { return !OpenEventOf(5).has_value(); }));
}

TEST_F(OwnershipTest, StopSaysGoodbyeAndKeepsTheLock) {
  const uint64_t epoch = Give();
  ownership_->Poll();
  EXPECT_TRUE(Until([&] { return server_.requests().size() >= 1; }));
  ownership_->Stop(seconds(30));
  EXPECT_EQ(Lock(epoch).state, store::range_state::kActive);
  EXPECT_TRUE(SaidGoodbye());
}

}  // namespace
}  // namespace jetmon::monitor
