// What the workers of jobs do to the model, commit by commit.
#include <algorithm>

#include "absl/strings/str_cat.h"
#include "controlplane/rollout/test_model.h"

namespace jetmon::rollout::model {
namespace {

bool IsSeed(const std::string& operation) {
  return operation == "seed" || operation == "final_reconcile";
}

}  // namespace

std::string State::Claimed(const std::string& job, const std::string& worker, const Watch& watch) {
  Job& j = jobs.at(job);
  if (j.state == "running") {
    const Watch::Sight* sight = watch.Find(watch.jobs, job);
    if (!watch.Dead(sight)) return "a job was taken from a worker that is not known to be dead";
    if (sight->seq != j.seq) return "a job was taken whose worker has shown that it lives";
  } else if (j.state != "queued") {
    return "a job was taken up that is " + j.state;
  } else if (++ordinal_; j.started == 0) {
    j.started = ordinal_;
  }
  j.state = "running";
  j.worker = worker;
  ++j.attempt;
  j.verdict.clear();
  j.looked.reset();
  j.looked_part.reset();
  j.waits_since.reset();
  j.revoked_since.reset();
  return "";
}

void State::Break(const std::string& job, const std::string& worker) {
  Job& j = jobs.at(job);
  ++ordinal_;
  if (j.started == 0) j.started = ordinal_;
  j.state = "failed";
  j.worker = worker;
  ++j.attempt;
}

bool State::HasJob(uint64_t epoch, const std::string& operation, Range range) const {
  return std::any_of(jobs.begin(), jobs.end(), [&](const auto& entry) {
    const Job& j = entry.second;
    return j.epoch == epoch && j.operation == operation && j.range == range && j.unfinished();
  });
}

void State::Queue(const std::string& operation, uint64_t epoch, Range range) {
  const Lock& l = locks.at(epoch);
  Job j;
  j.operation = operation;
  j.run = l.run;
  j.range = range;
  j.owner = l.host;
  j.epoch = epoch;
  unnamed.push_back(std::move(j));
}

void State::Sweep() {
  for (const auto& [epoch, l] : locks) {
    if (!l.held() || (l.state == "active" && l.part.empty())) continue;
    const bool back = l.state == "draining" || l.state == "revoked" || !l.part.empty();
    const std::string operation = back ? "release_buckets" : "activate_buckets";
    const Range range = l.part.empty() ? l.range : parts.at(l.part).range;
    if (!HasJob(epoch, operation, range)) Queue(operation, epoch, range);
  }
}

// A batch of seed goes over the range if all of it is v1's; the last pass of an activation if all
// of it is held and preparing.
std::string State::Batch(Job* j) {
  const uint64_t epoch = j->operation == "activate_buckets" ? j->epoch : 0;
  bool good = epoch == 0 || locks.at(epoch).state == "preparing";
  for (uint32_t b = j->range.min; b <= j->range.max; ++b) {
    good = good && buckets_[b].epoch == epoch;
  }
  j->verdict = good ? "completed" : "blocked";
  if (IsSeed(j->operation)) {
    if (j->cancel) j->verdict = "cancelled";
    j->seeded = j->verdict == "completed";
  }
  return "";
}

// Who is dead is dead by the lease that was looked at, when the worker turned to the projection.
// Of a revoked part a grace is enough since it was seen so: who renews has read of it.
bool State::MayFree(const Job& j, const Watch& watch, int64_t now) const {
  if (!j.looked.has_value()) return false;
  const Watch::Sight* sight = watch.Find(watch.leases, absl::StrCat(j.epoch));
  const bool dead = watch.Dead(sight) && sight->seq == j.looked->lease_seq;
  if (j.looked_part.has_value()) {
    const bool revoked = j.revoked_since.has_value() && now - *j.revoked_since >= kGraceMs;
    return j.looked_part->drained || j.goodbye || dead || revoked;
  }
  return j.looked->drained || j.goodbye || dead;
}

std::string State::Free(Job* j) {
  if (!j->looked.has_value() || !j->may_free) return "a range was freed whose owner may live";
  const Lock& seen = *j->looked;
  Lock& l = locks.at(j->epoch);
  const bool drained = seen.drained && seen.state == "draining";
  const bool frees =
      drained ? l.state == "draining" && l.drained
              : (l.state == "draining" || l.state == "revoked") && l.lease_seq == seen.lease_seq;
  if (!frees) return "";
  Mark(l.range, 0);
  l.state = "released";
  ++l.revision;
  return "";
}

std::string State::FreePart(Job* j, int64_t now) {
  if (!j->looked_part.has_value() || !j->may_free) return "a part was freed whose owner may live";
  const Part& seen = *j->looked_part;
  Part& p = parts.at(seen.job);
  Lock& l = locks.at(p.epoch);
  if (l.part != p.job || l.state != "active") return "";
  const bool revoked = j->revoked_since.has_value() && now - *j->revoked_since >= kGraceMs;
  bool frees = l.lease_seq == j->looked->lease_seq;  // of a dead owner
  if (seen.drained && seen.state == "draining") {
    frees = p.state == "draining" && p.drained;
  } else if (revoked) {
    frees = p.state == "revoked";
  }
  if (!frees) return "";
  Mark(p.range, 0);
  if (p.range.min == l.range.min) {
    l.range.min = p.range.max + 1;
  } else {
    l.range.max = p.range.min - 1;
  }
  l.part.clear();
  ++l.revision;
  p.state = "released";
  return "";
}

std::string State::Finish(Job* j, int64_t now) {
  std::string kind, owner;
  if (IsSeed(j->operation)) {
    if (j->verdict.empty() && !j->seeded) return "a seed ended before its batches";
    j->state = j->verdict.empty() ? "completed" : j->verdict;
    kind = j->operation == "seed" ? "seed_completed" : "final_reconcile_completed";
  } else if (j->operation == "smoke") {
    j->state = j->cancel ? "cancelled" : "completed";
    kind = "smoke_passed";
    owner = j->owner;
  } else {
    if (!j->looked.has_value()) return "a job ended that had not looked";
    owner = j->looked->host;
    const std::string& state =
        j->looked_part.has_value() ? j->looked_part->state : j->looked->state;
    if (j->operation == "activate_buckets") {
      if (state == "preparing" || state == "activating") return "an activation ended on its way";
      j->state = state == "active" ? "completed" : "failed";
      kind = "activated";
    } else {
      if (state != "released") return "a release ended while the range was " + state;
      j->state = "completed";
      kind = "released";
    }
  }
  if (j->state == "completed") {
    Record(j->run, kind, j->range, owner, j->started, now);
  } else {
    ++sessions[j->run].sequence;
  }
  return "";
}

const Part* State::PartOf(uint64_t epoch, Range range) const {
  for (const auto& [job, p] : parts) {
    if (p.epoch == epoch && p.range == range) return &p;
  }
  return nullptr;
}

void State::Look(Job* j, int64_t now) {
  j->looked = locks.at(j->epoch);
  j->looked_part.reset();
  if (j->operation == "release_buckets" && j->looked->range != j->range) {
    if (const Part* p = PartOf(j->epoch, j->range)) j->looked_part = *p;
  }
  auto owner = processes.find(j->looked->instance);
  j->goodbye = owner != processes.end() && owner->second.goodbye;
  j->may_free = false;
  const std::string& state = j->looked_part.has_value() ? j->looked_part->state : j->looked->state;
  if (state != "preparing" && !j->waits_since.has_value()) j->waits_since = now;
  if (state == "revoked" && !j->revoked_since.has_value()) j->revoked_since = now;
}

// Those that change what belongs to whom; each may find that its condition holds no more.
std::string State::CommitOfRange(std::string_view commit, Job* j, int64_t now) {
  Lock& l = locks.at(j->epoch);
  if (commit == "begin_activating") {
    if (j->verdict != "completed") return "activating without the last pass";
    if (l.state != "preparing") return "";
    l.state = "activating";
    ++l.revision;
    return "";
  }
  if (!j->waits_since.has_value() || now - *j->waits_since < kAcknowledgeMs) {
    return absl::StrCat(std::string(commit), " comes early");
  }
  if (commit == "give_up") {
    if (l.state != "preparing" && l.state != "activating") return "";
    l.drained = l.state == "preparing";
    l.state = "draining";
    l.gave_up = true;
    ++l.revision;
    Mark(l.range, j->epoch);
    Queue("release_buckets", j->epoch, l.range);
    return "";
  }
  if (commit == "revoke_part") {
    Part& p = parts.at(j->looked_part->job);
    if (l.part != p.job || p.state != "draining" || p.drained) return "";
    p.state = "revoked";
    ++l.revision;
    return "";
  }
  if (commit != "revoke") return absl::StrCat("an unknown commit: ", std::string(commit));
  if (l.state != "draining" || l.drained) return "";
  l.state = "revoked";
  ++l.revision;
  return "";
}

std::string State::Commit(std::string_view commit, const std::string& job,
                          const std::string& worker, uint64_t attempt, const Watch& watch,
                          int64_t now) {
  Job& j = jobs.at(job);
  const bool its_own = j.state == "running" && j.worker == worker && j.attempt == attempt;
  if (!its_own && commit == "yield_job") return "";
  if (!its_own) return absl::StrCat("wrote for a job that is ", j.state, " with ", j.worker);
  if (commit == "activate_look" || commit == "release_look") {
    Look(&j, now);
    return "";
  }
  if (commit == "seed_batch") return Batch(&j);
  if (commit == "finish_job") return Finish(&j, now);
  if (commit == "free") return Free(&j);
  if (commit == "free_part") return FreePart(&j, now);
  if (commit == "project") {
    j.may_free = MayFree(j, watch, now);
    return "";
  }
  if (commit == "yield_job") {
    j.state = "queued";
    j.worker.clear();
    return "";
  }
  return CommitOfRange(commit, &j, now);
}

}  // namespace jetmon::rollout::model
