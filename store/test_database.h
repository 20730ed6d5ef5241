#ifndef JETMON_STORE_TEST_DATABASE_H_
#define JETMON_STORE_TEST_DATABASE_H_

#include <gtest/gtest.h>
#include <stdlib.h>

#include <filesystem>
#include <memory>
#include <string>

#include "store/schema.h"
#include "store/sql/database.h"

namespace jetmon::store {

// An embedded database of the newest schema in a folder of its own, gone with the object.
class TestDatabase {
 public:
  TestDatabase() {
    const char* base = getenv("TEST_TMPDIR");
    std::string pattern = std::string(base != nullptr ? base : "/tmp") + "/jetmon_XXXXXX";
    dir_ = mkdtemp(pattern.data());
    url_ = "sqlite://" + dir_ + "/test.db";
    auto db = OpenDatabase(url_, /*auto_migrate=*/true);
    EXPECT_TRUE(db.ok()) << db.status();
    db_ = std::move(*db);
  }
  ~TestDatabase() {
    db_.reset();
    std::error_code ignored;
    std::filesystem::remove_all(dir_, ignored);
  }
  sql::Database& operator*() { return *db_; }
  sql::Database* operator->() { return db_.get(); }
  const std::string& url() const { return url_; }

 private:
  std::string dir_;
  std::string url_;
  std::unique_ptr<sql::Database> db_;
};

}  // namespace jetmon::store

#endif  // JETMON_STORE_TEST_DATABASE_H_
