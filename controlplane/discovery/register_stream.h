#ifndef JETMON_CONTROLPLANE_DISCOVERY_REGISTER_STREAM_H_
#define JETMON_CONTROLPLANE_DISCOVERY_REGISTER_STREAM_H_

#include <condition_variable>
#include <deque>
#include <functional>
#include <mutex>
#include <thread>

#include "controlplane/discovery/registrar.h"

namespace grpc {
class CallbackServerContext;
template <class Request, class Response>
class ServerBidiReactor;
}  // namespace grpc

namespace jetmon::discovery {

// Makes the streams of DiscoveryService.Register, and admits their agents on a thread of its own,
// because that touches the database and gRPC's threads must not wait. Streams own themselves until
// they have ended, and are held longer by the queue while their Hello waits. All have ended when
// the server that calls New has been shut down, which must be before this goes.
class StreamHub {
 public:
  explicit StreamHub(Registrar& registrar);
  ~StreamHub();

  // The reactor of one call. Never blocks.
  grpc::ServerBidiReactor<v1::AgentMessage, v1::ControlMessage>* New(
      grpc::CallbackServerContext* context);
  // Queues work for the hub's thread; false when too much waits.
  bool Enqueue(std::function<void()> work);
  Registrar& registrar() { return registrar_; }

 private:
  void Loop();

  Registrar& registrar_;
  std::mutex mutex_;
  std::condition_variable wake_;
  std::deque<std::function<void()>> queue_;  // guarded by mutex_; at most kMostWaiting
  bool stopping_ = false;                    // guarded by mutex_
  std::thread thread_;
};

}  // namespace jetmon::discovery

#endif  // JETMON_CONTROLPLANE_DISCOVERY_REGISTER_STREAM_H_
