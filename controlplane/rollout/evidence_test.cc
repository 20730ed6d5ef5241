#include "controlplane/rollout/evidence.h"

#include <gtest/gtest.h>

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

}  // namespace
}  // namespace jetmon::rollout
