// Random sequences of calls by three operators and of what Monitors do, over two control planes
// that are killed and started again, against the model of test_model.h: every answer and every row
// must be the model's after every step, and nobody may ever check what is not his.
//
//   JETMON_SEED=n   only the sequence of that seed, as a failure names it
//   JETMON_RUNS=n   so many sequences for each of the ten cases, instead of 100
#include <gtest/gtest.h>
#include <stdlib.h>

#include <algorithm>
#include <iostream>
#include <random>
#include <set>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "controlplane/rollout/test_model_world.h"

namespace jetmon::rollout {
namespace {

using std::chrono::milliseconds;
using std::chrono::minutes;
using std::chrono::seconds;

constexpr int kSteps = 40;
constexpr int kCases = 10;

// A Monitor process. It acts by what it has seen of its range, which may be old.
struct Monitor {
  std::string instance, host;
  bool silent = false;  // it is not heard of, and hears nothing
  uint64_t epoch = 0;
  model::Lock seen;
  int64_t seen_since_ms = 0;  // of this instance and lease_seq
  int64_t may_send_until_ms = 0;
  std::set<std::string> given;  // parts of the range that it sends for no more
};

class Sequence {
 public:
  Sequence(ModelWorld& world, uint64_t seed) : w_(world), random_(seed) {
    w_.Reset();
    w_.set_between([this](int replica) { Between(replica); });
    for (const char* host : {"a", "b", "c"}) StartMonitor(host);
    Live(seconds(8));
    if (Chance(60)) Activated();
  }
  ~Sequence() { w_.set_between({}); }

  // What was wrong, and the last steps before it; "" if nothing was.
  std::string Play() {
    for (int i = 0; i < kSteps && w_.wrong().empty() && unsafe_.empty(); ++i) {
      depth_ = 0;
      Step();
      CheckSafety();
    }
    const std::string wrong = w_.wrong().empty() ? unsafe_ : w_.wrong();
    return wrong.empty() ? "" : absl::StrCat(absl::StrJoin(steps_, "\n"), "\n", wrong);
  }

 private:
  uint64_t Below(uint64_t n) { return random_() % n; }
  bool Chance(int percent) { return Below(100) < static_cast<uint64_t>(percent); }
  template <typename T>
  const T& AnyOf(const std::vector<T>& of) {
    return of[Below(of.size())];
  }
  void Say(const std::string& step) {
    steps_.push_back(absl::StrCat(std::string(2 * depth_, ' '), step));
  }
  int Replica() { return static_cast<int>(Below(2)); }
  std::string AnyRun() {
    const auto& sessions = w_.model().sessions;
    if (sessions.empty()) return "";
    // Rather a young one.
    const size_t back = std::min<size_t>(Below(2) * Below(3), sessions.size() - 1);
    auto at = sessions.end();
    std::advance(at, -1 - static_cast<int>(back));
    return at->first;
  }
  std::string AnyHost() { return AnyOf<std::string>({"a", "b", "c"}); }

  void Step() {
    struct Kind {
      uint64_t weight;
      void (Sequence::*play)();
    };
    static constexpr Kind kKinds[] = {
        {3, &Sequence::Open},        {2, &Sequence::Close},       {5, &Sequence::Checkpoint},
        {3, &Sequence::Show},        {2, &Sequence::ShowAll},     {10, &Sequence::Plan},
        {10, &Sequence::Execute},    {12, &Sequence::Carry},      {3, &Sequence::Cancel},
        {10, &Sequence::OneMonitor}, {5, &Sequence::MonitorLife}, {14, &Sequence::Time},
        {3, &Sequence::Sweep},       {2, &Sequence::Restart},     {4, &Sequence::Observe},
        {18, &Sequence::Run},        {2, &Sequence::Break},
    };
    uint64_t all = 0;
    for (const Kind& k : kKinds) all += k.weight;
    uint64_t at = Below(all);
    for (const Kind& k : kKinds) {
      if (at < k.weight) return (this->*k.play)();
      at -= k.weight;
    }
  }

