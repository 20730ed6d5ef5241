#include "store/vantages.h"

#include <algorithm>

#include "clock/deadline_budget.h"
#include "store/rows.h"

namespace jetmon::store {
namespace {

constexpr char kVantageColumns[] =
    "vantage_id, trust, endpoint, region, provider, token_hash, token_fingerprint, approved_by, "
    "revision, created_at_ms, updated_at_ms";
constexpr char kAgentColumns[] =
    "agent_id, vantage_id, endpoint, state, lease_id, seq, server_instance, protocol_min, "
    "protocol_max, build, region, provider, max_concurrency, queue_capacity, in_flight, "
    "queue_depth, completed, failed, connected_at_ms, updated_at_ms, longest_check_ms";

Vantage VantageOf(const sql::Row& row) {
  Vantage v;
  v.vantage_id = row.Text(0);
  v.trust = row.Text(1);
  v.endpoint = row.Text(2);
  v.region = row.Text(3);
  v.provider = row.Text(4);
  v.token_hash = row.Text(5);
  v.token_fingerprint = row.Text(6);
  v.approved_by = row.Text(7);
  v.revision = row.Uint(8);
  v.created_at_ms = row.Int(9);
  v.updated_at_ms = row.Int(10);
  return v;
}

Agent AgentOf(const sql::Row& row) {
  Agent a;
  a.agent_id = row.Text(0);
  a.vantage_id = row.Text(1);
  a.endpoint = row.Text(2);
  a.state = row.Text(3);
  a.lease_id = row.Text(4);
  a.seq = row.Uint(5);
  a.server_instance = row.Text(6);
  a.protocol_min = static_cast<int>(row.Int(7));
  a.protocol_max = static_cast<int>(row.Int(8));
  a.build = row.Text(9);
  a.region = row.Text(10);
  a.provider = row.Text(11);
  a.max_concurrency = static_cast<int>(row.Int(12));
  a.queue_capacity = static_cast<int>(row.Int(13));
  a.in_flight = static_cast<int>(row.Int(14));
  a.queue_depth = static_cast<int>(row.Int(15));
  a.completed = row.Uint(16);
  a.failed = row.Uint(17);
  a.connected_at_ms = row.Int(18);
  a.updated_at_ms = row.Int(19);
  a.longest_check_ms = row.Int(20);
  return a;
}

template <typename T>
absl::StatusOr<std::vector<T>> Select(sql::Transaction& tx, const std::string& sql,
                                      sql::Params params, T (*of)(const sql::Row&)) {
  std::vector<T> rows;
  auto s = tx.Query(sql, params, [&](const sql::Row& row) {
    rows.push_back(of(row));
    return absl::OkStatus();
  });
  if (!s.ok()) return s;
  return rows;
}

std::string FromVantages(const char* rest) {
  return std::string("SELECT ") + kVantageColumns + " FROM jetmon_veriflier_vantages " + rest;
}
std::string FromAgents(const std::string& rest) {
  return std::string("SELECT ") + kAgentColumns + " FROM jetmon_veriflier_agents " + rest;
}

}  // namespace

absl::StatusOr<std::optional<Vantage>> GetVantage(sql::Transaction& tx, std::string_view id) {
  auto rows = Select(tx, FromVantages("WHERE vantage_id = ?"), {id}, VantageOf);
  if (!rows.ok()) return rows.status();
  return rows->empty() ? std::nullopt : std::optional((*rows)[0]);
}

absl::StatusOr<Page<Vantage>> ListVantages(sql::Transaction& tx, const PageRequest& page) {
  auto after = KeyOfPageToken(page.token);
  if (!after.ok()) return after.status();
  auto rows =
      Select(tx, FromVantages("WHERE ? = '' OR vantage_id < ? ORDER BY vantage_id DESC LIMIT ?"),
             {*after, *after, page.size + 1}, VantageOf);
  if (!rows.ok()) return rows.status();
  return MakePage(std::move(*rows), page.size, [](const Vantage& v) { return v.vantage_id; });
}

absl::StatusOr<std::vector<Vantage>> TrustedVantages(sql::Transaction& tx) {
  return Select(tx, FromVantages("WHERE trust = 'trusted' ORDER BY vantage_id LIMIT 1000"), {},
                VantageOf);
}

namespace {

int64_t ShortestOfLive(const std::vector<Agent>& agents) {
  int64_t shortest = 0;  // none lives
  for (const Agent& a : agents) {
    if (a.state != "live") continue;
    const int64_t ms = DeadlineBudget::Announced(a.longest_check_ms).check().count();
    shortest = shortest == 0 ? ms : std::min(shortest, ms);
  }
  return shortest;
}

}  // namespace

absl::StatusOr<std::vector<AskableVantage>> AskableVantages(sql::Transaction& tx) {
  auto vantages = TrustedVantages(tx);
  if (!vantages.ok()) return vantages.status();
  std::vector<AskableVantage> askable;
  for (Vantage& v : *vantages) {
    AskableVantage a;
    a.vantage = std::move(v);
    auto agents = AgentsOfVantage(tx, a.vantage.vantage_id);
    if (!agents.ok()) return agents.status();
    if (!a.vantage.endpoint.empty()) {
      a.endpoints.push_back({a.vantage.endpoint, ShortestOfLive(*agents)});
    } else {
      for (const Agent& agent : *agents) {
        a.endpoints.push_back({agent.endpoint, agent.longest_check_ms});
      }
    }
    askable.push_back(std::move(a));
  }
  return askable;
}

absl::StatusOr<bool> InsertVantage(sql::Transaction& tx, const Vantage& v) {
  return tx.InsertIfNew(
      std::string("INSERT INTO jetmon_veriflier_vantages (") + kVantageColumns +
          ") VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
      {v.vantage_id, v.trust, v.endpoint, v.region, v.provider, v.token_hash, v.token_fingerprint,
       v.approved_by, v.revision, v.created_at_ms, v.updated_at_ms});
}

absl::StatusOr<bool> UpdateVantage(sql::Transaction& tx, const Vantage& v) {
  return tx.ExecuteOne(
      "UPDATE jetmon_veriflier_vantages SET trust = ?, endpoint = ?, region = ?, provider = ?, "
      "token_hash = ?, token_fingerprint = ?, approved_by = ?, revision = revision + 1, "
      "updated_at_ms = ? WHERE vantage_id = ? AND revision = ?",
      {v.trust, v.endpoint, v.region, v.provider, v.token_hash, v.token_fingerprint, v.approved_by,
       v.updated_at_ms, v.vantage_id, v.revision});
}

absl::StatusOr<bool> DeleteVantage(sql::Transaction& tx, std::string_view id) {
  return tx.ExecuteOne("DELETE FROM jetmon_veriflier_vantages WHERE vantage_id = ?", {id});
}

absl::Status SaveAgent(sql::Transaction& tx, const Agent& a) {
  return tx
      .Execute(std::string("INSERT INTO jetmon_veriflier_agents (") + kAgentColumns +
                   ") VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)" +
                   tx.dialect().OnDuplicateUpdate({"agent_id"}, {"vantage_id",
                                                                 "endpoint",
                                                                 "state",
                                                                 "lease_id",
                                                                 "seq",
                                                                 "server_instance",
                                                                 "protocol_min",
                                                                 "protocol_max",
                                                                 "build",
                                                                 "region",
                                                                 "provider",
                                                                 "max_concurrency",
                                                                 "queue_capacity",
                                                                 "in_flight",
                                                                 "queue_depth",
                                                                 "completed",
                                                                 "failed",
                                                                 "connected_at_ms",
                                                                 "updated_at_ms",
                                                                 "longest_check_ms"}),
               {a.agent_id,        a.vantage_id,     a.endpoint,
                a.state,           a.lease_id,       a.seq,
                a.server_instance, a.protocol_min,   a.protocol_max,
                a.build,           a.region,         a.provider,
                a.max_concurrency, a.queue_capacity, a.in_flight,
                a.queue_depth,     a.completed,      a.failed,
                a.connected_at_ms, a.updated_at_ms,  a.longest_check_ms})
      .status();
}

absl::Status SaveHeartbeats(sql::Transaction& tx, const std::vector<Agent>& agents) {
  for (const Agent& a : agents) {
    // None matched: the agent registered anew meanwhile, and its old figures do not matter.
    auto matched = tx.Execute(
        "UPDATE jetmon_veriflier_agents SET seq = seq + 1, in_flight = ?, queue_depth = ?, "
        "completed = ?, failed = ?, updated_at_ms = ? WHERE agent_id = ? AND lease_id = ?",
        {a.in_flight, a.queue_depth, a.completed, a.failed, a.updated_at_ms, a.agent_id,
         a.lease_id});
    if (!matched.ok()) return matched.status();
  }
  return absl::OkStatus();
}

absl::StatusOr<bool> EndAgent(sql::Transaction& tx, std::string_view agent_id,
                              std::string_view lease_id, std::string_view state, int64_t now_ms) {
  return tx.ExecuteOne(
      "UPDATE jetmon_veriflier_agents SET state = ?, updated_at_ms = ? WHERE agent_id = ? AND "
      "lease_id = ? AND state = 'live'",
      {state, now_ms, agent_id, lease_id});
}

absl::StatusOr<std::vector<Agent>> LiveAgents(sql::Transaction& tx) {
  return Select(tx, FromAgents("WHERE state = 'live' ORDER BY agent_id LIMIT 100000"), {}, AgentOf);
}

absl::StatusOr<Page<Agent>> ListAgents(sql::Transaction& tx, std::string_view vantage_id,
                                       const PageRequest& page) {
  auto after = KeyOfPageToken(page.token);
  if (!after.ok()) return after.status();
  const PageQuery query({{"vantage_id", vantage_id}}, "agent_id", *after, page.size + 1);
  auto rows = Select(tx, FromAgents(query.rest()), query.values(), AgentOf);
  if (!rows.ok()) return rows.status();
  return MakePage(std::move(*rows), page.size, [](const Agent& a) { return a.agent_id; });
}

absl::StatusOr<std::vector<Agent>> AgentsOfVantage(sql::Transaction& tx,
                                                   std::string_view vantage_id) {
  return Select(tx,
                FromAgents("WHERE vantage_id = ? ORDER BY CASE WHEN state = 'live' THEN 0 ELSE 1 "
                           "END, in_flight + queue_depth, agent_id LIMIT 100"),
                {vantage_id}, AgentOf);
}

}  // namespace jetmon::store
