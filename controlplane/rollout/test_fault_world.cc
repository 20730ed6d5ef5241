#include "controlplane/rollout/test_fault_world.h"

#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "controlplane/error/error.h"
#include "controlplane/error/test_metadata.h"
#include "controlplane/rollout/commits.h"
#include "controlplane/rollout/messages.h"
#include "controlplane/rollout/test_invariants.h"
#include "store/keys.h"
#include "store/vantages.h"

namespace jetmon::rollout {
namespace {

constexpr std::chrono::seconds kPatience{30};

// Commits of those who wait: how many there are is chance.
bool IsLook(std::string_view commit) {
  return commit == commits::kActivateLook || commit == commits::kReleaseLook ||
         commit == commits::kShowLife || commit == commits::kSweep;
}

}  // namespace

std::string FaultPoint::ToString() const {
  return absl::StrCat(commit, ":", committed ? "after" : "before", ":", nth);
}

FaultPoint FaultPoint::Of(const std::string& text) {
  const std::vector<std::string> parts = absl::StrSplit(text, ':');
  FaultPoint point;
  EXPECT_TRUE(parts.size() == 3 && absl::SimpleAtoi(parts[2], &point.nth)) << text;
  point.commit = parts[0];
  point.committed = parts[1] == "after";
  return point;
}

FaultWorld::FaultWorld(const std::string& folder, const std::string& sites_url,
                       const std::string& process)
    : folder_(folder), sites_url_(sites_url), rollout_(folder + "/test.db") {
  Options& options = rollout_.options();
  options.instance = process;
  options.seed_rows = 2;  // so that a pass has several batches
  options.times.grace = std::chrono::milliseconds(700);
  options.times.acknowledge_within = std::chrono::milliseconds(600);
  options.times.drain_within = std::chrono::milliseconds(250);
  options.times.hear_within = std::chrono::milliseconds(5000);
  rollout_.parts().ask_status =
      [](const confirm::Vantage& v, std::chrono::milliseconds,
         const std::function<void(absl::StatusOr<confirm::Facts>)>& done) {
        confirm::Facts facts;
        facts.vantage_id = v.vantage_id;
        facts.agent_id = "agent-" + v.vantage_id;
        facts.protocol_min = facts.protocol_max = confirm::kProtocol;
        done(facts);
      };
  rollout_.parts().at_commit = [this](std::string_view name, bool committed) {
    AtCommit(name, committed);
  };
}

FaultWorld::~FaultWorld() {
  Stop();
  monitor_.Kill();
}

void FaultWorld::Arm(const FaultPoint* point) {
  std::lock_guard lock(mutex_);
  armed_ = true;
  point_ = point;
}

std::vector<FaultPoint> FaultWorld::passed() const {
  std::lock_guard lock(mutex_);
  return passed_;
}

void FaultWorld::AtCommit(std::string_view name, bool committed) {
  std::lock_guard lock(mutex_);
  if (!armed_) return;
  if (!committed) {
    if (name != last_ || !IsLook(name)) ++counts_[std::string(name)];
    if (name != commits::kSweep) last_ = name;
  }
  const FaultPoint here{std::string(name), committed, counts_[std::string(name)]};
  if (std::find(passed_.begin(), passed_.end(), here) == passed_.end()) passed_.push_back(here);
  if (point_ != nullptr && *point_ == here) kill(getpid(), SIGKILL);
}

void FaultWorld::Start() {
  if (service_ != nullptr) return;
  service_ = std::make_unique<Service>(rollout_.parts(), rollout_.options());
  const absl::Status s = service_->Start();
  EXPECT_TRUE(s.ok()) << s;
}

void FaultWorld::Stop() { service_.reset(); }

Caller FaultWorld::Key() {
  Caller caller;
  caller.key_id = "key_1";
  caller.consumer = "operator";
  return caller;
}

std::string FaultWorld::Known(const std::string& name) const {
  std::ifstream file(absl::StrCat(folder_, "/", name));
  std::stringstream text;
  text << file.rdbuf();
  return text.str();
}

void FaultWorld::Remember(const std::string& name, const std::string& text) const {
  const std::string path = absl::StrCat(folder_, "/", name);
  std::ofstream(path + ".new") << text;
  std::filesystem::rename(path + ".new", path);
}

absl::Status FaultWorld::Once(const std::string& idempotency_key,
                              const std::function<absl::Status(const Caller&)>& call,
                              std::string* resource_id) {
  std::string done;
  const absl::Status looked = rollout_.db().Read([&](sql::Transaction& tx) -> absl::Status {
    auto record = store::GetIdempotency(tx, Key().key_id, idempotency_key);
    if (record.ok() && record->has_value()) done = (*record)->resource_id;
    return record.status();
  });
  if (!looked.ok()) return looked;
  if (done.empty()) {
    Caller caller = Key();
    caller.on_commit = [&](sql::Transaction& tx, std::string_view kind,
                           std::string_view id) -> absl::Status {
      store::IdempotencyRecord record;
      record.key_id = caller.key_id;
      record.idempotency_key = idempotency_key;
      record.operation = idempotency_key;
      auto begun = store::BeginIdempotent(tx, record);
      if (!begun.ok()) return begun.status();
      if (!*begun) return absl::InternalError("the request was settled meanwhile");
      done = std::string(id);
      return store::CompleteIdempotent(tx, caller.key_id, idempotency_key, 1, kind, id).status();
    };
    if (auto s = call(caller); !s.ok()) return s;
  }
  if (resource_id != nullptr) *resource_id = done;
  return absl::OkStatus();
}

std::string FaultWorld::OpenSession() {
  std::string run_id;
  const absl::Status s = Once(
      "session",
      [&](const Caller& caller) {
        v1::CreateSessionRequest request;
        request.set_bucket_min(kRange.min);
        request.set_bucket_max(kRange.max);
        request.set_owner_host(kOwner);
        v1::Session session;
        return service_->CreateSession(caller, request, &session);
      },
      &run_id);
  EXPECT_TRUE(s.ok()) << s;
  return run_id;
}

absl::Status FaultWorld::Checkpoint(const std::string& kind) {
  return Once("checkpoint-" + kind, [&](const Caller& caller) {
    v1::RecordCheckpointRequest request;
    request.set_run_id(OpenSession());
    request.set_kind(kind);
    v1::Checkpoint checkpoint;
    return service_->RecordCheckpoint(caller, request, &checkpoint);
  });
}

v1::PlannedRequest FaultWorld::Request(store::Range range) {
  v1::PlannedRequest request;
  request.set_run_id(OpenSession());
  request.set_bucket_min(range.min);
  request.set_bucket_max(range.max);
  return request;
}

v1::PlannedRequest FaultWorld::Overridden() {
  v1::PlannedRequest request = Request();
  v1::Override* o = request.add_override();
  o->set_code("evidence_missing");
  o->set_reason("a test");
  return request;
}

template <typename Message>
absl::Status FaultWorld::CarryBy(
    const std::string& note, const Message& request,
    const std::function<absl::Status(const Message&, v1::OperationResponse*)>& send) {
  std::string token = Known(note);
  if (token.empty()) {
    Message plan = request;
    plan.set_dry_run(true);
    v1::OperationResponse planned;
    if (auto s = send(plan, &planned); !s.ok()) return s;
    if (!planned.job_id().empty()) return Follow(planned.job_id());
    if (planned.confirmation_token().empty()) {
      return absl::FailedPreconditionError("blocked: " + planned.ShortDebugString());
    }
    token = planned.confirmation_token();
    Remember(note, token);
  }
  Message execute = request;
  execute.set_execute(true);
  execute.set_confirm(token);
  execute.set_wait("0s");
  v1::OperationResponse answer;
  const absl::Status s = send(execute, &answer);
  const bool used = ReasonOf(s) == v1::INVALID_CONFIRMATION && !MetadataOf(s, "job_id").empty();
  if (!s.ok() && !used) return s;
  const std::string job_id = used ? MetadataOf(s, "job_id") : answer.job_id();
  if (job_id.empty()) return absl::FailedPreconditionError("blocked: " + answer.ShortDebugString());
  return Follow(job_id);
}

absl::Status FaultWorld::Carry(Operation op, const v1::PlannedRequest& request) {
  return CarryBy<v1::PlannedRequest>("token-" + OperationName(op), request,
                                     [&](const auto& r, v1::OperationResponse* answer) {
                                       return service_->Planned(Key(), op, r, {}, answer);
                                     });
}

absl::Status FaultWorld::CarryPolicy(const std::string& mode, const std::string& size) {
  v1::StagePolicyRequest request;
  request.set_run_id(OpenSession());
  request.set_bucket_min(kRange.min);
  request.set_bucket_max(kRange.max);
  request.set_mode(mode);
  if (!size.empty()) {
    request.set_method("GET");
    request.set_profile("simple_http");
    request.set_size(size);
  }
  return CarryBy<v1::StagePolicyRequest>("token-" + mode + size, request,
                                         [&](const auto& r, v1::OperationResponse* answer) {
                                           return service_->StagePolicy(Key(), r, {}, answer);
                                         });
}

absl::Status FaultWorld::AwaitThat(const std::string& what, const std::function<bool()>& is_so) {
  const BootTime until = SystemClock().Boot() + kPatience;
  while (!is_so()) {
    if (SystemClock().Boot() > until) return absl::DeadlineExceededError("waited for " + what);
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
  }
  return absl::OkStatus();
}

absl::Status FaultWorld::Follow(const std::string& job_id) {
  return AwaitThat(absl::StrCat("the end of job ", job_id), [&] {
    const store::Job job = rollout_.Job(job_id);
    const auto sending = [&](sql::Transaction& tx) { return store::CountSending(tx, job.range); };
    if (AwaitsDecision(job) && rollout_.Get(sending) > 0) SayTold(job);
    return store::IsFinished(job.state);
  });
}

void FaultWorld::SayTold(const store::Job& release) {
  v1::DecideNotificationsRequest request;
  request.set_run_id(release.run_id);
  request.set_bucket_min(release.range.min);
  request.set_bucket_max(release.range.max);
  request.set_decision("told");
  request.set_all(true);
  v1::DecideNotificationsResponse answer;
  const absl::Status s = service_->DecideNotifications(Key(), request, &answer);
  // The release may have gone on since.
  EXPECT_TRUE(s.ok() || ReasonOf(s) == v1::NOT_UNDECIDED) << s;
}

absl::Status FaultWorld::AwaitState(const std::string& job_id, std::string_view state) {
  return AwaitThat(absl::StrCat("job ", job_id, " to be ", std::string(state)), [&] {
    const store::Job job = rollout_.Job(job_id);
    return job.state == state || store::IsFinished(job.state);
  });
}

absl::Status FaultWorld::Settle() {
  const absl::Status s =
      AwaitThat("what is left", [&] { return Unfinished(rollout_.db()).empty(); });
  if (s.ok()) return s;
  return absl::DeadlineExceededError(
      absl::StrCat(s.message(), ": ", absl::StrJoin(Unfinished(rollout_.db()), "; ")));
}

}  // namespace jetmon::rollout
