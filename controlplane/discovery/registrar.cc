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
// Rows that a vantage which nobody has approved may have of agents.
constexpr size_t kMostPendingAgents = 20;

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
  return a;
}

}  // namespace

struct Registrar::Session {
  std::weak_ptr<AgentLink> link;
  store::Agent agent;
  std::string trust;
  BootTime last_beat;
  bool beaten = false;  // it has sent a heartbeat
  bool dirty = false;   // that is to be written
  bool left = false;    // its stream has ended

  AgentKey key() const { return {agent.vantage_id, agent.agent_id}; }
};

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

Registrar::Joined Registrar::Rejected(const std::string& reason) const {
  Joined joined;
  v1::Welcome* welcome = joined.answer.mutable_welcome();
  welcome->set_trust("rejected");
  welcome->set_reason(reason);
  welcome->set_server_host(options_.server_host);
  return joined;
}

bool Registrar::IsCurrent(const std::shared_ptr<Session>& session) const {
  auto known = sessions_.find(session->key());
  return known != sessions_.end() && known->second == session;
}

absl::StatusOr<Registrar::Admission> Registrar::AdmitPending(sql::Transaction& tx,
                                                             const v1::Hello& hello,
                                                             const std::string& token_hash) {
  auto pending = store::CountPendingVantages(tx);
  if (!pending.ok()) return pending.status();
  if (*pending >= options_.max_pending) {
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

absl::StatusOr<Registrar::Admission> Registrar::Admit(sql::Transaction& tx, const v1::Hello& hello,
                                                      const std::string& token_hash) {
  auto vantage = store::GetVantage(tx, hello.vantage_id());
  if (!vantage.ok()) return vantage.status();
  if (!vantage->has_value()) return AdmitPending(tx, hello, token_hash);
  if ((*vantage)->token_hash != token_hash) {
    return Admission{"rejected", "the token is not this vantage's"};
  }
  if ((*vantage)->trust == "pending") {
    auto agents = store::AgentsOfVantage(tx, hello.vantage_id());
    if (!agents.ok()) return agents.status();
    const bool known = std::any_of(agents->begin(), agents->end(), [&](const store::Agent& a) {
      return a.agent_id == hello.agent_id();
    });
    if (!known && agents->size() >= kMostPendingAgents) {
      return Admission{"rejected", "too many agents of a vantage that waits for approval"};
    }
  }
  return Admission{(*vantage)->trust, Reason((*vantage)->trust)};
}

Registrar::Joined Registrar::Join(const v1::Hello& hello, const std::string& token,
                                  const std::shared_ptr<AgentLink>& link) {
  if (!IsName(hello.agent_id(), kMaxName) || !IsName(hello.vantage_id(), kMaxName) ||
      hello.endpoint().empty() || hello.endpoint().size() > kMaxEndpoint || token.empty()) {
    return Rejected("agent_id, vantage_id and endpoint must be given, and a token");
  }
  if (hello.protocol_min() > kProtocol || hello.protocol_max() < kProtocol) {
    return Rejected(absl::StrCat("this control plane speaks protocol ", kProtocol));
  }
  std::lock_guard turn(join_mutex_);
  if (link->gone()) return Rejected("the stream has ended");
  auto session = std::make_shared<Session>();
  session->link = link;
  session->agent = AgentOf(hello);
  session->agent.lease_id = "lse_" + store::NewUlid(clock_.WallMs());
  session->agent.server_instance = options_.server_instance;
  session->agent.connected_at_ms = session->agent.updated_at_ms = clock_.WallMs();
  {
    std::lock_guard lock(mutex_);
    if (static_cast<int>(sessions_.size()) >= options_.max_agents &&
        sessions_.count(session->key()) == 0) {
      return Rejected("too many agents are connected here");
    }
  }
  const std::string token_hash = store::Sha256Hex(token);
  Admission admission;
  absl::Status saved =
      db_.Write(clock_.Boot() + kJoinLimit, [&](sql::Transaction& tx) -> absl::Status {
        auto admitted = Admit(tx, hello, token_hash);
        if (!admitted.ok()) return admitted.status();
        admission = *std::move(admitted);
        if (admission.trust == "rejected") return absl::OkStatus();
        if (link->gone()) return absl::CancelledError("the stream has ended");
        return store::SaveAgent(tx, session->agent);
      });
  if (absl::IsCancelled(saved)) return Rejected("the stream has ended");
  if (!saved.ok()) return Rejected("the database can't be reached; try again");
  if (admission.trust == "rejected") {
    LogWarning(absl::StrCat("agent ", hello.agent_id(), " of vantage ", hello.vantage_id(),
                            " rejected: ", admission.reason));
    return Rejected(admission.reason);
  }
  session->trust = admission.trust;
  session->last_beat = clock_.Boot();
  if (!Install(session)) return Rejected("the stream has ended");
  LogInfo(absl::StrCat("agent ", hello.agent_id(), " of vantage ", hello.vantage_id(), " joined, ",
                       admission.trust));
  Joined joined;
  v1::Welcome* welcome = joined.answer.mutable_welcome();
  welcome->set_lease_id(session->agent.lease_id);
  welcome->set_lease_ttl_seconds(options_.lease_ttl_s);
  welcome->set_heartbeat_interval_seconds(options_.heartbeat_s);
  welcome->set_trust(admission.trust);
  welcome->set_reason(admission.reason);
  welcome->set_server_host(options_.server_host);
  SetTime(welcome->mutable_server_time(), clock_.WallMs());
  welcome->mutable_config()->set_heartbeat_interval_seconds(options_.heartbeat_s);
  joined.session = std::move(session);
  return joined;
}

bool Registrar::Install(const std::shared_ptr<Session>& session) {
  std::shared_ptr<AgentLink> link, replaced;
  {
    std::lock_guard lock(mutex_);
    auto known = sessions_.find(session->key());
    // The row is the new registration's already; the earlier stream can renew it no more.
    if (known != sessions_.end()) {
      replaced = known->second->link.lock();
      sessions_.erase(known);
    }
    link = session->link.lock();
    // Whoever finds it gone later calls Left, and finds the session here.
    if (link == nullptr || link->gone()) {
      ends_.push_back({session->agent, "lost"});
      link = nullptr;
    } else {
      sessions_.emplace(session->key(), session);
    }
  }
  if (replaced != nullptr) replaced->Close("another agent with this id has registered");
  return link != nullptr;
}

v1::ControlMessage Registrar::Beat(const std::shared_ptr<Session>& session,
                                   const v1::Heartbeat& beat) {
  v1::ControlMessage message;
  SetTime(message.mutable_heartbeat_ack()->mutable_server_time(), clock_.WallMs());
  std::lock_guard lock(mutex_);
  if (!IsCurrent(session)) return message;
  session->last_beat = clock_.Boot();
  session->agent.in_flight = static_cast<int>(beat.in_flight());
  session->agent.queue_depth = static_cast<int>(beat.queue_depth());
  session->agent.completed = beat.completed();
  session->agent.failed = beat.failed();
  session->agent.updated_at_ms = clock_.WallMs();
  session->beaten = session->dirty = true;
  return message;
}

void Registrar::Left(const std::shared_ptr<Session>& session, bool goodbye) {
  std::string agent_id;
  {
    std::lock_guard lock(mutex_);
    if (!IsCurrent(session) || session->left) return;
    session->left = true;
    session->link.reset();
    agent_id = session->agent.agent_id;
    // The loop ends the row at its next turn, or when the lease is over.
    if (goodbye) {
      session->agent.state = "goodbye";
    } else if (!session->beaten) {
      session->agent.state = "lost";
    }
  }
  LogInfo(absl::StrCat("agent ", agent_id, goodbye ? " said goodbye" : " lost its stream"));
}

void Registrar::DrainAll(uint32_t within_s) {
  std::vector<std::shared_ptr<AgentLink>> links;
  {
    std::lock_guard lock(mutex_);
    for (auto& [id, session] : sessions_) {
      if (auto link = session->link.lock(); link != nullptr) links.push_back(std::move(link));
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
    ExpireLeases();
    WriteEnds();
    WriteHeartbeats();
    CheckTrust();
    WatchForeignLeases();
    lock.lock();
  }
}

void Registrar::ExpireLeases() {
  std::vector<std::shared_ptr<AgentLink>> links;
  const BootTime now = clock_.Boot();
  {
    std::lock_guard lock(mutex_);
    for (auto it = sessions_.begin(); it != sessions_.end();) {
      Session& s = *it->second;
      const bool over = now - s.last_beat > std::chrono::seconds(options_.lease_ttl_s);
      if (s.agent.state == "live" && !over) {
        ++it;
        continue;
      }
      if (auto link = s.link.lock(); link != nullptr) links.push_back(std::move(link));
      ends_.push_back({s.agent, s.agent.state == "live" ? "lost" : s.agent.state});
      it = sessions_.erase(it);
    }
  }
  for (const auto& link : links) link->Close("no heartbeat for a whole lease");
}

// What can't be written is kept for a later turn. There are no more of them than agents that had
// joined: nobody joins either without a database.
void Registrar::WriteEnds() {
  std::vector<End> ends;
  {
    std::lock_guard lock(mutex_);
    ends.swap(ends_);
  }
  for (size_t at = 0; at < ends.size(); at += kBatch) {
    const size_t to = std::min(at + kBatch, ends.size());
    const absl::Status s = db_.Write([&](sql::Transaction& tx) -> absl::Status {
      for (size_t i = at; i < to; ++i) {
        auto ended = store::EndAgent(tx, ends[i].agent, ends[i].state, clock_.WallMs());
        if (!ended.ok()) return ended.status();
      }
      return absl::OkStatus();
    });
    if (!s.ok()) {
      LogWarning(
          absl::StrCat(ends.size() - at, " agents that ended were not written: ", s.message()));
      std::lock_guard lock(mutex_);
      ends_.insert(ends_.end(), ends.begin() + at, ends.end());
      return;
    }
    for (size_t i = at; i < to; ++i) {
      LogInfo(absl::StrCat("agent ", ends[i].agent.agent_id, " of vantage ",
                           ends[i].agent.vantage_id, " is ", ends[i].state));
    }
  }
}

// Every heartbeat since the last turn is written: other replicas read from its row's seq that an
// agent is alive.
void Registrar::WriteHeartbeats() {
  std::vector<std::shared_ptr<Session>> renewed;
  std::vector<store::Agent> agents;
  {
    std::lock_guard lock(mutex_);
    for (auto& [key, session] : sessions_) {
      if (!session->dirty || session->agent.state != "live") continue;
      session->dirty = false;
      renewed.push_back(session);
      agents.push_back(session->agent);
    }
  }
  for (size_t at = 0; at < agents.size(); at += kBatch) {
    const std::vector<store::Agent> batch(agents.begin() + at,
                                          agents.begin() + std::min(at + kBatch, agents.size()));
    const absl::Status s =
        db_.Write([&](sql::Transaction& tx) { return store::SaveHeartbeats(tx, batch); });
    if (s.ok()) continue;
    LogWarning(absl::StrCat("heartbeats were not written: ", s.message()));
    std::lock_guard lock(mutex_);
    for (size_t i = at; i < renewed.size(); ++i) renewed[i]->dirty = true;
    return;
  }
}

// Live rows that none of our sessions renews: of other replicas, of processes that have died, and
// of our own writes whose outcome we did not learn.
void Registrar::WatchForeignLeases() {
  const std::chrono::seconds period(options_.heartbeat_s), ttl(options_.lease_ttl_s);
  const BootTime before = clock_.Boot();
  if (looked_.has_value() && before - *looked_ < period) return;
  std::vector<store::AgentLease> leases;
  const absl::Status s = db_.Read([&](sql::Transaction& tx) {
    auto live = store::LiveLeases(tx);
    if (live.ok()) leases = *std::move(live);
    return live.status();
  });
  if (!s.ok()) return;  // at the next turn
  const BootTime after = clock_.Boot();
  // While nobody could look, nobody may have been able to renew either: the database was away, or
  // this machine slept. Every lease begins anew then.
  const bool missed = !looked_.has_value() || before - *looked_ > 2 * period;
  looked_ = after;
  std::map<std::string, Seen> seen;
  std::vector<store::AgentLease> dead;
  {
    std::lock_guard lock(mutex_);
    for (store::AgentLease& lease : leases) {
      auto own = sessions_.find({lease.vantage_id, lease.agent_id});
      if (own != sessions_.end() && own->second->agent.lease_id == lease.lease_id) continue;
      BootTime since = after;
      auto known = foreign_.find(lease.row_key);
      if (!missed && known != foreign_.end() && known->second.lease == lease) {
        since = known->second.since;
      }
      if (before - since > ttl + period) dead.push_back(lease);
      std::string key = lease.row_key;
      seen.emplace(std::move(key), Seen{std::move(lease), since});
    }
  }
  foreign_ = std::move(seen);
  EndUnrenewed(dead);
}

void Registrar::EndUnrenewed(const std::vector<store::AgentLease>& leases) {
  for (size_t at = 0; at < leases.size(); at += kBatch) {
    const size_t to = std::min(at + kBatch, leases.size());
    std::vector<const store::AgentLease*> ended;
    const absl::Status s = db_.Write([&](sql::Transaction& tx) -> absl::Status {
      ended.clear();
      for (size_t i = at; i < to; ++i) {
        auto lost = store::EndUnrenewed(tx, leases[i], clock_.WallMs());
        if (!lost.ok()) return lost.status();
        if (*lost) ended.push_back(&leases[i]);
      }
      return absl::OkStatus();
    });
    if (!s.ok()) return;  // still unrenewed at the next look
    for (const store::AgentLease* lease : ended) {
      LogInfo(absl::StrCat("agent ", lease->agent_id, " of vantage ", lease->vantage_id, ", which ",
                           lease->server_instance, " held, is lost"));
    }
  }
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
      auto link = session->link.lock();
      if (link == nullptr) continue;
      auto now = trust.find(session->agent.vantage_id);
      const std::string word = now == trust.end() ? "rejected" : now->second;
      if (word == session->trust) continue;
      session->trust = word;
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
