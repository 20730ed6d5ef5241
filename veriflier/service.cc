#include "veriflier/service.h"

#include <grpcpp/grpcpp.h>
#include <grpcpp/health_check_service_interface.h>

#include <algorithm>
#include <deque>
#include <mutex>

#include "absl/strings/str_cat.h"
#include "confirm/client.h"
#include "confirm/credential.h"
#include "daemon/grpc_log.h"
#include "jetmon/v1/veriflier.grpc.pb.h"

namespace jetmon::veriflier {
namespace {

constexpr int kMaxSites = 500;
constexpr uint32_t kLongestMs = 10'000;
constexpr std::chrono::seconds kShutdownGrace{2};

bool Authorised(const grpc::CallbackServerContext* context, const std::string& credential) {
  const auto& metadata = context->client_metadata();
  const auto found = metadata.find("authorization");
  if (found == metadata.end()) return false;
  return confirm::SameSecret(std::string_view(found->second.data(), found->second.size()),
                             "Bearer " + credential);
}

// One CheckSites: results are written as checks end, one write at a time; at most as many wait as
// sites were asked for. Checks hold it by shared_ptr, gRPC by the `self_` that OnDone drops.
//
// gRPC aborts the process when a call is finished twice or written to after that. So Pump alone
// starts writes and finishes; whatever happens only changes what Pump looks at.
class CheckStream final : public grpc::ServerWriteReactor<v1::SiteCheckResult>,
                          public std::enable_shared_from_this<CheckStream> {
 public:
  static CheckStream* Refuse(grpc::Status status) {
    auto stream = std::make_shared<CheckStream>();
    stream->self_ = stream;
    stream->status_ = std::move(status);
    stream->Continue();
    return stream.get();
  }
  static CheckStream* Start(const v1::CheckSitesRequest& request, Checker* checker,
                            const Clock& clock) {
    auto stream = std::make_shared<CheckStream>();
    stream->self_ = stream;
    stream->left_ = request.sites_size();
    const uint32_t ms = request.deadline_ms() == 0 ? kLongestMs : request.deadline_ms();
    const BootTime limit = clock.Boot() + std::chrono::milliseconds(std::min(ms, kLongestMs));
    for (const v1::SiteCheck& site : request.sites()) {
      checker->Check(site, limit, stream->cancelled_,
                     [stream](v1::SiteCheckResult result) { stream->Add(std::move(result)); });
    }
    if (request.sites_size() == 0) stream->Continue();
    return stream.get();
  }

  void OnWriteDone(bool ok) override {
    std::unique_lock lock(mutex_);
    writing_ = false;
    queue_.pop_front();
    if (!ok) broken_ = true;
    Pump(lock);
  }
  void OnCancel() override {
    *cancelled_ = true;
    std::unique_lock lock(mutex_);
    broken_ = true;
    Pump(lock);
  }
  void OnDone() override {
    *cancelled_ = true;
    self_.reset();
  }

 private:
  void Add(v1::SiteCheckResult result) {
    std::unique_lock lock(mutex_);
    --left_;
    if (!broken_) queue_.push_back(std::move(result));
    Pump(lock);
  }
  void Continue() {
    std::unique_lock lock(mutex_);
    Pump(lock);
  }
  // Writes the next result, or finishes, if it is time; each call to gRPC is made without the lock.
  void Pump(std::unique_lock<std::mutex>& lock) {
    if (writing_ || finished_) return;
    if (!broken_ && !queue_.empty()) {
      writing_ = true;
      const v1::SiteCheckResult* next = &queue_.front();  // a deque's elements stay where they are
      lock.unlock();
      StartWrite(next);
    } else if (left_ == 0 || broken_) {
      finished_ = true;
      grpc::Status status = broken_ ? grpc::Status::CANCELLED : status_;
      lock.unlock();
      Finish(std::move(status));
    }
  }

  std::shared_ptr<std::atomic<bool>> cancelled_ = std::make_shared<std::atomic<bool>>(false);
  std::shared_ptr<CheckStream> self_;
  std::mutex mutex_;
  std::deque<v1::SiteCheckResult> queue_;  // guarded by mutex_, as all below
  int left_ = 0;                           // checks that have not ended
  grpc::Status status_;                    // how it ends if nobody cancels it
  bool writing_ = false, broken_ = false, finished_ = false;
};

class Service final : public v1::VeriflierService::CallbackService {
 public:
  Service(Server::Options options, Checker* checker, const Clock& clock)
      : options_(std::move(options)),
        credential_(confirm::CallerCredential(confirm::TokenHash(options_.token))),
        checker_(checker),
        clock_(clock) {}

