#include "controlplane/rollout/site_urls.h"

#include <gtest/gtest.h>

namespace jetmon::rollout {
namespace {

TEST(HowV1DiffersTest, FollowsTheTable) {
  const struct {
    std::string_view url, how;  // a part of it
  } rows[] = {
      {"http://example.com/", ""},
      {"https://example.com", ""},
      {"http://example.com:80/x", ""},
      {"https://example.com:443?x", ""},
      {"http://example.com:443/", "port 80"},
      {"https://example.com:80", "port 443"},
      {"http://example.com:8080?at=:80", "port 80"},
      {"https://example.com:8443#x", "port 443"},
      {"http://user:pass@example.com/", ""},
      {"http://user:pass@example.com:81/", "port 80"},
      {"http://[2001:db8::1]/", ""},
      {"http://[2001:db8::1]:81/", "port 80"},
      {"http://example.com/a:81", ""},
      {"http://example.com:/", ""},
      {"HTTP://example.com/", "lower case"},
      {"Https://example.com:8443/", "lower case"},
      {"http://example.com/a b", "nobody"},
      {"http://example.com/\xE6\x97\xA5", "nobody"},
      {"example.com", ""},
      {"", ""},
  };
  for (const auto& row : rows) {
    const std::string_view how = HowV1Differs(row.url);
    EXPECT_EQ(how.empty(), row.how.empty()) << row.url << ": " << how;
    EXPECT_NE(how.find(row.how), std::string_view::npos) << row.url << ": " << how;
  }
}

TEST(SiteUrlsTest, KeepsTwentyExamples) {
  SiteUrls::Found found;
  for (int i = 0; i < 30; ++i) found.Add(std::to_string(i));
  EXPECT_EQ(found.count, 30u);
  EXPECT_EQ(found.examples.size(), 20u);
  EXPECT_EQ(found.examples.back(), "19");
}

}  // namespace
}  // namespace jetmon::rollout
