// What a resolver asks and answers while its servers do as they should.
#include "probe/cares_resolver.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <stdlib.h>

#include <chrono>
#include <memory>
#include <string>
#include <vector>

#include "probe/ip_address.h"
#include "probe/resolver_fixture.h"

namespace jetmon::probe {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::SizeIs;
using Status = DnsAnswer::Status;

class CaresResolverTest : public ResolverTest {};

TEST_F(CaresResolverTest, BothFamiliesIpv4FirstEachOnce) {
  dns_->Set("site.example",
            NameAt({"192.0.2.1", "192.0.2.2", "192.0.2.1"}, {"2001:db8::1", "2001:db8::1"}));
  const DnsAnswer answer = Ask("site.example");
  EXPECT_EQ(answer.status, Status::kOk);
  EXPECT_EQ(answer.error, "");
  EXPECT_FALSE(answer.cached);
  EXPECT_THAT(AddressesOf(answer), ElementsAre("192.0.2.1", "192.0.2.2", "2001:db8::1"));
  const DnsAnswer again = Ask("site.example");
  EXPECT_TRUE(again.cached);
  EXPECT_EQ(again.addresses, answer.addresses);
  EXPECT_EQ(dns_->queries("site.example", false), 1);
  EXPECT_EQ(dns_->queries("site.example", true), 1);
}

TEST_F(CaresResolverTest, OneFamilyIsEnough) {
  dns_->Set("four.example", NameAt({"192.0.2.1"}));
  dns_->Set("six.example", NameAt({}, {"2001:db8::1"}));
  EXPECT_THAT(AddressesOf(Ask("four.example")), ElementsAre("192.0.2.1"));
  EXPECT_THAT(AddressesOf(Ask("six.example")), ElementsAre("2001:db8::1"));
}

TEST_F(CaresResolverTest, NoNameIsSaidAndKept) {
  TestDnsServer::Name loop, nowhere, no_six = NameAt({});
  loop.alias = "loop.example";
  nowhere.alias = "none.example";
  no_six.code6 = 3;
  dns_->Set("empty.example", NameAt({}));
  dns_->Set("loop.example", loop);
  dns_->Set("nowhere.example", nowhere);
  dns_->Set("no-six.example", no_six);
  const std::string label(64, 'a');
  const std::string no_name = "no such name", no_address = "the name has no address";
  const std::pair<std::string, std::string> cases[] = {
      {"none.example", no_name},        {"empty.example", no_address}, {"loop.example", no_address},
      {"nowhere.example", no_address},  {"no-six.example", no_name},   {"a..example", no_address},
      {label + ".example", no_address}, {"hidden.onion", no_name},
  };
  for (const auto& [host, error] : cases) {
    const DnsAnswer answer = Ask(host);
    EXPECT_EQ(answer.status, Status::kNoName) << host;
    EXPECT_THAT(answer.addresses, SizeIs(0));
    EXPECT_EQ(answer.error, error) << host;
    EXPECT_TRUE(Ask(host).cached) << host;
  }
  EXPECT_EQ(dns_->queries("none.example", false), 1);
  clock_.Push(seconds(31));
  Ask("none.example");
  EXPECT_EQ(dns_->queries("none.example", false), 2);
}

TEST_F(CaresResolverTest, AliasesAreFollowedAndTheShortestTtlCounts) {
  TestDnsServer::Name first, second, last = NameAt({"192.0.2.1"});
  first.alias = "second.example";
  second.alias = "last.example";
  second.ttl = 5;
  dns_->Set("first.example", first);
  dns_->Set("second.example", second);
  dns_->Set("last.example", last);
  EXPECT_THAT(AddressesOf(Ask("first.example")), ElementsAre("192.0.2.1"));
  clock_.Push(seconds(4));
  EXPECT_TRUE(Ask("first.example").cached);
  clock_.Push(seconds(2));
  EXPECT_FALSE(Ask("first.example").cached);
}

TEST_F(CaresResolverTest, LargeAnswersComeOverTcpAndTooLargeOnesAreNone) {
  TestDnsServer::Name most, more;
  for (int i = 0; i < 129; ++i) {
    (i < 100 ? most.v4 : most.v6)
        .push_back((i < 100 ? "192.0.2." : "2001:db8::") + std::to_string(i));
  }
  more = most;
  most.v6.pop_back();
  most.truncated = more.truncated = true;
  dns_->Set("most.example", most);
  dns_->Set("more.example", more);
  EXPECT_THAT(Ask("most.example").addresses, SizeIs(128));
  EXPECT_EQ(dns_->tcp_queries(), 2);
  const DnsAnswer answer = Ask("more.example");
  EXPECT_EQ(answer.status, Status::kFailed);
  EXPECT_EQ(answer.error, "more than 128 addresses");
  EXPECT_THAT(answer.addresses, SizeIs(0));
}

TEST_F(CaresResolverTest, AResolverMayHaveAnIpv6Address) {
  const TestDnsServer six("::1");
  const_cast<TestDnsServer&>(six).Set("site.example", NameAt({"192.0.2.1"}));
  auto options = Options();
  options.servers = six.address();
  Make(options);
  EXPECT_THAT(AddressesOf(Ask("site.example")), ElementsAre("192.0.2.1"));
}

// Names are asked as they are, whatever the machine is set up for.
TEST_F(CaresResolverTest, NoSearchDomainsAndNoHostsFile) {
  setenv("LOCALDOMAIN", "corp.example", 1);
  setenv("RES_OPTIONS", "ndots:5", 1);
  Make();
  unsetenv("LOCALDOMAIN");
  unsetenv("RES_OPTIONS");
  dns_->Set("site.test.corp.example", NameAt({"192.0.2.1"}));
  dns_->Set("intranet.corp.example", NameAt({"192.0.2.1"}));
  for (const char* host : {"site.test", "intranet", "localhost", "a.localhost"}) {
    EXPECT_EQ(Ask(host).status, Status::kNoName) << host;
    EXPECT_EQ(dns_->queries(host, false), 1) << host;
  }
  EXPECT_EQ(dns_->queries(), 8);
}

TEST_F(CaresResolverTest, WhatIsNoListOfServersIsRefused) {
  auto options = Options();
  options.servers = "dns.example";
  EXPECT_THAT(CaresResolver::Create(options).status().message(), HasSubstr("--resolvers"));
}

TEST_F(CaresResolverTest, AllWhoWaitAreToldOnceOfOneLookup) {
  dns_->Set("site.example", NameAt({"192.0.2.1"}));
  HeardAnswer heard[3];
  for (HeardAnswer& h : heard) EXPECT_FALSE(resolver_->Resolve("site.example", &h).has_value());
  resolver_->Cancel(&heard[1]);
  RunUntil([&] { return heard[0].times > 0 && heard[2].times > 0; });
  EXPECT_EQ(heard[0].times + heard[1].times + heard[2].times, 2);
  EXPECT_EQ(dns_->queries(), 2);
}

// From inside an answer: another is cancelled and gone, and the same name and a new one are asked.
TEST_F(CaresResolverTest, AnAnswerMayAskAndCancel) {
  TestDnsServer::Name slow = NameAt({"192.0.2.1"});
  slow.silent4 = true;
  dns_->Set("slow.example", slow);
  dns_->Set("site.example", NameAt({"192.0.2.1"}));
  dns_->Set("next.example", NameAt({"192.0.2.2"}));
  HeardAnswer next, again;
  auto other = std::make_unique<HeardAnswer>();
  auto same = std::make_unique<HeardAnswer>();
  HeardAnswer first;
  bool cached = false;
  first.then = [&] {
    for (auto* gone : {&other, &same}) {
      resolver_->Cancel(gone->get());
      gone->reset();
    }
    cached = resolver_->Resolve("site.example", &again).has_value();
    resolver_->Resolve("next.example", &next);
  };
  resolver_->Resolve("slow.example", other.get());
  resolver_->Resolve("site.example", same.get());  // told behind the last
  resolver_->Resolve("site.example", &first);
  RunUntil([&] { return next.times > 0; });
  EXPECT_EQ(first.times, 1);
  EXPECT_TRUE(cached);
  EXPECT_EQ(again.times, 0);
  EXPECT_THAT(AddressesOf(next.answer), ElementsAre("192.0.2.2"));
}

TEST_F(CaresResolverTest, ALookupGoesOnForTheCacheWithoutAWaiter) {
  TestDnsServer::Name slow = NameAt({"192.0.2.1"});
  slow.delay = milliseconds(50);
  dns_->Set("site.example", slow);
  {
    HeardAnswer gone;
    resolver_->Resolve("site.example", &gone);
    RunUntil([&] { return dns_->queries() == 2; });
    resolver_->Cancel(&gone);
  }
  RunUntil([&] { return cache_->size() == 1; });
  EXPECT_TRUE(Ask("site.example").cached);
}

TEST_F(CaresResolverTest, WhatIsCancelledBeforeItWasSentIsNotAsked) {
  dns_->Set("site.example", NameAt({"192.0.2.1"}));
  HeardAnswer gone;
  resolver_->Resolve("gone.example", &gone);
  resolver_->Cancel(&gone);
  resolver_->Cancel(&gone);
  EXPECT_EQ(Ask("site.example").status, Status::kOk);
  EXPECT_EQ(dns_->queries("gone.example", false), 0);
  EXPECT_EQ(gone.times, 0);
  EXPECT_EQ(resolver_->Quiet(clock_.Boot(), seconds(9)), seconds(9));
}

TEST_F(CaresResolverTest, SoManyAtOnceAndTheOthersInTurn) {
  auto options = Options();
  options.most_at_once = 2;
  Make(options);
  TestDnsServer::Name slow = NameAt({"192.0.2.1"});
  slow.delay = milliseconds(20);
  HeardAnswer heard[7];
  std::vector<int> order;
  for (int i = 0; i < 7; ++i) {
    const std::string host = "n" + std::to_string(i) + ".example";
    dns_->Set(host, slow);
    heard[i].then = [&order, i] { order.push_back(i / 2); };
    resolver_->Resolve(host, &heard[i]);
  }
  // Of each name two questions are asked; those of two names are under way, and no more.
  RunUntil([&] { return dns_->queries() >= 4; });
  RunUntil([&] {
    const size_t asked = dns_->queries();
    EXPECT_LE(asked, 2 * (order.size() + 2));
    return order.size() == 7;
  });
  EXPECT_THAT(order, ElementsAre(0, 0, 1, 1, 2, 2, 3));
}

TEST_F(CaresResolverTest, ItMayEndWithLookupsOfEveryKind) {
  TestDnsServer::Name silent, half = NameAt({"192.0.2.1"}), tcp = NameAt({"192.0.2.1"});
  silent.silent4 = silent.silent6 = half.silent6 = tcp.truncated = true;
  dns_->Set("silent.example", silent);
  dns_->Set("half.example", half);
  dns_->Set("tcp.example", tcp);
  auto options = Options();
  options.most_at_once = 3;
  Make(options);
  HeardAnswer heard[5];
  const char* hosts[] = {"silent.example", "half.example", "tcp.example", "waits.example",
                         "silent.example"};
  for (int i = 0; i < 5; ++i) resolver_->Resolve(hosts[i], &heard[i]);
  RunUntil([&] { return dns_->queries() >= 6; });
  resolver_.reset();
  EXPECT_EQ(heard[0].times + heard[1].times + heard[3].times + heard[4].times, 0);
}

// While one lookup keeps a socket open.
TEST_F(CaresResolverTest, SourcePortsChange) {
  TestDnsServer::Name silent;
  silent.silent4 = silent.silent6 = true;
  dns_->Set("silent.example", silent);
  auto options = Options();
  options.first_try = options.longest = std::chrono::minutes(10);
  Make(options);
  HeardAnswer heard;
  resolver_->Resolve("silent.example", &heard);
  Ask("a.example");
  Ask("b.example");
  EXPECT_EQ(dns_->ports(), 1u);
  clock_.Push(seconds(31));
  Ask("c.example");
  EXPECT_EQ(dns_->ports(), 2u);
  // The first is still waited for, and ends in its time.
  clock_.Push(std::chrono::minutes(10));
  RunUntil([&] { return heard.times > 0; });
  EXPECT_EQ(heard.answer.status, Status::kTimeout);
}

TEST_F(CaresResolverTest, TenThousandNames) {
  constexpr int kNames = 10'000;
  cache_ = std::make_shared<DnsCache>(kNames);
  Make();
  for (int i = 0; i < kNames; ++i) {
    dns_->Set("n" + std::to_string(i) + ".example",
              NameAt({"10." + std::to_string(i / 250) + "." + std::to_string(i % 250) + ".1"}));
  }
  std::vector<HeardAnswer> heard(kNames);
  int told = 0;
  for (int i = 0; i < kNames; ++i) {
    heard[i].then = [&] { ++told; };
    resolver_->Resolve("n" + std::to_string(i) + ".example", &heard[i]);
  }
  RunUntil([&] { return told == kNames; });
  for (int i = 0; i < kNames; ++i) {
    EXPECT_EQ(heard[i].times, 1);
    EXPECT_THAT(AddressesOf(heard[i].answer),
                ElementsAre("10." + std::to_string(i / 250) + "." + std::to_string(i % 250) + ".1"))
        << heard[i].answer.error;
  }
  EXPECT_EQ(cache_->size(), static_cast<size_t>(kNames));
}

}  // namespace
}  // namespace jetmon::probe
