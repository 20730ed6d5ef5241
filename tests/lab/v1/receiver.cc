// Plays who is told of outages by version 1 and by us: tells people at once (people's log), and
// writes v1's column some time later, now and then badly. See tests/lab/README.md.
#include <gflags/gflags.h>

#include <memory>
#include <thread>

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "daemon/daemon.h"
#include "daemon/log.h"
#include "tests/lab/http_server.h"
#include "tests/lab/legacy_table.h"
#include "tests/lab/line_log.h"
#include "tests/lab/v1/late_writes.h"
#include "tests/lab/v1/receiver_rules.h"

DEFINE_string(database, "",
              "the database that holds v1's table, as the daemons take it; a server's password "
              "comes from JETMON_DATABASE_PASSWORD");
DEFINE_string(listen, "127.0.0.1:0", "IPv4 address and port to serve on");
DEFINE_string(log, "", "people's log: who was told what when, and what was written");
DEFINE_uint64(seed, 1,
              "decides delays and misbehaviour: the nth tell is treated the same each run");
DEFINE_string(delay_min, "0s", "least time from a tell to its write");
DEFINE_string(delay_max, "20s", "most time from a tell to its write");
DEFINE_double(never_writes, 0, "share of tells (0 to 1) that are never written");
DEFINE_double(writes_twice, 0, "share of tells that are written twice, each after its own delay");
DEFINE_double(answers_slowly, 0, "share of tells that are answered after --slow_answer");
DEFINE_double(answers_error, 0, "share of tells that are answered 500 although they were taken");
DEFINE_double(closes, 0, "share of tells whose connection is closed in place of an answer");
DEFINE_string(slow_answer, "5s", "how long a slow answer takes");

namespace jetmon::lab {
namespace {

using Answer = Treatment::Answer;

absl::Status ReadDuration(const std::string& text, std::chrono::milliseconds* to) {
  absl::Duration duration;
  if (!absl::ParseDuration(text, &duration) || duration < absl::ZeroDuration()) {
    return absl::InvalidArgumentError(absl::StrCat("'", text, "' is no duration"));
  }
  *to = absl::ToChronoMilliseconds(duration);
  return absl::OkStatus();
}

absl::StatusOr<ReceiverHabits> HabitsFromFlags() {
  ReceiverHabits habits;
  habits.seed = FLAGS_seed;
  for (const auto& [text, to] : {std::pair(FLAGS_delay_min, &habits.delay_min),
                                 std::pair(FLAGS_delay_max, &habits.delay_max),
                                 std::pair(FLAGS_slow_answer, &habits.slow)}) {
    if (auto s = ReadDuration(text, to); !s.ok()) return s;
  }
  habits.never_writes = FLAGS_never_writes;
  habits.writes_twice = FLAGS_writes_twice;
  habits.answers_slowly = FLAGS_answers_slowly;
  habits.answers_error = FLAGS_answers_error;
  habits.closes = FLAGS_closes;
  if (habits.delay_max < habits.delay_min) {
    return absl::InvalidArgumentError("--delay_max is less than --delay_min");
  }
  for (const double sum : {habits.never_writes + habits.writes_twice,
                           habits.answers_slowly + habits.answers_error + habits.closes}) {
    if (sum < 0 || sum > 1) return absl::InvalidArgumentError("the shares are no shares of 1");
  }
  return habits;
}

class Receiver final : public daemon::Daemon {
 public:
  static absl::StatusOr<std::unique_ptr<daemon::Daemon>> Start() {
    if (FLAGS_log.empty()) return absl::InvalidArgumentError("--log=FILE is missing");
    auto habits = HabitsFromFlags();
    if (!habits.ok()) return habits.status();
    auto table = OpenLegacyTable(FLAGS_database);
    if (!table.ok()) return table.status();
    auto log = LineLog::Open(FLAGS_log);
    if (!log.ok()) return log.status();
    auto receiver = std::make_unique<Receiver>(*habits, std::move(*table), std::move(*log));
    auto server = HttpServer::Listen(
        FLAGS_listen,
        [r = receiver.get()](const HttpRequest& request) { return r->Handle(request); });
    if (!server.ok()) return server.status();
    receiver->server_ = std::move(*server);
    receiver->thread_ = std::thread([r = receiver.get()] { r->server_->Run(); });
    return receiver;
  }

