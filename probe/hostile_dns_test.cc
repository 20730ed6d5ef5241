// Names that lead inside, change, or don't resolve. What must not be reached listens at the same
// port as the server that may be, so that a connect to it would be seen.
#include <gtest/gtest.h>
#include <sys/epoll.h>
#include <unistd.h>

#include <chrono>
#include <memory>
#include <string>
#include <vector>

#include "clock/clock.h"
#include "probe/cares_resolver.h"
#include "probe/dns_cache.h"
#include "probe/engine.h"
#include "probe/hostile_case.h"
#include "probe/hostile_table.h"
#include "probe/ip_address.h"
#include "probe/test_dns_server.h"
#include "probe/test_server.h"

namespace jetmon::probe {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr milliseconds kStalled{700};
constexpr seconds kSlack{5};

class HostileDnsTest : public testing::Test {
 protected:
  HostileDnsTest() {
    Engine::Options options;
    options.safety = *TargetSafety::FromFlags("public_only", "127.0.0.1,127.0.0.3");
    options.resolvers = dns_.address();
    options.clock = &clock_;
    engine_ = MakeEngine(options);
  }
  std::string Url(const std::string& host, const std::string& path = "/") const {
    return "http://" + host + ":" + std::to_string(server_.port()) + path;
  }
  std::vector<Ended> Run(const std::string& url, milliseconds timeout = seconds(30)) {
    return RunAll(*engine_, InAllModes(url, timeout));
  }
  void Expect(const std::string& url, const Said& said, milliseconds timeout = seconds(30)) {
    for (const Ended& ended : Run(url, timeout)) {
      EXPECT_EQ(SaidBy(ended.result), said) << url << ": " << ended.result.detail;
      EXPECT_LT(ended.took,
                kSlack + (said.error_code == ErrorCode::kTimeout ? timeout : seconds(0)))
          << url;
    }
  }
  void ExpectUntouched() const {
    for (const Tripwire* inside : {&inside4_, &inside6_, &any_}) EXPECT_FALSE(inside->Touched());
  }
  // Bit by bit, since more than a second in one loop looks like a pause.
  void PassSeconds(int n) {
    for (int i = 0; i < 4 * n; ++i) {
      clock_.Jump(milliseconds(250));
      Run(Url("127.0.0.1"));
    }
  }

