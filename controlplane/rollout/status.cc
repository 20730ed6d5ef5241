// What is going on now, for people and scripts.
#include "controlplane/rollout/messages.h"
#include "controlplane/rollout/service.h"
#include "store/hosts.h"
#include "store/notifications.h"

namespace jetmon::rollout {
namespace {

double Seconds(std::chrono::nanoseconds d) { return std::chrono::duration<double>(d).count(); }

v1::MonitorStatus MonitorMessage(const store::ProcessHealth& p, const Observer& observer) {
  v1::MonitorStatus m;
  m.set_host(p.host);
  m.set_instance(p.instance);
  m.set_version(p.version);
  m.set_mode(p.mode);
  m.set_state(p.state);
  const auto sight = observer.Process(p.instance);
  m.set_live(sight.has_value() && sight->seen_to_change && !observer.Dead(sight));
  if (p.range.has_value()) {
    m.set_bucket_min(p.range->min);
    m.set_bucket_max(p.range->max);
  }
  m.set_epoch(p.epoch);
  m.set_targets(p.targets);
  m.set_due_backlog(p.due_backlog);
  m.set_oldest_due_s(static_cast<double>(p.oldest_due_ms) / 1000);
  m.set_checks_per_s(p.checks_per_s);
  m.set_in_flight(p.in_flight);
  m.set_rss_bytes(p.rss_bytes);
  for (const std::string& w : p.warnings) m.add_warnings(w);
  m.set_pid(p.pid);
  SetTime(m.mutable_updated_at(), p.updated_at_ms);
  SetTime(m.mutable_started_at(), p.started_at_ms);
  return m;
}

absl::StatusOr<v1::RangeStatus> RangeMessage(sql::Transaction& tx, const store::RangeLock& l,
                                             const Observer& observer) {
  v1::RangeStatus r;
  r.set_bucket_min(l.range.min);
  r.set_bucket_max(l.range.max);
  r.set_state(l.state);
  r.set_epoch(l.epoch);
  r.set_owner_host(l.owner_host);
  r.set_owner_instance(l.owner_instance);
  r.set_run_id(l.run_id);
  if (l.acknowledged_at_ms != 0) SetTime(r.mutable_acknowledged_at(), l.acknowledged_at_ms);
  SetTime(r.mutable_granted_at(), l.granted_at_ms);
  const auto sight = observer.Lease(l.epoch);
  r.set_owner_dead(observer.Dead(sight));
  if (sight.has_value()) r.set_lease_silent_s(Seconds(sight->unchanged));
  for (v1::Override& o : OverridesOf(l.overrides)) *r.add_overrides() = std::move(o);
  if (l.part.has_value()) {
    v1::RangePart* part = r.mutable_part();
    part->set_bucket_min(l.part->range.min);
    part->set_bucket_max(l.part->range.max);
    part->set_state(l.part->state);
    part->set_drained(l.part->drained);
    part->set_job_id(l.part->job_id);
    SetTime(part->mutable_draining_at(), l.part->draining_at_ms);
  }
  if (l.mute.has_value()) {
    auto sending = store::CountSending(tx, l.mute->range);
    if (!sending.ok()) return sending.status();
    v1::RangeMute* mute = r.mutable_mute();
    mute->set_bucket_min(l.mute->range.min);
    mute->set_bucket_max(l.mute->range.max);
    mute->set_job_id(l.mute->job_id);
    mute->set_sending(*sending);
    SetTime(mute->mutable_muted_at(), l.mute->at_ms);
  }
  return r;
}

}  // namespace

absl::Status Service::ListMonitors(std::vector<v1::MonitorStatus>* monitors) {
  return parts_.db->Read([&](sql::Transaction& tx) -> absl::Status {
    monitors->clear();
    auto rows = store::ListProcesses(tx, "monitor", /*with_gone=*/false);
    if (!rows.ok()) return rows.status();
    for (const auto& p : *rows) monitors->push_back(MonitorMessage(p, observer_));
    return absl::OkStatus();
  });
}

absl::Status Service::GetStatus(v1::RolloutStatus* response) {
  return parts_.db->Read([&](sql::Transaction& tx) -> absl::Status {
    response->Clear();
    auto locks = store::ListHeldRanges(tx);
    if (!locks.ok()) return locks.status();
    for (const auto& l : *locks) {
      auto range = RangeMessage(tx, l, observer_);
      if (!range.ok()) return range.status();
      *response->add_ranges() = std::move(*range);
    }
    auto sessions = store::ListSessions(tx, "open", {200, ""});
    if (!sessions.ok()) return sessions.status();
    for (const auto& s : sessions->rows) *response->add_sessions() = SessionMessage(s);
    auto processes = store::ListProcesses(tx, "monitor", /*with_gone=*/false);
    if (!processes.ok()) return processes.status();
    for (const auto& p : *processes) *response->add_monitors() = MonitorMessage(p, observer_);
    response->set_bucket_total(options_.bucket_total);
    return absl::OkStatus();
  });
}

}  // namespace jetmon::rollout
