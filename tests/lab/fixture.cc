// The lab's web server: plays all sites, and is the witness of who asked for them when.
#include <gflags/gflags.h>
#include <pthread.h>

#include <thread>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "daemon/daemon.h"
#include "tests/lab/http_server.h"
#include "tests/lab/line_log.h"
#include "tests/lab/site_states.h"

DEFINE_string(listen, "127.0.0.1:0", "IPv4 address and port to serve on");
DEFINE_uint64(sites, 2048, "how many sites there are, /s/0 to /s/N-1");
DEFINE_string(log, "", "the file that requests, notifications and changes of state go to");

namespace jetmon::lab {
namespace {

constexpr int64_t kMs = 1'000'000;
// The log holds what happened at most so long ago; the loop ticks every 20 ms.
constexpr int64_t kFlushNs = 20 * kMs;
// A loop that comes round later than this was not there to see: it says so in the log.
constexpr int64_t kStallNs = 150 * kMs;

class Fixture final : public daemon::Daemon {
 public:
  static absl::StatusOr<std::unique_ptr<daemon::Daemon>> Start() {
    if (FLAGS_log.empty()) return absl::InvalidArgumentError("--log=FILE is missing");
    auto log = LineLog::Open(FLAGS_log);
    if (!log.ok()) return log.status();
    auto fixture = std::make_unique<Fixture>(std::move(*log), FLAGS_sites);
    auto server = HttpServer::Listen(
        FLAGS_listen, [f = fixture.get()](const HttpRequest& r) { return f->Handle(r); },
        [f = fixture.get()](const HttpRequest& r) { f->LogRequest("partial", r, {}, {}); },
        [f = fixture.get()] { f->Tick(); });
    if (!server.ok()) return server.status();
    fixture->server_ = std::move(*server);
    fixture->thread_ = std::thread([f = fixture.get()] { f->server_->Run(); });
    return fixture;
  }

  Fixture(std::unique_ptr<LineLog> log, uint64_t sites) : log_(std::move(log)), sites_(sites) {}
  void Shutdown() override {
    server_->Stop();
    thread_.join();
    log_->Flush();
  }

 private:
  HttpAnswer Handle(const HttpRequest& request) {
    if (request.path == "/healthz") return Text(200, "ok\n");
    if (request.path == "/notify") return Notify(request);
    if (absl::StartsWith(request.path, kControl)) return Control(request);
    const auto target = sites_.Find(request);
    if (!target) {
      LogRequest("stray", request, {}, {});
      return Text(404, "no such site\n");
    }
    const HttpAnswer answer = sites_.Answer(*target, request);
    LogRequest("request", request, *target, answer);
    return answer;
  }

  // POST /control/site/LIST?state=...
  HttpAnswer Control(const HttpRequest& request) {
    if (request.method != "POST") return Text(404, "POST /control/site/N?state=S\n");
    auto sites = sites_.Set(request.path.substr(kControl.size()), request);
    if (!sites.ok()) return Text(400, absl::StrCat(sites.status().message(), "\n"));
    log_->Write(JsonLine("state")
                    .Add("wall_ns", request.wall_ns)
                    .Add("boot_ns", request.boot_ns)
                    .Add("state", request.Parameter("state"))
                    .Add("detail", request.query)
                    .AddJson("sites", absl::StrCat("[", absl::StrJoin(*sites, ","), "]")));
    log_->Flush();
    return Text(200, absl::StrCat(sites->size(), "\n"));
  }

  HttpAnswer Notify(const HttpRequest& request) {
    log_->Write(JsonLine("notify")
                    .Add("wall_ns", request.wall_ns)
                    .Add("boot_ns", request.boot_ns)
                    .Add("source", request.source)
                    .Add("method", request.method)
                    .Add("idempotency_key", request.idempotency_key)
                    .Add("body", request.body));
    return Text(200, "ok\n");
  }

  void LogRequest(absl::string_view kind, const HttpRequest& request, SiteStates::Target target,
                  const HttpAnswer& answer) {
    JsonLine line(kind);
    line.Add("wall_ns", request.wall_ns)
        .Add("boot_ns", request.boot_ns)
        .Add("source", request.source)
        .Add("method", request.method)
        .Add("path", request.path)
        .Add("agent", request.user_agent);
    if (kind == "request") {
      line.Add("site", static_cast<int64_t>(target.site)).Add("hop", target.hop);
      line.Add("status", answer.kind == HttpAnswer::Kind::kAnswer ? answer.status : 0);
      line.Add("delay_ms", answer.delay.count());
    }
    log_->Write(line);
  }

  void Tick() {
    const int64_t now = BootNs();
    if (last_tick_ns_ != 0 && now - last_tick_ns_ > kStallNs) {
      log_->Write(JsonLine("stall")
                      .Add("boot_ns", now)
                      .Add("wall_ns", WallNs())
                      .Add("lag_ms", (now - last_tick_ns_) / kMs));
    }
    last_tick_ns_ = now;
    if (now - last_flush_ns_ < kFlushNs) return;
    log_->Flush();
    last_flush_ns_ = now;
  }

  static HttpAnswer Text(int status, std::string body) {
    HttpAnswer answer;
    answer.status = status;
    answer.body = std::move(body);
    return answer;
  }

  static constexpr absl::string_view kControl = "/control/site/";
  const std::unique_ptr<LineLog> log_;
  SiteStates sites_;
  std::unique_ptr<HttpServer> server_;
  std::thread thread_;
  int64_t last_tick_ns_ = 0, last_flush_ns_ = 0;
};

}  // namespace
}  // namespace jetmon::lab

int main(int argc, char** argv) {
  return jetmon::daemon::Main(
      argc, argv,
      {"fixture", "Serves the lab's sites and logs every request.",
       "fixture --listen=127.0.0.1:18080 --sites=2048 --log=/tmp/requests.jsonl",
       jetmon::lab::Fixture::Start});
}
