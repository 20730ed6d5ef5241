// The process is killed at every commit of every operation (test_fault_scenarios.h: how to add
// one). For each scenario three processes of this program work on one SQLite file: one that makes
// what was before, one that is killed at the point, one that starts after it and makes the request
// again. The state between must be a documented one, and the state at the end that of a run that
// nobody disturbed.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <filesystem>
#include <fstream>
#include <mutex>
#include <set>
#include <sstream>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "controlplane/rollout/commits.h"
#include "controlplane/rollout/test_fault_scenarios.h"
#include "controlplane/rollout/test_invariants.h"
#include "probe/test_server.h"

extern char** environ;

namespace jetmon::rollout {
namespace {

namespace fs = std::filesystem;

constexpr char kChild[] = "--fault-child";
constexpr int kAtOnce = 4;
// Commits that come as often as there is time for: a run may end before the n-th of them, n > 1.
// Whoever is killed at every other point is so in the first run.
constexpr std::string_view kAsOftenAsThereIsTime[] = {
    commits::kSweep, commits::kShowLife, commits::kActivateLook, commits::kReleaseLook};

const FaultScenario& ScenarioOf(const std::string& name) {
  for (const FaultScenario& s : FaultScenarios()) {
    if (s.name == name) return s;
  }
  ADD_FAILURE() << "no scenario " << name;
  return FaultScenarios()[0];
}

std::string ReadAll(const fs::path& path) {
  std::ifstream file(path);
  std::stringstream text;
  text << file.rdbuf();
  return text.str();
}

void ExpectDocumented(FaultWorld& w) {
  EXPECT_EQ(absl::StrJoin(Violations(w.rollout().db()), "\n"), "");
}

// The request to its end and what follows from it; then the state.
void Complete(const FaultScenario& scenario, FaultWorld& w, const fs::path& folder) {
  const absl::Status done = scenario.request(w);
  EXPECT_TRUE(done.ok()) << done;
  const absl::Status settled = w.Settle();
  EXPECT_TRUE(settled.ok()) << settled;
  ExpectDocumented(w);
  std::ofstream(folder / "state") << FinalState(w.rollout().db());
}

// As which: before, calm, kill, again.
void RunChild(const std::string& as, const std::string& name, const fs::path& folder,
              const std::string& sites_url, const std::string& kill_at) {
  const FaultScenario& scenario = ScenarioOf(name);
  FaultWorld w(folder, sites_url, as);
  if (as == "before") {
    w.Start();
    scenario.before(w);
    w.Stop();
    w.monitor().Kill();
    return;
  }
  if (as == "again") ExpectDocumented(w);
  scenario.around(w);
  if (!scenario.starts) w.Start();
  FaultPoint point;
  if (as == "kill") point = FaultPoint::Of(kill_at);
  if (as != "again") w.Arm(as == "kill" ? &point : nullptr);
  Complete(scenario, w, folder);
  if (as != "calm") return;
  std::ofstream points(folder / "points");
  for (const FaultPoint& p : w.passed()) points << p.ToString() << "\n";
}

class FaultPointsTest : public ::testing::TestWithParam<std::string> {
 protected:
  FaultPointsTest() {
    // The files are written by processes that are killed, which no disk has to survive.
    const bool memory = fs::is_directory("/dev/shm") && access("/dev/shm", W_OK) == 0;
    std::string pattern =
        absl::StrCat(memory ? "/dev/shm" : ::testing::TempDir(), "/jetmon_faults_XXXXXX");
    folder_ = mkdtemp(pattern.data());
  }
  ~FaultPointsTest() override { fs::remove_all(folder_); }

  // The exit code of a child, or -signal.
  int Child(const std::string& as, const fs::path& folder, const std::string& kill_at = "") {
    const std::vector<std::string> words = {"/proc/self/exe", kChild,         as,     GetParam(),
                                            folder,           sites_.Url(""), kill_at};
    std::vector<char*> argv;
    for (const std::string& w : words) argv.push_back(const_cast<char*>(w.c_str()));
    argv.push_back(nullptr);
    const std::string log = folder / absl::StrCat("log.", as);
    posix_spawn_file_actions_t files;
    posix_spawn_file_actions_init(&files);
    posix_spawn_file_actions_addopen(&files, 1, log.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0600);
    posix_spawn_file_actions_adddup2(&files, 1, 2);
    pid_t pid = 0;
    const int spawned = posix_spawn(&pid, argv[0], &files, nullptr, argv.data(), environ);
    posix_spawn_file_actions_destroy(&files);
    if (spawned != 0) return spawned;
    int status = 0;
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR) {
    }
    return WIFSIGNALED(status) ? -WTERMSIG(status) : WEXITSTATUS(status);
  }
  fs::path CopyOf(const fs::path& from, const std::string& name) {
    const fs::path to = fs::path(folder_) / name;
    fs::remove_all(to);
    fs::copy(from, to);
    return to;
  }

  struct Outcome {
    bool killed = false;
    std::string wrong;  // "" if all went well
  };
  Outcome PlayPoint(const fs::path& before, const std::string& point, const std::string& calm) {
    const fs::path folder = CopyOf(before, point);
    const int ended = Child("kill", folder, point);
    if (ended == 0) return {};  // it did not come there
    if (ended != -SIGKILL) {
      return {false, absl::StrCat("ended with ", ended, ":\n", ReadAll(folder / "log.kill"))};
    }
    if (const int again = Child("again", folder); again != 0) {
      return {true, absl::StrCat("the next process ended with ", again, ":\n",
                                 ReadAll(folder / "log.again"))};
    }
    const std::string state = WithoutLeftOvers(ReadAll(folder / "state"));
    fs::remove_all(folder);
    if (state == calm) return {true, ""};
    return {true, absl::StrCat("left\n", state, "instead of\n", calm)};
  }

