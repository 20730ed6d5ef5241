#include "controlplane/rollout/smoke.h"

#include <map>

#include "absl/strings/str_cat.h"
#include "controlplane/rollout/canaries.h"
#include "controlplane/rollout/job_life.h"
#include "controlplane/rollout/messages.h"
#include "controlplane/rollout/prober.h"
#include "controlplane/rollout/quantiles.h"
#include "controlplane/rollout/requests.h"
#include "controlplane/rollout/sampler.h"
#include "store/sessions.h"

namespace jetmon::rollout {
namespace {

constexpr int kMostExamples = 20;

// Gathers results as they come.
class Tally {
 public:
  explicit Tally(v1::SmokeResult* result) : result_(*result) {}

  void Add(const Probe& probe) {
    const probe::CheckResult& r = probe.results.back();
    if (!probe::IsVerdict(r.outcome)) {
      if (r.outcome == probe::Outcome::kSafety) {
        result_.set_skipped(result_.skipped() + 1);
      } else {
        result_.set_lost(result_.lost() + 1);
      }
      return;
    }
    result_.set_checked(result_.checked() + 1);
    latencies_.Add(static_cast<uint64_t>(r.timings.total_us));
    ++classes_[r.failure_class];
    if (r.outcome == probe::Outcome::kUp) {
      result_.set_successes(result_.successes() + 1);
    } else if (probe.site.site_status != store::kStatusUp) {
      result_.set_known_down(result_.known_down() + 1);
    } else {
      result_.set_failures(result_.failures() + 1);
      if (result_.examples_size() < kMostExamples) AddExample(probe.site, r);
    }
  }
  uint64_t done() const { return result_.checked() + result_.skipped() + result_.lost(); }
  void Finish() {
    result_.set_sample_size(done());
    result_.set_p50_ms(latencies_.At(0.50) / 1000);
    result_.set_p90_ms(latencies_.At(0.90) / 1000);
    result_.set_p99_ms(latencies_.At(0.99) / 1000);
    for (const auto& [name, count] : classes_) {
      v1::ClassCount* c = result_.add_classes();
      c->set_failure_class(name);
      c->set_count(count);
    }
  }

 private:
  void AddExample(const store::Site& site, const probe::CheckResult& r) {
    v1::ProbeExample* e = result_.add_examples();
    e->set_site_id(site.site_id);
    e->set_url(site.url);
    e->set_http_code(r.http_code);
    e->set_error_code(static_cast<int>(r.error_code));
    e->set_failure_class(r.failure_class);
    e->set_detail(r.detail);
  }

