// Whose fault it is that a name has no address: the name's, its servers', the resolver's, ours.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include <chrono>
#include <memory>
#include <string>
#include <vector>

#include "probe/cares_resolver.h"
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

TestDnsServer::Name Silent(bool v4, bool v6) {
  TestDnsServer::Name name = NameAt({"192.0.2.1"}, {"2001:db8::1"});
  name.silent4 = v4;
  name.silent6 = v6;
  return name;
}

class ResolverFaultsTest : public ResolverTest {
 protected:
  // Times that a test can wait for.
  CaresResolver::Options Quick() {
    auto options = Options();
    options.first_try = milliseconds(100);
    options.longest = milliseconds(500);
    options.grace = milliseconds(150);
    return options;
  }
  void MakeQuick(const std::string& servers) {
    auto options = Quick();
    options.servers = servers;
    Make(options);
  }
  // Where nobody listens, while it lives.
  class NobodyThere {
   public:
    NobodyThere() {
      fd_ = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
      sockaddr_in in{};
      in.sin_family = AF_INET;
      in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
      socklen_t size = sizeof(in);
      EXPECT_EQ(bind(fd_, reinterpret_cast<sockaddr*>(&in), size), 0);
      EXPECT_EQ(getsockname(fd_, reinterpret_cast<sockaddr*>(&in), &size), 0);
      address_ = "127.0.0.1:" + std::to_string(ntohs(in.sin_port));
    }
    ~NobodyThere() { close(fd_); }
    const std::string& address() const { return address_; }

   private:
    int fd_;
    std::string address_;
  };
};

TEST_F(ResolverFaultsTest, ASilentResolverIsATimeoutAndIsAskedAgain) {
  dns_->Set("silent.example", Silent(true, true));
  Make(Quick());
  const DnsAnswer answer = Ask("silent.example");
  EXPECT_EQ(answer.status, Status::kTimeout);
  EXPECT_NE(answer.error, "");
  EXPECT_GE(took_, milliseconds(500));
  EXPECT_LT(took_, seconds(5));
  EXPECT_GE(dns_->queries("silent.example", false), 2);
  EXPECT_EQ(cache_->size(), 0u);
}

TEST_F(ResolverFaultsTest, ResolversThatDoNotKnowAreTheNamesFault) {
  for (const auto& [code, text] : {std::pair(2, "SERVFAIL"), std::pair(5, "REFUSED"),
                                   std::pair(4, "code 4"), std::pair(1, "code 1")}) {
    TestDnsServer::Name name;
    name.code = code;
    dns_->Set("site.example", name);
    const DnsAnswer answer = Ask("site.example");
    EXPECT_EQ(answer.status, Status::kFailed) << text;
    EXPECT_THAT(answer.error, HasSubstr(text));
    EXPECT_EQ(cache_->size(), 0u);
  }
}

TEST_F(ResolverFaultsTest, GarbageIsNoAnswer) {
  TestDnsServer::Name garbage;
  garbage.garbage = true;
  dns_->Set("garbage.example", garbage);
  Make(Quick());
  EXPECT_EQ(Ask("garbage.example").status, Status::kTimeout);
}

TEST_F(ResolverFaultsTest, AnEmptyDatagramChangesNothing) {
  TestDnsServer::Name name = NameAt({"192.0.2.1"});
  name.empty_first = true;
  dns_->Set("site.example", name);
  for (int i = 0; i < 20; ++i) {
    EXPECT_EQ(Ask("site.example").status, Status::kOk);
    clock_.Push(std::chrono::hours(1));
  }
}

TEST_F(ResolverFaultsTest, NoResolverIsOurFault) {
  const NobodyThere one, two;
  for (const std::string& servers : {one.address(), one.address() + "," + two.address()}) {
    MakeQuick(servers);
    const DnsAnswer answer = Ask("site.example");
    EXPECT_EQ(answer.status, Status::kLocal) << servers;
    EXPECT_THAT(answer.error, HasSubstr("no resolver"));
  }
  EXPECT_EQ(cache_->size(), 0u);
}

