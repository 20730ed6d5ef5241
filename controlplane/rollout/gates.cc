#include "controlplane/rollout/gates.h"

#include <algorithm>
#include <map>
#include <set>

#include "absl/strings/str_cat.h"
#include "controlplane/rollout/messages.h"
#include "store/activity.h"
#include "store/events.h"
#include "store/hosts.h"
#include "store/locks.h"

namespace jetmon::rollout {
namespace {

namespace rs = store::range_state;

constexpr int kMostRows = 100;
// Every site could have been checked once by then: 60 s, and what a check may be late.
constexpr int64_t kFirstRoundMs = 66'000;
// A bucket's summary is written every 5 s. One that lies so far behind its Monitor's last report,
// by that Monitor's own clock, is not kept up.
constexpr int64_t kSummarySilentMs = 20'000;

void AddGap(const store::BucketLock& b, v1::CoverageResult* result) {
  const int last = result->gaps_size() - 1;
  if (last >= 0) {
    v1::BucketRun* run = result->mutable_gaps(last);
    if (run->bucket_max() + 1 == b.bucket && run->pool() == b.pool &&
        run->owner_host() == b.owner_host && run->state() == b.state && run->epoch() == b.epoch) {
      run->set_bucket_max(b.bucket);
      return;
    }
  }
  v1::BucketRun* run = result->add_gaps();
  run->set_bucket_min(b.bucket);
  run->set_bucket_max(b.bucket);
  run->set_pool(b.pool);
  run->set_owner_host(b.owner_host);
  run->set_state(b.state);
  run->set_epoch(b.epoch);
}

// Blocks when the owner of one of these epochs is dead. True if so.
bool BlockDeadOwners(const Observer& observer, const std::set<uint64_t>& epochs,
                     v1::OperationResponse* answer) {
  bool dead = false;
  for (uint64_t epoch : epochs) {
    if (!observer.Dead(observer.Lease(epoch))) continue;
    dead = true;
    *answer->add_blockers() = MakeFinding(
        "owner_unavailable",
        absl::StrCat("the lease of epoch ", epoch,
                     " was not renewed for 30 s: its owner is dead, nobody checks its sites"),
        "restart the Monitor, or release the range");
  }
  return dead;
}

}  // namespace

absl::Status CoverageGate(sql::Transaction& tx, const Observer& observer, store::Range range,
                          std::string owner_host, v1::OperationResponse* answer) {
  auto buckets = store::ListBuckets(tx, range);
  if (!buckets.ok()) return buckets.status();
  v1::CoverageResult* result = answer->mutable_coverage();
  result->set_buckets(range.size());
  if (owner_host.empty()) {
    for (const auto& b : *buckets) {
      if (owner_host.empty()) owner_host = b.owner_host;
    }
  }
  answer->set_owner_host(owner_host);
  std::set<uint64_t> epochs;
  for (const store::BucketLock& b : *buckets) {
    if (b.state == rs::kActive && b.owner_host == owner_host && !owner_host.empty()) {
      result->set_covered(result->covered() + 1);
      epochs.insert(b.epoch);
    } else {
      AddGap(b, result);
    }
  }
  if (result->covered() < range.size()) {
    *answer->add_blockers() = MakeFinding(
        "coverage_gap",
        absl::StrCat(range.size() - result->covered(), " of ", range.size(),
                     " buckets are not active under ", owner_host.empty() ? "anybody" : owner_host),
        "see gaps: who holds the rest");
  }
  result->set_owner_dead(BlockDeadOwners(observer, epochs, answer));
  SetStatusByBlockers(answer);
  answer->set_summary(absl::StrCat(result->covered(), " of ", range.size(),
                                   " buckets are active under ",
                                   owner_host.empty() ? "nobody" : owner_host));
  return absl::OkStatus();
}

namespace {

// What is known of a range's owners, by epoch.
struct Owner {
  int64_t acknowledged_ms = 0;
  int64_t now_ms = 0;  // by its own clock, when it last reported; summaries are written by it
};

absl::StatusOr<std::map<uint64_t, Owner>> OwnersOf(sql::Transaction& tx, store::Range range,
                                                   int64_t now_ms) {
  auto locks = store::ListHeldRanges(tx);
  if (!locks.ok()) return locks.status();
  auto processes = store::ListProcesses(tx, "monitor", /*with_gone=*/true);
  if (!processes.ok()) return processes.status();
  std::map<uint64_t, Owner> owners;
  for (const store::RangeLock& l : *locks) {
    if (!l.range.Overlaps(range)) continue;
    Owner owner{l.acknowledged_at_ms, now_ms};
    for (const store::ProcessHealth& p : *processes) {
      if (p.instance == l.owner_instance) owner.now_ms = p.updated_at_ms;
    }
    owners[l.epoch] = owner;
  }
  return owners;
}

// The buckets' summaries added up.
class ActivitySum {
 public:
  explicit ActivitySum(v1::ActivityResult* result) : result_(result) {}

  void Add(const store::BucketLock& bucket, const Owner& owner, const store::BucketActivity* row) {
    const bool active = bucket.state == rs::kActive;
    if (row != nullptr &&
        (row->epoch != bucket.epoch || owner.now_ms - row->updated_at_ms > kSummarySilentMs)) {
      row = nullptr;
    }
    inactive_ += active ? 0 : 1;
    silent_ += active && row == nullptr ? 1 : 0;
    if (!active || row == nullptr || row->late > 0 || row->checked < row->sites) {
      AddRow(bucket.bucket, row);
    }
    if (!active || row == nullptr) return;
    result_->set_sites(result_->sites() + row->sites);
    result_->set_checked(result_->checked() + row->checked);
    result_->set_late(result_->late() + row->late);
    result_->set_not_available(result_->not_available() + row->not_available);
    if (row->oldest_check_ms != 0) {
      const auto age = static_cast<double>(owner.now_ms - row->oldest_check_ms) / 1000;
      oldest_s_ = std::max(oldest_s_, age);
    } else if (row->sites > 0) {
      some_never_ = true;
    }
    if (row->first_check_ms != 0 && (first_ms_ == 0 || row->first_check_ms < first_ms_)) {
      first_ms_ = row->first_check_ms;
    }
  }

