#include "controlplane/rollout/policy.h"

#include <algorithm>
#include <optional>
#include <set>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "controlplane/rollout/cohort.h"
#include "controlplane/rollout/commits.h"
#include "controlplane/rollout/messages.h"
#include "controlplane/rollout/pace.h"
#include "controlplane/rollout/plan.h"
#include "jetmon/v1/operation.pb.h"
#include "store/policy_stages.h"
#include "store/sessions.h"

namespace jetmon::rollout {
namespace {

constexpr std::chrono::milliseconds kShowLife{1000};

// Batches of one job, and what they have done so far, which is kept with each.
class Batches {
 public:
  explicit Batches(JobRun& run)
      : run_(run), pace_(run.parts.db->dialect(), run.options.seed_rows), done_(run.job.done) {}

  absl::Status Begin() {
    if (run_.job.progress.empty() || result.ParseFromString(run_.job.progress)) {
      return absl::OkStatus();
    }
    return absl::InternalError("the job's progress can't be read");
  }
  struct Batch {
    v1::StagePolicyResult result;
    uint64_t done = 0;  // sites
    std::string cursor;
    bool cancelled = false;
  };
  // Runs one batch under that name. `body` gets the results so far, and adds what it does.
  absl::Status Run(std::string_view commit, uint64_t total,
                   const std::function<absl::Status(sql::Transaction&, Batch*)>& body) {
    Batch batch;
    BootTime began;
    std::chrono::nanoseconds held{0};
    const absl::Status s = run_.Write(commit, [&](sql::Transaction& tx) -> absl::Status {
      began = run_.parts.clock->Boot();
      batch = {};
      batch.result = result;
      auto cancelled = run_.IsCancelled(tx);
      if (!cancelled.ok()) return cancelled.status();
      batch.cancelled = *cancelled;
      if (batch.cancelled) return absl::OkStatus();
      if (auto done = body(tx, &batch); !done.ok()) return done;
      auto saved = store::SaveJobProgress(tx, run_.lease, done_ + batch.done, total, batch.cursor,
                                          batch.result.SerializeAsString());
      if (!saved.ok()) return saved.status();
      held = run_.parts.clock->Boot() - began;
      return *saved ? absl::OkStatus() : absl::CancelledError("the job is another worker's");
    });
    if (!s.ok()) return s;
    cancelled = batch.cancelled;
    if (cancelled) return absl::OkStatus();
    result = batch.result;
    done_ += batch.done;
    pace_.Rest(run_, held);
    return absl::OkStatus();
  }
  uint64_t rows() const { return pace_.rows(); }
  bool over() const { return cancelled || run_.stopping(); }

  v1::StagePolicyResult result;
  bool cancelled = false;

 private:
  JobRun& run_;
  Pace pace_;
  uint64_t done_;
};

void AddConflict(uint64_t site, v1::StagePolicyResult* result) {
  result->set_conflicts(result->conflicts() + 1);
  if (result->conflict_sites_size() < static_cast<int>(Stands::kMostExamples)) {
    result->add_conflict_sites(site);
  }
}

// Ends the job with what it has done, cancelled or completed.
absl::Status Finish(JobRun& run, const Batches& batches, const std::string& summary,
                    const std::string& next, std::string_view kind, const sql::Body& also) {
  v1::OperationResponse answer =
      Head(run.job.operation, run.job.run_id, run.job.range, run.job.owner_host);
  *answer.mutable_stage_policy() = batches.result;
  answer.set_status("ok");
  answer.set_summary(summary);
  answer.set_next_action(next);
  if (batches.result.conflicts() > 0) {
    *answer.add_warnings() = MakeFinding(
        "policy_conflicts",
        absl::StrCat(batches.result.conflicts(), " sites were changed by somebody else meanwhile"),
        "they were left alone; see conflict_sites");
  }
  const auto state =
      batches.cancelled ? store::job_state::kCancelled : store::job_state::kCompleted;
  return run.Finish(state, answer.SerializeAsString(),
                    batches.cancelled ? kCancelledByOperator : "",
                    [&](sql::Transaction& tx) -> absl::Status {
                      if (auto s = also(tx); !s.ok()) return s;
                      if (batches.cancelled) return absl::OkStatus();
                      return run.Record(tx, kind, run.job.owner_host);
                    });
}

// Applies a stage. Its cursor: the rank of the cohort's last site, "/", where it is in the range.
class Applying {
 public:
  Applying(JobRun& run, store::PolicyStage stage, StageSize size)
      : run_(run), stage_(std::move(stage)), size_(size), order_(stage_.run_id), batches_(run) {}

