// How much the engine takes on, and how it lets go.
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <mutex>
#include <string>
#include <vector>

#include "probe/engine.h"
#include "probe/engine_fixture.h"
#include "probe/test_server.h"

namespace jetmon::probe {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr char kOk[] = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

void NeverAnswer(TestServer::Connection& c, const std::string&) { c.AwaitClose(); }

Engine::Options Limits(int max_concurrent, int max_queued, int reactors = 1) {
  Engine::Options options = LabOptions();
  options.max_concurrent = max_concurrent;
  options.max_queued = max_queued;
  options.reactors = reactors;
  return options;
}

// Counts outcomes, and waits for a number of them.
class Tally {
 public:
  std::function<void(CheckResult)> Done() {
    return [this](const CheckResult& result) {
      std::lock_guard lock(mutex_);
      ++outcomes_[static_cast<size_t>(result.outcome)];
      ++total_;
      changed_.notify_all();
    };
  }
  void Await(int total) {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return total_ >= total; });
  }
  int of(Outcome outcome) {
    std::lock_guard lock(mutex_);
    return outcomes_[static_cast<size_t>(outcome)];
  }
  int total() {
    std::lock_guard lock(mutex_);
    return total_;
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  int outcomes_[8] = {};
  int total_ = 0;
};

TEST(EngineLoadTest, TheCapOnConcurrencyHolds) {
  std::mutex mutex;
  std::condition_variable changed;
  bool open = false;
  int at_once = 0, most = 0;
  TestServer server(
      [&](TestServer::Connection& c, const std::string&) {
        std::unique_lock lock(mutex);
        most = std::max(most, ++at_once);
        changed.notify_all();
        changed.wait(lock, [&] { return open; });
        --at_once;
        lock.unlock();
        c.Send(kOk);
      },
      20);
  const auto engine = MakeEngine(Limits(5, 15));
  Tally tally;
  for (int i = 0; i < 20; ++i) {
    ASSERT_TRUE(engine->Submit(MakeRequest(server.Url("/")), tally.Done()).ok());
  }
  {
    std::unique_lock lock(mutex);
    changed.wait(lock, [&] { return at_once >= 5; });
  }
  EXPECT_EQ(engine->GetStats().in_flight, 5);
  EXPECT_EQ(engine->GetStats().queued, 15);
  const absl::Status full = engine->Submit(MakeRequest(server.Url("/")), tally.Done());
  EXPECT_TRUE(absl::IsResourceExhausted(full)) << full;
  EXPECT_EQ(server.connections(), 5);
  {
    std::lock_guard lock(mutex);
    open = true;
    changed.notify_all();
  }
  tally.Await(20);
  EXPECT_EQ(tally.of(Outcome::kUp), 20);
  EXPECT_EQ(most, 5);
  EXPECT_TRUE(engine->Submit(MakeRequest(server.Url("/")), tally.Done()).ok());
  tally.Await(21);
  EXPECT_EQ(engine->GetStats().completed, 21);
}

TEST(EngineLoadTest, TwoThousandChecksAtFiveHundred) {
  TestServer server([](TestServer::Connection& c, const std::string&) { c.Send(kOk); }, 4);
  for (const int reactors : {1, 2}) {
    const auto engine = MakeEngine(Limits(500, 1500, reactors));
    Tally tally;
    for (int i = 0; i < 2000; ++i) {
      CheckRequest request =
          MakeRequest(server.Url("/"), i % 2 == 0 ? "head-legacy" : "get-simple");
      ASSERT_TRUE(engine->Submit(std::move(request), tally.Done()).ok());
    }
    tally.Await(2000);
    EXPECT_EQ(tally.of(Outcome::kUp), 2000);
    EXPECT_EQ(engine->GetStats().in_flight, 0);
    EXPECT_EQ(engine->GetStats().queued, 0);
  }
  EXPECT_EQ(server.requests().size(), 4000u);
}

TEST(EngineLoadTest, ADoneMaySubmitAgain) {
  TestServer server([](TestServer::Connection& c, const std::string&) { c.Send(kOk); });
  const auto engine = MakeEngine(Limits(1, 0));
  std::promise<void> finished;
  int left = 50;
  std::function<void(CheckResult)> again = [&](const CheckResult& result) {
    EXPECT_EQ(result.outcome, Outcome::kUp);
    if (--left == 0) return finished.set_value();
    EXPECT_TRUE(engine->Submit(MakeRequest(server.Url("/")), again).ok());
  };
  ASSERT_TRUE(engine->Submit(MakeRequest(server.Url("/")), again).ok());
  finished.get_future().wait();
}

