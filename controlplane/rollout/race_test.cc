// Two operators at once, on every engine; what was decided is read from the database.
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <set>
#include <thread>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "controlplane/error/test_metadata.h"
#include "controlplane/rollout/test_invariants.h"
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

// Of two that want the same: at the same moment, or one after the other, so that a test sees both
// orders whatever the threads do.
enum class Order { kAtOnce, kOneFirst, kTwoFirst };
constexpr Order kOrders[] = {Order::kAtOnce, Order::kOneFirst, Order::kTwoFirst};
void InOrder(Order order, const std::function<void()>& one, const std::function<void()>& two) {
  if (order == Order::kAtOnce) return AtOnce(one, two);
  (order == Order::kOneFirst ? one : two)();
  (order == Order::kOneFirst ? two : one)();
}

class RaceTest : public ServiceTest {
 protected:
  static constexpr int kRounds = 100, kFewRounds = 15;

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
    EXPECT_EQ(absl::StrJoin(Violations(rollout_.db()), "\n"), "");
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
    AwaitJobs();
  }
  // Until none is under way.
  void AwaitJobs() {
    for (const store::Job& job :
         rollout_.Get([](sql::Transaction& tx) { return store::ListUnfinishedJobs(tx); })) {
      ASSERT_TRUE(
          service_->WatchJob(job.job_id, {}, [](const v1::OperationResponse&) { return true; })
              .ok());
    }
  }
  size_t JobsOf(const std::string& run_id, Operation op) {
    const auto jobs = rollout_.Get([&](sql::Transaction& tx) {
      return store::ListJobs(tx, run_id, "", {1000, ""});
    });
    return std::count_if(jobs.rows.begin(), jobs.rows.end(),
                         [op](const auto& j) { return j.operation == OperationName(op); });
  }
  uint64_t SequenceOf(const std::string& run_id) {
    return rollout_.Get([&](sql::Transaction& tx) { return store::GetSession(tx, run_id); })
        ->sequence;
  }

  struct Outcome {
    absl::Status status;
    v1::OperationResponse answer;
    // The job that was begun, or that the refusal names.
    std::string Job() const { return status.ok() ? answer.job_id() : MetadataOf(status, "job_id"); }
  };
  // Executes with both tokens at once, each at a control plane of its own.
  void ExecuteBoth(Operation op, const v1::PlannedRequest& request, const std::string (&tokens)[2],
                   Outcome (&outcomes)[2]) {
    const auto run = [&](int i) {
      outcomes[i].status =
          Of(i).Planned(Key(), op, Executing(request, tokens[i], "0s"), {}, &outcomes[i].answer);
    };
    AtOnce([&] { run(0); }, [&] { run(1); });
  }
  // One token twice: one job is begun, and who comes second is told which.
  void OneToken(Operation op, const v1::PlannedRequest& request) {
    const size_t before = JobsOf(request.run_id(), op);
    const std::string token = Token(op, request);
    Outcome outcomes[2];
    ExecuteBoth(op, request, {token, token}, outcomes);
    ASSERT_EQ(JobsOf(request.run_id(), op), before + 1);
    ASSERT_NE(outcomes[0].Job(), "") << outcomes[0].status;
    ASSERT_EQ(outcomes[0].Job(), outcomes[1].Job()) << outcomes[1].status;
    int begun = 0;
    for (const Outcome& o : outcomes) {
      if (o.status.ok()) ++begun;
      ASSERT_TRUE(o.status.ok() || ReasonOf(o.status) == v1::INVALID_CONFIRMATION) << o.status;
    }
    ASSERT_EQ(begun, 1);
  }
  // Two tokens for the same: one job is begun, and the other request is answered with it, or that
  // it has to be planned again, or, if the job was fast, that nothing is left to do.
  void TwoTokens(Operation op, const v1::PlannedRequest& request) {
    const size_t before = JobsOf(request.run_id(), op);
    Outcome outcomes[2];
    ExecuteBoth(op, request, {Token(op, request), Token(op, request)}, outcomes);
    ASSERT_EQ(JobsOf(request.run_id(), op), before + 1);
    std::set<std::string> jobs;
    for (const Outcome& o : outcomes) {
      if (o.status.ok()) jobs.insert(o.Job());
      ASSERT_TRUE(o.status.ok() || ReasonOf(o.status) == v1::PLAN_CHANGED) << o.status;
    }
    jobs.erase("");
    ASSERT_EQ(jobs.size(), 1u);
  }
  // Plans until what was planned still stands when it is executed.
  void ActivateRange(const v1::PlannedRequest& request) {
    v1::OperationResponse answer;
    const absl::Status s = Planned(
        Operation::kActivate, Executing(request, Token(Operation::kActivate, request)), &answer);
    ASSERT_TRUE(s.ok()) << s;
    ASSERT_EQ(answer.status(), "ok") << answer.ShortDebugString();
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
  for (int round = 0; round < kRounds; ++round) {
    const Order order = kOrders[round % 3];
    SCOPED_TRACE(absl::StrCat("round ", round, ", order ", static_cast<int>(order)));
    const auto execute = Executing(owner.request, Token(Operation::kActivate, owner.request), "0s");
    v1::RecordCheckpointRequest started;
    started.set_run_id(witness);
    started.set_kind(store::checkpoint::kV1Started);
    absl::Status activated, recorded;
    v1::OperationResponse answer;
    v1::Checkpoint checkpoint;
    InOrder(
        order, [&] { activated = Planned(Operation::kActivate, execute, &answer); },
        [&] { recorded = other_->RecordCheckpoint(Key(), started, &checkpoint); });
    if (order == Order::kOneFirst) {
      ASSERT_FALSE(recorded.ok());
    }
    if (order == Order::kTwoFirst) {
      ASSERT_TRUE(recorded.ok()) << recorded;
    }
    if (!activated.ok()) {
      // The checkpoint voids evidence: what was planned has changed, and nothing was granted.
      ASSERT_EQ(ReasonOf(activated), v1::PLAN_CHANGED) << activated;
      ASSERT_TRUE(recorded.ok()) << recorded;
      continue;
    }
    if (recorded.ok()) {
      const uint64_t granted = rollout_.Get([&](sql::Transaction& tx) {
        return store::LastChangeOrdinal(tx, {0, 3});
      });
      ASSERT_LT(checkpoint.ordinal(), granted);
    } else {
      ASSERT_EQ(ReasonOf(recorded), v1::INVALID_CHECKPOINT) << recorded;
    }
    GiveBack(owner);
    if (HasFatalFailure()) return;
  }
}

