#include "monitor/watch.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "daemon/log.h"

namespace jetmon::monitor {
namespace {

// Callers of the engine, which take turns.
constexpr int kRegular = 0, kIncidents = 1;
constexpr milliseconds kSchedulerTick{20};
constexpr milliseconds kDeciderTick{50}, kRecorderTick{50};
constexpr size_t kMostAtOnce = 500;
constexpr size_t kMostHistory = 10'000;
constexpr std::chrono::seconds kWriteLimit{5};

}  // namespace

Watch::Watch(const WatchParts& parts, const store::RangeLock& lock)
    : parts_(parts),
      writer_{lock.epoch,
              parts.config->instance,
              parts.config->host,
              parts.config->legacy_projection,
              !parts.config->notify_url.empty(),
              lock.dialect,
              parts.config->receiver_delay.count(),
              parts.config->StillDownAfter().count(),
              std::nullopt,
              false},
      loaded_(lock.part.has_value() ? lock.range.Without(lock.part->range) : lock.range),
      table_(*parts.config),
      range_(loaded_),
      at_once_(kMostAtOnce) {
  for (uint32_t i = 0; i < loaded_.size(); ++i) bucket_leases_.emplace_back(lease_);
}

Watch::~Watch() {
  Abandon();
  if (scheduler_.joinable()) scheduler_.join();
  if (decider_.joinable()) decider_.join();
  if (recorder_.joinable()) recorder_.join();
  std::unique_lock lock(mutex_);
  wake_.wait(lock, [this] { return running_ == 0 && rounds_under_way_ == 0; });
}

void Watch::Start(bool adopt, BootTime since) {
  adopt_ = adopt;
  began_ = since;
  started_ = true;
  recorder_ = std::thread([this] { RecordLoop(); });
  decider_ = std::thread([this] { DecideLoop(); });
  scheduler_ = std::thread([this] { ScheduleLoop(); });
}

void Watch::BeginDrain() {
  if (draining_.exchange(true)) return;
  if (!started_) drained_ = true;
  wake_.notify_all();
}

void Watch::BeginPartDrain(store::Range part) {
  std::lock_guard lock(mutex_);
  if (leaving_.has_value() || !range_.Covers(part) || part == range_) return;
  leaving_ = part;
  leaving_sites_.clear();
  leaving_at_ = 0;
  part_drained_ = false;
  for (uint32_t bucket = part.min; bucket <= part.max; ++bucket) {
    const std::vector<size_t> sites = table_.Leave(bucket);
    leaving_sites_.insert(leaving_sites_.end(), sites.begin(), sites.end());
  }
}

void Watch::Keep(store::Range kept) {
  std::lock_guard lock(mutex_);
  if (kept.Covers(range_) || !kept.Overlaps(range_)) return;
  for (uint32_t bucket = range_.min; bucket <= range_.max; ++bucket) {
    if (kept.Contains(bucket)) continue;
    bucket_leases_[bucket - loaded_.min].Close();
    table_.Forget(bucket);
    bucket_first_check_ms_.erase(bucket);
  }
  range_ = {std::max(range_.min, kept.min), std::min(range_.max, kept.max)};
  if (leaving_.has_value() && !range_.Covers(*leaving_)) {
    leaving_.reset();
    leaving_sites_ = {};
    part_drained_ = false;
  }
}

void Watch::SetMute(std::optional<store::Range> muted) {
  std::lock_guard lock(mutex_);
  muted_ = muted;
}

Writer Watch::Current() const {
  Writer writer = writer_;
  writer.muted = muted_;
  const auto since = parts_.clock->Boot() - began_;
  writer.v1_may_speak =
      writer.dialect == store::LegacyDialect::kV1 && since < parts_.config->LastWordsWithin();
  return writer;
}

Writer Watch::WriterNow() const {
  std::lock_guard lock(mutex_);
  return Current();
}

store::Range Watch::range() const {
  std::lock_guard lock(mutex_);
  return range_;
}

// Called with the lock.
store::Range Watch::Staying() const {
  return leaving_.has_value() ? range_.Without(*leaving_) : range_;
}

std::optional<uint32_t> Watch::fenced_out() const {
  std::lock_guard lock(mutex_);
  if (!fenced_out_) return std::nullopt;
  return fenced_bucket_;
}

void Watch::PardonFence() {
  std::lock_guard lock(mutex_);
  fenced_out_ = false;
}

void Watch::FencedOut(const absl::Status& refusal) {
  std::lock_guard lock(mutex_);
  fenced_bucket_ = FencedOutBucket(refusal).value_or(range_.min);
  fenced_out_ = true;
}

void Watch::Abandon() {
  lease_.Close();
  if (abandoned_.exchange(true)) return;
  parts_.engine->CancelAll();
  parts_.confirmer->CancelAll();
  wake_.notify_all();
}

void Watch::ScheduleLoop() {
  while (!abandoned_ && !draining_) {
    std::vector<size_t> due;
    {
      std::unique_lock lock(mutex_);
      if (checking_ && MaySend()) due = table_.TakeDue(parts_.clock->Boot(), kMostAtOnce);
      running_ += due.size();
      if (due.empty()) wake_.wait_for(lock, kSchedulerTick);
    }
    if (!due.empty()) Submit(due);
  }
}

void Watch::Submit(const std::vector<size_t>& due) {
  for (size_t index : due) {
    probe::CheckRequest request;
    {
      std::lock_guard lock(mutex_);
      WatchedSite& w = table_.at(index);
      if (w.dropped) {
        w.running = false;
        --running_;
        continue;
      }
      request.site_id = w.site.site_id;
      request.url = w.site.url;
      request.mode = w.mode();
      request.timeout = table_.Timeout(index);
      if (w.policy != nullptr) request.full = w.policy->full;
      request.lease = &bucket_leases_[w.site.bucket - loaded_.min];
      // A backlog must not keep an incident from being confirmed or ended.
      request.caller = w.event.has_value() ? kIncidents : kRegular;
    }
    const absl::Status s =
        parts_.engine->Submit(std::move(request), [this, index](probe::CheckResult check) {
          std::lock_guard lock(mutex_);
          --running_;
          results_.push_back({index, std::move(check)});
          wake_.notify_all();
        });
    if (s.ok()) continue;
    // The engine is full: the site is due again soon, and its lateness shows in the figures.
    std::lock_guard lock(mutex_);
    --running_;
    table_.Finished(index, SiteTable::Next::kSoon, parts_.clock->Boot());
    wake_.notify_all();
  }
}

void Watch::DecideLoop() {
  while (!abandoned_) {
    std::deque<Result> results;
    std::deque<Round> rounds;
    {
      std::unique_lock lock(mutex_);
      wake_.wait_for(lock, kDeciderTick,
                     [this] { return !results_.empty() || !rounds_.empty() || abandoned_; });
      results.swap(results_);
      rounds.swap(rounds_);
      deciding_ = true;
    }
    for (const Result& r : results) TakeResult(r);
    for (const Round& r : rounds) TakeRound(r);
    AskVantages();
    std::lock_guard lock(mutex_);
    deciding_ = false;
    to_write_ = to_write_ || !pending_.empty() || !history_.empty();
    if (!results.empty() || !rounds.empty()) wake_.notify_all();
  }
}

void Watch::RecordLoop() {
  while (adopt_ && !abandoned_ && !AdoptAll()) {
    std::unique_lock lock(mutex_);
    wake_.wait_for(lock, kRecorderTick);
  }
  {
    std::lock_guard lock(mutex_);
    const BootTime now = parts_.clock->Boot();
    for (size_t i = 0; i < table_.size(); ++i) table_.ScheduleFirst(i, began_, now);
    next_summary_ = next_refresh_ = turn_began_ = now;
  }
  checking_ = true;
  refresh_bucket_ = loaded_.min;
  while (!abandoned_) {
    std::vector<store::CheckHistoryRow> history;
    {
      std::unique_lock lock(mutex_);
      wake_.wait_for(lock, kRecorderTick, [this] { return to_write_ || abandoned_; });
      to_write_ = false;
      history.swap(history_);
    }
    WritePending();
    WriteHistory(std::move(history));
    if (!draining_) RefreshNextBucket();
    WriteSummaries();
    if (draining_ && !drained_ && Idle()) {
      WriteFreshness(Fresh::kAll);
      drained_ = true;
    }
    if (const auto part = PartAtRest(); part.has_value()) {
      WriteFreshness(Fresh::kLeaving);
      std::lock_guard lock(mutex_);
      part_drained_ = leaving_ == part;
    }
  }
}

bool Watch::Idle() {
  std::lock_guard lock(mutex_);
  return running_ == 0 && results_.empty() && rounds_.empty() && !deciding_ && pending_.empty() &&
         history_.empty() && rounds_under_way_ == 0;
}

std::optional<store::Range> Watch::PartAtRest() {
  std::lock_guard lock(mutex_);
  if (!leaving_.has_value() || part_drained_) return std::nullopt;
  const auto left = [this](const auto& row) { return leaving_->Contains(row); };
  for (const IncidentOp& op : pending_) {
    if (left(op.site.bucket)) return std::nullopt;
  }
  for (const store::CheckHistoryRow& row : history_) {
    if (left(row.bucket)) return std::nullopt;
  }
  // Who is at rest stays so: nothing is scheduled, and nobody is asked any more.
  for (; leaving_at_ < leaving_sites_.size(); ++leaving_at_) {
    const WatchedSite& w = table_.at(leaving_sites_[leaving_at_]);
    if (w.running || w.confirming) return std::nullopt;
  }
  return leaving_;
}

void Watch::TakeResult(const Result& result) {
  const probe::CheckResult& check = result.check;
  const BootTime now = parts_.clock->Boot();
  std::lock_guard lock(mutex_);
  WatchedSite& w = table_.at(result.index);
  if (w.dropped) {
    w.running = false;
    return;
  }
  if (!probe::IsVerdict(check.outcome)) {
    // Target safety's word is no word about the site; the other outcomes are checked again.
    const bool regular = check.outcome == probe::Outcome::kSafety;
    w.refused = w.refused || regular;
    table_.Finished(result.index, regular ? SiteTable::Next::kRegular : SiteTable::Next::kSoon,
                    now);
    return;
  }
  ++checks_;
  w.refused = false;
  const int64_t started_ms = parts_.clock->WallMs() -
                             std::chrono::duration_cast<milliseconds>(now - check.started).count();
  w.last_check = check.started;
  w.last_check_wall_ms = started_ms;
  int64_t& first = bucket_first_check_ms_[w.site.bucket];
  if (first == 0 || started_ms < first) first = started_ms;
  const bool up = check.outcome == probe::Outcome::kUp;
  if (!w.event.has_value()) suspicion_.Add(now, !up);
  bool second = false;
  if (up) {
    second = OnSuccess(result.index, check);
  } else {
    OnFailure(result.index, check);
    if (history_.size() < kMostHistory) {
      history_.push_back({w.site.site_id, w.site.bucket, started_ms, parts_.config->host, "down",
                          check.http_code, static_cast<int>(check.error_code), check.failure_class,
                          check.detail, check.timings.total_us});
    }
  }
  const bool retry = !up && (!w.event.has_value() || w.event->severity != store::Severity::kDown);
  const bool at_first = w.first_round && writer_.dialect == store::LegacyDialect::kV1 &&
                        w.failures < parts_.config->num_of_checks;
  table_.Finished(result.index,
                  retry && at_first ? SiteTable::Next::kFirstRetry
                  : retry           ? SiteTable::Next::kRetry
                  : second          ? SiteTable::Next::kSecond
                                    : SiteTable::Next::kRegular,
                  now);
}

// Called with the lock.
bool Watch::OnSuccess(size_t index, const probe::CheckResult& check) {
  constexpr int kGoodChecks = 2;  // that end what v1 said
  WatchedSite& w = table_.at(index);
  w.failures = 0;
  w.first_round = false;
  if (!w.event.has_value() || w.deciding) return false;
  const bool v1s =
      writer_.dialect == store::LegacyDialect::kV1 && w.event->notified == store::kAdoptedDown;
  if (v1s && ++w.good < kGoodChecks) return true;
  IncidentOp op;
  op.kind = IncidentOp::Kind::kClose;
  op.index = index;
  op.site = w.site;
  op.seen = w.event;
  op.reason = w.event->severity == store::Severity::kDown ? store::transition::kRecovered
                                                          : store::transition::kProbeCleared;
  op.checks_json =
      ChecksJson({{1, parts_.config->host, 1, check.timings.total_us / 1000, check.http_code}});
  w.deciding = true;
  pending_.push_back(std::move(op));
  return false;
}

// Called with the lock.
void Watch::OnFailure(size_t index, const probe::CheckResult& check) {
  WatchedSite& w = table_.at(index);
  ++w.failures;
  w.good = 0;
  if (w.deciding) return;
  if (!w.event.has_value()) {
    // When many sites fail at once the fault may be ours: a second pass must agree.
    if (w.failures < 2 && suspicion_.suspect(parts_.clock->Boot())) return;
    IncidentOp op;
    op.kind = IncidentOp::Kind::kOpen;
    op.index = index;
    op.site = w.site;
    op.why = {static_cast<int>(check.error_code), check.http_code, check.failure_class,
              check.detail};
    w.deciding = true;
    pending_.push_back(std::move(op));
    return;
  }
  if (w.event->severity == store::Severity::kSeemsDown && !w.confirming &&
      w.failures >= parts_.config->num_of_checks) {
    w.confirming = true;
    to_confirm_.push_back(index);
  }
}

void Watch::WritePending() {
  for (;;) {
    std::vector<IncidentOp> ops;
    {
      std::lock_guard lock(mutex_);
      std::erase_if(pending_, [this](const auto& op) { return table_.at(op.index).dropped; });
      const size_t n = std::min(pending_.size(), at_once_);
      ops.assign(pending_.begin(), pending_.begin() + n);
    }
    if (ops.empty() || abandoned_ || fenced_out_) return;
    const absl::Status s = WriteIncidents(*parts_.db, *parts_.clock,
                                          parts_.clock->Boot() + kWriteLimit, WriterNow(), &ops);
    if (s.ok()) {
      Settle(ops);
      at_once_ = std::min(2 * at_once_, kMostAtOnce);
      continue;
    }
    if (IsFencedOut(s)) {
      FencedOut(s);
      LogWarning(absl::StrCat("epoch ", writer_.epoch, ": a write was refused: ", s.message()));
      return;
    }
    // They stay queued, and are tried again while the lease lasts; one by one, so that one that
    // can't be written holds up no other.
    LogWarning(absl::StrCat("incidents wait to be written: ", s.message()));
    std::lock_guard lock(mutex_);
    if (ops.size() == 1) std::rotate(pending_.begin(), pending_.begin() + 1, pending_.end());
    at_once_ = 1;
    return;
  }
}

void Watch::Settle(const std::vector<IncidentOp>& ops) {
  std::lock_guard lock(mutex_);
  pending_.erase(pending_.begin(), pending_.begin() + ops.size());
  for (const IncidentOp& op : ops) {
    WatchedSite& w = table_.at(op.index);
    w.deciding = false;
    if (w.dropped) continue;
    const uint64_t before = w.event.has_value() ? w.event->event_id : 0;
    w.event = op.now;
    if (!w.event.has_value() || w.event->event_id != before) w.good = 0;
    if (op.kind == IncidentOp::Kind::kLook) LogWord(op);
    if (!w.event.has_value()) w.asked_since = {};
    // Also one that was found to be gone while this was written.
    if (op.outcome == store::ChangeOutcome::kSiteGone || w.gone) Remove(op.index);
  }
}

// Called with the lock.
void Watch::Remove(size_t index) {
  table_.MarkGone(index);
  WatchedSite& w = table_.at(index);
  if (!w.event.has_value() || w.deciding) return;
  IncidentOp removal;
  removal.kind = IncidentOp::Kind::kRemove;
  removal.index = index;
  removal.site = w.site;
  removal.seen = w.event;
  w.deciding = true;
  pending_.push_back(std::move(removal));
}

Watch::Figures Watch::figures() const {
  std::lock_guard lock(mutex_);
  Figures f;
  const BootTime now = parts_.clock->Boot();
  const SiteTable::Backlog backlog = table_.Overdue(now);
  f.targets = backlog.targets;
  f.due = checking_ ? backlog.due : 0;
  f.oldest_due = checking_ ? backlog.oldest : milliseconds(0);
  f.running = running_;
  f.checks = checks_;
  f.local_only = local_only_;
  f.refused = backlog.refused;
  f.refused_site = backlog.refused_site;
  f.faulty = backlog.faulty;
  if (f.faulty > 0) f.fault = absl::StrCat("site ", backlog.faulty_site, ": ", backlog.fault);
  f.suspect = suspicion_.suspect(now);
  f.foreign = foreign_;
  return f;
}

}  // namespace jetmon::monitor
