#ifndef JETMON_PROBE_RESOLVER_FIXTURE_H_
#define JETMON_PROBE_RESOLVER_FIXTURE_H_

#include <gtest/gtest.h>
#include <sys/epoll.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "clock/clock.h"
#include "probe/cares_resolver.h"
#include "probe/dns_cache.h"
#include "probe/resolver.h"
#include "probe/test_dns_server.h"

// What the resolver's tests share.
namespace jetmon::probe {

// The machine's clock, and how much a test has pushed it forward.
class PushedClock final : public Clock {
 public:
  BootTime Boot() const override { return SystemClock().Boot() + ahead_; }
  int64_t WallMs() const override { return SystemClock().WallMs(); }
  void Push(std::chrono::nanoseconds d) { ahead_ += d; }

 private:
  std::chrono::nanoseconds ahead_{0};
};

class HeardAnswer final : public DnsWaiter {
 public:
  void OnDnsAnswer(const DnsAnswer& a) override {
    ++times;
    answer = a;
    if (then) then();
  }
  int times = 0;
  DnsAnswer answer;
  std::function<void()> then;
};

inline std::vector<std::string> AddressesOf(const DnsAnswer& answer) {
  std::vector<std::string> out;
  for (const IpAddress& address : answer.addresses) out.push_back(IpAddressText(address));
  return out;
}

// A resolver in an epoll set of its own, driven as a reactor does.
class ResolverTest : public testing::Test {
 protected:
  ResolverTest() { Make(); }
  ~ResolverTest() override {
    resolver_.reset();
    close(epoll_fd_);
  }

  CaresResolver::Options Options() {
    CaresResolver::Options options;
    options.clock = &clock_;
    options.epoll_fd = epoll_fd_;
    options.servers = dns_->address();
    options.cache = cache_;
    return options;
  }
  void Make() { Make(Options()); }
  void Make(CaresResolver::Options options) {
    resolver_.reset();
    auto made = CaresResolver::Create(std::move(options));
    ASSERT_TRUE(made.ok()) << made.status();
    resolver_ = *std::move(made);
  }

  void Turn() {
    const auto quiet = resolver_->Quiet(clock_.Boot(), std::chrono::milliseconds(20));
    epoll_event events[64];
    const int ms = static_cast<int>((quiet.count() + 999'999) / 1'000'000);
    const int n = epoll_wait(epoll_fd_, events, 64, ms);
    resolver_->Advance(clock_.Boot());
    for (int i = 0; i < n; ++i) {
      ASSERT_TRUE(Resolver::IsEventTag(events[i].data.u64));
      resolver_->OnEvents(Resolver::FdOfEventTag(events[i].data.u64), events[i].events);
    }
  }
  void RunUntil(const std::function<bool()>& done) {
    const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(60);
    while (!done()) {
      ASSERT_LT(std::chrono::steady_clock::now(), end) << "nothing came of it within a minute";
      Turn();
    }
  }
  // Asks and waits for the answer; `took` says how long.
  DnsAnswer Ask(const std::string& host) {
    const BootTime began = SystemClock().Boot();
    HeardAnswer heard;
    const auto cached = resolver_->Resolve(host, &heard);
    if (cached.has_value()) return *cached;
    EXPECT_EQ(heard.times, 0);
    RunUntil([&] { return heard.times > 0; });
    EXPECT_EQ(heard.times, 1);
    took_ = SystemClock().Boot() - began;
    return heard.answer;
  }

  PushedClock clock_;
  const int epoll_fd_ = epoll_create1(EPOLL_CLOEXEC);
  std::unique_ptr<TestDnsServer> dns_ = std::make_unique<TestDnsServer>();
  std::shared_ptr<DnsCache> cache_ = std::make_shared<DnsCache>(1000);
  std::unique_ptr<Resolver> resolver_;
  std::chrono::nanoseconds took_{0};
};

}  // namespace jetmon::probe

#endif  // JETMON_PROBE_RESOLVER_FIXTURE_H_
