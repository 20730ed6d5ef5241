#include "controlplane/rollout/prober.h"

#include <gtest/gtest.h>

#include <atomic>
#include <condition_variable>
#include <map>
#include <mutex>
#include <set>

#include "probe/test_server.h"

namespace jetmon::rollout {
namespace {

constexpr char kOk[] = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";

// Sees how many requests are open at once, and holds each until a number has come, or for a while.
class Crowd {
 public:
  Crowd(int wait_for, std::chrono::milliseconds most) : wait_for_(wait_for), while_(most) {}
  void Enter() {
    std::unique_lock lock(mutex_);
    most_ = std::max(most_, ++now_);
    came_.notify_all();
    came_.wait_for(lock, while_, [this] { return most_ >= wait_for_; });
  }
  void Leave() {
    std::lock_guard lock(mutex_);
    --now_;
  }
  int most() {
    std::lock_guard lock(mutex_);
    return most_;
  }

 private:
  const int wait_for_;
  const std::chrono::milliseconds while_;
  std::mutex mutex_;
  std::condition_variable came_;
  int now_ = 0, most_ = 0;
};

class Lease final : public probe::LeaseGate {
 public:
  std::atomic<bool> may_send{true};
  bool MaySend(BootTime) const override { return may_send; }
};

class ProberTest : public ::testing::Test {
 protected:
  ProberTest() { engine_.safety = *probe::TargetSafety::FromFlags("public_only", "127.0.0.0/8"); }

  Probe Make(uint64_t id, const std::string& url, int checks = 1) {
    Probe p;
    p.site.site_id = id;
    p.site.url = url;
    p.ordinal = id;
    for (int i = 0; i < checks; ++i) {
      probe::CheckRequest r;
      r.site_id = id;
      r.url = url;
      r.mode.method = i == 0 ? probe::Method::kHead : probe::Method::kGet;
      r.timeout = std::chrono::seconds(5);
      r.lease = &lease_;
      p.checks.push_back(r);
    }
    return p;
  }
  // Gives out `probes` in pieces of `piece`.
  absl::Status Run(std::vector<Probe> probes, size_t piece = 100) {
    size_t at = 0;
    return RunProbes(
        engine_, limits_,
        [&]() -> absl::StatusOr<std::vector<Probe>> {
          std::vector<Probe> some;
          for (; at < probes.size() && some.size() < piece; ++at) some.push_back(probes[at]);
          most_held_ = std::max(most_held_, at - ended_.size());
          return some;
        },
        [&](Probe&& p) {
          ended_[p.ordinal] = std::move(p);
          return sink_;
        },
        [this] {
          ++turns_;
          return turn_ ? turn_() : absl::OkStatus();
        });
  }

