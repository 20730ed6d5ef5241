#include "veriflier/service.h"

#include "confirm/client.h"
#include "confirm/credential.h"
#include "veriflier/test_service.h"

namespace jetmon::veriflier {
namespace {

TEST_F(ServiceTest, AnswersForEachSite) {
  const std::string endpoint = Start();
  confirm::Question refused = Ask(4, "/");
  refused.url = "http://127.0.0.1:1/";
  confirm::Question unsafe = Ask(5, "/");
  unsafe.url = "http://10.1.2.3/";
  EXPECT_EQ(
      Check(Vantage({endpoint}), {Ask(1, "/"), Ask(2, "/down"), Ask(3, "/slow"), refused, unsafe}),
      (Outcomes{{1, "up"}, {2, "down"}, {3, "timeout"}, {4, "down"}, {5, "probe_error"}}));
  EXPECT_EQ(checker_->completed(), 5u);
}

TEST_F(ServiceTest, JudgesByTheRulesThatItIsGiven) {
  const std::string endpoint = Start();
  confirm::Rules rules;
  rules.redirect_policy = "alert";
  rules.headers = {{"X-Key", "abc"}};
  confirm::Question full = Ask(1, "/");
  full.method = "GET";
  full.profile = "full";
  full.rules = std::make_shared<const confirm::Rules>(rules);
  EXPECT_EQ(Check(Vantage({endpoint}), {full}), (Outcomes{{1, "up"}}));
  EXPECT_NE(site_.requests().at(0).find("X-Key: abc\r\n"), std::string::npos);
}

TEST_F(ServiceTest, TheKeywordIsLookedForThereToo) {
  const std::string endpoint = Start();
  const auto ask = [&](uint64_t id, const char* keyword, std::vector<std::string> forbidden) {
    confirm::Question q = Ask(id, "/body");
    q.method = "GET";
    q.profile = "full";
    q.rules = std::make_shared<const confirm::Rules>(
        confirm::Rules{keyword, std::move(forbidden), "", {}});
    return q;
  };
  EXPECT_EQ(
      Check(Vantage({endpoint}), {ask(1, "welcome", {}), ask(2, "goodbye", {}),
                                  ask(3, "", {"welcome"}), ask(4, "welcome", {"x", "goodbye"})}),
      (Outcomes{{1, "up"}, {2, "down"}, {3, "down"}, {4, "up"}}));
}

TEST_F(ServiceTest, RulesThatItCantJudgeByAreNoWordAboutTheSite) {
  const std::string endpoint = Start();
  const auto ask = [&](uint64_t id, confirm::Rules rules) {
    confirm::Question q = Ask(id, "/");
    q.method = "GET";
    q.profile = "full";
    q.rules = std::make_shared<const confirm::Rules>(std::move(rules));
    return q;
  };
  std::vector<confirm::Question> questions = {
      ask(1, {std::string(256, 'k'), {}, "follow", {}}),
      ask(2, {"", {""}, "follow", {}}),
      ask(3, {"", std::vector<std::string>(17, "k"), "follow", {}}),
      ask(4, {"", {}, "never", {}}),
      ask(5, {"", {}, "follow", {{"Host", "other.example"}}}),
      ask(6, {"", {}, "follow", {{"X-Key", "a\r\nX-Other: b"}}}),
      ask(7, {"", {}, "follow", std::vector<std::pair<std::string, std::string>>(33, {"a", "b"})}),
  };
  Outcomes wanted;
  for (const confirm::Question& q : questions) wanted[q.site_id] = "probe_error";
  EXPECT_EQ(Check(Vantage({endpoint}), std::move(questions)), wanted);
  EXPECT_TRUE(site_.requests().empty());
}

TEST_F(ServiceTest, AsMuchAsFitsACallIsTaken) {
  const std::string endpoint = Start(500, 500);
  confirm::Rules rules;
  for (int i = 0; i < 32; ++i) {
    rules.headers.emplace_back("X-Key-" + std::to_string(i), std::string(1000, 'v'));
  }
  std::vector<confirm::Question> questions;
  Outcomes wanted;
  for (size_t bytes = 0; bytes < confirm::kMostQuestionBytes; bytes += questions.back().size()) {
    confirm::Question q = Ask(questions.size() + 1, "/");
    q.method = "GET";
    q.profile = "full";
    q.rules = std::make_shared<const confirm::Rules>(rules);
    wanted[q.site_id] = "up";
    questions.push_back(std::move(q));
  }
  EXPECT_GT(questions.size(), 10u);
  EXPECT_EQ(Check(Vantage({endpoint}), std::move(questions)), wanted);
}

TEST_F(ServiceTest, RefusesAnotherVantagesCredential) {
  const std::string endpoint = Start();
  EXPECT_EQ(Check(Vantage({endpoint}, "jv_other"), {Ask(1, "/")}), (Outcomes{{1, "unknown"}}));
  EXPECT_TRUE(site_.requests().empty());
  std::promise<absl::Status> status;
  client_.GetStatus(Vantage({endpoint}, "jv_other"), milliseconds(2000),
                    [&](absl::StatusOr<confirm::Facts> f) { status.set_value(f.status()); });
  EXPECT_TRUE(absl::IsPermissionDenied(status.get_future().get()));
}

TEST_F(ServiceTest, SaysWhoItIs) {
  const std::string endpoint = Start();
  std::promise<absl::StatusOr<confirm::Facts>> facts;
  client_.GetStatus(Vantage({confirm::Endpoint("127.0.0.1:1"), endpoint}), milliseconds(3000),
                    [&](absl::StatusOr<confirm::Facts> f) { facts.set_value(std::move(f)); });
  const auto got = facts.get_future().get();
  ASSERT_TRUE(got.ok()) << got.status();
  EXPECT_EQ(got->vantage_id, "v-1");
  EXPECT_EQ(got->agent_id, "agent-1");
  EXPECT_EQ(got->trust, "trusted");
  EXPECT_EQ(got->budget.check(), milliseconds(20'000));
}

TEST_F(ServiceTest, ADeadEndpointLeavesTheNextOne) {
  const std::string endpoint = Start();
  EXPECT_EQ(Check(Vantage({confirm::Endpoint("127.0.0.1:1"), endpoint}), {Ask(1, "/")}),
            (Outcomes{{1, "up"}}));
  EXPECT_EQ(Check(Vantage({}), {Ask(1, "/")}), (Outcomes{{1, "unknown"}}));
}

TEST_F(ServiceTest, AFullQueueSaysSoAtOnce) {
  const std::string endpoint = Start(1, 0);
  const Outcomes outcomes =
      Check(Vantage({endpoint}), {Ask(1, "/slow"), Ask(2, "/slow"), Ask(3, "/slow")});
  int overloaded = 0;
  for (const auto& [id, outcome] : outcomes) overloaded += outcome == "agent_overloaded" ? 1 : 0;
  EXPECT_EQ(overloaded, 2);
}

TEST_F(ServiceTest, WhatAFullAgentCantTakeTheNextOneIsAsked) {
  const std::string full = Start(1, 0);
  const std::unique_ptr<Checker> full_checker = std::move(checker_);
  std::unique_ptr<Server> full_server = std::move(server_);
  const std::string idle = Start();
  EXPECT_EQ(Check(Vantage({full, idle}), {Ask(1, "/slow"), Ask(2, "/"), Ask(3, "/down")}),
            (Outcomes{{1, "timeout"}, {2, "up"}, {3, "down"}}));
  full_server.reset();
  full_checker->Stop();
}

TEST_F(ServiceTest, APortInUseIsOneLine) {
  const std::string endpoint = Start();
  Server::Options options;
  options.listen = endpoint;
  options.token = "jv_secret";
  const auto second = Server::Start(options, checker_.get(), SystemClock());
  EXPECT_TRUE(absl::IsUnavailable(second.status()));
  EXPECT_EQ(second.status().message().find('\n'), absl::string_view::npos);
}

}  // namespace
}  // namespace jetmon::veriflier
