#include "controlplane/rollout/test_model.h"

#include <algorithm>

#include "absl/strings/str_cat.h"

namespace jetmon::rollout::model {
namespace {

void See(std::map<std::string, Watch::Sight>* table, const std::map<std::string, uint64_t>& fresh,
         int64_t now) {
  std::map<std::string, Watch::Sight> next;
  for (const auto& [key, seq] : fresh) {
    auto known = table->find(key);
    if (known == table->end()) {
      next[key] = {seq, now, false};
    } else if (known->second.seq == seq) {
      next[key] = known->second;
    } else {
      next[key] = {seq, now, true};
    }
  }
  *table = std::move(next);
}

bool IsSeed(const std::string& operation) {
  return operation == "seed" || operation == "final_reconcile";
}

}  // namespace

void State::Observe(Watch* watch, int64_t now) const {
  if (watch->last_ms.has_value() && now - *watch->last_ms > kBlindMs) *watch = Watch();
  watch->last_ms = now;
  std::map<std::string, uint64_t> fresh;
  for (const auto& [epoch, l] : locks) {
    if (l.held()) fresh[absl::StrCat(epoch)] = l.lease_seq;
  }
  See(&watch->leases, fresh, now);
  fresh.clear();
  for (const auto& [instance, p] : processes) {
    if (!p.goodbye) fresh[instance] = p.seq;
  }
  See(&watch->processes, fresh, now);
  fresh.clear();
  for (const auto& [id, j] : jobs) {
    if (j.unfinished()) fresh[id] = j.seq;
  }
  See(&watch->jobs, fresh, now);
}

std::optional<uint64_t> State::HeldOverlapping(Range range) const {
  std::optional<uint64_t> first;
  for (const auto& [epoch, l] : locks) {
    if (!l.held() || !l.range.Overlaps(range)) continue;
    if (!first.has_value() || l.range.min < locks.at(*first).range.min) first = epoch;
  }
  return first;
}

uint64_t State::Changed(Range range) const {
  uint64_t changed = 0;
  for (uint32_t b = range.min; b <= range.max; ++b)
    changed = std::max(changed, buckets_[b].changed);
  return changed;
}

std::string State::CloseError(const std::string& run) const {
  if (!sessions.at(run).open) return "RUN_CLOSED";
  for (const auto& [epoch, l] : locks) {
    if (l.held() && l.run == run) return "SESSION_IN_USE";
  }
  for (const auto& [id, j] : jobs) {
    if (j.run == run && j.unfinished()) return "SESSION_IN_USE";
  }
  return "";
}

void State::Close(const std::string& run) {
  sessions[run].open = false;
  ++sessions[run].sequence;
}

std::string State::CheckpointError(const std::string& run, const std::string& kind) const {
  if (!sessions.at(run).open) return "RUN_CLOSED";
  if (kind == "v1_started" && HeldOverlapping(sessions.at(run).range)) return "INVALID_CHECKPOINT";
  return "";
}

void State::Record(const std::string& run, const std::string& kind, Range range,
                   const std::string& owner, uint64_t started, int64_t now) {
  checkpoints.push_back({++ordinal_, run, kind, range, owner, started, now});
  ++sessions[run].sequence;
}

std::set<std::string> State::OwnerBlockers(const Watch& watch, const std::string& owner,
                                           std::string* instance) const {
  std::vector<std::string> live;
  for (const auto& [name, p] : processes) {
    const bool dead = watch.Dead(watch.Find(watch.processes, name));
    if (p.host == owner && !p.goodbye && !dead) live.push_back(name);
  }
  if (live.size() > 1) return {"owner_ambiguous"};
  const Watch::Sight* sight = live.empty() ? nullptr : watch.Find(watch.processes, live[0]);
  if (sight == nullptr || !sight->changed) return {"owner_unavailable"};
  *instance = live[0];
  return {};
}

std::set<std::string> State::PreflightBlockers(const Watch& watch, Range range,
                                               const std::string& owner) const {
  std::string instance;
  std::set<std::string> codes = OwnerBlockers(watch, owner, &instance);
  if (HeldOverlapping(range)) codes.insert("bucket_range_conflict");
  return codes;
}

std::string State::CancelError(const std::string& job) const {
  const Job& j = jobs.at(job);
  const bool of_range = j.operation == "activate_buckets" || j.operation == "release_buckets";
  return of_range || !j.unfinished() ? "NOT_CANCELLABLE" : "";
}

void State::Cancel(const std::string& job) {
  Job& j = jobs[job];
  j.cancel = true;
  ++j.seq;
  if (j.state == "queued") j.state = "cancelled";
}

// Evidence counts if it is newer than the range's last change of owner. Preflight and smoke must be
// of this owner and of the last 24 h; v1_stopped newer than v1's last start anywhere in the range;
// final reconcile too, and begun after v1_stopped.
bool State::EvidenceMissing(Range range, const std::string& owner, int64_t now,
                            std::string* digest) const {
  uint64_t v1_started = 0;
  for (const Checkpoint& c : checkpoints) {
    if (c.kind == "v1_started" && c.range.Overlaps(range)) v1_started = c.ordinal;
  }
  const auto latest = [&](const std::string& kind, const std::string& of) -> const Checkpoint* {
    const Checkpoint* found = nullptr;
    for (const Checkpoint& c : checkpoints) {
      if (c.kind == kind && c.range.Covers(range) && (of.empty() || c.owner == of)) found = &c;
    }
    return found != nullptr && found->ordinal > Changed(range) ? found : nullptr;
  };
  bool missing = false;
  const auto judge = [&](const Checkpoint* c, bool good) {
    missing = missing || c == nullptr || !good;
    if (c != nullptr && good) absl::StrAppend(digest, " ", c->kind, ":", c->ordinal);
  };
  for (const char* kind : {"preflight_passed", "smoke_passed"}) {
    const Checkpoint* c = latest(kind, owner);
    judge(c, c != nullptr && now - c->at_ms <= kDayMs);
  }
  judge(latest("seed_completed", ""), true);
  const Checkpoint* stopped = latest("v1_stopped", "");
  if (stopped != nullptr && stopped->ordinal <= v1_started) stopped = nullptr;
  judge(stopped, true);
  const Checkpoint* final = latest("final_reconcile_completed", "");
  judge(final, final != nullptr && final->ordinal > v1_started &&
                   final->started > (stopped == nullptr ? 0 : stopped->ordinal));
  return missing;
}

std::string State::RunError(const Asked& asked) const {
  auto session = sessions.find(asked.run);
  if (session == sessions.end()) return "RUN_NOT_FOUND";
  if (!session->second.open && asked.operation != "release_buckets") return "RUN_CLOSED";
  if (!session->second.range.Covers(asked.range)) return "RUN_RANGE_MISMATCH";
  return "";
}

const std::string& State::OwnerOf(const Asked& asked) const {
  return asked.owner.empty() ? sessions.at(asked.run).owner : asked.owner;
}

std::string State::RequestOf(const Asked& asked, const std::string& owner) {
  return absl::StrCat(asked.operation, " ", asked.run, " ", asked.range.ToString(), " ", owner,
                      asked.overridden ? " overridden" : "");
}

Answer State::PlanActivate(const Watch& watch, const Asked& asked, int64_t now,
                           std::string* digest) const {
  Answer answer;
  const std::string& owner = OwnerOf(asked);
  for (const auto& [epoch, l] : locks) {
    if (!l.held()) continue;
    const bool goes_back = l.state == "draining" || l.state == "revoked";
    if (l.range == asked.range && l.run == asked.run && l.host == owner && !goes_back) {
      answer.jobs = {l.activate_job};
      return answer;
    }
    if (l.host == owner && !l.range.Overlaps(asked.range)) {
      answer.blockers.insert("owner_range_conflict");
    }
  }
  if (HeldOverlapping(asked.range)) answer.blockers.insert("bucket_range_conflict");
  std::string instance;
  answer.blockers.merge(OwnerBlockers(watch, owner, &instance));
  if (EvidenceMissing(asked.range, owner, now, digest) && !asked.overridden) {
    answer.blockers.insert("evidence_missing");
  }
  auto generation = generations.find(owner);
  absl::StrAppend(digest, " ", instance, " ",
                  generation == generations.end() ? 0 : generation->second);
  return answer;
}

Answer State::PlanRelease(const Asked& asked) const {
  Answer answer;
  const auto held = HeldOverlapping(asked.range);
  if (!held.has_value()) {
    answer.blockers = {"nothing_to_roll_back"};
    return answer;
  }
  // Of several, the first is named.
  const Lock& l = locks.at(*held);
  const std::string& owner = OwnerOf(asked);
  if (l.range != asked.range || l.run != asked.run || (!owner.empty() && l.host != owner)) {
    answer.blockers = {"owner_range_conflict"};
    return answer;
  }
  if (l.state != "draining" && l.state != "revoked") return answer;
  for (const auto& [id, j] : jobs) {
    if (j.epoch == *held && j.operation == "release_buckets" && j.unfinished()) {
      answer.jobs.insert(id);
    }
  }
  if (answer.jobs.empty() && !l.release_job.empty()) answer.jobs = {l.release_job};
  if (answer.jobs.empty()) answer.blockers = {"owner_range_conflict"};
  return answer;
}

Answer State::Plan(const Watch& watch, const Asked& asked, int64_t now) const {
  Answer answer;
  answer.error = RunError(asked);
  if (!answer.error.empty()) return answer;
  std::string digest =
      absl::StrCat(RequestOf(asked, OwnerOf(asked)), " sequence ", sessions.at(asked.run).sequence);
  for (const auto& [epoch, l] : locks) {
    if (l.held() && l.range.Overlaps(asked.range)) absl::StrAppend(&digest, " ", epoch, l.state);
  }
  if (asked.operation == "activate_buckets") {
    answer = PlanActivate(watch, asked, now, &digest);
  } else if (asked.operation == "release_buckets") {
    answer = PlanRelease(asked);
  } else if (HeldOverlapping(asked.range)) {
    answer.blockers.insert("bucket_range_conflict");
  }
  for (const std::string& code : answer.blockers) absl::StrAppend(&digest, " ", code);
  answer.digest = digest;
  return answer;
}

Answer State::Execute(const Watch& watch, const Asked& asked, const std::string& token,
                      int64_t now) const {
  Answer answer;
  answer.error = RunError(asked);
  if (!answer.error.empty()) return answer;
  auto found = tokens.find(token);
  answer.error = token.empty() ? "MISSING_CONFIRMATION" : "INVALID_CONFIRMATION";
  if (found == tokens.end()) return answer;
  const Token& t = found->second;
  if (!t.job.empty()) {
    answer.jobs = {t.job};
    return answer;
  }
  if (t.expires_ms <= now || t.key != asked.key || t.operation != asked.operation ||
      t.run != asked.run || !(t.range == asked.range) ||
      t.request != RequestOf(asked, OwnerOf(asked))) {
    return answer;
  }
  answer = Plan(watch, asked, now);
  if (answer.jobs.empty() && answer.blockers.empty() && answer.digest != t.digest) {
    answer.error = "PLAN_CHANGED";
  }
  return answer;
}

void State::Mark(uint64_t epoch, uint64_t new_epoch) {
  ++ordinal_;
  const Range range = locks.at(epoch).range;
  for (uint32_t b = range.min; b <= range.max; ++b) buckets_[b] = {new_epoch, ordinal_};
}

void State::Executed(const Watch& watch, const Asked& asked, const std::string& token,
                     const std::string& job) {
  Session& session = sessions[asked.run];
  Job j;
  j.operation = asked.operation;
  j.run = asked.run;
  j.range = asked.range;
  j.owner = OwnerOf(asked);
  if (asked.operation == "activate_buckets") {
    Lock l;
    l.range = asked.range;
    l.host = j.owner;
    (void)OwnerBlockers(watch, l.host, &l.instance);
    l.state = "preparing";
    l.run = asked.run;
    l.activate_job = job;
    j.epoch = ++epoch_;
    locks[j.epoch] = l;
    Mark(j.epoch, j.epoch);
    ++generations[l.host];
    session.owner = l.host;
  } else if (asked.operation == "release_buckets") {
    j.epoch = *HeldOverlapping(asked.range);
    Lock& l = locks[j.epoch];
    j.owner = l.host;
    l.drained = l.state == "preparing";
    l.state = "draining";
    l.release_job = job;
    ++l.revision;
  }
  ++session.sequence;
  tokens[token].job = job;
  jobs[job] = j;
}

void State::Poll(const std::string& instance, const std::string& host) {
  Process& p = processes[instance];
  p.host = host;
  ++p.seq;
  generations.emplace(host, 0);
}

void State::Goodbye(const std::string& instance) {
  processes[instance].goodbye = true;
  ++processes[instance].seq;
}

bool State::Renew(uint64_t epoch, const std::string& instance, uint64_t revision) {
  Lock& l = locks.at(epoch);
  const bool alive = l.state == "activating" || l.state == "active" || l.state == "draining";
  if (!alive || l.instance != instance || l.revision != revision) return false;
  ++l.lease_seq;
  return true;
}

bool State::Acknowledge(uint64_t epoch, const std::string& instance, uint64_t revision) {
  Lock& l = locks.at(epoch);
  if (l.state != "activating" || l.instance != instance || l.revision != revision) return false;
  l.state = "active";
  ++l.lease_seq;
  ++l.revision;
  return true;
}

bool State::Drained(uint64_t epoch, const std::string& instance) {
  Lock& l = locks.at(epoch);
  if (l.state != "draining" || l.drained || l.instance != instance) return false;
  l.drained = true;
  ++l.lease_seq;
  ++l.revision;
  return true;
}

bool State::TakeOver(uint64_t epoch, const std::string& old_instance, uint64_t lease_seq,
                     const std::string& instance) {
  Lock& l = locks.at(epoch);
  const bool alive = l.state == "activating" || l.state == "active" || l.state == "draining";
  if (!alive || l.instance != old_instance || l.lease_seq != lease_seq) return false;
  l.instance = instance;
  l.drained = l.drained || l.state == "draining";
  ++l.lease_seq;
  ++l.revision;
  return true;
}

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
  j.waits_since.reset();
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

bool State::HasJob(uint64_t epoch, const std::string& operation) const {
  return std::any_of(jobs.begin(), jobs.end(), [&](const auto& entry) {
    const Job& j = entry.second;
    return j.epoch == epoch && j.operation == operation && j.unfinished();
  });
}

void State::Queue(const std::string& operation, uint64_t epoch) {
  const Lock& l = locks.at(epoch);
  Job j;
  j.operation = operation;
  j.run = l.run;
  j.range = l.range;
  j.owner = l.host;
  j.epoch = epoch;
  unnamed.push_back(std::move(j));
}

void State::Sweep() {
  for (const auto& [epoch, l] : locks) {
    if (!l.held() || l.state == "active") continue;
    const bool back = l.state == "draining" || l.state == "revoked";
    const std::string operation = back ? "release_buckets" : "activate_buckets";
    if (!HasJob(epoch, operation)) Queue(operation, epoch);
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
bool State::MayFree(const Job& j, const Watch& watch) const {
  if (!j.looked.has_value()) return false;
  const Watch::Sight* sight = watch.Find(watch.leases, absl::StrCat(j.epoch));
  const bool dead = watch.Dead(sight) && sight->seq == j.looked->lease_seq;
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
  Mark(j->epoch, 0);
  l.state = "released";
  ++l.revision;
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
    const std::string& state = j->looked->state;
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

std::string State::Commit(std::string_view commit, const std::string& job,
                          const std::string& worker, uint64_t attempt, const Watch& watch,
                          int64_t now) {
  Job& j = jobs.at(job);
  const bool its_own = j.state == "running" && j.worker == worker && j.attempt == attempt;
  if (!its_own && commit == "yield_job") return "";
  if (!its_own) return absl::StrCat("wrote for a job that is ", j.state, " with ", j.worker);
  if (commit == "activate_look" || commit == "release_look") {
    j.looked = locks.at(j.epoch);
    auto owner = processes.find(j.looked->instance);
    j.goodbye = owner != processes.end() && owner->second.goodbye;
    j.may_free = false;
    const std::string& state = j.looked->state;
    if (state != "preparing" && !j.waits_since.has_value()) j.waits_since = now;
    return "";
  }
  if (commit == "seed_batch") return Batch(&j);
  if (commit == "finish_job") return Finish(&j, now);
  if (commit == "free") return Free(&j);
  if (commit == "project") {
    j.may_free = MayFree(j, watch);
    return "";
  }
  if (commit == "yield_job") {
    j.state = "queued";
    j.worker.clear();
    return "";
  }
  Lock& l = locks.at(j.epoch);
  if (commit == "begin_activating") {
    if (j.verdict != "completed") return "activating without the last pass";
    if (l.state != "preparing") return "";
    l.state = "activating";
    ++l.revision;
    return "";
  }
  const bool waited = j.waits_since.has_value() && now - *j.waits_since >= kAcknowledgeMs;
  if (commit == "give_up") {
    if (!waited) return "an activation was given up early";
    if (l.state != "preparing" && l.state != "activating") return "";
    l.drained = l.state == "preparing";
    l.state = "draining";
    l.gave_up = true;
    ++l.revision;
    Mark(j.epoch, j.epoch);
    Queue("release_buckets", j.epoch);
    return "";
  }
  if (commit == "revoke") {
    if (!waited) return "a range was revoked early";
    if (l.state != "draining" || l.drained) return "";
    l.state = "revoked";
    ++l.revision;
    return "";
  }
  return absl::StrCat("an unknown commit of a job: ", std::string(commit));
}

}  // namespace jetmon::rollout::model