  absl::Status Run() {
    if (auto s = Begin(); !s.ok()) return s;
    while (!cursor_.AtEnd(stage_.range) && !batches_.over()) {
      SliceCursor behind;
      const auto s = batches_.Run(
          commits::kPolicyBatch, cohort_.size,
          [&](sql::Transaction& tx, Batches::Batch* batch) { return Do(tx, &behind, batch); });
      if (!s.ok()) return s;
      if (batches_.cancelled) break;
      cursor_ = behind;
      sized_ = true;
    }
    if (run_.stopping()) return absl::OkStatus();
    const v1::StagePolicyResult& r = batches_.result;
    return Finish(run_, batches_,
                  absl::StrCat("stage ", stage_.number, ": ", r.changed(), " sites changed to ",
                               stage_.method, " ", stage_.profile, ", ", r.staged(),
                               " had it by earlier stages, ", r.already(), " had it before, ",
                               r.conflicts(), " left alone"),
                  "watch the activity gate; then the next stage, or rollback-last-stage",
                  store::checkpoint::kPolicyStaged, [&](sql::Transaction& tx) {
                    return store::EndStage(tx, stage_.stage_id).status();
                  });
  }

 private:
  absl::Status Begin() {
    if (auto s = batches_.Begin(); !s.ok()) return s;
    auto s = run_.parts.db->Read([&](sql::Transaction& tx) {
      auto ids = store::GetSiteIds(tx);
      if (ids.ok()) ids_ = *ids;
      return ids.status();
    });
    if (!s.ok()) return s;
    if (!run_.job.cursor.empty()) return GoOn();
    shown_ = run_.parts.clock->Boot();
    RangeReader reader(*run_.parts.db, stage_.range, [this] { return ShowLife(); });
    auto cohort = FindCohort(reader, order_, size_);
    if (!cohort.ok()) return run_.stopping() ? absl::OkStatus() : cohort.status();
    cohort_ = *cohort;
    cursor_ = SliceCursor::First(stage_.range, cohort_.eligible, ids_);
    v1::StagePolicyResult& r = batches_.result;
    r.set_mode("stage");
    r.set_method(stage_.method);
    r.set_profile(stage_.profile);
    r.set_size(stage_.size);
    r.set_stage(stage_.number);
    r.set_eligible(cohort_.eligible);
    r.set_cohort(cohort_.size);
    return absl::OkStatus();
  }

  absl::Status GoOn() {
    const std::vector<std::string> parts = absl::StrSplit(run_.job.cursor, '/');
    if (parts.size() != 2 || !absl::SimpleHexAtoi(parts[0], &cohort_.last)) {
      return absl::InternalError("the job's cursor can't be read");
    }
    auto cursor = SliceCursor::Read(parts[1]);
    if (!cursor.ok()) return cursor.status();
    cursor_ = *cursor;
    sized_ = true;
    cohort_.size = batches_.result.cohort();
    cohort_.eligible = batches_.result.eligible();
    return absl::OkStatus();
  }

  // While it only reads, the job stays this worker's. A cancellation is seen by the first batch.
  absl::Status ShowLife() {
    if (run_.stopping()) return absl::CancelledError("this process stops");
    if (run_.parts.clock->Boot() - shown_ < kShowLife) return absl::OkStatus();
    shown_ = run_.parts.clock->Boot();
    return run_.Write(commits::kShowLife, [](sql::Transaction&) { return absl::OkStatus(); });
  }

