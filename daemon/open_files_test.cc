#include "daemon/open_files.h"

#include <gtest/gtest.h>
#include <sys/resource.h>

#include <algorithm>

namespace jetmon::daemon {
namespace {

rlimit Limit() {
  rlimit limit{};
  EXPECT_EQ(getrlimit(RLIMIT_NOFILE, &limit), 0);
  return limit;
}

TEST(OpenFilesTest, TheSoftLimitBecomesTheHardOne) {
  rlimit low = Limit();
  low.rlim_cur = 64;
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &low), 0);
  const uint64_t raised = RaiseOpenFiles();
  EXPECT_EQ(raised, Limit().rlim_cur);
  EXPECT_EQ(raised, std::min<rlim_t>(low.rlim_max, 1 << 20));
  EXPECT_EQ(RaiseOpenFiles(), raised);
  EXPECT_EQ(Limit().rlim_max, low.rlim_max);
}

}  // namespace
}  // namespace jetmon::daemon