TEST(EngineLoadTest, CancelAllEndsRunningAndQueued) {
  TestServer server(NeverAnswer);
  const auto engine = MakeEngine(Limits(2, 8));
  Tally tally;
  for (int i = 0; i < 10; ++i) {
    ASSERT_TRUE(engine->Submit(MakeRequest(server.Url("/")), tally.Done()).ok());
  }
  server.AwaitConnections(2);
  engine->CancelAll();
  tally.Await(10);
  EXPECT_EQ(tally.of(Outcome::kCancelled), 10);
  EXPECT_EQ(server.connections(), 2);
  TestServer other([](TestServer::Connection& c, const std::string&) { c.Send(kOk); });
  EXPECT_EQ(RunCheck(*engine, MakeRequest(other.Url("/"))).outcome, Outcome::kUp);
}

TEST(EngineLoadTest, OneCheckIsCancelledByItsFlag) {
  TestServer server(NeverAnswer);
  const auto engine = MakeEngine();
  auto flag = std::make_shared<std::atomic<bool>>(false);
  CheckRequest request = MakeRequest(server.Url("/"));
  request.cancelled = flag;
  auto cancelled = BeginCheck(*engine, request);
  auto other = BeginCheck(*engine, MakeRequest(server.Url("/")));
  server.AwaitConnections(2);
  flag->store(true);
  EXPECT_EQ(cancelled.get().outcome, Outcome::kCancelled);
  EXPECT_EQ(other.wait_for(seconds(0)), std::future_status::timeout);
}

TEST(EngineLoadTest, DestructionCancelsAndTellsAll) {
  TestServer server(NeverAnswer);
  Tally tally;
  auto engine = MakeEngine(Limits(4, 100, 2));
  for (int i = 0; i < 50; ++i) {
    ASSERT_TRUE(engine->Submit(MakeRequest(server.Url("/")), tally.Done()).ok());
  }
  server.AwaitConnections(4);
  engine.reset();
  EXPECT_EQ(tally.total(), 50);
  EXPECT_EQ(tally.of(Outcome::kCancelled), 50);
}

TEST(EngineLoadTest, QueuedPastItsDeadlineIsLostUnsent) {
  TestServer server(NeverAnswer);
  const auto engine = MakeEngine(Limits(1, 2));
  auto holder = BeginCheck(*engine, MakeRequest(server.Url("/holder")));
  server.AwaitConnections(1);
  CheckRequest short_timeout = MakeRequest(server.Url("/a"));
  short_timeout.timeout = milliseconds(100);
  CheckRequest given_up = MakeRequest(server.Url("/b"));
  given_up.give_up_at = SystemClock().Boot() + milliseconds(100);
  auto a = BeginCheck(*engine, short_timeout);
  auto b = BeginCheck(*engine, given_up);
  EXPECT_EQ(a.get().outcome, Outcome::kLost);
  EXPECT_EQ(b.get().outcome, Outcome::kLost);
  EXPECT_EQ(server.connections(), 1);
}

// The caller ran out of time, not the site.
TEST(EngineLoadTest, RunningWhenTheCallerGivesUpIsLost) {
  TestServer server(NeverAnswer);
  const auto engine = MakeEngine();
  CheckRequest request = MakeRequest(server.Url("/"));
  request.give_up_at = SystemClock().Boot() + milliseconds(100);
  const CheckResult result = RunCheck(*engine, request);
  EXPECT_EQ(result.outcome, Outcome::kLost);
  EXPECT_EQ(result.error_code, ErrorCode::kNone);
}

std::vector<CheckRequest> Requests(const std::string& url, int count) {
  std::vector<CheckRequest> requests(count, MakeRequest(url));
  for (int i = 0; i < count; ++i) requests[i].site_id = i;
  return requests;
}

TEST(CheckAllTest, ReportsEachOnTheCallingThread) {
  TestServer server([](TestServer::Connection& c, const std::string&) { c.Send(kOk); });
  const auto engine = MakeEngine(Limits(3, 2));  // smaller than the list's concurrency
  std::vector<int> seen(200);
  const auto caller = std::this_thread::get_id();
  const absl::Status status =
      CheckAll(*engine, Requests(server.Url("/"), 200), [&](const CheckResult& result) {
        EXPECT_EQ(std::this_thread::get_id(), caller);
        EXPECT_EQ(result.outcome, Outcome::kUp);
        ++seen[result.site_id];
      });
  EXPECT_TRUE(status.ok()) << status;
  EXPECT_EQ(std::count(seen.begin(), seen.end(), 1), 200);
}

