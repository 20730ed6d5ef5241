#include "controlplane/rollout/test_model_world.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "controlplane/error/error.h"
#include "controlplane/rollout/commits.h"
#include "store/hosts.h"
#include "store/ids.h"
#include "store/jobs.h"
#include "store/locks.h"
#include "store/parts.h"
#include "store/vantages.h"

namespace jetmon::rollout {
namespace {

// Commits of a job's worker; the others are of calls, which are judged by their answers.
bool IsOfJob(std::string_view commit) {
  using namespace commits;  // NOLINT: names of one list
  static const std::set<std::string_view> kNames = {
      kClaimJob,        kYieldJob,   kFinishJob, kSeedBatch, kActivateLook,
      kBeginActivating, kRevokePart, kFreePart,  kGiveUp,    kReleaseLook,
      kProject,         kRevoke,     kFree};
  return kNames.count(commit) > 0;
}

std::string ReasonName(const absl::Status& s) {
  if (s.ok()) return "";
  const v1::ErrorReason reason = ReasonOf(s);
  return reason == v1::ERROR_REASON_UNSPECIFIED ? s.ToString() : v1::ErrorReason_Name(reason);
}

std::set<std::string> CodesOf(const v1::OperationResponse& answer) {
  std::set<std::string> codes;
  for (const auto& b : answer.blockers()) codes.insert(b.code());
  return codes;
}

Operation OperationOf(const std::string& name) {
  for (const Operation op : {Operation::kSeed, Operation::kFinalReconcile, Operation::kActivate}) {
    if (OperationName(op) == name) return op;
  }
  return Operation::kRelease;
}

v1::PlannedRequest RequestOf(const model::Asked& asked) {
  v1::PlannedRequest request;
  request.set_run_id(asked.run);
  request.set_bucket_min(asked.range.min);
  request.set_bucket_max(asked.range.max);
  request.set_owner_host(asked.owner);
  request.set_wait("0s");
  if (asked.overridden) {
    v1::Override* o = request.add_override();
    o->set_code("evidence_missing");
    o->set_reason("a test");
  }
  return request;
}

}  // namespace

ModelWorld::ModelWorld() {
  sql::Options options;
  options.clock = &clock_;
  db_ = file_.OpenAnother(options);
  for (int i : {0, 1}) {
    replicas_[i].name = absl::StrCat("control-", i);
    replicas_[i].db = file_.OpenAnother(options);
  }
}

ModelWorld::~ModelWorld() {
  for (Replica& r : replicas_) r.service.reset();
}

void ModelWorld::Write(const sql::Body& body) {
  const absl::Status s = db_->Write(body);
  if (!s.ok()) Differ(absl::StrCat("the store failed: ", s.ToString()));
}

void ModelWorld::Reset() {
  wrong_.clear();
  model_ = model::State(kBuckets);
  Write([&](sql::Transaction& tx) -> absl::Status {
    for (const char* table :
         {"jetmon_rollout_range_locks", "jetmon_rollout_range_tenures",
          "jetmon_rollout_range_parts", "jetmon_rollout_bucket_locks", "jetmon_rollout_sessions",
          "jetmon_rollout_checkpoints", "jetmon_rollout_jobs", "jetmon_process_health",
          "jetmon_rollout_confirmation_tokens", "jetmon_hosts", "jetmon_counters",
          "jetmon_veriflier_vantages"}) {
      if (auto s = tx.Execute(absl::StrCat("DELETE FROM ", table)); !s.ok()) return s.status();
    }
    store::Vantage v;
    v.vantage_id = "v-1";
    v.trust = "trusted";
    v.endpoint = "127.0.0.1:1";
    v.revision = 1;
    if (auto s = store::InsertVantage(tx, v); !s.ok()) return s.status();
    return store::EnsureBuckets(tx, kBuckets, NowMs());
  });
  for (int i : {0, 1}) Start(i);
}

void ModelWorld::Start(int replica) {
  Replica& r = replicas_[replica];
  r.service.reset();
  r.watch = model::Watch();
  r.job.clear();
  Parts parts;
  parts.clock = &clock_;
  parts.db = r.db.get();
  parts.ask_status = [](const confirm::Vantage& v, std::chrono::milliseconds,
                        const std::function<void(absl::StatusOr<confirm::Facts>)>& done) {
    confirm::Facts facts;
    facts.vantage_id = v.vantage_id;
    facts.protocol_min = facts.protocol_max = confirm::kProtocol;
    done(facts);
  };
  parts.at_commit = [this, replica](std::string_view name, bool committed) {
    if (committed && IsOfJob(name)) AtCommit(replica, name);
  };
  Options options;
  options.bucket_total = kBuckets;
  options.instance = absl::StrCat(r.name, "-", ++r.starts);
  options.peer_offline_limit = 1;
  options.times.look = std::chrono::milliseconds(1);
  options.times.hear_within = std::chrono::milliseconds(0);
  r.service = std::make_unique<Service>(std::move(parts), options);
}

void ModelWorld::Restart(int replica) {
  Count("restart");
  Start(replica);
}

void ModelWorld::Differ(const std::string& what) {
  if (wrong_.empty()) wrong_ = what;
}

void ModelWorld::Same(const std::string& what, const std::string& database,
                      const std::string& model) {
  if (database != model)
    Differ(absl::StrCat(what, "\n  database ", database, "\n  model    ", model));
}

// --- control planes

void ModelWorld::Observe(int replica) {
  const absl::Status s = replicas_[replica].service->Observe();
  if (!s.ok()) Differ(absl::StrCat("not observed: ", s.ToString()));
  model_.Observe(&replicas_[replica].watch, NowMs());
}

void ModelWorld::Sweep(int replica) {
  const absl::Status s = replicas_[replica].service->Sweep();
  if (!s.ok()) Differ(absl::StrCat("not swept: ", s.ToString()));
  model_.Sweep();
  Count(model_.unnamed.empty() ? "sweep" : "sweep took up");
  Compare();
}

void ModelWorld::RunOneJob(int replica, const std::function<bool()>& stopping) {
  Replica& r = replicas_[replica];
  try {
    r.service->RunOneJob(stopping);
    r.job.clear();
  } catch (const Killed& killed) {
    if (killed.replica != replica) throw;  // of whoever is further out
    Count("killed in a job");
    Start(replica);
  }
}

void ModelWorld::Break(const std::string& job) {
  Write([&](sql::Transaction& tx) -> absl::Status {
    auto lease = store::ClaimQueuedJob(tx, job, "broken", NowMs());
    if (!lease.ok()) return lease.status();
    if (!lease->has_value()) return absl::InternalError("the job was not queued");
    return store::FinishJob(tx, **lease, store::job_state::kFailed, "", "broken", NowMs()).status();
  });
  Count("broken");
  model_.Break(job, "broken");
  Compare();
}

// The job that the database says was taken and the model does not know of; "" if none.
std::string ModelWorld::ClaimedJob() {
  std::string claimed;
  Write([&](sql::Transaction& tx) -> absl::Status {
    auto jobs = store::ListUnfinishedJobs(tx);
    if (!jobs.ok()) return jobs.status();
    for (const store::Job& j : *jobs) {
      auto known = model_.jobs.find(j.job_id);
      if (known != model_.jobs.end() && j.attempt == known->second.attempt + 1) claimed = j.job_id;
    }
    return absl::OkStatus();
  });
  return claimed;
}

void ModelWorld::AtCommit(int replica, std::string_view name) {
  if (!wrong_.empty()) return;
  Replica& r = replicas_[replica];
  std::string error;
  if (name == commits::kClaimJob) {
    const std::string job = ClaimedJob();
    if (job.empty()) return;
    Count(model_.jobs.at(job).state == "running" ? "job taken over" : "job claimed");
    error = model_.Claimed(job, absl::StrCat(r.name, "-", r.starts), r.watch);
    r.job = job;
    r.attempt = model_.jobs.at(job).attempt;
  } else {
    error = model_.Commit(name, r.job, absl::StrCat(r.name, "-", r.starts), r.attempt, r.watch,
                          NowMs());
    Count(std::string(name));
  }
  if (!error.empty()) Differ(absl::StrCat(r.name, " at ", std::string(name), ": ", error));
  const model::Job& job = model_.jobs.at(r.job);
  if (name == commits::kFinishJob) Count(absl::StrCat(job.operation, " ", job.state));
  Compare();
  if (wrong_.empty() && between_) between_(replica);
}

// --- operators

Caller ModelWorld::Key(const std::string& key) const {
  Caller caller;
  caller.key_id = key;
  caller.consumer = key;
  return caller;
}

void ModelWorld::CreateSession(int replica, const std::string& key, store::Range range,
                               const std::string& owner) {
  v1::CreateSessionRequest request;
  request.set_bucket_min(range.min);
  request.set_bucket_max(range.max);
  request.set_owner_host(owner);
  v1::Session session;
  const absl::Status s = replicas_[replica].service->CreateSession(Key(key), request, &session);
  Same("create session", ReasonName(s), "");
  model_.sessions[session.run_id()] = {range, owner, true, 0};
  Compare();
}

void ModelWorld::CloseSession(int replica, const std::string& run) {
  v1::CloseSessionRequest request;
  request.set_run_id(run);
  v1::Session session;
  const absl::Status s = replicas_[replica].service->CloseSession(Key("key"), request, &session);
  const std::string expected = model_.CloseError(run);
  Same("close session", ReasonName(s), expected);
  Count(absl::StrCat("close ", expected));
  if (expected.empty()) model_.Close(run);
  Compare();
}

void ModelWorld::Checkpoint(int replica, const std::string& run, const std::string& kind) {
  v1::RecordCheckpointRequest request;
  request.set_run_id(run);
  request.set_kind(kind);
  v1::Checkpoint checkpoint;
  const absl::Status s =
      replicas_[replica].service->RecordCheckpoint(Key("key"), request, &checkpoint);
  const std::string expected = model_.CheckpointError(run, kind);
  Same(kind, ReasonName(s), expected);
  Count(absl::StrCat(kind, " ", expected));
  if (expected.empty()) {
    const model::Session& session = model_.sessions.at(run);
    model_.Record(run, kind, session.range, session.owner, 0, NowMs());
  }
  Compare();
}

void ModelWorld::Preflight(int replica, const std::string& run, store::Range range,
                           const std::string& owner) {
  v1::PreflightRequest request;
  request.set_run_id(run);
  request.set_bucket_min(range.min);
  request.set_bucket_max(range.max);
  request.set_owner_host(owner);
  v1::OperationResponse answer;
  const absl::Status s = replicas_[replica].service->Preflight(Key("key"), request, &answer);
  const model::Session session = model_.sessions.at(run);
  const std::string expected = session.open ? "" : "RUN_CLOSED";
  Same("preflight", ReasonName(s), expected);
  if (!expected.empty() || !wrong_.empty()) return;
  const std::string& whom = owner.empty() ? session.owner : owner;
  const auto blockers = model_.PreflightBlockers(replicas_[replica].watch, range, whom);
  Same("preflight", absl::StrJoin(CodesOf(answer), " "), absl::StrJoin(blockers, " "));
  Count(absl::StrCat("preflight ", absl::StrJoin(blockers, " ")));
  model::Job job;
  job.operation = "preflight";
  job.run = run;
  job.range = range;
  job.state = blockers.empty() ? "completed" : "blocked";
  model_.jobs[answer.job_id()] = job;
  if (blockers.empty()) model_.Record(run, "preflight_passed", range, whom, 0, NowMs());
  Compare();
}

void ModelWorld::Smoke(int replica, const std::string& run, store::Range range,
                       const std::string& owner) {
  v1::SmokeRequest request;
  request.set_run_id(run);
  request.set_bucket_min(range.min);
  request.set_bucket_max(range.max);
  request.set_owner_host(owner);
  request.set_read_only(true);
  request.set_wait("0s");
  v1::OperationResponse answer;
  const absl::Status s = replicas_[replica].service->Smoke(Key("key"), request, {}, &answer);
  const model::Session& session = model_.sessions.at(run);
  Same("smoke", ReasonName(s), session.open ? "" : "RUN_CLOSED");
  if (!session.open || !wrong_.empty()) return;
  model::Job job;
  job.operation = "smoke";
  job.run = run;
  job.range = range;
  job.owner = owner.empty() ? session.owner : owner;
  model_.jobs[answer.job_id()] = job;
  Compare();
}

void ModelWorld::Cancel(int replica, const std::string& job) {
  v1::OperationResponse answer;
  const absl::Status s = replicas_[replica].service->CancelJob(Key("key"), job, &answer);
  const std::string expected = model_.CancelError(job);
  Same("cancel", ReasonName(s), expected);
  Count(absl::StrCat("cancel ", expected));
  if (expected.empty()) model_.Cancel(job);
  Compare();
}

// True if it is to be as the model says that something was done.
bool ModelWorld::Judge(const std::string& what, const absl::Status& s,
                       const v1::OperationResponse& answer, const model::Answer& expected) {
  Count(absl::StrCat(what, " ", expected.error, absl::StrJoin(expected.blockers, " "),
                     expected.jobs.empty() ? "" : " job"));
  Same(what, ReasonName(s), expected.error);
  const std::string job = s.ok() ? answer.job_id() : MetadataOf(s, "job_id");
  if (!expected.jobs.empty()) {
    if (expected.jobs.count(job) == 0) {
      Differ(absl::StrCat(what, ": answered with job '", job, "', not with one of ",
                          absl::StrJoin(expected.jobs, " ")));
    }
    return false;
  }
  if (!s.ok() || !expected.error.empty()) return false;
  // The answer with a new job may have blockers of its own one day; here it has just begun.
  Same(what, absl::StrJoin(CodesOf(answer), " "), absl::StrJoin(expected.blockers, " "));
  return expected.blockers.empty() && wrong_.empty();
}

std::string ModelWorld::Plan(int replica, const model::Asked& asked) {
  Replica& r = replicas_[replica];
  v1::PlannedRequest request = RequestOf(asked);
  request.set_dry_run(true);
  v1::OperationResponse answer;
  const model::Answer expected = model_.Plan(r.watch, asked, NowMs());
  const absl::Status s =
      r.service->Planned(Key(asked.key), OperationOf(asked.operation), request, {}, &answer);
  std::string token;
  if (Judge("plan " + asked.operation, s, answer, expected)) {
    token = answer.confirmation_token();
    if (token.empty()) Differ("a plan without blockers and without a token");
    const std::string& owner =
        asked.owner.empty() ? model_.sessions.at(asked.run).owner : asked.owner;
    model_.tokens[store::Sha256Hex(token)] = {
        asked.key,       asked.operation,
        asked.run,       model::State::RequestOf(asked, owner),
        expected.digest, "",
        asked.range,     NowMs() + model::kTokenMs};
  }
  Compare();
  return token;
}

void ModelWorld::Execute(int replica, const model::Asked& asked, const std::string& token) {
  Replica& r = replicas_[replica];
  v1::PlannedRequest request = RequestOf(asked);
  request.set_execute(true);
  request.set_confirm(token);
  v1::OperationResponse answer;
  const std::string hash = token.empty() ? "" : store::Sha256Hex(token);
  const model::Answer expected = model_.Execute(r.watch, asked, hash, NowMs());
  const absl::Status s =
      r.service->Planned(Key(asked.key), OperationOf(asked.operation), request, {}, &answer);
  if (Judge("execute " + asked.operation, s, answer, expected)) {
    if (answer.job_id().empty()) Differ("an execution without a job");
    model_.Executed(r.watch, asked, hash, answer.job_id());
  }
  Compare();
}

// --- Monitors

bool ModelWorld::Both(const std::string& what,
                      const std::function<absl::StatusOr<bool>(sql::Transaction&)>& f,
                      bool expected) {
  Write([&](sql::Transaction& tx) -> absl::Status {
    auto done = f(tx);
    if (done.ok()) Same(what, *done ? "done" : "refused", expected ? "done" : "refused");
    return done.status();
  });
  Count(absl::StrCat(what, expected ? "" : " refused"));
  Compare(/*all=*/false);
  return expected;
}

void ModelWorld::Poll(const std::string& instance, const std::string& host) {
  store::ProcessHealth h;
  h.instance = instance;
  h.kind = "monitor";
  h.host = host;
  h.mode = "api-controlled";
  h.updated_at_ms = NowMs();
  Write([&](sql::Transaction& tx) { return store::ReportHealth(tx, h); });
  model_.Poll(instance, host);
}

void ModelWorld::Goodbye(const std::string& instance) {
  Write([&](sql::Transaction& tx) { return store::SayGoodbye(tx, instance, NowMs()); });
  model_.Goodbye(instance);
  Count("goodbye");
}

bool ModelWorld::Renew(uint64_t epoch, const std::string& instance, uint64_t revision) {
  return Both(
      "renew",
      [&](sql::Transaction& tx) { return store::RenewLease(tx, epoch, instance, revision); },
      model_.Renew(epoch, instance, revision));
}

bool ModelWorld::Acknowledge(uint64_t epoch, const std::string& instance, uint64_t revision) {
  return Both(
      "acknowledge",
      [&](sql::Transaction& tx) {
        return store::AcknowledgeRange(tx, epoch, instance, revision, NowMs());
      },
      model_.Acknowledge(epoch, instance, revision));
}

bool ModelWorld::Drained(uint64_t epoch, const std::string& instance) {
  return Both(
      "drained",
      [&](sql::Transaction& tx) { return store::ReportDrained(tx, epoch, instance, 0, NowMs()); },
      model_.Drained(epoch, instance));
}

bool ModelWorld::PartDrained(const std::string& job, const std::string& instance) {
  return Both(
      "part drained",
      [&](sql::Transaction& tx) { return store::ReportPartDrained(tx, job, instance, 0, NowMs()); },
      model_.PartDrained(job, instance));
}

bool ModelWorld::TakeOver(uint64_t epoch, const std::string& old_instance, uint64_t lease_seq,
                          const std::string& instance) {
  return Both(
      "take over",
      [&](sql::Transaction& tx) {
        return store::TakeOverRange(tx, epoch, old_instance, lease_seq, instance, NowMs());
      },
      model_.TakeOver(epoch, old_instance, lease_seq, instance));
}

}  // namespace jetmon::rollout
