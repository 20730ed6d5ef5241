#ifndef JETMON_CONTROLPLANE_DISCOVERY_REGISTRAR_H_
#define JETMON_CONTROLPLANE_DISCOVERY_REGISTRAR_H_

#include <condition_variable>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <utility>
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
  // True once the stream ends or has ended; never false again.
  virtual bool gone() const = 0;
};

// Knows every agent whose stream this control plane holds: registers them, keeps their leases on
// its own clock, writes their rows in batches, and tells them when their trust changes. Vantages
// are the database's; an unknown one is recorded as pending with the token that it brought. An
// agent is a vantage and an agent id: the same id under two vantages is two agents, and only who
// holds a vantage's token touches a session or a row of that vantage.
//
// The live rows of agents that nobody here holds (another replica's, or a dead process's) are
// watched: one that is not renewed for a lease and a heartbeat more, as measured on the own clock
// over looks that none was missed of, is `lost`.
//
// Thread-safe. Links are held weakly, and nothing is kept by their address.
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

  // What the registrar knows of one registration. Held by the stream; only to be handed back.
  struct Session;
  struct Joined {
    v1::ControlMessage answer;
    std::shared_ptr<Session> session;  // null: rejected
  };
  // A stream's first message. Answers what to send: Welcome with trust `trusted`, `pending` or
  // `disabled`; `rejected` (the caller then ends the stream) for a wrong token, a protocol that
  // this build does not speak, malformed names, or too many agents. A stream that is gone by the
  // time its turn comes or the database has answered is rejected, and leaves neither a session nor
  // a live row. Touches the database; one call at a time runs, the others wait.
  Joined Join(const v1::Hello& hello, const std::string& token,
              const std::shared_ptr<AgentLink>& link);
  // Answers HeartbeatAck. A session that was replaced or has ended is answered too, and changes
  // nothing.
  v1::ControlMessage Beat(const std::shared_ptr<Session>& session, const v1::Heartbeat& beat);
  // The session's stream ended: by a Goodbye, or broken. Then the agent stays live until its lease
  // ends, or is lost at once if it never sent a heartbeat. Does nothing when it is called again.
  void Left(const std::shared_ptr<Session>& session, bool goodbye);
  // Tells every agent to reconnect elsewhere and ends its stream; used when shutting down.
  void DrainAll(uint32_t within_s);

 private:
  using AgentKey = std::pair<std::string, std::string>;  // vantage id, agent id
  struct Admission {
    std::string trust, reason;
  };
  // A row that is to say how its agent ended, if its lease is still this one.
  struct End {
    store::Agent agent;
    std::string state;
  };
  // A foreign lease as it was first seen, and when.
  struct Seen {
    store::AgentLease lease;
    BootTime since;
  };
  absl::StatusOr<Admission> Admit(sql::Transaction& tx, const v1::Hello& hello,
                                  const std::string& token_hash);
  absl::StatusOr<Admission> AdmitPending(sql::Transaction& tx, const v1::Hello& hello,
                                         const std::string& token_hash);
  // Registers the session whose row is written, in the place of the agent's earlier one. False if
  // its stream has gone: then its row is to end.
  bool Install(const std::shared_ptr<Session>& session);
  Joined Rejected(const std::string& reason) const;
  bool IsCurrent(const std::shared_ptr<Session>& session) const;  // with mutex_
  void Loop();
  void ExpireLeases();
  void WriteEnds();
  void WriteHeartbeats();
  void CheckTrust();
  void WatchForeignLeases();
  void EndUnrenewed(const std::vector<store::AgentLease>& leases);

  sql::Database& db_;
  const Clock& clock_;
  const Options options_;
  std::mutex join_mutex_;  // held over a Join, so that rows and sessions are replaced in one order
  std::mutex mutex_;
  std::condition_variable wake_;
  bool stopping_ = false;                                  // guarded by mutex_, as the next two
  std::map<AgentKey, std::shared_ptr<Session>> sessions_;  // what they hold is guarded, too
  std::vector<End> ends_;                                  // to be written
  std::map<std::string, Seen> foreign_;                    // by row key; loop thread only
  std::optional<BootTime> looked_;                         // at foreign leases; loop thread only
  std::thread thread_;
};

}  // namespace jetmon::discovery

#endif  // JETMON_CONTROLPLANE_DISCOVERY_REGISTRAR_H_