  Receiver(const ReceiverHabits& habits, std::unique_ptr<LegacyTable> table,
           std::unique_ptr<LineLog> log)
      : habits_(habits), table_(std::move(table)), log_(std::move(log)), rules_(habits) {
    writes_ = std::make_unique<LateWrites>([this](const Told& told) { return Write(told); });
  }

  void Shutdown() override {
    server_->Stop();
    thread_.join();
    writes_.reset();
  }

 private:
  HttpAnswer Handle(const HttpRequest& request) {
    if (request.path == "/status") return Status();
    if (request.path == "/control/answer") return Force(request);
    const auto told = ParseTold(request.method, request.path, request.query,
                                request.idempotency_key, request.body);
    if (!told.ok()) {
      log_->Write(JsonLine("refused")
                      .Add("wall_ns", request.wall_ns)
                      .Add("boot_ns", request.boot_ns)
                      .Add("source", request.source)
                      .Add("why", told.status().message()));
      log_->Flush();
      return Json(400, "{\"success\":false}");
    }
    const Treatment treatment = rules_.Take(*told);
    ++taken_;
    log_->Write(JsonLine("told")
                    .Add("wall_ns", request.wall_ns)
                    .Add("boot_ns", request.boot_ns)
                    .Add("sender", told->sender)
                    .Add("id", told->id)
                    .Add("blog_id", static_cast<int64_t>(told->blog_id))
                    .Add("url", told->url)
                    .Add("status", told->status)
                    .AddJson("repeat", treatment.repeat ? "true" : "false"));
    log_->Flush();
    for (const auto after : treatment.writes) writes_->Add(after, *told);
    return AnswerBy(treatment.answer);
  }

  HttpAnswer AnswerBy(Answer kind) const {
    HttpAnswer answer = Json(200, "{\"success\":true}");
    if (kind == Answer::kSlow) answer.delay = habits_.slow;
    if (kind == Answer::kError) answer = Json(500, "{\"success\":false}");
    if (kind == Answer::kClose) answer.kind = HttpAnswer::Kind::kReset;
    if (kind == Answer::kSilent) answer.kind = HttpAnswer::Kind::kNever;
    return answer;
  }

  HttpAnswer Status() const {
    return Json(200, absl::StrCat("{\"pending\":", writes_->pending(), ",\"taken\":", taken_, "}"));
  }

  // POST /control/answer?mode=ok|slow|error|silent
  HttpAnswer Force(const HttpRequest& request) {
    const auto mode = ParseAnswer(request.Parameter("mode"));
    if (request.method != "POST" || !mode) {
      return Json(400, "{\"error\":\"POST ?mode=ok|slow|error|silent\"}");
    }
    rules_.Force(*mode);
    return Json(200, "{}");
  }

  // On the thread of LateWrites.
  bool Write(const Told& told) {
    const int64_t wall_ns = WallNs();
    const auto rows =
        table_->SetStatusOf(told.blog_id, told.url, told.status, wall_ns / 1'000'000'000);
    if (!rows.ok()) {
      LogWarning(absl::StrCat(told.url, " was not written: ", rows.status().message()));
      return false;
    }
    log_->Write(JsonLine("wrote")
                    .Add("wall_ns", wall_ns)
                    .Add("boot_ns", BootNs())
                    .Add("blog_id", static_cast<int64_t>(told.blog_id))
                    .Add("url", told.url)
                    .Add("status", told.status)
                    .Add("rows", *rows));
    log_->Flush();
    return true;
  }

  static HttpAnswer Json(int status, std::string body) {
    HttpAnswer answer;
    answer.status = status;
    answer.content_type = "application/json";
    answer.body = std::move(body);
    return answer;
  }

  const ReceiverHabits habits_;
  const std::unique_ptr<LegacyTable> table_;
  const std::unique_ptr<LineLog> log_;
  ReceiverRules rules_;  // on the server's thread only
  uint64_t taken_ = 0;   // the same
  std::unique_ptr<LateWrites> writes_;
  std::unique_ptr<HttpServer> server_;
  std::thread thread_;
};

}  // namespace
}  // namespace jetmon::lab

int main(int argc, char** argv) {
  return jetmon::daemon::Main(
      argc, argv,
      {"receiver", "Takes what is told of sites, and writes v1's column a while later.",
       "receiver --database=sqlite:///tmp/jetmon.db --listen=127.0.0.1:18090 "
       "--log=/tmp/people.jsonl",
       jetmon::lab::Receiver::Start});
}