TEST_F(ResolverFaultsTest, TheNextResolverIsAsked) {
  dns_->Set("site.example", NameAt({"192.0.2.1"}));
  TestDnsServer::Name servfail;
  servfail.code = 2;
  dns_->Set("servfail.example", servfail);
  TestDnsServer silent, knows_nothing;
  silent.Set("site.example", Silent(true, true));
  knows_nothing.Set("site.example", servfail);
  const NobodyThere nobody;
  for (const std::string& first : {nobody.address(), silent.address(), knows_nothing.address()}) {
    cache_ = std::make_shared<DnsCache>(10);
    MakeQuick(first + "," + dns_->address());
    EXPECT_THAT(AddressesOf(Ask("site.example")), ElementsAre("192.0.2.1")) << first;
  }
  // Also when it knows of no address.
  dns_->Set("empty.example", NameAt({}));
  knows_nothing.Set("empty.example", servfail);
  MakeQuick(knows_nothing.address() + "," + dns_->address());
  const DnsAnswer empty = Ask("empty.example");
  EXPECT_EQ(empty.status, Status::kNoName);
  EXPECT_EQ(empty.error, "the name has no address");
  // Of two of which one is not there, the other's word counts.
  for (const std::string& servers :
       {nobody.address() + "," + dns_->address(), dns_->address() + "," + nobody.address()}) {
    MakeQuick(servers);
    EXPECT_EQ(Ask("servfail.example").status, Status::kFailed) << servers;
  }
}

// Others get their answers while these wait; then the resolver is restarted.
TEST_F(ResolverFaultsTest, AResolverThatDiesIsNoNamesFault) {
  TestDnsServer::Name slow = NameAt({"192.0.2.1"});
  slow.delay = seconds(60);
  TestDnsServer::Name half = slow;
  half.delay = milliseconds(0);
  half.silent4 = true;
  half.v6.clear();
  auto options = Quick();
  options.longest = seconds(20);
  Make(options);
  HeardAnswer heard[20], half_heard;
  int told = 0;
  for (int i = 0; i < 20; ++i) {
    const std::string host = "n" + std::to_string(i) + ".example";
    dns_->Set(host, slow);
    heard[i].then = [&] { ++told; };
    resolver_->Resolve(host, &heard[i]);
  }
  // This one's servers have said that it has no IPv6 address, and nothing of IPv4.
  dns_->Set("half.example", half);
  half_heard.then = [&] { ++told; };
  resolver_->Resolve("half.example", &half_heard);
  RunUntil([&] { return dns_->queries("half.example", true) > 0; });
  dns_->Set("site.example", NameAt({"192.0.2.1"}));
  EXPECT_EQ(Ask("site.example").status, Status::kOk);
  EXPECT_EQ(told, 0);
  dns_.reset();
  RunUntil([&] { return told == 21; });
  for (const HeardAnswer& h : heard) EXPECT_EQ(h.answer.status, Status::kLocal) << h.answer.error;
  EXPECT_EQ(half_heard.answer.status, Status::kLocal) << half_heard.answer.error;
}

TEST_F(ResolverFaultsTest, NoDescriptorIsOurFault) {
  // Before, too: what is asked for the first time needs a descriptor under UBSan.
  EXPECT_EQ(Ask("before.example").status, Status::kNoName);
  rlimit before{};
  ASSERT_EQ(getrlimit(RLIMIT_NOFILE, &before), 0);
  rlimit none = before;
  none.rlim_cur = 3;
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &none), 0);
  const DnsAnswer answer = Ask("site.example");
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &before), 0);
  EXPECT_EQ(answer.status, Status::kLocal) << answer.error;
  EXPECT_EQ(Ask("site.example").status, Status::kNoName);
}

