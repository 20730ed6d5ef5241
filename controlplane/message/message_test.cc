#include "controlplane/message/message.h"

#include <gtest/gtest.h>

#include "controlplane/error/error.h"

namespace jetmon {
namespace {

TEST(SetTime, KeepsMilliseconds) {
  google::protobuf::Timestamp t;
  SetTime(&t, 1'700'000'000'123);
  EXPECT_EQ(t.seconds(), 1'700'000'000);
  EXPECT_EQ(t.nanos(), 123'000'000);
}

TEST(IsName, TakesWhatHostsAreCalled) {
  EXPECT_TRUE(IsName("monitor-a.eu_1", 64));
  for (const char* bad : {"", "a b", "a/b", "\xc3\xa4"}) EXPECT_FALSE(IsName(bad, 64)) << bad;
  EXPECT_FALSE(IsName("abc", 2));
}

TEST(PageOf, FillsInAndBounds) {
  EXPECT_EQ(PageOf(0, "")->size, 50u);
  EXPECT_EQ(PageOf(200, "p1.x")->token, "p1.x");
  EXPECT_EQ(ReasonOf(PageOf(201, "").status()), v1::INVALID_FIELD);
}

TEST(PageError, BlamesTheTokenOnly) {
  EXPECT_TRUE(PageError(absl::OkStatus()).ok());
  EXPECT_EQ(ReasonOf(PageError(absl::InvalidArgumentError("none of mine"))), v1::INVALID_FIELD);
  EXPECT_EQ(ReasonOf(PageError(Error(v1::INVALID_BUCKET_RANGE, "x"))), v1::INVALID_BUCKET_RANGE);
  EXPECT_TRUE(absl::IsUnavailable(PageError(absl::UnavailableError("away"))));
}

}  // namespace
}  // namespace jetmon
