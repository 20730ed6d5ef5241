#include "monitor/site_table.h"

#include <stdlib.h>

#include <algorithm>
#include <utility>

namespace jetmon::monitor {
namespace {

// First checks are spread over this part of what is allowed, so that the last one is in time too.
constexpr double kFirstCheckShare = 0.8;
// Over no less than this part, however long taking over took: together they would be a storm.
constexpr double kLeastShare = 0.5;
constexpr milliseconds kSoon{500};

// The latest moment in (after, after + interval] that is in the site's phase.
BootTime InPhase(BootTime after, milliseconds interval, uint64_t phase) {
  const int64_t period = std::chrono::nanoseconds(interval).count();
  const int64_t offset = static_cast<int64_t>(phase * 1'000'003 % static_cast<uint64_t>(period));
  const int64_t last = after.ns + period;
  const int64_t over = ((last - offset) % period + period) % period;
  return {last - over};
}

// Keeps the few that are late for longest: after an outage of our own all of a bucket may be.
class LatestFew {
 public:
  void Add(std::chrono::nanoseconds over, store::LateSite site) {
    if (few_.size() == store::kMostLateSites) {
      if (over <= few_.front().first) return;
      std::pop_heap(few_.begin(), few_.end(), ByOver);
      few_.pop_back();
    }
    few_.emplace_back(over, site);
    std::push_heap(few_.begin(), few_.end(), ByOver);
  }
  // The one that is late for longest first.
  std::vector<store::LateSite> Sites() const {
    std::vector<Late> sorted = few_;
    std::sort(sorted.begin(), sorted.end(), ByOver);
    std::vector<store::LateSite> sites;
    for (const Late& late : sorted) sites.push_back(late.second);
    return sites;
  }

