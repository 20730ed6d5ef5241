#include "tests/lab/v1/rules.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <optional>
#include <string>
#include <vector>

namespace jetmon::lab {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

constexpr int64_t kSecond = 1'000, kMinute = 60'000;
constexpr int64_t kNow = 1'700'000'000'000;  // Unix ms; a whole second
constexpr int kOk = 200, kBroken = 500, kSilent = 0;

LegacyRow Row(int status, std::optional<int64_t> changed_ms_ago = std::nullopt) {
  LegacyRow row;
  row.site_id = 7;
  row.blog_id = 100'007;
  row.url = "http://site-7/";
  row.site_status = status;
  if (changed_ms_ago) row.last_status_change_s = (kNow - *changed_ms_ago) / 1000;
  return row;
}

// Drives the rules as a host does, on a clock of its own: ticks, local checks that end at once, and
// verifliers that answer when told to.
class Play {
 public:
  explicit Play(int verifliers = 3, int limit = 3)
      : verifliers_(verifliers), rules_(V1Times(), verifliers, limit) {}

  // A round has read the row and checks it: what is told, -1 if nothing.
  int Read(const LegacyRow& row, int code) { return Check(V1Site{row, {}, 0}, code); }

  // The time goes on, tick by tick. Repeated checks find `code`, and each of `answers` verifliers
  // that are asked answers by it at once.
  void Pass(int64_t ms, int code, int answers) {
    for (const int64_t end = now_ + ms; now_ < end;) {
      now_ += V1Times().tick_ms;
      const V1Rules::Due due = rules_.Tick(now_);
      for (const V1Site& site : due.local) {
        checked_at_.push_back(now_ - kNow);
        Check(site, code);
      }
      for (const V1Site& site : due.remote) {
        asked_at_.push_back(now_ - kNow);
        for (int i = 0; i < answers; ++i) Answer(site.row, code);
      }
    }
  }
  void Pass(int64_t ms, int code) { Pass(ms, code, verifliers_); }

  void Answer(const LegacyRow& row, int code) {
    V1Check result;
    result.status = code == kOk ? 1 : 0;
    result.code = code;
    Note(rules_.OnVeriflier(row.blog_id, row.url, result, now_));
  }

  void Forget() { rules_.Forget(); }
  V1Rules& rules() { return rules_; }
  int64_t now() const { return now_; }
  const std::vector<int>& told() const { return told_; }
  const std::vector<V1Tell>& tells() const { return tells_; }
  const std::vector<int64_t>& told_at() const { return told_at_; }
  const std::vector<int64_t>& checked_at() const { return checked_at_; }
  const std::vector<int64_t>& asked_at() const { return asked_at_; }

 private:
  int Check(V1Site site, int code) { return Note(rules_.OnCheck(std::move(site), code, 5, now_)); }
  int Note(std::optional<V1Tell> tell) {
    if (!tell) return -1;
    told_.push_back(tell->status);
    told_at_.push_back(now_ - kNow);
    tells_.push_back(*tell);
    return tell->status;
  }

