#include "controlplane/rollout/plan.h"

#include <google/protobuf/util/json_util.h>

#include <algorithm>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "controlplane/rollout/evidence.h"
#include "controlplane/rollout/messages.h"
#include "controlplane/rollout/owners.h"
#include "controlplane/rollout/plan_policy.h"
#include "store/ids.h"
#include "store/jobs.h"
#include "store/sites.h"

namespace jetmon::rollout {
namespace {

// Who holds what of the range, as words; empty when all of it is v1's.
absl::StatusOr<std::string> Holders(sql::Transaction& tx, store::Range range) {
  auto locks = store::ListHeldRanges(tx);
  if (!locks.ok()) return locks.status();
  std::vector<std::string> words;
  for (const store::RangeLock& l : *locks) {
    if (!l.range.Overlaps(range)) continue;
    words.push_back(absl::StrCat(l.owner_host, " holds ", l.range.ToString(), " (", l.state,
                                 ", run ", l.run_id, ")"));
  }
  return absl::StrJoin(words, ", ");
}

absl::Status BlockUnlessV1s(sql::Transaction& tx, Plan* plan) {
  auto holders = Holders(tx, plan->range);
  if (!holders.ok()) return holders.status();
  if (!holders->empty()) {
    plan->Block("bucket_range_conflict", *holders, "release that range first, or choose another");
  }
  auto buckets = store::ListBuckets(tx, plan->range);
  if (!buckets.ok()) return buckets.status();
  if (buckets->size() != plan->range.size()) {
    plan->Block("bucket_range_conflict",
                absl::StrCat("the database knows ", buckets->size(), " of the range's ",
                             plan->range.size(), " buckets"),
                "start the control plane with the fleet's --bucket_total");
  }
  return absl::OkStatus();
}

absl::Status PlanSeed(sql::Transaction& tx, const RangeFigures& figures, Plan* plan) {
  if (auto s = BlockUnlessV1s(tx, plan); !s.ok()) return s;
  const store::SiteCounts& sites = figures.sites;
  v1::SeedResult* result = plan->response.mutable_seed();
  result->set_active_sites(sites.active);
  result->set_targets_before(figures.targets);
  result->set_legacy_up(sites.up);
  result->set_legacy_seems_down(sites.seems_down + sites.other);
  result->set_legacy_down(sites.down);
  plan->counts = {{"active_sites", sites.active},
                  {"not_up", sites.seems_down + sites.down + sites.other}};
  plan->response.set_summary(
      absl::StrCat(sites.active, " active sites in buckets ", plan->range.ToString(), ", ",
                   figures.targets, " targets written before; v1 has ", sites.seems_down,
                   " as seems down and ", sites.down, " as down, which are taken over silently"));
  return absl::OkStatus();
}

// The override that lets this evidence be missing, its own before the one for all; nullptr if none.
const v1::Override* OverrideOf(const PlannedCall& call, const std::string& what) {
  const v1::Override* found = nullptr;
  for (const v1::Override& o : call.overrides) {
    if (o.code() == absl::StrCat(kEvidenceMissing, ".", what)) return &o;
    if (o.code() == kEvidenceMissing) found = &o;
  }
  return found;
}

// A JSON array of the overrides that are used, as the range lock keeps them.
absl::Status PrintOverrides(const std::vector<const v1::Override*>& used, std::string* json) {
  std::vector<std::string> items;
  for (const v1::Override* o : used) {
    const auto s = google::protobuf::util::MessageToJsonString(*o, &items.emplace_back());
    if (!s.ok()) return absl::InternalError("an override can't be printed");
  }
  *json = absl::StrCat("[", absl::StrJoin(items, ","), "]");
  return absl::OkStatus();
}

// Blockers of a kind that a named override lets pass.
absl::Status BlockMissingEvidence(sql::Transaction& tx, const PlannedCall& call, int64_t now_ms,
                                  Plan* plan, Evidence* evidence) {
  auto gathered = GatherEvidence(tx, plan->range, plan->owner_host, now_ms);
  if (!gathered.ok()) return gathered.status();
  *evidence = std::move(*gathered);
  std::vector<const v1::Override*> used;
  for (const Evidence::Missing& m : evidence->missing) {
    const v1::Override* o = OverrideOf(call, m.what);
    if (o == nullptr) {
      plan->Block(kEvidenceMissing, m.text, m.action);
      continue;
    }
    plan->Warn(absl::StrCat("evidence_missing.", m.what),
               absl::StrCat(m.text, "; overridden: ", o->reason()), "recorded with the activation");
    if (std::find(used.begin(), used.end(), o) == used.end()) used.push_back(o);
  }
  for (const v1::Override& o : call.overrides) {
    if (std::find(used.begin(), used.end(), &o) != used.end()) continue;
    plan->Warn("override_not_needed", absl::StrCat(o.code(), " lets nothing pass"),
               "it is audited, and not recorded with the activation; leave it out");
  }
  return PrintOverrides(used, &plan->overrides_json);
}

absl::Status PlanActivate(sql::Transaction& tx, const Observer& observer, const PlannedCall& call,
                          int64_t now_ms, Plan* plan, std::vector<std::string>* digest) {
  auto locks = store::ListHeldRanges(tx);
  if (!locks.ok()) return locks.status();
  for (const store::RangeLock& l : *locks) {
    if (l.range == plan->range && l.run_id == plan->session.run_id &&
        l.owner_host == plan->owner_host && l.state != store::range_state::kDraining &&
        l.state != store::range_state::kRevoked) {
      plan->existing_job = l.activate_job_id;
      return absl::OkStatus();
    }
  }
  if (auto s = BlockUnlessV1s(tx, plan); !s.ok()) return s;
  for (const store::RangeLock& l : *locks) {
    if (l.owner_host != plan->owner_host || l.range.Overlaps(plan->range)) continue;
    plan->Block("owner_range_conflict",
                absl::StrCat(l.owner_host, " holds buckets ", l.range.ToString(), " already (",
                             l.state, "); one owner holds one range"),
                "choose another owner, or release that range first");
  }
  auto owner = LookAtOwner(tx, observer, plan->owner_host, call.dialect);
  if (!owner.ok()) return owner.status();
  for (const v1::Finding& b : owner->blockers) *plan->response.add_blockers() = b;
  if (owner->instance.has_value()) plan->owner_instance = owner->instance->instance;
  plan->owner_generation = owner->generation;
  Evidence evidence;
  if (auto s = BlockMissingEvidence(tx, call, now_ms, plan, &evidence); !s.ok()) return s;
  plan->v1_stopped = evidence.v1_stopped;
  digest->insert(digest->end(), evidence.ids.begin(), evidence.ids.end());
  digest->push_back(absl::StrCat("instance:", plan->owner_instance));
  digest->push_back(absl::StrCat("generation:", plan->owner_generation));
  const uint64_t sites = call.figures.sites.active;
  plan->counts = {{"active_sites", sites}};
  plan->response.mutable_activate()->set_active_sites(sites);
  plan->response.mutable_activate()->set_owner_instance(plan->owner_instance);
  plan->response.set_summary(absl::StrCat(plan->owner_host, " gets buckets ",
                                          plan->range.ToString(), " with ", sites,
                                          " active sites"));
  for (const v1::Override& o : call.overrides) {
    digest->push_back(absl::StrCat("override:", o.code()));
  }
  return absl::OkStatus();
}

// The job that brings these buckets of a held range to v1: an operator's, that of an activation
// that was given up, or one of the sweep.
absl::Status FindReleaseJob(sql::Transaction& tx, const store::RangeLock& lock,
                            const std::string& first, Plan* plan) {
  plan->existing_job = first;
  auto jobs = store::ListUnfinishedJobs(tx);
  if (!jobs.ok()) return jobs.status();
  for (const store::Job& job : *jobs) {
    if (job.epoch == lock.epoch && job.operation == OperationName(Operation::kRelease) &&
        job.range == plan->range) {
      plan->existing_job = job.job_id;
    }
  }
  if (plan->existing_job.empty()) {
    plan->Block("owner_range_conflict", "the range drains already, and its job is about to begin",
                "ask again in some seconds");
  }
  return absl::OkStatus();
}

// Some buckets of a range from one end of it, not all.
bool IsEndOf(store::Range range, store::Range held) {
  return held.Covers(range) && range != held && (range.min == held.min || range.max == held.max);
}

// Why these buckets can't be released though they are held; says what can be.
void BlockShape(const std::vector<store::RangeLock>& held, Plan* plan) {
  std::vector<std::string> holders, releasable;
  for (const store::RangeLock& l : held) {
    holders.push_back(
        absl::StrCat(l.owner_host, " holds ", l.range.ToString(), " (run ", l.run_id, ")"));
    releasable.push_back(absl::StrCat(l.range.ToString(), ", or a part from either end of it"));
  }
  const bool middle = held.size() == 1 && held[0].range.Covers(plan->range);
  plan->Block("owner_range_conflict",
              absl::StrCat("buckets ", plan->range.ToString(),
                           middle ? " lie in the middle of what is held: "
                                  : " are not within one range that is held: ",
                           absl::StrJoin(holders, ", ")),
              absl::StrCat("release ", absl::StrJoin(releasable, "; ")));
}

// What the range is in the middle of, if that keeps these buckets from being released, or does so
// already.
absl::Status LookAtOngoing(sql::Transaction& tx, const store::RangeLock& l, Plan* plan) {
  const bool whole = l.range == plan->range;
  if (l.part.has_value()) {
    if (l.part->range == plan->range) return FindReleaseJob(tx, l, l.part->job_id, plan);
    plan->Block(
        "owner_range_conflict",
        absl::StrCat("a part of ", l.range.ToString(), ", buckets ", l.part->range.ToString(),
                     ", is on its way back to v1 (", l.part->state, ", job ", l.part->job_id, ")"),
        absl::StrCat("wait for job ", l.part->job_id, ", then plan again"));
    return absl::OkStatus();
  }
  if (l.mute.has_value() && l.state == store::range_state::kActive) {
    if (l.mute->range == plan->range) return FindReleaseJob(tx, l, l.mute->job_id, plan);
    plan->Block("owner_range_conflict",
                absl::StrCat("buckets ", l.mute->range.ToString(), " of ", l.range.ToString(),
                             " are on their way back to v1 (muted, job ", l.mute->job_id, ")"),
                absl::StrCat("wait for job ", l.mute->job_id, ", then plan again"));
    return absl::OkStatus();
  }
  if (l.state == store::range_state::kDraining || l.state == store::range_state::kRevoked) {
    if (whole) return FindReleaseJob(tx, l, l.release_job_id, plan);
    plan->Block(
        "owner_range_conflict",
        absl::StrCat("all of ", l.range.ToString(), " is on its way back to v1 (", l.state, ")"),
        absl::StrCat("wait for its release job ", l.release_job_id));
    return absl::OkStatus();
  }
  if (whole || l.state == store::range_state::kActive) return absl::OkStatus();
  plan->Block(
      "owner_range_conflict",
      absl::StrCat("the range ", l.range.ToString(), " is ", l.state,
                   "; a part of it can be released once it is active"),
      absl::StrCat("wait for its activation ", l.activate_job_id, ", or release all of it"));
  return absl::OkStatus();
}

void DescribeRelease(const store::RangeLock& l, Plan* plan) {
  v1::ReleaseResult* result = plan->response.mutable_release();
  result->set_epoch(l.epoch);
  result->set_range_state(l.state);
  std::string kept;
  if (l.range != plan->range) {
    const store::Range rest = l.range.Without(plan->range);
    result->set_part(true);
    result->set_kept_bucket_min(rest.min);
    result->set_kept_bucket_max(rest.max);
    kept = absl::StrCat(" and keeps ", rest.ToString());
  }
  plan->response.set_summary(absl::StrCat(
      l.owner_host, " gives buckets ", plan->range.ToString(), " back to v1", kept, " (now ",
      l.state, ", epoch ", l.epoch, "); ", kept.empty() ? "it drains first" : "they drain first"));
}

absl::Status PlanRelease(sql::Transaction& tx, Plan* plan) {
  auto locks = store::ListHeldRanges(tx);
  if (!locks.ok()) return locks.status();
  std::erase_if(*locks, [&](const auto& l) { return !l.range.Overlaps(plan->range); });
  if (locks->empty()) {
    plan->Block("nothing_to_roll_back",
                absl::StrCat("buckets ", plan->range.ToString(), " are v1's already"),
                "nothing has to be released; v1 may run");
    return absl::OkStatus();
  }
  const store::RangeLock& l = locks->front();
  if (locks->size() > 1 || (l.range != plan->range && !IsEndOf(plan->range, l.range))) {
    BlockShape(*locks, plan);
    return absl::OkStatus();
  }
  if (l.run_id != plan->session.run_id) {
    plan->Block("owner_range_conflict",
                absl::StrCat("the range was given by another run, ", l.run_id),
                absl::StrCat("release it with run_id ", l.run_id));
    return absl::OkStatus();
  }
  if (!plan->owner_host.empty() && l.owner_host != plan->owner_host) {
    plan->Block("owner_range_conflict",
                absl::StrCat("the range is ", l.owner_host, "'s, not ", plan->owner_host, "'s"),
                absl::StrCat("release it with owner_host ", l.owner_host));
    return absl::OkStatus();
  }
  plan->lock = l;
  plan->owner_host = l.owner_host;
  plan->response.set_owner_host(l.owner_host);
  if (auto s = LookAtOngoing(tx, l, plan); !s.ok()) return s;
  if (plan->existing_job.empty() && !plan->blocked()) DescribeRelease(l, plan);
  return absl::OkStatus();
}

// Epochs, buckets and states of the locks that touch the range, in order.
absl::Status AddLocks(sql::Transaction& tx, store::Range range, std::vector<std::string>* digest) {
  auto locks = store::ListHeldRanges(tx);
  if (!locks.ok()) return locks.status();
  for (const store::RangeLock& l : *locks) {
    if (!l.range.Overlaps(range)) continue;
    digest->push_back(absl::StrCat("lock:", l.epoch, ":", l.state, ":", l.range.ToString(), ":",
                                   l.part.has_value()   ? l.part->job_id
                                   : l.mute.has_value() ? l.mute->job_id
                                                        : ""));
  }
  return absl::OkStatus();
}

}  // namespace

void Plan::Block(std::string code, std::string text, std::string action) {
  *response.add_blockers() = MakeFinding(std::move(code), std::move(text), std::move(action));
}

void Plan::Warn(std::string code, std::string text, std::string action) {
  *response.add_warnings() = MakeFinding(std::move(code), std::move(text), std::move(action));
}

absl::Status CountRange(sql::Transaction& tx, PlannedCall* call) {
  if (call->op == Operation::kActivate) {
    auto active = store::CountActiveSites(tx, call->range);
    if (active.ok()) call->figures.sites.active = *active;
    return active.status();
  }
  if (call->op != Operation::kSeed && call->op != Operation::kFinalReconcile) {
    return absl::OkStatus();
  }
  auto sites = store::CountSites(tx, call->range);
  if (!sites.ok()) return sites.status();
  auto targets = store::CountTargets(tx, call->range);
  if (!targets.ok()) return targets.status();
  call->figures = {*sites, *targets};
  return absl::OkStatus();
}

absl::StatusOr<Plan> MakePlan(sql::Transaction& tx, const Observer& observer,
                              const PlannedCall& call, const store::Session& session,
                              int64_t now_ms) {
  const std::string name = OperationName(call.op);
  Plan plan;
  plan.op = call.op;
  plan.session = session;
  plan.range = call.range;
  plan.owner_host = call.OwnerIn(session);
  plan.overrides_json = "[]";
  plan.response = Head(name, session.run_id, plan.range, plan.owner_host);
  plan.response.set_change_ref(session.change_ref);
  std::vector<std::string> digest = {name, session.run_id, plan.range.ToString(), plan.owner_host,
                                     absl::StrCat("seq:", session.sequence)};
  absl::Status s = AddLocks(tx, plan.range, &digest);
  if (!s.ok()) return s;
  switch (call.op) {
    case Operation::kSeed:
    case Operation::kFinalReconcile:
      s = PlanSeed(tx, call.figures, &plan);
      break;
    case Operation::kActivate:
      s = PlanActivate(tx, observer, call, now_ms, &plan, &digest);
      break;
    case Operation::kRelease:
      s = PlanRelease(tx, &plan);
      break;
    case Operation::kStagePolicy:
      s = PlanPolicy(tx, call, &plan, &digest);
      break;
  }
  if (!s.ok()) return s;
  for (const v1::Finding& b : plan.response.blockers()) digest.push_back("blocker:" + b.code());
  plan.digest = store::Sha256Hex(absl::StrJoin(digest, "\n"));
  plan.response.set_plan_digest(plan.digest);
  SetStatusByBlockers(&plan.response);
  return plan;
}

std::string CountsJson(const std::map<std::string, uint64_t>& counts) {
  std::string json = "{";
  for (const auto& [name, n] : counts) {
    absl::StrAppend(&json, json.size() > 1 ? "," : "", "\"", name, "\":", n);
  }
  return json + "}";
}

namespace {

// The count of that name in what CountsJson printed; 0 if there is none.
uint64_t CountIn(const std::string& json, const std::string& name) {
  const std::string key = absl::StrCat("\"", name, "\":");
  const size_t at = json.find(key);
  if (at == std::string::npos) return 0;
  const size_t first = at + key.size();
  uint64_t n = 0;
  const bool read =
      absl::SimpleAtoi(json.substr(first, json.find_first_not_of("0123456789", first) - first), &n);
  return read ? n : 0;
}

}  // namespace

std::string GrownCounts(const std::string& before_json,
                        const std::map<std::string, uint64_t>& now) {
  std::vector<std::string> words;
  for (const auto& [name, n] : now) {
    const uint64_t then = CountIn(before_json, name);
    if (n > then + std::max<uint64_t>(100, then / 10)) {
      words.push_back(absl::StrCat(name, " was ", then, " and is ", n));
    }
  }
  return absl::StrJoin(words, ", ");
}

}  // namespace jetmon::rollout
