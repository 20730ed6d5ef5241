// Plays version 1 of the Monitor as its public source behaves: rounds over its own range of
// buckets, a memory that an end forgets, verifliers, and tells that are repeated until somebody
// else has changed the column. See tests/lab/README.md.
#include <gflags/gflags.h>

#include <thread>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/time/time.h"
#include "daemon/daemon.h"
#include "tests/lab/v1/fleet.h"

DEFINE_string(database, "",
              "the database that holds v1's table, as the daemons take it; a server's password "
              "comes from JETMON_DATABASE_PASSWORD");
DEFINE_string(listen, "127.0.0.1:0", "IPv4 address and port of the control endpoint");
DEFINE_string(log, "", "the file that starts, stops, reads and tells go to");
DEFINE_string(
    ranges, "0-511",
    "ranges of buckets to start with, MIN-MAX,MIN-MAX, each a host of its own; empty: none");
DEFINE_uint32(bucket_total, 512, "how many buckets there are");
DEFINE_uint32(batch_size, 32, "BATCH_SIZE: buckets in one query");
DEFINE_string(
    interval_unit, "1m",
    "what one minute of v1's lasts. All its times scale with it: rounds "
    "(--round_minutes), 30 s between local checks, the tick of 5 s at which retries and "
    "verifliers are seen to, 59 min until 'still down', 60 s for verifliers, 20 s for the "
    "receiver's answer, 20 s that orphans live. Only --timeout and --replica_lag do not");
DEFINE_double(round_minutes, 5,
              "MIN_TIME_BETWEEN_ROUNDS_SEC, in minutes; sites' check_interval is "
              "not looked at");
DEFINE_string(timeout, "2s", "of one check, redirects included; not scaled (v1 has 19.6 s)");
DEFINE_string(source_address, "", "the address that checks and tells are sent from");
DEFINE_string(veriflier_addresses, "",
              "addresses, comma between, from which v1's verifliers send theirs; empty: one, at "
              "--source_address");
DEFINE_uint32(veriflier_limit, 0,
              "PEER_OFFLINE_LIMIT: how many verifliers must agree; each beyond that repeats the "
              "tell; 0: all");
DEFINE_string(receiver, "", "who is told: http://HOST:PORT");
DEFINE_string(token, "lab", "AUTH_TOKEN, part of each tell");
DEFINE_string(replica_lag, "0s", "reads see the table as it was so long ago; not scaled");
DEFINE_bool(db_updates, false,
            "DB_UPDATES_ENABLE, v1's test mode: it writes the column itself, just before it tells");
DEFINE_bool(orphans, false,
            "at a kill, checks that wait go on for 20 s (scaled), and tell nothing");
DEFINE_uint32(workers, 32, "checks at a time, of all hosts and verifliers together");