// A run whose range is held, or whose job runs, stays open.
TEST_F(RaceTest, NoRunIsClosedOverItsActivation) {
  monitor_.Run();
  for (int round = 0; round < kRounds; ++round) {
    const Order order = kOrders[round % 3];
    SCOPED_TRACE(absl::StrCat("round ", round, ", order ", static_cast<int>(order)));
    const Side side = MakeSide({0, 3}, "monitor-a");
    const auto execute = Executing(side.request, Token(Operation::kActivate, side.request), "0s");
    v1::CloseSessionRequest close;
    close.set_run_id(side.run_id);
    absl::Status activated, ended;
    v1::OperationResponse answer;
    v1::Session session;
    InOrder(
        order, [&] { activated = Planned(Operation::kActivate, execute, &answer); },
        [&] { ended = other_->CloseSession(Key(), close, &session); });
    ASSERT_NE(activated.ok(), ended.ok()) << activated << ended;
    if (order == Order::kOneFirst) {
      ASSERT_TRUE(activated.ok()) << activated;
    }
    if (order == Order::kTwoFirst) {
      ASSERT_TRUE(ended.ok()) << ended;
    }
    if (ended.ok()) {
      ASSERT_EQ(ReasonOf(activated), v1::RUN_CLOSED) << activated;
      continue;
    }
    ASSERT_EQ(ReasonOf(ended), v1::SESSION_IN_USE) << ended;
    GiveBack(side);
    if (HasFatalFailure()) return;
  }
}

TEST_F(RaceTest, OneTokenTwiceIsOneJob) {
  monitor_.Run();
  const Side side = MakeSide({0, 3}, "monitor-a");
  auto request = side.request;
  request.clear_override();
  for (int round = 0; round < kFewRounds; ++round) {
    OneToken(Operation::kSeed, request);
    AwaitJobs();
    OneToken(Operation::kFinalReconcile, request);
    AwaitJobs();
    OneToken(Operation::kActivate, side.request);
    AwaitJobs();
    OneToken(Operation::kRelease, request);
    AwaitJobs();
    if (HasFatalFailure()) return;
  }
}

