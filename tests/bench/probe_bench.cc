// The probe engine under the bench's clock: so many checks, so many at a time, and what they cost.
//
//   probe_bench --url=http://127.0.0.1:20080/1k --checks=40000 --concurrency=64 --mode=get-simple
//
// A line of "name value" for each figure. By default each check's `done` submits the next, so that
// what is measured is the engine and nothing else; with --list it is CheckAll, the list of smoke
// and `jetmon2 probe`, with its calling thread.
#include <gflags/gflags.h>
#include <sys/resource.h>

#include <atomic>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/synchronization/notification.h"
#include "probe/engine.h"
#include "probe/openssl_client.h"
#include "tests/bench/bench_io.h"

DEFINE_string(url, "", "What is checked; # in it is the number of the check.");
DEFINE_string(slow_url, "", "A server that never answers.");
DEFINE_int32(slow_every, 20, "One check in so many goes to --slow_url.");
DEFINE_string(mode, "get-simple", "As jetmon2 probe --mode.");
DEFINE_int32(checks, 10000, "Counted.");
DEFINE_int32(warm_up, 0, "Run before, and not counted.");
DEFINE_int32(concurrency, 64, "At a time.");
DEFINE_int32(timeout_ms, 10000, "Of a check.");
DEFINE_bool(list, false, "By CheckAll.");
DEFINE_double(per_second, 0, "Starts a second, with --list; 0 = as fast as they go.");
DEFINE_string(ca_file, "", "CA of https sites.");
DEFINE_string(resolvers, "", "As the daemons' flag.");
DEFINE_int32(sites, 1, "Sites that TLS sessions are kept for; checks take them in turn.");
DEFINE_int32(
    full_every, 0,
    "Of the checks of one site one in so many begins without a session; 0 = none, 1 = all.");

namespace jetmon {
namespace {

// Many sites on one server: a session is kept by host and port, so each check has the next port as
// far as sessions are concerned. And as an hour's end is not to be waited for, one check in
// --full_every of each site forgets first, not all sites at once.
class ManySites final : public probe::TlsClient {
 public:
  explicit ManySites(std::shared_ptr<probe::TlsClient> inner) : inner_(std::move(inner)) {}
  std::unique_ptr<probe::TlsStream> Open(const probe::TlsTarget& target,
                                         probe::ByteStream* wire) override {
    const int n = opened_.fetch_add(1, std::memory_order_relaxed);
    probe::TlsTarget site = target;
    site.port = static_cast<uint16_t>(1 + n % FLAGS_sites);
    if (FLAGS_full_every > 0 && (n / FLAGS_sites + n % FLAGS_sites) % FLAGS_full_every == 0) {
      inner_->Forget(site);
    }
    return inner_->Open(site, wire);
  }
  void Forget(const probe::TlsTarget& target) override { inner_->Forget(target); }

 private:
  const std::shared_ptr<probe::TlsClient> inner_;
  std::atomic<int> opened_{0};
};

double CpuMicroseconds(const timeval& t) {
  return 1e6 * static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_usec);
}

// What became of the counted checks. Its callers are one thread at a time.
struct Figures {
  int64_t up = 0, slow = 0, lost = 0;
  std::vector<double> seconds;  // of each that was not to the slow server
  rusage before{};

