#include "tests/lab/site_states.h"

#include <gtest/gtest.h>

namespace jetmon::lab {
namespace {

HttpRequest Ask(const std::string& path, const std::string& source = "127.0.1.11") {
  HttpRequest request;
  request.method = "HEAD";
  request.path = path;
  request.source = source;
  return request;
}

int StatusOf(const SiteStates& sites, const HttpRequest& request) {
  const auto target = sites.Find(request);
  return target ? sites.Answer(*target, request).status : 404;
}

HttpRequest Order(const std::string& query) {
  HttpRequest request;
  request.query = query;
  return request;
}

TEST(SiteStates, FindsSitesByPathAndByHost) {
  const SiteStates sites(10);
  EXPECT_EQ(sites.Find(Ask("/s/7"))->site, 7u);
  EXPECT_EQ(sites.Find(Ask("/s/7/r/2"))->hop, 2);
  EXPECT_FALSE(sites.Find(Ask("/s/10")).has_value());
  EXPECT_FALSE(sites.Find(Ask("/x")).has_value());
  HttpRequest by_host = Ask("/anything");
  by_host.host = "site-3.example:8080";
  EXPECT_EQ(sites.Find(by_host)->site, 3u);
}

TEST(SiteStates, StatesOfAList) {
  SiteStates sites(10);
  ASSERT_EQ(sites.Set("1,3-4", Order("state=down&code=503"))->size(), 3u);
  EXPECT_EQ(StatusOf(sites, Ask("/s/0")), 200);
  EXPECT_EQ(StatusOf(sites, Ask("/s/1")), 503);
  EXPECT_EQ(StatusOf(sites, Ask("/s/4")), 503);
  ASSERT_TRUE(sites.Set("4", Order("state=up")).ok());
  EXPECT_EQ(StatusOf(sites, Ask("/s/4")), 200);
}

TEST(SiteStates, RedirectsLeadToTheSite) {
  SiteStates sites(3);
  ASSERT_TRUE(sites.Set("2", Order("state=redirect&hops=2")).ok());
  EXPECT_EQ(sites.Answer({2, 0}, Ask("/s/2")).location, "/s/2/r/1");
  EXPECT_EQ(sites.Answer({2, 1}, Ask("/s/2/r/1")).location, "/s/2/r/2");
  EXPECT_EQ(sites.Answer({2, 2}, Ask("/s/2/r/2")).status, 200);
}

TEST(SiteStates, DownForOneSourceOnly) {
  SiteStates sites(3);
  ASSERT_TRUE(sites.Set("2", Order("state=down&source=127.0.1.11")).ok());
  EXPECT_EQ(StatusOf(sites, Ask("/s/2", "127.0.1.11")), 500);
  EXPECT_EQ(StatusOf(sites, Ask("/s/2", "127.0.1.21")), 200);
}

TEST(SiteStates, RefusesWhatMakesNoSense) {
  SiteStates sites(3);
  EXPECT_FALSE(sites.Set("2", Order("state=asleep")).ok());
  EXPECT_FALSE(sites.Set("3", Order("state=down")).ok());
  EXPECT_FALSE(sites.Set("0,2-1", Order("state=down")).ok());
  EXPECT_FALSE(sites.Set("", Order("state=down")).ok());
  EXPECT_FALSE(sites.Set("0", Order("state=down&code=9")).ok());
  EXPECT_EQ(StatusOf(sites, Ask("/s/0")), 200);
}

}  // namespace
}  // namespace jetmon::lab
