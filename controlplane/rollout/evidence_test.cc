#include "controlplane/rollout/evidence.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "controlplane/rollout/test_rollout.h"

namespace jetmon::rollout {
namespace {

namespace cp = store::checkpoint;

constexpr store::Range kRange{2, 5};
constexpr int64_t kNow = TestRollout::kNow;
constexpr int64_t kDay = int64_t{24} * 3600 * 1000;

class EvidenceTest : public ::testing::Test {
 protected:
  EvidenceTest() {
    rollout_.AddSession("rol_1", kRange, "monitor-a");
    monitor_.Poll();
  }
  std::vector<std::string> Missing(int64_t now_ms = kNow, const std::string& owner = "monitor-a",
                                   store::Range range = kRange) {
    std::vector<std::string> names;
    for (const auto& m :
         rollout_
             .Get([&](sql::Transaction& tx) { return GatherEvidence(tx, range, owner, now_ms); })
             .missing) {
      EXPECT_NE(m.text, "");
      EXPECT_NE(m.action, "");
      names.push_back(m.what);
    }
    return names;
  }
  using Names = std::vector<std::string>;

  TestRollout rollout_;
  FakeMonitor monitor_{rollout_.db(), "monitor-a", "a-1"};
};

TEST_F(EvidenceTest, AllIsMissingAtFirst) {
  EXPECT_EQ(Missing(), (Names{"preflight", "smoke", "seed", "v1_stopped", "final_reconcile"}));
}

TEST_F(EvidenceTest, NothingIsMissingAfterTheWholeWay) {
  rollout_.AddEvidence("rol_1", kRange, "monitor-a");
  EXPECT_EQ(Missing(), Names{});
  // It holds for a part of the range, and not for more.
  EXPECT_EQ(Missing(kNow, "monitor-a", {3, 4}), Names{});
  EXPECT_EQ(Missing(kNow, "monitor-a", {2, 6}).size(), 5u);
  const auto evidence = rollout_.Get(
      [](sql::Transaction& tx) { return GatherEvidence(tx, kRange, "monitor-a", kNow); });
  EXPECT_EQ(evidence.ids.size(), 5u);
}

TEST_F(EvidenceTest, PreflightAndSmokeCountForADayAndForTheirOwner) {
  rollout_.AddEvidence("rol_1", kRange, "monitor-a");
  EXPECT_EQ(Missing(kNow + kDay), Names{});
  EXPECT_EQ(Missing(kNow + kDay + 1), (Names{"preflight", "smoke"}));
  EXPECT_EQ(Missing(kNow, "monitor-b"), (Names{"preflight", "smoke"}));
}

TEST_F(EvidenceTest, AFinalReconcileThatBeganBeforeV1StoppedDoesNotCount) {
  rollout_.AddCheckpoint("rol_1", cp::kPreflight, kRange, "monitor-a");
  rollout_.AddCheckpoint("rol_1", cp::kSmoke, kRange, "monitor-a");
  const auto seeded = rollout_.AddCheckpoint("rol_1", cp::kSeed, kRange, "");
  const auto stopped = rollout_.AddCheckpoint("rol_1", cp::kV1Stopped, kRange, "");
  rollout_.AddCheckpoint("rol_1", cp::kFinalReconcile, kRange, "", kNow, seeded.ordinal);
  EXPECT_EQ(Missing(), Names{"final_reconcile"});
  rollout_.AddCheckpoint("rol_1", cp::kFinalReconcile, kRange, "", kNow, stopped.ordinal + 1);
  EXPECT_EQ(Missing(), Names{});
  // Stopped once more, as an operator may record twice: what was reconciled before does not count.
  rollout_.AddCheckpoint("rol_1", cp::kV1Stopped, kRange, "");
  EXPECT_EQ(Missing(), Names{"final_reconcile"});
}

TEST_F(EvidenceTest, WhereV1StartedTheStopIsVoid) {
  rollout_.AddEvidence("rol_1", kRange, "monitor-a");
  // Of another range that overlaps.
  rollout_.AddCheckpoint("rol_1", cp::kV1Started, {5, 9}, "");
  EXPECT_EQ(Missing(), (Names{"v1_stopped", "final_reconcile"}));
  EXPECT_EQ(Missing(kNow, "monitor-a", {2, 4}), Names{});
}

TEST_F(EvidenceTest, AReleaseVoidsAll) {
  rollout_.AddEvidence("rol_1", kRange, "monitor-a");
  const auto lock = rollout_.AddGrant(kRange, "monitor-a", "a-1", "rol_1", "rjob_1");
  rollout_.Write([&](sql::Transaction& tx) -> absl::Status {
    auto begun = store::BeginRelease(tx, lock.epoch, "rjob_2", kNow);
    if (!begun.ok()) return begun.status();
    return store::FreeDrained(tx, lock.epoch, kNow).status();
  });
  EXPECT_EQ(Missing().size(), 5u);
  rollout_.AddEvidence("rol_1", kRange, "monitor-a");
  EXPECT_EQ(Missing(), Names{});
}

// What happens to a range, in some order: S seed, X v1 stopped, V v1 started, G granted and given
// back, F a final reconcile, or f one that began before all the others.
class EvidenceOrderTest : public EvidenceTest {
 protected:
  void Happens(char what) {
    switch (what) {
      case 'S':
        rollout_.AddCheckpoint("rol_1", cp::kSeed, kRange, "");
        break;
      case 'X':
        rollout_.AddCheckpoint("rol_1", cp::kV1Stopped, kRange, "");
        break;
      case 'V':
        rollout_.AddCheckpoint("rol_1", cp::kV1Started, kRange, "");
        break;
      case 'F':
        rollout_.AddCheckpoint("rol_1", cp::kFinalReconcile, kRange, "", kNow, Ordinal());
        break;
      case 'f':
        rollout_.AddCheckpoint("rol_1", cp::kFinalReconcile, kRange, "", kNow, began_);
        break;
      case 'G':
        GrantAndFree();
        break;
    }
  }
  void GrantAndFree() {
    const auto lock = rollout_.AddGrant(kRange, "monitor-a", "a-1", "rol_1", "rjob_1");
    rollout_.Write([&](sql::Transaction& tx) -> absl::Status {
      auto begun = store::GiveUpActivation(tx, lock.epoch, "rjob_back", kNow);
      if (!begun.ok()) return begun.status();
      return store::FreeDrained(tx, lock.epoch, kNow).status();
    });
  }
  uint64_t Ordinal() {
    uint64_t ordinal = 0;
    rollout_.Write([&](sql::Transaction& tx) {
      auto next = store::NextCounter(tx, "ordinal");
      if (next.ok()) ordinal = *next;
      return next.status();
    });
    return ordinal;
  }
  // What the rules say of such an order, one by one.
  static Names Expected(const std::string& order) {
    const auto at = [&](char what) { return static_cast<int>(order.find(what)); };
    const auto stands = [&](char what) { return at(what) > at('G'); };
    Names missing = {"preflight", "smoke"};  // of nobody here
    if (!stands('S')) missing.push_back("seed");
    const bool stopped = stands('X') && at('X') > at('V');
    if (!stopped) missing.push_back("v1_stopped");
    const char reconcile = order.find('F') == order.npos ? 'f' : 'F';
    const int began = reconcile == 'F' ? at('F') : -1;
    if (!stands(reconcile) || at(reconcile) < at('V') || (stopped && began < at('X'))) {
      missing.push_back("final_reconcile");
    }
    return missing;
  }
  uint64_t began_ = 0;
};

TEST_F(EvidenceOrderTest, EachOrderOfWhatHappens) {
  int orders = 0;
  for (std::string order : {"FGSVX", "GSVXf", "FSX", "SXf", "FSVX", "SVXf"}) {
    std::sort(order.begin(), order.end());
    do {
      GrantAndFree();  // what was before does not count
      began_ = Ordinal();
      for (char what : order) Happens(what);
      EXPECT_EQ(Missing(), Expected(order)) << order;
      ++orders;
    } while (std::next_permutation(order.begin(), order.end()));
  }
  EXPECT_EQ(orders, 2 * (120 + 6 + 24));
}

TEST_F(EvidenceTest, AnyRunsEvidenceCountsThatCoversTheRange) {
  rollout_.AddSession("rol_2", {0, 9}, "monitor-a");
  rollout_.AddSession("rol_3", {3, 4}, "monitor-a");
  rollout_.AddEvidence("rol_3", {3, 4}, "monitor-a");
  EXPECT_EQ(Missing().size(), 5u);  // of a part only
  EXPECT_EQ(Missing(kNow, "monitor-a", {3, 4}), Names{});
  rollout_.AddEvidence("rol_2", {0, 9}, "monitor-a");
  EXPECT_EQ(Missing(), Names{});
  EXPECT_EQ(Missing(kNow, "monitor-a", {0, 9}), Names{});
  // A bucket of it that changes hands voids it for whoever has that bucket in their range.
  const auto lock = rollout_.AddGrant({9, 9}, "monitor-a", "a-1", "rol_2", "rjob_1");
  EXPECT_EQ(Missing(kNow, "monitor-a", {0, 9}).size(), 5u);
  EXPECT_EQ(Missing(kNow, "monitor-a", {0, 8}), Names{});
  EXPECT_EQ(lock.range.min, 9u);
}

TEST_F(EvidenceTest, ANewerOneOfAnotherOwnerDoesNotHideOurs) {
  rollout_.AddEvidence("rol_1", kRange, "monitor-a");
  rollout_.AddCheckpoint("rol_1", cp::kPreflight, kRange, "monitor-b");
  rollout_.AddCheckpoint("rol_1", cp::kSmoke, kRange, "");
  EXPECT_EQ(Missing(), Names{});
  EXPECT_EQ(Missing(kNow, "monitor-b"), Names{"smoke"});
}

TEST(OverrideCodeTest, OnlyWhatAnActivationWants) {
  for (const char* code : {"evidence_missing", "evidence_missing.preflight",
                           "evidence_missing.smoke", "evidence_missing.seed",
                           "evidence_missing.v1_stopped", "evidence_missing.final_reconcile"}) {
    EXPECT_TRUE(IsOverrideCode(code)) << code;
  }
  for (const char* code : {"", "evidence", "evidence_missing.", "evidence_missing.foo",
                           "evidence_missing.preflight_passed", "coverage_gap"}) {
    EXPECT_FALSE(IsOverrideCode(code)) << code;
  }
}

}  // namespace
}  // namespace jetmon::rollout
