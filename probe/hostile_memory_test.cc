// What floods cost: memory of ours, and how much a server gets rid of before we hang up.
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <string>
#include <vector>

#include "probe/engine.h"
#include "probe/hostile_case.h"
#include "probe/hostile_server.h"
#include "probe/hostile_table.h"
#include "probe/test_tls_server.h"

namespace jetmon::probe {
namespace {

constexpr int kAtOnce = 10;
constexpr int64_t kMiB = int64_t{1} << 20;
constexpr int64_t kGiB = int64_t{1} << 30;
// What is read before the bound is seen, and what the sockets' buffers hold: the system lets a
// loopback connection have 6 MiB to receive and 4 to send.
constexpr int64_t kMostSent = 12 * kMiB;
// Of one check: two lines of 64 KiB, or zlib's window and what is searched.
constexpr int64_t kMostKept = kMiB / 2;
// ASan keeps what was freed.
constexpr int64_t kOverhead = kAsan ? 400 * kMiB : 16 * kMiB;

void ExpectBounded(const Behaviour& behaviour) {
  HostileServer server({behaviour.script});
  const auto engine = MakeEngine();
  std::vector<CheckRequest> requests;
  for (int i = 0; i < kAtOnce; ++i) {
    for (const char* mode : kModes) {
      requests.push_back(MakeRequest(server.Url(0), mode));
      requests.back().full = behaviour.rules;
    }
  }
  const PeakMemory memory;
  const std::vector<Ended> ended = RunAll(*engine, requests);
  const int64_t grown = memory.growth();
  for (size_t i = 0; i < ended.size(); ++i) {
    const size_t mode = i % kModes.size();
    EXPECT_EQ(SaidBy(ended[i].result), behaviour.verdicts[mode])
        << behaviour.name << ", " << kModes[mode] << ": " << ended[i].result.detail;
  }
  const int64_t checks = static_cast<int64_t>(requests.size());
  EXPECT_LT(grown, checks * kMostKept + kOverhead) << behaviour.name;
  EXPECT_LT(server.bytes_sent(0), server.connections(0) * kMostSent) << behaviour.name;
}

TEST(HostileMemoryTest, Floods) {
  int floods = 0;
  for (const Behaviour& b : AllBehaviours()) {
    const auto is_flood = [](const Step& s) { return s.kind == Step::Kind::kFlood; };
    if (b.https || std::none_of(b.script.begin(), b.script.end(), is_flood)) continue;
    ++floods;
    ExpectBounded(b);
  }
  EXPECT_GE(floods, 19);
}

// A gigabyte in one megabyte; the second keyword makes get-full search as far as it ever does.
TEST(HostileMemoryTest, GzipBombs) {
  const std::string answer = Ok("Content-Encoding: gzip\r\n") + GzipBomb(kGiB);
  EXPECT_LT(answer.size(), size_t{2} << 20);
  Behaviour bomb;
  bomb.script = {ReadRequest(), Send(answer)};
  bomb.name = "a bomb";
  bomb.verdicts = Always(Up(200));
  ExpectBounded(bomb);
  bomb.name = "a bomb, and a keyword";
  bomb.verdicts = ByBody(Up(200), NoKeyword());
  bomb.rules = Keyword("needle");
  ExpectBounded(bomb);
  bomb.name = "a bomb, and a forbidden keyword";
  bomb.verdicts = Always(Up(200));
  bomb.rules = ForbiddenKeyword("needle");
  ExpectBounded(bomb);
}

// The same behind TLS, in its largest records.
TEST(HostileMemoryTest, AGigabyteOverTls) {
  const TestIdentity root = MakeCa("Test Root");
  std::atomic<int64_t> sent{0};
  TestTlsServer::Options tls;
  tls.workers = kAtOnce;
  TestTlsServer server(
      Issue(root, {}),
      [&](TestTlsServer::Connection& c, const std::string&) {
        const std::string piece(16 * 1024, 'x');
        c.Send(Ok("Content-Length: " + std::to_string(kGiB) + "\r\n"));
        for (int64_t n = 0; n < kGiB && c.Send(piece); n += 16 * 1024) sent += 16 * 1024;
      },
      tls);
  Engine::Options options = LabOptions();
  options.ca_file = WriteCertificate(root, "root.pem");
  const auto engine = MakeEngine(options);
  std::vector<CheckRequest> requests;
  for (int i = 0; i < kAtOnce; ++i) {
    for (const char* mode : kModes) requests.push_back(MakeRequest(server.Url("/"), mode));
  }
  const PeakMemory memory;
  for (const Ended& ended : RunAll(*engine, requests)) {
    EXPECT_EQ(SaidBy(ended.result), Up(200)) << ended.result.detail;
  }
  EXPECT_LT(memory.growth(), static_cast<int64_t>(requests.size()) * kMostKept + kOverhead);
  EXPECT_LT(sent, server.connections() * kMostSent);
  EXPECT_GT(sent, 0);
}

}  // namespace
}  // namespace jetmon::probe
