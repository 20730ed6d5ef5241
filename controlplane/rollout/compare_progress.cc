#include "controlplane/rollout/compare_progress.h"

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"

namespace jetmon::rollout {

absl::StatusOr<CompareProgress> CompareProgress::Load(const std::string& cursor,
                                                      const std::string& saved) {
  const absl::Status unreadable = absl::InternalError("the job's progress can't be read");
  CompareProgress p(0);
  const std::vector<std::string> words = absl::StrSplit(saved, ' ');
  if (words.size() != 4 || !absl::SimpleAtoi(cursor, &p.cursor_) ||
      !absl::SimpleAtoi(words[0], &p.stored) || !absl::SimpleAtoi(words[1], &p.closed_.skipped) ||
      !absl::SimpleAtoi(words[2], &p.closed_.lost)) {
    return unreadable;
  }
  for (absl::string_view word : absl::StrSplit(words[3], ',')) {
    uint64_t n = 0;
    if (!absl::SimpleAtoi(word, &n)) return unreadable;
    p.by_bucket.push_back(n);
  }
  return p;
}

void CompareProgress::Ended(uint32_t bucket, End end) {
  Counts& counts = buckets_[bucket];
  ++counts.ended;
  if (end == End::kStored) ++stored;
  if (end == End::kSkipped) ++counts.skipped;
  if (end == End::kLost) ++counts.lost;
}

void CompareProgress::GivenOut(uint32_t bucket) {
  for (; cursor_ < bucket; ++cursor_) {
    const auto at = buckets_.find(cursor_);
    if (at == buckets_.end()) continue;  // it has no sites
    if (at->second.ended < at->second.begun) return;
    closed_.skipped += at->second.skipped;
    closed_.lost += at->second.lost;
    buckets_.erase(at);
  }
}

uint64_t CompareProgress::Sum(uint64_t Counts::*field) const {
  uint64_t sum = closed_.*field;
  for (const auto& [bucket, counts] : buckets_) sum += counts.*field;
  return sum;
}

std::string CompareProgress::Save() const {
  return absl::StrCat(stored, " ", closed_.skipped, " ", closed_.lost, " ",
                      absl::StrJoin(by_bucket, ","));
}

}  // namespace jetmon::rollout
