// When the engine must not send, and when it must not believe what it has seen.
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <functional>
#include <string>

#include "probe/engine.h"
#include "probe/engine_fixture.h"
#include "probe/test_server.h"

namespace jetmon::probe {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr char kOk[] = "HTTP/1.1 200 OK\r\n\r\n";

class FakeLease final : public LeaseGate {
 public:
  bool MaySend(BootTime) const override { return allowed_-- > 0; }
  void Allow(int64_t calls) { allowed_ = calls; }
  void Lapse() { allowed_ = 0; }

 private:
  mutable std::atomic<int64_t> allowed_{1'000'000};
};

CheckRequest Leased(std::string url, const LeaseGate& lease) {
  CheckRequest request = MakeRequest(std::move(url));
  request.lease = &lease;
  return request;
}

TEST(EngineLeaseTest, WithALeaseItChecks) {
  TestServer server([](TestServer::Connection& c, const std::string&) { c.Send(kOk); });
  const auto engine = MakeEngine();
  const FakeLease lease;
  EXPECT_EQ(RunCheck(*engine, Leased(server.Url("/"), lease)).outcome, Outcome::kUp);
}

TEST(EngineLeaseTest, WithoutItDoesNotConnect) {
  TestServer server([](TestServer::Connection& c, const std::string&) { c.Send(kOk); });
  FakeLease lease;
  lease.Lapse();
  {
    const auto engine = MakeEngine();
    EXPECT_EQ(RunCheck(*engine, Leased(server.Url("/"), lease)).outcome, Outcome::kLeaseLapsed);
  }
  EXPECT_EQ(server.connections(), 0);
  EXPECT_FALSE(server.HasWaiting());
}

// It is asked when taken from the queue and before connect; whoever asks third is answered no.
TEST(EngineLeaseTest, LapsedBetweenConnectAndWriteSendsNothing) {
  TestServer server([](TestServer::Connection& c, const std::string&) { c.Send(kOk); });
  FakeLease lease;
  lease.Allow(2);
  const auto engine = MakeEngine();
  const CheckResult result = RunCheck(*engine, Leased(server.Url("/"), lease));
  EXPECT_EQ(result.outcome, Outcome::kLeaseLapsed);
  EXPECT_GT(result.started.ns, 0);
  EXPECT_EQ(result.failure_class, "");
  // One more check, whose connection is served after the first one's.
  EXPECT_EQ(RunCheck(*engine, MakeRequest(server.Url("/second"))).outcome, Outcome::kUp);
  ASSERT_EQ(server.requests().size(), 1u);
  EXPECT_NE(server.requests()[0].find("/second"), std::string::npos);
}

TEST(EngineLeaseTest, LapsedAtARedirectHopGoesNoFurther) {
  TestServer next([](TestServer::Connection& c, const std::string&) { c.Send(kOk); });
  FakeLease lease;
  TestServer first([&](TestServer::Connection& c, const std::string&) {
    lease.Lapse();
    c.Send("HTTP/1.1 302 Found\r\nLocation: " + next.Url("/") + "\r\n\r\n");
  });
  {
    const auto engine = MakeEngine();
    EXPECT_EQ(RunCheck(*engine, Leased(first.Url("/"), lease)).outcome, Outcome::kLeaseLapsed);
  }
  EXPECT_EQ(first.requests().size(), 1u);
  EXPECT_EQ(next.connections(), 0);
  EXPECT_FALSE(next.HasWaiting());
}

TEST(EngineLeaseTest, LapsedWhileWaitingEndsTheCheck) {
  FakeLease lease;
  TestServer server([&](TestServer::Connection& c, const std::string&) {
    lease.Lapse();
    c.AwaitClose();
  });
  const auto engine = MakeEngine();
  const CheckResult result = RunCheck(*engine, Leased(server.Url("/"), lease));
  EXPECT_EQ(result.outcome, Outcome::kLeaseLapsed);
  EXPECT_EQ(result.error_code, ErrorCode::kNone);
}

TEST(EngineLeaseTest, AnAnswerAfterTheLapseDoesNotCount) {
  FakeLease lease;
  TestServer server([&](TestServer::Connection& c, const std::string&) {
    lease.Lapse();
    c.Send(kOk);
  });
  const auto engine = MakeEngine();
  EXPECT_EQ(RunCheck(*engine, Leased(server.Url("/"), lease)).outcome, Outcome::kLeaseLapsed);
}

TEST(EngineLeaseTest, LapsedInTheQueue) {
  FakeLease lease;
  std::atomic<bool> go_on{false};
  TestServer server([&](TestServer::Connection& c, const std::string&) { c.AwaitClose(); });
  Engine::Options options = LabOptions();
  options.max_concurrent = 1;
  const auto engine = MakeEngine(std::move(options));
  auto holder = BeginCheck(*engine, MakeRequest(server.Url("/holder")));
  server.AwaitConnections(1);
  auto queued = BeginCheck(*engine, Leased(server.Url("/queued"), lease));
  lease.Lapse();
  EXPECT_EQ(queued.get().outcome, Outcome::kLeaseLapsed);
  engine->CancelAll();
  EXPECT_EQ(holder.get().outcome, Outcome::kCancelled);
  EXPECT_EQ(server.connections(), 1);
}

class PauseTest : public ::testing::Test {
 protected:
  Engine::Options Options() {
    Engine::Options options = LabOptions();
    options.clock = &clock_;
    return options;
  }
  JumpingClock clock_;
};

TEST_F(PauseTest, WhatWasInFlightIsLostThoughItsAnswerIsThere) {
  TestServer server([&](TestServer::Connection& c, const std::string& request) {
    if (request.find("/pause") != std::string::npos) clock_.Jump(seconds(2));
    c.Send(kOk);
  });
  const auto engine = MakeEngine(Options());
  const CheckResult result = RunCheck(*engine, MakeRequest(server.Url("/pause")));
  EXPECT_EQ(result.outcome, Outcome::kLost);
  EXPECT_EQ(result.failure_class, "");
  EXPECT_EQ(RunCheck(*engine, MakeRequest(server.Url("/"))).outcome, Outcome::kUp);
  EXPECT_EQ(engine->GetStats().lost, 1);
  EXPECT_EQ(engine->GetStats().completed, 2);
}

// The loop that reads the answer asks for the time when it begins and at the first byte.
TEST_F(PauseTest, APauseInTheMiddleOfALoopCountsToo) {
  TestServer server([&](TestServer::Connection& c, const std::string&) {
    clock_.JumpAtCall(2, seconds(2));
    c.Send(kOk);
  });
  const auto engine = MakeEngine(Options());
  EXPECT_EQ(RunCheck(*engine, MakeRequest(server.Url("/"))).outcome, Outcome::kLost);
}

// Not a timeout: the pause may have been all of it.
TEST_F(PauseTest, PastItsDeadlineIsLostToo) {
  TestServer server([&](TestServer::Connection& c, const std::string&) {
    clock_.Jump(seconds(100));
    c.AwaitClose();
  });
  const auto engine = MakeEngine(Options());
  EXPECT_EQ(RunCheck(*engine, MakeRequest(server.Url("/"))).outcome, Outcome::kLost);
}

TEST_F(PauseTest, WhileIdleNothingIsLost) {
  TestServer server([](TestServer::Connection& c, const std::string&) { c.Send(kOk); });
  const auto engine = MakeEngine(Options());
  for (int i = 0; i < 3; ++i) {
    clock_.Jump(seconds(60));
    EXPECT_EQ(RunCheck(*engine, MakeRequest(server.Url("/"))).outcome, Outcome::kUp);
  }
}

// A callback that blocks is a pause for the checks that ran meanwhile.
TEST_F(PauseTest, ABlockingCallbackIsAPause) {
  TestServer server([](TestServer::Connection& c, const std::string& request) {
    if (request.find("/wait") != std::string::npos) c.AwaitClose();
    c.Send(kOk);
  });
  const auto engine = MakeEngine(Options());
  auto waiting = BeginCheck(*engine, MakeRequest(server.Url("/wait")));
  server.AwaitConnections(1);
  std::promise<void> blocked;
  ASSERT_TRUE(engine
                  ->Submit(MakeRequest(server.Url("/")),
                           [&](const CheckResult& result) {
                             EXPECT_EQ(result.outcome, Outcome::kUp);
                             clock_.Jump(seconds(2));
                             blocked.set_value();
                           })
                  .ok());
  blocked.get_future().wait();
  EXPECT_EQ(waiting.get().outcome, Outcome::kLost);
}

// A short pause: the deadline comes before the answer that waits in the socket.
TEST_F(PauseTest, DeadlinesAreJudgedBeforeSockets) {
  TestServer server([&](TestServer::Connection& c, const std::string&) {
    clock_.Jump(milliseconds(500));
    c.Send(kOk);
  });
  const auto engine = MakeEngine(Options());
  CheckRequest request = MakeRequest(server.Url("/"));
  request.timeout = milliseconds(400);
  const CheckResult result = RunCheck(*engine, request);
  EXPECT_EQ(result.outcome, Outcome::kDown);
  EXPECT_EQ(result.error_code, ErrorCode::kTimeout);
}

}  // namespace
}  // namespace jetmon::probe
