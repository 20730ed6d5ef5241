// Two operators at once, on every engine; what was decided is read from the database.
#include <gtest/gtest.h>

#include <atomic>
#include <thread>

#include "controlplane/rollout/test_service.h"
#include "store/locks.h"
#include "store/sessions.h"

namespace jetmon::rollout {
namespace {

// Runs both at the same moment and waits for them.
void AtOnce(const std::function<void()>& one, const std::function<void()>& two) {
  std::atomic<int> ready{0};
  const auto run = [&](const std::function<void()>& f) {
    ++ready;
    while (ready < 2) std::this_thread::yield();
    f();
  };
  std::thread other(run, two);
  run(one);
  other.join();
}

class RaceTest : public ServiceTest {
 protected:
  static constexpr int kRounds = 100;

  // A second control plane, with a database object of its own (of a cluster: on another node).
  RaceTest() : other_db_(rollout_.OpenAnother()) {
    Parts parts = rollout_.parts();
    parts.db = other_db_.get();
    Options options = rollout_.options();
    options.instance = "other";
    other_ = std::make_unique<Service>(parts, options);
    const absl::Status s = other_->Start();
    EXPECT_TRUE(s.ok()) << s;
  }
  ~RaceTest() override {
    other_.reset();  // before its database
  }
  // Of the two control planes.
  Service& Of(int i) { return i == 0 ? *service_ : *other_; }

  struct Side {
    std::string run_id;
    v1::PlannedRequest request;
  };
  Side MakeSide(store::Range range, const std::string& owner) {
    const std::string run_id = OpenSession(range, owner);
    return {run_id, Overridden(On<v1::PlannedRequest>(run_id, range))};
  }
  // Both at once; exactly one must be given its range. Then all is v1's again.
  void Play(const Side (&sides)[2], const CodeSet& expected) {
    v1::PlannedRequest executes[2];
    for (int i : {0, 1}) {
      executes[i] =
          Executing(sides[i].request, Token(Operation::kActivate, sides[i].request), "0s");
    }
    absl::Status results[2];
    v1::OperationResponse answers[2];
    const auto run = [&](int i) {
      results[i] = Of(i).Planned(Key(), Operation::kActivate, executes[i], {}, &answers[i]);
    };
    AtOnce([&] { run(0); }, [&] { run(1); });
    int won = 0;
    for (int i : {0, 1}) {
      ASSERT_TRUE(results[i].ok()) << results[i];
      if (answers[i].status() == "blocked" && answers[i].job_id().empty()) {
        for (const std::string& code : Codes(answers[i])) EXPECT_EQ(expected.count(code), 1u);
        continue;
      }
      ++won;
      GiveBack(sides[i]);
    }
    ASSERT_EQ(won, 1);
  }
  void GiveBack(const Side& side) {
    auto request = side.request;
    request.clear_override();
    v1::OperationResponse answer;
    for (;;) {
      // The activation goes on meanwhile: then what was confirmed has changed.
      const absl::Status s = Planned(
          Operation::kRelease, Executing(request, Token(Operation::kRelease, request)), &answer);
      if (ReasonOf(s) == v1::PLAN_CHANGED) continue;
      ASSERT_TRUE(s.ok()) << s;
      ASSERT_EQ(answer.status(), "ok") << answer.ShortDebugString();
      break;
    }
    for (const store::Job& job :
         rollout_.Get([](sql::Transaction& tx) { return store::ListUnfinishedJobs(tx); })) {
      ASSERT_TRUE(
          service_->WatchJob(job.job_id, {}, [](const v1::OperationResponse&) { return true; })
              .ok());
    }
  }

  std::unique_ptr<sql::Database> other_db_;
  std::unique_ptr<Service> other_;
};

TEST_F(RaceTest, OfTwoOverlappingActivationsExactlyOneWins) {
  monitor_.Run();
  FakeMonitor second(rollout_.db(), "monitor-b", "b-1");
  second.Run();
  const Side sides[2] = {MakeSide({0, 7}, "monitor-a"), MakeSide({4, 11}, "monitor-b")};
  for (int round = 0; round < kRounds; ++round) Play(sides, {"bucket_range_conflict"});
}

TEST_F(RaceTest, OfTwoRangesForOneOwnerExactlyOneWins) {
  monitor_.Run();
  const Side sides[2] = {MakeSide({0, 3}, "monitor-a"), MakeSide({8, 11}, "monitor-a")};
  for (int round = 0; round < kRounds; ++round) Play(sides, {"owner_range_conflict"});
}

// v1 may be recorded as started only while the range is v1's: whoever is asked at the same moment
// as an activation is refused, or was before it.
TEST_F(RaceTest, V1IsNotRecordedAsStartedAfterTheGrant) {
  monitor_.Run();
  const Side owner = MakeSide({0, 3}, "monitor-a");
  const std::string witness = OpenSession({2, 9});
  int refused = 0, before = 0;
  for (int round = 0; round < kRounds; ++round) {
    const auto execute = Executing(owner.request, Token(Operation::kActivate, owner.request), "0s");
    v1::RecordCheckpointRequest started;
    started.set_run_id(witness);
    started.set_kind(store::checkpoint::kV1Started);
    absl::Status activated, recorded;
    v1::OperationResponse answer;
    v1::Checkpoint checkpoint;
    AtOnce([&] { activated = Planned(Operation::kActivate, execute, &answer); },
           [&] { recorded = other_->RecordCheckpoint(Key(), started, &checkpoint); });
    ASSERT_TRUE(recorded.ok() || ReasonOf(recorded) == v1::INVALID_CHECKPOINT) << recorded;
    // The checkpoint voids evidence, so that what was planned may have changed.
    if (!activated.ok()) {
      ASSERT_EQ(ReasonOf(activated), v1::PLAN_CHANGED) << activated;
      continue;
    }
    const uint64_t granted = rollout_.Get([&](sql::Transaction& tx) {
      return store::LastChangeOrdinal(tx, {0, 3});
    });
    if (recorded.ok()) {
      ASSERT_LT(checkpoint.ordinal(), granted) << "round " << round;
      ++before;
    } else {
      ++refused;
    }
    GiveBack(owner);
  }
  EXPECT_GT(refused + before, 0);
}

// A run whose range is held, or whose job runs, stays open.
TEST_F(RaceTest, NoRunIsClosedOverItsActivation) {
  monitor_.Run();
  int closed = 0, held = 0;
  for (int round = 0; round < kRounds; ++round) {
    const Side side = MakeSide({0, 3}, "monitor-a");
    const auto execute = Executing(side.request, Token(Operation::kActivate, side.request), "0s");
    v1::CloseSessionRequest close;
    close.set_run_id(side.run_id);
    absl::Status activated, ended;
    v1::OperationResponse answer;
    v1::Session session;
    AtOnce([&] { activated = Planned(Operation::kActivate, execute, &answer); },
           [&] { ended = other_->CloseSession(Key(), close, &session); });
    ASSERT_NE(activated.ok(), ended.ok()) << "round " << round << ": " << activated << ended;
    if (ended.ok()) {
      ASSERT_EQ(ReasonOf(activated), v1::RUN_CLOSED) << activated;
      ++closed;
      continue;
    }
    ASSERT_EQ(ReasonOf(ended), v1::SESSION_IN_USE) << ended;
    ++held;
    GiveBack(side);
  }
  EXPECT_EQ(closed + held, kRounds);
}

}  // namespace
}  // namespace jetmon::rollout
