#ifndef JETMON_CLI_V1_PLAN_H_
#define JETMON_CLI_V1_PLAN_H_

#include <optional>
#include <string>
#include <vector>

#include "cli/bucket_set.h"
#include "cli/v1_reads.h"

namespace jetmon::cli {

struct V1Host {
  std::string name;
  V1Settings settings;
};

// Of one host, without buckets that there are none of.
struct V1HostReport {
  V1Host host;
  // What it is there for: MIN to MAX, without MAX where the next host begins, without v2's buckets.
  BucketSet intended;
  BucketSet reads, at_start, strays;  // see V1Reads; the strays of any v1
  BucketSet never;                    // of MIN to MAX
  bool exact = false;                 // reads just what is intended, at a start too
  bool exact_if_older = false;        // so does an older v1
  // With these it reads just that, where it does not now: if `older_too`, whatever v1 it runs.
  // Where only an older v1 does not, there are some only if they help.
  std::optional<V1Settings> set_instead;
  bool older_too = false;
};

struct V1PlanFinding {
  bool blocks = false;
  std::string code, text, action;
};

struct V1PlanReport {
  std::vector<V1HostReport> hosts;
  std::vector<V1PlanFinding> findings;
  // What would still block with all of set_instead set, and hosts stopped that have nothing left.
  std::vector<V1PlanFinding> left;
  bool blocked() const;
};

// Judges the configs of all v1 hosts together: is each of the `bucket_total` buckets read by just
// one of them, or held by v2? At least one host.
V1PlanReport JudgeV1Plan(const std::vector<V1Host>& hosts, uint32_t bucket_total,
                         const BucketSet& held);

// Settings with which v1 reads just this range, from its first round on, with batches no larger
// than `batch` and close to it; an older v1 too if that can be had without much smaller ones
// (`older_too`).
V1Settings SettingsFor(store::Range range, uint32_t batch, bool* older_too);

}  // namespace jetmon::cli

#endif  // JETMON_CLI_V1_PLAN_H_
