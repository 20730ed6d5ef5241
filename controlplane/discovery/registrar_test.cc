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
  std::string trust() {
    std::lock_guard lock(mutex_);
    return trust_;
  }
  std::string closed() {
    std::lock_guard lock(mutex_);
    return closed_;
  }

 private:
  std::mutex mutex_;
  std::string trust_, closed_;
};

class RegistrarTest : public testing::Test {
 protected:
  RegistrarTest() {
    store::Vantage v;
    v.vantage_id = "v-1";
    v.trust = "trusted";
    v.token_hash = store::Sha256Hex("jv_good");
    EXPECT_TRUE(
        db_->Write([&](sql::Transaction& tx) { return store::InsertVantage(tx, v).status(); })
            .ok());
    registrar_ = std::make_unique<Registrar>(
        *db_, clock_, Registrar::Options{"cp-1", "ins_cp", 30, 10, 1000, 20'000});
  }
  static v1::Hello Hello(const std::string& agent, const std::string& vantage) {
    v1::Hello hello;
    hello.set_agent_id(agent);
    hello.set_vantage_id(vantage);
    hello.set_endpoint("127.0.0.1:7804");
    hello.set_protocol_min(1);
    hello.set_protocol_max(1);
    hello.set_longest_check_ms(15'000);
    return hello;
  }
  v1::Welcome Join(const std::string& agent, const std::string& vantage, const std::string& token,
                   const std::shared_ptr<Link>& link) {
    return registrar_->Join(Hello(agent, vantage), token, link).welcome();
  }
  std::string StateOf(const std::string& agent) {
    std::string state;
    EXPECT_TRUE(db_->Read([&](sql::Transaction& tx) -> absl::Status {
                     const auto page = store::ListAgents(tx, "", {200, ""});
                     for (const auto& a : page->rows) {
                       if (a.agent_id == agent) state = a.state;
                     }
                     return absl::OkStatus();
                   })
                    .ok());
    return state;
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

TEST_F(RegistrarTest, KeepsTheLongestCheckThatAnAgentAnnounces) {
  auto link = std::make_shared<Link>();
  Join("a-1", "v-1", "jv_good", link);
  EXPECT_TRUE(db_->Read([&](sql::Transaction& tx) -> absl::Status {
                   const auto agents = store::AgentsOfVantage(tx, "v-1");
                   EXPECT_EQ(agents->size(), 1u);
                   EXPECT_EQ(agents->at(0).longest_check_ms, 15'000);
                   return absl::OkStatus();
                 })
                  .ok());
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
  EXPECT_EQ(registrar_->Join(old, "jv_good", link).welcome().trust(), "rejected");
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
  registrar_->Left(first.get(), false);  // its stream ends: the second one stays
  clock_.Advance(seconds(20));
  registrar_->Beat(second.get(), v1::Heartbeat());
  clock_.Advance(seconds(20));
  EXPECT_EQ(StateOf("a-1"), "live");
}

TEST_F(RegistrarTest, ALeaseThatIsNotRenewedIsLost) {
  auto link = std::make_shared<Link>();
  Join("a-1", "v-1", "jv_good", link);
  clock_.Advance(seconds(29));
  v1::Heartbeat beat;
  beat.set_in_flight(3);
  EXPECT_TRUE(registrar_->Beat(link.get(), beat).has_heartbeat_ack());
  clock_.Advance(seconds(29));
  EXPECT_EQ(StateOf("a-1"), "live");
  clock_.Advance(seconds(2));
  EXPECT_TRUE(Until([&] { return StateOf("a-1") == "lost"; }));
  EXPECT_NE(link->closed(), "");
}

TEST_F(RegistrarTest, ABrokenStreamKeepsItsLeaseAndAGoodbyeDoesNot) {
  auto broken = std::make_shared<Link>(), leaving = std::make_shared<Link>();
  Join("a-1", "v-1", "jv_good", broken);
  Join("a-2", "v-1", "jv_good", leaving);
  registrar_->Left(broken.get(), /*goodbye=*/false);
  registrar_->Left(leaving.get(), /*goodbye=*/true);
  EXPECT_TRUE(Until([&] { return StateOf("a-2") == "goodbye"; }));
  EXPECT_EQ(StateOf("a-1"), "live");
  clock_.Advance(seconds(31));
  EXPECT_TRUE(Until([&] { return StateOf("a-1") == "lost"; }));
}

TEST_F(RegistrarTest, AgentsOfAnEarlierProcessGetOneLeaseToComeBack) {
  auto link = std::make_shared<Link>();
  Join("a-1", "v-1", "jv_good", link);
  registrar_.reset();  // as if killed: the row still says live
  EXPECT_EQ(StateOf("a-1"), "live");
  registrar_ = std::make_unique<Registrar>(
      *db_, clock_, Registrar::Options{"cp-1", "ins_cp2", 30, 10, 1000, 20'000});
  EXPECT_TRUE(Until([&] {
    clock_.Advance(seconds(1));
    return StateOf("a-1") == "lost";
  }));
}

TEST_F(RegistrarTest, ADeletedVantageIsRejected) {
  auto link = std::make_shared<Link>();
  Join("a-1", "v-1", "jv_good", link);
  EXPECT_TRUE(
      db_->Write([](sql::Transaction& tx) { return store::DeleteVantage(tx, "v-1").status(); })
          .ok());
  EXPECT_TRUE(Until([&] { return link->trust() == "rejected"; }));
}

}  // namespace
}  // namespace jetmon::discovery
