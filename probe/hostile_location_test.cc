// What a Location may do to the next request, and where it may not lead. What must not be reached
// listens at the same port as the server that may be, so that a connect to it would be seen.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <memory>
#include <string>
#include <vector>

#include "probe/engine.h"
#include "probe/hostile_case.h"
#include "probe/hostile_table.h"
#include "probe/test_dns_server.h"
#include "probe/test_server.h"
#include "probe/test_tls_server.h"

namespace jetmon::probe {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using testing::ElementsAre;

constexpr seconds kSlack{5};

std::string Redirect(const std::string& location) {
  return "HTTP/1.1 302 Found\r\nLocation: " + location + "\r\nContent-Length: 0\r\n\r\n";
}

Said AfterRedirect(Said said) {
  said.http_code = 302;
  return said;
}

class HostileLocationTest : public testing::Test {
 protected:
  HostileLocationTest() {
    Engine::Options options;
    options.safety = *TargetSafety::FromFlags("public_only", "127.0.0.1");
    options.resolvers = dns_.address();
    engine_ = MakeEngine(options);
  }
  std::string Port() const { return std::to_string(server_.port()); }
  std::vector<Ended> Run(const std::string& url, milliseconds timeout = seconds(30)) {
    return RunAll(*engine_, InAllModes(url, timeout));
  }
  void Expect(const std::string& what, const std::string& url, const Verdicts& verdicts) {
    const std::vector<Ended> ended = Run(url);
    ExpectSaid(what, ended, verdicts, kSlack);
    for (const Ended& one : ended) {
      for (const std::string& to : one.result.redirects) {
        for (const unsigned char c : to) EXPECT_TRUE(c >= ' ' && c <= '~') << what;
      }
    }
  }
  void ExpectRedirect(const std::string& location, const Verdicts& verdicts) {
    location_ = location;
    Expect(location, server_.Url("/from"), verdicts);
  }
  void ExpectUntouched() const {
    for (const Tripwire* inside : {&inside4_, &inside6_}) EXPECT_FALSE(inside->Touched());
  }

