// What a watch reads and writes besides incidents: loading, adoption, summaries, freshness, and the
// rolling read of the owned buckets.
#include <algorithm>
#include <unordered_set>

#include "absl/strings/str_cat.h"
#include "daemon/log.h"
#include "monitor/watch.h"
#include "store/activity.h"
#include "store/hosts.h"

namespace jetmon::monitor {
namespace {

constexpr size_t kBucketsATransaction = 16;
constexpr size_t kFreshnessAtOnce = 500;
constexpr int kSitesAPage = 5000;
constexpr std::chrono::seconds kWriteLimit{5};
constexpr std::chrono::seconds kLoadLimit{30};

std::shared_ptr<const CheckPolicy> PolicyOf(
    const std::unordered_map<uint64_t, std::shared_ptr<const CheckPolicy>>& policies,
    uint64_t site_id) {
  auto at = policies.find(site_id);
  return at != policies.end() ? at->second : nullptr;
}

// Sites whose configuration is found to be faulty, to be told once.
class Faults {
 public:
  void Add(uint64_t site_id, const CheckPolicy* before, const CheckPolicy* now) {
    if (now == nullptr || now == before || now->fault.empty()) return;
    if (count_++ == 0) first_ = absl::StrCat("site ", site_id, ": ", now->fault);
  }
  void Log() const {
    if (count_ > 0) LogWarning(FaultText(count_, first_));
  }

