// Dialect v1: a release whose notifications have no known end, and what operators say of them.
#include <gmock/gmock.h>

#include "controlplane/rollout/test_mute.h"

namespace jetmon::rollout {
namespace {

namespace rs = store::range_state;

class DecisionsTest : public MuteTest {
 protected:
  void SetUp() override {
    MuteTest::SetUp();
    LongAgo();
  }
  v1::OperationResponse Job(const std::string& id) {
    v1::OperationResponse answer;
    EXPECT_TRUE(service_->GetJob(id, &answer).ok());
    return answer;
  }
  // Begins a release and waits until it is blocked.
  std::string BeginBlocked() {
    const std::string job = Begin(kRange);
    EXPECT_TRUE(Comes([&] { return Job(job).status() == "blocked"; }));
    return job;
  }
  v1::DecideNotificationsRequest Say(const std::string& decision,
                                     const std::vector<std::string>& ids) {
    auto request = On<v1::DecideNotificationsRequest>(run_, kRange);
    request.set_decision(decision);
    request.set_note("seen in its log");
    request.set_all(ids.empty());
    for (const std::string& id : ids) request.add_notification_ids(id);
    return request;
  }
  absl::Status Decide(const v1::DecideNotificationsRequest& request,
                      v1::DecideNotificationsResponse* response = nullptr) {
    v1::DecideNotificationsResponse ignored;
    return service_->DecideNotifications(Key(), request, response ? response : &ignored);
  }
  // Those that are being sent.
  std::vector<v1::Notification> Listed() {
    v1::ListNotificationsRequest list;
    list.set_bucket_min(kRange.min);
    list.set_bucket_max(kRange.max);
    v1::ListNotificationsResponse rows;
    EXPECT_TRUE(service_->ListNotifications(list, &rows).ok());
    return {rows.notifications().begin(), rows.notifications().end()};
  }
  // Every checkpoint of the run of that kind, its note.
  std::vector<std::string> Notes(const std::string& kind) {
    std::vector<std::string> notes;
    for (const auto& c :
         rollout_.Get([&](sql::Transaction& tx) { return store::ListCheckpoints(tx, run_); })) {
      if (c.kind == kind) notes.push_back(c.note);
    }
    return notes;
  }
};

TEST_F(DecisionsTest, AReleaseIsBlockedByWhatNobodyKnowsTheEndOf) {
  Queue(1, "sending", 3);
  Queue(2, "sending", 4);
  const std::string job = BeginBlocked();
  const v1::OperationResponse blocked = Job(job);
  EXPECT_EQ(blocked.job().state(), "running");
  ASSERT_EQ(blocked.blockers_size(), 1);
  EXPECT_EQ(blocked.blockers(0).code(), "notifications_undecided");
  EXPECT_NE(blocked.blockers(0).text().find("ntf_1_down, ntf_2_down"), std::string::npos);
  EXPECT_NE(blocked.blockers(0).action().find("notifications decide --run-id " + run_),
            std::string::npos);
  EXPECT_EQ(blocked.bucket_max(), kRange.max);
  EXPECT_TRUE(IsActive());
  v1::RolloutStatus status;
  ASSERT_TRUE(service_->GetStatus(&status).ok());
  ASSERT_EQ(status.ranges_size(), 1);
  EXPECT_EQ(status.ranges(0).mute().sending(), 2u);
  EXPECT_EQ(status.ranges(0).mute().job_id(), job);
  // Whoever waits for it learns of it at once.
  const v1::OperationResponse answer = Plan(Operation::kRelease, Of(kRange));
  EXPECT_EQ(answer.status(), "blocked");
  EXPECT_EQ(answer.job_id(), job);
  // It goes on by itself if they are delivered after all.
  Deliver(1);
  EXPECT_TRUE(Comes([&] {
    return Job(job).blockers_size() == 1 &&
           Job(job).blockers(0).text().find("ntf_1_down") == std::string::npos;
  }));
  Deliver(2);
  // It goes on, and has the receiver's delay to wait for.
  EXPECT_TRUE(Comes([&] { return Job(job).status() == "running"; }));
  EXPECT_EQ(Job(job).blockers_size(), 0);
  EXPECT_EQ(End(job).status(), "ok");
}

TEST_F(DecisionsTest, WhatWasToldIsNotTakenBack) {
  TellOfADown(rollout_.clock().WallMs() - 600'000);
  const std::string job = BeginBlocked();
  v1::DecideNotificationsResponse response;
  const std::vector<v1::Notification> sending = Listed();
  ASSERT_EQ(sending.size(), 1u);
  const v1::Notification& n = sending[0];
  EXPECT_EQ(n.site_id(), 3u);
  EXPECT_EQ(n.kind(), "down");
  EXPECT_TRUE(n.has_sent_at());
  EXPECT_FALSE(n.has_delivered_at());
  const auto told = Say("told", {n.notification_id()});
  ASSERT_TRUE(Decide(told, &response).ok());
  EXPECT_EQ(response.decided(), 1u);
  EXPECT_EQ(response.left(), 0u);
  EXPECT_EQ(response.notification_ids(0), n.notification_id());
  // Said again while the release waits for the receiver's delay: nothing changes.
  ASSERT_TRUE(Decide(told, &response).ok());
  EXPECT_EQ(response.decided(), 1u);
  EXPECT_THAT(Notes("notifications_told"),
              testing::ElementsAre("seen in its log; told: " + n.notification_id()));
  EXPECT_EQ(End(job).status(), "ok");
  EXPECT_EQ(Status(3), 0);
}

TEST_F(DecisionsTest, WhatWasNotToldIsV1sToTell) {
  TellOfADown(rollout_.clock().WallMs() - 600'000);
  EXPECT_EQ(Status(3), 0);
  const std::string job = BeginBlocked();
  v1::DecideNotificationsResponse response;
  ASSERT_TRUE(Decide(Say("untold", {}), &response).ok());
  EXPECT_EQ(response.decided(), 1u);
  EXPECT_EQ(Notes("notifications_untold").size(), 1u);
  EXPECT_EQ(Job(job).status(), "running");
  // The columns were written: whoever still takes the request, and v1's replicas, have their time.
  EXPECT_GE(UntilItDrains(), std::chrono::milliseconds(250));
  EXPECT_EQ(End(job).status(), "ok");
  EXPECT_EQ(Status(3), 1);
}

// An answer may get lost; and what is said of a release is not said of another one.
TEST_F(DecisionsTest, WhatIsNamedMayBeSaidAgain) {
  TellOfADown(rollout_.clock().WallMs() - 600'000);
  const std::string job = BeginBlocked();
  const std::string id = Listed().at(0).notification_id();
  const v1::DecideNotificationsRequest untold = Say("untold", {id});
  auto other = untold;
  other.set_run_id(OpenSession(kRange));
  EXPECT_EQ(ReasonOf(Decide(other)), v1::NOT_UNDECIDED);
  ASSERT_TRUE(Decide(untold).ok());
  EXPECT_EQ(End(job).status(), "ok");
  v1::DecideNotificationsResponse response;
  ASSERT_TRUE(Decide(untold, &response).ok());
  EXPECT_EQ(response.decided(), 1u);
  EXPECT_EQ(Notes("notifications_untold").size(), 1u);
  EXPECT_EQ(ReasonOf(Decide(Say("told", {id}))), v1::NOT_UNDECIDED);
}

// What is being sent has its time to be delivered first.
TEST_F(DecisionsTest, NothingIsDecidedBeforeTheReleaseIsBlocked) {
  rollout_.options().legacy.deliver_within = std::chrono::minutes(1);
  NewService();
  Queue(1, "sending", 3);
  const std::string job = Begin(kRange);
  EXPECT_EQ(ReasonOf(Decide(Say("untold", {}))), v1::NOT_UNDECIDED);
  EXPECT_EQ(StateOf(1), "sending");
  Deliver(1);
  EXPECT_EQ(End(job).status(), "ok");
}

TEST_F(DecisionsTest, AllOfManyAreDecidedInOneCall) {
  constexpr int kMany = 450;
  for (int i = 1; i <= kMany; ++i) Queue(static_cast<uint64_t>(i), "sending", 3);
  const std::string job = BeginBlocked();
  EXPECT_NE(Job(job).blockers(0).text().find(" and 430 more"), std::string::npos);
  v1::DecideNotificationsResponse response;
  ASSERT_TRUE(Decide(Say("told", {}), &response).ok());
  EXPECT_EQ(response.decided(), 450u);
  EXPECT_EQ(response.left(), 0u);
  EXPECT_EQ(response.notification_ids_size(), 200);
  EXPECT_EQ(Notes("notifications_told").size(), 3u);
  EXPECT_EQ(End(job).status(), "ok");
}

TEST_F(DecisionsTest, OneThatIsNotUndecidedRefusesAll) {
  Queue(1, "sending", 3);
  Queue(2, "delivered", 3, 1);
  Queue(3, "sending", 7);  // of another range
  EXPECT_EQ(ReasonOf(Decide(Say("told", {"ntf_1_down"}))),
            v1::NOT_UNDECIDED);  // nothing is released
  const std::string job = BeginBlocked();
  for (const char* other : {"ntf_2_down", "ntf_3_down", "ntf_9_up", ""}) {
    const absl::Status s = Decide(Say("untold", {"ntf_1_down", other}));
    EXPECT_EQ(ReasonOf(s), v1::NOT_UNDECIDED) << other << s;
  }
  EXPECT_EQ(StateOf(1), "sending");
  EXPECT_TRUE(Notes("notifications_untold").empty());
  ASSERT_TRUE(Decide(Say("told", {"ntf_1_down", "ntf_2_down"})).ok());
  EXPECT_EQ(StateOf(1), "delivered");
  EXPECT_EQ(StateOf(3), "sending");
  EXPECT_EQ(End(job).status(), "ok");
}

TEST_F(DecisionsTest, TheFormIsLookedAtFirst) {
  const auto refused = [&](const std::function<void(v1::DecideNotificationsRequest*)>& change,
                           v1::ErrorReason reason) {
    auto request = Say("told", {"ntf_1_down"});
    change(&request);
    EXPECT_EQ(ReasonOf(Decide(request)), reason) << request.ShortDebugString();
  };
  refused([](auto* r) { r->clear_bucket_min(); }, v1::INVALID_BUCKET_RANGE);
  refused([](auto* r) { r->set_decision("maybe"); }, v1::INVALID_FIELD);
  refused([](auto* r) { r->clear_notification_ids(); }, v1::INVALID_FIELD);
  refused([](auto* r) { r->set_all(true); }, v1::INVALID_FIELD);
  refused([](auto* r) { r->add_notification_ids("ntf_1_down"); }, v1::INVALID_FIELD);
  const auto too_many = [](auto* r) {
    for (int i = 0; i < 200; ++i) r->add_notification_ids(std::to_string(i));
  };
  refused(too_many, v1::INVALID_FIELD);
  refused([](auto* r) { r->set_note(std::string(1001, 'x')); }, v1::INVALID_FIELD);
  refused([](auto* r) { r->set_run_id("rol_none"); }, v1::RUN_NOT_FOUND);
  refused([](auto* r) { r->set_bucket_max(kRange.max + 1); }, v1::RUN_RANGE_MISMATCH);
  v1::ListNotificationsRequest list;
  list.set_bucket_min(0);
  list.set_bucket_max(3);
  list.set_state("sent");
  v1::ListNotificationsResponse rows;
  EXPECT_EQ(ReasonOf(service_->ListNotifications(list, &rows)), v1::INVALID_FIELD);
}

}  // namespace
}  // namespace jetmon::rollout
