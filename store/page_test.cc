#include "store/page.h"

#include <gtest/gtest.h>

#include "store/bounded.h"

namespace jetmon::store {
namespace {

TEST(PageTest, AFullPageNamesWhereTheNextBegins) {
  const auto key = [](int row) { return std::to_string(row); };
  const Page<int> full = MakePage(std::vector<int>{9, 8, 7}, 2, key);
  EXPECT_EQ(full.rows, (std::vector<int>{9, 8}));
  EXPECT_EQ(full.next_token, PageToken("8"));
  const Page<int> last = MakePage(std::vector<int>{7, 6}, 2, key);
  EXPECT_EQ(last.rows.size(), 2u);
  EXPECT_EQ(last.next_token, "");
}

TEST(PageTest, TokensGoBothWaysAndOthersAreRefused) {
  EXPECT_EQ(*KeyOfPageToken(PageToken("rol_1")), "rol_1");
  EXPECT_EQ(*KeyOfPageToken(""), "");
  for (const std::string& bad : {std::string("rol_1"), PageToken(""), std::string("p2.x"),
                                 PageToken(std::string(300, 'x'))}) {
    EXPECT_TRUE(absl::IsInvalidArgument(KeyOfPageToken(bad).status())) << bad;
  }
}

TEST(BoundedTest, CutsBetweenCharacters) {
  EXPECT_EQ(Bounded("abc", 3), "abc");
  EXPECT_EQ(Bounded("abcd", 3), "abc");
  EXPECT_EQ(Bounded("ab\u00e9", 3), "ab");  // a character of two bytes
  EXPECT_EQ(Bounded("\u20ac", 2), "");      // of three
  EXPECT_EQ(Bounded("", 0), "");
}

}  // namespace
}  // namespace jetmon::store
