#include "cli/v1_plan.h"

#include <algorithm>
#include <initializer_list>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"

namespace jetmon::cli {
namespace {

// Findings of a kind, and hosts in a list, that are named one by one.
constexpr size_t kNamed = 20;

bool IsExact(const V1Settings& settings, V1Code code, const BucketSet& intended,
             const BucketSet& all) {
  const V1Reads reads = ReadsOfV1(settings, code);
  return reads.rounds.And(all) == intended && reads.at_start.And(all).empty();
}

std::string Buckets(const BucketSet& set) {
  return absl::StrCat(set.size() == 1 ? "bucket " : "buckets ", set.ToString());
}

std::string IsOrAre(const BucketSet& set) { return set.size() == 1 ? " is" : " are"; }

BucketSet AllReads(const V1HostReport& r) {
  BucketSet all = r.reads;
  all.Add(r.at_start);
  return all;
}

// Who has another host's MIN for MAX is not meant to read it.
BucketSet Intended(const V1Host& host, const std::vector<V1Host>& hosts, const BucketSet& all,
                   const BucketSet& held) {
  store::Range range{host.settings.min, host.settings.max};
  const bool shared = std::any_of(hosts.begin(), hosts.end(), [&](const V1Host& other) {
    return other.settings.min == range.max && other.settings.min > range.min;
  });
  if (shared) --range.max;
  return BucketSet(range).And(all).Without(held);
}

V1HostReport ReportOf(const V1Host& host, const std::vector<V1Host>& hosts, const BucketSet& all,
                      const BucketSet& held) {
  V1HostReport r;
  r.host = host;
  r.intended = Intended(host, hosts, all, held);
  const V1Reads reads = ReadsOfV1(host.settings, V1Code::kCutsAtMax);
  r.reads = reads.rounds.And(all);
  r.at_start = reads.at_start.And(all);
  r.strays = reads.strays;
  r.strays.Add(ReadsOfV1(host.settings, V1Code::kRestartsAtMin).strays);
  r.strays = r.strays.And(all);
  r.never =
      BucketSet(store::Range{host.settings.min, host.settings.max}).And(all).Without(AllReads(r));
  r.exact = IsExact(host.settings, V1Code::kCutsAtMax, r.intended, all);
  r.exact_if_older = IsExact(host.settings, V1Code::kRestartsAtMin, r.intended, all);
  if ((!r.exact || !r.exact_if_older) && r.intended.ranges().size() == 1) {
    r.set_instead = SettingsFor(r.intended.ranges()[0], host.settings.batch, &r.older_too);
    if (r.exact && !r.older_too) r.set_instead.reset();
  }
  return r;
}

std::vector<V1HostReport> ReportsOf(const std::vector<V1Host>& hosts, const BucketSet& all,
                                    const BucketSet& held) {
  std::vector<V1HostReport> reports;
  reports.reserve(hosts.size());
  for (const V1Host& host : hosts) reports.push_back(ReportOf(host, hosts, all, held));
  return reports;
}

// Adds findings of one code, of which the first are named and the others counted.
class Kind {
 public:
  Kind(bool blocks, std::string code, std::string action, std::vector<V1PlanFinding>* findings)
      : blocks_(blocks), code_(std::move(code)), action_(std::move(action)), findings_(findings) {}
  ~Kind() {
    if (count_ > kNamed) {
      findings_->push_back({blocks_, code_, absl::StrCat(count_ - kNamed, " more such"), ""});
    }
  }
  void Add(std::string text) {
    if (++count_ <= kNamed) findings_->push_back({blocks_, code_, std::move(text), action_});
  }