  std::string WithoutLeftOvers(const std::string& state) const {
    std::vector<std::string> lines = absl::StrSplit(state, '\n');
    for (const std::string& start : ScenarioOf(GetParam()).may_leave) {
      std::erase_if(lines, [&](const std::string& line) { return line.rfind(start, 0) == 0; });
    }
    return absl::StrJoin(lines, "\n");
  }

  std::string folder_;
  probe::TestServer sites_{[](probe::TestServer::Connection& c, const std::string& request) {
                             // Where nobody answers, and where somebody takes his time.
                             if (request.find(" /silent") != std::string::npos) {
                               c.AwaitClose();
                               return;
                             }
                             if (request.find(" /slow") != std::string::npos) {
                               std::this_thread::sleep_for(std::chrono::milliseconds(1300));
                             }
                             c.Send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
                           },
                           /*workers=*/64};
};

TEST_P(FaultPointsTest, KilledAtEveryCommitItIsCompletedByTheSameRequest) {
  const fs::path before = fs::path(folder_) / "before";
  fs::create_directory(before);
  ASSERT_EQ(Child("before", before), 0) << ReadAll(before / "log.before");
  const fs::path undisturbed = CopyOf(before, "calm");
  ASSERT_EQ(Child("calm", undisturbed), 0) << ReadAll(undisturbed / "log.calm");
  const std::string calm = WithoutLeftOvers(ReadAll(undisturbed / "state"));
  ASSERT_NE(calm, "");
  const std::vector<std::string> points =
      absl::StrSplit(ReadAll(undisturbed / "points"), '\n', absl::SkipEmpty());

  std::atomic<size_t> next{0};
  std::mutex mutex;
  std::set<std::string> killed_at;
  std::vector<std::thread> threads;
  for (int i = 0; i < kAtOnce; ++i) {
    threads.emplace_back([&] {
      for (size_t n = next++; n < points.size(); n = next++) {
        const Outcome outcome = PlayPoint(before, points[n], calm);
        std::lock_guard lock(mutex);
        EXPECT_EQ(outcome.wrong, "") << GetParam() << " killed at " << points[n];
        if (outcome.killed) killed_at.insert(points[n]);
        const FaultPoint point = FaultPoint::Of(points[n]);
        const auto& own = ScenarioOf(GetParam()).commits;
        // A sweep comes by when a range is just without a job, in any scenario.
        const bool passer_by = point.commit == commits::kSweep &&
                               std::count(own.begin(), own.end(), point.commit) == 0;
        const bool may_be_missed =
            passer_by ||
            (point.nth > 1 && std::count(std::begin(kAsOftenAsThereIsTime),
                                         std::end(kAsOftenAsThereIsTime), point.commit) > 0);
        EXPECT_TRUE(outcome.killed || may_be_missed) << GetParam() << " came not to " << points[n];
      }
    });
  }
  for (std::thread& t : threads) t.join();

  // Every commit that the scenario names, and no other.
  std::set<std::string> seen, named;
  for (const std::string& point : points) {
    const std::string commit = FaultPoint::Of(point).commit;
    if (commit != commits::kSweep) seen.insert(commit);
  }
  for (const std::string_view commit : ScenarioOf(GetParam()).commits) {
    named.insert(std::string(commit));
    for (const bool committed : {false, true}) {
      const FaultPoint first{std::string(commit), committed, 1};
      EXPECT_EQ(killed_at.count(first.ToString()), 1u) << "not killed at " << first.ToString();
    }
  }
  seen.insert(std::string(commits::kSweep));
  named.insert(std::string(commits::kSweep));
  EXPECT_EQ(seen, named) << "the scenario's list of commits is another";
  std::cout << points.size() << " points of " << GetParam() << ", killed at " << killed_at.size()
            << ": " << absl::StrJoin(killed_at, " ") << "\n";
}

std::vector<std::string> Names() {
  std::vector<std::string> names;
  for (const FaultScenario& s : FaultScenarios()) names.push_back(s.name);
  return names;
}

INSTANTIATE_TEST_SUITE_P(Scenarios, FaultPointsTest, ::testing::ValuesIn(Names()),
                         [](const auto& info) { return info.param; });

// The scenarios' own lists are held to what they pass by the test above.
TEST(FaultPoints, EveryCommitThatThereIsIsPassedInAScenario) {
  std::set<std::string_view> passed;
  for (const FaultScenario& s : FaultScenarios()) {
    passed.insert(s.commits.begin(), s.commits.end());
  }
  for (const std::string_view name : commits::kAll) {
    EXPECT_EQ(passed.count(name), 1u) << "no scenario of test_fault_scenarios.cc passes " << name;
  }
  EXPECT_EQ(passed.size(), std::size(commits::kAll));
}

}  // namespace
}  // namespace jetmon::rollout

int main(int argc, char** argv) {
  ::testing::InitGoogleTest(&argc, argv);
  if (argc == 7 && std::string_view(argv[1]) == jetmon::rollout::kChild) {
    jetmon::rollout::RunChild(argv[2], argv[3], argv[4], argv[5], argv[6]);
    return ::testing::UnitTest::GetInstance()->Passed() ? 0 : 1;
  }
  return RUN_ALL_TESTS();
}
