// What probes: preflight, smoke, comparison.
#include <algorithm>

#include "absl/strings/str_cat.h"
#include "controlplane/rollout/canaries.h"
#include "controlplane/rollout/commits.h"
#include "controlplane/rollout/compare.h"
#include "controlplane/rollout/messages.h"
#include "controlplane/rollout/preflight.h"
#include "controlplane/rollout/requests.h"
#include "controlplane/rollout/service.h"
#include "probe/check.h"

namespace jetmon::rollout {
namespace {

constexpr char kPreflight[] = "preflight";
constexpr char kSmoke[] = "smoke";
constexpr char kCompare[] = "compare_methods";

absl::Status CheckMode(const std::string& field, const std::string& mode) {
  if (probe::ParseMode(mode).ok()) return absl::OkStatus();
  const std::string what = "takes head-legacy, head-simple, get-legacy, get-simple or get-full";
  return WithField(Error(v1::INVALID_MODE, absl::StrCat(field, " ", what)), field, what);
}

// Of 10 s in all, or as much more as canaries take: until when the run is read, and until when its
// preflight is recorded.
constexpr std::chrono::seconds kReadWithin{2};
constexpr std::chrono::milliseconds kRecordWithin{9'500};
std::chrono::milliseconds RecordWithin(const Times& times, bool canaries) {
  if (!canaries) return kRecordWithin;
  return std::max(kRecordWithin, kReadWithin + times.budget.round() + times.budget.kMargin);
}

// Ends a preflight's job, which has a row already or gets it now.
absl::Status EndJob(sql::Transaction& tx, const store::Job& job, bool has_row) {
  if (!has_row) return store::InsertJob(tx, job);
  auto ours = store::FinishJob(tx, {job.job_id, job.lease_owner, job.attempt}, job.state,
                               job.result, job.error, job.finished_at_ms);
  if (!ours.ok()) return ours.status();
  if (*ours) return absl::OkStatus();
  return Error(v1::DATABASE_UNAVAILABLE,
               "this control plane was held up during the preflight; run it again");
}

// Keeps the answer as that of a job that has ended, and as evidence if it passed. What was looked
// at does not hold any more if the run was closed meanwhile, or the range has changed hands since
// `changed`.
absl::Status RecordPreflight(sql::Transaction& tx, const Caller& caller,
                             v1::OperationResponse answer, uint64_t changed, bool has_row,
                             store::Job* job) {
  if (auto turn = store::BeginDecision(tx); !turn.ok()) return turn;
  auto session = CheckRun(tx, job->run_id, job->range, /*closed_too=*/false);
  if (!session.ok()) return session.status();
  auto last = store::LastChangeOrdinal(tx, job->range);
  if (!last.ok()) return last.status();
  if (*last != changed) {
    *answer.add_blockers() =
        MakeFinding("bucket_range_conflict", "the range changed hands while it was looked at",
                    "look at the status, then run preflight again");
    SetStatusByBlockers(&answer);
  }
  const bool passed = answer.blockers().empty();
  job->state = passed ? store::job_state::kCompleted : store::job_state::kBlocked;
  job->result = answer.SerializeAsString();
  if (auto ended = EndJob(tx, *job, has_row); !ended.ok()) return ended;
  if (passed) {
    auto recorded = store::InsertCheckpoint(tx, CheckpointOf(*job, store::checkpoint::kPreflight,
                                                             job->owner_host, job->finished_at_ms));
    if (!recorded.ok()) return recorded.status();
    auto touched = store::TouchSession(tx, job->run_id, job->finished_at_ms);
    if (!touched.ok()) return touched;
  }
  return caller.on_commit ? caller.on_commit(tx, "job", job->job_id) : absl::OkStatus();
}

// What a preflight lets pass by name: duplicate_across_ranges, and nothing else.
absl::Status ReadOverrides(const v1::PreflightRequest& request, std::string* duplicates_reason) {
  for (const v1::Override& o : request.override()) {
    if (o.code() != "duplicate_across_ranges" || !duplicates_reason->empty()) {
      return InvalidField("override", "takes duplicate_across_ranges here, once");
    }
    if (auto s = CheckReason(o); !s.ok()) return s;
    *duplicates_reason = o.reason();
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status Service::Preflight(const Caller& caller, const v1::PreflightRequest& request,
                                v1::OperationResponse* response) {
  auto range = RangeOf(request, options_.bucket_total);
  if (!range.ok()) return range.status();
  if (auto s = CheckHost(request.owner_host()); !s.ok()) return s;
  auto canaries = CheckCanaries(request.canaries(), options_.engine.safety);
  if (!canaries.ok()) return canaries.status();
  PreflightOf of;
  of.range = *range;
  if (auto s = ReadOverrides(request, &of.duplicates_reason); !s.ok()) return s;
  const BootTime began = parts_.clock->Boot();
  store::Session& session = of.session;
  uint64_t changed = 0;  // the range, last
  auto connection = PreflightConnection(parts_);
  absl::Status s = connection.status();
  if (s.ok()) {
    s = (*connection)->Read(began + kReadWithin, [&](sql::Transaction& tx) -> absl::Status {
      auto found = CheckRun(tx, request.run_id(), *range, /*closed_too=*/false);
      if (!found.ok()) return found.status();
      session = *found;
      auto last = store::LastChangeOrdinal(tx, *range);
      if (last.ok()) changed = *last;
      return last.status();
    });
  }
  const std::string owner =
      request.owner_host().empty() ? session.owner_host : request.owner_host();
  store::Job job = NewJob(caller, kPreflight, request.run_id(), *range, owner);
  job.started_at_ms = job.created_at_ms;
  v1::OperationResponse answer = Head(job.operation, job.run_id, *range, owner);
  // Nothing is recorded then, so that nothing has passed.
  const auto away = [&] {
    SayDatabaseAway(s, &answer);
    *response = std::move(answer);
    return absl::OkStatus();
  };
  if (IsDatabaseAway(s)) return away();
  if (!s.ok()) return s;
  if (owner.empty()) return InvalidField("owner_host", "is required: who shall own the range?");
  answer.set_change_ref(session.change_ref);
  // Who sends requests to sites has a job that says so, before the first and whatever comes. If we
  // die another worker ends it.
  const bool has_row = !canaries->empty();
  std::unique_ptr<CanaryRun> checks;
  if (has_row) {
    job.state = store::job_state::kRunning;
    job.lease_owner = options_.instance;
    job.attempt = 1;
    job.request = request.SerializeAsString();
    s = parts_.Commit(commits::kBeginPreflight, **connection, began + kReadWithin,
                      [&](sql::Transaction& tx) { return store::InsertJob(tx, job); });
    if (IsDatabaseAway(s)) return away();
    if (!s.ok()) return s;
    auto begun =
        CanaryRun::Begin(options_.engine, *std::move(canaries), nullptr, options_.times.budget);
    if (!begun.ok()) return begun.status();
    checks = std::move(*begun);
  }
  of.owner_host = owner;
  s = RunPreflight(**connection, parts_, options_, observer_, of, checks.get(), &answer);
  if (!s.ok()) return s;
  job.done = job.total = answer.preflight().items_size();
  s = parts_.Commit(commits::kRecordPreflight, **connection,
                    began + RecordWithin(options_.times, has_row),
                    [&](sql::Transaction& tx) -> absl::Status {
                      job.finished_at_ms = parts_.clock->WallMs();
                      return RecordPreflight(tx, caller, answer, changed, has_row, &job);
                    });
  if (IsDatabaseAway(s)) return away();
  if (!s.ok()) return s;
  *response = JobResponse(job);
  return absl::OkStatus();
}

absl::Status Service::QueueProbing(const Caller& caller, const char* operation,
                                   const std::string& run_id, store::Range range,
                                   const std::string& owner_host, const std::string& request,
                                   std::chrono::milliseconds wait,
                                   const std::function<bool()>& cancelled,
                                   v1::OperationResponse* response) {
  std::string job_id;
  const absl::Status s =
      parts_.Commit(commits::kQueueJob, [&](sql::Transaction& tx) -> absl::Status {
        if (auto turn = store::BeginDecision(tx); !turn.ok()) return turn;
        auto session = CheckRun(tx, run_id, range, /*closed_too=*/false);
        if (!session.ok()) return session.status();
        const std::string owner = owner_host.empty() ? session->owner_host : owner_host;
        store::Job job = NewJob(caller, operation, run_id, range, owner);
        job.request = request;
        job_id = job.job_id;
        if (auto inserted = store::InsertJob(tx, job); !inserted.ok()) return inserted;
        return caller.on_commit ? caller.on_commit(tx, "job", job.job_id) : absl::OkStatus();
      });
  if (!s.ok()) return s;
  runner_.Wake();
  return AnswerWithJob(job_id, wait, cancelled, response);
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
  if (!request.mode().empty()) {
    if (auto s = CheckMode("mode", request.mode()); !s.ok()) return s;
  }
  if (auto size = SampleSizeOf(request.sample_size()); !size.ok()) return size.status();
  auto canaries = CheckCanaries(request.canaries(), options_.engine.safety);
  if (!canaries.ok()) return canaries.status();
  auto wait = WaitOf(request.wait());
  if (!wait.ok()) return wait.status();
  return QueueProbing(caller, kSmoke, request.run_id(), *range, request.owner_host(),
                      request.SerializeAsString(), *wait, cancelled, response);
}

absl::Status Service::CompareMethods(const Caller& caller, const v1::CompareMethodsRequest& request,
                                     const std::function<bool()>& cancelled,
                                     v1::OperationResponse* response) {
  auto range = RangeOf(request, options_.bucket_total);
  if (!range.ok()) return range.status();
  if (auto s = CheckMode("from", request.from()); !s.ok()) return s;
  if (auto s = CheckMode("to", request.to()); !s.ok()) return s;
  if (request.from() == request.to()) {
    return Error(v1::INVALID_MODE, "from and to are the same mode; compare two different ones");
  }
  if (auto size = SampleSizeOf(request.sample_size()); !size.ok()) return size.status();
  auto wait = WaitOf(request.wait());
  if (!wait.ok()) return wait.status();
  return QueueProbing(caller, kCompare, request.run_id(), *range, "", request.SerializeAsString(),
                      *wait, cancelled, response);
}

absl::Status Service::ListComparisonResults(const v1::ListComparisonResultsRequest& request,
                                            v1::ListComparisonResultsResponse* response) {
  namespace cc = store::comparison_class;
  auto page = PageOf(request.page_size(), request.page_token());
  if (!page.ok()) return page.status();
  const std::string& wanted = request.comparison_class();
  if (!wanted.empty() && wanted != cc::kSame && wanted != cc::kGetBetter &&
      wanted != cc::kGetWorse && wanted != cc::kDifferentFailure) {
    return InvalidField("comparison_class",
                        "takes same, get_better, get_worse or different_failure");
  }
  return PageError(parts_.db->Read([&](sql::Transaction& tx) -> absl::Status {
    response->Clear();
    auto job = CheckJob(tx, request.job_id());
    if (!job.ok()) return job.status();
    if (job->operation != kCompare) {
      return InvalidField("job_id", absl::StrCat("is a job of ", job->operation,
                                                 "; only compare_methods has such rows"));
    }
    auto rows = store::ListComparisons(tx, request.job_id(), wanted, *page);
    if (!rows.ok()) return rows.status();
    for (const auto& row : rows->rows) *response->add_results() = ComparisonMessage(row);
    response->set_next_page_token(rows->next_token);
    return absl::OkStatus();
  }));
}

}  // namespace jetmon::rollout