namespace jetmon::lab {
namespace {

absl::StatusOr<std::chrono::milliseconds> ParseDuration(const std::string& flag,
                                                        const std::string& text,
                                                        absl::Duration least) {
  absl::Duration duration;
  if (!absl::ParseDuration(text, &duration) || duration < least) {
    return absl::InvalidArgumentError(absl::StrCat("--", flag, "=", text, " is no duration"));
  }
  return absl::ToChronoMilliseconds(duration);
}

absl::StatusOr<V1Config> ConfigFromFlags() {
  const auto unit = ParseDuration("interval_unit", FLAGS_interval_unit, absl::Milliseconds(1));
  if (!unit.ok()) return unit.status();
  V1Config config;
  V1Times times;
  times.round_ms = static_cast<int64_t>(FLAGS_round_minutes * 60'000);
  config.times = times.Scaled(unit->count());
  config.batch_size = FLAGS_batch_size;
  config.source = FLAGS_source_address;
  config.verifliers = absl::StrSplit(FLAGS_veriflier_addresses, ',', absl::SkipEmpty());
  if (config.verifliers.empty()) config.verifliers = {FLAGS_source_address};
  const size_t all = config.verifliers.size();
  config.limit = static_cast<int>(FLAGS_veriflier_limit == 0 ? all : FLAGS_veriflier_limit);
  config.db_updates = FLAGS_db_updates;
  config.orphans = FLAGS_orphans;
  if (FLAGS_batch_size == 0 || FLAGS_round_minutes <= 0) {
    return absl::InvalidArgumentError("--batch_size and --round_minutes are 0 or less");
  }
  return config;
}

absl::StatusOr<std::unique_ptr<RealV1World>> WorldFromFlags(const V1Config& config) {
  if (FLAGS_log.empty()) return absl::InvalidArgumentError("--log=FILE is missing");
  const auto receiver = ParseHttpUrl(FLAGS_receiver);
  if (!receiver) return absl::InvalidArgumentError("--receiver=http://HOST:PORT is missing");
  const auto timeout = ParseDuration("timeout", FLAGS_timeout, absl::Milliseconds(1));
  if (!timeout.ok()) return timeout.status();
  const auto lag = ParseDuration("replica_lag", FLAGS_replica_lag, absl::ZeroDuration());
  if (!lag.ok()) return lag.status();
  auto table = OpenLegacyTable(FLAGS_database);
  if (!table.ok()) return table.status();
  auto log = LineLog::Open(FLAGS_log);
  if (!log.ok()) return log.status();
  RealV1World::Settings settings;
  settings.bucket_total = FLAGS_bucket_total;
  settings.check_limit = *timeout;
  settings.tell_limit = std::chrono::milliseconds(config.times.tell_limit_ms);
  settings.replica_lag = *lag;
  settings.receiver = *receiver;
  settings.source = FLAGS_source_address;
  settings.token = FLAGS_token;
  settings.workers = static_cast<int>(FLAGS_workers);
  auto world = std::make_unique<RealV1World>(settings, std::move(*table), std::move(*log));
  if (auto s = world->Open(); !s.ok()) return s;
  return world;
}

class V1Process final : public daemon::Daemon {
 public:
  static absl::StatusOr<std::unique_ptr<daemon::Daemon>> Start() {
    auto config = ConfigFromFlags();
    if (!config.ok()) return config.status();
    auto world = WorldFromFlags(*config);
    if (!world.ok()) return world.status();
    auto process = std::make_unique<V1Process>();
    process->fleet_ = std::make_unique<V1Fleet>(*config, FLAGS_bucket_total, std::move(*world));
    for (absl::string_view text : absl::StrSplit(FLAGS_ranges, ',', absl::SkipEmpty())) {
      const std::pair<std::string, std::string> ends = absl::StrSplit(text, '-');
      auto range = ParseBuckets(ends.first, ends.second, FLAGS_bucket_total);
      if (!range.ok()) return range.status();
      if (auto s = process->fleet_->Start(*range, FLAGS_batch_size); !s.ok()) return s;
    }
    auto server = HttpServer::Listen(FLAGS_listen, [p = process.get()](const HttpRequest& request) {
      return p->fleet_->Control(request);
    });
    if (!server.ok()) return server.status();
    process->server_ = std::move(*server);
    process->fleet_->Run();
    process->thread_ = std::thread([p = process.get()] { p->server_->Run(); });
    return process;
  }

  void Shutdown() override {
    server_->Stop();
    thread_.join();
    fleet_.reset();
  }

 private:
  std::unique_ptr<V1Fleet> fleet_;
  std::unique_ptr<HttpServer> server_;
  std::thread thread_;
};

}  // namespace
}  // namespace jetmon::lab

int main(int argc, char** argv) {
  return jetmon::daemon::Main(
      argc, argv,
      {"v1_host", "Checks sites and tells of them as Jetmon 1 does, range by range.",
       "v1_host --database=sqlite:///tmp/jetmon.db --ranges=0-255,256-511 --log=/tmp/v1.jsonl "
       "--receiver=http://127.0.0.1:18090",
       jetmon::lab::V1Process::Start});
}
