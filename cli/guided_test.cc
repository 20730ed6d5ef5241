#include "cli/guided.h"

#include <gtest/gtest.h>

namespace jetmon::cli {
namespace {

std::string DryRun(bool rollback) {
  GuidedOptions options;
  options.bucket_min = 3;
  options.bucket_max = 9;
  options.owner_host = "monitor-a";
  options.rollback = rollback;
  options.dry_run = true;
  testing::internal::CaptureStdout();
  EXPECT_EQ(Guided(options, Connection()).Run(), kOk);
  return testing::internal::GetCapturedStdout();
}

TEST(GuidedTest, SaysWhatStoppedMeansBeforeItIsConfirmed) {
  const std::string plan = DryRun(false);
  const size_t step = plan.find("v1-stopped");
  ASSERT_NE(step, std::string::npos) << plan;
  const std::string told = plan.substr(step, plan.find("you type: V1 STOPPED 3-9") - step);
  EXPECT_NE(told.find("Stop v1 for buckets 3-9 now"), std::string::npos) << told;
  EXPECT_NE(told.find("its whole process group and its supervisor are gone"), std::string::npos);
  EXPECT_NE(told.find("after a SIGHUP v1 still reads and tells"), std::string::npos);
  EXPECT_EQ(DryRun(true).find("SIGHUP"), std::string::npos);
}

}  // namespace
}  // namespace jetmon::cli
