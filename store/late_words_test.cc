// Dialect v1: what an owner finds in the columns of its sites, and does about it.
#include "store/late_words.h"

#include "store/test_tells.h"

namespace jetmon::store {
namespace {

using LateWordsTest = TellsTest;

// What the owner finds when it looks at the columns, for what it has of the site, within the
// receiver's delay and later. "nothing": the columns stay; "ours": they are as they were before.
TEST_F(LateWordsTest, FollowTheTable) {
  enum Ours { kNothing, kSuspected, kQueued, kTold, kEndQueued, kEndTold };
  const std::string other = "2023-11-14 23:59:59";
  struct Row {
    Ours ours;
    int said;
    bool v1_may_speak;
    LateWord word;
    bool open;
    bool told;
  };
  const Row table[] = {
      {kNothing, 1, true, LateWord::kNone, false, false},
      {kNothing, 0, true, LateWord::kAdopted, true, true},
      {kNothing, 2, true, LateWord::kAdopted, true, true},
      {kNothing, 0, false, LateWord::kForeign, false, false},
      {kNothing, 2, false, LateWord::kForeign, false, false},
      {kNothing, 7, true, LateWord::kForeign, false, false},
      {kSuspected, 1, true, LateWord::kNone, true, false},
      {kSuspected, 1, false, LateWord::kNone, true, false},
      {kSuspected, 0, true, LateWord::kAdopted, true, true},
      {kSuspected, 2, true, LateWord::kAdopted, true, true},
      {kSuspected, 0, false, LateWord::kForeign, true, false},
      {kSuspected, 7, true, LateWord::kForeign, true, false},
      {kQueued, 0, true, LateWord::kAdopted, true, true},
      {kQueued, 0, false, LateWord::kForeign, true, false},
      {kTold, 0, true, LateWord::kNone, true, true},
      {kTold, 2, false, LateWord::kNone, true, true},
      {kTold, 1, true, LateWord::kAdopted, false, false},
      {kTold, 1, false, LateWord::kForeign, true, true},
      {kTold, 7, true, LateWord::kForeign, true, true},
      {kEndQueued, 0, true, LateWord::kNone, false, false},
      {kEndQueued, 2, false, LateWord::kNone, false, false},
      {kEndTold, 0, true, LateWord::kAdopted, true, true},
      {kEndTold, 0, false, LateWord::kForeign, false, false},
  };
  for (const Row& row : table) {
    SCOPED_TRACE(absl::StrCat("ours ", row.ours, ", said ", row.said, ", v1 ", row.v1_may_speak));
    Write([](sql::Transaction& tx) -> absl::Status {
      for (const char* t : {"jetmon_events", "jetmon_event_transitions", "jetmon_notifications"}) {
        if (auto s = tx.Execute(absl::StrCat("DELETE FROM ", t), {}); !s.ok()) return s.status();
      }
      return absl::OkStatus();
    });
    SetColumns(1, kBefore);
    actor_.echo_ms = 0;
    if (row.ours != kNothing) Fail();
    if (row.ours > kSuspected) Confirm();
    if (row.ours > kQueued) {
      Commit();
      Deliver();
    }
    if (row.ours > kTold) Close(*Open());
    if (row.ours > kEndQueued) {
      Commit();
      Deliver();
    }
    Pass(kSecond);
    const std::string before = Columns();
    SetColumns(row.said, other);
    const LateWord word = Did<LateWord>(
        [&](sql::Transaction& tx) { return TakeLateWord(tx, 1, 3, row.v1_may_speak, actor_); });
    EXPECT_EQ(word, row.word);
    EXPECT_EQ(Open().has_value(), row.open);
    if (Open().has_value()) {
      EXPECT_EQ(Open()->told_at_ms != 0, row.told);
    }
    if (word != LateWord::kForeign) {
      EXPECT_EQ(Columns(), absl::StrCat(row.said, " ", other));
    } else {
      EXPECT_EQ(Columns().substr(0, 1), before.substr(0, 1));
    }
    // Nothing is queued that the table does not know of, and it is looked at once.
    EXPECT_EQ(Did<LateWord>([&](sql::Transaction& tx) {
                return TakeLateWord(tx, 1, 3, row.v1_may_speak, actor_);
              }),
              LateWord::kNone);
    EXPECT_EQ(Outbox().find("queued") != std::string::npos,
              row.ours == kEndQueued || (row.ours == kQueued && word == LateWord::kForeign));
  }
}

TEST_F(LateWordsTest, AStaleEchoIsWrittenOverByWhoLooks) {
  TellOutage();
  SetColumns(0, LegacyTime(actor_.now_ms));
  const auto look = [&] {
    return Did<LateWord>(
        [&](sql::Transaction& tx) { return TakeLateWord(tx, 1, 3, true, actor_); });
  };
  EXPECT_EQ(look(), LateWord::kEcho);
  EXPECT_EQ(Columns().substr(0, 1), "1");
  EXPECT_FALSE(Open().has_value());
  TellDown();
  const std::string down = Columns();
  SetColumns(1, LegacyTime(actor_.now_ms + kSecond));
  EXPECT_EQ(look(), LateWord::kEcho);
  EXPECT_EQ(Columns(), down);
  EXPECT_EQ(look(), LateWord::kNone);
}

// The receiver writes the first outage's 0 after its end was told, and the site fails again before
// anybody has looked: that 0 is no tell of the second one.
TEST_F(LateWordsTest, AFailureBehindAnEchoIsAnOutageOfItsOwn) {
  TellOutage();
  Pass(kSecond);
  SetColumns(0, LegacyTime(actor_.now_ms));
  EXPECT_EQ(Fail(), ChangeOutcome::kChanged);
  EXPECT_EQ(Open()->notified, 0);
  Confirm();
  EXPECT_EQ(Commit(), TellOutcome::kCommitted);
  EXPECT_EQ(Outbox(), "down:delivered up:delivered down:sending");
}

TEST_F(LateWordsTest, TheLastWordIsTheLastThatWasTold) {
  const auto last = [&] {
    return Did<LastWord>([&](sql::Transaction& tx) { return LastWordOf(tx, **GetSite(tx, 1)); });
  };
  EXPECT_EQ(last(), LastWord::kNone);
  TellDown();
  Deliver();
  actor_.project = false;
  Close(*Open(), transition::kSiteRemoved);
  EXPECT_EQ(last(), LastWord::kStillTold);
  SetColumns(0, "2023-11-14 23:00:00");
  EXPECT_EQ(last(), LastWord::kNone);  // somebody else's
  SetColumns(1, kBefore);
  TellDown();
  Deliver();
  Close(*Open());
  EXPECT_EQ(last(), LastWord::kStillTold);
  Commit();
  EXPECT_EQ(last(), LastWord::kEndTold);
  Deliver();
  Fail();  // a false alarm tells nobody
  Close(*Open(), transition::kFalseAlarm);
  EXPECT_EQ(last(), LastWord::kEndTold);
}

// Switched off and on again, or moved to another bucket of ours: people still think that it is
// down.
TEST_F(LateWordsTest, WhatWasToldStaysToldWhenASiteComesBack) {
  for (const uint32_t bucket : {3u, 5u}) {
    SCOPED_TRACE(bucket);
    TellDown();
    Deliver();
    Pass(30 * kMinute);
    actor_.project = false;
    Close(*Open(), transition::kSiteRemoved);
    actor_.project = true;
    Write([&](sql::Transaction& tx) {
      return tx.Execute("UPDATE jetpack_monitor_sites SET bucket_no = ?", {bucket}).status();
    });
    site_.bucket = bucket;
    EXPECT_EQ(Did<LateWord>([&](sql::Transaction& tx) {
                return TakeLateWord(tx, 1, bucket, /*v1_may_speak=*/false, actor_);
              }),
              LateWord::kAdopted);
    ASSERT_TRUE(Open().has_value());
    EXPECT_NE(Open()->told_at_ms, 0);
    Close(*Open());
    EXPECT_EQ(Commit(), TellOutcome::kCommitted);
    Deliver();
    Pass(10 * kMinute);
  }
}

// It moves before its old owner has ended the incident there.
TEST_F(LateWordsTest, AnIncidentOfTheOldBucketIsTakenOver) {
  TellDown();
  Deliver();
  Write([](sql::Transaction& tx) {
    return tx.Execute("UPDATE jetpack_monitor_sites SET bucket_no = 5", {}).status();
  });
  EXPECT_EQ(Did<LateWord>([&](sql::Transaction& tx) {
              return TakeLateWord(tx, 1, 5, /*v1_may_speak=*/true, actor_);
            }),
            LateWord::kAdopted);
  EXPECT_EQ(Open()->bucket, 5u);
  EXPECT_NE(Open()->told_at_ms, 0);
}

// An incident of an older build, whose site leaves: it ends, whatever became of its notification.
TEST_F(LateWordsTest, AnOlderBuildsIncidentEnds) {
  actor_.dialect = LegacyDialect::kJetmon2;
  Fail();
  Confirm();
  Deliver();
  const Event seen = *Open();
  actor_.dialect = LegacyDialect::kV1;
  actor_.project = false;
  EXPECT_EQ(Close(seen, transition::kSiteRemoved), ChangeOutcome::kChanged);
  EXPECT_FALSE(Open().has_value());
  EXPECT_EQ(Outbox(), "down:delivered");
}

}  // namespace
}  // namespace jetmon::store