  void Begin() {
    getrusage(RUSAGE_SELF, &before);
    seconds.reserve(static_cast<size_t>(FLAGS_checks));
  }
  void Add(const probe::CheckResult& result) {
    up += result.outcome == probe::Outcome::kUp ? 1 : 0;
    lost += result.outcome == probe::Outcome::kLost ? 1 : 0;
    if (result.error_code == probe::ErrorCode::kTimeout) {
      ++slow;
    } else {
      seconds.push_back(1e-6 * static_cast<double>(result.timings.total_us));
    }
  }
  void Say(double wall) {
    rusage after{};
    getrusage(RUSAGE_SELF, &after);
    const double checks = FLAGS_checks;
    const double user = CpuMicroseconds(after.ru_utime) - CpuMicroseconds(before.ru_utime);
    const double system = CpuMicroseconds(after.ru_stime) - CpuMicroseconds(before.ru_stime);
    bench::Say("checks", FLAGS_checks);
    bench::Say("up", up);
    bench::Say("timed_out", slow);
    bench::Say("lost", lost);
    bench::Say("seconds", wall);
    bench::Say("cpu_us", (user + system) / checks);
    bench::Say("user_us", user / checks);
    bench::Say("system_us", system / checks);
    bench::Say("rss_bytes", bench::PeakRssBytes());
    if (!seconds.empty()) bench::SayLatency("check", std::move(seconds));
  }
};

probe::CheckRequest Request(int n) {
  probe::CheckRequest request;
  const bool slow = !FLAGS_slow_url.empty() && n % FLAGS_slow_every == 0;
  request.url = slow ? FLAGS_slow_url : FLAGS_url;
  const size_t mark = request.url.find('#');
  if (mark != std::string::npos) request.url.replace(mark, 1, std::to_string(n));
  request.site_id = static_cast<uint64_t>(n);
  static const probe::Mode mode = bench::Get(probe::ParseMode(FLAGS_mode));
  request.mode = mode;
  request.timeout = std::chrono::milliseconds(FLAGS_timeout_ms);
  return request;
}

// Keeps --concurrency checks going: each begins the next on the reactor's thread.
class Chain {
 public:
  explicit Chain(probe::Engine& engine) : engine_(engine) {}

  void Run(int checks, Figures* figures) {
    absl::Notification finished;
    checks_ = left_ = checks;
    begun_ = 0;
    figures_ = figures;
    finished_ = &finished;
    const int at_once = std::min(checks, FLAGS_concurrency);
    for (int i = 0; i < at_once; ++i) Next();
    finished.WaitForNotification();
  }

 private:
  void Next() {
    const int n = begun_.fetch_add(1, std::memory_order_relaxed);
    if (n >= checks_) return;
    bench::Check(engine_.Submit(Request(n), [this](const probe::CheckResult& result) {
      if (figures_ != nullptr) figures_->Add(result);
      Next();
      if (--left_ == 0) finished_->Notify();
    }));
  }

  probe::Engine& engine_;
  std::atomic<int> begun_{0};
  int checks_ = 0;
  int left_ = 0;  // the reactor's thread's
  Figures* figures_ = nullptr;
  absl::Notification* finished_ = nullptr;
};

void RunList(probe::Engine& engine, Figures* figures) {
  std::vector<probe::CheckRequest> requests;
  for (int n = 0; n < FLAGS_checks; ++n) requests.push_back(Request(n));
  probe::CheckAllOptions options;
  options.concurrency = FLAGS_concurrency;
  options.per_second = FLAGS_per_second;
  bench::Check(probe::CheckAll(
      engine, std::move(requests), [&](const probe::CheckResult& r) { figures->Add(r); }, options));
}

void Run() {
  probe::Engine::Options options;
  options.max_concurrent = options.max_queued = FLAGS_concurrency;
  options.safety = bench::Get(probe::TargetSafety::FromFlags("public_only", "127.0.0.0/8"));
  options.resolvers = FLAGS_resolvers;
  probe::OpenSslClient::Options tls;
  tls.ca_file = FLAGS_ca_file;
  options.tls = std::make_shared<ManySites>(bench::Get(probe::OpenSslClient::Create(tls)));
  auto engine = bench::Get(probe::Engine::Create(std::move(options)));
  Chain chain(*engine);
  if (FLAGS_warm_up > 0) chain.Run(FLAGS_warm_up, nullptr);
  const auto warm = engine->GetStats();
  Figures figures;
  figures.Begin();
  const bench::Stopwatch watch;
  FLAGS_list ? RunList(*engine, &figures) : chain.Run(FLAGS_checks, &figures);
  figures.Say(watch.seconds());
  const auto stats = engine->GetStats();
  bench::Say("full_handshakes", stats.full_handshakes - warm.full_handshakes);
  bench::Say("resumed_handshakes", stats.resumed_handshakes - warm.resumed_handshakes);
}

}  // namespace
}  // namespace jetmon

int main(int argc, char** argv) {
  gflags::ParseCommandLineFlags(&argc, &argv, /*remove_flags=*/true);
  jetmon::Run();
  return 0;
}
