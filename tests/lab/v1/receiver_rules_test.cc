#include "tests/lab/v1/receiver_rules.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"

namespace jetmon::lab {
namespace {

using std::chrono::milliseconds;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::SizeIs;
using Answer = Treatment::Answer;

TEST(ParseTold, V1sRequest) {
  const auto told = ParseTold(
      "GET", "/jetmon/",
      "data={\"blog_id\":5,\"monitor_url\":\"http://x/?a=1&b=2\",\"status_id\":2,\"last_check\":"
      "\"2026-04-01T10:00:00.000Z\",\"last_status_change\":null,\"checks\":[],\"token\":\"t\"}",
      "", "");
  ASSERT_TRUE(told.ok()) << told.status();
  EXPECT_EQ(told->sender, "v1");
  EXPECT_EQ(told->id, "");
  EXPECT_EQ(told->blog_id, 5u);
  EXPECT_EQ(told->url, "http://x/?a=1&b=2");
  EXPECT_EQ(told->status, 2);
}

TEST(ParseTold, V2sRequest) {
  const std::string body =
      "{\"notification_id\":\"ntf_1\",\"blog_id\":9007199254740992,\"monitor_url\":\"http://x/\","
      "\"status_id\":0,\"last_check\":1,\"last_status_change\":1,\"status_type\":\"down\","
      "\"checks\":[{}]}";
  const auto told = ParseTold("POST", "/notify", "", "ntf_1", body);
  ASSERT_TRUE(told.ok()) << told.status();
  EXPECT_EQ(told->sender, "v2");
  EXPECT_EQ(told->id, "ntf_1");
  EXPECT_EQ(told->blog_id, uint64_t{1} << 53);
  EXPECT_EQ(told->status, 0);
  EXPECT_FALSE(ParseTold("POST", "/notify", "", "ntf_2", body).ok());
  EXPECT_FALSE(ParseTold("POST", "/notify", "", "", body).ok());
}

TEST(ParseTold, WhatIsNoTellIsRefused) {
  const auto v1 = [](const std::string& json) {
    return ParseTold("GET", "/jetmon/", "data=" + json, "", "").ok();
  };
  EXPECT_TRUE(v1("{\"blog_id\":5,\"monitor_url\":\"u\",\"status_id\":1}"));
  EXPECT_FALSE(v1("{\"blog_id\":5,\"monitor_url\":\"u\",\"status_id\":3}"));
  EXPECT_FALSE(v1("{\"blog_id\":5,\"monitor_url\":\"u\",\"status_id\":\"1\"}"));
  EXPECT_FALSE(v1("{\"blog_id\":-5,\"monitor_url\":\"u\",\"status_id\":1}"));
  EXPECT_FALSE(v1("{\"blog_id\":0.5,\"monitor_url\":\"u\",\"status_id\":1}"));
  EXPECT_FALSE(v1("{\"blog_id\":5,\"monitor_url\":\"\",\"status_id\":1}"));
  EXPECT_FALSE(v1("{\"blog_id\":5,\"monitor_url\":\"u\"}"));
  EXPECT_FALSE(v1("nonsense"));
  EXPECT_FALSE(v1("[]"));
  const std::string good = "data={\"blog_id\":5,\"monitor_url\":\"u\",\"status_id\":1}";
  EXPECT_FALSE(ParseTold("GET", "/elsewhere", good, "", "").ok());
  EXPECT_FALSE(ParseTold("HEAD", "/jetmon/", good, "", "").ok());
  EXPECT_FALSE(ParseTold("GET", "/jetmon/", good.substr(1), "", "").ok());
}

Told V1Told() { return {"v1", "", 5, "u", 0}; }
Told V2Told(int n) { return {"v2", absl::StrCat("ntf_", n), 5, "u", 0}; }

TEST(ReceiverRules, WritesOnceWithinItsDelaysAndAnswersWell) {
  ReceiverHabits habits;
  habits.delay_min = milliseconds(100);
  habits.delay_max = milliseconds(300);
  ReceiverRules rules(habits);
  milliseconds least(1000), most(0);
  for (int i = 0; i < 2000; ++i) {
    const Treatment treatment = rules.Take(V1Told());
    ASSERT_THAT(treatment.writes, SizeIs(1));
    EXPECT_EQ(treatment.answer, Answer::kOk);
    least = std::min(least, treatment.writes[0]);
    most = std::max(most, treatment.writes[0]);
  }
  EXPECT_EQ(least, milliseconds(100));
  EXPECT_EQ(most, milliseconds(300));
}

TEST(ReceiverRules, TheSameSeedDecidesTheSame) {
  ReceiverHabits habits;
  habits.writes_twice = habits.never_writes = 0.3;
  ReceiverRules one(habits), same(habits);
  habits.seed = 2;
  ReceiverRules other(habits);
  int differs = 0;
  for (int i = 0; i < 100; ++i) {
    const Treatment a = one.Take(V1Told()), b = same.Take(V2Told(i)), c = other.Take(V1Told());
    EXPECT_EQ(a.writes, b.writes);
    differs += a.writes != c.writes;
  }
  EXPECT_GT(differs, 50);
}

TEST(ReceiverRules, WhatAnswersDoesNotShiftWhatWrites) {
  ReceiverHabits habits;
  ReceiverRules plain(habits);
  habits.answers_error = 0.5;
  ReceiverRules failing(habits);
  int errors = 0;
  for (int i = 0; i < 400; ++i) {
    const Treatment a = plain.Take(V1Told()), b = failing.Take(V1Told());
    EXPECT_EQ(a.writes, b.writes);
    errors += b.answer == Answer::kError;
  }
  EXPECT_GT(errors, 150);
  EXPECT_LT(errors, 250);
}

TEST(ReceiverRules, CertainHabits) {
  ReceiverHabits habits;
  habits.never_writes = 1;
  EXPECT_THAT(ReceiverRules(habits).Take(V1Told()).writes, IsEmpty());
  habits = {};
  habits.writes_twice = 1;
  EXPECT_THAT(ReceiverRules(habits).Take(V1Told()).writes, SizeIs(2));
  habits = {};
  habits.answers_slowly = 1;
  EXPECT_EQ(ReceiverRules(habits).Take(V1Told()).answer, Answer::kSlow);
  habits = {};
  habits.answers_error = 1;
  EXPECT_EQ(ReceiverRules(habits).Take(V1Told()).answer, Answer::kError);
  EXPECT_THAT(ReceiverRules(habits).Take(V1Told()).writes, SizeIs(1));  // it took it all the same
  habits = {};
  habits.closes = 1;
  EXPECT_EQ(ReceiverRules(habits).Take(V1Told()).answer, Answer::kClose);
}

TEST(ReceiverRules, SharesAreAddedUp) {
  ReceiverHabits habits;
  habits.never_writes = habits.writes_twice = 0.25;
  habits.answers_slowly = habits.answers_error = habits.closes = 0.25;
  ReceiverRules rules(habits);
  int writes[3] = {}, answers[5] = {};
  for (int i = 0; i < 4000; ++i) {
    const Treatment treatment = rules.Take(V1Told());
    ++writes[treatment.writes.size()];
    ++answers[static_cast<int>(treatment.answer)];
  }
  EXPECT_NEAR(writes[0], 1000, 150);
  EXPECT_NEAR(writes[1], 2000, 150);
  EXPECT_NEAR(writes[2], 1000, 150);
  for (const Answer a : {Answer::kOk, Answer::kSlow, Answer::kError, Answer::kClose}) {
    EXPECT_NEAR(answers[static_cast<int>(a)], 1000, 150);
  }
  EXPECT_EQ(answers[static_cast<int>(Answer::kSilent)], 0);
}

TEST(ReceiverRules, AnIdThatWasThereBeforeIsARepeatAndNotWritten) {
  ReceiverRules rules({});
  EXPECT_FALSE(rules.Take(V2Told(1)).repeat);
  const Treatment again = rules.Take(V2Told(1));
  EXPECT_TRUE(again.repeat);
  EXPECT_THAT(again.writes, IsEmpty());
  EXPECT_EQ(again.answer, Answer::kOk);
  EXPECT_FALSE(rules.Take(V2Told(2)).repeat);
  // v1 has no ids: whatever it says is new.
  rules.Take(V1Told());
  const Treatment v1 = rules.Take(V1Told());
  EXPECT_FALSE(v1.repeat);
  EXPECT_THAT(v1.writes, SizeIs(1));
}

TEST(ReceiverRules, AForcedAnswerHoldsUntilItIsOk) {
  ReceiverHabits habits;
  habits.closes = 1;
  ReceiverRules rules(habits);
  rules.Force(*ParseAnswer("silent"));
  EXPECT_EQ(rules.Take(V1Told()).answer, Answer::kSilent);
  EXPECT_THAT(rules.Take(V1Told()).writes, SizeIs(1));
  rules.Force(*ParseAnswer("error"));
  EXPECT_EQ(rules.Take(V1Told()).answer, Answer::kError);
  rules.Force(*ParseAnswer("slow"));
  EXPECT_EQ(rules.Take(V1Told()).answer, Answer::kSlow);
  rules.Force(*ParseAnswer("ok"));
  EXPECT_EQ(rules.Take(V1Told()).answer, Answer::kClose);
  EXPECT_EQ(ParseAnswer("close"), std::nullopt);
}

}  // namespace
}  // namespace jetmon::lab
