#include "veriflier/service.h"

#include <gtest/gtest.h>

#include <future>
#include <map>

#include "confirm/client.h"
#include "confirm/credential.h"
#include "probe/test_server.h"

namespace jetmon::veriflier {
namespace {

using std::chrono::milliseconds;
using Outcomes = std::map<uint64_t, std::string>;

class ServiceTest : public testing::Test {
 protected:
  ServiceTest()
      : site_([](probe::TestServer::Connection& c, const std::string& request) {
          if (request.find("/slow") != std::string::npos) {
            c.AwaitClose();
          } else if (request.find("/body") != std::string::npos) {
            c.Send("HTTP/1.1 200 OK\r\nContent-Length: 13\r\n\r\nwelcome home\n");
          } else {
            c.Send(request.find("/down") != std::string::npos ? "HTTP/1.1 503 No\r\n\r\n"
                                                              : "HTTP/1.1 200 OK\r\n\r\n");
          }
        }) {}
  // Starts a Veriflier of vantage v-1 on a free port; its endpoint.
  std::string Start(int max_concurrent = 10, int max_queued = 10,
                    DeadlineBudget budget = *DeadlineBudget::Of(DeadlineBudget::kLongestCheck)) {
    probe::Engine::Options engine;
    engine.max_concurrent = max_concurrent;
    engine.max_queued = max_queued;
    engine.safety = *probe::TargetSafety::FromFlags("public_only", "127.0.0.0/8");
    checker_ = std::make_unique<Checker>(Checker::Identity{"v-1", "agent-1"}, engine, budget);
    EXPECT_TRUE(checker_->Start().ok());
    Server::Options options;
    options.vantage_id = "v-1";
    options.agent_id = "agent-1";
    options.token = "jv_secret";
    options.trust = [] { return std::string("trusted"); };
    for (int port = 20'000 + getpid() % 5000; port < 32'000; ++port) {
      options.listen = "127.0.0.1:" + std::to_string(port);
      auto server = Server::Start(options, checker_.get(), SystemClock());
      if (server.ok()) {
        server_ = std::move(*server);
        return options.listen;
      }
    }
    ADD_FAILURE() << "no free port";
    return "";
  }
  ~ServiceTest() override {
    server_.reset();
    if (checker_ != nullptr) checker_->Stop();
  }
  static confirm::Vantage Vantage(std::vector<confirm::Endpoint> endpoints,
                                  const std::string& token = "jv_secret") {
    return {"v-1", confirm::TokenHash(token), std::move(endpoints)};
  }
  confirm::Question Ask(uint64_t id, const std::string& path) {
    confirm::Question q;
    q.site_id = id;
    q.url = site_.Url(path);
    q.timeout = milliseconds(300);
    q.request_id = "r-" + std::to_string(id);
    return q;
  }
  Outcomes Check(const confirm::Vantage& vantage, std::vector<confirm::Question> questions,
                 milliseconds deadline = milliseconds(3000)) {
    return CheckBy(client_, vantage, std::move(questions), deadline);
  }
  Outcomes CheckBy(confirm::Client& client, const confirm::Vantage& vantage,
                   std::vector<confirm::Question> questions, milliseconds deadline) {
    std::promise<std::vector<confirm::Answer>> promise;
    client.CheckSites(vantage, std::move(questions), deadline,
                      [&](std::vector<confirm::Answer> a) { promise.set_value(std::move(a)); });
    Outcomes outcomes;
    const auto answers = promise.get_future().get();
    for (const confirm::Answer& a : answers) {
      outcomes[a.site_id] = a.outcome;
      errors_[a.site_id] = a.error;
      EXPECT_EQ(a.vantage_id, "v-1");
      EXPECT_EQ(a.request_id, "r-" + std::to_string(a.site_id));
    }
    return outcomes;
  }

  std::map<uint64_t, std::string> errors_;  // of the last answers
  probe::TestServer site_;
  std::unique_ptr<Checker> checker_;
  std::unique_ptr<Server> server_;
  confirm::Client client_;
};

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
