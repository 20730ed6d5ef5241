// How long a check, a call and a round may take, and who is not asked.
#include "clock/deadline_budget.h"
#include "confirm/client.h"
#include "veriflier/test_service.h"

namespace jetmon::veriflier {
namespace {

TEST_F(ServiceTest, WhatIsNotBegunInTimeIsNoWordAboutTheSite) {
  const std::string endpoint = Start(1, 10);
  confirm::Question queued = Ask(2, "/");
  queued.timeout = milliseconds(100);  // over before the first one lets it in
  EXPECT_EQ(Check(Vantage({endpoint}), {Ask(1, "/slow"), queued}),
            (Outcomes{{1, "timeout"}, {2, "unknown"}}));
}

TEST_F(ServiceTest, TheCallersDeadlineEndsTheWork) {
  const std::string endpoint = Start();
  confirm::Question slow = Ask(1, "/slow");
  slow.timeout = milliseconds(9000);
  const auto began = std::chrono::steady_clock::now();
  EXPECT_EQ(Check(Vantage({endpoint}), {slow}, milliseconds(400)), (Outcomes{{1, "unknown"}}));
  EXPECT_LT(std::chrono::steady_clock::now() - began, milliseconds(3000));
  for (int i = 0; i < 500 && checker_->stats().in_flight > 0; ++i) {
    std::this_thread::sleep_for(milliseconds(10));
  }
  EXPECT_EQ(checker_->stats().in_flight, 0);
}

// Production's check and its round: what is asked for takes all of its time, and there is time left
// to say so.
TEST_F(ServiceTest, ASiteThatNeverAnswersIsATimeoutAtProductionsTimes) {
  const std::string endpoint = Start();
  confirm::Question slow = Ask(1, "/slow");
  slow.timeout = milliseconds(10'000);
  EXPECT_EQ(Check(Vantage({endpoint}), {slow}, milliseconds(12'000)), (Outcomes{{1, "timeout"}}));
}

// The same by the budget's own numbers: the client's, the deadline's and the agent's bound.
TEST_F(ServiceTest, ASiteThatNeverAnswersIsATimeoutWithinItsRound) {
  const DeadlineBudget budget = *DeadlineBudget::Of(milliseconds(1'000));
  const std::string endpoint = Start(10, 10, budget);
  confirm::Client client(budget);
  confirm::Question slow = Ask(1, "/slow"), refused = Ask(2, "/");
  slow.timeout = refused.timeout = budget.check();
  refused.url = "http://127.0.0.1:1/";
  const auto began = std::chrono::steady_clock::now();
  EXPECT_EQ(CheckBy(client, Vantage({{endpoint, budget}}), {slow, refused}, budget.round()),
            (Outcomes{{1, "timeout"}, {2, "down"}}));
  EXPECT_GE(std::chrono::steady_clock::now() - began, budget.check());
}

// Cut to what the agent makes, a slow site would look silent.
TEST_F(ServiceTest, ALongerCheckThanItMakesIsNotCutButLeftAlone) {
  const std::string endpoint = Start(10, 10, *DeadlineBudget::Of(milliseconds(1'000)));
  // One that does not know of it: it is told by the agent.
  const confirm::Endpoint unaware(endpoint, *DeadlineBudget::Of(milliseconds(20'000)));
  confirm::Question too_long = Ask(1, "/slow"), fits = Ask(2, "/");
  too_long.timeout = milliseconds(1'001);
  fits.timeout = milliseconds(1'000);
  const auto began = std::chrono::steady_clock::now();
  EXPECT_EQ(Check(Vantage({unaware}), {too_long, fits}), (Outcomes{{1, "unknown"}, {2, "up"}}));
  EXPECT_LT(std::chrono::steady_clock::now() - began, milliseconds(1'000));
  EXPECT_EQ(errors_[1],
            "this agent makes checks of 1000 ms at most, not of 1001: see its --longest_check");
  EXPECT_EQ(site_.requests().size(), 1u);
}

TEST_F(ServiceTest, NoDeadlineIsLongerThanTheAgentsRound) {
  const std::string endpoint = Start(1, 10, *DeadlineBudget::Of(milliseconds(1'000)));
  std::vector<confirm::Question> queued;  // one after the other, a second each
  for (uint64_t id = 1; id <= 6; ++id) {
    queued.push_back(Ask(id, "/slow"));
    queued.back().timeout = milliseconds(1'000);
  }
  const auto began = std::chrono::steady_clock::now();
  const Outcomes outcomes = Check(Vantage({endpoint}), queued, milliseconds(12'000));
  EXPECT_LT(std::chrono::steady_clock::now() - began, milliseconds(5'000));
  int timeouts = 0;
  for (const auto& [id, outcome] : outcomes) timeouts += outcome == "timeout" ? 1 : 0;
  EXPECT_GE(timeouts, 1);
  EXPECT_LE(timeouts, 3);
  EXPECT_EQ(outcomes.at(6), "unknown");
}

// A build from before agents announced it cuts a longer check to 10 s without a word.
TEST_F(ServiceTest, AnEndpointWhoseChecksAreTooShortIsNotAsked) {
  const std::string endpoint = Start();
  confirm::Question longest = Ask(1, "/");
  longest.timeout = milliseconds(10'001);
  EXPECT_EQ(Check(Vantage({endpoint}), {longest, Ask(2, "/")}),
            (Outcomes{{1, "unknown"}, {2, "up"}}));
  EXPECT_EQ(site_.requests().size(), 1u);
  // Another agent of the vantage makes them.
  const confirm::Endpoint able(endpoint, DeadlineBudget::Announced(20'000));
  EXPECT_EQ(Check(Vantage({confirm::Endpoint("127.0.0.1:1"), able}), {longest, Ask(2, "/")}),
            (Outcomes{{1, "up"}, {2, "up"}}));
  // Nobody is asked a question that is for none of them.
  EXPECT_EQ(Check(Vantage({endpoint, endpoint}), {longest}), (Outcomes{{1, "unknown"}}));
}

TEST_F(ServiceTest, ACallLastsNoLongerThanTheAskersRound) {
  const std::string endpoint = Start();
  confirm::Client client(*DeadlineBudget::Of(milliseconds(1'000)));
  confirm::Question slow = Ask(1, "/slow");
  slow.timeout = milliseconds(10'000);
  const auto began = std::chrono::steady_clock::now();
  EXPECT_EQ(CheckBy(client, Vantage({endpoint}), {slow}, milliseconds(10'000)),
            (Outcomes{{1, "unknown"}}));
  EXPECT_LT(std::chrono::steady_clock::now() - began, milliseconds(6'000));
}

}  // namespace
}  // namespace jetmon::veriflier
