#include "controlplane/rollout/evidence.h"

#include <algorithm>
#include <optional>

#include "absl/strings/str_cat.h"
#include "store/locks.h"
#include "store/sessions.h"

namespace jetmon::rollout {
namespace {

namespace cp = store::checkpoint;

constexpr int64_t kDayMs = int64_t{24} * 3600 * 1000;

struct Wanted {
  const char* kind;
  const char* what;
  const char* action;
  bool of_owner;  // counts for this owner only
  bool one_day;   // counts for 24 h
};

constexpr Wanted kWanted[] = {
    {cp::kPreflight, "preflight", "run preflight for this owner", true, true},
    {cp::kSmoke, "smoke", "run smoke for this owner", true, true},
    {cp::kSeed, "seed", "plan and execute seed", false, false},
    {cp::kV1Stopped, "v1_stopped", "stop v1 for the range, then record the checkpoint v1_stopped",
     false, false},
    {cp::kFinalReconcile, "final_reconcile",
     "plan and execute final-reconcile after v1 has stopped", false, false},
};

}  // namespace

bool IsOverrideCode(std::string_view code) {
  if (code == kEvidenceMissing) return true;
  return std::any_of(std::begin(kWanted), std::end(kWanted), [&](const Wanted& w) {
    return code == absl::StrCat(kEvidenceMissing, ".", w.what);
  });
}

absl::StatusOr<Evidence> GatherEvidence(sql::Transaction& tx, store::Range range,
                                        const std::string& owner_host, int64_t now_ms) {
  Evidence evidence;
  auto changed = store::LastChangeOrdinal(tx, range);
  if (!changed.ok()) return changed.status();
  auto started = store::LatestOverlappingCheckpoint(tx, cp::kV1Started, range);
  if (!started.ok()) return started.status();
  const uint64_t v1_started = started->has_value() ? (*started)->ordinal : 0;
  for (const Wanted& w : kWanted) {
    auto found = store::LatestCheckpoint(tx, w.kind, range, w.of_owner ? owner_host : "");
    if (!found.ok()) return found.status();
    const std::string what = w.what;
    std::string why;
    if (!found->has_value()) {
      why = absl::StrCat(what, " was not recorded for this range");
    } else if ((*found)->ordinal <= *changed) {
      why = absl::StrCat(what, " is older than the range's last change of owner");
    } else if (w.one_day && now_ms - (*found)->created_at_ms > kDayMs) {
      why = absl::StrCat(what, " is older than 24 hours");
    } else if ((what == "v1_stopped" || what == "final_reconcile") &&
               (*found)->ordinal <= v1_started) {
      why = absl::StrCat(what, " is older than v1's last start");
    } else if (what == "final_reconcile" && (*found)->started_ordinal <= evidence.v1_stopped) {
      why = "final_reconcile began before v1 was recorded as stopped";
    }
    if (!why.empty()) {
      evidence.missing.push_back({what, why, w.action});
      continue;
    }
    if (what == "v1_stopped") evidence.v1_stopped = (*found)->ordinal;
    evidence.ids.push_back(absl::StrCat(what, ":", (*found)->ordinal));
  }
  return evidence;
}

}  // namespace jetmon::rollout
