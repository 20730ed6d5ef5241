#include "controlplane/server.h"

#include <chrono>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "clock/clock.h"
#include "confirm/client.h"
#include "controlplane/access/audit.h"
#include "controlplane/access/authenticator.h"
#include "controlplane/access/idempotency.h"
#include "controlplane/access/rate_limiter.h"
#include "controlplane/api/discovery.h"
#include "controlplane/api/identity.h"
#include "controlplane/api/rollout.h"
#include "controlplane/discovery/register_stream.h"
#include "controlplane/discovery/registrar.h"
#include "controlplane/discovery/vantages.h"
#include "controlplane/gateway/gateway.h"
#include "controlplane/gateway/http_server.h"
#include "controlplane/housekeeping.h"
#include "controlplane/rollout/service.h"
#include "controlplane/rpc/chain.h"
#include "controlplane/rpc/dispatcher.h"
#include "controlplane/rpc/grpc_server.h"
#include "controlplane/rpc/registry.h"
#include "controlplane/rpc/statistics.h"
#include "daemon/log.h"
#include "store/ids.h"
#include "store/schema.h"

namespace jetmon::controlplane {
namespace {

// Of the 30 s that a daemon has to stop. What runs longer is a call that waits for a job, and the
// job goes on without it.
constexpr std::chrono::seconds kGrace{3};
// Agents of a control plane that stops come back, to it or another, spread over this.
constexpr uint32_t kReconnectWithinS = 5;

rollout::Options RolloutOptions(const Config& config, const std::string& instance) {
  rollout::Options options;
  options.bucket_total = config.bucket_total;
  options.unit = config.interval_unit;
  options.legacy = {config.dialect, config.receiver_delay, config.replica_lag};
  options.peer_offline_limit = static_cast<int>(config.peer_offline_limit);
  options.server_host = config.server_host;
  options.instance = instance;
  options.version = daemon::Version();
  options.engine = config.engine;
  options.times = rollout::Times{.budget = config.budget};
  return options;
}

class RunningServer final : public Server {
 public:
  RunningServer(const Config& config, std::unique_ptr<sql::Database> db)
      : config_(config),
        db_(std::move(db)),
        authenticator_(*db_, clock_),
        rate_limiter_({config.rate_limit, config.rate_burst}, clock_),
        idempotency_(*db_, clock_),
        audit_(*db_),
        chain_({&authenticator_, &rate_limiter_, &idempotency_, &audit_, &statistics_, &clock_},
               rpc::Chain::Limits()),
        dispatcher_(rpc::Dispatcher::Sizes()),
        gateway_({&registry_, &chain_, &dispatcher_, &statistics_, &clock_}) {}

  ~RunningServer() override { Shutdown(); }

  absl::Status Begin() {
    statistics_.AddSource("jetmon_audit_failures_total", "Audit rows that could not be written.",
                          [this] { return audit_.failures(); });
    AddDatabaseFigures();
    rollout_ = std::make_unique<rollout::Service>(
        rollout::Parts{&clock_, db_.get(),
                       [this](const confirm::Vantage& vantage, std::chrono::milliseconds limit,
                              std::function<void(absl::StatusOr<confirm::Facts>)> done) {
                         veriflier_client_.GetStatus(vantage, limit, std::move(done));
                       }},
        RolloutOptions(config_, instance_));
    AddServices();
    for (const std::string& name : registry_.WithoutReplay()) {
      return absl::InternalError(name + " is idempotent and has no replay handler");
    }
    absl::Status status = gateway_.Init();
    if (status.ok()) status = rollout_->Start();
    if (!status.ok()) return status;
    auto grpc = rpc::GrpcServer::Start(
        config_.grpc_listen,
        {&registry_, &chain_, &dispatcher_, &clock_,
         [this](grpc::CallbackServerContext* context) { return streams_.New(context); }});
    if (!grpc.ok()) return grpc.status();
    grpc_ = *std::move(grpc);
    gateway::HttpServer::Limits limits;
    limits.connections = config_.http_connections;
    auto http = gateway::HttpServer::Start(config_.http_listen, gateway_, limits);
    if (!http.ok()) return http.status();
    http_ = *std::move(http);
    housekeeping_ = std::make_unique<Housekeeping>(
        *db_,
        Housekeeping::Process{instance_, config_.server_host, daemon::Version(), config_.budget});
    LogInfo(absl::StrCat("gRPC on ", config_.grpc_listen, ", REST on ", config_.http_listen,
                         ", database ", std::string(db_->dialect().name())));
    return absl::OkStatus();
  }