 private:
  size_t count_ = 0;
  std::string first_;
};

}  // namespace

absl::Status Watch::Load() {
  for (uint32_t bucket = loaded_.min; bucket <= loaded_.max; ++bucket) {
    if (auto s = LoadBucket(bucket); !s.ok()) return s;
  }
  if (const Figures f = figures(); f.faulty > 0) LogWarning(FaultText(f.faulty, f.fault));
  return absl::OkStatus();
}

absl::Status Watch::ReadBucket(sql::Transaction& tx, uint32_t bucket,
                               std::vector<store::Site>* sites, SitePolicies* policies) {
  sites->clear();
  policies->clear();
  for (store::SiteCursor after;;) {
    auto page = store::ActiveSitesOfBucket(tx, bucket, after, kSitesAPage);
    if (!page.ok()) return page.status();
    sites->insert(sites->end(), page->begin(), page->end());
    if (page->size() < static_cast<size_t>(kSitesAPage)) break;
    after = store::SiteCursor::After(page->back());
  }
  auto rows = store::ConfigsOfBucket(tx, bucket);
  if (!rows.ok()) return rows.status();
  for (const store::CheckConfig& row : *rows) (*policies)[row.site_id] = policies_.Of(row);
  return absl::OkStatus();
}

absl::Status Watch::LoadBucket(uint32_t bucket) {
  std::vector<store::Site> sites;
  SitePolicies policies;
  std::vector<store::Event> events;
  const absl::Status s =
      parts_.db->Read(parts_.clock->Boot() + kLoadLimit, [&](sql::Transaction& tx) {
        if (auto r = ReadBucket(tx, bucket, &sites, &policies); !r.ok()) return r;
        auto open = store::OpenEventsOfBucket(tx, bucket);
        if (open.ok()) events = std::move(*open);
        return open.status();
      });
  if (!s.ok()) return s;
  std::lock_guard lock(mutex_);
  for (const store::Site& site : sites) table_.Put(site, PolicyOf(policies, site.site_id));
  for (store::Event& e : events) {
    if (auto index = table_.Find(e.site_id); index.has_value()) {
      table_.at(*index).event = std::move(e);
    }
  }
  return absl::OkStatus();
}

absl::Status Watch::Fenced(const std::set<uint32_t>& buckets,
                           const std::function<absl::Status(sql::Transaction&)>& body) {
  const absl::Status s = parts_.db->Write(
      parts_.clock->Boot() + kWriteLimit, [&](sql::Transaction& tx) -> absl::Status {
        if (auto passed = PassFences(tx, writer_, buckets); !passed.ok()) return passed;
        return body(tx);
      });
  if (IsFencedOut(s)) FencedOut(s);
  if (!s.ok() && !abandoned_) {
    LogWarning(absl::StrCat("epoch ", writer_.epoch, ": ", s.message()));
  }
  return s;
}

bool Watch::AdoptAll() {
  std::vector<uint32_t> buckets;
  store::Range range;
  {
    std::lock_guard lock(mutex_);
    range = Staying();
  }
  for (uint32_t bucket = range.min; bucket <= range.max; ++bucket) {
    buckets.push_back(bucket);
    if (buckets.size() < kBucketsATransaction && bucket != range.max) continue;
    if (abandoned_ || fenced_out_ || !AdoptBuckets(buckets).ok()) return false;
    buckets.clear();
  }
  return true;
}

absl::Status Watch::AdoptBuckets(const std::vector<uint32_t>& buckets) {
  std::vector<store::Event> events;
  store::Actor actor = ActorOf(WriterNow(), parts_.clock->WallMs());
  actor.source = "rollout:seed";
  const std::set<uint32_t> set(buckets.begin(), buckets.end());
  const absl::Status s = Fenced(set, [&](sql::Transaction& tx) -> absl::Status {
    events.clear();
    for (uint32_t bucket : buckets) {
      auto adopted = store::AdoptSlice(tx, {.buckets = {bucket, bucket}}, actor);
      if (!adopted.ok()) return adopted.status();
      auto open = store::OpenEventsOfBucket(tx, bucket);
      if (!open.ok()) return open.status();
      events.insert(events.end(), open->begin(), open->end());
    }
    return absl::OkStatus();
  });
  if (!s.ok()) return s;
  std::lock_guard lock(mutex_);
  for (uint32_t bucket : buckets) {
    auto indices = table_.buckets().find(bucket);
    if (indices == table_.buckets().end()) continue;
    for (size_t index : indices->second) table_.at(index).event.reset();
  }
  for (store::Event& e : events) {
    if (auto index = table_.Find(e.site_id); index.has_value()) {
      table_.at(*index).event = std::move(e);
    }
  }
  return absl::OkStatus();
}

void Watch::WriteHistory(std::vector<store::CheckHistoryRow> rows) {
  {
    std::lock_guard lock(mutex_);
    std::erase_if(rows, [this](const auto& row) { return !range_.Contains(row.bucket); });
  }
  if (rows.empty() || abandoned_ || fenced_out_) return;
  std::set<uint32_t> buckets;
  for (const auto& row : rows) buckets.insert(row.bucket);
  const store::Actor actor = ActorOf(writer_, parts_.clock->WallMs());
  // History is for people; what can't be written is logged by Fenced and left out.
  Fenced(buckets, [&](sql::Transaction& tx) {
    return store::InsertHistory(tx, rows, actor);
  }).IgnoreError();
}

void Watch::WriteSummaries() {
  const BootTime now = parts_.clock->Boot();
  if (now < next_summary_ || fenced_out_ || !MaySend()) return;
  next_summary_ = now + parts_.config->SummaryPeriod();
  std::vector<store::BucketActivity> rows;
  std::set<uint32_t> buckets;
  {
    std::lock_guard lock(mutex_);
    const store::Range range = Staying();
    for (uint32_t bucket = range.min; bucket <= range.max; ++bucket) {
      store::BucketActivity a = table_.Summarise(bucket, now, began_);
      a.epoch = writer_.epoch;
      a.updated_at_ms = parts_.clock->WallMs();
      auto first = bucket_first_check_ms_.find(bucket);
      a.first_check_ms = first == bucket_first_check_ms_.end() ? 0 : first->second;
      rows.push_back(a);
      buckets.insert(bucket);
    }
  }
  // The next summary says it again.
  Fenced(buckets, [&](sql::Transaction& tx) {
    return store::SaveActivity(tx, rows);
  }).IgnoreError();
  WriteFreshness(Fresh::kDue);
}

void Watch::WriteFreshness(Fresh which) {
  for (;;) {
    std::vector<store::Freshness> rows;
    std::vector<size_t> indices;
    std::set<uint32_t> buckets;
    const int64_t wall = parts_.clock->WallMs();
    const BootTime now = parts_.clock->Boot();
    {
      std::lock_guard lock(mutex_);
      for (size_t i = 0; i < table_.size() && rows.size() < kFreshnessAtOnce; ++i) {
        const WatchedSite& w = table_.at(i);
        const int64_t age = w.last_check_wall_ms - w.saved_check_wall_ms;
        const bool due = which == Fresh::kAll || (which == Fresh::kLeaving && w.leaving) ||
                         age >= parts_.config->FreshnessPeriod().count();
        if (w.gone || age <= 0 || !due) continue;
        const int64_t next = wall + std::chrono::duration_cast<milliseconds>(w.due - now).count();
        rows.push_back({w.site.site_id, w.site.bucket, w.last_check_wall_ms, next});
        indices.push_back(i);
        buckets.insert(w.site.bucket);
      }
    }
    if (rows.empty() || abandoned_ || fenced_out_) return;
    const absl::Status s =
        Fenced(buckets, [&](sql::Transaction& tx) { return store::SaveFreshness(tx, rows); });
    if (!s.ok()) return;  // written with the next ones
    std::lock_guard lock(mutex_);
    for (size_t i = 0; i < rows.size(); ++i) {
      table_.at(indices[i]).saved_check_wall_ms = rows[i].last_checked_at_ms;
    }
  }
}

// One bucket at a time, so that all have been read once in RefreshPeriod.
void Watch::RefreshNextBucket() {
  const BootTime now = parts_.clock->Boot();
  while (now >= next_refresh_ && !abandoned_ && !fenced_out_) {
    // As often as at first, also when there are fewer: no bucket waits longer for what has left.
    next_refresh_ =
        next_refresh_ + std::chrono::nanoseconds(parts_.config->RefreshPeriod()) / loaded_.size();
    if (now - next_refresh_ > std::chrono::seconds(5)) next_refresh_ = now;  // after a pause
    uint32_t bucket = refresh_bucket_, next = 0;
    bool ends_turn = false;
    {
      std::lock_guard lock(mutex_);
      const store::Range range = Staying();
      if (!range.Contains(bucket)) bucket = range.min;
      if (bucket == range.min) turn_began_ = now;
      ends_turn = bucket == range.max;
      next = ends_turn ? range.min : bucket + 1;
    }
    std::vector<store::Site> sites;
    SitePolicies policies;
    const absl::Status s = parts_.db->Read(now + kWriteLimit, [&](sql::Transaction& tx) {
      return ReadBucket(tx, bucket, &sites, &policies);
    });
    if (!s.ok()) {
      LogWarning(absl::StrCat("bucket ", bucket, " was not read again: ", s.message()));
      return;  // the next time
    }
    refresh_bucket_ = next;
    ApplyRefresh(bucket, sites, policies);
    if (!v1_has_spoken_ && ends_turn && turn_began_ - began_ >= parts_.config->LastWordsWithin()) {
      // What this turn found is decided by what held when it was read.
      WritePending();
      std::lock_guard lock(mutex_);
      v1_has_spoken_ = std::none_of(pending_.begin(), pending_.end(), [](const IncidentOp& op) {
        return op.kind == IncidentOp::Kind::kLook;
      });
    }
  }
}

void Watch::ApplyRefresh(uint32_t bucket, const std::vector<store::Site>& sites,
                         const SitePolicies& policies) {
  std::vector<store::Target> changed;
  std::vector<uint64_t> removed;
  Faults faults;
  {
    std::lock_guard lock(mutex_);
    if (!Staying().Contains(bucket)) return;  // it left while it was read
    std::unordered_set<uint64_t> seen;
    const BootTime now = parts_.clock->Boot();
    for (const store::Site& site : sites) {
      seen.insert(site.site_id);
      auto index = table_.Find(site.site_id);
      if (index.has_value() && table_.at(*index).site.bucket != bucket) {
        // It has come from another bucket of ours, be it one that leaves: a removal there and an
        // addition here.
        Remove(*index);
        index.reset();
      }
      auto policy = PolicyOf(policies, site.site_id);
      const bool known = index.has_value() && !table_.at(*index).gone;
      faults.Add(site.site_id, known ? table_.at(*index).policy.get() : nullptr, policy.get());
      if (known) table_.at(*index).policy = policy;
      if (known && table_.IsConfiguredAs(*index, site)) {
        LookAtColumns(*index, site, /*is_new=*/false);
        continue;
      }
      const bool running = index.has_value() && table_.at(*index).running;
      const size_t put = table_.Put(site, std::move(policy));
      LookAtColumns(put, site, /*is_new=*/true);
      if (!running) table_.ScheduleFirst(put, now, now);
      changed.push_back(store::TargetOf(site));
    }
    auto indices = table_.buckets().find(bucket);
    if (indices != table_.buckets().end()) {
      for (size_t index : indices->second) {
        const WatchedSite& w = table_.at(index);
        if (w.gone || w.deciding || seen.count(w.site.site_id) > 0) continue;
        removed.push_back(w.site.site_id);
        Remove(index);
      }
    }
  }
  faults.Log();
  if (changed.empty() && removed.empty()) return;
  LogInfo(absl::StrCat("bucket ", bucket, ": ", changed.size(), " sites added or changed, ",
                       removed.size(), " removed"));
  Fenced({bucket}, [&](sql::Transaction& tx) -> absl::Status {
    if (auto s = store::DeleteTargets(tx, removed); !s.ok()) return s;
    return store::UpsertTargets(tx, changed, parts_.clock->WallMs());
  }).IgnoreError();  // the targets are a copy; seed and the next change write them again
}

void Watch::LookAtColumns(size_t index, const store::Site& read, bool is_new) {
  WatchedSite& w = table_.at(index);
  if (writer_.dialect != store::LegacyDialect::kV1 || w.deciding) return;
  const bool muted = muted_.has_value() && muted_->Contains(w.site.bucket);
  IncidentOp op;
  op.index = index;
  op.site = w.site;
  op.seen = w.event;
  op.is_new = is_new;
  if (w.event.has_value()) {
    const store::Event& e = *w.event;
    const bool as_seen =
        e.projected_status == read.site_status && e.projected_change == read.last_status_change;
    const bool long_ago = e.told_at_ms != 0 && read.site_status == store::kStatusDown &&
                          parts_.clock->WallMs() - e.told_at_ms >= writer_.still_down_after_ms;
    if (as_seen && !long_ago) return;
    // Muted, nothing is taken over or written over: v1 finds what stands there. But what is down
    // for so long it would tell again; the database knows since when, if this Monitor does not yet.
    if (muted && read.site_status != store::kStatusDown) return;
    op.kind = as_seen || muted ? IncidentOp::Kind::kStillDown : IncidentOp::Kind::kLook;
  } else {
    if (muted || read.site_status == store::kStatusUp) return;
    op.kind = IncidentOp::Kind::kLook;
  }
  w.deciding = true;
  pending_.push_back(std::move(op));
}

void Watch::LogWord(const IncidentOp& op) {
  if (op.word == store::LateWord::kNone || op.word == store::LateWord::kEcho) return;
  const bool foreign = op.word == store::LateWord::kForeign;
  if (foreign) ++foreign_;
  LogInfo(absl::StrCat(
      "site ", op.site.site_id, ": site_status was written by ",
      foreign ? "somebody else, and was written over" : "v1's receiver, and is taken over"));
}

}  // namespace jetmon::monitor
