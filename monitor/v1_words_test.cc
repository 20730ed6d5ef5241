// Dialect v1: whom a Monitor tells what, and what stands in the columns, in virtual time.
#include "monitor/v1_words_fixture.h"

namespace jetmon::monitor {
namespace {

using std::chrono::seconds;

TEST_F(V1WordsTest, AnOutageIsToldOnceAndItsEndOnce) {
  Begin();
  down_ = true;
  ASSERT_TRUE(Play([&] { return OpenEventOf(5).has_value(); }));
  EXPECT_EQ(Status(5), 1);  // a suspicion
  ASSERT_TRUE(Play([&] { return AllTold("d"); }));
  EXPECT_TRUE(AllSay(0));
  PlayOn();
  ExpectAllTold("d");
  down_ = false;
  ASSERT_TRUE(Play([&] { return AllTold("du"); }));
  EXPECT_TRUE(AllSay(1));
  PlayOn();
  ExpectAllTold("du");
}

// A site that fails from the first check on has its three local checks a quarter of a unit apart,
// and later ones a unit.
TEST_F(V1WordsTest, InTheFirstRoundLocalChecksFollowSooner) {
  down_ = true;
  Begin();
  ASSERT_TRUE(Play([&] { return AllTold("d"); }));
  for (uint64_t site = 1; site <= kSites; ++site) {
    const std::vector<BootTime> times = RequestsFor(site);
    ASSERT_GE(times.size(), 3u);
    EXPECT_LT(times[2] - times[0], 2 * config_.RetryDelay()) << site;
  }
  down_ = false;
  ASSERT_TRUE(Play([&] { return AllTold("du"); }));
  std::map<uint64_t, size_t> before;
  for (uint64_t site = 1; site <= kSites; ++site) before[site] = RequestsFor(site).size();
  down_ = true;
  ASSERT_TRUE(Play([&] { return AllTold("dud"); }));
  for (uint64_t site = 1; site <= kSites; ++site) {
    const std::vector<BootTime> times = RequestsFor(site);
    ASSERT_GE(times.size(), before[site] + 3);
    // The first of them may still have been up; the second has failed.
    EXPECT_GE(times[before[site] + 2] - times[before[site] + 1], config_.RetryDelay()) << site;
  }
}

TEST_F(V1WordsTest, AShortOutageIsToldToNobody) {
  Begin();
  PlayOn();  // it was up once
  only_ = 5;
  down_ = true;
  ASSERT_TRUE(Play([&] { return OpenEventOf(5).has_value(); }));
  down_ = false;
  PlayOn();
  ExpectAllTold("");
  EXPECT_TRUE(AllSay(1));
}

TEST_F(V1WordsTest, NothingIsToldWhileV1sLastWordsMayBeOnTheirWay) {
  hold_tells_ms_ = 25'000;
  Begin();
  const BootTime began = clock_.Boot();
  down_ = true;
  ASSERT_TRUE(Play([&] { return AllAreConfirmed(); }));
  ASSERT_LT(clock_.Boot() - began, seconds(25));
  ExpectAllTold("");
  EXPECT_TRUE(AllSay(1));
  ASSERT_TRUE(Play([&] { return AllTold("d"); }));
  EXPECT_GE(clock_.Boot() - began, seconds(25));
}

TEST_F(V1WordsTest, WhatV1ToldIsNotToldAgainAndItsEndIs) {
  for (uint64_t site = 1; site <= kSites; ++site) {
    Say(site, site % 2 == 0 ? 0 : 2, "2023-11-14 10:00:00");
  }
  down_ = true;
  Begin();
  PlayOn();
  ExpectAllTold("");
  for (uint64_t site = 1; site <= kSites; ++site) EXPECT_NE(Status(site), 1);
  down_ = false;
  ASSERT_TRUE(Play([&] { return AllTold("u"); }));
  EXPECT_TRUE(AllSay(1));
  PlayOn();
  ExpectAllTold("u");
}

// v1 tells at the first good check; we want a second one, 10 s (here 167 ms) later.
TEST_F(V1WordsTest, WhatV1ToldEndsWithTwoGoodChecksInARow) {
  Say(5, 0, store::LegacyTime(clock_.WallMs()));
  flaps_ = 5;
  Begin();
  PlayOn();
  EXPECT_GE(RequestsFor(5).size(), 6u);
  EXPECT_EQ(told_[5], "");
  EXPECT_EQ(Status(5), 0);
  flaps_ = 0;
  const size_t before = RequestsFor(5).size();
  ASSERT_TRUE(Play([&] { return told_[5] == "u"; }));
  const std::vector<BootTime> times = RequestsFor(5);
  ASSERT_GE(times.size(), before + 2);
  EXPECT_LE(times[times.size() - 1] - times[times.size() - 2], seconds(1));
}

TEST_F(V1WordsTest, WhatV1SaysLateIsTakenOver) {
  Begin();
  clock_.Advance(milliseconds(500));
  Say(5, 0, "2023-11-14 22:13:21");
  ASSERT_TRUE(Play([&] { return told_[5] == "u"; }));
  EXPECT_EQ(Status(5), 1);
  PlayOn();
  EXPECT_EQ(told_[5], "u");
}

TEST_F(V1WordsTest, WhatIsSaidLaterThanThatIsWrittenOver) {
  Begin();
  PlayOn();
  Say(5, 0, "2023-11-14 22:13:21");
  ASSERT_TRUE(Play([&] { return Status(5) == 1; }));
  PlayOn();
  EXPECT_EQ(told_[5], "");
  EXPECT_EQ(ownership_->watch()->figures().foreign, 1u);
}

// Our own words, written by the receiver some time after we told it.
TEST_F(V1WordsTest, EchoesAreNobodysWord) {
  Begin();
  down_ = true;
  ASSERT_TRUE(Play([&] { return AllTold("d"); }));
  for (uint64_t site = 1; site <= kSites; ++site) {
    Say(site, 0, store::LegacyTime(clock_.WallMs() + 1000));
  }
  down_ = false;
  ASSERT_TRUE(Play([&] { return AllTold("du"); }));
  Say(5, 0, store::LegacyTime(clock_.WallMs()));  // the down, written after the up
  ASSERT_TRUE(Play([&] { return Status(5) == 1; }));
  PlayOn();
  ExpectAllTold("du");
}

TEST_F(V1WordsTest, StillDownIsWrittenAndToldToNobody) {
  config_.still_down_after = std::chrono::minutes(20);  // 20 s here
  Begin();
  down_ = true;
  ASSERT_TRUE(Play([&] { return AllTold("d"); }));
  ASSERT_TRUE(Play([&] { return AllSay(2); }));
  PlayOn();
  ExpectAllTold("d");
  down_ = false;
  ASSERT_TRUE(Play([&] { return AllTold("du"); }));
  EXPECT_TRUE(AllSay(1));
}

TEST_F(V1WordsTest, MutedItChecksOnAndTellsNothing) {
  Begin();
  MuteAll();
  down_ = true;
  ASSERT_TRUE(Play([&] {
    const auto e = OpenEventOf(5);
    return e.has_value() && e->severity == store::Severity::kDown;
  }));
  PlayOn();
  ExpectAllTold("");
  EXPECT_TRUE(AllSay(1));
  const size_t checked = Requests().size();
  PlayOn();
  EXPECT_GT(Requests().size(), checked + kSites);
}

// A release may wait for long: a 0 of 59 minutes is one that v1 would tell again.
TEST_F(V1WordsTest, StillDownIsWrittenWhileItIsMutedToo) {
  config_.still_down_after = std::chrono::minutes(20);  // 20 s here
  Begin();
  down_ = true;
  ASSERT_TRUE(Play([&] { return AllTold("d"); }));
  MuteAll();
  ASSERT_TRUE(Play([&] { return AllSay(2); }));
  PlayOn();
  ExpectAllTold("d");
}

// v1 finds the 0, and tells the end at its first good check.
TEST_F(V1WordsTest, TheEndOfWhatWasToldIsV1sToTellOnceItIsMuted) {
  Begin();
  down_ = true;
  ASSERT_TRUE(Play([&] { return AllTold("d"); }));
  MuteAll();
  ownership_->Poll();
  down_ = false;
  ASSERT_TRUE(Play([&] { return NoneIsOpen(); }));
  CancelQueued();  // as a release does again right before the drain
  PlayOn();
  ExpectAllTold("d");
  EXPECT_TRUE(AllSay(0));
}

TEST_F(V1WordsTest, AMutedPartIsTheOnlyOneOfWhichNothingIsTold) {
  Begin();
  Mute({0, 1});
  ownership_->Poll();
  down_ = true;
  ASSERT_TRUE(Play([&] { return AllAreConfirmed(); }));
  PlayOn();
  for (uint64_t site = 1; site <= kSites; ++site) {
    EXPECT_EQ(told_[site], site % 4 <= 1 ? "" : "d") << site;
  }
}

// What waits to be told when a range begins to drain is v1's to tell.
TEST_F(V1WordsTest, ADrainDoesNotWaitForWhatIsV1s) {
  hold_tells_ms_ = 600'000;
  Begin();
  down_ = true;
  ASSERT_TRUE(Play([&] { return AllAreConfirmed(); }));
  MuteAll();
  Write([&](sql::Transaction& tx) -> absl::Status {
    EXPECT_TRUE(*store::BeginRelease(tx, epoch_, "rjob_2", 9));
    return absl::OkStatus();
  });
  ASSERT_TRUE(Play([&] { return Lock(epoch_).drained; }));
  EXPECT_EQ(Lock(epoch_).notifications_left, 0u);
  ExpectAllTold("");
}

// Its successor goes on, and may do so at once.
TEST_F(V1WordsTest, AMonitorThatHasStoppedSendsNothing) {
  Begin();
  only_ = 5;
  down_ = true;
  posted_ = Notifier::Posted::kUnknown;
  ASSERT_TRUE(Play([&] { return ids_.size() == 1; }));
  ownership_->Stop(seconds(0));
  clock_.Advance(seconds(2));  // it would be tried again
  EXPECT_EQ(notifier_->Turn(), 0);
  EXPECT_EQ(ids_.size(), 1u);
}

// It was another owner's, or nobody's: the columns are what v1 said, however long ago the range was
// activated.
TEST_F(V1WordsTest, ASiteThatComesInIsTakenOverAsItsColumnsSay) {
  const auto activate = [&](bool active) {
    Write([&](sql::Transaction& tx) {
      return tx
          .Execute(
              "UPDATE jetpack_monitor_sites SET monitor_active = ? WHERE jetpack_monitor_site_id = "
              "5",
              {active ? 1 : 0})
          .status();
    });
  };
  activate(false);
  Begin();
  PlayOn();
  EXPECT_TRUE(RequestsFor(5).empty());
  Say(5, 0, "2023-11-14 22:13:21");
  activate(true);
  ASSERT_TRUE(Play([&] { return told_[5] == "u"; }));
  EXPECT_EQ(Status(5), 1);
  EXPECT_EQ(ownership_->watch()->figures().foreign, 0u);
}

// The owner reads of the mute up to 2 s after it was recorded.
TEST_F(V1WordsTest, WhatEndedBeforeTheMuteWasReadIsV1sToTell) {
  Begin();
  down_ = true;
  ASSERT_TRUE(Play([&] { return AllTold("d"); }));
  PlayOn();
  down_ = false;
  ownership_->Poll();
  ASSERT_TRUE(Until([&] { return NoneIsOpen(); }, /*poll=*/false));  // the ends are queued
  MuteAll();
  const BootTime until = clock_.Boot() + seconds(2);
  Until([&] { return clock_.Boot() >= until; }, /*poll=*/false);
  ownership_->Poll();
  PlayOn();
  ExpectAllTold("d");
  EXPECT_TRUE(AllSay(0));  // v1 finds the 0, and tells the end
}

// The mute is not read yet: what is confirmed meanwhile is queued, and refused by the fence.
TEST_F(V1WordsTest, AMuteThatIsNotReadYetStopsTells) {
  Begin();
  down_ = true;
  ASSERT_TRUE(Until([&] {
    const auto e = OpenEventOf(5);
    return e.has_value() && e->notified == 1;
  }));
  MuteAll();
  EXPECT_EQ(notifier_->Turn(), 0);
  ExpectAllTold("");
  EXPECT_EQ(Status(5), 1);
}

TEST_F(V1WordsTest, NothingIsToldOnceTheLeaseIsTooShort) {
  Begin();
  down_ = true;
  ASSERT_TRUE(Until([&] {
    const auto e = OpenEventOf(5);
    return e.has_value() && e->notified == 1;
  }));
  ownership_->Poll();
  clock_.Advance(milliseconds(15'000) - config_.Deadlines().notification());
  EXPECT_EQ(notifier_->Turn(), 0);
  ownership_->Poll();
  EXPECT_GT(notifier_->Turn(), 0);
}

TEST_F(V1WordsTest, AReceiverThatIsNotReachedWasToldNothing) {
  Begin();
  down_ = true;
  posted_ = Notifier::Posted::kNotReached;
  ASSERT_TRUE(Play([&] { return ids_.size() >= 3; }));
  EXPECT_TRUE(AllSay(1));
  down_ = false;
  ASSERT_TRUE(Play([&] { return NoneIsOpen(); }));
  posted_ = Notifier::Posted::kTaken;
  PlayOn();
  ExpectAllTold("");
}

// Told or not: whoever goes on sends the same id, and the site counts as told.
TEST_F(V1WordsTest, WhatMayHaveBeenTakenIsSentAgainByItsId) {
  Begin();
  down_ = true;
  posted_ = Notifier::Posted::kUnknown;
  ASSERT_TRUE(Play([&] { return !ids_.empty(); }));
  const std::string id = ids_[0];
  EXPECT_TRUE(AnySays(0));
  posted_ = Notifier::Posted::kTaken;
  ASSERT_TRUE(Play([&] { return AllTold("d"); }));
  EXPECT_GE(std::count(ids_.begin(), ids_.end(), id), 2);
  EXPECT_TRUE(AllSay(0));
}

// As one leaves it that was killed between the commit and the request, or before it marked the row.
TEST_F(V1WordsTest, ASuccessorSendsWhatWasCommitted) {
  Begin();
  down_ = true;
  posted_ = Notifier::Posted::kUnknown;
  ASSERT_TRUE(Play([&] { return ids_.size() >= 2; }));
  const std::string id = ids_[0];
  notifier_.reset();
  ownership_.reset();
  config_.instance = "ins_2";
  ownership_ = NewOwnership();
  NewNotifier();
  posted_ = Notifier::Posted::kTaken;
  ids_.clear();
  ASSERT_TRUE(Play([&] { return AllTold("d"); }));
  EXPECT_EQ(std::count(ids_.begin(), ids_.end(), id), 1);
  EXPECT_TRUE(AllSay(0));
}

// Its predecessor may have told: that its own request reaches nobody says nothing of that.
TEST_F(V1WordsTest, ASuccessorTakesNothingBack) {
  Begin();
  only_ = 5;
  down_ = true;
  posted_ = Notifier::Posted::kUnknown;
  ASSERT_TRUE(Play([&] { return ids_.size() == 1; }));
  notifier_.reset();
  ownership_.reset();
  config_.instance = "ins_2";
  ownership_ = NewOwnership();
  NewNotifier();
  posted_ = Notifier::Posted::kNotReached;
  ids_.clear();
  ASSERT_TRUE(Play([&] { return !ids_.empty(); }));
  EXPECT_EQ(Status(5), 0);
  down_ = false;
  ASSERT_TRUE(Play([&] { return NoneIsOpen(); }));
  posted_ = Notifier::Posted::kTaken;
  ASSERT_TRUE(Play([&] { return told_[5] == "du"; }));
}

}  // namespace
}  // namespace jetmon::monitor
