#include "cli/csv_file.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>
#include <sstream>

namespace jetmon::cli {
namespace {

std::string Read(const std::string& path) {
  std::stringstream text;
  text << std::ifstream(path).rdbuf();
  return text.str();
}

class CsvFileTest : public ::testing::Test {
 protected:
  CsvFileTest() : folder_(testing::TempDir() + "/csv") {
    std::filesystem::remove_all(folder_);
    std::filesystem::create_directories(folder_);
  }
  size_t Files() const {
    return std::distance(std::filesystem::directory_iterator(folder_),
                         std::filesystem::directory_iterator());
  }
  const std::string folder_, path_ = folder_ + "/rows.csv";
};

TEST_F(CsvFileTest, QuotesWhatNeedsIt) {
  EXPECT_EQ(CsvRecord({"a", "", "7.5"}), "a,,7.5\r\n");
  EXPECT_EQ(CsvRecord({"a,b", "say \"no\"", "two\r\nlines", " x "}),
            "\"a,b\",\"say \"\"no\"\"\",\"two\r\nlines\", x \r\n");
}

TEST_F(CsvFileTest, AppearsWhole) {
  {
    auto file = CsvFile::Create(path_, false);
    ASSERT_TRUE(file.ok()) << file.status();
    (*file)->Append({"a", "b"});
    EXPECT_FALSE(std::filesystem::exists(path_));
    (*file)->Append({"1", "2"});
    ASSERT_TRUE((*file)->Finish().ok());
  }
  EXPECT_EQ(Read(path_), "a,b\r\n1,2\r\n");
  EXPECT_EQ(Files(), 1u);
  struct stat about {};
  ASSERT_EQ(stat(path_.c_str(), &about), 0);
  EXPECT_EQ(about.st_mode & 0777, 0600u);
}

TEST_F(CsvFileTest, OrNotAtAll) {
  { (*CsvFile::Create(path_, false))->Append({"a"}); }
  EXPECT_EQ(Files(), 0u);
}

TEST_F(CsvFileTest, IsNotWrittenOverUnlessForced) {
  auto late = CsvFile::Create(path_, false);
  ASSERT_TRUE(late.ok());
  std::ofstream(path_) << "mine";
  EXPECT_TRUE(absl::IsAlreadyExists(CsvFile::Create(path_, false).status()));
  // It came after the other file was begun.
  EXPECT_TRUE(absl::IsAlreadyExists((*late)->Finish()));
  EXPECT_EQ(Read(path_), "mine");
  auto forced = CsvFile::Create(path_, true);
  (*forced)->Append({"new"});
  EXPECT_TRUE((*forced)->Finish().ok());
  EXPECT_EQ(Read(path_), "new\r\n");
}

TEST_F(CsvFileTest, SaysWhereItCantBeWritten) {
  const absl::Status s = CsvFile::Create(folder_ + "/no/such/rows.csv", false).status();
  EXPECT_NE(s.message().find("can't write"), absl::string_view::npos) << s;
}

}  // namespace
}  // namespace jetmon::cli
