#include "tests/lab/v1/host.h"

#include <utility>

namespace jetmon::lab {

V1Host::V1Host(V1Config config, V1World& world)
    : config_(std::move(config)),
      world_(world),
      range_(config_.range),
      batches_(config_.range, config_.batch_size),
      rules_(config_.times, static_cast<int>(config_.verifliers.size()), config_.limit) {}

void V1Host::Turn() {
  const std::lock_guard<std::mutex> lock(mutex_);
  if (state_ != State::kRuns) return;
  const int64_t now_ms = world_.NowMs();
  if (now_ms >= next_tick_ms_) {
    next_tick_ms_ = now_ms + config_.times.tick_ms;
    V1Rules::Due due = rules_.Tick(now_ms);
    for (V1Site& site : due.local) PostLocal(std::move(site));
    for (const V1Site& site : due.remote) {
      for (const std::string& source : config_.verifliers) {
        world_.PostCheck(
            [self = shared_from_this(), site, source] { self->RunVeriflier(site, source); });
      }
    }
  }
  // The next batch is read when the workers have begun all of the last one.
  if (reading_ || waiting_ > 0) return;
  if (between_rounds_) BeginRound(now_ms);
  if (!between_rounds_) ReadNextBatch();
}

void V1Host::BeginRound(int64_t now_ms) {
  if (rounds_left_ && *rounds_left_ == 0) {
    if (rules_.confirming() == 0 && untold_ == 0 && under_way_ == 0) state_ = State::kLeft;
    return;
  }
  if (rounds_ > 0 && now_ms < round_began_ms_ + config_.times.round_ms) return;
  if (rounds_left_) --*rounds_left_;
  ++rounds_;
  round_began_ms_ = now_ms;
  between_rounds_ = false;
}

void V1Host::ReadNextBatch() {
  const V1Batches::Batch batch = batches_.Next();
  between_rounds_ = batch.ends_round;
  if (!batch.buckets) return;
  reading_ = true;
  world_.PostCheck([self = shared_from_this(), batch] { self->RunRead(batch); });
}

void V1Host::RunRead(const V1Batches::Batch& batch) {
  if (!Begin(Job::kOther)) return;
  bool fails = false;
  if (batch.ends_round) {
    const std::lock_guard<std::mutex> lock(mutex_);
    std::swap(fails, fail_last_read_);
  }
  auto rows = fails ? absl::UnavailableError("as it was told") : world_.Read(*batch.buckets);
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    reading_ = false;
    if (state_ == State::kRuns && !rows.ok()) batches_.Failed();
    if (state_ == State::kRuns && rows.ok()) {
      rows_ += rows->size();
      for (LegacyRow& row : *rows) PostLocal(V1Site{std::move(row), {}, 0});
    }
  }
  End();
}

void V1Host::PostLocal(V1Site site) {
  ++waiting_;
  world_.PostCheck([self = shared_from_this(), site = std::move(site)] { self->RunLocal(site); });
}

void V1Host::RunLocal(V1Site site) {
  if (!Begin(Job::kLocal)) return;
  const int64_t began_ms = world_.NowMs();
  const int code = world_.Check(site.row.url, config_.source);
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    const int64_t now_ms = world_.NowMs();
    if (state_ == State::kRuns) {
      if (auto tell = rules_.OnCheck(std::move(site), code, now_ms - began_ms, now_ms)) {
        PostTell(std::move(*tell));
      }
    }
  }
  End();
}

void V1Host::RunVeriflier(const V1Site& site, const std::string& source) {
  if (!Begin(Job::kOther)) return;
  const int64_t began_ms = world_.NowMs();
  V1Check check;
  check.host = source;
  check.code = world_.Check(site.row.url, source);
  check.status = check.code > 0 && check.code < 400 ? 1 : 0;
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    const int64_t now_ms = world_.NowMs();
    check.rtt_ms = now_ms - began_ms;
    if (state_ == State::kRuns) {
      if (auto tell = rules_.OnVeriflier(site.row.blog_id, site.row.url, check, now_ms)) {
        PostTell(std::move(*tell));
      }
    }
  }
  End();
}

void V1Host::PostTell(V1Tell tell) {
  ++untold_;
  world_.PostTell([self = shared_from_this(), tell = std::move(tell)] { self->RunTell(tell); });
}

void V1Host::RunTell(const V1Tell& tell) {
  if (!Begin(Job::kTell)) return;
  if (config_.db_updates) world_.WriteStatus(tell.site.row, tell.status);
  if (!world_.Tell(tell, 1)) {
    bool again;
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      again = state_ == State::kRuns;
    }
    if (again) world_.Tell(tell, 2);  // if that fails too, the next round tells it
  }
  End();
}

bool V1Host::Begin(Job job) {
  const std::lock_guard<std::mutex> lock(mutex_);
  if (job == Job::kLocal) --waiting_;
  if (job == Job::kTell) --untold_;
  const bool orphan = job == Job::kLocal && state_ == State::kKilled && config_.orphans &&
                      world_.NowMs() < killed_ms_ + config_.times.orphan_ms;
  if (state_ != State::kRuns && !orphan) return false;
  ++under_way_;
  return true;
}

void V1Host::End() {
  const std::lock_guard<std::mutex> lock(mutex_);
  if (--under_way_ == 0) idle_.notify_all();
}

void V1Host::Stop() {
  std::unique_lock<std::mutex> lock(mutex_);
  if (state_ == State::kRuns) state_ = State::kStopped;
  rules_.Forget();
  idle_.wait(lock, [this] { return under_way_ == 0; });
}

void V1Host::Kill() {
  const std::lock_guard<std::mutex> lock(mutex_);
  if (state_ == State::kRuns) {
    state_ = State::kKilled;
    killed_ms_ = world_.NowMs();
  }
  rules_.Forget();
}

void V1Host::LeaveByHup() {
  const std::lock_guard<std::mutex> lock(mutex_);
  if (!rounds_left_) rounds_left_ = 1;
}

void V1Host::Configure(BucketRange range) {
  const std::lock_guard<std::mutex> lock(mutex_);
  range_ = range;
  batches_.Configure(range);
}

void V1Host::FailLastRead() {
  const std::lock_guard<std::mutex> lock(mutex_);
  fail_last_read_ = true;
}

BucketRange V1Host::range() const {
  const std::lock_guard<std::mutex> lock(mutex_);
  return range_;
}

bool V1Host::ended() const {
  const std::lock_guard<std::mutex> lock(mutex_);
  return state_ != State::kRuns;
}

bool V1Host::leaving() const {
  const std::lock_guard<std::mutex> lock(mutex_);
  return rounds_left_.has_value();
}

bool V1Host::left() const {
  const std::lock_guard<std::mutex> lock(mutex_);
  return state_ == State::kLeft;
}

V1Host::Figures V1Host::figures() const {
  const std::lock_guard<std::mutex> lock(mutex_);
  Figures figures;
  figures.rounds = rounds_;
  figures.rows = rows_;
  figures.confirming = rules_.confirming();
  figures.under_way = under_way_;
  return figures;
}

}  // namespace jetmon::lab