  grpc::ServerWriteReactor<v1::SiteCheckResult>* CheckSites(
      grpc::CallbackServerContext* context, const v1::CheckSitesRequest* request) override {
    if (!Authorised(context, credential_)) return CheckStream::Refuse(Unauthenticated());
    if (request->sites_size() > kMaxSites) {
      return CheckStream::Refuse(grpc::Status(grpc::StatusCode::INVALID_ARGUMENT,
                                              absl::StrCat("at most ", kMaxSites, " sites")));
    }
    return CheckStream::Start(*request, checker_, clock_);
  }

  grpc::ServerUnaryReactor* GetVeriflierStatus(grpc::CallbackServerContext* context,
                                               const v1::GetVeriflierStatusRequest*,
                                               v1::VeriflierStatus* status) override {
    grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
    if (!Authorised(context, credential_)) {
      reactor->Finish(Unauthenticated());
      return reactor;
    }
    const probe::Engine::Stats stats = checker_->stats();
    status->set_vantage_id(options_.vantage_id);
    status->set_agent_id(options_.agent_id);
    status->set_build(options_.build);
    status->set_protocol_min(confirm::kProtocol);
    status->set_protocol_max(confirm::kProtocol);
    status->set_in_flight(stats.in_flight);
    status->set_queue_depth(stats.queued);
    status->set_max_concurrency(options_.max_concurrency);
    status->set_queue_capacity(options_.queue_capacity);
    status->set_completed(checker_->completed());
    status->set_failed(checker_->failed());
    status->set_trust(options_.trust());
    reactor->Finish(grpc::Status::OK);
    return reactor;
  }

 private:
  static grpc::Status Unauthenticated() {
    return grpc::Status(grpc::StatusCode::UNAUTHENTICATED, "the credential is not this vantage's");
  }

  const Server::Options options_;
  const std::string credential_;
  Checker* const checker_;
  const Clock& clock_;
};

}  // namespace

struct Server::Running {
  std::unique_ptr<Service> service;
  std::unique_ptr<grpc::Server> server;
};

Server::Server(std::unique_ptr<Running> running) : running_(std::move(running)) {}

absl::StatusOr<std::unique_ptr<Server>> Server::Start(Options options, Checker* checker,
                                                      const Clock& clock) {
  auto running = std::make_unique<Running>();
  const std::string listen = options.listen;
  running->service = std::make_unique<Service>(std::move(options), checker, clock);
  RouteGrpcLog();
  grpc::EnableDefaultHealthCheckService(true);
  grpc::ServerBuilder builder;
  builder.AddChannelArgument(GRPC_ARG_ALLOW_REUSEPORT, 0);
  builder.SetMaxReceiveMessageSize(1 << 20);
  int port = 0;
  builder.AddListeningPort(listen, grpc::InsecureServerCredentials(), &port);
  builder.RegisterService(running->service.get());
  running->server = builder.BuildAndStart();
  if (running->server == nullptr || port == 0) {
    return absl::UnavailableError(
        absl::StrCat("can't listen on ", listen, "; is the port in use?"));
  }
  LetGrpcLog(true);
  return std::unique_ptr<Server>(new Server(std::move(running)));
}

Server::~Server() {
  running_->server->Shutdown(gpr_time_add(
      gpr_now(GPR_CLOCK_MONOTONIC), gpr_time_from_seconds(kShutdownGrace.count(), GPR_TIMESPAN)));
  running_->server->Wait();
}

}  // namespace jetmon::veriflier
