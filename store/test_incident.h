#ifndef JETMON_STORE_TEST_INCIDENT_H_
#define JETMON_STORE_TEST_INCIDENT_H_

#include <gtest/gtest.h>

#include "store/events.h"
#include "store/sites.h"
#include "store/test_database.h"
#include "store/test_sites.h"

namespace jetmon::store {

// Site 1 in bucket 3, and the Monitor that holds it.
class IncidentTest : public testing::Test {
 protected:
  IncidentTest() {
    site_.site_id = 1;
    site_.blog_id = 7;
    site_.bucket = 3;
    site_.url = "http://127.0.0.1/s/1";
    actor_.source = "monitor";
    actor_.epoch = 4;
    actor_.instance = "ins_1";
    actor_.host = "monitor-a";
    actor_.now_ms = 1'700'000'000'000;
    Write([&](sql::Transaction& tx) { return InsertSites(tx, {site_}); });
  }
  void Write(const sql::Body& body) {
    const absl::Status s = db_->Write(body);
    EXPECT_TRUE(s.ok()) << s;
  }

  TestDatabase db_;
  Site site_;
  Actor actor_;
};

}  // namespace jetmon::store

#endif  // JETMON_STORE_TEST_INCIDENT_H_
