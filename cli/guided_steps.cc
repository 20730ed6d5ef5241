// The steps of a guided rollout that talk to the control plane.
#include <chrono>
#include <thread>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "cli/findings.h"
#include "cli/guided.h"
#include "cli/held_range.h"
#include "store/ids.h"

namespace jetmon::cli {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using std::chrono::steady_clock;

constexpr char kRollout[] = "/api/v1/rollout/";
// How long a control plane that can't be reached is asked again before the rollout stops; it can
// be resumed afterwards.
constexpr seconds kReachable{10};
// An earlier request with the same idempotency key may have died with its control plane: its hold
// on the key ends after 60 s.
constexpr seconds kInProgress{75};
// A job that neither ends nor moves for so long is somebody's to look at.
constexpr seconds kJobSilent{180};
// The activity gate answers not_yet_due until every site could have been checked once.
constexpr seconds kActivityLimit{150};
constexpr int kReplans = 3;
// After a restart, or after its database was away, a control plane must hear of a Monitor again
// before it gives it a range; meanwhile nobody checks that, so it is waited for.
constexpr seconds kOwnerHeard{30};

absl::Status Blocked(const std::string& what) {
  return absl::FailedPreconditionError(what + " is blocked; see above for what to do");
}

bool OnlyOwnerUnheard(const Json& answer) {
  const auto blockers = answer["blockers"].Items();
  return blockers.size() == 1 && blockers[0]["code"].Text() == "owner_unavailable";
}

bool IsFinished(const std::string& state) {
  return state == "completed" || state == "blocked" || state == "failed" || state == "cancelled";
}

}  // namespace

absl::StatusOr<Json> Guided::Call(Request request, std::string* error_code) {
  const auto began = steady_clock::now();
  for (;;) {
    auto answer = client_.Send(request);
    // What may have changed something is repeated only under an idempotency key.
    const bool repeatable = !request.mutating || !request.idempotency_key.empty();
    const bool in_progress = answer.ok() && answer->error_code() == "idempotency_in_progress";
    const bool away = answer.ok() ? answer->http_status == 503 || answer->http_status == 429
                                  : absl::IsUnavailable(answer.status());
    const seconds patience = in_progress ? kInProgress : kReachable;
    if ((in_progress || away) && repeatable && steady_clock::now() - began < patience) {
      bar_.Show(in_progress ? "waiting for the same request, sent before"
                            : "waiting for the control plane",
                0, 0);
      std::this_thread::sleep_for(milliseconds(500));
      continue;
    }
    if (!answer.ok()) return answer.status();
    if (answer->ok()) return answer->json;
    if (error_code != nullptr) *error_code = answer->error_code();
    absl::Status status = absl::InternalError(answer->ErrorText());
    for (const Json& detail : answer->json["error"]["details"].Items()) {
      if (const std::string job = detail["metadata"]["job_id"].Text(); !job.empty()) {
        status.SetPayload("job_id", absl::Cord(job));
      }
    }
    return status;
  }
}

absl::StatusOr<Json> Guided::Get(const std::string& path,
                                 std::vector<std::pair<std::string, std::string>> query) {
  Request request;
  request.path = path;
  request.query = std::move(query);
  return Call(std::move(request));
}

void Guided::SayFindings(const Json& answer) {
  for (const std::string& line : Findings(answer)) Say("  " + line);
}

absl::Status Guided::Health() {
  auto health = Get("/api/v1/health");
  if (!health.ok()) return health.status();
  Say("  " + Figures(*health));
  const std::string status = (*health)["status"].Text();
  if (status != "ok") return absl::InternalError("the control plane says: " + status);
  return absl::OkStatus();
}

absl::Status Guided::Identity() {
  auto me = Get("/api/v1/me");
  if (!me.ok()) return me.status();
  Say("  " + Figures(*me));
  if ((*me)["scope"].Text() != "admin") {
    return absl::InternalError(
        "a rollout needs a key of scope admin; make one with: jetmon2 keys "
        "create --consumer NAME --scope admin");
  }
  return absl::OkStatus();
}

absl::Status Guided::Capabilities() {
  auto answer = Get(absl::StrCat(kRollout, "capabilities"));
  if (!answer.ok()) return answer.status();
  Say("  " + Figures(*answer));
  return absl::OkStatus();
}