TEST(CheckAllTest, AnEmptyListIsDone) {
  const auto engine = MakeEngine();
  EXPECT_TRUE(CheckAll(*engine, {}, [](const CheckResult&) { FAIL(); }).ok());
}

TEST(CheckAllTest, CancelledInTheMiddle) {
  TestServer server(NeverAnswer);
  const auto engine = MakeEngine();
  int reported = 0;
  CheckAllOptions options;
  options.concurrency = 3;
  options.cancelled = [&] { return server.connections() >= 3; };
  const absl::Status status = CheckAll(
      *engine, Requests(server.Url("/"), 100),
      [&](const CheckResult& result) {
        EXPECT_EQ(result.outcome, Outcome::kCancelled);
        ++reported;
      },
      options);
  EXPECT_TRUE(absl::IsCancelled(status)) << status;
  EXPECT_EQ(reported, 3);
}

TEST(CheckAllTest, StartsAreSpaced) {
  TestServer server([](TestServer::Connection& c, const std::string&) { c.Send(kOk); });
  const auto engine = MakeEngine();
  ManualClock clock;
  int asked = 0, reported = 0;
  CheckAllOptions options;
  options.per_second = 10;
  options.clock = &clock;
  // Time goes on only after the fifth question; until then nothing but the first may have begun.
  options.cancelled = [&] {
    if (++asked <= 5) {
      EXPECT_LE(server.connections(), 1);
    } else {
      clock.Advance(milliseconds(100));
    }
    return false;
  };
  EXPECT_TRUE(
      CheckAll(
          *engine, Requests(server.Url("/"), 4), [&](const CheckResult&) { ++reported; }, options)
          .ok());
  EXPECT_EQ(reported, 4);
  EXPECT_GE(asked, 8);
}

// The second request comes only when the first has been reported, as through a pipe.
TEST(CheckAllTest, WhatIsThereIsReportedWhileTheSourceWaits) {
  TestServer server([](TestServer::Connection& c, const std::string&) { c.Send(kOk); });
  const auto engine = MakeEngine();
  size_t given = 0, reported = 0;
  bool asked_in_vain = false;
  CheckAllOptions options;
  options.source_ready = [&] {
    asked_in_vain = asked_in_vain || given > reported;
    return given == reported;
  };
  const CheckSource source = [&]() -> std::optional<CheckRequest> {
    EXPECT_EQ(given, reported);
    if (given == 3) return std::nullopt;
    ++given;
    return MakeRequest(server.Url("/"));
  };
  const absl::Status status = CheckAll(
      *engine, source, [&](const CheckRequest&, const CheckResult&) { ++reported; }, options);
  EXPECT_TRUE(status.ok()) << status;
  EXPECT_EQ(reported, 3u);
  EXPECT_TRUE(asked_in_vain);
}

TEST(CheckAllTest, CancelledWhileTheSourceWaits) {
  const auto engine = MakeEngine();
  int asked = 0;
  CheckAllOptions options;
  options.source_ready = [] { return false; };
  options.cancelled = [&] { return ++asked == 3; };
  const CheckSource source = []() -> std::optional<CheckRequest> {
    ADD_FAILURE() << "asked though it was not ready";
    return std::nullopt;
  };
  EXPECT_TRUE(absl::IsCancelled(CheckAll(*engine, source, {}, options)));
  EXPECT_EQ(asked, 3);
}

TEST(CheckAllTest, ALostCheckIsRunAgain) {
  JumpingClock clock;
  std::atomic<int> requests{0};
  TestServer server([&](TestServer::Connection& c, const std::string&) {
    if (++requests < 3) clock.Jump(seconds(2));
    c.Send(kOk);
  });
  Engine::Options options = LabOptions();
  options.clock = &clock;
  const auto engine = MakeEngine(std::move(options));
  std::vector<Outcome> outcomes;
  EXPECT_TRUE(CheckAll(*engine, Requests(server.Url("/"), 1), [&](const CheckResult& result) {
                outcomes.push_back(result.outcome);
              }).ok());
  EXPECT_EQ(outcomes, std::vector<Outcome>{Outcome::kUp});
  EXPECT_EQ(requests, 3);
}

TEST(CheckAllTest, ABadRequestEndsIt) {
  const auto engine = MakeEngine();
  std::vector<CheckRequest> requests = Requests("http://127.0.0.1/", 1);
  requests[0].timeout = milliseconds(0);
  EXPECT_TRUE(
      absl::IsInvalidArgument(CheckAll(*engine, requests, [](const CheckResult&) { FAIL(); })));
}

}  // namespace
}  // namespace jetmon::probe
