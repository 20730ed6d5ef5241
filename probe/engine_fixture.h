#ifndef JETMON_PROBE_ENGINE_FIXTURE_H_
#define JETMON_PROBE_ENGINE_FIXTURE_H_

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <future>
#include <memory>
#include <string>
#include <utility>

#include "clock/clock.h"
#include "probe/engine.h"

// What the engine's tests share.
namespace jetmon::probe {

// Options whose target safety lets loopback through.
inline Engine::Options LabOptions() {
  Engine::Options options;
  options.safety = *TargetSafety::FromFlags("public_only", "127.0.0.0/8,::1");
  return options;
}

inline std::unique_ptr<Engine> MakeEngine(Engine::Options options = LabOptions()) {
  auto engine = Engine::Create(std::move(options));
  EXPECT_TRUE(engine.ok()) << engine.status();
  return *std::move(engine);
}

inline CheckRequest MakeRequest(std::string url, std::string_view mode = "head-legacy") {
  CheckRequest request;
  request.site_id = 42;
  request.url = std::move(url);
  request.mode = *ParseMode(mode);
  request.timeout = std::chrono::seconds(30);  // tests that wait for it set their own
  return request;
}

// Submits; a second call of `done` would throw out of the promise and end the test.
inline std::future<CheckResult> BeginCheck(Engine& engine, CheckRequest request) {
  auto promise = std::make_shared<std::promise<CheckResult>>();
  std::future<CheckResult> result = promise->get_future();
  const absl::Status status = engine.Submit(
      std::move(request), [promise](CheckResult r) { promise->set_value(std::move(r)); });
  EXPECT_TRUE(status.ok()) << status;
  return result;
}

inline CheckResult RunCheck(Engine& engine, CheckRequest request) {
  return BeginCheck(engine, std::move(request)).get();
}

// The machine's clock, and how much a test has pushed it forward.
class JumpingClock final : public Clock {
 public:
  BootTime Boot() const override {
    if (calls_left_ > 0 && --calls_left_ == 0) ahead_ += jump_at_call_;
    return SystemClock().Boot() + std::chrono::nanoseconds(ahead_.load());
  }
  int64_t WallMs() const override { return SystemClock().WallMs() + wall_ahead_ms_; }
  void Jump(std::chrono::nanoseconds d) { ahead_ += d.count(); }
  void JumpWall(std::chrono::milliseconds d) { wall_ahead_ms_ += d.count(); }
  // Jumps inside the `calls`-th call of Boot from now on.
  void JumpAtCall(int calls, std::chrono::nanoseconds d) {
    jump_at_call_ = d.count();
    calls_left_ = calls;
  }

 private:
  mutable std::atomic<int64_t> ahead_{0};
  mutable std::atomic<int> calls_left_{0};
  std::atomic<int64_t> jump_at_call_{0}, wall_ahead_ms_{0};
};

}  // namespace jetmon::probe

#endif  // JETMON_PROBE_ENGINE_FIXTURE_H_