  absl::Status Do(sql::Transaction& tx, SliceCursor* behind, Batches::Batch* batch) {
    if (!sized_) {
      auto s = store::SetStageSize(tx, stage_.stage_id, cohort_.eligible, cohort_.size);
      if (!s.ok()) return s;
    }
    auto slice = cursor_.Next(tx, stage_.range, ids_, batches_.rows());
    if (!slice.ok()) return slice.status();
    auto sites = store::PolicySitesIn(tx, *slice, stage_.run_id);
    if (!sites.ok()) return sites.status();
    std::vector<store::PolicySite> change;
    v1::StagePolicyResult& r = batch->result;
    for (store::PolicySite& site : *sites) {
      if (!cohort_.Has(order_, site.site_id)) continue;
      ++batch->done;
      switch (StandOf(site, stage_.method, stage_.profile)) {
        case Stand::kChange:
          change.push_back(std::move(site));
          break;
        case Stand::kStaged:
          r.set_staged(r.staged() + 1);
          break;
        case Stand::kAlready:
          r.set_already(r.already() + 1);
          break;
        case Stand::kConflict:
          AddConflict(site.site_id, &r);
          break;
      }
    }
    r.set_changed(r.changed() + change.size());
    *behind = cursor_.Behind(*slice);
    batch->cursor = absl::StrCat(absl::Hex(cohort_.last), "/", behind->ToString());
    return store::WritePolicy(tx, stage_, change, run_.parts.clock->WallMs());
  }

  JobRun& run_;
  const store::PolicyStage stage_;
  const StageSize size_;
  const SiteOrder order_;
  Batches batches_;
  BootTime shown_;
  store::SiteIds ids_;
  Cohort cohort_;
  bool sized_ = false;  // the stage's row knows the cohort
  SliceCursor cursor_;
};

// Takes stages back. Its cursor: the number of the stage, ":", its last site that is done.
class RollingBack {
 public:
  RollingBack(JobRun& run, const v1::StagePolicyRequest& request)
      : run_(run), mode_(request.mode()), batches_(run) {}

  absl::Status Run() {
    std::vector<store::PolicyStage> stages;
    if (auto s = Begin(&stages); !s.ok()) return s;
    for (const store::PolicyStage& stage : stages) {
      Place at{stage.number == begun_ ? after_ : 0, false};
      while (!at.ended && !batches_.over()) {
        Place behind;
        const auto s = batches_.Run(commits::kPolicyRollback, total_,
                                    [&](sql::Transaction& tx, Batches::Batch* batch) {
                                      return Do(tx, stage, at.after, &behind, batch);
                                    });
        if (!s.ok()) return s;
        if (!batches_.cancelled) at = behind;
      }
    }
    if (run_.stopping()) return absl::OkStatus();
    const v1::StagePolicyResult& r = batches_.result;
    return Finish(run_, batches_,
                  absl::StrCat(r.stages(), r.stages() == 1 ? " stage" : " stages",
                               " rolled back: ", r.restored(), " writes undone, ", r.conflicts(),
                               " sites left alone that somebody else changed"),
                  "", store::checkpoint::kPolicyRolledBack,
                  [](sql::Transaction&) { return absl::OkStatus(); });
  }

 private:
  // In one stage.
  struct Place {
    uint64_t after = 0;
    bool ended = false;
  };

  absl::Status Begin(std::vector<store::PolicyStage>* stages) {
    if (auto s = batches_.Begin(); !s.ok()) return s;
    auto s = run_.parts.db->Read([&](sql::Transaction& tx) {
      auto todo = store::StagesToRollBack(tx, run_.job.job_id);
      if (todo.ok()) *stages = std::move(*todo);
      return todo.status();
    });
    if (!s.ok()) return s;
    if (!run_.job.cursor.empty()) {
      const std::vector<std::string> parts = absl::StrSplit(run_.job.cursor, ':');
      if (parts.size() != 2 || !absl::SimpleAtoi(parts[0], &begun_) ||
          !absl::SimpleAtoi(parts[1], &after_)) {
        return absl::InternalError("the job's cursor can't be read");
      }
      total_ = run_.job.total;
      return absl::OkStatus();
    }
    for (const store::PolicyStage& stage : *stages) {
      total_ += stage.changed - stage.restored - stage.conflicts;
    }
    batches_.result.set_mode(mode_);
    batches_.result.set_stages(static_cast<uint32_t>(stages->size()));
    if (!stages->empty()) batches_.result.set_stage((*stages)[0].number);
    return absl::OkStatus();
  }

