#include "controlplane/rollout/compare.h"

#include <algorithm>
#include <map>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "controlplane/message/message.h"
#include "controlplane/rollout/commits.h"
#include "controlplane/rollout/compare_progress.h"
#include "controlplane/rollout/job_life.h"
#include "controlplane/rollout/messages.h"
#include "controlplane/rollout/prober.h"
#include "controlplane/rollout/quantiles.h"
#include "controlplane/rollout/requests.h"
#include "controlplane/rollout/sampler.h"
#include "controlplane/rollout/smoke.h"

namespace jetmon::rollout {
namespace {

using std::chrono::milliseconds;

// A batch of rows holds its transaction for about this long: it grows while that takes less than
// half, and shrinks when it takes more. What has ended is stored this soon at the latest.
constexpr milliseconds kHold{80};
constexpr size_t kFirstRows = 256, kFewestRows = 16, kMostRows = 1024;
constexpr milliseconds kStoreWithin{500};
constexpr int kRowsAPage = 2000;
constexpr double kRatioScale = 1e6;

constexpr char kUp[] = "up";

store::ComparedCheck CheckOf(const probe::CheckResult& r) {
  store::ComparedCheck c;
  c.outcome = std::string(probe::OutcomeName(r.outcome));
  c.http_code = r.http_code;
  c.error_code = static_cast<int>(r.error_code);
  c.failure_class = r.failure_class;
  c.detail = r.detail;
  c.us = r.timings.total_us;
  return c;
}

void Fill(const store::ComparedCheck& check, v1::ProbeExample* example) {
  example->set_http_code(check.http_code);
  example->set_error_code(check.error_code);
  example->set_failure_class(check.failure_class);
  example->set_detail(check.detail);
}

// The job's way from its cursor to the last row.
class Comparing {
 public:
  Comparing(JobRun& run, JobLife& life, probe::Mode from, probe::Mode to, uint64_t size)
      : run_(run),
        life_(life),
        from_(from),
        to_(to),
        size_(size),
        sampler_(*run.parts.db, run.job.run_id, run.job.range, [this] { return Turn(); }),
        progress_(run.job.range.min) {}

  const CompareProgress& progress() const { return progress_; }
  uint64_t active() const { return sampler_.active(); }

  absl::Status Go() {
    if (auto s = Begin(); !s.ok()) return s;
    const absl::Status s = RunProbes(
        run_.options.engine, {}, [this] { return Next(); },
        [this](Probe&& probe) { return Done(std::move(probe)); }, [this] { return Turn(); });
    return s.ok() ? Store() : s;
  }

 private:
  BootTime Now() const { return run_.parts.clock->Boot(); }

  absl::Status Begin() {
    if (auto s = sampler_.Count(); !s.ok()) return s;
    if (run_.job.progress.empty()) {
      sampler_.TakeInProportion(size_);
      progress_.by_bucket = sampler_.by_bucket();
    } else {
      auto saved = CompareProgress::Load(run_.job.cursor, run_.job.progress);
      if (!saved.ok()) return saved.status();
      progress_ = *std::move(saved);
      if (!sampler_.GoOn(progress_.by_bucket, progress_.cursor())) {
        return absl::InternalError("the job's progress is of another range");
      }
    }
    return Store();
  }

  // More sites, without those that have a row: a worker before us stored it, or the site was moved
  // from a bucket that we had already.
  absl::StatusOr<std::vector<Probe>> Next() {
    std::vector<Probe> probes;
    while (probes.empty()) {
      auto sites = sampler_.Next();
      if (!sites.ok()) return sites.status();
      if (sites->empty()) break;
      std::vector<uint64_t> ids, stored;
      for (const auto& s : *sites) ids.push_back(s.site.site_id);
      const absl::Status s = run_.parts.db->Read([&](sql::Transaction& tx) {
        auto known = store::ComparedSites(tx, run_.job.job_id, ids);
        if (known.ok()) stored = *std::move(known);
        return known.status();
      });
      if (!s.ok()) return s;
      for (Sampler::Sampled& one : *sites) {
        if (std::binary_search(stored.begin(), stored.end(), one.site.site_id)) continue;
        progress_.Begun(sampler_.bucket());
        probes.push_back(MakeProbe(std::move(one)));
      }
    }
    return probes;
  }

  Probe MakeProbe(Sampler::Sampled sampled) const {
    Probe p;
    p.site = std::move(sampled.site);
    p.ordinal = sampled.ordinal;
    for (const bool to : {IsToFirst(p), !IsToFirst(p)}) {
      probe::CheckRequest& r = p.checks.emplace_back();
      r.lease = &life_;
      r.site_id = p.site.site_id;
      r.url = p.site.url;
      r.mode = to ? to_ : from_;
      r.timeout = run_.options.times.budget.check();
    }
    return p;
  }

  static bool IsToFirst(const Probe& p) { return p.ordinal % 2 == 1; }

