#include "controlplane/rollout/smoke.h"

#include <algorithm>
#include <atomic>
#include <map>
#include <unordered_map>

#include "absl/strings/str_cat.h"
#include "controlplane/rollout/commits.h"
#include "controlplane/rollout/messages.h"
#include "controlplane/rollout/requests.h"
#include "probe/engine.h"
#include "store/ids.h"
#include "store/sessions.h"

namespace jetmon::rollout {
namespace {

constexpr int kMostExamples = 20;
constexpr int kConcurrency = 50;
constexpr int kSitesAPage = 5000;
constexpr std::chrono::milliseconds kShowLife{1000};
constexpr std::chrono::milliseconds kCheckTimeout{10'000};

absl::StatusOr<std::vector<store::Site>> SitesOf(JobRun& run, uint32_t bucket) {
  std::vector<store::Site> sites;
  const absl::Status s = run.parts.db->Read([&](sql::Transaction& tx) -> absl::Status {
    sites.clear();
    for (store::SiteCursor after;;) {
      auto page = store::ActiveSitesOfBucket(tx, bucket, after, kSitesAPage);
      if (!page.ok()) return page.status();
      sites.insert(sites.end(), page->begin(), page->end());
      if (page->size() < static_cast<size_t>(kSitesAPage)) return absl::OkStatus();
      after = store::SiteCursor::After(page->back());
    }
  });
  if (!s.ok()) return s;
  return sites;
}

absl::StatusOr<std::vector<store::Site>> Sample(JobRun& run, uint64_t size, uint64_t* active) {
  const store::Range range = run.job.range;
  std::vector<size_t> counts;
  for (uint32_t b = range.min; b <= range.max; ++b) {
    auto sites = SitesOf(run, b);
    if (!sites.ok()) return sites.status();
    counts.push_back(sites->size());
    *active += sites->size();
  }
  const std::vector<size_t> take = Stratify(counts, size);
  std::vector<store::Site> sample;
  for (uint32_t b = range.min; b <= range.max; ++b) {
    if (take[b - range.min] == 0) continue;
    auto sites = SitesOf(run, b);
    if (!sites.ok()) return sites.status();
    auto picked = PickSites(run.job.run_id, *std::move(sites), take[b - range.min]);
    sample.insert(sample.end(), picked.begin(), picked.end());
  }
  return sample;
}

// Says whether this worker may still send: for some time after it last showed that the job is its
// own. A worker that was paused for longer may have lost it.
class JobGate final : public probe::LeaseGate {
 public:
  explicit JobGate(std::chrono::nanoseconds term) : term_(term) {}
  void Shown(BootTime before) { until_ns_ = (before + term_).ns; }
  bool MaySend(BootTime now) const override { return now.ns < until_ns_; }

 private:
  const std::chrono::nanoseconds term_;
  std::atomic<int64_t> until_ns_{0};
};

// Gathers results as they come.
class Tally {
 public:
  explicit Tally(const std::vector<store::Site>& sample) {
    for (const store::Site& s : sample) sites_[s.site_id] = &s;
  }
  void Add(const probe::CheckResult& r, v1::SmokeResult* result) {
    if (!probe::IsVerdict(r.outcome)) {
      result->set_skipped(result->skipped() + 1);
      return;
    }
    result->set_checked(result->checked() + 1);
    latencies_.push_back(static_cast<double>(r.timings.total_us) / 1000);
    ++classes_[r.failure_class];
    if (r.outcome == probe::Outcome::kUp) {
      result->set_successes(result->successes() + 1);
      return;
    }
    const store::Site& site = *sites_.at(r.site_id);
    if (site.site_status != static_cast<int>(store::SiteStatus::kUp)) {
      result->set_known_down(result->known_down() + 1);
      return;
    }
    result->set_failures(result->failures() + 1);
    if (result->examples_size() >= kMostExamples) return;
    v1::ProbeExample* e = result->add_examples();
    e->set_site_id(r.site_id);
    e->set_url(site.url);
    e->set_http_code(r.http_code);
    e->set_error_code(static_cast<int>(r.error_code));
    e->set_failure_class(r.failure_class);
    e->set_detail(r.detail);
  }
  void Finish(v1::SmokeResult* result) {
    std::sort(latencies_.begin(), latencies_.end());
    result->set_p50_ms(Percentile(0.50));
    result->set_p90_ms(Percentile(0.90));
    result->set_p99_ms(Percentile(0.99));
    for (const auto& [name, count] : classes_) {
      v1::ClassCount* c = result->add_classes();
      c->set_failure_class(name);
      c->set_count(count);
    }
  }

 private:
  double Percentile(double p) const {
    if (latencies_.empty()) return 0;
    return latencies_[static_cast<size_t>(p * static_cast<double>(latencies_.size() - 1))];
  }
  std::unordered_map<uint64_t, const store::Site*> sites_;
  std::vector<double> latencies_;
  std::map<std::string, uint64_t> classes_;
};

absl::Status Probe(JobRun& run, const std::vector<store::Site>& sample, probe::Mode mode,
                   v1::SmokeResult* result) {
  JobGate gate(run.options.times.grace / 2);
  BootTime shown = run.parts.clock->Boot();
  gate.Shown(shown);
  std::vector<probe::CheckRequest> requests;
  for (const store::Site& site : sample) {
    probe::CheckRequest r;
    r.lease = &gate;
    r.site_id = site.site_id;
    r.url = site.url;
    r.mode = mode;
    r.timeout = kCheckTimeout;
    requests.push_back(std::move(r));
  }
  probe::Engine::Options options = run.options.engine;
  options.max_concurrent = kConcurrency;
  options.max_queued = kConcurrency;
  auto engine = probe::Engine::Create(options);
  if (!engine.ok()) return engine.status();
  Tally tally(sample);
  absl::Status lost;
  uint64_t done = 0;
  bool lapsed = false;
  probe::CheckAllOptions all;
  all.concurrency = kConcurrency;
  // Nothing is sent for a job that is not ours, or that an operator cancelled.
  all.cancelled = [&] {
    if (lost.ok() && run.parts.clock->Boot() - shown > kShowLife) {
      shown = run.parts.clock->Boot();
      lost = run.Write(commits::kShowLife, [&](sql::Transaction& tx) -> absl::Status {
        auto row = store::GetJob(tx, run.job.job_id);
        if (!row.ok()) return row.status();
        run.job.cancel_requested = row->has_value() && (*row)->cancel_requested;
        return store::SaveJobProgress(tx, run.lease, done, sample.size(), "", "").status();
      });
      if (lost.ok()) gate.Shown(shown);
    }
    return run.stopping() || !lost.ok() || run.job.cancel_requested;
  };
  const absl::Status s = probe::CheckAll(
      **engine, std::move(requests),
      [&](const probe::CheckResult& r) {
        ++done;
        lapsed = lapsed || r.outcome == probe::Outcome::kLeaseLapsed;
        tally.Add(r, result);
      },
      all);
  tally.Finish(result);
  if (!lost.ok()) return lost;
  if (run.stopping() || run.job.cancel_requested) return absl::OkStatus();
  // It writes nothing, so it is simply done again.
  if (s.ok() && lapsed) return absl::UnavailableError("this process was paused while probing");
  return s;
}

}  // namespace

std::vector<store::Site> PickSites(const std::string& run_id, std::vector<store::Site> sites,
                                   size_t count) {
  std::vector<std::pair<std::string, size_t>> order;
  for (size_t i = 0; i < sites.size(); ++i) {
    order.emplace_back(store::Sha256Hex(absl::StrCat(run_id, "/", sites[i].site_id)), i);
  }
  std::sort(order.begin(), order.end());
  std::vector<store::Site> picked;
  for (size_t i = 0; i < order.size() && i < count; ++i) picked.push_back(sites[order[i].second]);
  return picked;
}

std::vector<size_t> Stratify(const std::vector<size_t>& sites_by_bucket, uint64_t size) {
  uint64_t total = 0;
  for (size_t n : sites_by_bucket) total += n;
  const uint64_t wanted = std::min<uint64_t>(size, total);
  std::vector<size_t> take;
  uint64_t before = 0, taken = 0;
  for (size_t n : sites_by_bucket) {
    before += n;
    // Rounded on the running sum, so that the parts add up.
    const uint64_t upto = total == 0 ? 0 : before * wanted / total;
    take.push_back(upto - taken);
    taken = upto;
  }
  return take;
}

absl::Status ExecuteSmoke(JobRun& run) {
  v1::SmokeRequest request;
  if (!request.ParseFromString(run.job.request)) {
    return absl::InternalError("the job's request can't be read");
  }
  const std::string mode_name = request.mode().empty() ? "head-legacy" : request.mode();
  auto mode = probe::ParseMode(mode_name);
  if (!mode.ok()) return mode.status();
  auto size = SampleSizeOf(request.sample_size());
  if (!size.ok()) return size.status();
  uint64_t active = 0;
  auto sample = Sample(run, *size, &active);
  if (!sample.ok()) return sample.status();
  v1::OperationResponse answer =
      Head(run.job.operation, run.job.run_id, run.job.range, run.job.owner_host);
  v1::SmokeResult* result = answer.mutable_smoke();
  result->set_sample_size(sample->size());
  result->set_mode(mode_name);
  if (auto s = Probe(run, *sample, *mode, result); !s.ok()) return s;
  if (run.stopping()) return absl::OkStatus();
  if (run.job.cancel_requested) {
    return run.Finish(store::job_state::kCancelled, "", "cancelled by an operator");
  }
  if (active == 0) {
    *answer.add_warnings() =
        MakeFinding("empty_range", "the range has no active site", "check the range");
  } else if (*size > active) {
    *answer.add_warnings() =
        MakeFinding("sample_is_all",
                    absl::StrCat("the range has ", active, " active sites; all were taken"), "");
  }
  if (result->skipped() > 0) {
    *answer.add_warnings() =
        MakeFinding("sites_skipped",
                    absl::StrCat(result->skipped(),
                                 " sites were not probed: refused by target safety, or not "
                                 "checkable by this build"),
                    "see preflight");
  }
  if (result->failures() > 0) {
    *answer.add_blockers() = MakeFinding("smoke_failures",
                                         absl::StrCat(result->failures(), " of ", result->checked(),
                                                      " sites fail that v1 has as up"),
                                         "look at the examples; probe them from this host by hand");
  }
  SetStatusByBlockers(&answer);
  answer.set_summary(absl::StrCat(result->checked(), " sites probed: ", result->successes(),
                                  " up, ", result->failures(), " failed, ", result->known_down(),
                                  " that v1 also has as down"));
  const bool passed = answer.blockers().empty();
  answer.set_next_action(passed ? "plan seed" : "settle the failures, then run smoke again");
  return run.Finish(passed ? store::job_state::kCompleted : store::job_state::kBlocked,
                    answer.SerializeAsString(), "", [&](sql::Transaction& tx) -> absl::Status {
                      if (!passed) return absl::OkStatus();
                      return run.Record(tx, store::checkpoint::kSmoke, run.job.owner_host);
                    });
}

}  // namespace jetmon::rollout
