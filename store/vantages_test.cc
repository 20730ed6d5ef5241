#include "store/vantages.h"

#include <algorithm>

#include "store/test_database.h"

namespace jetmon::store {
namespace {

Agent MakeAgent(const std::string& id, const std::string& lease,
                const std::string& vantage = "v-1") {
  Agent a;
  a.agent_id = id;
  a.vantage_id = vantage;
  a.state = "live";
  a.lease_id = lease;
  return a;
}

TEST(Vantages, ChangeOnTheRevisionSeen) {
  TestDatabase db;
  ASSERT_TRUE(db->Write([](sql::Transaction& tx) -> absl::Status {
                  Vantage v;
                  v.vantage_id = "v-1";
                  v.trust = "pending";
                  EXPECT_TRUE(*InsertVantage(tx, v));
                  EXPECT_FALSE(*InsertVantage(tx, v));
                  EXPECT_TRUE(TrustedVantages(tx)->empty());
                  EXPECT_EQ(*CountPendingVantages(tx), 1);
                  v.trust = "trusted";
                  EXPECT_TRUE(*UpdateVantage(tx, v));
                  EXPECT_FALSE(*UpdateVantage(tx, v));
                  EXPECT_EQ(TrustedVantages(tx)->size(), 1u);
                  EXPECT_EQ(*CountPendingVantages(tx), 0);
                  EXPECT_EQ((*GetVantage(tx, "v-1"))->revision, 1u);
                  EXPECT_FALSE(GetVantage(tx, "v-2")->has_value());
                  EXPECT_EQ(ListVantages(tx, {50, ""})->rows.size(), 1u);
                  EXPECT_TRUE(*DeleteVantage(tx, "v-1"));
                  EXPECT_FALSE(*DeleteVantage(tx, "v-1"));
                  return absl::OkStatus();
                }).ok());
}

TEST(Vantages, AreAskedAtTheirOwnEndpointElseAtTheirAgents) {
  TestDatabase db;
  ASSERT_TRUE(db->Write([](sql::Transaction& tx) -> absl::Status {
                  for (const auto& [id, trust, endpoint] :
                       {std::tuple{"v-1", "trusted", ""}, std::tuple{"v-2", "trusted", "own:1"},
                        std::tuple{"v-3", "trusted", ""}, std::tuple{"v-4", "disabled", "own:2"}}) {
                    Vantage v;
                    v.vantage_id = id;
                    v.trust = trust;
                    v.endpoint = endpoint;
                    EXPECT_TRUE(*InsertVantage(tx, v));
                  }
                  Agent lost = MakeAgent("a-1", "x"), busy = MakeAgent("a-2", "x"),
                        idle = MakeAgent("a-3", "x");
                  lost.state = "lost";
                  lost.endpoint = "lost:1";
                  busy.in_flight = 5;
                  busy.endpoint = "busy:1";
                  idle.endpoint = "idle:1";
                  for (const Agent& a : {lost, busy, idle}) EXPECT_TRUE(SaveAgent(tx, a).ok());
                  const auto askable = AskableVantages(tx);
                  EXPECT_EQ(askable->size(), 3u);
                  EXPECT_EQ((*askable)[0].endpoints,
                            (std::vector<std::string>{"idle:1", "busy:1", "lost:1"}));
                  EXPECT_EQ((*askable)[1].endpoints, std::vector<std::string>{"own:1"});
                  EXPECT_EQ((*askable)[2].vantage.vantage_id, "v-3");
                  EXPECT_TRUE((*askable)[2].endpoints.empty());  // abstains
                  return absl::OkStatus();
                }).ok());
}

TEST(Agents, AnOldLeaseEndsNothing) {
  TestDatabase db;
  ASSERT_TRUE(db->Write([](sql::Transaction& tx) -> absl::Status {
                  EXPECT_TRUE(SaveAgent(tx, MakeAgent("a-1", "old")).ok());
                  EXPECT_TRUE(SaveAgent(tx, MakeAgent("a-1", "new")).ok());
                  EXPECT_FALSE(*EndAgent(tx, MakeAgent("a-1", "old"), "lost", 9));
                  EXPECT_EQ(LiveLeases(tx)->size(), 1u);
                  Agent beat = MakeAgent("a-1", "new");
                  beat.in_flight = 4;
                  EXPECT_TRUE(SaveHeartbeats(tx, {beat, MakeAgent("a-1", "old")}).ok());
                  EXPECT_EQ((*AgentsOfVantage(tx, "v-1"))[0].in_flight, 4);
                  EXPECT_EQ((*AgentsOfVantage(tx, "v-1"))[0].seq, 1u);
                  EXPECT_TRUE(*EndAgent(tx, MakeAgent("a-1", "new"), "goodbye", 9));
                  EXPECT_FALSE(*EndAgent(tx, MakeAgent("a-1", "new"), "lost", 9));
                  EXPECT_TRUE(SaveAgent(tx, MakeAgent("a-2", "x")).ok());
                  EXPECT_EQ((*AgentsOfVantage(tx, "v-1"))[0].agent_id, "a-2");
                  EXPECT_EQ(ListAgents(tx, "v-1", {1, ""})->next_token, "p1.v-1/a-2");
                  return absl::OkStatus();
                }).ok());
}

TEST(Agents, AreNamedByTheirVantageToo) {
  TestDatabase db;
  // Names whose first halves are the same for longer than a row's key is.
  const std::string long_vantage(64, 'v'), long_agent(64, 'a');
  const std::string other_agent = std::string(63, 'a') + "b";
  ASSERT_TRUE(db->Write([&](sql::Transaction& tx) -> absl::Status {
                  const std::vector<Agent> agents = {MakeAgent("a-1", "one", "v-1"),
                                                     MakeAgent("a-1", "two", "v-2"),
                                                     MakeAgent(long_agent, "three", long_vantage),
                                                     MakeAgent(other_agent, "four", long_vantage)};
                  for (const Agent& a : agents) EXPECT_TRUE(SaveAgent(tx, a).ok());
                  for (const Agent& a : agents) {
                    bool found = false;
                    const auto of_vantage = AgentsOfVantage(tx, a.vantage_id);
                    for (const Agent& row : *of_vantage) {
                      if (row.agent_id != a.agent_id) continue;
                      found = true;
                      EXPECT_EQ(row.lease_id, a.lease_id);
                    }
                    EXPECT_TRUE(found) << a.lease_id;
                  }
                  EXPECT_FALSE(*EndAgent(tx, MakeAgent("a-1", "one", "v-2"), "lost", 9));
                  EXPECT_TRUE(*EndAgent(tx, MakeAgent("a-1", "one", "v-1"), "lost", 9));
                  EXPECT_EQ(LiveLeases(tx)->size(), 3u);
                  // Page after page each is listed once, by its own id.
                  std::vector<std::string> listed;
                  PageRequest page{1, ""};
                  do {
                    const auto rows = ListAgents(tx, "", page);
                    if (!rows.ok()) return rows.status();
                    for (const Agent& a : rows->rows) listed.push_back(a.agent_id);
                    page.token = rows->next_token;
                  } while (!page.token.empty());
                  EXPECT_EQ(listed.size(), 4u);
                  EXPECT_EQ(std::count(listed.begin(), listed.end(), "a-1"), 2);
                  EXPECT_EQ(std::count(listed.begin(), listed.end(), long_agent), 1);
                  return absl::OkStatus();
                }).ok());
}

TEST(Agents, AnOlderBuildsRowIsTakenOverByItsOwnVantageOnly) {
  TestDatabase db;
  ASSERT_TRUE(db->Write([](sql::Transaction& tx) -> absl::Status {
                  auto written = tx.Execute(
                      "INSERT INTO jetmon_veriflier_agents (agent_id, vantage_id, endpoint, state, "
                      "lease_id, seq, server_instance, protocol_min, protocol_max, "
                      "connected_at_ms, updated_at_ms) VALUES ('a-1', 'v-1', 'host:1', 'live', "
                      "'old', 3, 'ins_old', 1, 1, 1, 1)");
                  if (!written.ok()) return written.status();
                  EXPECT_EQ((*AgentsOfVantage(tx, "v-1"))[0].agent_id, "a-1");
                  EXPECT_TRUE(SaveAgent(tx, MakeAgent("a-1", "stranger", "v-2")).ok());
                  EXPECT_EQ((*AgentsOfVantage(tx, "v-1"))[0].lease_id, "old");
                  EXPECT_EQ(LiveLeases(tx)->size(), 2u);
                  EXPECT_TRUE(SaveAgent(tx, MakeAgent("a-1", "new", "v-1")).ok());
                  const auto of_vantage = AgentsOfVantage(tx, "v-1");
                  EXPECT_EQ(of_vantage->size(), 1u);
                  EXPECT_EQ((*of_vantage)[0].lease_id, "new");
                  EXPECT_EQ((*of_vantage)[0].agent_id, "a-1");
                  EXPECT_EQ(LiveLeases(tx)->size(), 2u);
                  return absl::OkStatus();
                }).ok());
}

TEST(Agents, OnlyALeaseThatIsAsItWasSeenIsLost) {
  TestDatabase db;
  ASSERT_TRUE(db->Write([](sql::Transaction& tx) -> absl::Status {
                  const Agent agent = MakeAgent("a-1", "lease");
                  EXPECT_TRUE(SaveAgent(tx, agent).ok());
                  const AgentLease seen = (*LiveLeases(tx))[0];
                  EXPECT_TRUE(SaveHeartbeats(tx, {agent}).ok());
                  EXPECT_FALSE(*EndUnrenewed(tx, seen, 9));  // renewed
                  AgentLease now = (*LiveLeases(tx))[0];
                  now.server_instance = "another";
                  EXPECT_FALSE(*EndUnrenewed(tx, now, 9));
                  EXPECT_TRUE(*EndUnrenewed(tx, (*LiveLeases(tx))[0], 9));
                  EXPECT_TRUE(LiveLeases(tx)->empty());
                  // It was alive after all.
                  EXPECT_TRUE(SaveHeartbeats(tx, {agent}).ok());
                  EXPECT_EQ((*AgentsOfVantage(tx, "v-1"))[0].state, "live");
                  // What said goodbye stays away.
                  EXPECT_TRUE(*EndAgent(tx, agent, "goodbye", 9));
                  EXPECT_TRUE(SaveHeartbeats(tx, {agent}).ok());
                  EXPECT_EQ((*AgentsOfVantage(tx, "v-1"))[0].state, "goodbye");
                  return absl::OkStatus();
                }).ok());
}

}  // namespace
}  // namespace jetmon::store
