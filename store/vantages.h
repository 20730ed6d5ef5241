#ifndef JETMON_STORE_VANTAGES_H_
#define JETMON_STORE_VANTAGES_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "store/page.h"
#include "store/sql/database.h"

// The registry of vantages (approved by an operator) and their agents.
namespace jetmon::store {

struct Vantage {
  std::string vantage_id;
  std::string trust;     // trusted (enabled: votes), disabled, pending (unknown, asked nothing)
  std::string endpoint;  // host:port, or "" = use the agents' endpoints
  std::string region, provider;
  std::string token_hash;         // SHA-256 hex of the token; "" = none yet
  std::string token_fingerprint;  // first 12 hex digits of the token's hash, for people
  std::string approved_by;
  uint64_t revision = 0;
  int64_t created_at_ms = 0, updated_at_ms = 0;
};

absl::StatusOr<std::optional<Vantage>> GetVantage(sql::Transaction& tx, std::string_view id);
absl::StatusOr<Page<Vantage>> ListVantages(sql::Transaction& tx, const PageRequest& page);
// All with trust = trusted, by id, at most 1,000. What Monitors and preflight ask.
absl::StatusOr<std::vector<Vantage>> TrustedVantages(sql::Transaction& tx);
// How many wait for approval.
absl::StatusOr<int64_t> CountPendingVantages(sql::Transaction& tx);
// A trusted vantage and where it can be asked, the best endpoint first: its own, or those of its
// agents. A vantage without any still counts among the enabled; it abstains.
struct AskableVantage {
  Vantage vantage;
  std::vector<std::string> endpoints;
};
absl::StatusOr<std::vector<AskableVantage>> AskableVantages(sql::Transaction& tx);
// False: it exists.
absl::StatusOr<bool> InsertVantage(sql::Transaction& tx, const Vantage& v);
// All fields by id where the revision is v.revision; stores revision + 1. False: changed meanwhile.
absl::StatusOr<bool> UpdateVantage(sql::Transaction& tx, const Vantage& v);
absl::StatusOr<bool> DeleteVantage(sql::Transaction& tx, std::string_view id);

// An agent is named by its vantage and its own id: the same id under two vantages is two agents.
struct Agent {
  std::string agent_id, vantage_id;
  std::string row_key;   // of the row that was read; not looked at by SaveAgent
  std::string endpoint;  // host:port that it advertises
  std::string state;     // live, lost, replaced, goodbye
  std::string lease_id;
  uint64_t seq = 0;
  std::string server_instance;  // the control-plane replica that holds its stream
  int protocol_min = 1, protocol_max = 1;
  std::string build, region, provider;
  int max_concurrency = 0, queue_capacity = 0, in_flight = 0, queue_depth = 0;
  uint64_t completed = 0, failed = 0;
  int64_t connected_at_ms = 0, updated_at_ms = 0;
};

// Insert or replace (a new registration: new lease_id). Takes over the row of an older build, which
// names an agent by its id alone, if that is of the same vantage.
absl::Status SaveAgent(sql::Transaction& tx, const Agent& a);
// Heartbeats of many agents at once: statistics and seq + 1 where lease_id is as given. An agent
// that was taken for lost meanwhile is live again.
absl::Status SaveHeartbeats(sql::Transaction& tx, const std::vector<Agent>& agents);
// live -> state (lost, replaced, goodbye) where vantage_id, agent_id and lease_id are those of `a`.
absl::StatusOr<bool> EndAgent(sql::Transaction& tx, const Agent& a, std::string_view state,
                              int64_t now_ms);

// The lease of a live agent: who holds it, and `seq`, which every renewal changes.
struct AgentLease {
  std::string row_key, vantage_id, agent_id, lease_id, server_instance;
  uint64_t seq = 0;
  friend bool operator==(const AgentLease&, const AgentLease&) = default;
};
// The leases of all live agents, whoever holds them; at most 100,000, by row key.
absl::StatusOr<std::vector<AgentLease>> LiveLeases(sql::Transaction& tx);
// live -> lost if the lease is as it was seen. False: it was renewed, replaced or ended meanwhile.
absl::StatusOr<bool> EndUnrenewed(sql::Transaction& tx, const AgentLease& seen, int64_t now_ms);

// By row key, newest first as all lists are: by vantage and id, from the end.
absl::StatusOr<Page<Agent>> ListAgents(sql::Transaction& tx, std::string_view vantage_id,
                                       const PageRequest& page);
// Agents of a vantage, live ones first, at most 100.
absl::StatusOr<std::vector<Agent>> AgentsOfVantage(sql::Transaction& tx,
                                                   std::string_view vantage_id);

}  // namespace jetmon::store

#endif  // JETMON_STORE_VANTAGES_H_