  void Finish(v1::OperationResponse* answer) const {
    if (!some_never_) result_->set_oldest_check_s(oldest_s_);
    if (first_ms_ != 0) SetTime(result_->mutable_first_check_at(), first_ms_);
    if (inactive_ > 0) {
      *answer->add_blockers() =
          MakeFinding("coverage_gap", absl::StrCat(inactive_, " buckets are not active"),
                      "see bucket-coverage");
    } else if (silent_ > 0 && !young_) {
      *answer->add_blockers() =
          MakeFinding("activity_missing", absl::StrCat(silent_, " buckets have no fresh summary"),
                      "look at the Monitor's health");
    } else if (silent_ > 0 || result_->checked() < result_->sites()) {
      *answer->add_blockers() =
          MakeFinding(young_ ? "not_yet_due" : "sites_late",
                      absl::StrCat(result_->checked(), " of ", result_->sites(),
                                   " sites were checked since the acknowledgement; ", silent_,
                                   " buckets have no summary yet"),
                      young_ ? "ask again: not every site could have been checked once"
                             : "look at the Monitor's health");
    }
    if (result_->late() > 0) {
      *answer->add_blockers() =
          MakeFinding("sites_late", absl::StrCat(result_->late(), " sites are late"),
                      "look at the Monitor's health: backlog, oldest due, warnings");
    }
  }

  // One of the owners acknowledged so lately that not every site could have been checked yet.
  void SetYoung() { young_ = true; }

 private:
  void AddRow(uint32_t bucket, const store::BucketActivity* row) {
    if (result_->buckets_size() >= kMostRows) return;
    v1::BucketActivity* b = result_->add_buckets();
    b->set_bucket(bucket);
    if (row == nullptr) return;
    b->set_sites(row->sites);
    b->set_checked(row->checked);
    b->set_late(row->late);
  }

  v1::ActivityResult* result_;
  uint64_t silent_ = 0, inactive_ = 0;
  double oldest_s_ = 0;
  int64_t first_ms_ = 0;
  bool some_never_ = false, young_ = false;
};

}  // namespace

absl::Status ActivityGate(sql::Transaction& tx, const Observer& observer, store::Range range,
                          int64_t since_ms, int64_t now_ms, v1::OperationResponse* answer) {
  auto buckets = store::ListBuckets(tx, range);
  if (!buckets.ok()) return buckets.status();
  auto rows = store::ListActivity(tx, range);
  if (!rows.ok()) return rows.status();
  auto owners = OwnersOf(tx, range, now_ms);
  if (!owners.ok()) return owners.status();
  v1::ActivityResult* result = answer->mutable_activity();
  ActivitySum sum(result);
  int64_t acknowledged = 0;
  std::set<uint64_t> epochs;
  for (const auto& [epoch, owner] : *owners) {
    acknowledged = std::max(acknowledged, owner.acknowledged_ms);
    epochs.insert(epoch);
    const int64_t age = owner.now_ms - owner.acknowledged_ms;
    if (owner.acknowledged_ms != 0 && age < kFirstRoundMs) sum.SetYoung();
  }
  std::map<uint32_t, const store::BucketActivity*> by_bucket;
  for (const auto& a : *rows) by_bucket[a.bucket] = &a;
  for (const store::BucketLock& b : *buckets) {
    auto row = by_bucket.find(b.bucket);
    auto owner = owners->find(b.epoch);
    sum.Add(b, owner == owners->end() ? Owner{} : owner->second,
            row == by_bucket.end() ? nullptr : row->second);
  }
  SetTime(result->mutable_since(), std::max(since_ms, acknowledged));
  if (acknowledged != 0) SetTime(result->mutable_acknowledged_at(), acknowledged);
  sum.Finish(answer);
  BlockDeadOwners(observer, epochs, answer);
  SetStatusByBlockers(answer);
  answer->set_summary(absl::StrCat(result->checked(), " of ", result->sites(),
                                   " sites checked since the acknowledgement, ", result->late(),
                                   " late"));
  return absl::OkStatus();
}

absl::Status DriftGate(sql::Transaction& tx, store::Range range, v1::OperationResponse* answer) {
  auto report = store::FindDrift(tx, range, kMostRows);
  if (!report.ok()) return report.status();
  v1::DriftResult* result = answer->mutable_drift();
  result->set_count(report->count);
  for (const auto& g : report->groups) {
    v1::DriftGroup* group = result->add_groups();
    group->set_bucket(g.bucket);
    group->set_cause(g.cause);
    group->set_count(g.count);
  }
  for (const auto& d : report->rows) {
    v1::DriftRow* row = result->add_rows();
    row->set_site_id(d.site_id);
    row->set_bucket(d.bucket);
    row->set_site_status(d.site_status);
    row->set_expected_status(d.expected_status);
    row->set_event_id(d.event_id);
    row->set_cause(d.cause);
  }
  if (report->count > 0) {
    *answer->add_blockers() = MakeFinding(
        "drift_found", absl::StrCat(report->count, " sites differ from what their open events say"),
        "see the groups by bucket and cause");
  }
  SetStatusByBlockers(answer);
  answer->set_summary(absl::StrCat(report->count, " sites drift"));
  return absl::OkStatus();
}

}  // namespace jetmon::rollout
