#include "store/vantages.h"

#include "absl/strings/str_cat.h"
#include "store/ids.h"
#include "store/rows.h"

namespace jetmon::store {
namespace {

constexpr char kVantageColumns[] =
    "vantage_id, trust, endpoint, region, provider, token_hash, token_fingerprint, approved_by, "
    "revision, created_at_ms, updated_at_ms";
// The column agent_id is the row's key, agent_name the agent's own id.
constexpr char kAgentColumns[] =
    "agent_id, agent_name, vantage_id, endpoint, state, lease_id, seq, server_instance, "
    "protocol_min, "
    "protocol_max, build, region, provider, max_concurrency, queue_capacity, in_flight, "
    "queue_depth, completed, failed, connected_at_ms, updated_at_ms";

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

// The key of an agent's row, 1 to 64 characters: "vantage/agent", or as much of that as leaves room
// for '#' and 32 digits of its hash. Names hold neither '/' nor '#', so no two agents share a key,
// and none has that of an older build's row, which is the agent's id alone.
std::string RowKey(std::string_view vantage_id, std::string_view agent_id) {
  constexpr size_t kLongest = 64, kDigits = 32;
  std::string key = absl::StrCat(absl::string_view(vantage_id.data(), vantage_id.size()), "/",
                                 absl::string_view(agent_id.data(), agent_id.size()));
  if (key.size() <= kLongest) return key;
  return absl::StrCat(key.substr(0, kLongest - kDigits - 1), "#",
                      Sha256Hex(key).substr(0, kDigits));
}

// An older build's row has no name and the agent's id as its key.
std::string OwnId(const std::string& row_key, std::string name) {
  return name.empty() ? row_key : name;
}

Agent AgentOf(const sql::Row& row) {
  Agent a;
  a.row_key = row.Text(0);
  a.agent_id = OwnId(a.row_key, row.Text(1));
  a.vantage_id = row.Text(2);
  a.endpoint = row.Text(3);
  a.state = row.Text(4);
  a.lease_id = row.Text(5);
  a.seq = row.Uint(6);
  a.server_instance = row.Text(7);
  a.protocol_min = static_cast<int>(row.Int(8));
  a.protocol_max = static_cast<int>(row.Int(9));
  a.build = row.Text(10);
  a.region = row.Text(11);
  a.provider = row.Text(12);
  a.max_concurrency = static_cast<int>(row.Int(13));
  a.queue_capacity = static_cast<int>(row.Int(14));
  a.in_flight = static_cast<int>(row.Int(15));
  a.queue_depth = static_cast<int>(row.Int(16));
  a.completed = row.Uint(17);
  a.failed = row.Uint(18);
  a.connected_at_ms = row.Int(19);
  a.updated_at_ms = row.Int(20);
  return a;
}

AgentLease LeaseOf(const sql::Row& row) {
  AgentLease l;
  l.row_key = row.Text(0);
  l.agent_id = OwnId(l.row_key, row.Text(1));
  l.vantage_id = row.Text(2);
  l.lease_id = row.Text(3);
  l.server_instance = row.Text(4);
  l.seq = row.Uint(5);
  return l;
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

absl::StatusOr<int64_t> CountPendingVantages(sql::Transaction& tx) {
  int64_t count = 0;
  auto s = tx.QueryOne("SELECT COUNT(*) FROM jetmon_veriflier_vantages WHERE trust = 'pending'", {},
                       [&](const sql::Row& row) {
                         count = row.Int(0);
                         return absl::OkStatus();
                       });
  if (!s.ok()) return s.status();
  return count;
}

absl::StatusOr<std::vector<AskableVantage>> AskableVantages(sql::Transaction& tx) {
  auto vantages = TrustedVantages(tx);
  if (!vantages.ok()) return vantages.status();
  std::vector<AskableVantage> askable;
  for (Vantage& v : *vantages) {
    AskableVantage a;
    a.vantage = std::move(v);
    if (!a.vantage.endpoint.empty()) {
      a.endpoints.push_back(a.vantage.endpoint);
    } else {
      auto agents = AgentsOfVantage(tx, a.vantage.vantage_id);
      if (!agents.ok()) return agents.status();
      for (const Agent& agent : *agents) a.endpoints.push_back(agent.endpoint);
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
  const std::string key = RowKey(a.vantage_id, a.agent_id);
  auto known = tx.QueryOne("SELECT agent_id FROM jetmon_veriflier_agents WHERE agent_id = ?", {key},
                           [](const sql::Row&) { return absl::OkStatus(); });
  if (!known.ok()) return known.status();
  if (!*known) {
    auto renamed = tx.ExecuteOne(
        "UPDATE jetmon_veriflier_agents SET agent_id = ?, agent_name = ? WHERE agent_id = ? AND "
        "vantage_id = ? AND agent_name = ''",
        {key, a.agent_id, a.agent_id, a.vantage_id});
    if (!renamed.ok()) return renamed.status();
  }
  return tx
      .Execute(std::string("INSERT INTO jetmon_veriflier_agents (") + kAgentColumns +
                   ") VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)" +
                   tx.dialect().OnDuplicateUpdate(
                       {"agent_id"}, {"agent_name",      "vantage_id",     "endpoint",
                                      "state",           "lease_id",       "seq",
                                      "server_instance", "protocol_min",   "protocol_max",
                                      "build",           "region",         "provider",
                                      "max_concurrency", "queue_capacity", "in_flight",
                                      "queue_depth",     "completed",      "failed",
                                      "connected_at_ms", "updated_at_ms"}),
               {key,
                a.agent_id,
                a.vantage_id,
                a.endpoint,
                a.state,
                a.lease_id,
                a.seq,
                a.server_instance,
                a.protocol_min,
                a.protocol_max,
                a.build,
                a.region,
                a.provider,
                a.max_concurrency,
                a.queue_capacity,
                a.in_flight,
                a.queue_depth,
                a.completed,
                a.failed,
                a.connected_at_ms,
                a.updated_at_ms})
      .status();
}

absl::Status SaveHeartbeats(sql::Transaction& tx, const std::vector<Agent>& agents) {
  for (const Agent& a : agents) {
    // None matched: the agent registered anew meanwhile, and its old figures do not matter.
    auto matched = tx.Execute(
        "UPDATE jetmon_veriflier_agents SET seq = seq + 1, state = 'live', in_flight = ?, "
        "queue_depth = ?, completed = ?, failed = ?, updated_at_ms = ? WHERE agent_id = ? AND "
        "lease_id = ? AND state IN ('live', 'lost')",
        {a.in_flight, a.queue_depth, a.completed, a.failed, a.updated_at_ms,
         RowKey(a.vantage_id, a.agent_id), a.lease_id});
    if (!matched.ok()) return matched.status();
  }
  return absl::OkStatus();
}

absl::StatusOr<bool> EndAgent(sql::Transaction& tx, const Agent& a, std::string_view state,
                              int64_t now_ms) {
  return tx.ExecuteOne(
      "UPDATE jetmon_veriflier_agents SET state = ?, updated_at_ms = ? WHERE agent_id = ? AND "
      "lease_id = ? AND state = 'live'",
      {state, now_ms, RowKey(a.vantage_id, a.agent_id), a.lease_id});
}

absl::StatusOr<std::vector<AgentLease>> LiveLeases(sql::Transaction& tx) {
  return Select(tx,
                "SELECT agent_id, agent_name, vantage_id, lease_id, server_instance, seq FROM "
                "jetmon_veriflier_agents WHERE state = 'live' ORDER BY agent_id LIMIT 100000",
                {}, LeaseOf);
}

absl::StatusOr<bool> EndUnrenewed(sql::Transaction& tx, const AgentLease& seen, int64_t now_ms) {
  return tx.ExecuteOne(
      "UPDATE jetmon_veriflier_agents SET state = 'lost', updated_at_ms = ? WHERE agent_id = ? AND "
      "lease_id = ? AND seq = ? AND server_instance = ? AND state = 'live'",
      {now_ms, seen.row_key, seen.lease_id, seen.seq, seen.server_instance});
}

absl::StatusOr<Page<Agent>> ListAgents(sql::Transaction& tx, std::string_view vantage_id,
                                       const PageRequest& page) {
  auto after = KeyOfPageToken(page.token);
  if (!after.ok()) return after.status();
  const PageQuery query({{"vantage_id", vantage_id}}, "agent_id", *after, page.size + 1);
  auto rows = Select(tx, FromAgents(query.rest()), query.values(), AgentOf);
  if (!rows.ok()) return rows.status();
  return MakePage(std::move(*rows), page.size, [](const Agent& a) { return a.row_key; });
}

absl::StatusOr<std::vector<Agent>> AgentsOfVantage(sql::Transaction& tx,
                                                   std::string_view vantage_id) {
  return Select(tx,
                FromAgents("WHERE vantage_id = ? ORDER BY CASE WHEN state = 'live' THEN 0 ELSE 1 "
                           "END, in_flight + queue_depth, agent_id LIMIT 100"),
                {vantage_id}, AgentOf);
}

}  // namespace jetmon::store
