// Plays a version 1 Monitor: checks its ranges of the legacy table, writes site_status as v1 did,
// and can be told to stop and start a range. v2 knows nothing of it but the table.
#include <gflags/gflags.h>

#include <atomic>
#include <thread>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/time/time.h"
#include "daemon/daemon.h"
#include "daemon/log.h"
#include "tests/lab/http_server.h"
#include "tests/lab/legacy_table.h"
#include "tests/lab/line_log.h"
#include "tests/lab/v1_check.h"
#include "tests/lab/v1_schedule.h"

DEFINE_string(
    database, "",
    "the database that holds the legacy table, as the daemons take it; a server's password "
    "comes from JETMON_DATABASE_PASSWORD");
DEFINE_string(listen, "127.0.0.1:0", "IPv4 address and port of the control endpoint");
DEFINE_string(log, "", "the file that alerts, starts and stops go to");
DEFINE_string(ranges, "0-511", "ranges of buckets to start with, MIN-MAX,MIN-MAX; empty: none");
DEFINE_uint32(bucket_total, 512, "how many buckets there are");
DEFINE_string(interval_unit, "1m", "what one minute of check_interval lasts");
DEFINE_string(timeout, "2s", "of one check");
DEFINE_string(source_address, "", "the address that checks are sent from");
DEFINE_uint32(workers, 32, "threads that check");

namespace jetmon::lab {
namespace {

absl::StatusOr<BucketRange> ParseRange(const std::string& min, const std::string& max) {
  BucketRange range;
  if (!absl::SimpleAtoi(min, &range.min) || !absl::SimpleAtoi(max, &range.max) ||
      range.min > range.max || range.max >= FLAGS_bucket_total) {
    return absl::InvalidArgumentError(
        absl::StrCat(min, "-", max, " is no range of ", FLAGS_bucket_total, " buckets"));
  }
  return range;
}

absl::StatusOr<std::chrono::milliseconds> ParseDuration(const std::string& flag,
                                                        const std::string& text) {
  absl::Duration duration;
  if (!absl::ParseDuration(text, &duration) || duration < absl::Milliseconds(1)) {
    return absl::InvalidArgumentError(absl::StrCat("--", flag, "=", text, " is no duration"));
  }
  return absl::ToChronoMilliseconds(duration);
}

class V1Standin final : public daemon::Daemon {
 public:
  static absl::StatusOr<std::unique_ptr<daemon::Daemon>> Start() {
    if (FLAGS_log.empty()) return absl::InvalidArgumentError("--log=FILE is missing");
    auto table = OpenLegacyTable(FLAGS_database);
    if (!table.ok()) return table.status();
    auto log = LineLog::Open(FLAGS_log);
    if (!log.ok()) return log.status();
    auto unit = ParseDuration("interval_unit", FLAGS_interval_unit);
    auto timeout = ParseDuration("timeout", FLAGS_timeout);
    if (!unit.ok()) return unit.status();
    if (!timeout.ok()) return timeout.status();
    auto v1 = std::make_unique<V1Standin>(std::move(*table), std::move(*log), *unit, *timeout);
    for (absl::string_view text : absl::StrSplit(FLAGS_ranges, ',', absl::SkipEmpty())) {
      const std::pair<std::string, std::string> ends = absl::StrSplit(text, '-');
      auto range = ParseRange(ends.first, ends.second);
      if (!range.ok()) return range.status();
      if (auto s = v1->StartRange(*range); !s.ok()) return s;
    }
    auto server = HttpServer::Listen(
        FLAGS_listen, [v = v1.get()](const HttpRequest& request) { return v->Control(request); });
    if (!server.ok()) return server.status();
    v1->server_ = std::move(*server);
    v1->threads_.emplace_back([v = v1.get()] { v->server_->Run(); });
    for (uint32_t i = 0; i < FLAGS_workers; ++i) {
      v1->threads_.emplace_back([v = v1.get()] { v->Work(); });
    }
    return v1;
  }