  // Begins where a range is active, if nothing comes in between.
  void Activated() {
    Open();
    const auto& [run, session] = *w_.model().sessions.begin();
    Do({"key_1", "activate_buckets", run, session.range, "", true});
    Run();
    Live(seconds(8));
    Run();
  }

  // --- operators
  void Open() {
    const store::Range range = AnyOf<store::Range>({{0, 2}, {3, 5}, {0, 5}, {2, 3}});
    Say("open a session");
    w_.CreateSession(Replica(), Key(), range, AnyHost());
  }
  void Close() {
    const std::string run = AnyRun();
    if (run.empty()) return Open();
    Say("close " + run);
    w_.CloseSession(Replica(), run);
  }
  void Checkpoint() {
    const std::string run = AnyRun();
    if (run.empty()) return Open();
    const std::string kind = AnyOf<std::string>({"v1_stopped", "v1_stopped", "v1_started"});
    Say(absl::StrCat(kind, " in ", run));
    w_.Checkpoint(Replica(), run, kind);
  }
  void Show() {
    const std::string run = AnyRun();
    if (run.empty()) return Open();
    const store::Range range = w_.model().sessions.at(run).range;
    const std::string owner = Chance(70) ? "" : AnyHost();
    Say(absl::StrCat("preflight or smoke in ", run, " for ", owner));
    if (Chance(50)) return w_.Preflight(Replica(), run, range, owner);
    w_.Smoke(Replica(), run, range, owner);
  }
  // All that an activation needs to have been shown, in its order.
  void ShowAll() {
    const std::string run = AnyRun();
    if (run.empty()) return Open();
    Say("all evidence in " + run);
    const store::Range range = w_.model().sessions.at(run).range;
    w_.Preflight(Replica(), run, range, "");
    w_.Smoke(Replica(), run, range, "");
    RunAll();
    Do({Key(), "seed", run, range, "", false});
    RunAll();
    w_.Checkpoint(Replica(), run, "v1_stopped");
    Do({Key(), "final_reconcile", run, range, "", false});
    RunAll();
  }
  std::string Key() { return AnyOf<std::string>({"key_1", "key_2", "key_3"}); }
  model::Asked Ask() {
    model::Asked asked;
    asked.key = Key();
    asked.operation =
        AnyOf<std::string>({"seed", "final_reconcile", "activate_buckets", "activate_buckets",
                            "release_buckets", "release_buckets"});
    asked.run = Chance(3) ? "rol_none" : AnyRun();
    auto session = w_.model().sessions.find(asked.run);
    asked.range = session == w_.model().sessions.end() || Chance(2) ? store::Range{1, 4}
                                                                    : session->second.range;
    // Some buckets from an end of it.
    if (asked.operation == "release_buckets" && Chance(35) && asked.range.size() > 1) {
      (Chance(50) ? asked.range.min : asked.range.max) = asked.range.min + 1;
    }
    if (Chance(20) || session == w_.model().sessions.end()) asked.owner = AnyHost();
    asked.overridden = asked.operation == "activate_buckets" && Chance(75);
    return asked;
  }
  std::string Plan(const model::Asked& asked) {
    Say(absl::StrCat(asked.key, " plans ", asked.operation, " in ", asked.run, " for ", asked.owner,
                     asked.overridden ? ", overridden" : ""));
    const std::string token = w_.Plan(Replica(), asked);
    if (!token.empty()) pouch_.emplace_back(asked, token);
    return token;
  }
  void Plan() { Plan(Ask()); }
  void Execute(model::Asked asked, const std::string& token) {
    Say(absl::StrCat(asked.key, " executes ", asked.operation, " in ", asked.run));
    w_.Execute(Replica(), asked, token);
  }
  // Plans and executes at once.
  void Do(const model::Asked& asked) {
    const std::string token = Plan(asked);
    if (!token.empty() && w_.wrong().empty()) Execute(asked, token);
  }
  void Carry() {
    if (w_.model().sessions.empty()) Open();
    Do(Ask());
  }
  // With a token of whoever's, new or used, and now and then with another request or none.
  void Execute() {
    if (pouch_.empty()) return Carry();
    const size_t back = Chance(60) ? 0 : Below(pouch_.size());
    auto [asked, token] = pouch_[pouch_.size() - 1 - back];
    if (Chance(8)) asked.key = Key();
    if (Chance(5)) asked.owner = AnyHost();
    if (Chance(5)) asked.overridden = asked.operation == "activate_buckets";
    if (Chance(3)) asked.range = {1, 4};
    if (Chance(3)) token = Chance(50) ? "" : "jmr_none";
    Execute(asked, token);
  }
  void Cancel() {
    if (w_.model().jobs.empty()) return;
    const auto& jobs = w_.model().jobs;
    auto at = jobs.begin();
    std::advance(at, Below(jobs.size()));
    for (const auto& [id, job] : jobs) {
      if (job.unfinished() && Chance(50)) at = jobs.find(id);
    }
    const std::string id = at->first;
    Say("cancel " + at->second.operation);
    w_.Cancel(Replica(), id);
  }

