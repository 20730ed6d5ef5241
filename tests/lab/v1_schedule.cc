#include "tests/lab/v1_schedule.h"

#include <algorithm>
#include <utility>

namespace jetmon::lab {
namespace {

using std::chrono::steady_clock;

constexpr int kChecksToConfirm = 3;
constexpr std::chrono::seconds kFirstWithin{60};

}  // namespace

V1Change JudgeAsV1(V1Site& site, bool up) {
  V1Change change;
  int& status = site.row.site_status;
  if (up) {
    site.failures = 0;
    if (status == 1) return change;
    change.status = 1;
    change.notify = status == 2;
    status = 1;
    return change;
  }
  ++site.failures;
  if (status == 1) {
    change.status = 0;
    status = 0;
  } else if (status == 0 && site.failures >= kChecksToConfirm) {
    change.status = 2;
    change.notify = true;
    status = 2;
  }
  change.retry_soon = status == 0;
  return change;
}

void V1Schedule::Start(BucketRange range, std::vector<LegacySite> sites) {
  const std::lock_guard<std::mutex> lock(mutex_);
  ++round_;
  for (uint32_t b = range.min; b <= range.max; ++b) {
    rounds_[b] = round_;
    counts_[b] = 0;
  }
  const Time now = steady_clock::now();
  const int64_t count = static_cast<int64_t>(sites.size());
  for (int64_t i = 0; i < count; ++i) {
    const std::chrono::nanoseconds interval = unit_ * std::max(sites[i].check_interval, 1);
    const auto first = std::min<std::chrono::nanoseconds>(interval, kFirstWithin) * i / count;
    ++counts_[sites[i].bucket];
    auto site = std::make_shared<V1Site>();
    site->row = std::move(sites[i]);
    site->round = round_;
    due_.push({now + first, site});
  }
  due_changed_.notify_all();
}

void V1Schedule::Stop(BucketRange range) {
  std::unique_lock<std::mutex> lock(mutex_);
  for (uint32_t b = range.min; b <= range.max; ++b) {
    rounds_.erase(b);
    counts_.erase(b);
  }
  // Entries that wait are dropped when they come up: their round is over.
  given_back_.wait(lock, [&] {
    const auto it = held_.lower_bound(range.min);
    return it == held_.end() || it->first > range.max;
  });
}

std::shared_ptr<V1Site> V1Schedule::Take() {
  std::unique_lock<std::mutex> lock(mutex_);
  for (;;) {
    if (closed_) return nullptr;
    if (due_.empty()) {
      due_changed_.wait(lock);
      continue;
    }
    const Due& first = due_.top();
    const uint32_t bucket = first.site->row.bucket;
    if (RoundOf(bucket) != first.site->round) {
      due_.pop();
      continue;
    }
    if (const Time at = first.at; at > steady_clock::now()) {
      due_changed_.wait_until(lock, at);
      continue;
    }
    auto site = first.site;
    due_.pop();
    ++held_[bucket];
    return site;
  }
}

void V1Schedule::GiveBack(const std::shared_ptr<V1Site>& site, bool retry_soon) {
  const std::lock_guard<std::mutex> lock(mutex_);
  const uint32_t bucket = site->row.bucket;
  if (--held_[bucket] == 0) {
    held_.erase(bucket);
    given_back_.notify_all();
  }
  if (RoundOf(bucket) != site->round) return;
  const auto delay = retry_soon ? unit_ : unit_ * std::max(site->row.check_interval, 1);
  due_.push({steady_clock::now() + delay, site});
  due_changed_.notify_one();
}

void V1Schedule::Close() {
  const std::lock_guard<std::mutex> lock(mutex_);
  closed_ = true;
  due_changed_.notify_all();
}

uint64_t V1Schedule::size() const {
  const std::lock_guard<std::mutex> lock(mutex_);
  uint64_t sum = 0;
  for (const auto& [bucket, count] : counts_) sum += count;
  return sum;
}

uint64_t V1Schedule::RoundOf(uint32_t bucket) const {
  const auto it = rounds_.find(bucket);
  return it == rounds_.end() ? 0 : it->second;
}

}  // namespace jetmon::lab