  V1Standin(std::unique_ptr<LegacyTable> table, std::unique_ptr<LineLog> log,
            std::chrono::milliseconds unit, std::chrono::milliseconds timeout)
      : table_(std::move(table)), log_(std::move(log)), schedule_(unit), timeout_(timeout) {}

  void Shutdown() override {
    stopping_ = true;
    schedule_.Close();
    server_->Stop();
    for (std::thread& thread : threads_) thread.join();
  }

 private:
  absl::Status StartRange(BucketRange range) {
    auto sites = table_->ActiveSites(range);
    if (!sites.ok()) return sites.status();
    LogRange("v1_started", range);
    schedule_.Start(range, std::move(*sites));
    return absl::OkStatus();
  }

  // POST /stop?min=&max= answers when nothing of the range is in flight nor will be written any
  // more; POST /start?min=&max=; GET /status.
  HttpAnswer Control(const HttpRequest& request) {
    HttpAnswer answer;
    if (request.path == "/status") {
      answer.body = absl::StrCat(schedule_.size(), " sites\n");
      return answer;
    }
    const auto range = ParseRange(request.Parameter("min"), request.Parameter("max"));
    absl::Status done = range.status();
    if (done.ok() && request.method == "POST" && request.path == "/stop") {
      schedule_.Stop(*range);
      LogRange("v1_stopped", *range);
    } else if (done.ok() && request.method == "POST" && request.path == "/start") {
      done = StartRange(*range);
    } else if (done.ok()) {
      done = absl::InvalidArgumentError("POST /stop, POST /start or GET /status");
    }
    answer.status = done.ok() ? 200 : 400;
    answer.body = done.ok() ? "ok\n" : absl::StrCat(done.message(), "\n");
    return answer;
  }

  void Work() {
    while (const auto site = schedule_.Take()) {
      const bool up = CheckAsV1(site->row.url, FLAGS_source_address, timeout_);
      const V1Change change = JudgeAsV1(*site, up);
      if (change.status) Record(*site, change);
      schedule_.GiveBack(site, change.retry_soon);
    }
  }

  void Record(const V1Site& site, const V1Change& change) {
    const int64_t wall_ns = WallNs();
    // Until it is written: what v1 told people and never wrote, v2 would have to guess.
    for (;;) {
      const auto written =
          table_->SetStatus(site.row.site_id, *change.status, wall_ns / 1'000'000'000);
      if (written.ok()) break;
      LogError(absl::StrCat("site ", site.row.site_id, " was not written: ", written.message()));
      if (stopping_) return;
    }
    log_->Write(JsonLine(change.notify ? "notify" : "status")
                    .Add("wall_ns", wall_ns)
                    .Add("boot_ns", BootNs())
                    .Add("site_id", static_cast<int64_t>(site.row.site_id))
                    .Add("status", *change.status));
    log_->Flush();
  }

  void LogRange(const char* kind, BucketRange range) {
    log_->Write(JsonLine(kind)
                    .Add("wall_ns", WallNs())
                    .Add("boot_ns", BootNs())
                    .Add("min", range.min)
                    .Add("max", range.max));
    log_->Flush();
  }

  const std::unique_ptr<LegacyTable> table_;
  const std::unique_ptr<LineLog> log_;
  V1Schedule schedule_;
  const std::chrono::milliseconds timeout_;
  std::atomic<bool> stopping_{false};
  std::unique_ptr<HttpServer> server_;
  std::vector<std::thread> threads_;
};

}  // namespace
}  // namespace jetmon::lab

int main(int argc, char** argv) {
  return jetmon::daemon::Main(
      argc, argv,
      {"v1_standin", "Checks sites and writes their status as Jetmon 1 does.",
       "v1_standin --database=sqlite:///tmp/jetmon.db --ranges=0-511 --log=/tmp/v1.jsonl",
       jetmon::lab::V1Standin::Start});
}
