#include "controlplane/rollout/plan_policy.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "controlplane/rollout/messages.h"
#include "store/ids.h"

namespace jetmon::rollout {
namespace {

namespace ss = store::stage_state;

// Whether a job works at the stage now. One that was cancelled, or failed, left it as it was.
absl::StatusOr<bool> IsUnderWay(sql::Transaction& tx, const store::PolicyStage& stage) {
  const bool applying = stage.state == ss::kApplying;
  if (!applying && stage.state != ss::kRollingBack) return false;
  auto job = store::GetJob(tx, applying ? stage.job_id : stage.rollback_job_id);
  if (!job.ok()) return job.status();
  return job->has_value() && !store::IsFinished((*job)->state);
}

// Two jobs of a run never work at its stages at once.
absl::Status BlockIfUnderWay(sql::Transaction& tx, const std::vector<store::PolicyStage>& stages,
                             Plan* plan) {
  for (const store::PolicyStage& stage : stages) {
    auto busy = IsUnderWay(tx, stage);
    if (!busy.ok()) return busy.status();
    if (!*busy) continue;
    plan->Block("stage_under_way",
                absl::StrCat("stage ", stage.number, " is ", stage.state, " by ",
                             stage.state == ss::kApplying ? stage.job_id : stage.rollback_job_id),
                "wait for that job; a stage that is being applied can be paused");
    return absl::OkStatus();
  }
  return absl::OkStatus();
}

std::string WhyNothing(const Stands& s, uint64_t size) {
  if (size == 0) return "the range has no active site";
  return absl::StrCat("of the cohort's ", size, " sites ", s.staged,
                      " have this policy by earlier stages, ", s.already,
                      " had it without the run's doing, ", s.conflicts,
                      " were changed by somebody else meanwhile: nothing is left to change");
}

absl::Status PlanStage(sql::Transaction& tx, const PolicyCall& policy,
                       const std::vector<store::PolicyStage>& standing, Plan* plan) {
  if (!policy.cohort.has_value()) return absl::InternalError("the sites were not looked at");
  const Cohort& cohort = *policy.cohort;
  const Stands& stands = policy.stands;
  auto number = store::NextStageNumber(tx, plan->session.run_id);
  if (!number.ok()) return number.status();
  v1::StagePolicyResult* result = plan->response.mutable_stage_policy();
  result->set_stage(*number);
  result->set_eligible(cohort.eligible);
  result->set_cohort(cohort.size);
  result->set_to_change(stands.change);
  result->set_staged(stands.staged);
  result->set_already(stands.already);
  result->set_conflicts(stands.conflicts);
  for (uint64_t site : stands.examples) result->add_conflict_sites(site);
  plan->counts = {
      {"eligible", cohort.eligible}, {"to_change", stands.change}, {"conflicts", stands.conflicts}};
  if (auto s = BlockIfUnderWay(tx, standing, plan); !s.ok()) return s;
  if (stands.change == 0) {
    plan->Block("nothing_to_stage", WhyNothing(stands, cohort.size),
                "choose a greater size, or another policy");
  }
  if (!policy.size.percent && policy.size.n > cohort.eligible) {
    plan->Warn("cohort_is_all",
               absl::StrCat("the range has ", cohort.eligible, " active sites; all are meant"), "");
  }
  if (stands.conflicts > 0) {
    plan->Warn(
        "policy_conflicts",
        absl::StrCat(stands.conflicts,
                     " sites were changed by somebody else after an earlier stage of this run"),
        "they are left alone; see conflict_sites");
  }
  if (std::any_of(standing.begin(), standing.end(),
                  [](const store::PolicyStage& s) { return s.paused_at_ms != 0; })) {
    plan->Warn("policy_paused", "the stages of this run are paused", "executing this goes on");
  }
  plan->response.set_summary(absl::StrCat("stage ", *number, ": ", stands.change, " of ",
                                          cohort.eligible, " active sites get ", policy.method, " ",
                                          policy.profile, "; with ", stands.staged,
                                          " that earlier stages gave it and ", stands.already,
                                          " that had it, ", cohort.size, " are meant"));
  return absl::OkStatus();
}

void PlanPause(const std::vector<store::PolicyStage>& standing, Plan* plan) {
  plan->stages = standing;
  if (standing.empty()) {
    plan->Block("nothing_to_pause", "this run has no stage that stands", "plan a stage first");
    return;
  }
  plan->response.mutable_stage_policy()->set_stage(standing[0].number);
  plan->response.set_summary(absl::StrCat("the stages of this run pause after stage ",
                                          standing[0].number,
                                          "; one that is under way ends after its current batch"));
}

absl::Status PlanRollback(sql::Transaction& tx, bool all,
                          const std::vector<store::PolicyStage>& standing, Plan* plan) {
  if (standing.empty()) {
    plan->Block("nothing_to_roll_back", "this run has no stage that stands",
                "nothing has to be rolled back");
    return absl::OkStatus();
  }
  plan->stages = standing;
  if (!all) plan->stages.resize(1);
  uint64_t sites = 0;
  for (const store::PolicyStage& stage : plan->stages) {
    sites += stage.changed - stage.restored - stage.conflicts;
    if (plan->range.Covers(stage.range)) continue;
    plan->Block("bucket_range_conflict",
                absl::StrCat("stage ", stage.number, " was of buckets ", stage.range.ToString()),
                "name a range that has all of them");
  }
  v1::StagePolicyResult* result = plan->response.mutable_stage_policy();
  result->set_stage(plan->stages[0].number);
  result->set_stages(static_cast<uint32_t>(plan->stages.size()));
  result->set_to_change(sites);
  plan->counts = {{"to_restore", sites}};
  plan->response.set_summary(
      absl::StrCat(plan->stages.size() == 1 ? absl::StrCat("stage ", plan->stages[0].number, " is")
                                            : absl::StrCat(plan->stages.size(), " stages are"),
                   " rolled back: what stood before is restored for ", sites,
                   " writes, unless somebody else changed the site since"));
  return BlockIfUnderWay(tx, standing, plan);
}

// The newest of them gives the job that applies it, if it still does.
absl::Status CancelStage(sql::Transaction& tx, const store::PolicyStage& stage, int64_t now_ms) {
  if (stage.state != ss::kApplying) return absl::OkStatus();
  if (auto asked = store::RequestCancel(tx, stage.job_id, now_ms); !asked.ok()) {
    return asked.status();
  }
  auto job = store::GetJob(tx, stage.job_id);
  if (!job.ok()) return job.status();
  const bool ended = !job->has_value() || store::IsFinished((*job)->state);
  return ended ? store::EndStageOfJob(tx, stage.job_id) : absl::OkStatus();
}

}  // namespace

absl::Status LookAtSites(sql::Database& db, const std::function<bool()>& cancelled,
                         PlannedCall* call) {
  PolicyCall& policy = call->policy;
  if (call->op != Operation::kStagePolicy || policy.mode != PolicyMode::kStage) {
    return absl::OkStatus();
  }
  RangeReader reader(db, call->range, [&] {
    return cancelled && cancelled() ? absl::CancelledError("the caller went away")
                                    : absl::OkStatus();
  });
  const SiteOrder order(call->run_id);
  auto cohort = FindCohort(reader, order, policy.size);
  if (!cohort.ok()) return cohort.status();
  policy.cohort = *cohort;
  policy.stands = {};
  return reader.Each(
      [&](sql::Transaction& tx, const store::Slice& slice) {
        return store::PolicySitesIn(tx, slice, call->run_id);
      },
      [&](const std::vector<store::PolicySite>& sites) {
        for (const store::PolicySite& site : sites) {
          if (!cohort->Has(order, site.site_id)) continue;
          policy.stands.Add(StandOf(site, policy.method, policy.profile), site.site_id);
        }
      });
}

absl::Status PlanPolicy(sql::Transaction& tx, const PlannedCall& call, Plan* plan,
                        std::vector<std::string>* digest) {
  const PolicyCall& policy = call.policy;
  auto standing = store::ListStandingStages(tx, plan->session.run_id);
  if (!standing.ok()) return standing.status();
  v1::StagePolicyResult* result = plan->response.mutable_stage_policy();
  result->set_mode(policy.mode_name);
  result->set_method(policy.method);
  result->set_profile(policy.profile);
  result->set_size(policy.size_text);
  digest->insert(digest->end(),
                 {policy.mode_name, policy.method, policy.profile, policy.size_text});
  absl::Status s;
  switch (policy.mode) {
    case PolicyMode::kStage:
      s = PlanStage(tx, policy, *standing, plan);
      break;
    case PolicyMode::kPause:
      PlanPause(*standing, plan);
      break;
    case PolicyMode::kRollbackLast:
    case PolicyMode::kRollbackAll:
      s = PlanRollback(tx, policy.mode == PolicyMode::kRollbackAll, *standing, plan);
      break;
  }
  for (const store::PolicyStage& stage : plan->stages) {
    digest->push_back(absl::StrCat("stage:", stage.number));
  }
  return s;
}

absl::Status BeginPolicy(sql::Transaction& tx, const PlannedCall& call, const Plan& plan,
                         const store::Job& job) {
  const int64_t now = job.created_at_ms;
  switch (call.policy.mode) {
    case PolicyMode::kStage: {
      if (auto s = store::PauseStages(tx, call.run_id, 0); !s.ok()) return s;
      store::PolicyStage stage;
      stage.stage_id = "rstg_" + store::NewUlid(now);
      stage.run_id = call.run_id;
      stage.range = call.range;
      stage.method = call.policy.method;
      stage.profile = call.policy.profile;
      stage.size = call.policy.size_text;
      stage.job_id = job.job_id;
      stage.created_at_ms = now;
      return store::InsertPolicyStage(tx, std::move(stage)).status();
    }
    case PolicyMode::kPause:
      for (const store::PolicyStage& stage : plan.stages) {
        if (auto s = CancelStage(tx, stage, now); !s.ok()) return s;
      }
      return store::PauseStages(tx, call.run_id, now);
    case PolicyMode::kRollbackLast:
    case PolicyMode::kRollbackAll:
      for (const store::PolicyStage& stage : plan.stages) {
        auto begun = store::BeginRollback(tx, stage.stage_id, job.job_id);
        if (!begun.ok()) return begun.status();
        if (!*begun) return absl::AbortedError("a stage changed between two statements");
      }
      return absl::OkStatus();
  }
  return absl::InternalError("an unknown mode");
}

}  // namespace jetmon::rollout
