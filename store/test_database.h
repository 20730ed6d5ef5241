#ifndef JETMON_STORE_TEST_DATABASE_H_
#define JETMON_STORE_TEST_DATABASE_H_

#include <gtest/gtest.h>

#include <atomic>
#include <memory>
#include <string>
#include <vector>

#include "store/schema.h"
#include "store/sql/database.h"

namespace jetmon::store {

// An empty database of the newest schema, gone with the object: an embedded one in a folder of its
// own, or, where JETMON_TEST_DATABASE names a server (mysql://user@host:port,.../name), that one,
// emptied. The tests of the aggregates are the same on every engine.
//
// On a server with several hosts (a Galera cluster) each `->` and `*` leads to the next of them, so
// that a test's transactions are spread over the nodes. One process at a time may use a server's
// database.
class TestDatabase {
 public:
  TestDatabase();
  // The embedded database in this file, made if it is missing; it outlives the object.
  explicit TestDatabase(const std::string& file);
  ~TestDatabase();
  TestDatabase(const TestDatabase&) = delete;
  sql::Database& operator*() { return *Next(); }
  sql::Database* operator->() { return Next(); }
  // Another Database over the same, as another process has it; for a cluster, of another node.
  std::unique_ptr<sql::Database> OpenAnother(sql::Options options = {});
  const std::string& url() const { return urls_[0]; }
  bool embedded() const { return embedded_; }

 private:
  sql::Database* Next();
  void Open();
  void Empty();

  std::string dir_;  // "" if there is nothing to remove
  bool embedded_ = true;
  std::vector<std::string> urls_;  // one a node
  std::vector<std::unique_ptr<sql::Database>> nodes_;
  std::atomic<size_t> next_{0};
};

}  // namespace jetmon::store

#endif  // JETMON_STORE_TEST_DATABASE_H_
