#ifndef JETMON_CONTROLPLANE_ROLLOUT_EVIDENCE_H_
#define JETMON_CONTROLPLANE_ROLLOUT_EVIDENCE_H_

#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "store/range.h"
#include "store/sql/database.h"

namespace jetmon::rollout {

// The blocker of an activation, and the first part of the code of an override.
inline constexpr char kEvidenceMissing[] = "evidence_missing";

// Whether an override of that code lets something pass: evidence_missing, or evidence_missing.WHAT
// with a WHAT of Evidence::Missing.
bool IsOverrideCode(std::string_view code);

// What an activation needs to have been shown, and what of it is missing. Evidence counts only if
// it was recorded for the whole range (or more), in whatever run, after the range's last change of
// owner; a v1_started checkpoint that overlaps the range voids v1_stopped and final reconcile;
// preflight and smoke count for 24 h, for this owner.
struct Evidence {
  struct Missing {
    std::string what;    // preflight, smoke, seed, v1_stopped, final_reconcile
    std::string text;    // why it does not count
    std::string action;  // what to do
  };
  std::vector<Missing> missing;
  // Ordinals of the checkpoints that count, "kind:ordinal", for the plan's digest.
  std::vector<std::string> ids;
  uint64_t v1_stopped = 0;  // ordinal of the checkpoint that counts; 0: it is missing
};
absl::StatusOr<Evidence> GatherEvidence(sql::Transaction& tx, store::Range range,
                                        const std::string& owner_host, int64_t now_ms);

}  // namespace jetmon::rollout

#endif  // JETMON_CONTROLPLANE_ROLLOUT_EVIDENCE_H_
