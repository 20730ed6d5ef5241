#include "controlplane/rpc/statistics.h"

#include "gtest/gtest.h"

namespace jetmon::rpc {
namespace {

using std::chrono::milliseconds;

TEST(StatisticsTest, CountsByMethodAndOutcome) {
  Statistics statistics;
  statistics.CallBegins();
  statistics.Record("A/B", "ok", milliseconds(250));
  statistics.Record("A/B", "ok", milliseconds(250));
  statistics.Record("A/B", "internal", milliseconds(1));
  statistics.AddSource("jetmon_x_total", "X.", [] { return uint64_t{7}; });
  EXPECT_EQ(statistics.Count("A/B", "ok"), 2u);
  EXPECT_EQ(statistics.Count("A/B", "internal"), 1u);
  EXPECT_EQ(statistics.Count("A/C", "ok"), 0u);
  const std::string text = statistics.ToPrometheus();
  EXPECT_NE(text.find("jetmon_calls_total{method=\"A/B\",outcome=\"ok\"} 2\n"), std::string::npos);
  EXPECT_NE(text.find("jetmon_call_seconds_total{method=\"A/B\",outcome=\"ok\"} 0.5\n"),
            std::string::npos);
  EXPECT_NE(text.find("jetmon_calls_in_flight 1\n"), std::string::npos);
  EXPECT_NE(text.find("# TYPE jetmon_x_total counter\njetmon_x_total 7\n"), std::string::npos);
  statistics.CallEnds();
  EXPECT_NE(statistics.ToPrometheus().find("jetmon_calls_in_flight 0\n"), std::string::npos);
}

}  // namespace
}  // namespace jetmon::rpc