// With the times of production: one lost packet costs a second, and no address.
TEST_F(ResolverFaultsTest, ALostPacketCostsNoAddress) {
  TestDnsServer::Name lost = NameAt({"192.0.2.1"}, {"2001:db8::1"});
  lost.lost4 = 1;
  dns_->Set("four.example", lost);
  lost.lost4 = 0;
  lost.lost6 = 1;
  dns_->Set("six.example", lost);
  HeardAnswer four, six;
  resolver_->Resolve("four.example", &four);
  resolver_->Resolve("six.example", &six);
  RunUntil([&] { return four.times > 0 && six.times > 0; });
  for (const HeardAnswer* heard : {&four, &six}) {
    EXPECT_THAT(AddressesOf(heard->answer), ElementsAre("192.0.2.1", "2001:db8::1"));
  }
  EXPECT_TRUE(Ask("four.example").cached);
}

// What a family that fails leaves is used, and kept no longer than a check takes.
TEST_F(ResolverFaultsTest, OneFamilyThatFails) {
  TestDnsServer::Name servfail6 = NameAt({"192.0.2.1"}, {"2001:db8::1"});
  servfail6.code6 = 2;
  dns_->Set("silent4.example", Silent(true, false));
  dns_->Set("silent6.example", Silent(false, true));
  dns_->Set("servfail6.example", servfail6);
  Make(Quick());
  for (const auto& [host, address] :
       {std::pair("silent4.example", "2001:db8::1"), std::pair("silent6.example", "192.0.2.1"),
        std::pair("servfail6.example", "192.0.2.1")}) {
    const DnsAnswer answer = Ask(host);
    EXPECT_EQ(answer.status, Status::kOk) << host;
    EXPECT_THAT(AddressesOf(answer), ElementsAre(address));
    EXPECT_LT(took_, milliseconds(450)) << host;
    clock_.Push(seconds(4));
    EXPECT_TRUE(Ask(host).cached) << host;
    clock_.Push(seconds(2));
    EXPECT_FALSE(Ask(host).cached) << host;
  }
}

// No address in one family, and no answer for the other: that one's failure counts, and the answer
// that there is does not make it one for the cache.
TEST_F(ResolverFaultsTest, NoAddressAndNoAnswer) {
  TestDnsServer::Name no6 = Silent(true, false), no4 = Silent(false, true), servfail = NameAt({});
  no6.v6.clear();
  no4.v4.clear();
  servfail.code = 2;
  servfail.code6 = 3;
  dns_->Set("no6.example", no6);
  dns_->Set("no4.example", no4);
  dns_->Set("servfail.example", servfail);
  Make(Quick());
  EXPECT_EQ(Ask("no6.example").status, Status::kTimeout);
  EXPECT_EQ(Ask("no4.example").status, Status::kTimeout);
  EXPECT_EQ(Ask("servfail.example").status, Status::kNoName);
  EXPECT_EQ(cache_->size(), 0u);
}

// A provider of many names falls silent: each of these lookups lasts its five seconds, and the
// others do not wait for them.
TEST_F(ResolverFaultsTest, ManySilentNamesDoNotKeepTheOthersWaiting) {
  constexpr int kSilent = 3000;
  std::vector<HeardAnswer> heard(kSilent);
  int told = 0;
  for (int i = 0; i < kSilent; ++i) {
    const std::string host = "n" + std::to_string(i) + ".example";
    dns_->Set(host, Silent(true, true));
    heard[i].then = [&] { ++told; };
    resolver_->Resolve(host, &heard[i]);
  }
  dns_->Set("site.example", NameAt({"192.0.2.1"}));
  EXPECT_EQ(Ask("site.example").status, Status::kOk);
  EXPECT_EQ(told, 0);
  RunUntil([&] { return told == kSilent; });
  for (const HeardAnswer& h : heard) EXPECT_EQ(h.answer.status, Status::kTimeout);
}

}  // namespace
}  // namespace jetmon::probe
