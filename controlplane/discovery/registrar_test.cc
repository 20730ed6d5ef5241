#include "controlplane/discovery/registrar.h"

#include "store/ids.h"
#include "store/test_database.h"

namespace jetmon::discovery {
namespace {

using std::chrono::seconds;

class Link final : public AgentLink {
 public:
  void Send(v1::ControlMessage message) override {
    std::lock_guard lock(mutex_);
    if (message.has_trust_changed()) trust_ = message.trust_changed().trust();
  }
  void Close(const std::string& reason) override {
    std::lock_guard lock(mutex_);
    closed_ = reason;
  }
  bool gone() const override { return gone_; }
  // As when the stream breaks, before the registrar is told.
  void Go() { gone_ = true; }
  // What Join answered for it.
  std::shared_ptr<Registrar::Session> session;

  std::string trust() {
    std::lock_guard lock(mutex_);
    return trust_;
  }
  std::string closed() {
    std::lock_guard lock(mutex_);
    return closed_;
  }

 private:
  std::atomic<bool> gone_{false};
  std::mutex mutex_;
  std::string trust_, closed_;
};

class RegistrarTest : public testing::Test {
 protected:
  RegistrarTest() {
    Insert("v-1", "trusted", "jv_good");
    Restart(*db_, "ins_cp");
  }
  void Insert(const std::string& vantage, const std::string& trust, const std::string& token) {
    store::Vantage v;
    v.vantage_id = vantage;
    v.trust = trust;
    v.token_hash = store::Sha256Hex(token);
    EXPECT_TRUE(
        db_->Write([&](sql::Transaction& tx) { return store::InsertVantage(tx, v).status(); })
            .ok());
  }
  void Restart(sql::Database& db, const std::string& instance, int max_agents = 20'000,
               int max_pending = 1000) {
    registrar_.reset();
    registrar_ = std::make_unique<Registrar>(
        db, clock_, Registrar::Options{"cp-1", instance, 30, 10, max_pending, max_agents});
  }
  static v1::Hello Hello(const std::string& agent, const std::string& vantage) {
    v1::Hello hello;
    hello.set_agent_id(agent);
    hello.set_vantage_id(vantage);
    hello.set_endpoint("127.0.0.1:7804");
    hello.set_protocol_min(1);
    hello.set_protocol_max(1);
    return hello;
  }
  v1::Welcome Join(const std::string& agent, const std::string& vantage, const std::string& token,
                   const std::shared_ptr<Link>& link) {
    Registrar::Joined joined = registrar_->Join(Hello(agent, vantage), token, link);
    EXPECT_EQ(joined.session == nullptr, joined.answer.welcome().trust() == "rejected");
    link->session = joined.session;
    return joined.answer.welcome();
  }
  // The agent's row; that of another vantage's agent of the same id is another one.
  store::Agent RowOf(const std::string& agent, const std::string& vantage = "v-1") {
    store::Agent row;
    EXPECT_TRUE(db_->Read([&](sql::Transaction& tx) -> absl::Status {
                     row = {};
                     const auto page = store::ListAgents(tx, vantage, {200, ""});
                     for (const auto& a : page->rows) {
                       if (a.agent_id == agent) row = a;
                     }
                     return absl::OkStatus();
                   })
                    .ok());
    return row;
  }
  std::string StateOf(const std::string& agent, const std::string& vantage = "v-1") {
    return RowOf(agent, vantage).state;
  }
  // Waits for the registrar's own loop; its clock stands still meanwhile.
  bool Until(const std::function<bool()>& condition) {
    for (int i = 0; i < 1000 && !condition(); ++i) {
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
    return condition();
  }
  store::TestDatabase db_;
  ManualClock clock_;
  std::unique_ptr<Registrar> registrar_;
};

TEST_F(RegistrarTest, WelcomesATrustedVantage) {
  auto link = std::make_shared<Link>();
  const v1::Welcome welcome = Join("a-1", "v-1", "jv_good", link);
  EXPECT_EQ(welcome.trust(), "trusted");
  EXPECT_EQ(welcome.lease_ttl_seconds(), 30u);
  EXPECT_EQ(welcome.heartbeat_interval_seconds(), 10u);
  EXPECT_EQ(StateOf("a-1"), "live");
}

TEST_F(RegistrarTest, RejectsAWrongTokenProtocolOrName) {
  auto link = std::make_shared<Link>();
  EXPECT_EQ(Join("a-1", "v-1", "jv_bad", link).trust(), "rejected");
  EXPECT_EQ(Join("", "v-1", "jv_good", link).trust(), "rejected");
  EXPECT_EQ(Join("a 1", "v-1", "jv_good", link).trust(), "rejected");
  EXPECT_EQ(Join("a-1", "v-1", "", link).trust(), "rejected");
  v1::Hello old = Hello("a-1", "v-1");
  old.set_protocol_min(2);
  old.set_protocol_max(3);
  EXPECT_EQ(registrar_->Join(old, "jv_good", link).answer.welcome().trust(), "rejected");
  EXPECT_EQ(StateOf("a-1"), "");
}

TEST_F(RegistrarTest, AnUnknownVantageIsPendingWithItsFirstToken) {
  auto link = std::make_shared<Link>();
  EXPECT_EQ(Join("a-9", "v-9", "jv_first", link).trust(), "pending");
  EXPECT_EQ(Join("a-8", "v-9", "jv_second", std::make_shared<Link>()).trust(), "rejected");
  EXPECT_TRUE(db_->Write([](sql::Transaction& tx) -> absl::Status {
                   auto v = **store::GetVantage(tx, "v-9");
                   EXPECT_EQ(v.trust, "pending");
                   v.trust = "trusted";  // an operator approves
                   return store::UpdateVantage(tx, v).status();
                 })
                  .ok());
  EXPECT_TRUE(Until([&] { return link->trust() == "trusted"; }));
}

TEST_F(RegistrarTest, TheSameAgentReplacesItself) {
  auto first = std::make_shared<Link>(), second = std::make_shared<Link>();
  Join("a-1", "v-1", "jv_good", first);
  EXPECT_EQ(Join("a-1", "v-1", "jv_bad", second).trust(), "rejected");
  EXPECT_EQ(first->closed(), "");
  EXPECT_EQ(Join("a-1", "v-1", "jv_good", second).trust(), "trusted");
  EXPECT_NE(first->closed(), "");
  registrar_->Left(first->session, false);  // its stream ends: the second one stays
  clock_.Advance(seconds(20));
  registrar_->Beat(second->session, v1::Heartbeat());
  clock_.Advance(seconds(20));
  EXPECT_EQ(StateOf("a-1"), "live");
}

TEST_F(RegistrarTest, ALeaseThatIsNotRenewedIsLost) {
  auto link = std::make_shared<Link>();
  Join("a-1", "v-1", "jv_good", link);
  clock_.Advance(seconds(29));
  v1::Heartbeat beat;
  beat.set_in_flight(3);
  EXPECT_TRUE(registrar_->Beat(link->session, beat).has_heartbeat_ack());
  clock_.Advance(seconds(29));
  EXPECT_EQ(StateOf("a-1"), "live");
  clock_.Advance(seconds(2));
  EXPECT_TRUE(Until([&] { return StateOf("a-1") == "lost"; }));
  EXPECT_NE(link->closed(), "");
}

TEST_F(RegistrarTest, ABrokenStreamKeepsItsLeaseAndAGoodbyeDoesNot) {
  auto broken = std::make_shared<Link>(), leaving = std::make_shared<Link>();
  auto never_beat = std::make_shared<Link>();
  Join("a-1", "v-1", "jv_good", broken);
  Join("a-2", "v-1", "jv_good", leaving);
  Join("a-3", "v-1", "jv_good", never_beat);
  registrar_->Beat(broken->session, v1::Heartbeat());
  registrar_->Left(never_beat->session, /*goodbye=*/false);
  registrar_->Left(broken->session, /*goodbye=*/false);
  registrar_->Left(leaving->session, /*goodbye=*/true);
  EXPECT_TRUE(Until([&] { return StateOf("a-2") == "goodbye"; }));
  EXPECT_TRUE(Until([&] { return StateOf("a-3") == "lost"; }));
  EXPECT_EQ(StateOf("a-1"), "live");
  clock_.Advance(seconds(31));
  EXPECT_TRUE(Until([&] { return StateOf("a-1") == "lost"; }));
}

TEST_F(RegistrarTest, ADeletedVantageIsRejected) {
  auto link = std::make_shared<Link>();
  Join("a-1", "v-1", "jv_good", link);
  EXPECT_TRUE(
      db_->Write([](sql::Transaction& tx) { return store::DeleteVantage(tx, "v-1").status(); })
          .ok());
  EXPECT_TRUE(Until([&] { return link->trust() == "rejected"; }));
}

// --- an agent is a vantage and an agent id

TEST_F(RegistrarTest, AStrangersHelloChangesNothingOfATrustedVantagesAgent) {
  Insert("v-off", "disabled", "jv_off");
  auto real = std::make_shared<Link>();
  Join("a-1", "v-1", "jv_good", real);
  const store::Agent before = RowOf("a-1");
  struct Claim {
    const char *vantage, *token, *trust;
  };
  std::vector<std::shared_ptr<Link>> strangers;
  for (const Claim& c :
       {Claim{"v-unknown", "jv_any", "pending"}, Claim{"v-unknown", "jv_any", "pending"},
        Claim{"v-unknown", "jv_other", "rejected"}, Claim{"v-1", "jv_bad", "rejected"},
        Claim{"v-off", "jv_off", "disabled"}, Claim{"v-off", "jv_good", "rejected"}}) {
    SCOPED_TRACE(c.vantage);
    strangers.push_back(std::make_shared<Link>());
    EXPECT_EQ(Join("a-1", c.vantage, c.token, strangers.back()).trust(), c.trust);
    EXPECT_EQ(real->closed(), "");
    const store::Agent after = RowOf("a-1");
    EXPECT_EQ(after.lease_id, before.lease_id);
    EXPECT_EQ(after.state, "live");
    EXPECT_EQ(after.endpoint, before.endpoint);
  }
  // Nor does the end of what it has.
  for (const auto& stranger : strangers) {
    if (stranger->session != nullptr) registrar_->Left(stranger->session, /*goodbye=*/true);
  }
  EXPECT_TRUE(Until([&] { return StateOf("a-1", "v-unknown") == "goodbye"; }));
  EXPECT_TRUE(Until([&] { return StateOf("a-1", "v-off") == "goodbye"; }));
  clock_.Advance(seconds(20));
  registrar_->Beat(real->session, v1::Heartbeat());
  clock_.Advance(seconds(20));
  EXPECT_TRUE(Until([&] { return RowOf("a-1").seq == 1; }));
  EXPECT_EQ(StateOf("a-1"), "live");
  EXPECT_EQ(real->closed(), "");
}

TEST_F(RegistrarTest, TheSameIdUnderTwoApprovedVantagesIsTwoAgents) {
  Insert("v-2", "trusted", "jv_two");
  auto one = std::make_shared<Link>(), two = std::make_shared<Link>();
  EXPECT_EQ(Join("a-1", "v-1", "jv_good", one).trust(), "trusted");
  EXPECT_EQ(Join("a-1", "v-2", "jv_two", two).trust(), "trusted");
  EXPECT_EQ(one->closed(), "");
  EXPECT_EQ(StateOf("a-1", "v-1"), "live");
  EXPECT_EQ(StateOf("a-1", "v-2"), "live");
  registrar_->Left(one->session, /*goodbye=*/true);
  EXPECT_TRUE(Until([&] { return StateOf("a-1", "v-1") == "goodbye"; }));
  EXPECT_EQ(StateOf("a-1", "v-2"), "live");
  EXPECT_EQ(two->closed(), "");
}

TEST_F(RegistrarTest, WhatStrangersMayWriteIsBounded) {
  Restart(*db_, "ins_cp", 20'000, /*max_pending=*/2);
  // More vantages than a page of their list, and all before the strangers'.
  for (int i = 0; i < 201; ++i) Insert("w-" + std::to_string(i), "trusted", "jv_w");
  std::vector<std::shared_ptr<Link>> links;
  const auto join = [&](const std::string& agent, const std::string& vantage) {
    links.push_back(std::make_shared<Link>());
    return Join(agent, vantage, "jv_any", links.back()).trust();
  };
  EXPECT_EQ(join("a-0", "a-1"), "pending");
  EXPECT_EQ(join("a-0", "a-2"), "pending");
  EXPECT_EQ(join("a-0", "a-3"), "rejected");
  int pending = 1;
  for (int i = 1; i < 30; ++i) pending += join("a-" + std::to_string(i), "a-1") == "pending";
  EXPECT_EQ(pending, 20);
  EXPECT_EQ(join("a-0", "a-1"), "pending");  // one of them comes back
}

// --- a Hello whose stream goes away

TEST_F(RegistrarTest, AHelloWhoseStreamHasGoneLeavesNeitherSessionNorLiveRow) {
  // The stream goes before its turn, while its vantage is looked up, and while its row is written.
  for (const std::string_view when :
       {"", "WHERE vantage_id = ?", "INSERT INTO jetmon_veriflier_agents"}) {
    SCOPED_TRACE(when);
    auto link = std::make_shared<Link>();
    if (when.empty()) link->Go();
    sql::Options options;
    options.observer = [&](std::string_view sql, sql::Params) {
      if (!when.empty() && sql.find(when) != sql.npos) link->Go();
    };
    auto slow = db_.OpenAnother(std::move(options));
    Restart(*slow, "ins_cp", /*max_agents=*/1);
    Join("a-1", "v-1", "jv_good", link);
    EXPECT_EQ(link->session, nullptr);
    EXPECT_TRUE(Until([&] { return StateOf("a-1") != "live"; }));
    // There is room for one session, and nobody's is in it.
    auto other = std::make_shared<Link>();
    EXPECT_EQ(Join("a-2", "v-1", "jv_good", other).trust(), "trusted");
    registrar_->Left(other->session, /*goodbye=*/true);
    EXPECT_TRUE(Until([&] { return StateOf("a-2") == "goodbye"; }));
    registrar_.reset();  // before its database
  }
}

TEST_F(RegistrarTest, AReplacedSessionEndsNothingOfItsSuccessor) {
  auto first = std::make_shared<Link>(), second = std::make_shared<Link>();
  Join("a-1", "v-1", "jv_good", first);
  registrar_->Beat(first->session, v1::Heartbeat());
  Join("a-1", "v-1", "jv_good", second);
  registrar_->Left(first->session, /*goodbye=*/true);
  registrar_->Left(first->session, /*goodbye=*/false);
  v1::Heartbeat beat;
  beat.set_in_flight(7);
  registrar_->Beat(first->session, beat);
  beat.set_in_flight(3);
  registrar_->Beat(second->session, beat);
  EXPECT_TRUE(Until([&] { return RowOf("a-1").seq == 1; }));
  EXPECT_EQ(RowOf("a-1").in_flight, 3);
  EXPECT_EQ(StateOf("a-1"), "live");
}

// --- replicas

// Counts the looks that a registrar takes at the leases of others, so that a test can let its clock
// go on by one look's time after each.
class Looks {
 public:
  sql::Options Observing() {
    sql::Options options;
    options.observer = [this](std::string_view sql, sql::Params) {
      if (sql.find("seq FROM jetmon_veriflier_agents WHERE state = 'live'") != sql.npos) ++count_;
    };
    return options;
  }
  int count() const { return count_; }

 private:
  std::atomic<int> count_{0};
};

class ReplicasTest : public RegistrarTest {
 protected:
  void StartOther() {
    other_ = std::make_unique<Registrar>(*other_db_, other_clock_,
                                         Registrar::Options{"cp-2", "ins_b", 30, 10, 1000, 20'000});
    ASSERT_TRUE(Until([&] { return looks_.count() == 1; }));
  }
  // One heartbeat interval goes by on the other replica's clock, and it looks.
  void OtherLooks() {
    const int before = looks_.count();
    other_clock_.Advance(seconds(10));
    ASSERT_TRUE(Until([&] { return looks_.count() > before; }));
  }
  Looks looks_;
  ManualClock other_clock_;
  std::unique_ptr<sql::Database> other_db_ = db_.OpenAnother(looks_.Observing());
  std::unique_ptr<Registrar> other_;
};

TEST_F(ReplicasTest, AStartingReplicaLeavesAnothersLiveAgentsAlone) {
  auto link = std::make_shared<Link>();
  Join("a-1", "v-1", "jv_good", link);
  StartOther();
  for (int i = 1; i <= 6; ++i) {
    registrar_->Beat(link->session, v1::Heartbeat());
    ASSERT_TRUE(Until([&] { return RowOf("a-1").seq == static_cast<uint64_t>(i); }));
    OtherLooks();
    ASSERT_EQ(StateOf("a-1"), "live") << i;
  }
  EXPECT_EQ(link->closed(), "");
}

TEST_F(ReplicasTest, AgentsThatADeadReplicaHeldAreLostAfterALeaseAndAHeartbeat) {
  auto link = std::make_shared<Link>();
  Join("a-1", "v-1", "jv_good", link);
  Join("a-2", "v-1", "jv_good", std::make_shared<Link>());
  registrar_->Beat(link->session, v1::Heartbeat());
  ASSERT_TRUE(Until([&] { return RowOf("a-1").seq == 1; }));
  StartOther();
  registrar_.reset();  // as if killed: the rows still say live
  auto back = std::make_shared<Link>();
  EXPECT_EQ(other_->Join(Hello("a-2", "v-1"), "jv_good", back).answer.welcome().trust(), "trusted");
  // 40 s after the first look the lease and the heartbeat's time are not over.
  for (int i = 0; i < 4; ++i) {
    OtherLooks();
    EXPECT_EQ(StateOf("a-1"), "live");
  }
  OtherLooks();
  EXPECT_TRUE(Until([&] { return StateOf("a-1") == "lost"; }));
}

TEST_F(ReplicasTest, WhatNobodyCouldLookAtIsNoEvidence) {
  auto link = std::make_shared<Link>();
  Join("a-1", "v-1", "jv_good", link);
  StartOther();
  for (int i = 0; i < 3; ++i) OtherLooks();
  // As when the database was away, or the machine slept.
  other_clock_.Advance(seconds(600));
  OtherLooks();
  for (int i = 0; i < 4; ++i) OtherLooks();
  EXPECT_EQ(StateOf("a-1"), "live");
}

TEST_F(ReplicasTest, ARenewalMakesAnAgentLiveAgainThatAnotherReplicaTookForLost) {
  auto link = std::make_shared<Link>();
  Join("a-1", "v-1", "jv_good", link);
  StartOther();
  for (int i = 0; i < 5; ++i) OtherLooks();
  ASSERT_TRUE(Until([&] { return StateOf("a-1") == "lost"; }));
  registrar_->Beat(link->session, v1::Heartbeat());
  EXPECT_TRUE(Until([&] { return StateOf("a-1") == "live"; }));
  // But not one whose stream has ended.
  registrar_->Left(link->session, /*goodbye=*/true);
  EXPECT_TRUE(Until([&] { return StateOf("a-1") == "goodbye"; }));
}

}  // namespace
}  // namespace jetmon::discovery
