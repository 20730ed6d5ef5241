#include <curl/curl.h>
#include <gflags/gflags.h>
#include <unistd.h>

#include <memory>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "clock/deadline_budget.h"
#include "daemon/daemon.h"
#include "daemon/log.h"
#include "monitor/notifier.h"
#include "monitor/ownership.h"
#include "probe/flags.h"
#include "store/flags.h"
#include "store/ids.h"
#include "store/schema.h"

DEFINE_string(host, "",
              "name of this Monitor host, as ranges are given to it; the machine's name "
              "if left out");
DEFINE_string(rollout_mode, "standby",
              "standby checks nothing; api-controlled checks what the control plane gives (or "
              "ROLLOUT_MODE)");
DEFINE_string(interval_unit, "60s", "length of one unit of check_interval; 1s in a lab");
DEFINE_int32(bucket_total, 512, "buckets in all, as the control plane's");
DEFINE_string(notify_url, "", "where notifications are posted; left out: recorded, not sent");
DEFINE_bool(legacy_projection, true, "write site_status and last_status_change as v1 did");
DEFINE_string(legacy_dialect, "v1",
              "what site_status means to the program that had the sites before: v1 (0 is down and "
              "told) or jetmon2 (0 seems down); as the control plane's");
DEFINE_string(legacy_receiver_delay, "60s",
              "dialect v1: how late the receiver of notifications may write site_status, 0s to "
              "10m; as the control plane's");
DEFINE_string(
    legacy_still_down_after, "59m",
    "dialect v1: how long after a down was told site_status becomes 2, 1m to 24h; as v1's "
    "TIME_BETWEEN_NOTICES_MIN");
DEFINE_int32(num_of_checks, 3, "local failures before Verifliers are asked, 1 to 10");
DEFINE_double(time_between_checks, 1, "units between a failure and the next check");
DEFINE_int32(peer_offline_limit, 3, "confirmations wanted at most, 1 to 100");
DEFINE_string(quorum_degraded, "hold",
              "what decides after 5 units without a quorum: hold, or majority");
DEFINE_int32(max_concurrent, 1000, "checks at a time, 1 to 100000");

