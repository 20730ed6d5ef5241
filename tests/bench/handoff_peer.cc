// The peer of a smoke: the probe engine alone, over the same list of sites, as many at a time.
//
//   handoff_peer --concurrency=50 < sites        a line each: site id, URL
#include <gflags/gflags.h>
#include <sys/resource.h>

#include <string>
#include <vector>

#include "probe/engine.h"
#include "tests/bench/bench_io.h"

DEFINE_int32(concurrency, 50, "Checks at a time.");
DEFINE_string(source_address, "127.0.1.9", "Address that the checks come from.");

namespace jetmon {
namespace {

// User and system time of this process so far.
double CpuSeconds() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  const auto seconds = [](const timeval& t) { return t.tv_sec + t.tv_usec / 1e6; };
  return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

void Run() {
  std::vector<probe::CheckRequest> requests;
  probe::CheckRequest request;
  request.mode = bench::Get(probe::ParseMode("head-legacy"));
  request.timeout = std::chrono::seconds(10);
  while (std::cin >> request.site_id >> request.url) requests.push_back(request);
  probe::Engine::Options options;
  options.max_concurrent = options.max_queued = FLAGS_concurrency;
  options.source_address = FLAGS_source_address;
  options.safety = bench::Get(probe::TargetSafety::FromFlags("public_only", "127.0.0.0/8"));
  probe::CheckAllOptions all;
  all.concurrency = FLAGS_concurrency;
  const size_t wanted = requests.size();
  size_t up = 0;
  const bench::Stopwatch watch;
  const double cpu_before = CpuSeconds();
  auto engine = bench::Get(probe::Engine::Create(options));
  bench::Check(probe::CheckAll(
      *engine, std::move(requests),
      [&](const probe::CheckResult& r) { up += r.outcome == probe::Outcome::kUp ? 1 : 0; }, all));
  bench::Say("seconds", watch.seconds());
  bench::Say("cpu_seconds", CpuSeconds() - cpu_before);
  bench::Say("sites", wanted);
  bench::Say("up", up);
}

}  // namespace
}  // namespace jetmon

int main(int argc, char** argv) {
  gflags::ParseCommandLineFlags(&argc, &argv, /*remove_flags=*/true);
  jetmon::Run();
  return 0;
}