  JumpingClock clock_;
  TestDnsServer dns_;
  TestServer server_{[this](TestServer::Connection& c, const std::string& request) {
                       if (request.find(" /next") == std::string::npos) {
                         return (void)c.Send(Ok("Content-Length: 2\r\n") + "ok");
                       }
                       clock_.Jump(milliseconds(300));
                       c.Send("HTTP/1.1 302 F\r\nContent-Length: 0\r\nLocation: /next\r\n\r\n");
                     },
                     8};
  Tripwire inside4_{"127.0.0.2", server_.port()};
  Tripwire inside6_{"::1", server_.port()};
  Tripwire any_{"127.0.0.4", server_.port()};
  std::unique_ptr<Engine> engine_;
};

TEST_F(HostileDnsTest, OneRefusedAddressRefusesTheName) {
  dns_.Set("good.example", NameAt({"127.0.0.1"}));
  dns_.Set("second.example", NameAt({"127.0.0.1", "127.0.0.2"}));
  dns_.Set("first.example", NameAt({"127.0.0.2", "127.0.0.1"}));
  dns_.Set("last.example", NameAt({"127.0.0.1", "127.0.0.3", "127.0.0.1", "127.0.0.4"}));
  dns_.Set("six.example", NameAt({"127.0.0.1"}, {"::1"}));
  dns_.Set("only6.example", NameAt({}, {"::1"}));
  dns_.Set("mapped.example", NameAt({"127.0.0.1"}, {"::ffff:127.0.0.1"}));
  TestDnsServer::Name alias;
  alias.alias = "second.example";
  dns_.Set("alias.example", alias);
  alias.alias = "localhost";
  dns_.Set("to-localhost.example", alias);
  dns_.Set("localhost", NameAt({"127.0.0.2"}));
  Expect(Url("good.example"), Up(200));
  for (const char* host : {"second.example", "first.example", "last.example", "six.example",
                           "only6.example", "mapped.example", "alias.example",
                           "to-localhost.example", "SECOND.Example.", "localhost"}) {
    Expect(Url(host), Unsafe());
  }
  ExpectUntouched();
}

TEST_F(HostileDnsTest, EveryKindOfInside) {
  const std::vector<std::string> v4 = {
      "0.0.0.0",        "10.0.0.1",        "100.64.0.1",    "127.0.0.2",      "169.254.0.1",
      "172.31.255.255", "169.254.169.254", "192.0.0.1",     "192.0.0.192",    "192.0.2.1",
      "192.168.1.1",    "198.18.0.1",      "198.51.100.1",  "203.0.113.1",    "224.0.0.1",
      "240.0.0.1",      "255.255.255.255", "168.63.129.16", "100.100.100.200"};
  const std::vector<std::string> v6 = {"::",
                                       "::1",
                                       "::7f00:2",
                                       "::ffff:127.0.0.2",
                                       "::ffff:8.8.8.8",
                                       "64:ff9b::7f00:2",
                                       "fe80::1",
                                       "fec0::1",
                                       "fd00::1",
                                       "ff02::1",
                                       "2001:db8::1",
                                       "2002:7f00:2::1",
                                       "2001::1",
                                       "64:ff9b:1::1",
                                       "fd00:ec2::254",
                                       "100::1",
                                       "4000::1"};
  int n = 0;
  std::vector<CheckRequest> requests;
  for (const auto& [addresses, six] : {std::pair(v4, false), std::pair(v6, true)}) {
    for (const std::string& address : addresses) {
      const std::string host = "inside" + std::to_string(n++) + ".example";
      dns_.Set(host, six ? NameAt({}, {address}) : NameAt({address}));
      requests.push_back(MakeRequest(Url(host), kModes[n % kModes.size()]));
    }
  }
  const std::vector<Ended> ended = RunAll(*engine_, requests);
  for (size_t i = 0; i < ended.size(); ++i) {
    const std::string& address = i < v4.size() ? v4[i] : v6[i - v4.size()];
    EXPECT_EQ(SaidBy(ended[i].result), Unsafe()) << address;
    EXPECT_EQ(ended[i].result.address, IpAddressText(*ParseIpAddress(address)));
    EXPECT_EQ(ended[i].result.timings.connect_us, 0) << address;
  }
  ExpectUntouched();
}

// The first answer is allowed, each later one is not. While the first one holds it leads to where
// it was judged; from then on the name is refused, and no packet ever goes inside.
TEST_F(HostileDnsTest, ANameThatChangesBetweenChecks) {
  TestDnsServer::Name rebinding = NameAt({"127.0.0.1"});
  rebinding.ttl = 0;
  rebinding.then_v4 = {{"127.0.0.2"}};
  dns_.Set("rebinding.example", rebinding);
  for (const Ended& ended : Run(Url("rebinding.example"))) {
    EXPECT_EQ(SaidBy(ended.result), Up(200)) << ended.result.detail;
    EXPECT_EQ(ended.result.address, "127.0.0.1");
  }
  PassSeconds(1);
  Expect(Url("rebinding.example"), Unsafe());
  ExpectUntouched();
}

// The same within one check, whose redirects lead back to the name until its answer has run out.
TEST_F(HostileDnsTest, ANameThatChangesBetweenHops) {
  for (const char* mode : {"head-simple", "get-simple", "get-full"}) {
    const std::string host = std::string(mode) + ".example";
    TestDnsServer::Name rebinding = NameAt({"127.0.0.1"});
    rebinding.ttl = 0;
    rebinding.then_v4 = {{"127.0.0.2"}};
    dns_.Set(host, rebinding);
    const CheckResult r = RunAll(*engine_, {MakeRequest(Url(host, "/next"), mode)})[0].result;
    EXPECT_EQ(r.outcome, Outcome::kSafety) << mode << ": " << r.detail;
    EXPECT_EQ(r.error_code, ErrorCode::kTargetSafety);
    EXPECT_EQ(r.address, "127.0.0.2");
    EXPECT_GE(r.redirects.size(), 3u);
    EXPECT_LE(r.redirects.size(), 5u);
    EXPECT_EQ(dns_.queries(host), 2);
  }
  ExpectUntouched();
}

TEST_F(HostileDnsTest, WhatDoesNotResolve) {
  TestDnsServer::Name servfail, refused, garbage, silent, half, alias;
  servfail.code = 2;
  refused.code = 5;
  garbage.garbage = true;
  silent.silent4 = silent.silent6 = true;
  half = NameAt({});
  half.silent6 = true;
  dns_.Set("servfail.example", servfail);
  dns_.Set("refused.example", refused);
  dns_.Set("garbage.example", garbage);
  dns_.Set("silent.example", silent);
  dns_.Set("half.example", half);
  dns_.Set("empty.example", NameAt({}));
  alias.alias = "alias.example";
  dns_.Set("alias.example", alias);  // to itself
  alias.alias = "gone.example";
  dns_.Set("to-nowhere.example", alias);
  const size_t descriptors = OpenDescriptors();
  for (const char* host : {"none.example", "servfail.example", "refused.example", "empty.example",
                           "alias.example", "to-nowhere.example", "127\xe3\x80\x82\x30.example"}) {
    Expect(Url(host), NoAnswer());
  }
  for (const char* host : {"silent.example", "half.example"}) {
    for (const Ended& ended : Run(Url(host), kStalled)) {
      EXPECT_EQ(SaidBy(ended.result), TimedOut()) << host;
      EXPECT_EQ(ended.result.detail, "timeout in dns");
      EXPECT_GE(ended.took, kStalled);
      EXPECT_LT(ended.took, kStalled + kSlack);
    }
  }
  // Garbage is no answer: the right one is waited for.
  for (const Ended& ended : Run(Url("garbage.example"), kStalled)) {
    EXPECT_EQ(SaidBy(ended.result), TimedOut());
    EXPECT_EQ(ended.result.detail, "timeout in dns");
    EXPECT_LT(ended.took, kStalled + kSlack);
  }
  // The resolver's own, of at most two channels.
  EXPECT_LE(AwaitDescriptors(descriptors + 4), descriptors + 4);
}

// On a busy reactor an answer may have to wait for its turn; that does not make it late.
TEST_F(HostileDnsTest, AnAnswerThatWaitsIsNotLate) {
  class Waiter final : public DnsWaiter {
   public:
    void OnDnsAnswer(const DnsAnswer& a) override { answers.push_back(a); }
    std::vector<DnsAnswer> answers;
  } waiter;
  dns_.Set("site.example", NameAt({"127.0.0.1"}, {"::1"}));
  ManualClock clock;
  CaresResolver::Options options;
  options.clock = &clock;
  options.epoll_fd = epoll_create1(EPOLL_CLOEXEC);
  options.servers = dns_.address();
  options.cache = std::make_shared<DnsCache>(10);
  const int epoll_fd = options.epoll_fd;
  auto resolver = CaresResolver::Create(options);
  ASSERT_TRUE(resolver.ok()) << resolver.status();
  EXPECT_FALSE((*resolver)->Resolve("site.example", &waiter).has_value());
  (*resolver)->Advance(clock.Boot());  // asks
  epoll_event event{};
  while (dns_.queries("site.example", false) + dns_.queries("site.example", true) < 2 ||
         epoll_wait(epoll_fd, &event, 1, 10) < 1) {
  }
  clock.Advance(2 * options.longest);
  for (int i = 0; i < 100 && waiter.answers.empty(); ++i) (*resolver)->Advance(clock.Boot());
  ASSERT_EQ(waiter.answers.size(), 1u);
  EXPECT_EQ(waiter.answers[0].status, DnsAnswer::Status::kOk) << waiter.answers[0].error;
  EXPECT_FALSE(waiter.answers[0].addresses.empty());
  resolver->reset();
  close(epoll_fd);
}

// Of several addresses each has its share of the time: one that hangs does not take that of the
// next.
TEST_F(HostileDnsTest, AnAddressThatHangs) {
  const FullBacklog full("127.0.0.3", server_.port());
  dns_.Set("hangs.example", NameAt({"127.0.0.3"}));
  dns_.Set("half-hangs.example", NameAt({"127.0.0.3", "127.0.0.1"}));
  Expect(Url("hangs.example"), TimedOut(), kStalled);
  for (const Ended& ended : Run(Url("half-hangs.example"), 2 * kStalled)) {
    EXPECT_EQ(SaidBy(ended.result), Up(200)) << ended.result.detail;
    EXPECT_EQ(ended.result.address, "127.0.0.1");
    EXPECT_GE(ended.took, kStalled - milliseconds(100));
  }
}

}  // namespace
}  // namespace jetmon::probe
