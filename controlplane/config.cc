#include "controlplane/config.h"

#include <gflags/gflags.h>
#include <unistd.h>

#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "probe/flags.h"
#include "store/flags.h"

DEFINE_string(grpc_listen, "127.0.0.1:9443", "address:port for gRPC");
DEFINE_string(http_listen, "127.0.0.1:8443", "address:port for REST");
DEFINE_string(server_host, "", "this control plane's name in answers; default: the host's name");
DEFINE_string(discovery_mode, "active", "where Verifliers are known from: active (the registry)");
DEFINE_string(verifliers, "", "the static list: name=host:port,...");
DEFINE_uint32(bucket_total, 512, "how many buckets there are, 1..65536");
DEFINE_uint32(peer_offline_limit, 3, "distinct vantages that a rollout needs, 1..100");
DEFINE_string(interval_unit, "60s", "what a check_interval of 1 means, 10ms..1h");
DEFINE_string(legacy_dialect, "v1",
              "what site_status means to the program that had the sites before: v1 (0 is down and "
              "told) or jetmon2 (0 seems down); as the Monitors'");
DEFINE_string(
    legacy_receiver_delay, "60s",
    "dialect v1: how late the receiver of notifications may write site_status, 0s..10m; as "
    "the Monitors'");
DEFINE_string(legacy_replica_lag, "30s",
              "dialect v1: how far the replicas that v1 reads may be behind, 0s..10m; 0s where it "
              "reads the primary");
DEFINE_bool(insecure_allow_remote, false,
            "listen also on addresses that are not loopback, without TLS");
DEFINE_double(rate_limit, 100, "requests a second that one API key may send, 0.1..1000000");
DEFINE_uint32(rate_burst, 200, "requests that one API key may send at once, 1..1000000");
DEFINE_uint32(http_connections, 1024, "REST connections at most, 1..100000");

namespace jetmon::controlplane {
namespace {

absl::Status Wrong(const char* flag, const std::string& what) {
  return absl::InvalidArgumentError(absl::StrCat("--", flag, ": ", what));
}

absl::Status CheckRanges(const Config& c) {
  if (c.bucket_total < 1 || c.bucket_total > 65536)
    return Wrong("bucket_total", "must be 1..65536");
  if (c.peer_offline_limit < 1 || c.peer_offline_limit > 100) {
    return Wrong("peer_offline_limit", "must be 1..100");
  }
  if (!(c.rate_limit >= 0.1 && c.rate_limit <= 1e6))
    return Wrong("rate_limit", "must be 0.1..1000000");
  if (c.rate_burst < 1 || c.rate_burst > 1'000'000)
    return Wrong("rate_burst", "must be 1..1000000");
  if (c.http_connections < 1 || c.http_connections > 100'000) {
    return Wrong("http_connections", "must be 1..100000");
  }
  if (c.discovery_mode != "active" || !c.verifliers.empty()) {
    return Wrong(c.verifliers.empty() ? "discovery_mode" : "verifliers",
                 "this build serves --discovery_mode=active only, without a static list");
  }
  if (c.server_host.empty() || c.server_host.size() > 128) {
    return Wrong("server_host", "must be 1 to 128 characters");
  }
  return absl::OkStatus();
}

std::string HostName() {
  char name[256] = {};
  if (gethostname(name, sizeof(name) - 1) != 0) return "controlplane";
  return name;
}

absl::Status ReadDelay(const char* flag, const std::string& text,
                       std::chrono::milliseconds* delay) {
  absl::Duration read;
  if (!absl::ParseDuration(text, &read) || read < absl::ZeroDuration() ||
      read > absl::Minutes(10)) {
    return Wrong(flag, "must be a duration of 0s to 10m, such as 30s");
  }
  *delay = absl::ToChronoMilliseconds(read);
  return absl::OkStatus();
}

absl::Status ReadLegacyWords(Config* c) {
  const auto dialect = store::ParseLegacyDialect(FLAGS_legacy_dialect);
  if (FLAGS_legacy_dialect.empty() || !dialect.has_value()) {
    return Wrong("legacy_dialect", "must be v1 or jetmon2");
  }
  c->dialect = *dialect;
  auto s = ReadDelay("legacy_receiver_delay", FLAGS_legacy_receiver_delay, &c->receiver_delay);
  if (!s.ok()) return s;
  return ReadDelay("legacy_replica_lag", FLAGS_legacy_replica_lag, &c->replica_lag);
}

}  // namespace

absl::Status CheckListen(const std::string& flag, const std::string& listen, bool allow_remote) {
  const size_t colon = listen.rfind(':');
  uint32_t port = 0;
  if (colon == std::string::npos || colon == 0 ||
      !absl::SimpleAtoi(listen.substr(colon + 1), &port) || port > 65535) {
    return Wrong(flag.c_str(), listen + " is no ADDRESS:PORT, such as 127.0.0.1:8443");
  }
  const std::string host = listen.substr(0, colon);
  const bool loopback = host.starts_with("127.") || host == "[::1]" || host == "localhost";
  if (loopback || allow_remote) return absl::OkStatus();
  return Wrong(flag.c_str(), listen +
                                 " is not loopback, and this build has no TLS yet; say "
                                 "--insecure_allow_remote to listen there in the clear");
}

absl::StatusOr<Config> ConfigFromFlags() {
  Config c;
  c.database = store::SettingsFromFlags();
  c.grpc_listen = FLAGS_grpc_listen;
  c.http_listen = FLAGS_http_listen;
  c.server_host = FLAGS_server_host.empty() ? HostName() : FLAGS_server_host;
  c.discovery_mode = FLAGS_discovery_mode;
  c.verifliers = FLAGS_verifliers;
  c.bucket_total = FLAGS_bucket_total;
  c.peer_offline_limit = FLAGS_peer_offline_limit;
  c.insecure_allow_remote = FLAGS_insecure_allow_remote;
  c.rate_limit = FLAGS_rate_limit;
  c.rate_burst = FLAGS_rate_burst;
  c.http_connections = FLAGS_http_connections;
  if (auto options = store::OptionsFrom(c.database); !options.ok()) return options.status();
  absl::Duration unit;
  if (!absl::ParseDuration(FLAGS_interval_unit, &unit) || unit < absl::Milliseconds(10) ||
      unit > absl::Hours(1)) {
    return Wrong("interval_unit", "must be a duration of 10ms to 1h, such as 60s");
  }
  c.interval_unit = absl::ToChronoMilliseconds(unit);
  absl::Status status = CheckRanges(c);
  if (status.ok()) status = ReadLegacyWords(&c);
  if (status.ok()) status = CheckListen("grpc_listen", c.grpc_listen, c.insecure_allow_remote);
  if (status.ok()) status = CheckListen("http_listen", c.http_listen, c.insecure_allow_remote);
  if (!status.ok()) return status;
  auto budget = probe::BudgetFromFlags(DeadlineBudget::kDefaultCheck);
  if (!budget.ok()) return budget.status();
  c.budget = *budget;
  auto engine = probe::EngineOptionsFromFlags();
  if (!engine.ok()) return engine.status();
  c.engine = *std::move(engine);
  return c;
}

}  // namespace jetmon::controlplane
