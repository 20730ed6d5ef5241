#ifndef JETMON_PROBE_HOSTILE_FIXTURE_H_
#define JETMON_PROBE_HOSTILE_FIXTURE_H_

#include <gtest/gtest.h>

#include <chrono>
#include <filesystem>
#include <string>

#include "clock/clock.h"
#include "probe/engine.h"
#include "probe/engine_fixture.h"
#include "probe/text.h"

// What the tests against hostile and broken servers share.
namespace jetmon::probe {

// "down 503 0 server": outcome, HTTP code, error code, failure class ("-" if none).
inline std::string VerdictText(const CheckResult& r) {
  return Cat(OutcomeName(r.outcome), " ", r.http_code, " ", static_cast<int>(r.error_code), " ",
             r.failure_class.empty() ? "-" : r.failure_class);
}

inline constexpr const char* kHostileModes[] = {"head-legacy", "get-simple", "get-full"};

// Checks once in each of the three modes, and holds the verdicts against those of the table. Each
// must come in time: by the deadline of the check, or long before when `timeout` is not what ends
// it.
inline void ExpectVerdicts(Engine& engine, const std::string& what, const std::string& url,
                           const char* const (&verdicts)[3],
                           std::chrono::milliseconds timeout = std::chrono::seconds(20)) {
  for (int i = 0; i < 3; ++i) {
    CheckRequest request = MakeRequest(url, kHostileModes[i]);
    request.timeout = timeout;
    const BootTime began = SystemClock().Boot();
    const CheckResult result = RunCheck(engine, request);
    EXPECT_EQ(VerdictText(result), verdicts[i])
        << what << ", " << kHostileModes[i] << ": " << result.detail;
    EXPECT_LT(SystemClock().Boot() - began, timeout + std::chrono::seconds(5)) << what;
    EXPECT_LE(result.detail.size(), 200u);
  }
}

inline size_t OpenDescriptors() {
  size_t n = 0;
  for ([[maybe_unused]] const auto& entry : std::filesystem::directory_iterator("/proc/self/fd")) {
    ++n;
  }
  return n;
}

}  // namespace jetmon::probe

#endif  // JETMON_PROBE_HOSTILE_FIXTURE_H_