  absl::Status Do(sql::Transaction& tx, const store::PolicyStage& stage, uint64_t from,
                  Place* behind, Batches::Batch* batch) {
    const int limit = static_cast<int>(batches_.rows());
    auto sites = store::StagedSites(tx, stage, from, limit);
    if (!sites.ok()) return sites.status();
    std::vector<uint64_t> conflicts;
    for (const store::StagedSite& site : *sites) {
      if (!site.stands) conflicts.push_back(site.site_id);
    }
    // A site that a newer stage wrote as well was counted there.
    auto met = store::ConflictsOfRollback(tx, run_.job.job_id, conflicts);
    if (!met.ok()) return met.status();
    for (uint64_t site : conflicts) {
      if (met->count(site) == 0) AddConflict(site, &batch->result);
    }
    const int64_t now = run_.parts.clock->WallMs();
    if (!sites->empty()) {
      if (auto s = store::RestorePolicy(tx, stage, *sites, now); !s.ok()) return s;
    }
    batch->result.set_restored(batch->result.restored() + sites->size() - conflicts.size());
    batch->done = sites->size();
    *behind = {sites->empty() ? from : sites->back().site_id,
               sites->size() < static_cast<size_t>(limit)};
    batch->cursor = absl::StrCat(stage.number, ":", behind->after);
    if (!behind->ended) return absl::OkStatus();
    return store::EndRollback(tx, stage.stage_id, now).status();
  }

  JobRun& run_;
  const std::string mode_;
  Batches batches_;
  uint32_t begun_ = 0;
  uint64_t after_ = 0, total_ = 0;
};

// Whether a stage that the pause has cancelled still has a batch to end.
absl::StatusOr<bool> IsEnding(sql::Transaction& tx, const std::string& run_id) {
  auto stages = store::ListStandingStages(tx, run_id);
  if (!stages.ok()) return stages.status();
  for (const store::PolicyStage& stage : *stages) {
    // One that is not paused was begun after the pause.
    if (stage.state != store::stage_state::kApplying || stage.paused_at_ms == 0) continue;
    auto job = store::GetJob(tx, stage.job_id);
    if (!job.ok()) return job.status();
    if (job->has_value() && !store::IsFinished((*job)->state)) return true;
  }
  return false;
}

absl::Status AwaitPause(JobRun& run) {
  Batches nothing(run);
  nothing.result.set_mode("pause");
  for (bool ending = true; ending && !nothing.cancelled;) {
    const auto s = run.Write(commits::kShowLife, [&](sql::Transaction& tx) -> absl::Status {
      auto cancelled = run.IsCancelled(tx);
      if (!cancelled.ok()) return cancelled.status();
      nothing.cancelled = *cancelled;
      auto left = IsEnding(tx, run.job.run_id);
      if (left.ok()) ending = *left;
      return left.status();
    });
    if (!s.ok()) return s;
    if (ending && !run.Pause(run.options.times.look)) return absl::OkStatus();
  }
  return Finish(run, nothing, "the stages of this run are paused", "a stage, or a rollback",
                store::checkpoint::kPolicyPaused,
                [](sql::Transaction&) { return absl::OkStatus(); });
}

absl::Status Apply(JobRun& run, const v1::StagePolicyRequest& request) {
  auto size = StageSizeOf(request.size());
  if (!size.ok()) return size.status();
  std::optional<store::PolicyStage> stage;
  auto s = run.parts.db->Read([&](sql::Transaction& tx) {
    auto found = store::GetStageOfJob(tx, run.job.job_id);
    if (found.ok()) stage = std::move(*found);
    return found.status();
  });
  if (!s.ok()) return s;
  if (!stage.has_value()) return absl::InternalError("the job's stage is gone");
  return Applying(run, *std::move(stage), *size).Run();
}

absl::Status Execute(JobRun& run) {
  v1::StagePolicyRequest request;
  if (!request.ParseFromString(run.job.request)) {
    return absl::InternalError("the job's request can't be read");
  }
  auto mode = PolicyModeOf(request.mode());
  if (!mode.ok()) return mode.status();
  switch (*mode) {
    case PolicyMode::kStage:
      return Apply(run, request);
    case PolicyMode::kPause:
      return AwaitPause(run);
    case PolicyMode::kRollbackLast:
    case PolicyMode::kRollbackAll:
      return RollingBack(run, request).Run();
  }
  return absl::InternalError("an unknown mode");
}

}  // namespace

absl::Status ExecuteStagePolicy(JobRun& run) {
  const absl::Status s = Execute(run);
  if (s.ok() || absl::IsUnavailable(s) || absl::IsCancelled(s) || run.stopping()) return s;
  // What a stage wrote until then stays, and can be rolled back.
  return run.Finish(store::job_state::kFailed, "", std::string(s.message()),
                    [&](sql::Transaction& tx) { return store::EndStageOfJob(tx, run.job.job_id); });
}

}  // namespace jetmon::rollout