 private:
  const bool blocks_;
  const std::string code_, action_;
  std::vector<V1PlanFinding>* const findings_;
  size_t count_ = 0;
};

// " (v1-b only in its first round after a start)"
std::string AtStart(const BucketSet& shared, const V1HostReport& a, const V1HostReport& b) {
  std::vector<std::string> names;
  for (const V1HostReport* r : {&a, &b}) {
    if (shared.And(r->reads).empty()) names.push_back(r->host.name);
  }
  if (names.empty()) return "";
  return absl::StrCat(" (by ", absl::StrJoin(names, " and "),
                      " only in the first round after a start)");
}

void FindTwice(const std::vector<V1HostReport>& reports, std::vector<V1PlanFinding>* findings) {
  Kind twice(true, "read_twice",
             "set what stands at these hosts; where nothing does, give each bucket to one of them",
             findings);
  std::vector<BucketSet> reads;
  reads.reserve(reports.size());
  for (const V1HostReport& r : reports) reads.push_back(AllReads(r));
  for (size_t i = 0; i < reports.size(); ++i) {
    for (size_t j = i + 1; j < reports.size(); ++j) {
      const BucketSet shared = reads[i].And(reads[j]);
      if (shared.empty()) continue;
      twice.Add(absl::StrCat(Buckets(shared), IsOrAre(shared), " read by ", reports[i].host.name,
                             " and ", reports[j].host.name,
                             AtStart(shared, reports[i], reports[j])));
    }
  }
}

std::vector<V1PlanFinding> Blockers(const std::vector<V1HostReport>& reports, const BucketSet& all,
                                    const BucketSet& held) {
  std::vector<V1PlanFinding> findings;
  FindTwice(reports, &findings);
  BucketSet nobodys = all.Without(held);
  {
    Kind in_v2(true, "read_while_held",
               "release them from v2 first, or stop that host and set what stands at it",
               &findings);
    for (const V1HostReport& r : reports) {
      const BucketSet both = AllReads(r).And(held);
      nobodys = nobodys.Without(r.reads);
      if (both.empty()) continue;
      in_v2.Add(absl::StrCat(Buckets(both), IsOrAre(both), " held by v2, and ", r.host.name,
                             " reads ", both.size() == 1 ? "it" : "them",
                             both.And(r.reads).empty() ? " in its first round after a start" : ""));
    }
  }
  if (!nobodys.empty()) {
    findings.push_back({true, "read_by_none",
                        absl::StrCat(Buckets(nobodys), IsOrAre(nobodys),
                                     " read by no v1 host and not held by v2: its sites are not "
                                     "checked"),
                        "set for each host what stands at it; is a host missing in the file?"});
  }
  return findings;
}

std::string Named(const std::vector<std::string>& words) {
  if (words.size() <= kNamed) return absl::StrJoin(words, "; ");
  const std::vector<std::string> first(words.begin(), words.begin() + kNamed);
  return absl::StrCat(absl::StrJoin(first, "; "), "; and ", words.size() - kNamed, " more");
}

void AddWarnings(const std::vector<V1HostReport>& reports, const BucketSet& held,
                 std::vector<V1PlanFinding>* findings) {
  std::vector<std::string> held_strays, other_strays, older;
  for (const V1HostReport& r : reports) {
    if (const BucketSet b = r.strays.And(held); !b.empty()) {
      held_strays.push_back(absl::StrCat(r.host.name, " ", b.ToString()));
    }
    if (const BucketSet b = r.strays.Without(held); !b.empty()) {
      other_strays.push_back(absl::StrCat(r.host.name, " ", b.ToString()));
    }
    if (r.exact && !r.exact_if_older) older.push_back(r.host.name);
  }
  const char* const smaller = "no config rules it out; a smaller batch_size makes them fewer";
  if (!held_strays.empty()) {
    findings->push_back({false, "stray_into_held",
                         absl::StrCat("after a failed query on the last batch of a round v1 reads "
                                      "once what v2 holds: ",
                                      Named(held_strays)),
                         smaller});
  }
  if (!other_strays.empty()) {
    findings->push_back({false, "stray_below_min",
                         absl::StrCat("after a failed query on the last batch of a round v1 reads "
                                      "once what is below its MIN: ",
                                      Named(other_strays)),
                         smaller});
  }
  if (!older.empty()) {
    findings->push_back({false, "older_v1_differs",
                         absl::StrCat("a v1 of before its last batch ended with MAX reads other "
                                      "buckets with these settings: ",
                                      Named(older)),
                         "see that these hosts run a newer one, or set what stands at them"});
  }
}

}  // namespace

bool V1PlanReport::blocked() const {
  return std::any_of(findings.begin(), findings.end(), [](const auto& f) { return f.blocks; });
}

V1PlanReport JudgeV1Plan(const std::vector<V1Host>& hosts, uint32_t bucket_total,
                         const BucketSet& held) {
  const BucketSet all(store::Range{0, bucket_total - 1});
  V1PlanReport report;
  report.hosts = ReportsOf(hosts, all, held);
  report.findings = Blockers(report.hosts, all, held);
  if (report.blocked()) {
    std::vector<V1Host> corrected;
    for (const V1HostReport& r : report.hosts) {
      if (r.intended.empty()) continue;
      corrected.push_back({r.host.name, r.set_instead.value_or(r.host.settings)});
    }
    report.left = Blockers(ReportsOf(corrected, all, held), all, held);
  }
  AddWarnings(report.hosts, held, &report.findings);
  return report;
}

V1Settings SettingsFor(store::Range range, uint32_t batch, bool* older_too) {
  const BucketSet intended(range);
  const BucketSet all(store::Range{0, std::max(range.max + 1, range.min + batch)});
  const uint32_t most = std::min(batch, range.size());
  const auto find = [&](uint32_t least, std::initializer_list<uint32_t> maxima, bool older) {
    for (uint32_t b = most; b >= least; --b) {
      if (older && range.size() % b != 0) continue;  // it never reads a last batch that is smaller
      for (const uint32_t max : maxima) {
        const V1Settings settings{range.min, max, b};
        if (IsExact(settings, V1Code::kCutsAtMax, intended, all) &&
            (!older || IsExact(settings, V1Code::kRestartsAtMin, intended, all))) {
          return std::optional(settings);
        }
      }
    }
    return std::optional<V1Settings>();
  };
  // MAX itself is read by no v1 if whole batches end before it.
  *older_too = true;
  if (auto s = find(std::max(most / 4, 1u), {range.max, range.max + 1}, true)) return *s;
  *older_too = false;
  if (auto s = find(2, {range.max}, false)) return *s;
  *older_too = true;
  return {range.min, range.max + 1, 1};
}

}  // namespace jetmon::cli