  probe::Engine::Options engine_;
  ProberLimits limits_;
  Lease lease_;
  absl::Status sink_;
  std::function<absl::Status()> turn_;
  std::map<uint64_t, Probe> ended_;
  size_t most_held_ = 0;
  int turns_ = 0;
};

TEST_F(ProberTest, ChecksAllThatItIsGivenAndHoldsFew) {
  probe::TestServer server(
      [](probe::TestServer::Connection& c, const std::string&) { c.Send(kOk); });
  limits_.waiting = 40;
  limits_.concurrency = 10;
  std::vector<Probe> probes;
  for (uint64_t id = 1; id <= 500; ++id) probes.push_back(Make(id, server.Url("/")));
  EXPECT_TRUE(Run(std::move(probes), 20).ok());
  EXPECT_EQ(ended_.size(), 500u);
  for (const auto& [id, p] : ended_) {
    ASSERT_EQ(p.results.size(), 1u);
    EXPECT_EQ(p.results[0].outcome, probe::Outcome::kUp);
    EXPECT_EQ(p.results[0].site_id, id);
  }
  EXPECT_EQ(server.requests().size(), 500u);
  // Fewer than half of `waiting` when it asks, a piece of 20, and 10 in flight.
  EXPECT_LE(most_held_, 50u);
  EXPECT_GT(turns_, 0);
}

TEST_F(ProberTest, OfNothingEnds) { EXPECT_TRUE(Run({}).ok()); }

TEST_F(ProberTest, AHostIsSparedAndOthersDoNotWaitForIt) {
  Crowd crowd(4, std::chrono::milliseconds(100)), other_crowd(3, std::chrono::seconds(20));
  const auto crowded = [](Crowd& crowd) {
    return [&crowd](probe::TestServer::Connection& c, const std::string&) {
      crowd.Enter();
      crowd.Leave();
      c.Send(kOk);
    };
  };
  probe::TestServer one(crowded(crowd), 8, "127.0.0.1");
  probe::TestServer two(crowded(crowd), 8, "127.0.0.1");
  probe::TestServer other(crowded(other_crowd), 8, "127.0.0.2");
  limits_.concurrency = 8;
  limits_.per_host = 3;
  std::vector<Probe> probes;
  // One host, whatever the port.
  for (uint64_t id = 1; id <= 30; ++id) probes.push_back(Make(id, (id % 2 ? one : two).Url("/")));
  for (uint64_t id = 31; id <= 33; ++id) {
    probes.push_back(Make(id, "http://127.0.0.2:" + std::to_string(other.port()) + "/"));
  }
  EXPECT_TRUE(Run(std::move(probes)).ok());
  EXPECT_EQ(ended_.size(), 33u);
  EXPECT_LE(crowd.most(), 3);
  EXPECT_EQ(other_crowd.most(), 3);
}

TEST_F(ProberTest, TheSecondCheckBeginsWhenTheFirstHasEnded) {
  std::mutex mutex;
  std::map<std::string, int> open;
  bool both = false;
  probe::TestServer server(
      [&](probe::TestServer::Connection& c, const std::string& request) {
        const std::string path = request.substr(request.find('/'), 3);
        {
          std::lock_guard lock(mutex);
          both = both || ++open[path] > 1;
        }
        c.Send(kOk);
        std::lock_guard lock(mutex);
        --open[path];
      },
      8);
  std::vector<Probe> probes;
  for (uint64_t id = 10; id < 40; ++id) {
    probes.push_back(Make(id, server.Url("/" + std::to_string(id)), 2));
  }
  EXPECT_TRUE(Run(std::move(probes)).ok());
  EXPECT_EQ(server.requests().size(), 60u);
  for (const auto& [id, p] : ended_) {
    ASSERT_EQ(p.results.size(), 2u);
    EXPECT_EQ(p.results[0].method, probe::Method::kHead);
    EXPECT_EQ(p.results[1].method, probe::Method::kGet);
    EXPECT_GE(p.results[1].started.ns, p.results[0].started.ns + p.results[0].timings.total_us);
  }
}

TEST_F(ProberTest, WhatIsRefusedHasNoSecondCheck) {
  EXPECT_TRUE(Run({Make(1, "http://10.0.0.1/", 2), Make(2, "https://localhost/", 2)}).ok());
  ASSERT_EQ(ended_.size(), 2u);
  ASSERT_EQ(ended_[1].results.size(), 1u);
  EXPECT_EQ(ended_[1].results[0].outcome, probe::Outcome::kSafety);
  ASSERT_EQ(ended_[2].results.size(), 1u);
  EXPECT_EQ(ended_[2].results[0].outcome, probe::Outcome::kSafety);
}

TEST_F(ProberTest, ALapsedLeaseEndsItAndNothingIsSentMore) {
  probe::TestServer server(
      [](probe::TestServer::Connection& c, const std::string&) { c.Send(kOk); });
  lease_.may_send = false;
  EXPECT_TRUE(absl::IsUnavailable(Run({Make(1, server.Url("/")), Make(2, server.Url("/"))})));
  EXPECT_TRUE(server.requests().empty());
  EXPECT_TRUE(ended_.empty());
}

TEST_F(ProberTest, AnErrorOfAnyOfItsFunctionsEndsIt) {
  probe::TestServer silent(
      [](probe::TestServer::Connection& c, const std::string&) { c.AwaitClose(); });
  turn_ = [&] {
    return silent.requests().empty() ? absl::OkStatus() : absl::CancelledError("not ours");
  };
  EXPECT_TRUE(absl::IsCancelled(Run({Make(1, silent.Url("/"))})));
  EXPECT_TRUE(ended_.empty());
  turn_ = {};
  sink_ = absl::InternalError("no room");
  EXPECT_EQ(Run({Make(1, "http://10.0.0.1/")}), sink_);
  const auto broken = []() -> absl::StatusOr<std::vector<Probe>> {
    return absl::UnavailableError("database");
  };
  EXPECT_TRUE(absl::IsUnavailable(RunProbes(
      engine_, limits_, broken, [](Probe&&) { return absl::OkStatus(); },
      [] { return absl::OkStatus(); })));
}

}  // namespace
}  // namespace jetmon::rollout
