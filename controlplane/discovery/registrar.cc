#include "controlplane/discovery/registrar.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "controlplane/message/message.h"
#include "daemon/log.h"
#include "store/ids.h"

namespace jetmon::discovery {
namespace {

constexpr std::chrono::milliseconds kLoopPeriod{500};
constexpr std::chrono::seconds kJoinLimit{5};
constexpr size_t kMaxName = 64;
constexpr size_t kMaxEndpoint = 255;
constexpr size_t kBatch = 500;

std::string Reason(const std::string& trust) {
  if (trust == "pending") return "waiting for an operator to approve the vantage";
  if (trust == "disabled") return "an operator has disabled the vantage";
  return "";
}

store::Agent AgentOf(const v1::Hello& hello) {
  store::Agent a;
  a.agent_id = hello.agent_id();
  a.vantage_id = hello.vantage_id();
  a.endpoint = hello.endpoint();
  a.state = "live";
  a.protocol_min = static_cast<int>(hello.protocol_min());
  a.protocol_max = static_cast<int>(hello.protocol_max());
  a.build = hello.build().substr(0, kMaxName);
  a.region = hello.region().substr(0, kMaxName);
  a.provider = hello.provider().substr(0, kMaxName);
  a.max_concurrency = static_cast<int>(std::min(hello.max_concurrency(), 1'000'000u));
  a.queue_capacity = static_cast<int>(std::min(hello.queue_capacity(), 1'000'000u));
  a.longest_check_ms = std::min(hello.longest_check_ms(), 1'000'000u);
  return a;
}

}  // namespace

Registrar::Registrar(sql::Database& db, const Clock& clock, Options options)
    : db_(db), clock_(clock), options_(std::move(options)) {
  thread_ = std::thread([this] { Loop(); });
}

Registrar::~Registrar() {
  {
    std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  wake_.notify_all();
  thread_.join();
}

v1::ControlMessage Registrar::Rejected(const std::string& reason) const {
  v1::ControlMessage message;
  message.mutable_welcome()->set_trust("rejected");
  message.mutable_welcome()->set_reason(reason);
  message.mutable_welcome()->set_server_host(options_.server_host);
  return message;
}

absl::StatusOr<Registrar::Admission> Registrar::AdmitPending(sql::Transaction& tx,
                                                             const v1::Hello& hello,
                                                             const std::string& token_hash) {
  auto page = store::ListVantages(tx, {200, ""});
  if (!page.ok()) return page.status();
  const auto pending = std::count_if(page->rows.begin(), page->rows.end(),
                                     [](const store::Vantage& v) { return v.trust == "pending"; });
  if (pending >= std::min(options_.max_pending, 200)) {
    return Admission{"rejected", "too many vantages wait for approval"};
  }
  store::Vantage v;
  v.vantage_id = hello.vantage_id();
  v.trust = "pending";
  v.region = hello.region().substr(0, kMaxName);
  v.provider = hello.provider().substr(0, kMaxName);
  v.token_hash = token_hash;
  v.token_fingerprint = token_hash.substr(0, 12);
  v.created_at_ms = v.updated_at_ms = clock_.WallMs();
  auto inserted = store::InsertVantage(tx, v);
  if (!inserted.ok()) return inserted.status();
  // Somebody else recorded it at the same moment: read what they recorded.
  if (!*inserted) return absl::AbortedError("the vantage was recorded meanwhile");
  return Admission{"pending", Reason("pending")};
}

absl::StatusOr<Registrar::Admission> Registrar::Admit(const v1::Hello& hello,
                                                      const std::string& token) {
  const std::string token_hash = store::Sha256Hex(token);
  absl::StatusOr<Admission> admission = Admission{};
  absl::Status s = db_.Write(clock_.Boot() + kJoinLimit, [&](sql::Transaction& tx) -> absl::Status {
    auto vantage = store::GetVantage(tx, hello.vantage_id());
    if (!vantage.ok()) return vantage.status();
    if (!vantage->has_value()) {
      admission = AdmitPending(tx, hello, token_hash);
      return admission.status();
    }
    if ((*vantage)->token_hash != token_hash) {
      admission = Admission{"rejected", "the token is not this vantage's"};
      return absl::OkStatus();
    }
    admission = Admission{(*vantage)->trust, Reason((*vantage)->trust)};
    return absl::OkStatus();
  });
  if (!s.ok()) return s;
  return admission;
}

v1::ControlMessage Registrar::Join(const v1::Hello& hello, const std::string& token,
                                   const std::shared_ptr<AgentLink>& link) {
  if (!IsName(hello.agent_id(), kMaxName) || !IsName(hello.vantage_id(), kMaxName) ||
      hello.endpoint().empty() || hello.endpoint().size() > kMaxEndpoint || token.empty()) {
    return Rejected("agent_id, vantage_id and endpoint must be given, and a token");
  }
  if (hello.protocol_min() > kProtocol || hello.protocol_max() < kProtocol) {
    return Rejected(absl::StrCat("this control plane speaks protocol ", kProtocol));
  }
  auto admission = Admit(hello, token);
  if (!admission.ok()) return Rejected("the database can't be reached; try again");
  if (admission->trust == "rejected") {
    LogWarning(absl::StrCat("agent ", hello.agent_id(), " of vantage ", hello.vantage_id(),
                            " rejected: ", admission->reason));
    return Rejected(admission->reason);
  }
  Session session;
  session.link = link;
  session.agent = AgentOf(hello);
  session.agent.lease_id = "lse_" + store::NewUlid(clock_.WallMs());
  session.agent.server_instance = options_.server_instance;
  session.agent.connected_at_ms = session.agent.updated_at_ms = clock_.WallMs();
  session.trust = admission->trust;
  session.last_beat = clock_.Boot();
  absl::Status saved = db_.Write(clock_.Boot() + kJoinLimit, [&](sql::Transaction& tx) {
    return store::SaveAgent(tx, session.agent);
  });
  if (!saved.ok()) return Rejected("the database can't be reached; try again");

  std::shared_ptr<AgentLink> replaced;
  const std::string lease_id = session.agent.lease_id;
  {
    std::lock_guard lock(mutex_);
    if (static_cast<int>(sessions_.size()) >= options_.max_agents &&
        sessions_.count(hello.agent_id()) == 0) {
      return Rejected("too many agents are connected here");
    }
    auto known = sessions_.find(hello.agent_id());
    if (known != sessions_.end()) {
      replaced = known->second.link.lock();
      links_.erase(replaced.get());
      sessions_.erase(known);
    }
    links_[link.get()] = hello.agent_id();
    sessions_[hello.agent_id()] = std::move(session);
  }
  if (replaced != nullptr) replaced->Close("another agent with this id has registered");
  LogInfo(absl::StrCat("agent ", hello.agent_id(), " of vantage ", hello.vantage_id(), " joined, ",
                       admission->trust));
  v1::ControlMessage message;
  v1::Welcome* welcome = message.mutable_welcome();
  welcome->set_lease_id(lease_id);
  welcome->set_lease_ttl_seconds(options_.lease_ttl_s);
  welcome->set_heartbeat_interval_seconds(options_.heartbeat_s);
  welcome->set_trust(admission->trust);
  welcome->set_reason(admission->reason);
  welcome->set_server_host(options_.server_host);
  SetTime(welcome->mutable_server_time(), clock_.WallMs());
  welcome->mutable_config()->set_heartbeat_interval_seconds(options_.heartbeat_s);
  return message;
}

v1::ControlMessage Registrar::Beat(const AgentLink* link, const v1::Heartbeat& beat) {
  v1::ControlMessage message;
  SetTime(message.mutable_heartbeat_ack()->mutable_server_time(), clock_.WallMs());
  std::lock_guard lock(mutex_);
  auto id = links_.find(link);
  if (id == links_.end()) return message;
  Session& session = sessions_[id->second];
  session.last_beat = clock_.Boot();
  session.agent.in_flight = static_cast<int>(beat.in_flight());
  session.agent.queue_depth = static_cast<int>(beat.queue_depth());
  session.agent.completed = beat.completed();
  session.agent.failed = beat.failed();
  session.agent.updated_at_ms = clock_.WallMs();
  session.dirty = true;
  return message;
}

void Registrar::Left(const AgentLink* link, bool goodbye) {
  std::string agent_id, lease_id;
  {
    std::lock_guard lock(mutex_);
    auto id = links_.find(link);
    if (id == links_.end()) return;
    agent_id = id->second;
    links_.erase(id);
    Session& session = sessions_[agent_id];
    session.connected = false;
    session.link.reset();
    // The loop ends the row: a goodbye at its next turn, a broken stream when the lease is over.
    if (goodbye) session.agent.state = "goodbye";
  }
  LogInfo(absl::StrCat("agent ", agent_id, goodbye ? " said goodbye" : " lost its stream"));
  wake_.notify_all();
}

void Registrar::DrainAll(uint32_t within_s) {
  std::vector<std::shared_ptr<AgentLink>> links;
  {
    std::lock_guard lock(mutex_);
    for (auto& [id, session] : sessions_) {
      if (auto link = session.link.lock(); link != nullptr) links.push_back(std::move(link));
    }
  }
  v1::ControlMessage message;
  message.mutable_drain()->set_reconnect_within_seconds(within_s);
  message.mutable_drain()->set_reason("this control plane stops");
  for (const auto& link : links) {
    link->Send(message);
    link->Close("this control plane stops");
  }
}

void Registrar::Loop() {
  std::unique_lock lock(mutex_);
  while (!stopping_) {
    wake_.wait_for(lock, kLoopPeriod, [this] { return stopping_; });
    if (stopping_) return;
    lock.unlock();
    if (!old_agents_read_) ReadOldAgents();
    ExpireLeases();
    WriteHeartbeats();
    CheckTrust();
    lock.lock();
  }
}

// Agents that an earlier process held get one whole lease from now to come back.
void Registrar::ReadOldAgents() {
  std::vector<store::Agent> agents;
  const absl::Status s = db_.Read([&](sql::Transaction& tx) {
    auto rows = store::LiveAgents(tx);
    if (rows.ok()) agents = std::move(*rows);
    return rows.status();
  });
  if (!s.ok()) return;  // at the next turn
  old_agents_read_ = true;
  std::lock_guard lock(mutex_);
  for (store::Agent& a : agents) {
    // Another living replica's agents are that replica's to judge; with one replica there is none.
    if (a.server_instance == options_.server_instance || sessions_.count(a.agent_id) > 0) continue;
    Session session;
    session.agent = std::move(a);
    session.connected = false;
    session.last_beat = clock_.Boot();
    sessions_.emplace(session.agent.agent_id, std::move(session));
  }
}

void Registrar::ExpireLeases() {
  struct End {
    std::string agent_id, lease_id, state;
    std::shared_ptr<AgentLink> link;
  };
  std::vector<End> ends;
  const BootTime now = clock_.Boot();
  {
    std::lock_guard lock(mutex_);
    for (auto it = sessions_.begin(); it != sessions_.end();) {
      Session& s = it->second;
      const bool over = now - s.last_beat > std::chrono::seconds(options_.lease_ttl_s);
      if (s.agent.state == "live" && !over) {
        ++it;
        continue;
      }
      End end{s.agent.agent_id, s.agent.lease_id, s.agent.state == "live" ? "lost" : s.agent.state,
              s.link.lock()};
      links_.erase(end.link.get());
      ends.push_back(std::move(end));
      it = sessions_.erase(it);
    }
  }
  for (const End& end : ends) {
    if (end.link != nullptr) end.link->Close("no heartbeat for a whole lease");
    const absl::Status s = db_.Write([&](sql::Transaction& tx) {
      return store::EndAgent(tx, end.agent_id, end.lease_id, end.state, clock_.WallMs()).status();
    });
    if (s.ok()) {
      LogInfo(absl::StrCat("agent ", end.agent_id, " is ", end.state));
      continue;
    }
    // Kept, to be ended at a later turn.
    LogWarning(absl::StrCat("agent ", end.agent_id, ": ", s.message()));
    std::lock_guard lock(mutex_);
    Session again;
    again.agent.agent_id = end.agent_id;
    again.agent.lease_id = end.lease_id;
    again.agent.state = end.state;
    again.connected = false;
    sessions_.emplace(end.agent_id, std::move(again));
  }
}

void Registrar::WriteHeartbeats() {
  std::vector<store::Agent> batch;
  {
    std::lock_guard lock(mutex_);
    for (auto& [id, session] : sessions_) {
      if (!session.dirty || batch.size() >= kBatch) continue;
      session.dirty = false;
      batch.push_back(session.agent);
    }
  }
  if (batch.empty()) return;
  const absl::Status s =
      db_.Write([&](sql::Transaction& tx) { return store::SaveHeartbeats(tx, batch); });
  // Figures only; the next heartbeat brings newer ones.
  if (!s.ok()) LogWarning(absl::StrCat("heartbeats were not written: ", s.message()));
}

// Trust is changed in the database, maybe by another replica; within 2 s the agents know.
void Registrar::CheckTrust() {
  std::map<std::string, std::string> trust;
  const absl::Status s = db_.Read([&](sql::Transaction& tx) -> absl::Status {
    store::PageRequest page{200, ""};
    do {
      auto rows = store::ListVantages(tx, page);
      if (!rows.ok()) return rows.status();
      for (const store::Vantage& v : rows->rows) trust[v.vantage_id] = v.trust;
      page.token = rows->next_token;
    } while (!page.token.empty());
    return absl::OkStatus();
  });
  if (!s.ok()) return;
  std::vector<std::pair<std::shared_ptr<AgentLink>, std::string>> changed;
  {
    std::lock_guard lock(mutex_);
    for (auto& [id, session] : sessions_) {
      auto link = session.link.lock();
      if (link == nullptr) continue;
      auto now = trust.find(session.agent.vantage_id);
      const std::string word = now == trust.end() ? "rejected" : now->second;
      if (word == session.trust) continue;
      session.trust = word;
      changed.emplace_back(std::move(link), word);
    }
  }
  for (auto& [link, word] : changed) {
    v1::ControlMessage message;
    message.mutable_trust_changed()->set_trust(word);
    message.mutable_trust_changed()->set_reason(word == "rejected" ? "the vantage was deleted"
                                                                   : Reason(word));
    link->Send(std::move(message));
  }
}

}  // namespace jetmon::discovery
