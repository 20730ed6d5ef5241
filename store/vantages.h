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
// A trusted vantage and where it can be asked, the best endpoint first: its own, or those of its
// agents. A vantage without any still counts among the enabled; it abstains.
struct AskableEndpoint {
  std::string address;  // host:port
  // Of its agent, as it announced it; 0: it did not, see DeadlineBudget::Announced. An endpoint of
  // the vantage's own may lead to any of its agents: the shortest of those that live; 0 if none
  // does.
  int64_t longest_check_ms = 0;
  friend bool operator==(const AskableEndpoint&, const AskableEndpoint&) = default;
};
struct AskableVantage {
  Vantage vantage;
  std::vector<AskableEndpoint> endpoints;
};
absl::StatusOr<std::vector<AskableVantage>> AskableVantages(sql::Transaction& tx);
// False: it exists.
absl::StatusOr<bool> InsertVantage(sql::Transaction& tx, const Vantage& v);
// All fields by id where the revision is v.revision; stores revision + 1. False: changed meanwhile.
absl::StatusOr<bool> UpdateVantage(sql::Transaction& tx, const Vantage& v);
absl::StatusOr<bool> DeleteVantage(sql::Transaction& tx, std::string_view id);

struct Agent {
  std::string agent_id, vantage_id;
  std::string endpoint;  // host:port that it advertises
  std::string state;     // live, lost, replaced, goodbye
  std::string lease_id;
  uint64_t seq = 0;
  std::string server_instance;  // the control-plane replica that holds its stream
  int protocol_min = 1, protocol_max = 1;
  std::string build, region, provider;
  int max_concurrency = 0, queue_capacity = 0, in_flight = 0, queue_depth = 0;
  uint64_t completed = 0, failed = 0;
  int64_t longest_check_ms = 0;  // 0: it did not say
  int64_t connected_at_ms = 0, updated_at_ms = 0;
};

// Insert or replace by agent_id (a new registration: new lease_id).
absl::Status SaveAgent(sql::Transaction& tx, const Agent& a);
// Heartbeats of many agents at once: statistics and seq + 1 where lease_id is as given.
absl::Status SaveHeartbeats(sql::Transaction& tx, const std::vector<Agent>& agents);
// live -> state (lost, replaced, goodbye) where lease_id is this.
absl::StatusOr<bool> EndAgent(sql::Transaction& tx, std::string_view agent_id,
                              std::string_view lease_id, std::string_view state, int64_t now_ms);
// Agents that say live under another server instance (after a restart of it): as they are.
absl::StatusOr<std::vector<Agent>> LiveAgents(sql::Transaction& tx);
absl::StatusOr<Page<Agent>> ListAgents(sql::Transaction& tx, std::string_view vantage_id,
                                       const PageRequest& page);
// Agents of a vantage, live ones first, at most 100.
absl::StatusOr<std::vector<Agent>> AgentsOfVantage(sql::Transaction& tx,
                                                   std::string_view vantage_id);

}  // namespace jetmon::store

#endif  // JETMON_STORE_VANTAGES_H_