TEST_F(RaceTest, TwoTokensForTheSameAreOneJob) {
  monitor_.Run();
  const Side side = MakeSide({0, 3}, "monitor-a");
  auto request = side.request;
  request.clear_override();
  for (int round = 0; round < kFewRounds; ++round) {
    TwoTokens(Operation::kSeed, request);
    AwaitJobs();
    TwoTokens(Operation::kFinalReconcile, request);
    AwaitJobs();
    TwoTokens(Operation::kActivate, side.request);
    AwaitJobs();
    TwoTokens(Operation::kRelease, request);
    AwaitJobs();
    if (HasFatalFailure()) return;
  }
}

// Of a release of all of a range and one of a part of it, one is begun.
TEST_F(RaceTest, APartAndAllAreNotReleasedAtOnce) {
  monitor_.Run();
  const Side side = MakeSide({0, 3}, "monitor-a");
  auto all = side.request;
  all.clear_override();
  auto part = all;
  part.set_bucket_max(1);
  for (int round = 0; round < kFewRounds; ++round) {
    ActivateRange(side.request);
    const std::string tokens[2] = {Token(Operation::kRelease, all),
                                   Token(Operation::kRelease, part)};
    Outcome outcomes[2];
    const auto run = [&](int i) {
      outcomes[i].status =
          Of(i).Planned(Key(), Operation::kRelease, Executing(i == 0 ? all : part, tokens[i], "0s"),
                        {}, &outcomes[i].answer);
    };
    const Order order = kOrders[round % 3];
    InOrder(
        order, [&] { run(0); }, [&] { run(1); });
    int begun = 0;
    for (const Outcome& o : outcomes) {
      ASSERT_TRUE(o.status.ok() || ReasonOf(o.status) == v1::PLAN_CHANGED) << o.status;
      if (o.status.ok() && !o.answer.job_id().empty()) ++begun;
    }
    ASSERT_EQ(begun, 1) << outcomes[0].status << outcomes[1].status
                        << outcomes[1].answer.ShortDebugString();
    AwaitJobs();
    const bool was_part = outcomes[1].status.ok() && !outcomes[1].answer.job_id().empty();
    if (order != Order::kAtOnce) {
      ASSERT_EQ(was_part, order == Order::kTwoFirst);
    }
    if (was_part) {
      auto rest = all;
      rest.set_bucket_min(2);
      (void)Do(Operation::kRelease, rest);
    }
    ASSERT_FALSE(HasFatalFailure());
  }
}

// What is recorded is recorded in an open run: after its end nothing changes it.
TEST_F(RaceTest, NothingIsRecordedInAClosedRun) {
  monitor_.Run();
  for (int round = 0; round < 3 * kFewRounds; ++round) {
    const Order order = kOrders[round / 3 % 3];
    SCOPED_TRACE(absl::StrCat("round ", round, ", order ", static_cast<int>(order)));
    const std::string run_id = OpenSession({0, 3});
    v1::CloseSessionRequest close;
    close.set_run_id(run_id);
    v1::Session session;
    absl::Status ended, recorded;
    const auto record = [&] {
      v1::OperationResponse answer;
      v1::Checkpoint checkpoint;
      v1::SmokeRequest smoke = On<v1::SmokeRequest>(run_id, {0, 3});
      smoke.set_read_only(true);
      v1::RecordCheckpointRequest stopped;
      stopped.set_run_id(run_id);
      stopped.set_kind(store::checkpoint::kV1Stopped);
      switch (round % 3) {
        case 0:
          recorded = service_->Preflight(Key(), On<v1::PreflightRequest>(run_id, {0, 3}), &answer);
          break;
        case 1:
          recorded = service_->Smoke(Key(), smoke, {}, &answer);
          break;
        default:
          recorded = service_->RecordCheckpoint(Key(), stopped, &checkpoint);
      }
    };
    InOrder(order, record, [&] { ended = other_->CloseSession(Key(), close, &session); });
    AwaitJobs();
    if (order == Order::kOneFirst) {
      ASSERT_TRUE(recorded.ok()) << recorded;
    }
    if (order == Order::kTwoFirst) {
      ASSERT_TRUE(ended.ok()) << ended;
    }
    if (!ended.ok()) {
      ASSERT_EQ(ReasonOf(ended), v1::SESSION_IN_USE) << ended;
      ASSERT_TRUE(recorded.ok()) << recorded;
      continue;
    }
    ASSERT_EQ(SequenceOf(run_id), session.sequence());
    if (order == Order::kTwoFirst) {
      ASSERT_FALSE(recorded.ok());
    }
    if (recorded.ok()) continue;
    ASSERT_EQ(ReasonOf(recorded), v1::RUN_CLOSED) << recorded;
  }
}

