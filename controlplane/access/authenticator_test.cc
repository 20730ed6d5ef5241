#include "controlplane/access/authenticator.h"

#include "controlplane/error/error.h"
#include "gtest/gtest.h"
#include "store/ids.h"
#include "store/test_database.h"

namespace jetmon::access {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

class AuthenticatorTest : public ::testing::Test {
 protected:
  std::string AddKey(const std::string& id, const std::string& scope, int64_t expires_at_ms = 0) {
    const std::string token = store::NewApiToken();
    EXPECT_TRUE(db_->Write([&](sql::Transaction& tx) {
                     store::ApiKey key;
                     key.key_id = id;
                     key.consumer = "ops";
                     key.scope = scope;
                     key.token_hash = store::Sha256Hex(token);
                     key.created_at_ms = clock_.WallMs();
                     key.expires_at_ms = expires_at_ms;
                     return store::InsertKey(tx, key);
                   })
                    .ok());
    return token;
  }
  void Revoke(const std::string& id) {
    EXPECT_TRUE(db_->Write([&](sql::Transaction& tx) {
                     return store::RevokeKey(tx, id, clock_.WallMs()).status();
                   })
                    .ok());
  }
  absl::StatusOr<Caller> Ask(const std::string& header) {
    return authenticator_.Authenticate(header, SystemClock().Boot() + seconds(10));
  }
  v1::ErrorReason Refusal(const std::string& header) { return ReasonOf(Ask(header).status()); }

  ManualClock clock_;
  store::TestDatabase db_;
  Authenticator authenticator_{*db_, clock_};
};

TEST_F(AuthenticatorTest, KnowsAKey) {
  const std::string token = AddKey("key_1", "write");
  const auto caller = Ask("Bearer " + token);
  ASSERT_TRUE(caller.ok()) << caller.status();
  EXPECT_EQ(caller->key_id, "key_1");
  EXPECT_EQ(caller->consumer, "ops");
  EXPECT_EQ(caller->scope, Scope::kWrite);
  EXPECT_TRUE(Ask("bearer  " + token + " ").ok());
}

TEST_F(AuthenticatorTest, RefusesWhatIsNoKey) {
  EXPECT_EQ(Refusal(""), v1::MISSING_TOKEN);
  EXPECT_EQ(Refusal("Bearer"), v1::MISSING_TOKEN);
  EXPECT_EQ(Refusal("Bearer "), v1::MISSING_TOKEN);
  EXPECT_EQ(Refusal("Basic jm_abc"), v1::MISSING_TOKEN);
  EXPECT_EQ(Refusal("Bearer jv_abc"), v1::INVALID_TOKEN);
  EXPECT_EQ(Refusal("Bearer jm_abc"), v1::INVALID_TOKEN);
  EXPECT_EQ(Refusal("Bearer jm_" + std::string(10'000, 'a')), v1::INVALID_TOKEN);
}

TEST_F(AuthenticatorTest, ExpiryIsHalfOpen) {
  const std::string token = AddKey("key_1", "read", clock_.WallMs() + 1000);
  clock_.Advance(milliseconds(999));
  EXPECT_TRUE(Ask("Bearer " + token).ok());
  clock_.Advance(milliseconds(1));
  EXPECT_EQ(Refusal("Bearer " + token), v1::KEY_EXPIRED);
}

TEST_F(AuthenticatorTest, RevocationHoldsAfterTwoSeconds) {
  const std::string token = AddKey("key_1", "read");
  ASSERT_TRUE(Ask("Bearer " + token).ok());
  Revoke("key_1");
  clock_.Advance(milliseconds(1999));
  EXPECT_TRUE(Ask("Bearer " + token).ok());
  clock_.Advance(milliseconds(1));
  EXPECT_EQ(Refusal("Bearer " + token), v1::KEY_REVOKED);
}

TEST_F(AuthenticatorTest, ANewKeyIsKnownAfterTwoSeconds) {
  const std::string token = store::NewApiToken();
  EXPECT_EQ(Refusal("Bearer " + token), v1::INVALID_TOKEN);
  ASSERT_TRUE(db_->Write([&](sql::Transaction& tx) {
                   store::ApiKey key;
                   key.key_id = "key_1";
                   key.scope = "read";
                   key.token_hash = store::Sha256Hex(token);
                   return store::InsertKey(tx, key);
                 })
                  .ok());
  clock_.Advance(seconds(2));
  EXPECT_TRUE(Ask("Bearer " + token).ok());
}

TEST_F(AuthenticatorTest, RemembersABoundedNumber) {
  const std::string token = AddKey("key_1", "read");
  ASSERT_TRUE(Ask("Bearer " + token).ok());
  for (size_t i = 0; i < Authenticator::kMostTokens; ++i) {
    ASSERT_EQ(Refusal("Bearer jm_" + std::to_string(i)), v1::INVALID_TOKEN);
  }
  // It was pushed out, and is read again at once.
  Revoke("key_1");
  EXPECT_EQ(Refusal("Bearer " + token), v1::KEY_REVOKED);
}

TEST(CheckScopeTest, EachIncludesThoseBefore) {
  const Scope ladder[] = {Scope::kRead, Scope::kWrite, Scope::kAdmin};
  for (const Scope has : ladder) {
    EXPECT_TRUE(CheckScope(Caller{"k", "c", has}, Scope::kNone).ok());
    for (const Scope needs : ladder) {
      EXPECT_EQ(CheckScope(Caller{"k", "c", has}, needs).ok(), has >= needs);
    }
    EXPECT_EQ(ReasonOf(CheckScope(Caller{"k", "c", has}, Scope::kVantage)), v1::INSUFFICIENT_SCOPE);
  }
  EXPECT_FALSE(CheckScope(Caller{}, Scope::kRead).ok());
  EXPECT_EQ(ScopeOf("root"), Scope::kVantage);
  EXPECT_FALSE(CheckScope(Caller{"k", "c", ScopeOf("root")}, Scope::kRead).ok());
}

}  // namespace
}  // namespace jetmon::access
