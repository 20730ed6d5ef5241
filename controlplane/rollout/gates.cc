#include "controlplane/rollout/gates.h"

#include <algorithm>
#include <map>
#include <set>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/time/time.h"
#include "controlplane/error/error.h"
#include "controlplane/rollout/messages.h"
#include "store/activity.h"
#include "store/events.h"
#include "store/hosts.h"
#include "store/locks.h"
#include "store/sites.h"

namespace jetmon::rollout {
namespace {

namespace rs = store::range_state;

constexpr int kMostRows = 100;
// So many of the late sites that the summaries name are looked up, the longest unchecked first.
constexpr size_t kMostLateLookedUp = 200;
constexpr int kMostGapsInText = 3;
// Drift is looked for in so many buckets at a time, and given up after this.
constexpr uint32_t kDriftBuckets = 16;
constexpr std::chrono::seconds kDriftLimit{30};
// Every site could have been checked once by then: 60 s, and what a check may be late.
constexpr int64_t kFirstRoundMs = 66'000;
constexpr int64_t kFirstCheckMs = 60'000;
// A bucket's summary is written every 5 s. One that lies so far behind its Monitor's last report,
// by that Monitor's own clock, is not kept up.
constexpr int64_t kSummarySilentMs = 20'000;

void AddGap(const store::BucketLock& b, const std::map<uint64_t, std::string>& runs,
            const Observer& observer, v1::CoverageResult* result) {
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
  const auto at = runs.find(b.epoch);
  if (at == runs.end()) return;
  run->set_run_id(at->second);
  run->set_owner_dead(observer.Dead(observer.Lease(b.epoch)));
}

// "0-1 v1's, 8-9 monitor-b's (active, epoch 7, run rol_...)".
std::string GapsText(const v1::CoverageResult& result) {
  std::vector<std::string> words;
  for (const v1::BucketRun& run : result.gaps()) {
    if (static_cast<int>(words.size()) == kMostGapsInText) {
      words.push_back(absl::StrCat("and ", result.gaps_size() - kMostGapsInText, " more"));
      break;
    }
    std::string who = absl::StrCat(run.pool(), "'s");
    if (!run.owner_host().empty()) {
      who = absl::StrCat(run.owner_host(), "'s (", run.state(), ", epoch ", run.epoch(),
                         run.run_id().empty() ? "" : ", run ", run.run_id(),
                         run.owner_dead() ? ", dead" : "", ")");
    }
    words.push_back(
        absl::StrCat(store::Range{run.bucket_min(), run.bucket_max()}.ToString(), " ", who));
  }
  return absl::StrJoin(words, ", ");
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
        absl::StrCat("the lease of epoch ", epoch, " was not renewed for ",
                     SecondsText(observer.grace()), ": its owner is dead, nobody checks its sites"),
        "restart the Monitor, or release the range");
  }
  return dead;
}

}  // namespace