absl::Status Guided::FindRun(std::string* run_id) {
  auto status = Get(absl::StrCat(kRollout, "status"));
  if (!status.ok()) return status.status();
  auto held = FindHeldRange(*status, {options_.bucket_min, options_.bucket_max}, *run_id);
  if (!held.ok()) return held.status();
  if (!held->keeps.empty()) {
    Say(absl::StrCat("  a part of ", held->range.ToString(), "; ", held->owner_host, " keeps ",
                     held->keeps));
  }
  *run_id = held->run_id;
  return absl::OkStatus();
}

absl::Status Guided::Session() {
  std::string run_id = options_.run_id;
  if (options_.rollback) {
    if (auto s = FindRun(&run_id); !s.ok()) return s;
  }
  absl::StatusOr<Json> session;
  if (run_id.empty()) {
    Request request;
    request.method = "POST";
    request.path = absl::StrCat(kRollout, "sessions");
    Json body = RangeBody();
    body.Set("owner_host", options_.owner_host);
    if (!options_.change_ref.empty()) body.Set("change_ref", options_.change_ref);
    request.body = body.Dump();
    request.mutating = true;
    request.idempotency_key = absl::StrCat("api-rollout:new:session:", state_->Get("nonce"));
    session = Call(std::move(request));
  } else {
    session = Get(absl::StrCat(kRollout, "sessions/", run_id));
  }
  if (!session.ok()) return session.status();
  run_id = (*session)["run_id"].Text();
  if (!options_.rollback && (*session)["state"].Text() != "open") {
    return absl::InternalError(run_id + " is closed; leave out --run-id to open a new session");
  }
  Say("  run " + run_id);
  return state_->Set("run_id", run_id);
}

absl::StatusOr<Json> Guided::WaitForJob(const std::string& job_id, const std::string& what) {
  auto moved = steady_clock::now();
  std::string last;
  for (;;) {
    auto job = Get(absl::StrCat(kRollout, "jobs/", job_id));
    if (!job.ok()) return job.status();
    const Json& answer = *job;
    const Json row = answer.Has("job") ? answer["job"] : answer;
    bar_.Show(what, row["done"].Number(), row["total"].Number());
    if (IsFinished(row["state"].Text())) return answer;
    // It waits for a decision, as its findings say; whoever resumes this rollout waits for it
    // again.
    if (answer["status"].Text() == "blocked") return answer;
    const std::string now = row["done"].Text() + row["state"].Text();
    if (now != last) moved = steady_clock::now();
    last = now;
    if (steady_clock::now() - moved > kJobSilent) {
      return absl::DeadlineExceededError(
          absl::StrCat("job ", job_id,
                       " has not moved for 3 minutes; see: jetmon2 api rollout jobs "
                       "get ",
                       job_id));
    }
    std::this_thread::sleep_for(milliseconds(300));
  }
}

absl::Status Guided::Conclude(const Json& first, const std::string& what) {
  Json answer = first;
  const std::string job_id = answer["job_id"].Text();
  if (answer["status"].Text() == "running") {
    if (job_id.empty()) return absl::InternalError(what + ": running, but without a job id");
    auto finished = WaitForJob(job_id, what);
    if (!finished.ok()) return finished.status();
    answer = *finished;
  }
  bar_.End();
  const Json job = answer.Has("job") ? answer["job"] : answer;
  if (!answer["summary"].Text().empty()) Say("  " + answer["summary"].Text());
  SayFindings(answer);
  const std::string state = job["state"].Text();
  if (answer["status"].Text() == "blocked" || state == "blocked") return Blocked(what);
  if (state == "failed" || state == "cancelled") {
    return absl::InternalError(absl::StrCat(what, " ", state, ": ", job["error"].Text()));
  }
  return absl::OkStatus();
}

absl::Status Guided::Ask(const std::string& operation, Json body, const std::string& what) {
  Request request;
  request.method = "POST";
  request.path = absl::StrCat(kRollout, operation);
  request.mutating = true;
  request.body = body.Dump();
  request.idempotency_key =
      absl::StrCat("api-rollout:", state_->Get("run_id"), ":", operation, ":", store::RandomHex(4));
  auto answer = Call(std::move(request));
  if (!answer.ok()) return answer.status();
  return Conclude(*answer, what);
}

absl::Status Guided::Preflight() {
  Json body = RangeBody();
  body.Set("run_id", state_->Get("run_id")).Set("owner_host", options_.owner_host);
  if (options_.canaries.IsList()) body.Set("canaries", options_.canaries);
  return Ask("preflight", std::move(body), "preflight");
}