  // --- Monitors
  void StartMonitor(const std::string& host) {
    monitors_.push_back({absl::StrCat(host, "-", ++started_), host, false, 0, {}, 0, 0, {}});
    w_.Poll(monitors_.back().instance, host);
  }
  // Reads its host's range: the held one that it has, or else the newest.
  void See(Monitor& m) {
    for (const auto& [epoch, l] : w_.model().locks) {
      if (l.host != m.host || !l.held() || l.state == "preparing") continue;
      const bool same =
          epoch == m.epoch && l.instance == m.seen.instance && l.lease_seq == m.seen.lease_seq;
      if (!same) m.seen_since_ms = w_.NowMs();
      m.epoch = epoch;
      m.seen = l;
    }
    // Whose range it is not any more sends nothing.
    if (m.epoch != 0 && w_.model().locks.at(m.epoch).instance != m.instance) {
      m.may_send_until_ms = 0;
    }
  }
  // What a Monitor does with what it saw.
  void Act(Monitor& m) {
    if (m.epoch == 0) return;
    const int64_t lease = w_.NowMs() + model::kLeaseMs;
    if (m.seen.instance != m.instance) {
      auto old = w_.model().processes.find(m.seen.instance);
      const bool gone = old != w_.model().processes.end() && old->second.goodbye;
      if (!gone && w_.NowMs() - m.seen_since_ms < model::kGraceMs) return;
      Say(absl::StrCat(m.instance, " takes over from ", m.seen.instance));
      const bool drains = w_.model().locks.at(m.epoch).state == "draining";
      const bool active = w_.model().locks.at(m.epoch).state == "active";
      if (w_.TakeOver(m.epoch, m.seen.instance, m.seen.lease_seq, m.instance) && !drains &&
          active) {
        // It loads what is there now, without a part that leaves.
        m.seen = w_.model().locks.at(m.epoch);
        m.given.insert(m.seen.part);
        m.may_send_until_ms = lease;
      }
      return;
    }
    if (m.seen.state == "activating" && Chance(85)) {
      Say(m.instance + " acknowledges");
      if (w_.Acknowledge(m.epoch, m.instance, m.seen.revision)) m.may_send_until_ms = lease;
      return;
    }
    if (m.seen.state == "draining" && Chance(m.seen.drained ? 5 : 60)) {
      Say(m.instance + " has drained");
      m.may_send_until_ms = 0;
      (void)w_.Drained(m.epoch, m.instance);
      return;
    }
    // A part that leaves: nothing begins there any more, and what goes on ends within seconds. One
    // that is revoked is given up before anything is renewed.
    const std::string part = m.seen.part;
    if (!part.empty() && m.given.count(part) == 0 &&
        (Chance(60) || w_.model().parts.at(part).state == "revoked")) {
      m.given.insert(part);
      Say(m.instance + " has drained a part");
      if (w_.PartDrained(part, m.instance) && m.may_send_until_ms != 0) {
        m.may_send_until_ms = lease;
      }
      return;
    }
    const bool sends = m.may_send_until_ms != 0;
    if (w_.Renew(m.epoch, m.instance, m.seen.revision) && sends) m.may_send_until_ms = lease;
  }
  void Turn(Monitor& m) {
    w_.Poll(m.instance, m.host);
    See(m);
    Act(m);
  }
  Monitor* AnyMonitor() {
    if (monitors_.empty()) StartMonitor(AnyHost());
    return &monitors_[Below(monitors_.size())];
  }
  // One Monitor's turn; by what it saw before, if it slept in between.
  void OneMonitor() {
    Monitor& m = *AnyMonitor();
    if (Chance(30)) {
      Say(m.instance + " wakes and acts by what it saw");
      m.silent = false;
      return Act(m);
    }
    Say(m.instance + " has its turn");
    if (!m.silent) Turn(m);
  }
  void MonitorLife() {
    const size_t at = Below(monitors_.size() + 1);
    if (at == monitors_.size() || monitors_.size() > 5) {
      const std::string host = AnyHost();
      Say("another Monitor on " + host);
      if (monitors_.size() <= 5) return StartMonitor(host);
      monitors_.erase(monitors_.begin());
      return;
    }
    Monitor& m = monitors_[at];
    const std::string host = m.host;
    switch (Below(4)) {
      case 0:
        Say(m.instance + " dies, another starts");
        monitors_.erase(monitors_.begin() + static_cast<int64_t>(at));
        return StartMonitor(host);
      case 1:
        Say(m.instance + " says goodbye, another starts");
        w_.Goodbye(m.instance);
        monitors_.erase(monitors_.begin() + static_cast<int64_t>(at));
        if (Chance(70)) StartMonitor(host);
        return;
      default:
        m.silent = !m.silent;
        Say(absl::StrCat(m.instance, m.silent ? " falls silent" : " is heard of again"));
    }
  }

