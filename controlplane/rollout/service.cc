#include "controlplane/rollout/service.h"

#include <google/protobuf/util/json_util.h>

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "controlplane/rollout/gates.h"
#include "controlplane/rollout/messages.h"
#include "controlplane/rollout/preflight.h"
#include "controlplane/rollout/range_jobs.h"
#include "controlplane/rollout/requests.h"
#include "controlplane/rollout/seed.h"
#include "controlplane/rollout/smoke.h"
#include "probe/check.h"
#include "store/ids.h"
#include "store/keys.h"

namespace jetmon::rollout {
namespace {

constexpr size_t kMaxMetadata = 16 << 10;
constexpr size_t kMaxText = 255;
constexpr size_t kMaxNote = 1000;

absl::Status CanariesLater(int n) {
  if (n == 0) return absl::OkStatus();
  return Error(v1::NOT_AVAILABLE, "canaries are not available in this build; leave them out");
}

}  // namespace

std::map<std::string, Executor> Executors() {
  return {{OperationName(Operation::kSeed), ExecuteSeed},
          {OperationName(Operation::kFinalReconcile), ExecuteSeed},
          {OperationName(Operation::kActivate), ExecuteActivate},
          {OperationName(Operation::kRelease), ExecuteRelease},
          {"smoke", ExecuteSmoke}};
}

Service::Service(Parts parts, Options options)
    : parts_(std::move(parts)),
      options_(std::move(options)),
      observer_(*parts_.db, *parts_.clock, options_.times),
      runner_(parts_, options_, observer_, Executors()) {}

Service::~Service() { Stop(); }

absl::Status Service::Start() {
  const absl::Status s = parts_.db->Write([&](sql::Transaction& tx) {
    return store::EnsureBuckets(tx, options_.bucket_total, parts_.clock->WallMs());
  });
  if (!s.ok()) return s;
  observer_.Run();
  runner_.Run();
  return absl::OkStatus();
}

void Service::Stop() {
  runner_.Stop();
  observer_.Stop();
}

absl::Status Service::CreateSession(const Caller& caller, const v1::CreateSessionRequest& request,
                                    v1::Session* response) {
  auto range = RangeOf(request, options_.bucket_total);
  if (!range.ok()) return range.status();
  if (auto s = CheckHost(request.owner_host()); !s.ok()) return s;
  if (request.change_ref().size() > kMaxText) {
    return InvalidField("change_ref", "takes up to 255 characters");
  }
  store::Session session;
  session.created_at_ms = session.updated_at_ms = parts_.clock->WallMs();
  session.run_id = "rol_" + store::NewUlid(session.created_at_ms);
  session.range = *range;
  session.owner_host = request.owner_host();
  session.change_ref = request.change_ref();
  session.metadata_json.clear();
  if (!google::protobuf::util::MessageToJsonString(request.metadata(), &session.metadata_json)
           .ok() ||
      session.metadata_json.size() > kMaxMetadata) {
    return InvalidField("metadata", "takes an object of up to 16 KiB");
  }
  session.state = "open";
  session.key_id = caller.key_id;
  session.consumer = caller.consumer;
  const absl::Status s = parts_.db->Write([&](sql::Transaction& tx) -> absl::Status {
    if (auto inserted = store::InsertSession(tx, session); !inserted.ok()) return inserted;
    return caller.on_commit ? caller.on_commit(tx, "session", session.run_id) : absl::OkStatus();
  });
  if (!s.ok()) return s;
  *response = SessionMessage(session);
  return absl::OkStatus();
}

absl::Status Service::GetSession(const std::string& run_id, v1::Session* response) {
  return parts_.db->Read([&](sql::Transaction& tx) -> absl::Status {
    auto session = CheckRun(tx, run_id, std::nullopt, /*closed_too=*/true);
    if (!session.ok()) return session.status();
    *response = SessionMessage(*session);
    return absl::OkStatus();
  });
}

absl::Status Service::ListSessions(const v1::ListSessionsRequest& request,
                                   v1::ListSessionsResponse* response) {
  auto page = PageOf(request.page_size(), request.page_token());
  if (!page.ok()) return page.status();
  if (!request.state().empty() && request.state() != "open" && request.state() != "closed") {
    return InvalidField("state", "takes open or closed");
  }
  return PageError(parts_.db->Read([&](sql::Transaction& tx) -> absl::Status {
    response->Clear();
    auto rows = store::ListSessions(tx, request.state(), *page);
    if (!rows.ok()) return rows.status();
    for (const auto& s : rows->rows) *response->add_sessions() = SessionMessage(s);
    response->set_next_page_token(rows->next_token);
    return absl::OkStatus();
  }));
}

absl::Status Service::CloseSession(const Caller& caller, const v1::CloseSessionRequest& request,
                                   v1::Session* response) {
  if (request.reason().size() > kMaxText) {
    return InvalidField("reason", "takes up to 255 characters");
  }
  return parts_.db->Write([&](sql::Transaction& tx) -> absl::Status {
    if (auto turn = store::BeginDecision(tx); !turn.ok()) return turn;
    auto session = CheckRun(tx, request.run_id(), std::nullopt, /*closed_too=*/false);
    if (!session.ok()) return session.status();
    auto locks = store::ListHeldRanges(tx);
    if (!locks.ok()) return locks.status();
    for (const auto& l : *locks) {
      if (l.run_id != request.run_id()) continue;
      return Error(v1::SESSION_IN_USE, absl::StrCat("its range ", l.range.ToString(), " is ",
                                                    l.state, "; release it first"));
    }
    auto jobs = store::CountUnfinishedJobs(tx, request.run_id());
    if (!jobs.ok()) return jobs.status();
    if (*jobs > 0) return Error(v1::SESSION_IN_USE, absl::StrCat(*jobs, " of its jobs run"));
    auto closed =
        store::CloseSession(tx, request.run_id(), request.reason(), parts_.clock->WallMs());
    if (!closed.ok()) return closed.status();
    if (!*closed) return Error(v1::RUN_CLOSED, "it was closed meanwhile");
    auto now = store::GetSession(tx, request.run_id());
    if (!now.ok()) return now.status();
    if (now->has_value()) *response = SessionMessage(**now);
    return caller.on_commit ? caller.on_commit(tx, "session", request.run_id()) : absl::OkStatus();
  });
}

absl::Status Service::GetTimeline(const std::string& run_id, v1::Timeline* response) {
  return parts_.db->Read([&](sql::Transaction& tx) -> absl::Status {
    response->Clear();
    auto session = CheckRun(tx, run_id, std::nullopt, /*closed_too=*/true);
    if (!session.ok()) return session.status();
    std::vector<std::pair<int64_t, v1::TimelineEntry>> entries;
    const auto add = [&](int64_t ms, const char* kind, std::string text,
                         const std::string& consumer, const std::string& job, uint64_t ordinal) {
      v1::TimelineEntry e;
      SetTime(e.mutable_at(), ms);
      e.set_kind(kind);
      e.set_text(std::move(text));
      e.set_consumer(consumer);
      e.set_job_id(job);
      e.set_ordinal(ordinal);
      entries.emplace_back(ms, std::move(e));
    };
    add(session->created_at_ms, "session",
        absl::StrCat("opened for buckets ", session->range.ToString()), session->consumer, "", 0);
    if (session->closed_at_ms != 0) {
      add(session->closed_at_ms, "session", "closed: " + session->close_reason, "", "", 0);
    }
    auto checkpoints = store::ListCheckpoints(tx, run_id);
    if (!checkpoints.ok()) return checkpoints.status();
    for (const auto& c : *checkpoints) {
      add(c.created_at_ms, "checkpoint", absl::StrCat(c.kind, c.note.empty() ? "" : ": ", c.note),
          c.consumer, c.job_id, c.ordinal);
    }
    auto jobs = store::ListJobs(tx, run_id, "", {200, ""});
    if (!jobs.ok()) return jobs.status();
    for (const auto& j : jobs->rows) {
      add(j.created_at_ms, "job", j.operation + " queued", j.consumer, j.job_id, 0);
      if (j.finished_at_ms != 0) {
        add(j.finished_at_ms, "job", absl::StrCat(j.operation, " ", j.state), j.consumer, j.job_id,
            0);
      }
    }
    auto audit = store::ListAuditOfRun(tx, run_id, 1000);
    if (!audit.ok()) return audit.status();
    for (const auto& a : *audit) {
      add(a.at_ms, "audit", absl::StrCat(a.operation, ": ", a.outcome), a.consumer, "", 0);
    }
    std::stable_sort(entries.begin(), entries.end(),
                     [](const auto& a, const auto& b) { return a.first < b.first; });
    response->set_run_id(run_id);
    for (auto& [ms, e] : entries) *response->add_entries() = std::move(e);
    return absl::OkStatus();
  });
}

absl::Status Service::RecordCheckpoint(const Caller& caller,
                                       const v1::RecordCheckpointRequest& request,
                                       v1::Checkpoint* response) {
  const std::string& kind = request.kind();
  if (kind.empty() || kind.size() > 32 ||
      kind.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789_") != std::string::npos) {
    return InvalidField("kind", "takes 1 to 32 of a-z, 0-9 and _");
  }
  for (const char* own : {store::checkpoint::kPreflight, store::checkpoint::kSmoke,
                          store::checkpoint::kSeed, store::checkpoint::kFinalReconcile,
                          store::checkpoint::kActivated, store::checkpoint::kReleased}) {
    if (kind == own) return InvalidField("kind", "is recorded by the operation itself");
  }
  if (request.note().size() > kMaxNote) {
    return InvalidField("note", "takes up to 1,000 characters");
  }
  return parts_.db->Write([&](sql::Transaction& tx) -> absl::Status {
    if (auto turn = store::BeginDecision(tx); !turn.ok()) return turn;
    auto session = CheckRun(tx, request.run_id(), std::nullopt, /*closed_too=*/false);
    if (!session.ok()) return session.status();
    if (kind == store::checkpoint::kV1Started) {
      auto locks = store::ListHeldRanges(tx);
      if (!locks.ok()) return locks.status();
      for (const auto& l : *locks) {
        if (!l.range.Overlaps(session->range)) continue;
        return Error(v1::INVALID_CHECKPOINT,
                     absl::StrCat("v2 holds buckets ", l.range.ToString(), " (", l.state,
                                  "): v1 must not run there; wait for the release job"));
      }
    }
    store::Checkpoint c;
    c.run_id = request.run_id();
    c.kind = kind;
    c.range = session->range;
    c.owner_host = session->owner_host;
    c.note = request.note();
    c.key_id = caller.key_id;
    c.consumer = caller.consumer;
    c.created_at_ms = parts_.clock->WallMs();
    auto inserted = store::InsertCheckpoint(tx, std::move(c));
    if (!inserted.ok()) return inserted.status();
    *response = CheckpointMessage(*inserted);
    if (auto s = store::TouchSession(tx, request.run_id(), parts_.clock->WallMs()); !s.ok()) {
      return s;
    }
    if (!caller.on_commit) return absl::OkStatus();
    return caller.on_commit(tx, "checkpoint",
                            absl::StrCat(request.run_id(), "/", inserted->ordinal));
  });
}

absl::Status Service::ReplayCheckpoint(const std::string& id, v1::Checkpoint* response) {
  const std::string run_id = id.substr(0, id.find('/'));
  return parts_.db->Read([&](sql::Transaction& tx) -> absl::Status {
    auto rows = store::ListCheckpoints(tx, run_id);
    if (!rows.ok()) return rows.status();
    for (const auto& c : *rows) {
      if (absl::StrCat(run_id, "/", c.ordinal) != id) continue;
      *response = CheckpointMessage(c);
      return absl::OkStatus();
    }
    return Error(v1::NOT_FOUND, "the checkpoint is gone");
  });
}

absl::Status Service::Preflight(const Caller& caller, const v1::PreflightRequest& request,
                                v1::OperationResponse* response) {
  auto range = RangeOf(request, options_.bucket_total);
  if (!range.ok()) return range.status();
  if (auto s = CheckHost(request.owner_host()); !s.ok()) return s;
  if (auto s = CanariesLater(request.canaries_size()); !s.ok()) return s;
  store::Session session;
  absl::Status s = parts_.db->Read([&](sql::Transaction& tx) -> absl::Status {
    auto found = CheckRun(tx, request.run_id(), *range, /*closed_too=*/false);
    if (found.ok()) session = *found;
    return found.status();
  });
  if (!s.ok()) return s;
  const std::string owner =
      request.owner_host().empty() ? session.owner_host : request.owner_host();
  if (owner.empty()) return InvalidField("owner_host", "is required: who shall own the range?");
  store::Job job = NewJob(caller, "preflight", request.run_id(), *range, owner);
  v1::OperationResponse answer = Head(job.operation, job.run_id, *range, owner);
  answer.set_change_ref(session.change_ref);
  s = RunPreflight(parts_, options_, observer_, session, *range, owner, &answer);
  if (!s.ok()) return s;
  const bool passed = answer.blockers().empty();
  job.state = passed ? store::job_state::kCompleted : store::job_state::kBlocked;
  job.done = job.total = answer.preflight().items_size();
  job.started_at_ms = job.created_at_ms;
  job.finished_at_ms = parts_.clock->WallMs();
  job.result = answer.SerializeAsString();
  s = parts_.db->Write([&](sql::Transaction& tx) -> absl::Status {
    if (auto inserted = store::InsertJob(tx, job); !inserted.ok()) return inserted;
    if (passed) {
      store::Checkpoint c;
      c.run_id = job.run_id;
      c.kind = store::checkpoint::kPreflight;
      c.range = *range;
      c.owner_host = owner;
      c.job_id = job.job_id;
      c.key_id = caller.key_id;
      c.consumer = caller.consumer;
      c.created_at_ms = job.finished_at_ms;
      auto recorded = store::InsertCheckpoint(tx, std::move(c));
      if (!recorded.ok()) return recorded.status();
      auto touched = store::TouchSession(tx, job.run_id, job.finished_at_ms);
      if (!touched.ok()) return touched;
    }
    return caller.on_commit ? caller.on_commit(tx, "job", job.job_id) : absl::OkStatus();
  });
  if (!s.ok()) return s;
  *response = JobResponse(job);
  return absl::OkStatus();
}

absl::Status Service::Smoke(const Caller& caller, const v1::SmokeRequest& request,
                            const std::function<bool()>& cancelled,
                            v1::OperationResponse* response) {
  auto range = RangeOf(request, options_.bucket_total);
  if (!range.ok()) return range.status();
  if (!request.read_only()) {
    return Error(v1::READ_ONLY_REQUIRED, "smoke writes nothing; say so with read_only = true");
  }
  if (auto s = CheckHost(request.owner_host()); !s.ok()) return s;
  if (auto s = CanariesLater(request.canaries_size()); !s.ok()) return s;
  if (!request.mode().empty() && !probe::ParseMode(request.mode()).ok()) {
    return Error(v1::INVALID_MODE,
                 "mode takes head-legacy, head-simple, get-legacy, get-simple or get-full");
  }
  if (request.mode() == "get-full") {
    return Error(v1::NOT_AVAILABLE, "get-full is not available in this build; use get-simple");
  }
  if (auto size = SampleSizeOf(request.sample_size()); !size.ok()) return size.status();
  auto wait = WaitOf(request.wait());
  if (!wait.ok()) return wait.status();
  std::string job_id;
  const absl::Status s = parts_.db->Write([&](sql::Transaction& tx) -> absl::Status {
    if (auto turn = store::BeginDecision(tx); !turn.ok()) return turn;
    auto session = CheckRun(tx, request.run_id(), *range, /*closed_too=*/false);
    if (!session.ok()) return session.status();
    const std::string owner =
        request.owner_host().empty() ? session->owner_host : request.owner_host();
    store::Job job = NewJob(caller, "smoke", request.run_id(), *range, owner);
    job.request = request.SerializeAsString();
    job_id = job.job_id;
    if (auto inserted = store::InsertJob(tx, job); !inserted.ok()) return inserted;
    return caller.on_commit ? caller.on_commit(tx, "job", job.job_id) : absl::OkStatus();
  });
  if (!s.ok()) return s;
  runner_.Wake();
  return AnswerWithJob(job_id, *wait, cancelled, response);
}

absl::Status Service::LookAtGate(Gate gate, const v1::GateRequest& request,
                                 v1::OperationResponse* response) {
  auto range = RangeOf(request, options_.bucket_total);
  if (!range.ok()) return range.status();
  const int64_t now = parts_.clock->WallMs();
  auto since = SinceOf(request.since(), now);
  if (!since.ok()) return since.status();
  static constexpr const char* kNames[] = {"bucket_coverage", "activity_check", "projection_drift"};
  return parts_.db->Read([&](sql::Transaction& tx) -> absl::Status {
    std::string owner = request.owner_host();
    if (!request.run_id().empty()) {
      auto session = CheckRun(tx, request.run_id(), *range, /*closed_too=*/true);
      if (!session.ok()) return session.status();
      if (owner.empty()) owner = session->owner_host;
    }
    *response = Head(kNames[static_cast<int>(gate)], request.run_id(), *range, owner);
    switch (gate) {
      case Gate::kCoverage:
        return CoverageGate(tx, observer_, *range, owner, response);
      case Gate::kActivity:
        return ActivityGate(tx, observer_, *range, *since, now, response);
      case Gate::kDrift:
        return DriftGate(tx, *range, response);
    }
    return absl::InternalError("an unknown gate");
  });
}

absl::Status Service::GetJob(const std::string& job_id, v1::OperationResponse* response) {
  return parts_.db->Read([&](sql::Transaction& tx) -> absl::Status {
    auto job = store::GetJob(tx, job_id);
    if (!job.ok()) return job.status();
    if (!job->has_value()) {
      return Error(v1::JOB_NOT_FOUND, absl::StrCat("there is no job ", job_id.substr(0, 64)));
    }
    *response = JobResponse(**job);
    return absl::OkStatus();
  });
}

absl::Status Service::ListJobs(const v1::ListJobsRequest& request, v1::ListJobsResponse* response) {
  auto page = PageOf(request.page_size(), request.page_token());
  if (!page.ok()) return page.status();
  return PageError(parts_.db->Read([&](sql::Transaction& tx) -> absl::Status {
    response->Clear();
    auto rows = store::ListJobs(tx, request.run_id(), request.state(), *page);
    if (!rows.ok()) return rows.status();
    for (const auto& j : rows->rows) *response->add_jobs() = JobMessage(j);
    response->set_next_page_token(rows->next_token);
    return absl::OkStatus();
  }));
}

absl::Status Service::CancelJob(const Caller& caller, const std::string& job_id,
                                v1::OperationResponse* response) {
  const absl::Status s = parts_.db->Write([&](sql::Transaction& tx) -> absl::Status {
    auto job = store::GetJob(tx, job_id);
    if (!job.ok()) return job.status();
    if (!job->has_value()) return Error(v1::JOB_NOT_FOUND, "there is no such job");
    const std::string& operation = (*job)->operation;
    if (operation == OperationName(Operation::kActivate) ||
        operation == OperationName(Operation::kRelease)) {
      return Error(v1::NOT_CANCELLABLE,
                   "an activation or release can't be cancelled; release the range instead");
    }
    auto cancelled = store::RequestCancel(tx, job_id, parts_.clock->WallMs());
    if (!cancelled.ok()) return cancelled.status();
    if (!*cancelled) return Error(v1::NOT_CANCELLABLE, "the job has ended");
    return caller.on_commit ? caller.on_commit(tx, "job", job_id) : absl::OkStatus();
  });
  if (!s.ok()) return s;
  return GetJob(job_id, response);
}

absl::Status Service::WatchJob(const std::string& job_id, const std::function<bool()>& cancelled,
                               const std::function<bool(const v1::OperationResponse&)>& write) {
  std::optional<uint64_t> seq;
  std::string sent;
  for (;;) {
    auto job = runner_.WaitForChange(
        job_id, seq, std::chrono::milliseconds(seq.has_value() ? 10'000 : 0), cancelled);
    if (!job.ok()) return job.status();
    if (cancelled && cancelled()) return absl::OkStatus();
    // A worker that shows that it lives changes nothing that is shown.
    const v1::OperationResponse answer = JobResponse(*job);
    std::string text = answer.SerializeAsString();
    if (text != sent && !write(answer)) return absl::OkStatus();
    if (store::IsFinished(job->state)) return absl::OkStatus();
    sent = std::move(text);
    seq = job->seq;
  }
}

}  // namespace jetmon::rollout
