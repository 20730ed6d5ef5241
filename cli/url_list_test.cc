#include "cli/url_list.h"

#include <gtest/gtest.h>
#include <stdlib.h>
#include <unistd.h>

#include <fstream>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"

namespace jetmon::cli {
namespace {

// "number url", and of bad lines "number url: why".
struct Lines {
  std::vector<std::string> good, bad;
};

std::string File(const std::string& content) {
  const std::string path = absl::StrCat(getenv("TEST_TMPDIR"), "/urls.txt");
  std::ofstream(path, std::ios::binary) << content;
  return path;
}

Lines Read(const std::string& content) {
  Lines lines;
  auto list = UrlList::Open(File(content), [&](const UrlLine& line, const std::string& why) {
    lines.bad.push_back(absl::StrCat(line.number, " ", line.url.substr(0, 20), ": ", why));
  });
  EXPECT_TRUE(list.ok()) << list.status();
  EXPECT_TRUE(lines.bad.empty()) << "told while they were counted";
  while (auto line = list->Next()) {
    lines.good.push_back(absl::StrCat(line->number, " ", line->url));
  }
  EXPECT_TRUE(list->status().ok()) << list->status();
  EXPECT_EQ(list->total(), lines.good.size());
  return lines;
}

using Texts = std::vector<std::string>;

TEST(UrlListTest, Lines) {
  EXPECT_EQ(Read("http://a/\nb.example\nhttp://c/#d\n").good,
            (Texts{"1 http://a/", "2 b.example", "3 http://c/#d"}));
  EXPECT_EQ(Read("\xef\xbb\xbfhttp://a/\r\n\r\n  b.example \r\n# no\nhttp://c/#d").good,
            (Texts{"1 http://a/", "3 b.example", "5 http://c/#d"}));
  EXPECT_TRUE(Read("").good.empty());
  EXPECT_TRUE(Read("\n\n#\n \n").good.empty());
}

TEST(UrlListTest, BadLinesAreToldWithTheirNumber) {
  const Lines lines = Read("http://a/\n\nhttp://\nb.example\nhttp://x:99999/");
  EXPECT_EQ(lines.good, (Texts{"1 http://a/", "4 b.example"}));
  EXPECT_EQ(lines.bad, (Texts{"3 http://: no host", "5 http://x:99999/: bad port"}));
}

TEST(UrlListTest, ALineThatIsTooLongIsBadAndTheNextIsWhole) {
  const Lines lines = Read("http://b/\n" + std::string(200'000, 'x') + "\nhttp://a/\n");
  EXPECT_EQ(lines.good, (Texts{"1 http://b/", "3 http://a/"}));
  EXPECT_EQ(lines.bad, (Texts{"2 xxxxxxxxxxxxxxxxxxxx: longer than 2048 bytes"}));
}

TEST(UrlListTest, LinesLieAcrossReads) {
  std::string content;
  for (int i = 0; i < 20'000; ++i) absl::StrAppend(&content, "http://host-", i, ".example/\n");
  const Lines lines = Read(content);
  ASSERT_EQ(lines.good.size(), 20'000u);
  for (int i = 0; i < 20'000; ++i) {
    ASSERT_EQ(lines.good[i], absl::StrCat(i + 1, " http://host-", i, ".example/"));
  }
}

TEST(UrlListTest, APipeIsReadyWhenAWholeLineIsThere) {
  int ends[2];
  ASSERT_EQ(pipe(ends), 0);
  const auto write_text = [&](const std::string& text) {
    ASSERT_EQ(write(ends[1], text.data(), text.size()), static_cast<ssize_t>(text.size()));
  };
  UrlList list(ends[0], {});
  EXPECT_EQ(list.total(), 0u);
  EXPECT_FALSE(list.Ready());
  write_text("# nothing\nhttp://a");
  EXPECT_FALSE(list.Ready());
  write_text("/\nhttp://b/");
  EXPECT_TRUE(list.Ready());
  EXPECT_EQ(list.Next()->url, "http://a/");
  EXPECT_FALSE(list.Ready());
  close(ends[1]);
  EXPECT_TRUE(list.Ready());
  EXPECT_EQ(list.Next()->url, "http://b/");
  EXPECT_TRUE(list.Ready());
  EXPECT_FALSE(list.Next().has_value());
}

// What writes faster than it is read, and no URL in it, must not keep the reader.
TEST(UrlListTest, CommentsWithoutEndAreLeftAfterAWhile) {
  std::string comments;
  for (int i = 0; i < 4096; ++i) comments += "#" + std::string(1022, 'x') + "\n";
  auto list = UrlList::Open(File(comments + "http://a/\n"), {});
  ASSERT_TRUE(list.ok()) << list.status();
  int asked = 1;
  while (!list->Ready()) ++asked;
  EXPECT_GE(asked, 4);
  EXPECT_LE(asked, 6);
  EXPECT_EQ(list->Next()->number, 4097u);
}

TEST(UrlListTest, NoFileAndNoFolder) {
  const absl::Status none = UrlList::Open("/no/such/file", {}).status();
  EXPECT_TRUE(absl::IsNotFound(none)) << none;
  const absl::Status folder = UrlList::Open(getenv("TEST_TMPDIR"), {}).status();
  EXPECT_TRUE(absl::IsInvalidArgument(folder)) << folder;
  EXPECT_NE(folder.message().find("is a folder"), std::string::npos);
}

TEST(UrlListTest, AListThatCantBeReadToItsEndSaysSo) {
  int ends[2];
  ASSERT_EQ(pipe(ends), 0);
  UrlList list(ends[1], {});  // the end that is only written to
  EXPECT_FALSE(list.Next().has_value());
  EXPECT_FALSE(list.status().ok());
  close(ends[0]);
}

}  // namespace
}  // namespace jetmon::cli