  // --- control planes and time
  void Observe() {
    Say("a control plane observes");
    w_.Observe(Replica());
  }
  void Sweep() {
    Say("a sweep");
    w_.Sweep(Replica());
  }
  void Restart() {
    const int replica = Replica();
    if (!w_.Idle(replica)) return;
    Say(absl::StrCat("control plane ", replica, " starts again"));
    w_.Restart(replica);
  }
  void RunOn(int replica) {
    if (!w_.Idle(replica) || !w_.wrong().empty()) return;
    // So often may it be asked whether it shall stop, while so much time passes.
    int asked = static_cast<int>(1 + Below(12));
    const milliseconds each = AnyOf<milliseconds>(
        {milliseconds(1), milliseconds(1), seconds(1), seconds(25), seconds(61)});
    Say(absl::StrCat("control plane ", replica, " runs a job, ", each.count(), " ms a look"));
    w_.RunOneJob(replica, [&] {
      if (--asked <= 0) return true;
      w_.Pass(each);
      return false;
    });
  }
  void Run() { RunOn(Replica()); }
  void Break() {
    for (const auto& [id, job] : w_.model().jobs) {
      if (job.state != "queued" || job.epoch == 0) continue;
      Say("the worker of " + job.operation + " fails");
      return w_.Break(id);
    }
  }
  void RunAll() {
    for (int i = 0; i < 3; ++i) Run();
  }
  // Time goes by while everybody who is awake does what he does.
  void Live(milliseconds d) {
    for (milliseconds passed{0}; passed < d && w_.wrong().empty(); passed += seconds(4)) {
      w_.Pass(std::min<milliseconds>(d, seconds(4)));
      for (Monitor& m : monitors_) {
        if (!m.silent) Turn(m);
      }
      for (int replica : {0, 1}) w_.Observe(replica);
      CheckSafety();
    }
  }
  void Time() {
    if (Chance(15)) {
      const milliseconds d = AnyOf<milliseconds>({minutes(16), minutes(24 * 60 + 1), seconds(61)});
      Say(absl::StrCat(d.count() / 1000, " s pass in one"));
      return w_.Pass(d);
    }
    const milliseconds d = AnyOf<milliseconds>({seconds(1), seconds(8), seconds(36), seconds(64)});
    Say(absl::StrCat(d.count() / 1000, " s pass"));
    Live(d);
  }

