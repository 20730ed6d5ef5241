#ifndef JETMON_CONTROLPLANE_RPC_TEST_ACCESS_H_
#define JETMON_CONTROLPLANE_RPC_TEST_ACCESS_H_

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "controlplane/rpc/chain.h"
#include "store/ids.h"
#include "store/keys.h"
#include "store/test_database.h"

namespace jetmon::rpc {

// A chain over a database of its own, for tests.
class TestAccess {
 public:
  explicit TestAccess(const Clock& clock = SystemClock(), access::RateLimiter::Limits rate = {},
                      Chain::Limits limits = {})
      : clock_(clock),
        authenticator_(*db_, clock),
        rate_limiter_(rate, clock),
        idempotency_(*db_, clock),
        audit_(*db_),
        chain_({&authenticator_, &rate_limiter_, &idempotency_, &audit_, &statistics_, &clock},
               limits) {}

  // A new key of that scope: what to send as `authorization`. Its id is "key_" + consumer.
  std::string AddKey(const std::string& consumer, const std::string& scope) {
    const std::string token = store::NewApiToken();
    EXPECT_TRUE(db_->Write([&](sql::Transaction& tx) {
                     store::ApiKey key;
                     key.key_id = "key_" + consumer;
                     key.consumer = consumer;
                     key.scope = scope;
                     key.token_hash = store::Sha256Hex(token);
                     return store::InsertKey(tx, key);
                   })
                    .ok());
    return "Bearer " + token;
  }
  // The audit rows of a run, in order.
  std::vector<store::AuditRow> AuditOf(const std::string& run_id) {
    std::vector<store::AuditRow> rows;
    EXPECT_TRUE(db_->Read([&](sql::Transaction& tx) {
                     auto read = store::ListAuditOfRun(tx, run_id, 1000);
                     if (read.ok()) rows = *read;
                     return read.status();
                   })
                    .ok());
    return rows;
  }

  sql::Database& db() { return *db_; }
  Chain& chain() { return chain_; }
  Statistics& statistics() { return statistics_; }
  const Clock& clock() { return clock_; }

 private:
  const Clock& clock_;
  store::TestDatabase db_;
  access::Authenticator authenticator_;
  access::RateLimiter rate_limiter_;
  access::Idempotency idempotency_;
  access::Audit audit_;
  Statistics statistics_;
  Chain chain_;
};

}  // namespace jetmon::rpc

#endif  // JETMON_CONTROLPLANE_RPC_TEST_ACCESS_H_
