#include "cli/url_list.h"

#include <gtest/gtest.h>

#include <sstream>
#include <vector>

namespace jetmon::cli {
namespace {

std::vector<std::string> Read(const std::string& text) {
  UrlList list(std::make_unique<std::istringstream>(text));
  std::vector<std::string> urls;
  while (auto url = list.Next()) urls.push_back(*url);
  return urls;
}

TEST(UrlListTest, Lines) {
  const std::vector<std::string> three = {"http://a/", "b.example", "http://c/#d"};
  EXPECT_EQ(Read("http://a/\nb.example\nhttp://c/#d\n"), three);
  EXPECT_EQ(Read("\xef\xbb\xbfhttp://a/\r\n\r\n  b.example \r\n# no\nhttp://c/#d"), three);
  EXPECT_TRUE(Read("").empty());
  EXPECT_TRUE(Read("\n\n#\n").empty());
}

TEST(UrlListTest, ALongLineIsCutAndTheNextIsWhole) {
  const auto urls = Read(std::string(100'000, 'x') + "\nhttp://a/\n");
  ASSERT_EQ(urls.size(), 2u);
  EXPECT_EQ(urls[0].size(), 4097u);
  EXPECT_EQ(urls[1], "http://a/");
}

TEST(UrlListTest, NoFile) {
  EXPECT_TRUE(absl::IsNotFound(UrlList::Open("/no/such/file").status()));
}

}  // namespace
}  // namespace jetmon::cli
