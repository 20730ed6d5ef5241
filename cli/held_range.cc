#include "cli/held_range.h"

#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"

namespace jetmon::cli {
namespace {

HeldRange HeldRangeOf(const Json& row) {
  HeldRange held;
  held.run_id = row["run_id"].Text();
  held.owner_host = row["owner_host"].Text();
  held.range = {static_cast<uint32_t>(row["bucket_min"].Number()),
                static_cast<uint32_t>(row["bucket_max"].Number())};
  return held;
}

std::string Describe(const HeldRange& held) {
  return absl::StrCat(held.owner_host, " holds ", held.range.ToString(), " (run ", held.run_id,
                      ")");
}

}  // namespace

absl::StatusOr<HeldRange> FindHeldRange(const Json& status, store::Range wanted,
                                        const std::string& run_id) {
  std::vector<HeldRange> found;
  for (const Json& row : status["ranges"].Items()) {
    HeldRange held = HeldRangeOf(row);
    if (held.range.Overlaps(wanted)) found.push_back(std::move(held));
  }
  if (found.empty()) {
    return absl::FailedPreconditionError(
        absl::StrCat("no range ", wanted.ToString(), " is held; see: jetmon2 api rollout status"));
  }
  HeldRange held = found.front();
  const bool whole = held.range == wanted;
  const bool end =
      held.range.Covers(wanted) && (held.range.min == wanted.min || held.range.max == wanted.max);
  if (found.size() > 1 || !end) {
    std::vector<std::string> words;
    for (const HeldRange& h : found) words.push_back(Describe(h));
    return absl::FailedPreconditionError(absl::StrCat(
        "buckets ", wanted.ToString(), " are neither a held range nor one end of it: ",
        absl::StrJoin(words, ", "), "; a range is released whole, or in parts from either end"));
  }
  if (!run_id.empty() && held.run_id != run_id) {
    return absl::FailedPreconditionError(
        absl::StrCat(Describe(held), ", not run ", run_id, ": use --run-id ", held.run_id));
  }
  if (!whole) held.keeps = held.range.Without(wanted).ToString();
  return held;
}

}  // namespace jetmon::cli