namespace jetmon::monitor {
namespace {

// What a daemon has to stop; a drain ends within it.
constexpr std::chrono::seconds kStopWithin{30};
static_assert(kStopWithin > DeadlineBudget::Of(DeadlineBudget::kLongestCheck)->drain());

struct Setup {
  Config config;
  probe::Engine::Options engine;
};

absl::Status SetLegacyWords(Config* config) {
  const auto dialect = store::ParseLegacyDialect(FLAGS_legacy_dialect);
  if (FLAGS_legacy_dialect.empty() || !dialect.has_value()) {
    return absl::InvalidArgumentError("--legacy_dialect takes v1 or jetmon2");
  }
  if (*dialect == store::LegacyDialect::kV1 && !FLAGS_legacy_projection) {
    return absl::InvalidArgumentError(
        "--legacy_dialect=v1 needs --legacy_projection: what people were told stands in "
        "site_status alone");
  }
  absl::Duration delay, still_down;
  if (!absl::ParseDuration(FLAGS_legacy_receiver_delay, &delay) || delay < absl::ZeroDuration() ||
      delay > absl::Minutes(10)) {
    return absl::InvalidArgumentError("--legacy_receiver_delay takes a duration of 0s to 10m");
  }
  if (!absl::ParseDuration(FLAGS_legacy_still_down_after, &still_down) ||
      still_down < absl::Minutes(1) || still_down > absl::Hours(24)) {
    return absl::InvalidArgumentError("--legacy_still_down_after takes a duration of 1m to 24h");
  }
  config->dialect = *dialect;
  config->receiver_delay = absl::ToChronoMilliseconds(delay);
  config->still_down_after = absl::ToChronoMilliseconds(still_down);
  return absl::OkStatus();
}

absl::StatusOr<Setup> SetupFromFlags() {
  Setup s;
  if (FLAGS_rollout_mode == "active") {
    return absl::InvalidArgumentError(
        "--rollout_mode=active: dynamic claiming is not available in this build; use "
        "api-controlled");
  }
  if (FLAGS_rollout_mode != "standby" && FLAGS_rollout_mode != "api-controlled") {
    return absl::InvalidArgumentError("--rollout_mode takes standby, api-controlled or active");
  }
  absl::Duration unit;
  if (!absl::ParseDuration(FLAGS_interval_unit, &unit) || unit < absl::Milliseconds(100) ||
      unit > absl::Minutes(1)) {
    return absl::InvalidArgumentError("--interval_unit takes a duration of 100ms to 60s");
  }
  if (FLAGS_num_of_checks < 1 || FLAGS_num_of_checks > 10 || FLAGS_time_between_checks < 0.1 ||
      FLAGS_time_between_checks > 60 || FLAGS_peer_offline_limit < 1 ||
      FLAGS_peer_offline_limit > 100 || FLAGS_bucket_total < 1 || FLAGS_bucket_total > 65'536) {
    return absl::InvalidArgumentError(
        "--num_of_checks takes 1 to 10, --time_between_checks 0.1 to 60, --peer_offline_limit 1 "
        "to 100, --bucket_total 1 to 65536");
  }
  if (FLAGS_quorum_degraded != "hold" && FLAGS_quorum_degraded != "majority") {
    return absl::InvalidArgumentError("--quorum_degraded takes hold or majority");
  }
  if (!FLAGS_notify_url.empty() && !absl::StartsWith(FLAGS_notify_url, "http://") &&
      !absl::StartsWith(FLAGS_notify_url, "https://")) {
    return absl::InvalidArgumentError("--notify_url takes an http:// or https:// URL");
  }
  char name[256] = "";
  if (FLAGS_host.empty() && gethostname(name, sizeof(name) - 1) == 0) FLAGS_host = name;
  if (FLAGS_host.empty() || FLAGS_host.size() > 128 ||
      FLAGS_host.find_first_not_of(
          "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-") !=
          std::string::npos) {
    return absl::InvalidArgumentError("--host takes 1 to 128 letters, digits, '.', '_' and '-'");
  }
  if (auto words = SetLegacyWords(&s.config); !words.ok()) return words;
  auto budget = probe::BudgetFromFlags(DeadlineBudget::kDefaultCheck);
  if (!budget.ok()) return budget.status();
  s.config.budget = *budget;
  auto engine = probe::EngineOptionsFromFlags();
  if (!engine.ok()) return engine.status();
  s.config.host = FLAGS_host;
  s.config.instance = "ins_" + store::RandomHex(12);
  s.config.mode = FLAGS_rollout_mode;
  s.config.version = daemon::Version();
  s.config.unit = milliseconds(absl::ToInt64Milliseconds(unit));
  s.config.num_of_checks = FLAGS_num_of_checks;
  s.config.time_between_checks = FLAGS_time_between_checks;
  s.config.peer_offline_limit = FLAGS_peer_offline_limit;
  s.config.quorum_majority = FLAGS_quorum_degraded == "majority";
  s.config.legacy_projection = FLAGS_legacy_projection;
  s.config.notify_url = FLAGS_notify_url;
  s.engine = *std::move(engine);
  s.engine.max_concurrent = FLAGS_max_concurrent;
  s.engine.max_queued = 10 * FLAGS_max_concurrent;
  return s;
}

class MonitorDaemon final : public daemon::Daemon {
 public:
  static absl::StatusOr<std::unique_ptr<daemon::Daemon>> Start() {
    auto setup = SetupFromFlags();
    if (!setup.ok()) return setup.status();
    auto d = std::unique_ptr<MonitorDaemon>(new MonitorDaemon);
    d->config_ = setup->config;
    auto db = store::OpenDatabase(store::SettingsFromFlags());
    if (!db.ok()) return db.status();
    d->db_ = std::move(*db);
    auto engine = probe::Engine::Create(setup->engine);
    if (!engine.ok()) return engine.status();
    d->engine_ = std::move(*engine);
    d->confirmer_ = NewConfirmer(d->config_.Deadlines());
    const WatchParts parts{&d->config_, &SystemClock(), d->db_.get(), d->engine_.get(),
                           d->confirmer_.get()};
    d->ownership_ = std::make_unique<Ownership>(parts);
    if (auto s = d->ownership_->Open(); !s.ok()) return s;
    if (!d->config_.notify_url.empty()) {
      curl_global_init(CURL_GLOBAL_DEFAULT);
      d->notifier_ = std::make_unique<Notifier>(
          d->config_, SystemClock(), *d->db_, d->ownership_->tell_gate(),
          PostTo(d->config_.notify_url, d->config_.Deadlines().notification()));
      d->notifier_->Run();
    }
    d->ownership_->Run();
    LogInfo(absl::StrCat("host ", d->config_.host, ", instance ", d->config_.instance, ", mode ",
                         d->config_.mode));
    return d;
  }
  void Shutdown() override { ownership_->Stop(kStopWithin); }

 private:
  Config config_;
  std::unique_ptr<sql::Database> db_;
  std::unique_ptr<probe::Engine> engine_;
  std::unique_ptr<Confirmer> confirmer_;
  std::unique_ptr<Ownership> ownership_;
  std::unique_ptr<Notifier> notifier_;  // asks the other's gate
};

}  // namespace
}  // namespace jetmon::monitor

int main(int argc, char** argv) {
  jetmon::daemon::Program program;
  program.name = "jetmon-monitor";
  program.summary =
      "checks the sites of the bucket range that the control plane gave to its host, and opens, "
      "confirms and closes their incidents.";
  program.example =
      "jetmon-monitor --database=sqlite:///var/lib/jetmon/jetmon.db --host=monitor-a "
      "--rollout_mode=api-controlled";
  program.start = jetmon::monitor::MonitorDaemon::Start;
  return jetmon::daemon::Main(argc, argv, program);
}