absl::Status Guided::Smoke() {
  Json body = RangeBody();
  body.Set("run_id", state_->Get("run_id"))
      .Set("owner_host", options_.owner_host)
      .Set("read_only", true)
      .Set("mode", options_.smoke_mode);
  if (!options_.smoke_sample_size.empty()) body.Set("sample_size", options_.smoke_sample_size);
  if (options_.canaries.IsList()) body.Set("canaries", options_.canaries);
  return Ask("smoke", std::move(body), "smoke");
}

absl::Status Guided::Compare() {
  Json body = RangeBody();
  body.Set("run_id", state_->Get("run_id")).Set("from", "head-legacy").Set("to", "get-simple");
  if (!options_.smoke_sample_size.empty()) body.Set("sample_size", options_.smoke_sample_size);
  return Ask("compare-methods", std::move(body), "comparison");
}

absl::Status Guided::Plan(const std::string& name, const std::string& path) {
  Request request;
  request.method = "POST";
  request.path = path;
  request.mutating = true;
  Json body = RangeBody();
  body.Set("run_id", state_->Get("run_id")).Set("dry_run", true);
  if (!options_.owner_host.empty()) body.Set("owner_host", options_.owner_host);
  request.body = body.Dump();
  // A plan changes nothing: a lost answer costs a token that nobody knows.
  request.idempotency_key = "plan";
  const auto limit = steady_clock::now() + kOwnerHeard;
  auto answer = Call(request);
  while (answer.ok() && OnlyOwnerUnheard(*answer) && steady_clock::now() < limit) {
    bar_.Show("waiting to hear of the owner", 0, 0);
    std::this_thread::sleep_for(milliseconds(500));
    answer = Call(request);
  }
  bar_.End();
  if (!answer.ok()) return answer.status();
  if (!(*answer)["summary"].Text().empty()) Say("  " + (*answer)["summary"].Text());
  SayFindings(*answer);
  const std::string token = (*answer)["confirmation_token"].Text();
  const std::string job_id = (*answer)["job_id"].Text();
  if (token.empty() && !job_id.empty() && (*answer)["status"].Text() != "blocked") {
    Say("  it is done or under way already, by job " + job_id);
    return state_->Set(name + "_job", job_id);
  }
  if ((*answer)["status"].Text() == "blocked" || token.empty()) return Blocked(name);
  if (auto s = state_->Set(name + "_sent", ""); !s.ok()) return s;
  return state_->Set(name + "_token", token);
}

absl::Status Guided::Execute(const std::string& name, const std::string& path,
                             const std::string& phrase) {
  if (const std::string job_id = state_->Get(name + "_job"); !job_id.empty()) {
    auto finished = WaitForJob(job_id, name);
    if (!finished.ok()) return finished.status();
    return Conclude(*finished, name);
  }
  for (int attempt = 0; attempt < kReplans; ++attempt) {
    // After an interruption the operator's word is not asked for twice: what was confirmed and
    // sent is sent again, and the idempotency key keeps it one execution.
    if (state_->Get(name + "_sent").empty()) {
      if (auto s = Confirm(phrase); !s.ok()) return s;
      if (auto s = state_->Set(name + "_sent", "yes"); !s.ok()) return s;
    }
    const std::string token = state_->Get(name + "_token");
    Request request;
    request.method = "POST";
    request.path = path;
    request.mutating = true;
    Json body = RangeBody();
    body.Set("run_id", state_->Get("run_id")).Set("execute", true).Set("confirm", token);
    if (!options_.owner_host.empty()) body.Set("owner_host", options_.owner_host);
    request.body = body.Dump();
    request.idempotency_key = absl::StrCat("api-rollout:", state_->Get("run_id"), ":", name, ":",
                                           store::Sha256Hex(token).substr(0, 8));
    std::string code;
    auto answer = Call(std::move(request), &code);
    if (answer.ok()) {
      const absl::Status status = Conclude(*answer, name);
      // A blocked or failed execution is planned and confirmed anew when the rollout is resumed.
      if (!status.ok() && !absl::IsUnavailable(status)) {
        (void)state_->Set(name + "_sent", "");
      }
      return status;
    }
    if (auto job = answer.status().GetPayload("job_id"); job.has_value()) {
      Say("  it was executed before, by job " + std::string(*job));
      auto finished = WaitForJob(std::string(*job), name);
      if (!finished.ok()) return finished.status();
      return Conclude(*finished, name);
    }
    if (code != "plan_changed" && code != "invalid_confirmation") return answer.status();
    Say(absl::StrCat("  ", answer.status().message(), "; planning again"));
    if (auto s = Plan(name, path); !s.ok()) return s;
  }
  return absl::AbortedError("the plan changed again and again; see who else works on this range");
}

