#include "controlplane/rpc/grpc_server.h"

#include <grpc/support/log.h>
#include <grpcpp/ext/proto_server_reflection_plugin.h>
#include <grpcpp/grpcpp.h>
#include <grpcpp/impl/codegen/service_type.h>

#include <mutex>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "controlplane/rpc/grpc_services.h"
#include "daemon/grpc_compression.h"
#include "daemon/grpc_log.h"

namespace jetmon::rpc {
namespace {

// Above the chain's limit of 1 MiB, so that the chain's own answer is given just above it.
constexpr int kReceiveBytes = 4 << 20;
constexpr int kMetadataBytes = 16 << 10;

void AddArguments(grpc::ServerBuilder& builder) {
  builder.SetMaxReceiveMessageSize(kReceiveBytes);
  builder.AddChannelArgument(GRPC_ARG_MAX_METADATA_SIZE, kMetadataBytes);
  // A second server on the same port must fail, not share its calls.
  builder.AddChannelArgument(GRPC_ARG_ALLOW_REUSEPORT, 0);
  // A stopped peer is noticed within 15 s (measured, design chapter 5).
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_TIME_MS, 10'000);
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, 5'000);
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_PERMIT_WITHOUT_CALLS, 1);
  builder.AddChannelArgument(GRPC_ARG_HTTP2_MAX_PINGS_WITHOUT_DATA, 0);
  builder.AddChannelArgument(GRPC_ARG_HTTP2_MIN_RECV_PING_INTERVAL_WITHOUT_DATA_MS, 5'000);
}

}  // namespace

class GrpcServer::Impl {
 public:
  explicit Impl(Parts parts) : parts_(std::move(parts)) {}

  absl::Status Start(const std::string& listen) {
    RouteGrpcLog();
    LetGrpcLog(false);
    grpc::EnableDefaultHealthCheckService(true);
    grpc::reflection::InitProtoReflectionServerBuilderPlugin();
    grpc::ServerBuilder builder;
    AddArguments(builder);
    RefuseCompression(builder);
    builder.AddListeningPort(listen, grpc::InsecureServerCredentials(), &port_);
    services_ = MakeServices(parts_);
    for (const auto& service : services_) builder.RegisterService(service.get());
    server_ = builder.BuildAndStart();
    if (server_ == nullptr || port_ == 0) {
      return absl::UnavailableError("can't listen for gRPC on " + listen +
                                    ": the port is in use, or the address is not this machine's");
    }
    LetGrpcLog(true);
    return absl::OkStatus();
  }

  int port() const { return port_; }

  void Shutdown(std::chrono::milliseconds grace) {
    std::lock_guard lock(mu_);
    if (stopped_ || server_ == nullptr) return;
    stopped_ = true;
    server_->GetHealthCheckService()->SetServingStatus(false);
    server_->Shutdown(std::chrono::system_clock::now() + grace);
    server_->Wait();
  }

 private:
  const Parts parts_;
  std::vector<std::unique_ptr<grpc::Service>> services_;
  std::unique_ptr<grpc::Server> server_;
  int port_ = 0;
  std::mutex mu_;
  bool stopped_ = false;
};

absl::StatusOr<std::unique_ptr<GrpcServer>> GrpcServer::Start(const std::string& listen,
                                                              Parts parts) {
  auto impl = std::make_unique<Impl>(std::move(parts));
  const absl::Status status = impl->Start(listen);
  if (!status.ok()) return status;
  return std::unique_ptr<GrpcServer>(new GrpcServer(std::move(impl)));
}

GrpcServer::GrpcServer(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}

GrpcServer::~GrpcServer() { Shutdown(std::chrono::milliseconds(0)); }

int GrpcServer::port() const { return impl_->port(); }

void GrpcServer::Shutdown(std::chrono::milliseconds grace) { impl_->Shutdown(grace); }

}  // namespace jetmon::rpc
