#include "controlplane/rpc/grpc_call.h"

#include <chrono>
#include <optional>

#include "controlplane/error/error.h"
#include "controlplane/error/rpc_status.h"

namespace jetmon::rpc {
namespace {

std::optional<std::string> Find(const grpc::CallbackServerContext& context, const char* name) {
  const auto it = context.client_metadata().find(name);
  if (it == context.client_metadata().end()) return std::nullopt;
  return std::string(it->second.data(), it->second.size());
}

// Deletes itself in OnDone, which comes only after Finish.
class UnaryCall final : public grpc::ServerUnaryReactor {
 public:
  UnaryCall(const GrpcServer::Parts& parts, grpc::CallbackServerContext* context, const char* name,
            const google::protobuf::Message& request, google::protobuf::Message* response)
      : parts_(parts),
        context_(context),
        input_(InputOf(*context, *parts.registry->Find(name), request, *parts.clock)),
        response_(response) {}

  void Start() {
    parts_.dispatcher->Dispatch(
        Dispatcher::Kind::kUnary, input_.cancellation,
        [this] { End(parts_.chain->Call(input_, response_)); },
        [this] { End(parts_.chain->Refuse(input_, NoWorker())); },
        [this] {
          End(Chain::Result{NoWorker(), {}});
        });
  }

  void OnCancel() override { input_.cancellation->Cancel(); }
  void OnDone() override { delete this; }

 private:
  // Nothing of this object may be used afterwards.
  void End(const Chain::Result& result) {
    for (const auto& [name, value] : result.metadata) context_->AddInitialMetadata(name, value);
    Finish(ToGrpcStatus(result.status));
  }

  const GrpcServer::Parts& parts_;
  grpc::CallbackServerContext* const context_;
  const CallInput input_;
  google::protobuf::Message* const response_;
};

}  // namespace

grpc::Status ToGrpcStatus(const absl::Status& status) {
  if (status.ok()) return grpc::Status::OK;
  return grpc::Status(static_cast<grpc::StatusCode>(status.code()), std::string(status.message()),
                      ToRpcStatus(status).SerializeAsString());
}

CallInput InputOf(const grpc::CallbackServerContext& context, const Method& method,
                  const google::protobuf::Message& request, const Clock& clock) {
  CallInput input;
  input.method = &method;
  input.request = &request;
  input.authorization = Find(context, "authorization").value_or("");
  input.idempotency_key = Find(context, "idempotency-key");
  input.request_id = Find(context, "x-request-id").value_or("");
  input.received = clock.Boot();
  // gRPC gives the deadline by the wall clock, made from the time left a moment ago.
  const auto now = std::chrono::system_clock::now();
  if (context.deadline() < now + std::chrono::hours(24)) {
    input.deadline = input.received + (context.deadline() - now);
  }
  input.cancellation = std::make_shared<Cancellation>();
  return input;
}

absl::Status NoWorker() {
  return WithRetryAfter(Error(v1::RATE_LIMITED, "the server is busy; try again a little later"),
                        std::chrono::seconds(1));
}

grpc::ServerUnaryReactor* StartUnary(const GrpcServer::Parts& parts,
                                     grpc::CallbackServerContext* context, const char* name,
                                     const google::protobuf::Message& request,
                                     google::protobuf::Message* response) {
  auto* call = new UnaryCall(parts, context, name, request, response);
  call->Start();
  return call;
}

}  // namespace jetmon::rpc