absl::Status Guided::Checkpoint(const std::string& phrase) {
  if (auto s = Confirm(phrase); !s.ok()) return s;
  Request request;
  request.method = "POST";
  request.path = absl::StrCat(kRollout, "sessions/", state_->Get("run_id"), "/checkpoints");
  request.mutating = true;
  Json body;
  body.Set("kind", "v1_stopped").Set("note", "confirmed in the guided rollout: " + phrase);
  request.body = body.Dump();
  request.idempotency_key =
      absl::StrCat("api-rollout:", state_->Get("run_id"), ":v1-stopped:", store::RandomHex(4));
  auto answer = Call(std::move(request));
  if (!answer.ok()) return answer.status();
  Say("  recorded");
  return absl::OkStatus();
}

absl::Status Guided::Acknowledged() {
  auto status = Get(absl::StrCat(kRollout, "status"));
  if (!status.ok()) return status.status();
  for (const Json& range : (*status)["ranges"].Items()) {
    if (range["run_id"].Text() != state_->Get("run_id")) continue;
    Say("  " + Figures(range));
    if (range["state"].Text() == "active") return absl::OkStatus();
    return absl::InternalError("the range is " + range["state"].Text());
  }
  return absl::InternalError("the range is not held any more");
}

absl::Status Guided::Drained() {
  auto status = Get(absl::StrCat(kRollout, "status"));
  if (!status.ok()) return status.status();
  const store::Range released{options_.bucket_min, options_.bucket_max};
  std::string kept;
  for (const Json& range : (*status)["ranges"].Items()) {
    if (range["run_id"].Text() != state_->Get("run_id")) continue;
    const store::Range held{static_cast<uint32_t>(range["bucket_min"].Number()),
                            static_cast<uint32_t>(range["bucket_max"].Number())};
    if (held.Overlaps(released)) {
      return absl::InternalError("the range is still " + range["state"].Text());
    }
    absl::StrAppend(&kept, "; ", range["owner_host"].Text(), " keeps ", held.ToString());
  }
  Say("  buckets " + RangeText() + " are v1's; v1 may be started" + kept);
  return absl::OkStatus();
}

absl::Status Guided::Status(bool) {
  auto status = Get(absl::StrCat(kRollout, "status"));
  if (!status.ok()) return status.status();
  for (const Json& range : (*status)["ranges"].Items()) Say("  range " + Figures(range));
  for (const Json& monitor : (*status)["monitors"].Items()) Say("  monitor " + Figures(monitor));
  return absl::OkStatus();
}

absl::Status Guided::Gate(const std::string& path, const std::string& title, bool wait_until_due) {
  const auto limit = steady_clock::now() + kActivityLimit;
  std::vector<std::pair<std::string, std::string>> query = {
      {"bucket_min", absl::StrCat(options_.bucket_min)},
      {"bucket_max", absl::StrCat(options_.bucket_max)},
      {"run_id", state_->Get("run_id")}};
  if (title == "coverage") query.emplace_back("owner_host", options_.owner_host);
  for (;;) {
    auto answer = Get(absl::StrCat(kRollout, path), query);
    if (!answer.ok()) return answer.status();
    if ((*answer)["status"].Text() == "ok") {
      bar_.End();
      if (!(*answer)["summary"].Text().empty()) Say("  " + (*answer)["summary"].Text());
      SayFindings(*answer);
      return absl::OkStatus();
    }
    // Right after a hand-over, figures come in with the Monitor's next summary.
    if (!wait_until_due || steady_clock::now() > limit) {
      SayFindings(*answer);
      return Blocked(title);
    }
    bar_.Show(absl::StrCat("waiting for the ", title, " gate: ",
                           (*answer)["blockers"].Items().empty()
                               ? ""
                               : (*answer)["blockers"].Items()[0]["code"].Text()),
              0, 0);
    std::this_thread::sleep_for(milliseconds(500));
  }
}

}  // namespace jetmon::cli