  absl::Status Done(Probe&& probe) {
    using End = CompareProgress::End;
    const probe::Outcome last = probe.results.back().outcome;
    if (!probe::IsVerdict(last)) {
      const bool refused = last == probe::Outcome::kSafety;
      progress_.Ended(probe.site.bucket, refused ? End::kSkipped : End::kLost);
      return absl::OkStatus();
    }
    store::Comparison& row = rows_.emplace_back();
    row.site_id = probe.site.site_id;
    row.bucket = probe.site.bucket;
    row.url = probe.site.url;
    row.to_first = IsToFirst(probe);
    row.from = CheckOf(probe.results[row.to_first ? 1 : 0]);
    row.to = CheckOf(probe.results[row.to_first ? 0 : 1]);
    row.comparison_class = std::string(ComparisonClass(row.from, row.to));
    row.at_ms = run_.parts.clock->WallMs();
    return absl::OkStatus();
  }

  absl::Status Turn() {
    const bool due =
        !rows_.empty() && (rows_.size() >= most_rows_ || Now() - stored_ > kStoreWithin);
    if (due) {
      if (auto s = Store(); !s.ok()) return s;
    }
    if (progress_.by_bucket.empty()) return life_.Turn(run_.job.done, run_.job.total);
    return life_.Turn(progress_.done(), sampler_.size());
  }

  // Writes the rows that have come, most_rows_ of them at a time, with the cursor behind them.
  absl::Status Store() {
    do {
      const size_t n = std::min(rows_.size(), most_rows_);
      const std::vector<store::Comparison> batch(rows_.begin(), rows_.begin() + n);
      rows_.erase(rows_.begin(), rows_.begin() + n);
      for (const store::Comparison& row : batch) {
        progress_.Ended(row.bucket, CompareProgress::End::kStored);
      }
      progress_.GivenOut(sampler_.bucket());
      run_.job.cursor = absl::StrCat(progress_.cursor());
      run_.job.progress = progress_.Save();
      std::chrono::nanoseconds held{};
      const absl::Status s = life_.Save(
          commits::kCompareBatch, progress_.done(), sampler_.size(), [&](sql::Transaction& tx) {
            const BootTime began = Now();
            const absl::Status done = store::InsertComparisons(tx, run_.job.job_id, batch);
            held = Now() - began;
            return done;
          });
      if (!s.ok()) return s;
      if (held > kHold) most_rows_ = std::max(most_rows_ / 2, kFewestRows);
      if (held < kHold / 2 && n == most_rows_) most_rows_ = std::min(most_rows_ * 2, kMostRows);
    } while (!rows_.empty());
    stored_ = Now();
    return absl::OkStatus();
  }

  JobRun& run_;
  JobLife& life_;
  const probe::Mode from_, to_;
  const uint64_t size_;
  Sampler sampler_;
  CompareProgress progress_;
  std::vector<store::Comparison> rows_;  // ended, not stored yet
  size_t most_rows_ = kFirstRows;
  BootTime stored_{};
};

// The figures of all rows of the job.
class Summary {
 public:
  explicit Summary(v1::CompareResult* result) : result_(*result) {}

  void Add(const store::Comparison& row) {
    namespace cc = store::comparison_class;
    v1::CompareResult& r = result_;
    r.set_compared(r.compared() + 1);
    if (!row.to_first) r.set_from_first(r.from_first() + 1);
    if (row.comparison_class == cc::kSame) r.set_same(r.same() + 1);
    if (row.comparison_class == cc::kGetBetter) r.set_get_better(r.get_better() + 1);
    if (row.comparison_class == cc::kGetWorse) r.set_get_worse(r.get_worse() + 1);
    if (row.comparison_class == cc::kDifferentFailure) {
      r.set_different_failure(r.different_failure() + 1);
    }
    const bool from_up = row.from.outcome == kUp, to_up = row.to.outcome == kUp;
    if (from_up) r.set_from_successes(r.from_successes() + 1);
    if (to_up) r.set_to_successes(r.to_successes() + 1);
    from_.Add(static_cast<uint64_t>(row.from.us));
    to_.Add(static_cast<uint64_t>(row.to.us));
    if (from_up && to_up && row.from.us > 0) {
      ratio_.Add(static_cast<uint64_t>(kRatioScale * static_cast<double>(row.to.us) /
                                       static_cast<double>(row.from.us)));
    }
    if (row.from.failure_class != row.to.failure_class) {
      ++changed_[{row.from.failure_class, row.to.failure_class}];
    }
  }

  void Finish() {
    result_.set_latency_ratio(ratio_.At(0.5) / kRatioScale);
    result_.set_from_p50_ms(from_.At(0.5) / 1000);
    result_.set_from_p99_ms(from_.At(0.99) / 1000);
    result_.set_to_p50_ms(to_.At(0.5) / 1000);
    result_.set_to_p99_ms(to_.At(0.99) / 1000);
    std::vector<std::pair<std::pair<std::string, std::string>, uint64_t>> changed(changed_.begin(),
                                                                                  changed_.end());
    std::stable_sort(changed.begin(), changed.end(),
                     [](const auto& a, const auto& b) { return a.second > b.second; });
    for (const auto& [classes, count] : changed) {
      v1::ChangedClass* c = result_.add_changed_classes();
      c->set_from(classes.first);
      c->set_to(classes.second);
      c->set_count(count);
    }
  }

