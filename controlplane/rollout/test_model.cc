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

Answer State::MayLeave(uint64_t epoch, Range range) const {
  Answer answer;
  const Lock& l = locks.at(epoch);
  std::string first;
  if (!l.part.empty()) {
    if (parts.at(l.part).range == range) first = l.part;
  } else if (l.state == "draining" || l.state == "revoked") {
    if (l.range != range) answer.blockers = {"owner_range_conflict"};
    first = l.release_job;
  } else {
    if (l.range != range && l.state != "active") answer.blockers = {"owner_range_conflict"};
    return answer;
  }
  if (!answer.blockers.empty()) return answer;
  for (const auto& [id, j] : jobs) {
    if (j.epoch == epoch && j.operation == "release_buckets" && j.range == range &&
        j.unfinished()) {
      answer.jobs.insert(id);
    }
  }
  const bool other_part = !l.part.empty() && parts.at(l.part).range != range;
  if (other_part) answer.jobs.clear();
  if (answer.jobs.empty() && !first.empty()) answer.jobs = {first};
  if (answer.jobs.empty()) answer.blockers = {"owner_range_conflict"};
  return answer;
}

// All of a range, or some buckets from one end of it.
Answer State::PlanRelease(const Asked& asked) const {
  Answer answer;
  int overlapping = 0;
  for (const auto& [epoch, l] : locks) {
    overlapping += l.held() && l.range.Overlaps(asked.range) ? 1 : 0;
  }
  if (overlapping == 0) {
    answer.blockers = {"nothing_to_roll_back"};
    return answer;
  }
  const uint64_t epoch = *HeldOverlapping(asked.range);
  const Lock& l = locks.at(epoch);
  const bool end = l.range.Covers(asked.range) &&
                   (asked.range.min == l.range.min || asked.range.max == l.range.max);
  const std::string& owner = OwnerOf(asked);
  if (overlapping > 1 || !end || l.run != asked.run || (!owner.empty() && l.host != owner)) {
    answer.blockers = {"owner_range_conflict"};
    return answer;
  }
  return MayLeave(epoch, asked.range);
}

Answer State::Plan(const Watch& watch, const Asked& asked, int64_t now) const {
  Answer answer;
  answer.error = RunError(asked);
  if (!answer.error.empty()) return answer;
  std::string digest =
      absl::StrCat(RequestOf(asked, OwnerOf(asked)), " sequence ", sessions.at(asked.run).sequence);
  for (const auto& [epoch, l] : locks) {
    if (!l.held() || !l.range.Overlaps(asked.range)) continue;
    absl::StrAppend(&digest, " ", epoch, l.state, l.range.ToString(), l.part);
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

void State::Mark(Range range, uint64_t new_epoch) {
  ++ordinal_;
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
    Mark(l.range, j.epoch);
    ++generations[l.host];
    session.owner = l.host;
  } else if (asked.operation == "release_buckets") {
    j.epoch = *HeldOverlapping(asked.range);
    Lock& l = locks[j.epoch];
    j.owner = l.host;
    ++l.revision;
    if (l.range != asked.range) {
      l.part = job;
      parts[job] = {j.epoch, asked.range, job, "draining", false};
    } else {
      l.drained = l.state == "preparing";
      l.state = "draining";
      l.release_job = job;
    }
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

bool State::PartDrained(const std::string& job, const std::string& instance) {
  Part& p = parts.at(job);
  Lock& l = locks.at(p.epoch);
  if (l.part != job || p.state != "draining" || p.drained || l.instance != instance) return false;
  p.drained = true;
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
  if (!l.part.empty() && parts[l.part].state == "draining") parts[l.part].drained = true;
  ++l.lease_seq;
  ++l.revision;
  return true;
}

}  // namespace jetmon::rollout::model
