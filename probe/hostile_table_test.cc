// Every hostile and broken server of the table, in every mode: the verdict that is written down, in
// time.
#include "probe/hostile_table.h"

#include <gtest/gtest.h>

#include <chrono>
#include <set>
#include <string>
#include <vector>

#include "probe/engine.h"
#include "probe/hostile_case.h"
#include "probe/hostile_server.h"

namespace jetmon::probe {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

// What stalls is given this long; the rest has to end long before its time.
constexpr milliseconds kStalled{800};
constexpr seconds kPlenty{30};
constexpr seconds kSlack{5};

CheckRequest RequestOf(const Behaviour& behaviour, const std::string& url, const char* mode) {
  CheckRequest request = MakeRequest(behaviour.https ? "https" + url.substr(4) : url, mode);
  request.timeout = behaviour.stalls ? kStalled : kPlenty;
  request.full = behaviour.rules;
  return request;
}

void ExpectEnded(const Behaviour& behaviour, const char* mode, const Said& said,
                 const Ended& ended) {
  const CheckResult& r = ended.result;
  const std::string what = behaviour.name + ", " + mode + ": " + r.detail;
  EXPECT_EQ(SaidBy(r), said) << what;
  EXPECT_LT(ended.took, (behaviour.stalls ? kStalled : milliseconds(0)) + kSlack) << what;
  if (said.error_code == ErrorCode::kTimeout) {
    EXPECT_GE(ended.took, kStalled) << what;
  }
  EXPECT_LE(r.detail.size(), 200u);
  for (const unsigned char c : r.detail) EXPECT_TRUE(c >= ' ' && c <= '~') << what;
}

void ExpectAll(const std::vector<Behaviour>& behaviours) {
  std::vector<Script> scripts;
  for (const Behaviour& b : behaviours) scripts.push_back(b.script);
  HostileServer server(std::move(scripts));
  const auto engine = MakeEngine();
  const size_t descriptors = OpenDescriptors();
  std::vector<CheckRequest> requests;
  for (size_t i = 0; i < behaviours.size(); ++i) {
    for (const char* mode : kModes) {
      requests.push_back(RequestOf(behaviours[i], server.Url(i), mode));
    }
  }
  const std::vector<Ended> ended = RunAll(*engine, requests);
  for (size_t i = 0; i < ended.size(); ++i) {
    const Behaviour& b = behaviours[i / kModes.size()];
    const size_t mode = i % kModes.size();
    ExpectEnded(b, kModes[mode], b.verdicts[mode], ended[i]);
  }
  EXPECT_LE(AwaitDescriptors(descriptors), descriptors);
}

TEST(HostileTableTest, HangingServers) { ExpectAll(HangingServers()); }
TEST(HostileTableTest, OddAnswers) { ExpectAll(OddAnswers()); }
TEST(HostileTableTest, OddBodies) { ExpectAll(OddBodies()); }

TEST(HostileTableTest, NamesAreUnique) {
  std::set<std::string> names;
  for (const Behaviour& b : AllBehaviours()) EXPECT_TRUE(names.insert(b.name).second) << b.name;
  EXPECT_GE(names.size(), 150u);
}

TEST(HostileTableTest, AQueueThatNobodyEmpties) {
  const FullBacklog full;
  const auto engine = MakeEngine();
  std::vector<CheckRequest> requests;
  for (const char* mode : kModes) {
    requests.push_back(MakeRequest("http://127.0.0.1:" + std::to_string(full.port()) + "/", mode));
    requests.back().timeout = kStalled;
  }
  for (const Ended& ended : RunAll(*engine, requests)) {
    EXPECT_EQ(SaidBy(ended.result), TimedOut());
    EXPECT_EQ(ended.result.detail, "timeout in connect");
    EXPECT_LT(ended.took, kStalled + kSlack);
  }
}

// The kernel takes the connection and the request, the server never accepts.
TEST(HostileTableTest, AServerThatNeverAccepts) {
  const Tripwire asleep("127.0.0.1");
  const auto engine = MakeEngine();
  std::vector<CheckRequest> requests;
  for (const char* mode : kModes) {
    requests.push_back(MakeRequest("http://127.0.0.1:" + std::to_string(asleep.port()), mode));
    requests.back().timeout = kStalled;
  }
  for (const Ended& ended : RunAll(*engine, requests)) {
    EXPECT_EQ(SaidBy(ended.result), TimedOut());
    EXPECT_LT(ended.took, kStalled + kSlack);
  }
  EXPECT_TRUE(asleep.Touched());
}

}  // namespace
}  // namespace jetmon::probe