 private:
  v1::CompareResult& result_;
  Quantiles from_, to_, ratio_;
  std::map<std::pair<std::string, std::string>, uint64_t> changed_;
};

absl::Status Summarize(JobRun& run, JobLife& life, v1::CompareResult* result) {
  Summary summary(result);
  uint64_t after = 0;
  for (;;) {
    if (auto s = life.Turn(run.job.done, run.job.total); !s.ok()) return s;
    std::vector<store::Comparison> rows;
    const absl::Status s = run.parts.db->Read([&](sql::Transaction& tx) {
      auto page = store::ComparisonsAfter(tx, run.job.job_id, "", after, kRowsAPage);
      if (page.ok()) rows = *std::move(page);
      return page.status();
    });
    if (!s.ok()) return s;
    for (const store::Comparison& row : rows) summary.Add(row);
    if (rows.size() < static_cast<size_t>(kRowsAPage)) break;
    after = rows.back().site_id;
  }
  summary.Finish();
  return absl::OkStatus();
}

void Conclude(uint64_t asked, uint64_t active, v1::OperationResponse* answer) {
  v1::CompareResult& r = *answer->mutable_compare();
  r.set_sample_size(r.compared() + r.skipped() + r.lost());
  WarnOfSample(asked, active, r.skipped(), "compared", answer);
  if (r.lost() > 0) {
    *answer->add_warnings() = MakeFinding(
        "checks_lost", absl::StrCat(r.lost(), " sites could not be probed to an end here"),
        "this machine is overloaded or was paused; compare again");
  }
  answer->set_status("ok");
  answer->set_summary(absl::StrCat(
      r.compared(), " sites compared, ", r.from(), " with ", r.to(), ": ", r.same(), " the same, ",
      r.get_better(), " better, ", r.get_worse(), " worse, ", r.different_failure(),
      " fail differently; latency x ", absl::StrFormat("%.2f", r.latency_ratio())));
  answer->set_next_action(r.get_worse() + r.different_failure() == 0
                              ? ""
                              : "look at the rows that differ: jobs comparison-results");
}

}  // namespace

std::string_view ComparisonClass(const store::ComparedCheck& from, const store::ComparedCheck& to) {
  namespace cc = store::comparison_class;
  const bool from_up = from.outcome == kUp, to_up = to.outcome == kUp;
  if (from_up != to_up) return to_up ? cc::kGetBetter : cc::kGetWorse;
  return from_up || from.failure_class == to.failure_class ? cc::kSame : cc::kDifferentFailure;
}

v1::ComparisonRow ComparisonMessage(const store::Comparison& row) {
  v1::ComparisonRow m;
  m.set_site_id(row.site_id);
  m.set_url(row.url);
  m.set_first(row.to_first ? "to" : "from");
  m.set_comparison_class(row.comparison_class);
  Fill(row.from, m.mutable_from());
  Fill(row.to, m.mutable_to());
  m.set_from_ms(static_cast<double>(row.from.us) / 1000);
  m.set_to_ms(static_cast<double>(row.to.us) / 1000);
  m.set_from_outcome(row.from.outcome);
  m.set_to_outcome(row.to.outcome);
  m.set_bucket(row.bucket);
  SetTime(m.mutable_at(), row.at_ms);
  return m;
}

absl::Status ExecuteCompare(JobRun& run) {
  v1::CompareMethodsRequest request;
  if (!request.ParseFromString(run.job.request)) {
    return absl::InternalError("the job's request can't be read");
  }
  auto from = probe::ParseMode(request.from());
  if (!from.ok()) return from.status();
  auto to = probe::ParseMode(request.to());
  if (!to.ok()) return to.status();
  auto size = SampleSizeOf(request.sample_size());
  if (!size.ok()) return size.status();
  v1::OperationResponse answer =
      Head(run.job.operation, run.job.run_id, run.job.range, run.job.owner_host);
  v1::CompareResult* result = answer.mutable_compare();
  result->set_from(request.from());
  result->set_to(request.to());
  JobLife life(run);
  Comparing comparing(run, life, *from, *to, *size);
  absl::Status s = life.Turn(run.job.done, run.job.total);
  if (s.ok()) s = comparing.Go();
  if (s.ok()) s = Summarize(run, life, result);
  if (!s.ok()) return life.End(s);
  result->set_skipped(comparing.progress().skipped());
  result->set_lost(comparing.progress().lost());
  Conclude(*size, comparing.active(), &answer);
  // It shows nothing that a plan goes by, so the run is as it was.
  return run.Finish(store::job_state::kCompleted, answer.SerializeAsString(), "", {},
                    /*touches_run=*/false);
}

}  // namespace jetmon::rollout
