#ifndef JETMON_VERIFLIER_TEST_SERVICE_H_
#define JETMON_VERIFLIER_TEST_SERVICE_H_

#include <gtest/gtest.h>
#include <unistd.h>

#include <chrono>
#include <cstdint>
#include <future>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "confirm/client.h"
#include "confirm/credential.h"
#include "probe/test_server.h"
#include "veriflier/service.h"

namespace jetmon::veriflier {

using std::chrono::milliseconds;
using Outcomes = std::map<uint64_t, std::string>;

// A Veriflier of vantage v-1 with its real service and engine, a site that it checks, and a client
// that asks it.
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

}  // namespace jetmon::veriflier

#endif  // JETMON_VERIFLIER_TEST_SERVICE_H_
