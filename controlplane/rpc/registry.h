#ifndef JETMON_CONTROLPLANE_RPC_REGISTRY_H_
#define JETMON_CONTROLPLANE_RPC_REGISTRY_H_

#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "controlplane/access/caller.h"
#include "controlplane/rpc/call_context.h"
#include "google/protobuf/descriptor.h"
#include "google/protobuf/message.h"

namespace jetmon::rpc {

// Where a streaming handler writes. Used by the handler's thread only.
class MessageSink {
 public:
  virtual ~MessageSink() = default;
  // Queues a copy for the caller; blocks while the bounded queue is full. False: the caller is
  // gone or the call's time is over; the handler should return.
  virtual bool Write(const google::protobuf::Message& message) = 0;
};

// The same for one message type.
template <typename T>
class Sink {
 public:
  explicit Sink(MessageSink& sink) : sink_(sink) {}
  bool Write(const T& message) { return sink_.Write(message); }

 private:
  MessageSink& sink_;
};

using UnaryHandler = std::function<absl::Status(CallContext&, const google::protobuf::Message&,
                                                google::protobuf::Message*)>;
using StreamHandler =
    std::function<absl::Status(CallContext&, const google::protobuf::Message&, MessageSink&)>;
// Renders, as it is now, what an earlier equal request made: (context, kind, id, response).
using ReplayHandler = std::function<absl::Status(CallContext&, std::string_view, std::string_view,
                                                 google::protobuf::Message*)>;

// One RPC: what its proto says, and who answers it. Handlers block: they run on worker threads.
struct Method {
  std::string name;     // "jetmon.v1.RolloutService/GetStatus"
  std::string feature;  // "RolloutService/GetStatus"
  const google::protobuf::MethodDescriptor* descriptor = nullptr;
  access::Scope scope = access::Scope::kAdmin;
  bool mutating = false;
  bool idempotent = false;
  UnaryHandler unary;
  StreamHandler stream;
  ReplayHandler replay;
  // Answered by its transport alone (DiscoveryService.Register).
  bool external = false;

  bool available() const { return unary || stream || external; }
};

// Every RPC that the control plane's protos name, whether somebody answers it or not: a method
// without a handler answers UNIMPLEMENTED, not_available. Filled before the server starts, then
// only read, from any thread. Adding twice, or to a method that is not there, ends the process:
// it is a fault of the program.
class Registry {
 public:
  // Knows all methods of IdentityService, RolloutService, DiscoveryService, FleetService and
  // SiteService.
  Registry();

  // registry.AddUnary<v1::GetStatusRequest, v1::RolloutStatus>(
  //     "jetmon.v1.RolloutService/GetStatus",
  //     [](CallContext& call, const v1::GetStatusRequest& request, v1::RolloutStatus* response)
  //         -> absl::Status {...});
  template <typename Request, typename Response, typename F>
  void AddUnary(std::string_view name, F f) {
    Check(name, Request::descriptor(), Response::descriptor(), false);
    SetUnary(name,
             [f = std::move(f)](CallContext& call, const google::protobuf::Message& request,
                                google::protobuf::Message* response) -> absl::Status {
               return f(call, static_cast<const Request&>(request),
                        static_cast<Response*>(response));
             });
  }

  // The same with a Sink<Response>&; OK or an error ends the stream.
  template <typename Request, typename Response, typename F>
  void AddStream(std::string_view name, F f) {
    Check(name, Request::descriptor(), Response::descriptor(), true);
    SetStream(name,
              [f = std::move(f)](CallContext& call, const google::protobuf::Message& request,
                                 MessageSink& sink) -> absl::Status {
                Sink<Response> typed(sink);
                return f(call, static_cast<const Request&>(request), typed);
              });
  }

  // What a repeated request with the same idempotency key is answered with:
  // [](CallContext&, std::string_view kind, std::string_view id, Response*) -> absl::Status.
  // Every idempotent method that is served needs one.
  template <typename Response, typename F>
  void AddReplay(std::string_view name, F f) {
    SetReplay(name, Response::descriptor(),
              [f = std::move(f)](CallContext& call, std::string_view kind, std::string_view id,
                                 google::protobuf::Message* response) -> absl::Status {
                return f(call, kind, id, static_cast<Response*>(response));
              });
  }

  // A method that its transport answers alone.
  void AddExternal(std::string_view name);

  // nullptr: there is no such method.
  const Method* Find(std::string_view name) const;
  // Features ("RolloutService/Seed") that are served, in order of their names.
  std::vector<std::string> AvailableFeatures() const;
  // All, by name; pointers live as long as the registry.
  std::vector<const Method*> methods() const;
  // Idempotent methods that are served without a replay handler; must be empty.
  std::vector<std::string> WithoutReplay() const;

 private:
  void AddService(const google::protobuf::ServiceDescriptor* service);
  Method& At(std::string_view name);
  void Check(std::string_view name, const google::protobuf::Descriptor* request,
             const google::protobuf::Descriptor* response, bool streaming);
  void SetUnary(std::string_view name, UnaryHandler handler);
  void SetStream(std::string_view name, StreamHandler handler);
  void SetReplay(std::string_view name, const google::protobuf::Descriptor* response,
                 ReplayHandler handler);

  std::map<std::string, Method, std::less<>> methods_;
};

}  // namespace jetmon::rpc

#endif  // JETMON_CONTROLPLANE_RPC_REGISTRY_H_
