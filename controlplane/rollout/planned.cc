// Plan -> confirmation token -> execute.
#include "absl/strings/str_cat.h"
#include "controlplane/rollout/commits.h"
#include "controlplane/rollout/messages.h"
#include "controlplane/rollout/plan_policy.h"
#include "controlplane/rollout/requests.h"
#include "controlplane/rollout/service.h"
#include "store/ids.h"
#include "store/locks.h"
#include "store/parts.h"
#include "store/tokens.h"

namespace jetmon::rollout {
namespace {

constexpr int64_t kTokenMs = 15 * 60'000;

// A transaction that must roll back although nothing failed: the answer is `blocked`.
constexpr char kRollBack[] = "jetmon/roll-back";
absl::Status RollBack() {
  absl::Status s = absl::CancelledError("rolled back");
  s.SetPayload(kRollBack, absl::Cord("1"));
  return s;
}

absl::Status InvalidConfirmation(const std::string& why, const std::string& job_id = "") {
  absl::Status s = Error(v1::INVALID_CONFIRMATION, why + "; plan again for a new one");
  if (!job_id.empty()) AddMetadata(s, "job_id", job_id);
  return s;
}

// Present; unused and unexpired; key; operation; request.
absl::Status CheckToken(const std::optional<store::ConfirmationToken>& t, const Caller& caller,
                        const PlannedCall& call, const std::string& request_hash, int64_t now_ms) {
  if (!t.has_value()) return InvalidConfirmation("the confirmation token is not known");
  if (t->consumed_at_ms != 0) {
    return InvalidConfirmation("the confirmation token was used already", t->job_id);
  }
  if (t->expires_at_ms <= now_ms) return InvalidConfirmation("the confirmation token has expired");
  if (t->key_id != caller.key_id) {
    return InvalidConfirmation("the confirmation token was made for another API key");
  }
  if (t->operation != OperationName(call.op) || t->run_id != call.run_id) {
    return InvalidConfirmation("the confirmation token is for another operation or run");
  }
  if (!(t->range == call.range)) {
    return InvalidConfirmation("the confirmation token is for another range");
  }
  if (t->request_hash != request_hash) {
    return InvalidConfirmation("the confirmation token is for another request");
  }
  return absl::OkStatus();
}

absl::Status PlanChanged(const Plan& plan, const store::ConfirmationToken& token) {
  if (plan.digest != token.plan_digest) {
    return Error(
        v1::PLAN_CHANGED,
        absl::StrCat("what was confirmed has changed (plan ", token.plan_digest.substr(0, 12),
                     ", now ", plan.digest.substr(0, 12), ", figures then ", token.plan_counts,
                     ", now ", CountsJson(plan.counts), "); plan again"));
  }
  const std::string grown = GrownCounts(token.plan_counts, plan.counts);
  if (grown.empty()) return absl::OkStatus();
  return Error(v1::PLAN_CHANGED, absl::StrCat("the figures have grown: ", grown, "; plan again"));
}

}  // namespace

absl::Status Service::MakeToken(const Caller& caller, const Plan& plan,
                                const std::string& request_hash, v1::OperationResponse* response) {
  const std::string token = store::NewConfirmationToken();
  store::ConfirmationToken row;
  row.token_hash = store::Sha256Hex(token);
  row.key_id = caller.key_id;
  row.operation = OperationName(plan.op);
  row.run_id = plan.session.run_id;
  row.range = plan.range;
  row.request_hash = request_hash;
  row.plan_digest = plan.digest;
  row.plan_counts = CountsJson(plan.counts);
  row.created_at_ms = parts_.clock->WallMs();
  row.expires_at_ms = row.created_at_ms + kTokenMs;
  const absl::Status s = parts_.Commit(
      commits::kMakeToken, [&](sql::Transaction& tx) { return store::InsertToken(tx, row); });
  if (!s.ok()) return s;
  response->set_confirmation_token(token);
  SetTime(response->mutable_token_expires_at(), row.expires_at_ms);
  response->set_next_action("execute with this confirmation token within 15 minutes");
  return absl::OkStatus();
}

absl::Status Service::Planned(const Caller& caller, Operation op, const v1::PlannedRequest& request,
                              const std::function<bool()>& cancelled,
                              v1::OperationResponse* response) {
  return PlanOrExecute(caller, ReadCall(op, request, options_.bucket_total), cancelled, response);
}

absl::Status Service::StagePolicy(const Caller& caller, const v1::StagePolicyRequest& request,
                                  const std::function<bool()>& cancelled,
                                  v1::OperationResponse* response) {
  return PlanOrExecute(caller, ReadCall(request, options_.bucket_total), cancelled, response);
}

// What takes longer than a transaction of a writer may.
absl::Status Service::LookAtRange(const std::function<bool()>& cancelled, PlannedCall* call) {
  // Without a confirmation nothing need be looked at to refuse it.
  if (call->execute && call->confirm.empty()) return absl::OkStatus();
  const absl::Status s = parts_.db->Read([&](sql::Transaction& tx) -> absl::Status {
    auto session = CheckRun(tx, call->run_id, call->range, call->closed_too);
    return session.ok() ? CountRange(tx, call) : session.status();
  });
  return s.ok() ? LookAtSites(*parts_.db, cancelled, call) : s;
}

absl::Status Service::PlanOrExecute(const Caller& caller, absl::StatusOr<PlannedCall> read,
                                    const std::function<bool()>& cancelled,
                                    v1::OperationResponse* response) {
  if (!read.ok()) return read.status();
  PlannedCall& call = *read;
  call.dialect = options_.legacy.dialect;
  if (auto s = LookAtRange(cancelled, &call); !s.ok()) return s;
  if (call.op == Operation::kActivate) HearOfOwner(call);
  if (call.execute) {
    std::string job_id;
    if (auto s = Execute(caller, call, response, &job_id); !s.ok()) return s;
    if (job_id.empty()) return absl::OkStatus();  // blocked
    runner_.Wake();
    return AnswerWithJob(job_id, call.wait, cancelled, response);
  }
  std::optional<Plan> plan;
  const absl::Status looked = parts_.db->Read([&](sql::Transaction& tx) -> absl::Status {
    auto session = CheckRun(tx, call.run_id, call.range, call.closed_too);
    if (!session.ok()) return session.status();
    if (call.op == Operation::kActivate && call.OwnerIn(*session).empty()) {
      return InvalidField("owner_host", "is required: who shall own the range?");
    }
    auto made = MakePlan(tx, observer_, call, *session, parts_.clock->WallMs());
    if (made.ok()) plan = std::move(*made);
    return made.status();
  });
  if (!looked.ok()) return looked;
  if (!plan->existing_job.empty()) {
    return AnswerWithJob(plan->existing_job, std::chrono::milliseconds(0), cancelled, response);
  }
  *response = plan->response;
  if (plan->blocked()) return absl::OkStatus();
  return MakeToken(caller, *plan, RequestHash(call, plan->session), response);
}

store::Job Service::NewJob(const Caller& caller, const std::string& operation,
                           const std::string& run_id, store::Range range,
                           const std::string& owner_host) const {
  store::Job job;
  job.created_at_ms = parts_.clock->WallMs();
  job.job_id = NewJobId(job.created_at_ms);
  job.operation = operation;
  job.run_id = run_id;
  job.range = range;
  job.owner_host = owner_host;
  job.state = store::job_state::kQueued;
  job.key_id = caller.key_id;
  job.consumer = caller.consumer;
  return job;
}

namespace {

// The first step of a release. In dialect v1 an owner that tells people is muted first, and checks
// on; the job lets it drain.
absl::StatusOr<bool> BeginLeaving(sql::Transaction& tx, const store::RangeLock& held,
                                  store::Range range, const std::string& job_id, int64_t now_ms) {
  if (held.dialect == store::LegacyDialect::kV1 && held.state == store::range_state::kActive) {
    return store::MuteRange(tx, held.epoch, range, job_id, now_ms);
  }
  return range == held.range ? store::BeginRelease(tx, held.epoch, job_id, now_ms)
                             : store::BeginPartRelease(tx, held.epoch, range, job_id, now_ms);
}

}  // namespace

void Service::HearOfOwner(const PlannedCall& call) {
  std::string owner = call.owner_host;
  if (owner.empty()) {
    // What is wrong with the run is said by the execution itself.
    (void)parts_.db->Read([&](sql::Transaction& tx) {
      auto session = store::GetSession(tx, call.run_id);
      if (session.ok() && session->has_value()) owner = (*session)->owner_host;
      return session.status();
    });
  }
  if (!owner.empty()) observer_.WaitUntilHeard(owner, options_.times.hear_within);
}

absl::Status Service::Execute(const Caller& caller, const PlannedCall& call,
                              v1::OperationResponse* response, std::string* job_id) {
  const absl::Status s = parts_.Commit(commits::kExecute, [&](sql::Transaction& tx) {
    job_id->clear();
    return ExecuteIn(tx, caller, call, response, job_id);
  });
  return s.GetPayload(kRollBack).has_value() ? absl::OkStatus() : s;
}

absl::Status Service::ExecuteIn(sql::Transaction& tx, const Caller& caller, const PlannedCall& call,
                                v1::OperationResponse* response, std::string* job_id) {
  if (auto turn = store::BeginDecision(tx); !turn.ok()) return turn;
  const int64_t now = parts_.clock->WallMs();
  auto session = CheckRun(tx, call.run_id, call.range, call.closed_too);
  if (!session.ok()) return session.status();
  if (call.confirm.empty()) {
    return Error(v1::MISSING_CONFIRMATION,
                 "execute needs confirm: the confirmation_token that a dry_run answers with");
  }
  const std::string token_hash = store::Sha256Hex(call.confirm);
  auto token = store::GetToken(tx, token_hash);
  if (!token.ok()) return token.status();
  auto plan = MakePlan(tx, observer_, call, *session, now);
  if (!plan.ok()) return plan.status();
  auto checked = CheckToken(*token, caller, call, RequestHash(call, *session), now);
  if (!checked.ok()) return checked;
  if (!plan->existing_job.empty()) {
    *job_id = plan->existing_job;
    return RollBack();
  }
  *response = plan->response;
  if (plan->blocked()) return RollBack();
  if (auto changed = PlanChanged(*plan, **token); !changed.ok()) return changed;

  store::Job job =
      NewJob(caller, OperationName(call.op), call.run_id, call.range, plan->owner_host);
  job.request = call.request;
  if (call.op == Operation::kActivate) {
    store::Grant grant{
        call.range,   plan->owner_host,  plan->owner_instance, plan->owner_generation,
        call.run_id,  job.job_id,        plan->overrides_json, now,
        call.dialect, HoldOfTells(*plan)};
    auto granted = store::GrantRange(tx, grant);
    if (!granted.ok()) return granted.status();
    if (granted->outcome != store::GrantOutcome::kGranted) {
      const bool buckets = granted->outcome == store::GrantOutcome::kBucketsTaken;
      *response->add_blockers() =
          MakeFinding(buckets ? "bucket_range_conflict" : "owner_range_conflict",
                      "another activation was faster", "look at the status, then plan again");
      SetStatusByBlockers(response);
      return RollBack();
    }
    job.epoch = granted->lock.epoch;
  } else if (call.op == Operation::kRelease) {
    auto released = BeginLeaving(tx, *plan->lock, call.range, job.job_id, now);
    if (!released.ok()) return released.status();
    if (!*released) return absl::AbortedError("the range changed between two statements");
    job.epoch = plan->lock->epoch;
  } else if (call.op == Operation::kStagePolicy) {
    if (auto s = BeginPolicy(tx, call, *plan, job); !s.ok()) return s;
  }
  auto consumed = store::ConsumeToken(tx, token_hash, job.job_id, now);
  if (!consumed.ok()) return consumed.status();
  if (!*consumed) return InvalidConfirmation("the confirmation token was used or has expired");
  if (auto s = store::InsertJob(tx, job); !s.ok()) return s;
  if (call.closed_too) {
    if (auto s = store::TouchSession(tx, call.run_id, now); !s.ok()) return s;
  } else {
    const std::string& owner =
        call.op == Operation::kActivate ? plan->owner_host : session->owner_host;
    auto bumped = store::BumpSession(tx, call.run_id, session->sequence, owner, now);
    if (!bumped.ok()) return bumped.status();
    if (!*bumped) return absl::AbortedError("the run changed between two statements");
  }
  if (caller.on_commit) {
    if (auto s = caller.on_commit(tx, "job", job.job_id); !s.ok()) return s;
  }
  *job_id = job.job_id;
  return absl::OkStatus();
}

int64_t Service::HoldOfTells(const Plan& plan) {
  if (options_.legacy.dialect != store::LegacyDialect::kV1) return 0;
  const std::chrono::nanoseconds since = stops_.Since(plan.v1_stopped, parts_.clock->Boot());
  const std::chrono::nanoseconds left = options_.LastWordsWithin() - since;
  return std::max<int64_t>(0, std::chrono::ceil<std::chrono::milliseconds>(left).count());
}

absl::Status Service::AnswerWithJob(const std::string& job_id, std::chrono::milliseconds wait,
                                    const std::function<bool()>& cancelled,
                                    v1::OperationResponse* response) {
  auto job = runner_.WaitForChange(job_id, std::nullopt, wait, cancelled);
  if (!job.ok()) return job.status();
  *response = JobResponse(*job);
  return absl::OkStatus();
}

}  // namespace jetmon::rollout
