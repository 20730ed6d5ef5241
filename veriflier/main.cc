#include <gflags/gflags.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <fstream>
#include <memory>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "clock/deadline_budget.h"
#include "confirm/client.h"
#include "daemon/daemon.h"
#include "daemon/log.h"
#include "probe/flags.h"
#include "veriflier/checker.h"
#include "veriflier/registration.h"
#include "veriflier/service.h"

DEFINE_string(control_plane, "", "host:port of the control planes' gRPC, by commas");
DEFINE_string(vantage_id, "", "the vantage that this agent belongs to");
DEFINE_string(vantage_token_file, "", "file with the vantage's token (jv_...), mode 0600");
DEFINE_string(listen, "127.0.0.1:7804", "host:port to serve VeriflierService on");
DEFINE_string(advertise, "", "host:port that others reach it at; --listen if left out");
DEFINE_string(agent_id, "", "stable name of this agent; host name and port if left out");
DEFINE_string(region, "", "where it stands");
DEFINE_string(provider, "", "who hosts it");
DEFINE_int32(max_concurrency, 100, "checks at a time, 1 to 10000");
DEFINE_int32(queue_capacity, 1000, "checks that may wait, 0 to 100000");
DEFINE_bool(insecure_allow_remote, false, "listen on an address that is not loopback without TLS");

