#include "store/sql/pool.h"

#include <gtest/gtest.h>

#include <thread>

namespace jetmon::sql {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

// What a test's server knows of its connections.
struct FakeServer {
  int connected = 0, closed = 0, asked = 0;
  bool refuses = false, answers = true;
  bool silent = false;
  int current = 0;  // host in use
  int avoided = 0;
};

class FakeConnection final : public Connection {
 public:
  explicit FakeConnection(FakeServer& server) : server_(server), host(server.current) {
    ++server_.connected;
  }
  ~FakeConnection() override { ++server_.closed; }
  absl::Status Begin(bool) override { return absl::OkStatus(); }
  absl::Status Commit() override { return absl::OkStatus(); }
  absl::Status Rollback() override { return absl::OkStatus(); }
  absl::StatusOr<int64_t> Execute(std::string_view, Params) override { return 0; }
  absl::StatusOr<int64_t> Insert(std::string_view, Params) override { return 0; }
  absl::Status Query(std::string_view, Params, const RowCallback&) override {
    return absl::OkStatus();
  }
  const Dialect& dialect() const override { return MysqlDialect(); }
  bool usable() const override { return good; }
  bool Answers() override {
    ++server_.asked;
    return server_.answers;
  }
  bool silent() const override { return server_.silent; }

 private:
  FakeServer& server_;

 public:
  const int host;
  bool good = true;
};

class FakeConnector final : public Connector {
 public:
  explicit FakeConnector(FakeServer& server) : server_(server) {}
  absl::StatusOr<std::unique_ptr<Connection>> Connect(seconds) override {
    if (server_.refuses) return absl::UnavailableError("refused");
    return std::unique_ptr<Connection>(std::make_unique<FakeConnection>(server_));
  }
  const Dialect& dialect() const override { return MysqlDialect(); }
  bool IsCurrent(const Connection& c) const override {
    return static_cast<const FakeConnection&>(c).host == server_.current;
  }
  void Avoid(const Connection&) override { ++server_.avoided; }

 private:
  FakeServer& server_;
};

class PoolTest : public testing::Test {
 protected:
  PoolTest() {
    Options options;
    options.clock = &clock_;
    options.pool_size = 3;
    options.pool_wait = milliseconds(50);
    pool_ = std::make_unique<Pool>(options, std::make_unique<FakeConnector>(server_));
  }
  std::unique_ptr<Connection> Take() {
    auto taken = pool_->Take(clock_.Boot() + seconds(10));
    EXPECT_TRUE(taken.ok()) << taken.status();
    return std::move(*taken);
  }
  // Three idle connections.
  void Fill() {
    auto a = Take(), b = Take(), c = Take();
    pool_->Give(std::move(a));
    pool_->Give(std::move(b));
    pool_->Give(std::move(c));
  }

  ManualClock clock_;
  FakeServer server_;
  std::unique_ptr<Pool> pool_;
};

TEST_F(PoolTest, KeepsToItsBoundAndSaysSo) {
  auto a = Take(), b = Take(), c = Take();
  const auto fourth = pool_->Take(clock_.Boot() + seconds(10));
  EXPECT_TRUE(absl::IsUnavailable(fourth.status()));
  EXPECT_NE(fourth.status().message().find("all 3 "), std::string::npos);
  EXPECT_EQ(pool_->counts().exhausted, 1u);
  pool_->Give(std::move(a));
  EXPECT_NE(Take(), nullptr);
  EXPECT_EQ(server_.connected, 3);
}

TEST_F(PoolTest, WhoWaitsGetsWhatIsGivenBack) {
  auto a = Take(), b = Take(), c = Take();
  std::thread giver([&] { pool_->Give(std::move(a)); });
  EXPECT_NE(Take(), nullptr);
  giver.join();
}

TEST_F(PoolTest, AConnectionThatCantBeMadeTakesNoPlace) {
  server_.refuses = true;
  for (int i = 0; i < 10; ++i) EXPECT_FALSE(pool_->Take(clock_.Boot() + seconds(1)).ok());
  server_.refuses = false;
  auto a = Take(), b = Take(), c = Take();
  EXPECT_EQ(pool_->counts().connections, 3u);
}

TEST_F(PoolTest, ADoubtfulConnectionTakesTheIdleOnesWithIt) {
  Fill();
  auto a = Take();
  static_cast<FakeConnection&>(*a).good = false;
  pool_->Give(std::move(a));
  EXPECT_EQ(server_.closed, 3);
  EXPECT_NE(Take(), nullptr);
  EXPECT_EQ(server_.connected, 4);
}

TEST_F(PoolTest, WhatLayIdleIsAskedWhetherItAnswers) {
  Fill();
  server_.answers = false;
  pool_->Give(Take());  // not asked yet: it was used just now
  EXPECT_EQ(server_.closed, 0);
  clock_.Advance(seconds(6));
  const auto fresh = Take();
  EXPECT_EQ(server_.closed, 3);
  EXPECT_EQ(server_.connected, 4);
  // The others were not: a server that is silent would have made each of them wait.
  EXPECT_EQ(server_.asked, 1);
  EXPECT_EQ(server_.avoided, 0);
}

TEST_F(PoolTest, AServerThatWentSilentIsAvoided) {
  auto a = Take();
  static_cast<FakeConnection&>(*a).good = false;
  server_.silent = true;
  pool_->Give(std::move(a));
  EXPECT_EQ(server_.avoided, 1);
  Fill();
  clock_.Advance(seconds(6));
  server_.answers = false;
  pool_->Give(Take());
  EXPECT_EQ(server_.avoided, 2);
}

TEST_F(PoolTest, ConnectionsToAServerThatIsNoLongerInUseAreClosed) {
  Fill();
  auto out = Take();
  server_.current = 1;
  auto next = Take();
  EXPECT_EQ(static_cast<FakeConnection&>(*next).host, 1);
  EXPECT_EQ(server_.closed, 2);  // the idle ones
  pool_->Give(std::move(out));
  EXPECT_EQ(server_.closed, 3);
}

}  // namespace
}  // namespace jetmon::sql
