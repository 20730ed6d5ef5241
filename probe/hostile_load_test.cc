// Five thousand checks of all kinds of servers at once: each ends as it would alone.
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <random>
#include <string>
#include <vector>

#include "probe/engine.h"
#include "probe/hostile_case.h"
#include "probe/hostile_server.h"
#include "probe/hostile_table.h"
#include "probe/test_dns_server.h"
#include "probe/test_tls_server.h"

namespace jetmon::probe {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr size_t kChecks = 5000;
constexpr int kConcurrency = 1000;
// Long enough that a busy machine ends what ends by itself.
constexpr milliseconds kStalled{kAsan ? 8000 : 3000};
constexpr seconds kPlenty{60}, kSlack{20};

struct Case {
  std::string name, url;
  Verdicts verdicts;
  std::shared_ptr<const FullRules> rules;
  bool stalls = false;
};

class HostileLoadTest : public testing::Test {
 protected:
  static void AnswerOk(TestTlsServer::Connection& c, const std::string&) {
    c.Send(Ok("Content-Length: 2\r\n") + "ok");
  }
  static TestIdentity Expired(const TestIdentity& root) {
    TestCertificate wanted;
    wanted.from_s = -20 * 86'400;
    wanted.until_s = -10 * 86'400;
    return Issue(root, wanted);
  }
  static std::vector<Script> Scripts(const std::vector<Behaviour>& behaviours) {
    std::vector<Script> scripts;
    for (const Behaviour& b : behaviours) scripts.push_back(b.script);
    return scripts;
  }

  std::vector<Case> Cases() {
    std::vector<Case> cases;
    for (size_t i = 0; i < behaviours_.size(); ++i) {
      const Behaviour& b = behaviours_[i];
      const std::string url = server_.Url(i);
      cases.push_back(
          {b.name, b.https ? "https" + url.substr(4) : url, b.verdicts, b.rules, b.stalls});
    }
    const std::string port = std::to_string(good_.port());
    dns_.Set("site.example", At("127.0.0.1"));
    dns_.Set("inside.example", At("10.0.0.1"));
    TestDnsServer::Name servfail, silent;
    servfail.code = 2;
    silent.silent4 = silent.silent6 = true;
    dns_.Set("servfail.example", servfail);
    dns_.Set("silent.example", silent);
    const auto add = [&](std::string url, const Verdicts& verdicts, bool stalls = false) {
      cases.push_back({url, url, verdicts, nullptr, stalls});
    };
    const Verdicts bad = ByProfile(Up(200), BadTls(), BadTls());
    add(good_.Url("/"), Always(Up(200)));
    add(self_signed_.Url("/"), bad);
    const Said expired = BadTls(ErrorCode::kCertificateExpired);
    add(expired_.Url("/"), ByProfile(Up(200), expired, expired));
    add("https://site.example:" + port + "/", bad);  // for an address
    add("http://none.example:" + port + "/", Always(NoAnswer()));
    add("http://servfail.example:" + port + "/", Always(NoAnswer()));
    add("http://inside.example:" + port + "/", Always(Unsafe()));
    add("http://localhost:" + port + "/", Always(Unsafe()));
    add("http://silent.example:" + port + "/", Always(TimedOut()), true);
    return cases;
  }
  static TestDnsServer::Name At(const std::string& address) {
    TestDnsServer::Name name;
    name.v4 = {address};
    return name;
  }

  const std::vector<Behaviour> behaviours_ = AllBehaviours();
  HostileServer server_{Scripts(behaviours_)};
  TestDnsServer dns_;
  const TestIdentity root_ = MakeCa("Test Root");
  TestTlsServer good_{Issue(root_, {}), AnswerOk};
  TestTlsServer self_signed_{MakeSelfSigned({}), AnswerOk};
  TestTlsServer expired_{Expired(root_), AnswerOk};
};

TEST_F(HostileLoadTest, EachEndsAsItWouldAlone) {
  const std::vector<Case> cases = Cases();
  Engine::Options options = LabOptions();
  options.max_concurrent = kConcurrency;
  options.ca_file = WriteCertificate(root_, "root.pem");
  options.resolvers = dns_.address();
  const auto engine = MakeEngine(options);
  const size_t descriptors = OpenDescriptors();

  std::vector<CheckRequest> requests;
  for (size_t i = 0; i < kChecks; ++i) {
    const Case& c = cases[i % cases.size()];
    CheckRequest request = MakeRequest(c.url, kModes[i / cases.size() % kModes.size()]);
    request.site_id = i;
    request.timeout = c.stalls ? kStalled : kPlenty;
    request.full = c.rules;
    requests.push_back(std::move(request));
  }
  std::shuffle(requests.begin(), requests.end(), std::mt19937(1));

  std::vector<int> ended(kChecks);
  CheckAllOptions all;
  all.concurrency = kConcurrency;
  const PeakMemory memory;
  const auto take = [&](const CheckResult& r) {
    ++ended[r.site_id];
    const Case& c = cases[r.site_id % cases.size()];
    const size_t mode = r.site_id / cases.size() % kModes.size();
    EXPECT_EQ(SaidBy(r), c.verdicts[mode]) << c.name << ", " << kModes[mode] << ": " << r.detail;
    const milliseconds most = (c.stalls ? kStalled : milliseconds(0)) + kSlack;
    EXPECT_LT(r.timings.total_us, std::chrono::microseconds(most).count()) << c.name;
  };
  EXPECT_TRUE(CheckAll(*engine, std::move(requests), take, all).ok());
  EXPECT_EQ(std::count(ended.begin(), ended.end(), 1), static_cast<int64_t>(kChecks));
  EXPECT_EQ(engine->GetStats().in_flight, 0);
  EXPECT_EQ(engine->GetStats().queued, 0);
  EXPECT_LT(memory.growth(), int64_t{kAsan ? 1000 : 300} << 20);
  // The resolver keeps two sockets to its server for a while.
  EXPECT_LE(AwaitDescriptors(descriptors + 2), descriptors + 2);
}

}  // namespace
}  // namespace jetmon::probe
