#ifndef JETMON_CONTROLPLANE_DISCOVERY_REGISTRAR_H_
#define JETMON_CONTROLPLANE_DISCOVERY_REGISTRAR_H_

#include <condition_variable>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "clock/clock.h"
#include "jetmon/v1/discovery.pb.h"
#include "store/sql/database.h"
#include "store/vantages.h"

namespace jetmon::discovery {

// The protocol versions that this build speaks with agents.
inline constexpr int kProtocol = 1;

// An agent's stream, as the registrar sees it. Implementations are thread-safe and never block:
// what can't be sent at once replaces what waits.
class AgentLink {
 public:
  virtual ~AgentLink() = default;
  virtual void Send(v1::ControlMessage message) = 0;
  // Ends the stream with an error of this reason (REJECTED, REPLACED ... in words).
  virtual void Close(const std::string& reason) = 0;
};

// Knows every agent whose stream this control plane holds: registers them, keeps their leases on
// its own clock, writes their rows in batches, and tells them when their trust changes. Vantages
// are the database's; an unknown one is recorded as pending with the token that it brought.
// Thread-safe. A link must stay valid until Left was called for it.
class Registrar {
 public:
  struct Options {
    std::string server_host;
    std::string server_instance;
    int lease_ttl_s = 30;
    int heartbeat_s = 10;
    // Vantages that may be recorded as pending, and agents connected, at most.
    int max_pending = 1000;
    int max_agents = 20'000;
  };
  Registrar(sql::Database& db, const Clock& clock, Options options);
  ~Registrar();

  // A stream's first message. Answers what to send: Welcome with trust `trusted`, `pending` or
  // `disabled`; `rejected` (the caller then ends the stream) for a wrong token, a protocol that
  // this build does not speak, malformed names, or too many agents. Touches the database.
  v1::ControlMessage Join(const v1::Hello& hello, const std::string& token,
                          const std::shared_ptr<AgentLink>& link);
  // Answers HeartbeatAck. Unknown links are answered too, and change nothing.
  v1::ControlMessage Beat(const AgentLink* link, const v1::Heartbeat& beat);
  // The stream ended: by a Goodbye, or broken (then the agent stays live until its lease ends).
  void Left(const AgentLink* link, bool goodbye);
  // Tells every agent to reconnect elsewhere and ends its stream; used when shutting down.
  void DrainAll(uint32_t within_s);

 private:
  struct Session {
    std::weak_ptr<AgentLink> link;
    store::Agent agent;
    std::string trust;
    BootTime last_beat;
    bool connected = true;
    bool dirty = false;
  };
  struct Admission {
    std::string trust, reason;
  };
  absl::StatusOr<Admission> Admit(const v1::Hello& hello, const std::string& token);
  absl::StatusOr<Admission> AdmitPending(sql::Transaction& tx, const v1::Hello& hello,
                                         const std::string& token_hash);
  v1::ControlMessage Rejected(const std::string& reason) const;
  void Loop();
  void ReadOldAgents();
  void ExpireLeases();
  void WriteHeartbeats();
  void CheckTrust();

  sql::Database& db_;
  const Clock& clock_;
  const Options options_;
  std::mutex mutex_;
  std::condition_variable wake_;
  bool stopping_ = false;                          // guarded by mutex_
  std::map<std::string, Session> sessions_;        // by agent id; guarded by mutex_
  std::map<const AgentLink*, std::string> links_;  // guarded by mutex_
  bool old_agents_read_ = false;                   // loop thread only
  std::thread thread_;
};

}  // namespace jetmon::discovery

#endif  // JETMON_CONTROLPLANE_DISCOVERY_REGISTRAR_H_
