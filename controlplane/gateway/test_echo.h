#ifndef JETMON_CONTROLPLANE_GATEWAY_TEST_ECHO_H_
#define JETMON_CONTROLPLANE_GATEWAY_TEST_ECHO_H_

#include <gtest/gtest.h>

#include <chrono>
#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <utility>

#include "controlplane/gateway/http_server.h"

namespace jetmon::gateway {

// Answers with what it was asked; the path "/hold" is left to the test.
class Echo final : public HttpHandler {
 public:
  void Handle(HttpRequest request, std::shared_ptr<HttpExchange> exchange,
              std::function<void()>* on_gone) override {
    if (request.path == "/hold") {
      *on_gone = [this] {
        std::lock_guard lock(mu_);
        gone_ = true;
        changed_.notify_all();
      };
      std::lock_guard lock(mu_);
      held_ = std::move(exchange);
      changed_.notify_all();
      return;
    }
    if (request.path == "/drop") return;
    const std::string text = request.method + " " + request.path + " " + request.query + " " +
                             (request.body_too_large ? "TOO LARGE" : request.body);
    exchange->Respond(request.body_too_large ? 413 : 200, {{"x-test", "1"}}, text);
  }
  void Refuse(const HttpRefusal& refusal, HttpExchange& exchange) override {
    static constexpr int kStatus[] = {400, 431, 501, 408};
    exchange.Respond(kStatus[static_cast<int>(refusal.fault)], {}, refusal.why);
  }
  std::shared_ptr<HttpExchange> Held() {
    std::unique_lock lock(mu_);
    EXPECT_TRUE(
        changed_.wait_for(lock, std::chrono::seconds(20), [&] { return held_ != nullptr; }));
    return std::move(held_);
  }
  bool WaitGone() {
    std::unique_lock lock(mu_);
    return changed_.wait_for(lock, std::chrono::seconds(20), [&] { return gone_; });
  }

 private:
  std::mutex mu_;
  std::condition_variable changed_;
  std::shared_ptr<HttpExchange> held_;
  bool gone_ = false;
};

class HttpServerTest : public ::testing::Test {
 protected:
  void Start(HttpServer::Limits limits = {}) {
    auto server = HttpServer::Start("127.0.0.1:0", echo_, limits);
    ASSERT_TRUE(server.ok()) << server.status();
    server_ = *std::move(server);
  }
  Echo echo_;
  std::unique_ptr<HttpServer> server_;
};

}  // namespace jetmon::gateway

#endif  // JETMON_CONTROLPLANE_GATEWAY_TEST_ECHO_H_