TEST_F(RaceTest, APreflightWhoseRunIsClosedMeanwhileIsNotRecorded) {
  monitor_.Run();
  const std::string run_id = OpenSession({0, 3});
  v1::Session session;
  absl::Status ended = absl::UnknownError("not asked");
  Parts parts = rollout_.parts();
  // While the vantages are asked.
  parts.ask_status = [&](const confirm::Vantage& v, std::chrono::milliseconds,
                         const std::function<void(absl::StatusOr<confirm::Facts>)>& done) {
    if (!ended.ok()) {
      v1::CloseSessionRequest close;
      close.set_run_id(run_id);
      ended = other_->CloseSession(Key(), close, &session);
    }
    done(Ask(v.vantage_id));
  };
  Service service(parts, rollout_.options());
  ASSERT_TRUE(service.Start().ok());
  v1::OperationResponse answer;
  const absl::Status s =
      service.Preflight(Key(), On<v1::PreflightRequest>(run_id, {0, 3}), &answer);
  ASSERT_TRUE(ended.ok()) << ended;
  EXPECT_EQ(ReasonOf(s), v1::RUN_CLOSED) << s;
  EXPECT_TRUE(rollout_.CheckpointKinds(run_id).empty());
  EXPECT_EQ(SequenceOf(run_id), session.sequence());
}

// The same request twice, where each may be done: both are, and the run has counted both.
TEST_F(RaceTest, TwoPreflightsAndTwoSmokesAreBothRecorded) {
  monitor_.Run();
  for (int round = 0; round < kFewRounds; ++round) {
    const std::string run_id = OpenSession({0, 3});
    absl::Status results[2];
    const auto run = [&](int i) {
      v1::OperationResponse answer;
      results[i] = Of(i).Preflight(Key(), On<v1::PreflightRequest>(run_id, {0, 3}), &answer);
      if (!results[i].ok()) return;
      v1::SmokeRequest smoke = On<v1::SmokeRequest>(run_id, {0, 3});
      smoke.set_read_only(true);
      results[i] = Of(i).Smoke(Key(), smoke, {}, &answer);
    };
    AtOnce([&] { run(0); }, [&] { run(1); });
    for (const absl::Status& s : results) ASSERT_TRUE(s.ok()) << s;
    AwaitJobs();
    auto kinds = rollout_.CheckpointKinds(run_id);
    std::sort(kinds.begin(), kinds.end());
    ASSERT_EQ(kinds, (std::vector<std::string>{"preflight_passed", "preflight_passed",
                                               "smoke_passed", "smoke_passed"}));
    ASSERT_EQ(SequenceOf(run_id), 4u);
  }
}

// A job that is cancelled while it ends is one of the two, and its evidence says the same.
TEST_F(RaceTest, AJobIsCancelledOrItHasEnded) {
  for (int round = 0; round < kFewRounds; ++round) {
    const std::string run_id = OpenSession({0, 3});
    v1::PlannedRequest request = On<v1::PlannedRequest>(run_id, {0, 3});
    const auto execute = Executing(request, Token(Operation::kSeed, request), "0s");
    v1::OperationResponse begun;
    ASSERT_TRUE(Planned(Operation::kSeed, execute, &begun).ok());
    absl::Status cancelled[2];
    const auto cancel = [&](int i) {
      v1::OperationResponse answer;
      cancelled[i] = Of(i).CancelJob(Key(), begun.job_id(), &answer);
    };
    AtOnce([&] { cancel(0); }, [&] { cancel(1); });
    AwaitJobs();
    const store::Job job = rollout_.Job(begun.job_id());
    const size_t recorded = rollout_.CheckpointKinds(run_id).size();
    if (job.state == "completed") {
      ASSERT_EQ(recorded, 1u);
    } else {
      ASSERT_EQ(job.state, "cancelled") << job.error;
      ASSERT_EQ(recorded, 0u);
      ASSERT_TRUE(cancelled[0].ok() || cancelled[1].ok()) << cancelled[0] << cancelled[1];
    }
    for (const absl::Status& s : cancelled) {
      ASSERT_TRUE(s.ok() || ReasonOf(s) == v1::NOT_CANCELLABLE) << s;
    }
  }
}

}  // namespace
}  // namespace jetmon::rollout