namespace jetmon::veriflier {
namespace {

struct Config {
  std::vector<std::string> control_planes;
  std::string token;
  Server::Options server;
  v1::Hello hello;
  probe::Engine::Options engine;
  DeadlineBudget budget;
};

bool IsLoopback(const std::string& address) {
  return absl::StartsWith(address, "127.") || absl::StartsWith(address, "[::1]:") ||
         absl::StartsWith(address, "localhost:");
}

absl::StatusOr<std::string> ReadToken(const std::string& path) {
  struct stat st {};
  std::ifstream file(path);
  std::string token;
  if (path.empty() || stat(path.c_str(), &st) != 0 || !std::getline(file, token)) {
    return absl::InvalidArgumentError(
        absl::StrCat("--vantage_token_file: can't read a token from '", path, "'"));
  }
  if ((st.st_mode & 077) != 0) {
    return absl::InvalidArgumentError(
        absl::StrCat("others can read ", path, "; run: chmod 600 ", path));
  }
  token = std::string(absl::StripAsciiWhitespace(token));
  if (!absl::StartsWith(token, "jv_") || token.size() > 200) {
    return absl::InvalidArgumentError(absl::StrCat(path, " holds no vantage token (jv_...)"));
  }
  return token;
}

std::string HostName() {
  char name[256] = "agent";
  if (gethostname(name, sizeof(name) - 1) != 0) return "agent";
  return name;
}

absl::StatusOr<Config> ConfigFromFlags() {
  Config c;
  c.control_planes = absl::StrSplit(FLAGS_control_plane, ',', absl::SkipWhitespace());
  if (c.control_planes.empty() || FLAGS_vantage_id.empty()) {
    return absl::InvalidArgumentError("--control_plane and --vantage_id are required; see --help");
  }
  if (!IsLoopback(FLAGS_listen) && !FLAGS_insecure_allow_remote) {
    return absl::InvalidArgumentError(
        absl::StrCat("--listen=", FLAGS_listen,
                     " is not loopback, and there is no TLS yet; add "
                     "--insecure_allow_remote to listen there all the same"));
  }
  if (FLAGS_max_concurrency < 1 || FLAGS_max_concurrency > 10'000 || FLAGS_queue_capacity < 0 ||
      FLAGS_queue_capacity > 100'000) {
    return absl::InvalidArgumentError(
        "--max_concurrency takes 1 to 10000, --queue_capacity 0 to 100000");
  }
  auto token = ReadToken(FLAGS_vantage_token_file);
  if (!token.ok()) return token.status();
  auto engine = probe::EngineOptionsFromFlags();
  if (!engine.ok()) return engine.status();
  // As long as anybody's: so it serves every Monitor.
  auto budget = probe::BudgetFromFlags(DeadlineBudget::kLongestCheck);
  if (!budget.ok()) return budget.status();
  c.budget = *budget;
  c.token = *token;
  c.engine = *std::move(engine);
  c.engine.max_concurrent = FLAGS_max_concurrency;
  c.engine.max_queued = FLAGS_queue_capacity;
  const std::string advertise = FLAGS_advertise.empty() ? FLAGS_listen : FLAGS_advertise;
  const std::string port = FLAGS_listen.substr(FLAGS_listen.rfind(':') + 1);
  c.server.listen = FLAGS_listen;
  c.server.vantage_id = FLAGS_vantage_id;
  c.server.agent_id = FLAGS_agent_id.empty() ? absl::StrCat(HostName(), "-", port) : FLAGS_agent_id;
  c.server.build = daemon::Version();
  c.server.token = c.token;
  c.server.max_concurrency = FLAGS_max_concurrency;
  c.server.queue_capacity = FLAGS_queue_capacity;
  c.hello.set_agent_id(c.server.agent_id);
  c.hello.set_vantage_id(FLAGS_vantage_id);
  c.hello.set_endpoint(advertise);
  c.hello.set_protocol_min(confirm::kProtocol);
  c.hello.set_protocol_max(confirm::kProtocol);
  c.hello.set_build(daemon::Version());
  c.hello.set_region(FLAGS_region);
  c.hello.set_provider(FLAGS_provider);
  c.hello.set_max_concurrency(FLAGS_max_concurrency);
  c.hello.set_queue_capacity(FLAGS_queue_capacity);
  c.hello.set_longest_check_ms(static_cast<uint32_t>(c.budget.check().count()));
  return c;
}

uint64_t RssBytes() {
  std::ifstream statm("/proc/self/statm");
  uint64_t total = 0, resident = 0;
  statm >> total >> resident;
  return resident * static_cast<uint64_t>(sysconf(_SC_PAGESIZE));
}

class VeriflierDaemon final : public daemon::Daemon {
 public:
  static absl::StatusOr<std::unique_ptr<daemon::Daemon>> Start() {
    auto config = ConfigFromFlags();
    if (!config.ok()) return config.status();
    auto d = std::unique_ptr<VeriflierDaemon>(new VeriflierDaemon);
    d->checker_ = std::make_unique<Checker>(
        Checker::Identity{config->server.vantage_id, config->server.agent_id}, config->engine,
        config->budget);
    if (auto s = d->checker_->Start(); !s.ok()) return s;
    Registration::Options registration;
    registration.control_planes = config->control_planes;
    registration.token = config->token;
    registration.hello = config->hello;
    registration.heartbeat = [raw = d.get()] { return raw->Beat(); };
    config->server.trust = [raw = d.get()] {
      return raw->registration_ != nullptr ? raw->registration_->trust() : "unconnected";
    };
    auto server = Server::Start(config->server, d->checker_.get(), SystemClock());
    if (!server.ok()) return server.status();
    d->server_ = std::move(*server);
    d->registration_ = std::make_unique<Registration>(std::move(registration));
    LogInfo(absl::StrCat("agent ", config->server.agent_id, " of vantage ",
                         config->server.vantage_id, " serves on ", config->server.listen));
    return d;
  }
  void Shutdown() override {
    registration_->Stop();
    server_.reset();
    checker_->Stop();
  }

 private:
  v1::Heartbeat Beat() const {
    v1::Heartbeat beat;
    const probe::Engine::Stats stats = checker_->stats();
    beat.set_in_flight(stats.in_flight);
    beat.set_queue_depth(stats.queued);
    beat.set_completed(checker_->completed());
    beat.set_failed(checker_->failed());
    beat.set_rss_bytes(RssBytes());
    return beat;
  }

  std::unique_ptr<Checker> checker_;
  std::unique_ptr<Registration> registration_;
  std::unique_ptr<Server> server_;  // first to go: it asks the other two
};

}  // namespace
}  // namespace jetmon::veriflier

int main(int argc, char** argv) {
  jetmon::daemon::Program program;
  program.name = "jetmon-veriflier";
  program.summary =
      "confirms outages from its vantage. Registers itself with the control plane by a stream, and "
      "answers the checks that Monitors ask for; needs no database.";
  program.example =
      "jetmon-veriflier --control_plane=127.0.0.1:9443 --vantage_id=fra-1 "
      "--vantage_token_file=/etc/jetmon/vantage.token --listen=127.0.0.1:7804";
  program.start = jetmon::veriflier::VeriflierDaemon::Start;
  return jetmon::daemon::Main(argc, argv, program);
}