 private:
  using Late = std::pair<std::chrono::nanoseconds, store::LateSite>;
  static bool ByOver(const Late& a, const Late& b) { return a.first > b.first; }
  std::vector<Late> few_;  // a heap whose front is late for the shortest
};

// As a number: a table has millions.
uint64_t HashOf(const store::Site& site) {
  return strtoull(store::ConfigHash(site).c_str(), nullptr, 16);
}

}  // namespace

bool SiteTable::IsConfiguredAs(size_t index, const store::Site& site) const {
  return sites_[index].config_hash == HashOf(site);
}

size_t SiteTable::Put(const store::Site& site, std::shared_ptr<const CheckPolicy> policy) {
  auto known = by_id_.find(site.site_id);
  const bool here = known != by_id_.end() && sites_[known->second].site.bucket == site.bucket;
  const size_t index = here ? known->second : sites_.size();
  if (!here) {
    sites_.emplace_back();
    by_id_[site.site_id] = index;
    buckets_[site.bucket].push_back(index);
  }
  WatchedSite& w = sites_[index];
  w.site = site;
  w.config_hash = HashOf(site);
  w.phase = store::PhaseOf(site.site_id);
  w.policy = std::move(policy);
  w.interval = std::max(1, site.check_interval) * config_.unit;
  w.gone = w.refused = false;
  return index;
}

void SiteTable::ScheduleFirst(size_t index, BootTime since, BootTime now) {
  const WatchedSite& w = sites_[index];
  if (w.gone || w.leaving) return;
  const auto window =
      static_cast<double>(std::chrono::nanoseconds(FirstCheckWithin(w.interval)).count());
  const double left = kFirstCheckShare * window - static_cast<double>((now - since).count());
  const auto spread = static_cast<uint64_t>(std::max(left, kLeastShare * window));
  Push(index, now + std::chrono::nanoseconds(w.phase * 1'000'003 % spread));
}

void SiteTable::MarkGone(size_t index) {
  sites_[index].gone = true;
  sites_[index].due = {};
}

std::vector<size_t> SiteTable::Leave(uint32_t bucket) {
  auto indices = buckets_.find(bucket);
  if (indices == buckets_.end()) return {};
  for (size_t index : indices->second) sites_[index].leaving = true;
  return indices->second;
}

void SiteTable::Forget(uint32_t bucket) {
  auto indices = buckets_.find(bucket);
  if (indices == buckets_.end()) return;
  for (size_t index : indices->second) {
    WatchedSite& w = sites_[index];
    auto known = by_id_.find(w.site.site_id);
    if (known != by_id_.end() && known->second == index) by_id_.erase(known);
    if (!w.running && !w.confirming && !w.deciding) w = WatchedSite();  // gives its memory back
    w.gone = w.dropped = true;
    w.due = {};
  }
  buckets_.erase(indices);
}

std::vector<size_t> SiteTable::TakeDue(BootTime now, size_t max) {
  std::vector<size_t> due;
  for (DropStale(); due.size() < max && !queue_.empty() && queue_.top().due <= now; DropStale()) {
    const size_t index = queue_.top().index;
    queue_.pop();
    sites_[index].running = true;
    due.push_back(index);
  }
  return due;
}

void SiteTable::Finished(size_t index, Next next, BootTime now) {
  WatchedSite& w = sites_[index];
  w.running = false;
  if (w.gone || w.leaving) return;
  // Regular checks count from when this one was due, so that lateness does not add up.
  BootTime due = std::max(InPhase(w.due, w.interval, w.phase), now);
  if (next == Next::kRetry) due = std::min(due, now + config_.RetryDelay());
  if (next == Next::kFirstRetry) due = std::min(due, now + config_.FirstRoundRetryDelay());
  if (next == Next::kSecond) due = std::min(due, now + config_.SecondGoodCheckAfter());
  if (next == Next::kSoon) due = std::min(due, now + kSoon);
  Push(index, due);
}

milliseconds SiteTable::Timeout(size_t index) const {
  const CheckPolicy* policy = sites_[index].policy.get();
  const bool own = policy != nullptr && policy->timeout.count() > 0;
  const milliseconds longest = config_.Deadlines().check();
  return own ? std::min(policy->timeout, longest) : longest;
}

std::optional<size_t> SiteTable::Find(uint64_t site_id) const {
  auto known = by_id_.find(site_id);
  if (known == by_id_.end()) return std::nullopt;
  return known->second;
}

void SiteTable::Push(size_t index, BootTime due) {
  sites_[index].due = due;
  queue_.push({due, index});
}

void SiteTable::DropStale() {
  while (!queue_.empty()) {
    const Entry& top = queue_.top();
    const WatchedSite& w = sites_[top.index];
    if (!w.gone && !w.leaving && !w.running && w.due == top.due) return;
    queue_.pop();
  }
}

store::BucketActivity SiteTable::Summarise(uint32_t bucket, BootTime now, BootTime began) const {
  store::BucketActivity a;
  a.bucket = bucket;
  auto indices = buckets_.find(bucket);
  if (indices == buckets_.end()) return a;
  bool some_never = false;
  LatestFew latest;
  for (size_t index : indices->second) {
    const WatchedSite& w = sites_[index];
    if (w.gone || w.refused) continue;
    ++a.sites;
    const bool checked = w.last_check.ns != 0;
    if (checked) ++a.checked;
    const auto allowed = checked ? w.interval + LateAllowance(w.interval)
                                 : FirstCheckWithin(w.interval) + LateAllowance(w.interval);
    // A check that is running delays the next; its own deadline bounds it.
    const auto over = now - (checked ? w.last_check : began) - allowed;
    if (!w.running && over > std::chrono::nanoseconds(0)) {
      ++a.late;
      latest.Add(over, {w.site.site_id, checked ? w.last_check_wall_ms : 0});
    }
    if (!checked) {
      some_never = true;
    } else {
      if (a.oldest_check_ms == 0 || w.last_check_wall_ms < a.oldest_check_ms) {
        a.oldest_check_ms = w.last_check_wall_ms;
      }
    }
  }
  if (some_never) a.oldest_check_ms = 0;
  a.late_sites = latest.Sites();
  return a;
}

SiteTable::Backlog SiteTable::Overdue(BootTime now) const {
  Backlog b;
  for (const WatchedSite& w : sites_) {
    if (w.gone) continue;
    ++b.targets;
    if (w.refused && b.refused++ == 0) b.refused_site = w.site.site_id;
    if (w.policy != nullptr && !w.policy->fault.empty() && b.faulty++ == 0) {
      b.faulty_site = w.site.site_id;
      b.fault = w.policy->fault;
    }
    if (w.leaving || w.running || w.due.ns == 0 || w.due > now) continue;
    ++b.due;
    b.oldest = std::max(b.oldest, std::chrono::duration_cast<milliseconds>(now - w.due));
  }
  return b;
}

}  // namespace jetmon::monitor