  void Shutdown() override {
    // Streams first: they would outlast any grace.
    dispatcher_.CancelStreams();
    registrar_.DrainAll(kReconnectWithinS);
    if (http_ != nullptr) http_->Shutdown(kGrace);
    if (grpc_ != nullptr) grpc_->Shutdown(kGrace);
    dispatcher_.CancelAll();
    dispatcher_.Stop();
    http_.reset();
    grpc_.reset();
    if (rollout_ != nullptr) rollout_->Stop();
    housekeeping_.reset();
  }

  int grpc_port() const override { return grpc_->port(); }
  int http_port() const override { return http_->port(); }

 private:
  void AddDatabaseFigures() {
    const auto add = [this](const char* name, const char* help, uint64_t sql::Figures::*figure) {
      statistics_.AddSource(name, help, [this, figure] { return db_->figures().*figure; });
    };
    add("jetmon_database_transactions_total", "Transactions tried.", &sql::Figures::transactions);
    add("jetmon_database_conflicts_total", "Transactions run again after a conflict.",
        &sql::Figures::conflicts);
    add("jetmon_database_lost_total", "Transactions ended by a lost connection.",
        &sql::Figures::lost);
    add("jetmon_database_unknown_outcomes_total",
        "Transactions whose connection was lost at COMMIT.", &sql::Figures::unknown_outcomes);
    add("jetmon_database_exhausted_total", "Callers that got no connection in time.",
        &sql::Figures::exhausted);
    add("jetmon_database_connections_total", "Connections made.", &sql::Figures::connections);
  }

  void AddServices() {
    api::AddIdentityService(registry_, *db_, config_.server_host, daemon::Version());
    api::AddRolloutService(registry_, *rollout_);
    api::AddFleetService(registry_, *rollout_);
    api::AddDiscoveryService(registry_, vantages_);
  }

  const Config config_;
  // This process among all that ever ran.
  const std::string instance_ = store::RandomHex(16);
  Clock& clock_ = SystemClock();
  const std::unique_ptr<sql::Database> db_;
  confirm::Client veriflier_client_{config_.budget};
  std::unique_ptr<rollout::Service> rollout_;
  discovery::Vantages vantages_{*db_, clock_};
  discovery::Registrar registrar_{*db_, clock_, {config_.server_host, instance_}};
  discovery::StreamHub streams_{registrar_};
  access::Authenticator authenticator_;
  access::RateLimiter rate_limiter_;
  access::Idempotency idempotency_;
  access::Audit audit_;
  rpc::Statistics statistics_;
  rpc::Registry registry_;
  rpc::Chain chain_;
  rpc::Dispatcher dispatcher_;
  gateway::Gateway gateway_;
  std::unique_ptr<rpc::GrpcServer> grpc_;
  std::unique_ptr<gateway::HttpServer> http_;
  std::unique_ptr<Housekeeping> housekeeping_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<Server>> Server::Start(const Config& config) {
  auto db = store::OpenDatabase(config.database);
  if (!db.ok()) return db.status();
  auto server = std::make_unique<RunningServer>(config, *std::move(db));
  const absl::Status status = server->Begin();
  if (!status.ok()) return status;
  return server;
}

}  // namespace jetmon::controlplane
