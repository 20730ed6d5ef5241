#include "controlplane/discovery/vantages.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "controlplane/error/error.h"
#include "controlplane/message/message.h"
#include "store/ids.h"
#include "store/vantages.h"

namespace jetmon::discovery {
namespace {

constexpr size_t kMaxName = 64;
constexpr size_t kMaxEndpoint = 255;
constexpr size_t kFingerprint = 12;

v1::Vantage VantageMessage(const store::Vantage& v, int live_agents) {
  v1::Vantage m;
  m.set_vantage_id(v.vantage_id);
  m.set_trust(v.trust);
  m.set_enabled(v.trust == "trusted");
  m.set_endpoint(v.endpoint);
  m.set_region(v.region);
  m.set_provider(v.provider);
  m.set_token_fingerprint(v.token_fingerprint);
  m.set_approved_by(v.approved_by);
  m.set_revision(v.revision);
  m.set_live_agents(live_agents);
  SetTime(m.mutable_created_at(), v.created_at_ms);
  SetTime(m.mutable_updated_at(), v.updated_at_ms);
  return m;
}

v1::Agent AgentMessage(const store::Agent& a) {
  v1::Agent m;
  m.set_agent_id(a.agent_id);
  m.set_vantage_id(a.vantage_id);
  m.set_endpoint(a.endpoint);
  m.set_state(a.state);
  m.set_protocol_min(a.protocol_min);
  m.set_protocol_max(a.protocol_max);
  m.set_build(a.build);
  m.set_region(a.region);
  m.set_provider(a.provider);
  m.set_max_concurrency(a.max_concurrency);
  m.set_queue_capacity(a.queue_capacity);
  m.set_longest_check_ms(static_cast<uint32_t>(a.longest_check_ms));
  m.set_in_flight(a.in_flight);
  m.set_queue_depth(a.queue_depth);
  m.set_completed(a.completed);
  m.set_failed(a.failed);
  SetTime(m.mutable_connected_at(), a.connected_at_ms);
  SetTime(m.mutable_updated_at(), a.updated_at_ms);
  return m;
}

absl::StatusOr<int> CountLive(sql::Transaction& tx, const std::string& vantage_id) {
  auto agents = store::AgentsOfVantage(tx, vantage_id);
  if (!agents.ok()) return agents.status();
  return static_cast<int>(std::count_if(agents->begin(), agents->end(),
                                        [](const auto& a) { return a.state == "live"; }));
}

absl::Status CheckPut(const v1::PutVantageRequest& r) {
  if (!IsName(r.vantage_id(), kMaxName)) {
    return InvalidField("vantage_id", "takes 1 to 64 letters, digits, '.', '_' and '-'");
  }
  if (r.endpoint().size() > kMaxEndpoint ||
      (!r.endpoint().empty() && r.endpoint().find(':') == std::string::npos)) {
    return InvalidField("endpoint", "takes host:port, or nothing for the agents' endpoints");
  }
  if (r.region().size() > kMaxName || r.provider().size() > kMaxName) {
    return InvalidField("region", "region and provider take up to 64 characters");
  }
  return absl::OkStatus();
}

void GiveToken(store::Vantage* v, const std::string& token) {
  v->token_hash = store::Sha256Hex(token);
  v->token_fingerprint = v->token_hash.substr(0, kFingerprint);
}

absl::Status NotFound(const std::string& id) {
  return Error(v1::VANTAGE_NOT_FOUND, absl::StrCat("there is no vantage ", id.substr(0, kMaxName)));
}

}  // namespace

absl::Status Vantages::List(const v1::ListVantagesRequest& request,
                            v1::ListVantagesResponse* response) {
  auto page = PageOf(request.page_size(), request.page_token());
  if (!page.ok()) return page.status();
  return PageError(db_.Read([&](sql::Transaction& tx) -> absl::Status {
    response->Clear();
    auto rows = store::ListVantages(tx, *page);
    if (!rows.ok()) return rows.status();
    for (const auto& v : rows->rows) {
      auto live = CountLive(tx, v.vantage_id);
      if (!live.ok()) return live.status();
      *response->add_vantages() = VantageMessage(v, *live);
    }
    response->set_next_page_token(rows->next_token);
    return absl::OkStatus();
  }));
}

absl::Status Vantages::Get(const std::string& vantage_id, v1::Vantage* response) {
  return db_.Read([&](sql::Transaction& tx) -> absl::Status {
    auto v = store::GetVantage(tx, vantage_id);
    if (!v.ok()) return v.status();
    if (!v->has_value()) return NotFound(vantage_id);
    auto live = CountLive(tx, vantage_id);
    if (!live.ok()) return live.status();
    *response = VantageMessage(**v, *live);
    return absl::OkStatus();
  });
}

absl::Status Vantages::Put(const std::string& consumer, const v1::PutVantageRequest& request,
                           v1::PutVantageResponse* response) {
  if (auto s = CheckPut(request); !s.ok()) return s;
  const std::string new_token = store::NewVantageToken();
  return db_.Write([&](sql::Transaction& tx) -> absl::Status {
    response->Clear();
    auto known = store::GetVantage(tx, request.vantage_id());
    if (!known.ok()) return known.status();
    const bool is_new = !known->has_value();
    store::Vantage v = is_new ? store::Vantage{} : **known;
    const int64_t now = clock_.WallMs();
    if (is_new) {
      v.vantage_id = request.vantage_id();
      v.trust = "disabled";
      v.created_at_ms = now;
    }
    v.updated_at_ms = now;
    if (request.has_endpoint()) v.endpoint = request.endpoint();
    if (request.has_region()) v.region = request.region();
    if (request.has_provider()) v.provider = request.provider();
    if (request.has_enabled()) {
      v.trust = request.enabled() ? "trusted" : "disabled";
      if (request.enabled()) v.approved_by = consumer;
    }
    if (is_new || request.rotate_token()) {
      GiveToken(&v, new_token);
      response->set_token(new_token);
    }
    auto written = is_new ? store::InsertVantage(tx, v) : store::UpdateVantage(tx, v);
    if (!written.ok()) return written.status();
    if (!*written) {
      return Error(v1::VANTAGE_CONFLICT, "the vantage was changed meanwhile; read it again");
    }
    if (!is_new) ++v.revision;
    auto live = CountLive(tx, v.vantage_id);
    if (!live.ok()) return live.status();
    *response->mutable_vantage() = VantageMessage(v, *live);
    return absl::OkStatus();
  });
}

absl::Status Vantages::Delete(const std::string& vantage_id) {
  return db_.Write([&](sql::Transaction& tx) -> absl::Status {
    auto deleted = store::DeleteVantage(tx, vantage_id);
    if (!deleted.ok()) return deleted.status();
    return *deleted ? absl::OkStatus() : NotFound(vantage_id);
  });
}

absl::Status Vantages::ListAgents(const v1::ListAgentsRequest& request,
                                  v1::ListAgentsResponse* response) {
  auto page = PageOf(request.page_size(), request.page_token());
  if (!page.ok()) return page.status();
  return PageError(db_.Read([&](sql::Transaction& tx) -> absl::Status {
    response->Clear();
    auto rows = store::ListAgents(tx, request.vantage_id(), *page);
    if (!rows.ok()) return rows.status();
    for (const auto& a : rows->rows) *response->add_agents() = AgentMessage(a);
    response->set_next_page_token(rows->next_token);
    return absl::OkStatus();
  }));
}

}  // namespace jetmon::discovery
