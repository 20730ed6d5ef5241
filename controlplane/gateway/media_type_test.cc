#include "controlplane/gateway/media_type.h"

#include "gtest/gtest.h"

namespace jetmon::gateway {
namespace {

TEST(MediaTypeTest, Accepts) {
  for (const char* accept :
       {"", " ", "*/*", "application/*", "application/json", "Application/JSON;charset=utf-8",
        "text/html, */*;q=0.1", "application/json;q=0.5"}) {
    EXPECT_TRUE(Accepts(accept, kJson)) << accept;
  }
  for (const char* accept : {"text/html", "text/*", "application/json;q=0", "*/*;q=0.000",
                             "application/json; q=0, */*", "application/jsonx", ",,"}) {
    EXPECT_FALSE(Accepts(accept, kJson)) << accept;
  }
}

TEST(MediaTypeTest, Names) {
  EXPECT_TRUE(Names("text/event-stream", kEventStream));
  EXPECT_TRUE(Names("application/json, text/event-stream", kEventStream));
  EXPECT_FALSE(Names("*/*", kEventStream));
  EXPECT_FALSE(Names("", kEventStream));
}

TEST(MediaTypeTest, IsJson) {
  EXPECT_TRUE(IsJson("application/json"));
  EXPECT_TRUE(IsJson("Application/Json ; charset=utf-8"));
  EXPECT_FALSE(IsJson(""));
  EXPECT_FALSE(IsJson("text/json"));
  EXPECT_FALSE(IsJson("application/x-www-form-urlencoded"));
}

}  // namespace
}  // namespace jetmon::gateway
