#ifndef JETMON_CONTROLPLANE_RPC_REGISTER_STREAM_H_
#define JETMON_CONTROLPLANE_RPC_REGISTER_STREAM_H_

#include <functional>

namespace grpc {
class CallbackServerContext;
template <class Request, class Response>
class ServerBidiReactor;
}  // namespace grpc

namespace jetmon::v1 {
class AgentMessage;
class ControlMessage;
}  // namespace jetmon::v1

namespace jetmon::rpc {

// Makes the reactor of one DiscoveryService.Register call. It owns itself until OnDone; who holds
// it longer, because its Hello still waits, starts nothing on it any more. Called on gRPC's
// threads: must not block.
using RegisterStreamFactory =
    std::function<grpc::ServerBidiReactor<v1::AgentMessage, v1::ControlMessage>*(
        grpc::CallbackServerContext*)>;

}  // namespace jetmon::rpc

#endif  // JETMON_CONTROLPLANE_RPC_REGISTER_STREAM_H_