absl::Status CoverageGate(sql::Transaction& tx, const Observer& observer, store::Range range,
                          std::string owner_host, v1::OperationResponse* answer) {
  auto buckets = store::ListBuckets(tx, range);
  if (!buckets.ok()) return buckets.status();
  auto locks = store::ListHeldRanges(tx);
  if (!locks.ok()) return locks.status();
  std::map<uint64_t, std::string> runs;
  for (const store::RangeLock& l : *locks) runs[l.epoch] = l.run_id;
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
      AddGap(b, runs, observer, result);
    }
  }
  if (result->covered() < range.size()) {
    *answer->add_blockers() = MakeFinding(
        "coverage_gap",
        absl::StrCat(range.size() - result->covered(), " of ", range.size(),
                     " buckets are not active under ", owner_host.empty() ? "anybody" : owner_host,
                     ": ", GapsText(*result)),
        "activate what is v1's; wait for what is on its way; release what another host holds");
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

// The late sites that the summaries name, as rows.
class LateSites {
 public:
  void Add(const store::BucketActivity& row, const Owner& owner) {
    for (const store::LateSite& site : row.late_sites) {
      found_.push_back({site, row.bucket, owner,
                        site.last_check_ms != 0 ? site.last_check_ms : owner.acknowledged_ms});
    }
  }

  // Reads what they are, and writes the latest ones, that first.
  absl::Status Fill(sql::Transaction& tx, int64_t unit_ms, v1::ActivityResult* result) {
    std::sort(found_.begin(), found_.end(),
              [](const Found& a, const Found& b) { return a.from_ms < b.from_ms; });
    if (found_.size() > kMostLateLookedUp) found_.resize(kMostLateLookedUp);
    std::vector<v1::LateSite> rows;
    for (const Found& f : found_) {
      auto site = store::GetSite(tx, f.site.site_id);
      if (!site.ok()) return site.status();
      // Moved or switched off since: its owner drops it within a minute.
      if (!site->has_value() || !(*site)->active || (*site)->bucket != f.bucket) continue;
      rows.push_back(RowOf(f, **site, unit_ms));
    }
    std::stable_sort(rows.begin(), rows.end(), [](const v1::LateSite& a, const v1::LateSite& b) {
      return a.late_by_s() > b.late_by_s();
    });
    if (rows.size() > kMostRows) rows.resize(kMostRows);
    for (v1::LateSite& row : rows) *result->add_late_sites() = std::move(row);
    return absl::OkStatus();
  }

 private:
  struct Found {
    store::LateSite site;
    uint32_t bucket;
    Owner owner;
    int64_t from_ms;  // when its time began to run
  };
  static v1::LateSite RowOf(const Found& f, const store::Site& site, int64_t unit_ms) {
    v1::LateSite row;
    row.set_site_id(site.site_id);
    row.set_bucket(site.bucket);
    row.set_url(site.url);
    int64_t allowed = site.check_interval * unit_ms;
    if (f.site.last_check_ms != 0) {
      SetTime(row.mutable_last_check_at(), f.site.last_check_ms);
    } else {
      allowed = std::min(allowed, kFirstCheckMs);
    }
    const int64_t over = f.owner.now_ms - f.from_ms - allowed;
    row.set_late_by_s(static_cast<double>(std::max<int64_t>(0, over)) / 1000);
    return row;
  }
  std::vector<Found> found_;
};

// The buckets' summaries added up.
class ActivitySum {
 public:
  ActivitySum(Since since, v1::ActivityResult* result) : since_(since), result_(result) {}

  void Add(const store::BucketLock& bucket, const Owner& owner, const store::BucketActivity* row) {
    const bool active = bucket.state == rs::kActive;
    if (row != nullptr &&
        (row->epoch != bucket.epoch || owner.now_ms - row->updated_at_ms > kSummarySilentMs)) {
      row = nullptr;
    }
    inactive_ += active ? 0 : 1;
    silent_ += active && row == nullptr ? 1 : 0;
    const bool unchecked = active && row != nullptr && since_.given && row->sites > 0 &&
                           row->checked == row->sites && row->oldest_check_ms < From(owner);
    unchecked_since_ += unchecked ? 1 : 0;
    if (!active || row == nullptr || row->late > 0 || row->checked < row->sites || unchecked) {
      AddRow(bucket.bucket, row);
    }
    if (!active || row == nullptr) return;
    late_.Add(*row, owner);
    result_->set_sites(result_->sites() + row->sites);
    result_->set_checked(result_->checked() + row->checked);
    result_->set_late(result_->late() + row->late);
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

  absl::Status Finish(sql::Transaction& tx, int64_t unit_ms, v1::OperationResponse* answer) {
    if (!some_never_) result_->set_oldest_check_s(oldest_s_);
    if (first_ms_ != 0) SetTime(result_->mutable_first_check_at(), first_ms_);
    if (auto s = late_.Fill(tx, unit_ms, result_); !s.ok()) return s;
    const auto block = [answer](const char* code, std::string text, const char* action) {
      *answer->add_blockers() = MakeFinding(code, std::move(text), action);
    };
    if (inactive_ > 0) {
      block("coverage_gap", absl::StrCat(inactive_, " buckets are not active"),
            "see bucket-coverage");
    } else if (silent_ > 0 && !young_) {
      block("activity_missing", absl::StrCat(silent_, " buckets have no fresh summary"),
            "look at the Monitor's health");
    } else if (silent_ > 0 || result_->checked() < result_->sites()) {
      block(young_ ? "not_yet_due" : "sites_late",
            absl::StrCat(result_->checked(), " of ", result_->sites(),
                         " sites were checked since the acknowledgement; ", silent_,
                         " buckets have no summary yet"),
            young_ ? "ask again: not every site could have been checked once"
                   : "look at the Monitor's health");
    } else if (unchecked_since_ > 0 && result_->late() == 0) {
      block("not_yet_due",
            absl::StrCat(unchecked_since_, " buckets have sites that were not checked since then, ",
                         "the oldest ", Figure(oldest_s_),
                         " s ago; none is late: their interval is longer"),
            "ask again, or with a longer since");
    }
    if (result_->late() > 0)
      block("sites_late", LateText(),
            "look at late_sites, and at the "
            "Monitor's health: backlog, oldest due, warnings");
    return absl::OkStatus();
  }

  // One of the owners acknowledged so lately that not every site could have been checked yet.
  void SetYoung() { young_ = true; }

 private:
  static std::string Figure(double s) { return absl::StrCat(static_cast<int64_t>(s)); }
  // The moment from which is counted, by the owner's own clock.
  int64_t From(const Owner& owner) const {
    return std::max(owner.now_ms - since_.ago_ms, owner.acknowledged_ms);
  }
  std::string LateText() const {
    std::string text = absl::StrCat(result_->late(), " sites are late");
    if (result_->late_sites().empty()) return text;
    const v1::LateSite& first = result_->late_sites(0);
    return absl::StrCat(text, ", site ", first.site_id(), " in bucket ", first.bucket(), " by ",
                        Figure(first.late_by_s()), " s");
  }
  void AddRow(uint32_t bucket, const store::BucketActivity* row) {
    if (result_->buckets_size() >= kMostRows) return;
    v1::BucketActivity* b = result_->add_buckets();
    b->set_bucket(bucket);
    if (row == nullptr) return;
    b->set_sites(row->sites);
    b->set_checked(row->checked);
    b->set_late(row->late);
    if (row->oldest_check_ms != 0) SetTime(b->mutable_oldest_check_at(), row->oldest_check_ms);
  }

  const Since since_;
  v1::ActivityResult* result_;
  LateSites late_;
  uint64_t silent_ = 0, inactive_ = 0, unchecked_since_ = 0;
  double oldest_s_ = 0;
  int64_t first_ms_ = 0;
  bool some_never_ = false, young_ = false;
};

}  // namespace

absl::Status ActivityGate(sql::Transaction& tx, const Observer& observer, store::Range range,
                          Since since, int64_t now_ms, std::chrono::milliseconds unit,
                          v1::OperationResponse* answer) {
  auto buckets = store::ListBuckets(tx, range);
  if (!buckets.ok()) return buckets.status();
  auto rows = store::ListActivity(tx, range);
  if (!rows.ok()) return rows.status();
  auto owners = OwnersOf(tx, range, now_ms);
  if (!owners.ok()) return owners.status();
  v1::ActivityResult* result = answer->mutable_activity();
  ActivitySum sum(since, result);
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
  SetTime(result->mutable_since(), std::max(now_ms - since.ago_ms, acknowledged));
  if (acknowledged != 0) SetTime(result->mutable_acknowledged_at(), acknowledged);
  if (auto s = sum.Finish(tx, unit.count(), answer); !s.ok()) return s;
  BlockDeadOwners(observer, epochs, answer);
  SetStatusByBlockers(answer);
  answer->set_summary(absl::StrCat(result->checked(), " of ", result->sites(),
                                   " sites checked since the acknowledgement, ", result->late(),
                                   " late"));
  return absl::OkStatus();
}

namespace {

void AddDrift(const store::DriftReport& report, v1::DriftResult* result) {
  result->set_count(result->count() + report.count);
  for (const auto& g : report.groups) {
    if (result->groups_size() >= static_cast<int>(store::kMostDriftGroups)) break;
    v1::DriftGroup* group = result->add_groups();
    group->set_bucket(g.bucket);
    group->set_cause(g.cause);
    group->set_count(g.count);
  }
  for (const auto& d : report.rows) {
    v1::DriftRow* row = result->add_rows();
    row->set_site_id(d.site_id);
    row->set_bucket(d.bucket);
    row->set_site_status(d.site_status);
    row->set_expected_status(d.expected_status);
    row->set_event_id(d.event_id);
    row->set_cause(d.cause);
  }
}

// "3 sites differ from what their open events say: 2 missing_event, 1 stale_projection; most in
// bucket 7 (2)".
std::string DriftText(const v1::DriftResult& result) {
  std::map<std::string, uint64_t> causes;
  std::map<uint32_t, uint64_t> buckets;
  for (const v1::DriftGroup& g : result.groups()) {
    causes[g.cause()] += g.count();
    buckets[g.bucket()] += g.count();
  }
  std::vector<std::string> words;
  for (const auto& [cause, count] : causes) words.push_back(absl::StrCat(count, " ", cause));
  const auto most =
      std::max_element(buckets.begin(), buckets.end(),
                       [](const auto& a, const auto& b) { return a.second < b.second; });
  return absl::StrCat(result.count(),
                      " sites differ from what their open events say: ", absl::StrJoin(words, ", "),
                      "; most in bucket ", most->first, " (", most->second, ")");
}

}  // namespace

absl::Status WarnNotHeld(sql::Transaction& tx, store::Range range, v1::OperationResponse* answer) {
  auto buckets = store::ListBuckets(tx, range);
  if (!buckets.ok()) return buckets.status();
  const auto held = std::count_if(buckets->begin(), buckets->end(), [](const store::BucketLock& b) {
    return b.state == rs::kActive;
  });
  const uint64_t others = range.size() - static_cast<uint64_t>(held);
  if (others == 0) return absl::OkStatus();
  *answer->add_warnings() =
      MakeFinding("not_held",
                  absl::StrCat(others, " of ", range.size(),
                               " buckets are not active under v2: there the columns are v1's own, "
                               "and the events are as seed or release left them"),
                  "ask again once the range is active");
  return absl::OkStatus();
}

absl::Status DriftGate(sql::Database& db, store::Range range, v1::OperationResponse* answer) {
  v1::DriftResult* result = answer->mutable_drift();
  const BootTime deadline = db.clock().Boot() + kDriftLimit;
  for (uint32_t first = range.min; first <= range.max; first += kDriftBuckets) {
    if (db.clock().Boot() >= deadline) {
      return Error(v1::DATABASE_UNAVAILABLE,
                   absl::StrCat("only buckets ", range.min, "-", first - 1,
                                " could be read in 30 s; ask for fewer at a time"));
    }
    const store::Range part{first, std::min(range.max, first + kDriftBuckets - 1)};
    store::DriftReport report;
    const absl::Status s = db.Read(deadline, [&](sql::Transaction& tx) {
      auto found = store::FindDrift(tx, part, kMostRows - result->rows_size());
      if (found.ok()) report = *std::move(found);
      return found.status();
    });
    if (!s.ok()) return s;
    AddDrift(report, result);
  }
  if (result->count() > 0) {
    *answer->add_blockers() =
        MakeFinding("drift_found", DriftText(*result),
                    "see the groups by bucket and cause, and what each cause asks for in the "
                    "operations guide");
  }
  SetStatusByBlockers(answer);
  answer->set_summary(absl::StrCat(result->count(), " sites drift"));
  return absl::OkStatus();
}

}  // namespace jetmon::rollout