  TestDnsServer dns_;
  // /from redirects; /chain/N does so N times, and /loop without an end; the rest is there.
  TestServer server_{[this](TestServer::Connection& c, const std::string& request) {
                       const std::string path = request.substr(request.find('/'));
                       if (path.starts_with("/from ")) return (void)c.Send(Redirect(location_));
                       if (path.starts_with("/loop")) return (void)c.Send(Redirect("/loop"));
                       if (path.starts_with("/chain/")) {
                         const int left = std::stoi(path.substr(7));
                         if (left > 0) {
                           return (void)c.Send(Redirect("/chain/" + std::to_string(left - 1)));
                         }
                       }
                       c.Send(Ok("Content-Length: 2\r\n") + "ok");
                     },
                     10};
  Tripwire inside4_{"127.0.0.2", server_.port()};
  Tripwire inside6_{"::1", server_.port()};
  std::unique_ptr<Engine> engine_;
  std::string location_;  // set between checks only
};

// The target of the request that follows "/a<byte>X: 1".
std::string TargetWith(unsigned char byte) {
  if (byte == '\r' || byte == '\0' || byte == '\n') return "/a";
  if (byte == '\t') return "/aX:%201";
  static constexpr char kHex[] = "0123456789ABCDEF";
  return std::string("/a%") + kHex[byte >> 4] + kHex[byte & 15] + "X:%201";
}

TEST_F(HostileLocationTest, NoByteOfItBecomesAHeader) {
  for (int byte = 0; byte < 256; ++byte) {
    if (byte > ' ' && byte < 0x7f) continue;
    TestServer server([&](TestServer::Connection& c, const std::string& request) {
      if (!request.starts_with("GET /from ")) return (void)c.Send(Ok("Content-Length: 0\r\n"));
      c.Send(Redirect("/a" + std::string(1, static_cast<char>(byte)) + "X: 1"));
    });
    const CheckResult r = RunCheck(*engine_, MakeRequest(server.Url("/from"), "get-simple"));
    EXPECT_EQ(SaidBy(r), Up(200)) << byte << r.detail;
    const std::string rest = " HTTP/1.1\r\nHost: 127.0.0.1:" + std::to_string(server.port()) +
                             "\r\nUser-Agent: " + std::string(kUserAgentV2) +
                             "\r\nAccept: */*\r\nConnection: close\r\n\r\n";
    const std::string target = TargetWith(static_cast<unsigned char>(byte));
    EXPECT_THAT(server.requests(), ElementsAre("GET /from" + rest, "GET " + target + rest)) << byte;
  }
}

// What stands in the host's place names another host, or none; it never splits it.
TEST_F(HostileLocationTest, NoByteOfItBecomesAnotherHost) {
  for (int byte = 0; byte < 256; ++byte) {
    if (byte > ' ' && byte < 0x7f) continue;
    const std::string c(1, static_cast<char>(byte));
    for (const std::string& host : {"127.0.0.1" + c + "127.0.0.2", "127.0.0.1" + c + "@127.0.0.2",
                                    "127.0.0.2" + c, "127.0.0.1" + c + ".127.0.0.2"}) {
      location_ = "http://" + host + ":" + Port() + "/";
      const CheckResult r = RunCheck(*engine_, MakeRequest(server_.Url("/from"), "get-simple"));
      EXPECT_NE(r.outcome, Outcome::kUp) << byte << " in " << host;
    }
  }
  ExpectUntouched();
}

TEST_F(HostileLocationTest, EveryWayToWriteAnAddressInside) {
  for (const char* host : {"127.0.0.2",
                           "127.0.0.2.",
                           "127.0.0.2..",
                           "0177.0.0.2",
                           "0177.0.0.02",
                           "127.0.0.02",
                           "00000177.0.0.2",
                           "017700000002",
                           "2130706434",
                           "2130706434.",
                           "4294967298",
                           "0x7f000002",
                           "0X7F000002",
                           "0x7f.0.0.2",
                           "0x7f.0x0.0x0.0x2",
                           "127.0.0.0x2",
                           "0x7f.2",
                           "127.2",
                           "127.0.2",
                           "0177.2",
                           "0",
                           "0.0.0.0",
                           "127.1",
                           "256.256.256.256",
                           "999",
                           "1.2.3.4.5",
                           "[::1]",
                           "[0:0:0:0:0:0:0:1]",
                           "[0000::0001]",
                           "[::]",
                           "[::ffff:127.0.0.2]",
                           "[::ffff:7f00:2]",
                           "[::FFFF:7F00:2]",
                           "[::127.0.0.2]",
                           "[::7f00:2]",
                           "[64:ff9b::7f00:2]",
                           "[64:ff9b::127.0.0.2]",
                           "[64:ff9b:1::7f00:2]",
                           "[2002:7f00:2::]",
                           "[2001:0:7f00:2::]",
                           "[fe80::1]",
                           "[fd00::1]",
                           "localhost",
                           "LOCALHOST",
                           "localhost.",
                           "localhost..",
                           "www.localhost",
                           "a.local",
                           "b.internal",
                           "localhost.localdomain",
                           "ip6-localhost",
                           "user@127.0.0.1",
                           "user:pass@127.0.0.1",
                           "@127.0.0.1",
                           ":@127.0.0.1",
                           "127.0.0.1@127.0.0.2",
                           "127.0.0.1:80@127.0.0.2"}) {
    for (const char* scheme : {"http://", "HTTPS://", "//"}) {
      ExpectRedirect(scheme + std::string(host) + ":" + Port() + "/",
                     Always(AfterRedirect(Unsafe())));
    }
  }
  ExpectUntouched();
}

TEST_F(HostileLocationTest, OtherSchemes) {
  const std::string inside = "127.0.0.2:" + Port();
  for (const std::string& location : std::vector<std::string>{
           std::string("file:///etc/passwd"), "gopher://" + inside + "/_GET%20/", "ftp://" + inside,
           "dict://" + inside + "/x", "ldap://" + inside, "ws://" + inside + "/", "unix:/run/x",
           std::string("javascript:alert(1)"), std::string("data:text/html,x"),
           std::string("mailto:a@b"), std::string("about:blank"), "view-source:http://" + inside,
           "jar:http://" + inside + "!/", "httpx://" + inside, "http+unix://" + inside,
           "localhost:" + Port(), "h2c://" + inside}) {
    ExpectRedirect(location, Always(AfterRedirect(Unsafe())));
  }
  ExpectUntouched();
}

TEST_F(HostileLocationTest, Nowhere) {
  const Verdicts nowhere = ByProfile(Up(302), BadRedirect(302), BadRedirect(302));
  const std::string inside = "127.0.0.2:" + Port();
  for (const std::string& location :
       std::vector<std::string>{std::string("http://"),
                                "http:///" + inside,
                                "http:/" + inside,
                                "http:" + inside,
                                "http:\\\\" + inside,
                                "///" + inside,
                                "http://127.0.0.1\\@" + inside,
                                "http://127.0.0.1:" + Port() + "\\@" + inside,
                                "http://[::1",
                                "http://[::1]x/",
                                "http://[fe80::1%25lo]/",
                                "http://[127.0.0.1]/",
                                "http://[v1.x]/",
                                "http://::1/",
                                "http://127.0.0.%32/",
                                "http://127.0.0.1:0/",
                                "http://127.0.0.1:65536/",
                                "http://127.0.0.1:-1/",
                                "http://127.0.0.1: 80/",
                                "http://127.0.0.1:80:80/",
                                "http://a b/",
                                "http://a\"b/",
                                "http://" + std::string(300, 'a') + "/",
                                "/" + std::string(2048, 'a'),
                                std::string("http://.")}) {
    ExpectRedirect(location, nowhere);
  }
  ExpectUntouched();
}

// What browsers would take for another host is a path for us, at the same one.
TEST_F(HostileLocationTest, PathsThatLookLikeHosts) {
  const std::string inside = "127.0.0.2:" + Port();
  for (const std::string& location : std::vector<std::string>{
           "/\\" + inside, "\\\\" + inside, "\\/" + inside, "/./" + inside, "/..//" + inside,
           "?http://" + inside, "#//" + inside, "./" + inside + "/", "/from@" + inside}) {
    ExpectRedirect(location, location.starts_with("#")
                                 ? ByProfile(Up(302), BadRedirect(302), BadRedirect(302))
                                 : Always(Up(200)));
  }
  ExpectUntouched();
}

TEST_F(HostileLocationTest, NamesThatLookLikeNumbersAreNames) {
  // Full-width digits and dots, which some programs read as 127.0.0.2.
  for (const char* host : {"127\xe3\x80\x82"
                           "0\xe3\x80\x82"
                           "0\xe3\x80\x82"
                           "2x",
                           "\xef\xbc\x91\xef\xbc\x92\xef\xbc\x97.0.0.\xef\xbc\x92",
                           "\xe2\x91\xa0\xe2\x91\xa1\xe2\x91\xa6.0.0.x", "127.0.0.2x", "x127"}) {
    ExpectRedirect("http://" + std::string(host) + ":" + Port() + "/",
                   Always(AfterRedirect(NoAnswer())));
  }
  ExpectUntouched();
}

TEST_F(HostileLocationTest, ChainsAndLoops) {
  for (int n = 0; n <= 12; ++n) {
    const Said simple = n <= 10 ? Up(200) : BadRedirect(302);
    Expect("chain of " + std::to_string(n), server_.Url("/chain/" + std::to_string(n)),
           ByProfile(n <= 2 ? Up(200) : Up(302), simple, simple));
  }
  Expect("loop", server_.Url("/loop"), ByProfile(Up(302), BadRedirect(302), BadRedirect(302)));
  // Two servers that send it to one another.
  std::string there;
  TestServer other([&](TestServer::Connection& c, const std::string&) { c.Send(Redirect(there)); },
                   10);
  there = server_.Url("/from");
  ExpectRedirect(other.Url("/"), ByProfile(Up(302), BadRedirect(302), BadRedirect(302)));
  EXPECT_EQ(other.connections(), 2 * 1 + 3 * 5);
}

TEST_F(HostileLocationTest, SlowHopsTogetherPassTheDeadline) {
  constexpr milliseconds kHop{300}, kTimeout{700};
  HostileServer slow({{ReadRequest(), Pause(kHop), Send(Redirect("/"))}});
  for (const Ended& ended : Run(slow.Url(0), kTimeout)) {
    EXPECT_EQ(SaidBy(ended.result), AfterRedirect(TimedOut())) << ended.result.detail;
    EXPECT_EQ(ended.result.redirects.size(), 2u);
    EXPECT_GE(ended.took, kTimeout);
    EXPECT_LT(ended.took, kTimeout + kSlack);
  }
}

// However the next hop ends, the code is that of the last answer.
TEST_F(HostileLocationTest, WhatTheNextHopComesTo) {
  HostileServer broken({{ReadRequest()},
                        {ReadRequest(), Reset()},
                        {ReadRequest(), Send("SSH-2.0-x\r\n")},
                        {Send("HTTP/1.1 500 X\r\n\r\n")}});
  TestTlsServer self_signed(MakeSelfSigned({}), [](TestTlsServer::Connection& c, const auto&) {
    c.Send(Ok("Content-Length: 0\r\n"));
  });
  ExpectRedirect(broken.Url(3), Always(ByCode(500, "server")));
  ExpectRedirect("http://none.example/", Always(AfterRedirect(NoAnswer())));
  ExpectRedirect("http://127.0.0.1:" + std::to_string(UnusedPort()),
                 Always(AfterRedirect(NoAnswer())));
  const Said bad = AfterRedirect(BadTls());
  ExpectRedirect(self_signed.Url("/"), ByProfile(Up(200), bad, bad));
  ExpectRedirect("https://127.0.0.1:" + std::to_string(broken.port(3)), Always(bad));
  ExpectRedirect(broken.Url(0), Always(AfterRedirect(NoAnswer())));
  ExpectRedirect(broken.Url(1), Always(AfterRedirect(NoAnswer())));
  ExpectRedirect(broken.Url(2), Always(AfterRedirect(NoAnswer())));
}

}  // namespace
}  // namespace jetmon::probe
