#ifndef JETMON_CONTROLPLANE_RPC_GRPC_CALL_H_
#define JETMON_CONTROLPLANE_RPC_GRPC_CALL_H_

#include <grpcpp/grpcpp.h>

#include <condition_variable>
#include <deque>
#include <memory>
#include <mutex>
#include <string>
#include <utility>

#include "controlplane/rpc/chain.h"
#include "controlplane/rpc/grpc_server.h"

// One call of the gRPC transport: reactors that hand it to the chain on a worker thread. Included
// by the transport's own files only.
namespace jetmon::rpc {

// The status with google.rpc.Status in its details.
grpc::Status ToGrpcStatus(const absl::Status& status);
// What the chain wants to know, from the call's metadata and deadline.
CallInput InputOf(const grpc::CallbackServerContext& context, const Method& method,
                  const google::protobuf::Message& request, const Clock& clock);
// What a call is told that found no worker.
absl::Status NoWorker();

// Begins a unary call; the reactor deletes itself.
grpc::ServerUnaryReactor* StartUnary(const GrpcServer::Parts& parts,
                                     grpc::CallbackServerContext* context, const char* name,
                                     const google::protobuf::Message& request,
                                     google::protobuf::Message* response);

// A server stream. The handler's thread queues copies; one write is in flight at a time; a client
// that takes nothing for kStall is treated as gone. Lives until OnDone, which comes only after
// Finish, which comes only after the handler has returned and the last write is done.
template <typename Response>
class StreamCall final : public grpc::ServerWriteReactor<Response>, public MessageSink {
 public:
  StreamCall(const GrpcServer::Parts& parts, grpc::CallbackServerContext* context, const char* name,
             const google::protobuf::Message& request)
      : parts_(parts),
        context_(context),
        input_(InputOf(*context, *parts.registry->Find(name), request, *parts.clock)) {}

  void Start() {
    parts_.dispatcher->Dispatch(
        Dispatcher::Kind::kStream, input_.cancellation,
        [this] {
          StreamOutput output{[this](const CallContext::Metadata& headers) { Add(headers); }, this};
          Chain::Result result = parts_.chain->Stream(input_, output);
          if (!began_) Add(result.metadata);
          End(ToGrpcStatus(result.status));
        },
        [this] {
          Chain::Result result = parts_.chain->Refuse(input_, NoWorker());
          Add(result.metadata);
          End(ToGrpcStatus(result.status));
        },
        [this] { End(ToGrpcStatus(NoWorker())); });
  }

  bool Write(const google::protobuf::Message& message) override {
    auto copy = std::make_unique<Response>(static_cast<const Response&>(message));
    Response* first = nullptr;
    {
      std::unique_lock lock(mu_);
      if (!room_.wait_for(lock, kStall, [&] { return gone_ || queue_.size() < kQueue; })) {
        gone_ = true;
      }
      if (gone_) return false;
      queue_.push_back(std::move(copy));
      if (!writing_) first = queue_.front().get();
      writing_ = true;
    }
    if (first != nullptr) this->StartWrite(first);
    return true;
  }

  void OnWriteDone(bool ok) override {
    Response* next = nullptr;
    bool finish = false;
    {
      std::lock_guard lock(mu_);
      queue_.pop_front();
      if (!ok) gone_ = true;
      if (gone_) queue_.clear();
      if (!queue_.empty()) next = queue_.front().get();
      writing_ = next != nullptr;
      finish = !writing_ && ended_;
      room_.notify_all();
    }
    if (next != nullptr) this->StartWrite(next);
    if (finish) this->Finish(end_);
  }

  void OnCancel() override {
    {
      std::lock_guard lock(mu_);
      gone_ = true;
      room_.notify_all();
    }
    input_.cancellation->Cancel();
  }

  void OnDone() override { delete this; }

 private:
  static constexpr size_t kQueue = 16;
  static constexpr std::chrono::seconds kStall{60};

  void Add(const CallContext::Metadata& headers) {
    began_ = true;
    for (const auto& [name, value] : headers) context_->AddInitialMetadata(name, value);
  }

  // The handler has returned. Nothing of this object may be used afterwards.
  void End(grpc::Status status) {
    {
      std::lock_guard lock(mu_);
      end_ = std::move(status);
      ended_ = true;
      if (writing_) return;
    }
    this->Finish(end_);
  }

  const GrpcServer::Parts& parts_;
  grpc::CallbackServerContext* const context_;
  const CallInput input_;
  bool began_ = false;
  std::mutex mu_;
  std::condition_variable room_;
  std::deque<std::unique_ptr<Response>> queue_;  // the front is in flight while writing_
  bool writing_ = false;
  bool gone_ = false;
  bool ended_ = false;
  grpc::Status end_;
};

template <typename Response>
grpc::ServerWriteReactor<Response>* StartStream(const GrpcServer::Parts& parts,
                                                grpc::CallbackServerContext* context,
                                                const char* name,
                                                const google::protobuf::Message& request) {
  auto* call = new StreamCall<Response>(parts, context, name, request);
  call->Start();
  return call;
}

}  // namespace jetmon::rpc

#endif  // JETMON_CONTROLPLANE_RPC_GRPC_CALL_H_