  v1::SmokeResult& result_;
  Quantiles latencies_;
  std::map<std::string, uint64_t> classes_;
};

// What of the request the checks need.
struct Asked {
  probe::Mode mode;
  uint64_t size = 0;
  std::vector<CheckedCanary> canaries;
};

absl::StatusOr<Asked> Read(const JobRun& run, v1::SmokeResult* result) {
  v1::SmokeRequest request;
  if (!request.ParseFromString(run.job.request)) {
    return absl::InternalError("the job's request can't be read");
  }
  result->set_mode(request.mode().empty() ? "head-legacy" : request.mode());
  auto mode = probe::ParseMode(result->mode());
  if (!mode.ok()) return mode.status();
  auto size = SampleSizeOf(request.sample_size());
  if (!size.ok()) return size.status();
  auto canaries = CheckCanaries(request.canaries(), run.options.engine.safety);
  if (!canaries.ok()) return canaries.status();
  return Asked{*mode, *size, *std::move(canaries)};
}

absl::Status ProbeCanaries(JobRun& run, JobLife& life, std::vector<CheckedCanary> canaries,
                           v1::OperationResponse* answer) {
  if (canaries.empty()) return absl::OkStatus();
  auto checks =
      CanaryRun::Begin(run.options.engine, std::move(canaries), &life, run.options.times.budget);
  if (!checks.ok()) return checks.status();
  auto results = (*checks)->Results([&] { return life.Turn(0, 0); });
  if (!results.ok()) return results.status();
  for (const v1::CanaryResult& r : *results) *answer->mutable_smoke()->add_canaries() = r;
  BlockByCanaries(*results, answer);
  return absl::OkStatus();
}

// `active`: sites of the range.
absl::Status ProbeSites(JobRun& run, JobLife& life, const Asked& asked, v1::SmokeResult* result,
                        uint64_t* active) {
  Tally tally(result);
  uint64_t total = 0;
  const auto turn = [&] { return life.Turn(tally.done(), total); };
  Sampler sampler(*run.parts.db, run.job.run_id, run.job.range, turn);
  if (auto s = sampler.Count(); !s.ok()) return s;
  *active = sampler.active();
  sampler.TakeInProportion(asked.size);
  total = sampler.size();
  const auto next = [&]() -> absl::StatusOr<std::vector<Probe>> {
    auto sites = sampler.Next();
    if (!sites.ok()) return sites.status();
    std::vector<Probe> probes;
    for (Sampler::Sampled& s : *sites) {
      Probe& p = probes.emplace_back();
      probe::CheckRequest& r = p.checks.emplace_back();
      r.lease = &life;
      r.site_id = s.site.site_id;
      r.url = s.site.url;
      r.mode = asked.mode;
      r.timeout = run.options.times.budget.check();
      p.site = std::move(s.site);
    }
    return probes;
  };
  const auto done = [&](Probe&& probe) {
    tally.Add(probe);
    return absl::OkStatus();
  };
  const absl::Status s = RunProbes(run.options.engine, {}, next, done, turn);
  tally.Finish();
  return s;
}

void SayWarnings(const Asked& asked, uint64_t active, v1::OperationResponse* answer) {
  const v1::SmokeResult& r = answer->smoke();
  WarnOfSample(asked.size, active, r.skipped(), "probed", answer);
  if (r.lost() == 0) return;
  // Nothing was shown then.
  *(r.checked() == 0 ? answer->add_blockers() : answer->add_warnings()) = MakeFinding(
      "checks_lost", absl::StrCat(r.lost(), " checks could not be brought to an end here"),
      "this machine is overloaded or was paused; run smoke again");
}

void Conclude(const Asked& asked, uint64_t active, v1::OperationResponse* answer) {
  SayWarnings(asked, active, answer);
  const v1::SmokeResult& r = answer->smoke();
  if (r.failures() > 0) {
    *answer->add_blockers() = MakeFinding(
        "smoke_failures",
        absl::StrCat(r.failures(), " of ", r.checked(), " sites fail that v1 has as up"),
        "look at the examples; probe them from this host by hand");
  }
  SetStatusByBlockers(answer);
  answer->set_summary(
      absl::StrCat(r.checked(), " sites probed: ", r.successes(), " up, ", r.failures(),
                   " failed, ", r.known_down(), " that v1 also has as down",
                   r.canaries().empty() ? "" : absl::StrCat("; ", r.canaries_size(), " canaries")));
  answer->set_next_action(answer->blockers().empty() ? "plan seed"
                                                     : "settle the failures, then run smoke again");
}

}  // namespace

absl::Status ExecuteSmoke(JobRun& run) {
  v1::OperationResponse answer =
      Head(run.job.operation, run.job.run_id, run.job.range, run.job.owner_host);
  auto asked = Read(run, answer.mutable_smoke());
  if (!asked.ok()) return asked.status();
  JobLife life(run);
  uint64_t active = 0;
  absl::Status s = life.Turn(0, 0);
  if (s.ok()) s = ProbeCanaries(run, life, asked->canaries, &answer);
  if (s.ok()) s = ProbeSites(run, life, *asked, answer.mutable_smoke(), &active);
  // An operator's word that came with the last result still counts.
  if (s.ok()) s = life.LastTurn(answer.smoke().sample_size(), answer.smoke().sample_size());
  if (!s.ok()) return life.End(s);
  Conclude(*asked, active, &answer);
  const bool passed = answer.blockers().empty();
  return run.Finish(passed ? store::job_state::kCompleted : store::job_state::kBlocked,
                    answer.SerializeAsString(), "", [&](sql::Transaction& tx) -> absl::Status {
                      if (!passed) return absl::OkStatus();
                      return run.Record(tx, store::checkpoint::kSmoke, run.job.owner_host);
                    });
}

}  // namespace jetmon::rollout