  const int verifliers_;
  V1Rules rules_;
  int64_t now_ = kNow;
  std::vector<int> told_;
  std::vector<V1Tell> tells_;
  std::vector<int64_t> told_at_, checked_at_, asked_at_;
};

// --- 1 -> 0

TEST(V1Rules, UpAndUpIsSilent) {
  Play play;
  play.Read(Row(1), kOk);
  play.Pass(5 * kMinute, kOk);
  EXPECT_THAT(play.told(), IsEmpty());
  EXPECT_EQ(play.rules().confirming(), 0u);
}

TEST(V1Rules, ThreeFailedChecksAndEnoughVerifliersTellDown) {
  Play play;
  EXPECT_EQ(play.Read(Row(1, 10 * kMinute), kBroken), -1);
  play.Pass(5 * kMinute, kBroken);
  EXPECT_THAT(play.checked_at(), ElementsAre(30 * kSecond, 60 * kSecond));
  EXPECT_THAT(play.asked_at(), ElementsAre(65 * kSecond));
  ASSERT_THAT(play.told(), ElementsAre(0));
  const V1Tell& tell = play.tells()[0];
  EXPECT_EQ(tell.site.row.site_status, 1);
  EXPECT_EQ(tell.site.row.last_status_change_s, (kNow - 10 * kMinute) / 1000);  // the old one
  EXPECT_EQ(tell.site.last_check_ms, kNow + 60 * kSecond);
  ASSERT_EQ(tell.site.checks.size(), 6u);
  for (int i = 0; i < 6; ++i) {
    EXPECT_EQ(tell.site.checks[i].by_veriflier, i >= 3);
    EXPECT_EQ(tell.site.checks[i].code, kBroken);
    EXPECT_EQ(tell.site.checks[i].status, 0);
  }
}

TEST(V1Rules, NoAnswerIsAFailureToo) {
  Play play;
  play.Read(Row(1), kSilent);
  play.Pass(2 * kMinute, kSilent);
  EXPECT_THAT(play.told(), ElementsAre(0));
}

TEST(V1Rules, UpIsACodeBelow400) {
  for (const auto& [code, up] : std::vector<std::pair<int, bool>>{
           {200, true}, {302, true}, {399, true}, {400, false}, {404, false}, {0, false}}) {
    Play play;
    EXPECT_EQ(play.Read(Row(2), code), up ? 1 : -1) << code;
  }
}

TEST(V1Rules, AGoodCheckBetweenEndsTheConfirmation) {
  Play play;
  play.Read(Row(1), kBroken);
  play.Pass(30 * kSecond, kBroken);
  play.Pass(10 * kMinute, kOk);
  EXPECT_THAT(play.told(), IsEmpty());
  EXPECT_EQ(play.rules().confirming(), 0u);
  EXPECT_THAT(play.asked_at(), IsEmpty());
}

TEST(V1Rules, TooFewVerifliersAreNotEnough) {
  Play play(3, 3);
  play.Read(Row(1), kBroken);
  play.Pass(66 * kSecond, kBroken, 2);
  play.Answer(Row(1), kOk);
  play.Pass(10 * kSecond, kBroken, 0);
  EXPECT_THAT(play.told(), IsEmpty());
  EXPECT_EQ(play.rules().confirming(), 0u);  // it begins anew in the next round
}

TEST(V1Rules, AVeriflierThatStaysAwayIsWaitedForAMinute) {
  Play play(3, 3);
  play.Read(Row(1), kBroken);
  play.Pass(65 * kSecond, kBroken, 2);
  play.Pass(60 * kSecond, kBroken);
  EXPECT_EQ(play.rules().confirming(), 1u);
  play.Pass(5 * kSecond, kBroken);
  EXPECT_EQ(play.rules().confirming(), 0u);
  play.Answer(Row(1), kBroken);  // too late
  EXPECT_THAT(play.told(), IsEmpty());
}

TEST(V1Rules, NeverReadAgainWhileItIsConfirmed) {
  // The row that a tell carries is the one of the round, whatever became of it.
  Play play;
  LegacyRow row = Row(1, kMinute);
  row.bucket = 3;
  play.Read(row, kBroken);
  play.Pass(2 * kMinute, kBroken);
  ASSERT_THAT(play.told(), ElementsAre(0));
  EXPECT_EQ(play.tells()[0].site.row.bucket, 3u);
  EXPECT_EQ(play.tells()[0].site.row.site_status, 1);
}

// --- 0 -> 2

TEST(V1Rules, ToldRecentlyIsSilent) {
  Play play;
  EXPECT_EQ(play.Read(Row(0, 59 * kMinute - kSecond), kBroken), -1);
  play.Pass(5 * kMinute, kBroken);
  EXPECT_THAT(play.told(), IsEmpty());
  EXPECT_EQ(play.rules().confirming(), 0u);
}

TEST(V1Rules, StillDownIsToldAfter59MinutesByOneCheck) {
  Play play;
  EXPECT_EQ(play.Read(Row(0, 59 * kMinute), kBroken), 2);
  ASSERT_EQ(play.tells()[0].site.checks.size(), 1u);
  EXPECT_EQ(play.tells()[0].site.checks[0].status, 2);
  EXPECT_EQ(play.rules().confirming(), 0u);
}

TEST(V1Rules, ToldWithoutATimeIsStillDownAtOnce) {
  Play play;
  EXPECT_EQ(play.Read(Row(0), kBroken), 2);
  EXPECT_EQ(play.tells()[0].site.row.last_status_change_s, std::nullopt);
}

TEST(V1Rules, From2OnFailuresAreSilent) {
  for (const auto ago : {std::optional<int64_t>(), std::optional<int64_t>(kMinute),
                         std::optional<int64_t>(100 * 24 * 60 * kMinute)}) {
    Play play;
    EXPECT_EQ(play.Read(Row(2, ago), kBroken), -1);
    play.Pass(5 * kMinute, kBroken);
    EXPECT_THAT(play.told(), IsEmpty());
  }
}

// --- -> 1

TEST(V1Rules, AnyRowButOneThatSays1IsToldUpByOneCheck) {
  for (const int status : {0, 2, 3, -1, 127}) {
    for (const auto ago : {std::optional<int64_t>(), std::optional<int64_t>(kSecond),
                           std::optional<int64_t>(600 * kMinute)}) {
      Play play;
      EXPECT_EQ(play.Read(Row(status, ago), kOk), 1) << status;
      EXPECT_EQ(play.tells()[0].site.checks.size(), 1u);
    }
  }
}

TEST(V1Rules, AnotherValueIsConfirmedIfRecentAndStillDownElse) {
  Play recent;
  EXPECT_EQ(recent.Read(Row(3, kMinute), kBroken), -1);
  recent.Pass(2 * kMinute, kBroken);
  EXPECT_THAT(recent.told(), ElementsAre(0));
  Play old;
  EXPECT_EQ(old.Read(Row(3, 60 * kMinute), kBroken), 2);
}

// --- until the column has changed

TEST(V1Rules, ATellIsRepeatedEachRoundUntilTheColumnHasChanged) {
  Play play;
  for (int round = 0; round < 3; ++round) {
    play.Read(Row(1), kBroken);
    play.Pass(5 * kMinute, kBroken);
  }
  EXPECT_THAT(play.told(), ElementsAre(0, 0, 0));
  for (int round = 0; round < 2; ++round) play.Read(Row(0), kBroken);
  for (int round = 0; round < 2; ++round) play.Read(Row(0, kMinute), kOk);
  EXPECT_THAT(play.told(), ElementsAre(0, 0, 0, 2, 2, 1, 1));
  play.Read(Row(1, 0), kOk);
  EXPECT_EQ(play.told().size(), 7u);
}

// --- repeats

TEST(V1Rules, EachConfirmationBeyondTheLimitTellsAgain) {
  Play play(/*verifliers=*/5, /*limit=*/3);
  play.Read(Row(1), kBroken);
  play.Pass(2 * kMinute, kBroken);
  EXPECT_THAT(play.told(), ElementsAre(0, 0, 0));
  Play one(/*verifliers=*/5, /*limit=*/3);
  one.Read(Row(1), kBroken);
  one.Pass(65 * kSecond, kBroken, 2);
  one.Answer(Row(1), kOk);
  one.Answer(Row(1), kBroken);
  one.Answer(Row(1), kOk);
  EXPECT_THAT(one.told(), ElementsAre(0));
}

TEST(V1Rules, AConfirmationLongerThanARoundIsToldTwice) {
  Play play;
  play.Read(Row(1), kBroken);
  play.Pass(60 * kSecond, kBroken);  // a round of a minute: the row is read again
  play.Read(Row(1), kBroken);
  play.Pass(3 * kMinute, kBroken);
  EXPECT_THAT(play.told(), ElementsAre(0, 0));
}

TEST(V1Rules, DuplicateRowsAreToldDownOnceAndUpTwiceAndStillDownTwice) {
  LegacyRow twin = Row(1);
  twin.site_id = 8;
  Play play;
  play.Read(Row(1), kBroken);
  play.Read(twin, kBroken);
  play.Pass(4 * kMinute, kBroken);
  EXPECT_THAT(play.told(), ElementsAre(0));
  for (const int status : {0, 2}) {
    Play both;
    twin = Row(status);
    twin.site_id = 8;
    const int code = status == 0 ? kBroken : kOk;
    both.Read(Row(status), code);
    both.Read(twin, code);
    EXPECT_THAT(both.told(), status == 0 ? ElementsAre(2, 2) : ElementsAre(1, 1));
  }
}

TEST(V1Rules, TheSameUrlOfAnotherBlogIsAnotherSite) {
  LegacyRow other = Row(1);
  other.blog_id = 5;
  Play play;
  play.Read(Row(1), kBroken);
  play.Read(other, kBroken);
  play.Pass(4 * kMinute, kBroken);
  EXPECT_THAT(play.told(), ElementsAre(0, 0));
}

// --- an end, and a start

TEST(V1Rules, WhatWasConfirmedIsLostAtTheEndAndBeginsAnew) {
  for (const int64_t after : {10 * kSecond, 40 * kSecond, 65 * kSecond}) {
    Play play;
    play.Read(Row(1), kBroken);
    play.Pass(after, kBroken, 0);
    EXPECT_EQ(play.rules().confirming(), 1u);
    play.Forget();
    EXPECT_EQ(play.rules().confirming(), 0u);
    for (int i = 0; i < 3; ++i) play.Answer(Row(1), kBroken);
    play.Pass(10 * kMinute, kBroken);
    EXPECT_THAT(play.told(), IsEmpty());
    const int64_t again = play.now() - kNow;
    play.Read(Row(1), kBroken);
    play.Pass(2 * kMinute, kBroken);
    EXPECT_THAT(play.told(), ElementsAre(0));
    EXPECT_EQ(play.told_at()[0], again + 65 * kSecond);  // three checks, not the rest of them
  }
}

TEST(V1Rules, AtAStartTheColumnIsAllThereIs) {
  struct Case {
    int status;
    std::optional<int64_t> ago;
    int code;
    int told;  // at once; -1: nothing
  };
  for (const Case& c :
       std::vector<Case>{{1, std::nullopt, kBroken, -1},  // confirmed from the beginning
                         {0, kMinute, kBroken, -1},       // silent until 59 minutes after
                         {0, 60 * kMinute, kBroken, 2},   //
                         {0, std::nullopt, kBroken, 2},   //
                         {2, kMinute, kBroken, -1},       //
                         {2, std::nullopt, kBroken, -1},  //
                         {0, kMinute, kOk, 1},            //
                         {2, 600 * kMinute, kOk, 1},      //
                         {1, kMinute, kOk, -1}}) {
    Play play;
    EXPECT_EQ(play.Read(Row(c.status, c.ago), c.code), c.told) << c.status << " " << c.code;
  }
}

// --- scale

TEST(V1Times, AllScaleWithTheMinute) {
  const V1Times times = V1Times().Scaled(1'000);
  EXPECT_EQ(times.round_ms, 5'000);
  EXPECT_EQ(times.tick_ms, 83);
  EXPECT_EQ(times.between_checks_ms, 500);
  EXPECT_EQ(times.between_notices_ms, 59'000);
  EXPECT_EQ(times.verifliers_limit_ms, 1'000);
  EXPECT_EQ(times.tell_limit_ms, 333);
  EXPECT_EQ(times.orphan_ms, 333);
  EXPECT_EQ(V1Times().Scaled(60'000).tick_ms, V1Times().tick_ms);
  EXPECT_EQ(V1Times().Scaled(1).tick_ms, 1);
}

}  // namespace
}  // namespace jetmon::lab
