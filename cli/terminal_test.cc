#include "cli/terminal.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <fstream>
#include <string_view>
#include <thread>

namespace jetmon::cli {
namespace {

void WriteLine(const std::string& path, std::string_view line) {
  const int fd = open(path.c_str(), O_WRONLY);
  ASSERT_GE(fd, 0);
  ASSERT_EQ(write(fd, line.data(), line.size()), static_cast<ssize_t>(line.size()));
  close(fd);
}

TEST(Confirmations, AFileGivesALineAPrompt) {
  const std::string path = testing::TempDir() + "/confirm";
  std::ofstream(path) << "EXECUTE SEED\n  V1 STOPPED 0-9 \nlast";
  auto lines = FromFile(path);
  EXPECT_EQ(*lines->NextLine(), "EXECUTE SEED");
  EXPECT_EQ(*lines->NextLine(), "V1 STOPPED 0-9");
  EXPECT_EQ(*lines->NextLine(), "last");
  EXPECT_TRUE(absl::IsUnavailable(lines->NextLine().status()));
}

TEST(Confirmations, AFifoMayHaveAWriterALine) {
  const std::string path = testing::TempDir() + "/fifo";
  unlink(path.c_str());
  ASSERT_EQ(mkfifo(path.c_str(), 0600), 0);
  auto lines = FromFile(path);
  std::thread writer([&] {
    WriteLine(path, "one\n");
    WriteLine(path, "two\n");
  });
  EXPECT_EQ(*lines->NextLine(), "one");
  EXPECT_EQ(*lines->NextLine(), "two");
  writer.join();
}

TEST(Confirmations, AMissingFileIsSaid) {
  EXPECT_TRUE(absl::IsNotFound(FromFile("/no/such/file")->NextLine().status()));
}

TEST(WriteFileAtomically, ReplacesWholeAndKeepsOthersOut) {
  const std::string path = testing::TempDir() + "/state.json";
  ASSERT_TRUE(WriteFileAtomically(path, "one").ok());
  ASSERT_TRUE(WriteFileAtomically(path, "two").ok());
  EXPECT_EQ(*ReadSmallFile(path), "two");
  struct stat st {};
  ASSERT_EQ(stat(path.c_str(), &st), 0);
  EXPECT_EQ(st.st_mode & 0777, 0600u);
  EXPECT_FALSE(WriteFileAtomically("/no/such/folder/x", "x").ok());
}

TEST(MakeFolder, MakesParentsAndIsIdempotent) {
  const std::string path = testing::TempDir() + "/a/b/c";
  EXPECT_TRUE(MakeFolder(path).ok());
  EXPECT_TRUE(MakeFolder(path).ok());
  EXPECT_FALSE(MakeFolder("/proc/nope").ok());
}

}  // namespace
}  // namespace jetmon::cli