  // Between two transactions of a job: the world goes on, or its control plane is killed.
  void Between(int replica) {
    CheckSafety();
    if (depth_ >= 2 || !unsafe_.empty()) return;
    if (Chance(3)) {
      Say(absl::StrCat("control plane ", replica, " is killed"));
      throw ModelWorld::Killed{replica};
    }
    if (!Chance(35)) return;
    ++depth_;
    for (uint64_t n = Below(3); n > 0 && w_.wrong().empty(); --n) Step();
    --depth_;
  }

  bool HasGiven(const Monitor& m, uint32_t bucket) const {
    return std::any_of(m.given.begin(), m.given.end(), [&](const std::string& job) {
      auto part = w_.model().parts.find(job);
      return part != w_.model().parts.end() && part->second.epoch == m.epoch &&
             part->second.range.Contains(bucket);
    });
  }
  // Nobody may send for a bucket that is not his: not v1's, not another's.
  void CheckSafety() {
    std::map<uint32_t, std::string> sender;
    for (const Monitor& m : monitors_) {
      if (m.may_send_until_ms <= w_.NowMs()) continue;
      const model::Lock& l = w_.model().locks.at(m.epoch);
      for (uint32_t b = m.seen.range.min; b <= m.seen.range.max; ++b) {
        if (HasGiven(m, b)) continue;
        if (w_.model().buckets()[b].epoch != m.epoch || l.instance != m.instance) {
          unsafe_ = absl::StrCat(m.instance, " may send for bucket ", b, ", which is not its own");
        }
        if (!sender.emplace(b, m.instance).second) {
          unsafe_ = absl::StrCat("two may send for bucket ", b);
        }
      }
    }
  }

  ModelWorld& w_;
  std::mt19937_64 random_;
  std::vector<Monitor> monitors_;
  std::vector<std::pair<model::Asked, std::string>> pouch_;
  std::vector<std::string> steps_;
  std::string unsafe_;
  int started_ = 0, depth_ = 0;
};

std::string Number(const char* name, const std::string& otherwise) {
  const char* text = getenv(name);
  return text == nullptr ? otherwise : text;
}

class ModelTest : public ::testing::TestWithParam<int> {};

TEST_P(ModelTest, NothingIsOutsideOfTheModel) {
  ModelWorld world;
  const uint64_t runs = std::stoull(Number("JETMON_RUNS", "100"));
  const uint64_t first = static_cast<uint64_t>(GetParam()) * 1'000'000;
  const std::string only = Number("JETMON_SEED", "");
  for (uint64_t i = 0; i < runs; ++i) {
    const uint64_t seed = only.empty() ? first + i : std::stoull(only);
    const std::string wrong = Sequence(world, seed).Play();
    ASSERT_EQ(wrong, "") << "again with JETMON_SEED=" << seed;
    if (!only.empty()) return;
  }
  if (runs < 100) return;
  // The sequences reach what the model is about.
  for (const char* what : {"execute activate_buckets ",
                           "execute release_buckets ",
                           "execute seed ",
                           "execute activate_buckets INVALID_CONFIRMATION job",
                           "plan activate_buckets evidence_missing",
                           "activate_buckets completed",
                           "activate_buckets failed",
                           "release_buckets completed",
                           "give_up",
                           "revoke",
                           "acknowledge",
                           "renew refused",
                           "drained",
                           "take over",
                           "part drained",
                           "free_part",
                           "job taken over",
                           "killed in a job",
                           "sweep took up",
                           "yield_job",
                           "close SESSION_IN_USE",
                           "v1_started INVALID_CHECKPOINT"}) {
    EXPECT_GT(world.tally().count(what), 0u) << "never: " << what;
  }
  for (const auto& [what, count] : world.tally()) std::cout << count << " " << what << "\n";
}

INSTANTIATE_TEST_SUITE_P(Seeds, ModelTest, ::testing::Range(0, kCases));

}  // namespace
}  // namespace jetmon::rollout
