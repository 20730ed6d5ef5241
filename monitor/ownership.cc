#include "monitor/ownership.h"

#include <unistd.h>

#include <algorithm>
#include <fstream>

#include "absl/strings/str_cat.h"
#include "daemon/log.h"
#include "store/notifications.h"
#include "store/parts.h"

namespace jetmon::monitor {
namespace {

namespace rs = store::range_state;

constexpr milliseconds kPollPeriod{2000};
constexpr milliseconds kBusyPollPeriod{250};
constexpr std::chrono::seconds kPollLimit{5};
// Of each statement on the poll's connection. A server that says nothing is given up 2 s later,
// which leaves time to renew at another one before the lease ends; a cluster that loses a node
// makes its writers wait 6.3 s.
constexpr std::chrono::seconds kPollStatement{5};

uint64_t RssBytes() {
  std::ifstream statm("/proc/self/statm");
  uint64_t total = 0, resident = 0;
  statm >> total >> resident;
  return resident * static_cast<uint64_t>(sysconf(_SC_PAGESIZE));
}

}  // namespace

Ownership::Ownership(const WatchParts& parts) : parts_(parts) {
  started_at_ms_ = parts_.clock->WallMs();
}

Ownership::~Ownership() {
  {
    std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  wake_.notify_all();
  if (thread_.joinable()) thread_.join();
}

std::string Ownership::state() const { return state_; }

BootTime Ownership::Limit() const { return parts_.clock->Boot() + kPollLimit; }

absl::Status Ownership::Open() {
  auto session = parts_.db->NewSession(kPollStatement);
  if (!session.ok()) return session.status();
  session_ = std::move(*session);
  return absl::OkStatus();
}

void Ownership::Run() {
  thread_ = std::thread([this] {
    std::unique_lock lock(mutex_);
    while (!stopping_) {
      lock.unlock();
      Poll();
      const bool busy = state_ == "draining" || state_ == "activating" || !part_job_.empty();
      lock.lock();
      wake_.wait_for(lock, busy ? kBusyPollPeriod : kPollPeriod, [this] { return stopping_; });
    }
  });
}

absl::Status Ownership::Read(View* view) {
  return session_->Read(Limit(), [&](sql::Transaction& tx) -> absl::Status {
    auto locks = store::ListHeldRangesOfHost(tx, parts_.config->host);
    if (!locks.ok()) return locks.status();
    view->locks = std::move(*locks);
    view->owners.clear();
    for (const store::RangeLock& lock : view->locks) {
      auto owner = store::LastWordsOf(tx, lock.owner_instance);
      if (!owner.ok()) return owner.status();
      view->owners.push_back(*owner);
    }
    auto vantages = ReadVantages(tx);
    if (!vantages.ok()) return vantages.status();
    view->vantages = std::move(*vantages);
    return absl::OkStatus();
  });
}

void Ownership::Poll() {
  // Read before anything is sent: a lease counts from here.
  const BootTime read = parts_.clock->Boot();
  View view;
  const absl::Status s = Read(&view);
  if (!s.ok()) {
    // Nothing is concluded from a database that can't be read; the lease ends by itself.
    warning_ = absl::StrCat("the database can't be read: ", s.message());
    LogWarning(warning_);
    return;
  }
  warning_.clear();
  observer_.BeginRead(read);
  parts_.confirmer->SetVantages(std::move(view.vantages));
  const bool standby = parts_.config->mode == "standby";
  bool part = false;
  for (size_t i = 0; i < view.locks.size() && !standby; ++i) {
    const store::RangeLock& lock = view.locks[i];
    observer_.Saw(lock.epoch, lock.lease_seq, read);
    if (lock.owner_instance == parts_.config->instance) {
      part = part || lock.part.has_value();
      FollowMine(lock, read);
    } else {
      FollowOther(lock, view.owners[i]);
    }
  }
  if (!part) part_job_.clear();
  // A watch whose lock was not among what was read as ours must end.
  bool held = false;
  for (const store::RangeLock& lock : view.locks) {
    held = held || (watch_ != nullptr && watch_->epoch() == lock.epoch &&
                    lock.owner_instance == parts_.config->instance);
  }
  if (watch_ != nullptr && !held) DropWatch("the range is not this instance's any more");
  if (watch_ == nullptr && state_ != "standby") state_ = "standby";
  ReportHealth(/*final=*/false);
}

void Ownership::FollowMine(const store::RangeLock& lock, BootTime read) {
  if (watch_ != nullptr && watch_->epoch() == lock.epoch && watch_->fenced_out().has_value() &&
      !RefusedForPart(lock)) {
    // The row says that it is ours, so what refused the write has passed, or will show next time.
    DropWatch("a fence did not match");
    return;
  }
  if (lock.state == rs::kActivating) return FollowActivating(lock);
  if (lock.state == rs::kActive) return FollowActive(lock, read);
  if (lock.state == rs::kDraining && !lock.drained) return FollowDraining(lock, read);
  if (watch_ != nullptr && watch_->epoch() == lock.epoch) {
    DropWatch(absl::StrCat("the range is ", lock.state));
  }
}

bool Ownership::RefusedForPart(const store::RangeLock& lock) const {
  const uint32_t bucket = *watch_->fenced_out();
  if (!lock.range.Contains(bucket)) return lock.state == rs::kActive;
  return lock.part.has_value() && lock.part->state == rs::kRevoked &&
         lock.part->range.Contains(bucket);
}

void Ownership::FollowPart(const store::RangeLock& lock, BootTime read) {
  store::Range kept = lock.range;
  if (lock.part.has_value()) {
    const store::RangePart& part = *lock.part;
    if (part.job_id != part_job_) {
      part_job_ = part.job_id;
      part_began_ = read;
      LogInfo(absl::StrCat("epoch ", lock.epoch, ": buckets ", part.range.ToString(), " of ",
                           lock.range.ToString(), " leave"));
    }
    if (part.state == rs::kDraining && !part.drained) {
      watch_->BeginPartDrain(part.range);
    } else {
      kept = lock.range.Without(part.range);
    }
  }
  if (!kept.Covers(watch_->range())) {
    LogInfo(absl::StrCat("epoch ", lock.epoch, ": only buckets ", kept.ToString(), " are kept"));
    watch_->Keep(kept);
    const bool drained = lock.part.has_value() && lock.part->drained;
    if (!drained) AwaitVerifliers();
  }
  // What was refused is dropped by now, or FollowMine had ended the watch.
  if (watch_->fenced_out().has_value()) watch_->PardonFence();
}

void Ownership::ReportPart(const store::RangeLock& lock) {
  if (!lock.part.has_value()) return;
  const store::RangePart& part = *lock.part;
  if (part.state != rs::kDraining || part.drained) return;
  // A part that this watch never loaded has nothing to end but what one before had asked.
  const bool watched = watch_->range().Covers(part.range);
  if ((watched && !watch_->part_drained()) || parts_.clock->Boot() < silent_from_) return;
  const bool reported =
      ReportDelivered(lock, part.range, part_began_, [&](sql::Transaction& tx, uint64_t queued) {
        return store::ReportPartDrained(tx, part.job_id, parts_.config->instance, queued,
                                        parts_.clock->WallMs());
      });
  if (reported) watch_->Keep(lock.range.Without(part.range));
}

bool Ownership::ReportDelivered(const store::RangeLock& lock, store::Range range, BootTime began,
                                const Report& report) {
  uint64_t queued = 0;
  bool reported = false;
  const bool deliver = !parts_.config->notify_url.empty() &&
                       parts_.clock->Boot() - began < parts_.config->Deadlines().drain();
  const absl::Status s = session_->Write(Limit(), [&](sql::Transaction& tx) -> absl::Status {
    // Dialect v1: what is queued is not told any more, v1 tells it; only what was begun is waited
    // for.
    auto left = lock.dialect == store::LegacyDialect::kV1 ? store::CountSending(tx, range)
                                                          : store::CountQueued(tx, range);
    if (!left.ok()) return left.status();
    queued = *left;
    if (queued > 0 && deliver) return absl::OkStatus();
    auto drained = report(tx, queued);
    if (drained.ok()) reported = *drained;
    return drained.status();
  });
  if (!s.ok()) {
    LogWarning(absl::StrCat("epoch ", lock.epoch, ": the drain was not reported: ", s.message()));
    return false;
  }
  if (reported) {
    LogInfo(absl::StrCat("epoch ", lock.epoch, ": drained buckets ", range.ToString(), ", ", queued,
                         " notifications left"));
  }
  return reported;
}

bool Ownership::EnsureWatch(const store::RangeLock& lock) {
  if (watch_ != nullptr && watch_->epoch() == lock.epoch) return true;
  if (watch_ != nullptr) DropWatch("another range was given");
  auto watch = std::make_unique<Watch>(parts_, lock);
  const absl::Status s = watch->Load();
  if (!s.ok()) {
    // What was acknowledged before stays; what can't be loaded is not acknowledged.
    warning_ = absl::StrCat("range ", lock.range.ToString(), " can't be loaded: ", s.message());
    LogWarning(warning_);
    return false;
  }
  LogInfo(absl::StrCat("epoch ", lock.epoch, ": loaded ", watch->figures().targets,
                       " sites of buckets ", lock.range.ToString()));
  watch_ = std::move(watch);
  adopts_ = lock.state == rs::kActivating;
  return true;
}

bool Ownership::Renew(const store::RangeLock& lock, BootTime read) {
  bool matched = false;
  const absl::Status s = session_->Write(Limit(), [&](sql::Transaction& tx) {
    auto renewed = store::RenewLease(tx, lock.epoch, parts_.config->instance, lock.revision);
    if (renewed.ok()) matched = *renewed;
    return renewed.status();
  });
  if (!s.ok()) {
    LogWarning(absl::StrCat("epoch ", lock.epoch, ": the lease was not renewed: ", s.message()));
    return false;
  }
  if (matched && watch_ != nullptr && watch_->epoch() == lock.epoch) {
    watch_->lease().Renewed(read);
    tell_gate_.Renewed(lock.epoch, read);
  }
  return matched;
}

void Ownership::FollowActivating(const store::RangeLock& lock) {
  state_ = "activating";
  if (!EnsureWatch(lock)) return;
  const BootTime read = parts_.clock->Boot();
  bool matched = false;
  const absl::Status s = session_->Write(Limit(), [&](sql::Transaction& tx) {
    auto acknowledged = store::AcknowledgeRange(tx, lock.epoch, parts_.config->instance,
                                                lock.revision, parts_.clock->WallMs());
    if (acknowledged.ok()) matched = *acknowledged;
    return acknowledged.status();
  });
  // Whatever was lost or changed meanwhile is read again at the next poll: active and ours is
  // success, anything else ends the watch there.
  if (!s.ok() || !matched) return;
  LogInfo(absl::StrCat("epoch ", lock.epoch, ": acknowledged buckets ", lock.range.ToString()));
  watch_->lease().Renewed(read);
  Begin(lock, read);
  tell_gate_.Renewed(lock.epoch, read);
  state_ = "active";
}

void Ownership::FollowActive(const store::RangeLock& lock, BootTime read) {
  const bool loaded_before = watch_ != nullptr && watch_->epoch() == lock.epoch;
  if (!EnsureWatch(lock)) return;
  FollowPart(lock, read);
  watch_->SetMute(lock.mute.has_value() ? std::optional(lock.mute->range) : std::nullopt);
  const BootTime counted = loaded_before ? read : parts_.clock->Boot();
  if (!Renew(lock, counted)) return;
  state_ = "active";
  if (watch_->started()) return ReportPart(lock);
  // Loaded for an acknowledgement whose answer was lost: the epoch's first load. Loaded when it was
  // active: taken over from another instance, and what v1's columns say is older than its events.
  Begin(lock, counted);
  tell_gate_.Renewed(lock.epoch, counted);
}

void Ownership::Begin(const store::RangeLock& lock, BootTime since) {
  watch_->lease().Open();
  watch_->Start(adopts_, since);
  tell_gate_.Open(lock.epoch, since + milliseconds(lock.hold_tells_ms));
}

void Ownership::FollowDraining(const store::RangeLock& lock, BootTime read) {
  if (state_ != "draining") drain_began_ = read;
  state_ = "draining";
  const bool watched = watch_ != nullptr && watch_->epoch() == lock.epoch;
  if (watched) {
    Renew(lock, read);
    watch_->BeginDrain();
    if (!watch_->drained()) return;
  }
  // What a watch before this one had asked goes on, too.
  if (parts_.clock->Boot() < silent_from_) return;
  const bool reported =
      ReportDelivered(lock, lock.range, drain_began_, [&](sql::Transaction& tx, uint64_t queued) {
        return store::ReportDrained(tx, lock.epoch, parts_.config->instance, queued,
                                    parts_.clock->WallMs());
      });
  if (!reported) return;
  if (watched) DropWatch("drained");
  state_ = "standby";
}

void Ownership::FollowOther(const store::RangeLock& lock, const store::LastWords& owner) {
  if (watch_ != nullptr && watch_->epoch() == lock.epoch) {
    DropWatch("another instance took the range over");
  }
  // The other one may have been started with longer checks than this one.
  const milliseconds grace = std::max(parts_.config->budget.grace(),
                                      DeadlineBudget::Announced(owner.longest_check_ms).grace());
  const bool dead = observer_.Unchanged(lock.epoch, parts_.clock->Boot()) >= grace;
  if (!owner.goodbye && !dead) return;
  if (lock.state != rs::kActivating && lock.state != rs::kActive && lock.state != rs::kDraining) {
    return;
  }
  bool taken = false;
  const absl::Status s = session_->Write(Limit(), [&](sql::Transaction& tx) {
    auto took = store::TakeOverRange(tx, lock.epoch, lock.owner_instance, lock.lease_seq,
                                     parts_.config->instance, parts_.clock->WallMs());
    if (took.ok()) taken = *took;
    return took.status();
  });
  if (s.ok() && taken) {
    LogInfo(absl::StrCat("epoch ", lock.epoch, ": taken over from instance ", lock.owner_instance,
                         owner.goodbye ? ", which said goodbye" : ", which is dead"));
  }
}

void Ownership::AwaitVerifliers() {
  silent_from_ = parts_.clock->Boot() + parts_.config->Deadlines().round();
}

void Ownership::DropWatch(const std::string& why) {
  LogInfo(absl::StrCat("epoch ", watch_->epoch(), ": watching ends: ", why));
  const bool asks = watch_->started() && !watch_->drained();
  tell_gate_.Close();
  watch_->Abandon();
  watch_.reset();
  if (asks) AwaitVerifliers();
  state_ = "standby";
}

void Ownership::ReportHealth(bool final) {
  const BootTime now = parts_.clock->Boot();
  store::ProcessHealth h;
  h.instance = parts_.config->instance;
  h.kind = "monitor";
  h.host = parts_.config->host;
  h.version = parts_.config->version;
  h.mode = parts_.config->mode;
  h.state = state_;
  h.pid = getpid();
  h.rss_bytes = RssBytes();
  h.notify_configured = !parts_.config->notify_url.empty();
  h.longest_check_ms = parts_.config->budget.check().count();
  h.dialect = parts_.config->dialect;
  h.started_at_ms = started_at_ms_;
  h.updated_at_ms = parts_.clock->WallMs();
  if (!warning_.empty()) h.warnings.push_back(warning_);
  if (watch_ != nullptr) {
    const Watch::Figures f = watch_->figures();
    const double passed = std::chrono::duration<double>(now - last_health_).count();
    if (last_health_.ns != 0 && passed > 0 && f.checks >= last_checks_) {
      checks_per_s_ = static_cast<double>(f.checks - last_checks_) / passed;
    }
    last_checks_ = f.checks;
    h.epoch = watch_->started() ? watch_->epoch() : 0;
    h.range = watch_->range();
    h.targets = f.targets;
    h.due_backlog = f.due;
    h.oldest_due_ms = f.oldest_due.count();
    h.in_flight = f.running;
    h.checks_per_s = checks_per_s_;
    if (f.suspect) {
      h.state = "suspect";
      h.warnings.push_back("over 20 % of recent checks failed: no event opens on one failure");
    }
    if (f.local_only) {
      h.warnings.push_back("no vantage is enabled: local checks alone confirm outages");
    }
    if (f.refused > 0) {
      h.warnings.push_back(absl::StrCat(f.refused,
                                        " sites are not checked: target safety refuses "
                                        "them, such as site ",
                                        f.refused_site));
    }
    if (f.faulty > 0) h.warnings.push_back(FaultText(f.faulty, f.fault));
    if (f.foreign > 0) {
      h.warnings.push_back(absl::StrCat("somebody else wrote site_status ", f.foreign,
                                        " times in this range; it was written over"));
    }
  } else {
    last_checks_ = 0;
    checks_per_s_ = 0;
  }
  last_health_ = now;
  const absl::Status s = session_->Write(Limit(), [&](sql::Transaction& tx) -> absl::Status {
    if (auto reported = store::ReportHealth(tx, h); !reported.ok()) return reported;
    return final ? store::SayGoodbye(tx, h.instance, h.updated_at_ms) : absl::OkStatus();
  });
  if (!s.ok()) LogWarning(absl::StrCat("health was not reported: ", s.message()));
}

void Ownership::Stop(std::chrono::seconds limit) {
  {
    std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  wake_.notify_all();
  if (thread_.joinable()) thread_.join();
  const BootTime until = parts_.clock->Boot() + limit;
  if (watch_ != nullptr) {
    watch_->BeginDrain();
    while (watch_ != nullptr && !watch_->drained() && parts_.clock->Boot() < until) {
      Poll();  // the lease is renewed until the end
      std::unique_lock lock(mutex_);
      wake_.wait_for(lock, kBusyPollPeriod, [] { return false; });
    }
    if (watch_ != nullptr) DropWatch("the process stops");
  }
  // With a goodbye a successor takes the range over at once: not while a Veriflier may still send.
  ReportHealth(/*final=*/parts_.clock->Boot() >= silent_from_);
}

}  // namespace jetmon::monitor
