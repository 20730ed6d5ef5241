#ifndef JETMON_STORE_POLICY_STAGES_H_
#define JETMON_STORE_POLICY_STAGES_H_

#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "store/range.h"
#include "store/slices.h"
#include "store/sql/database.h"

// Stages of a check policy: each writes the policy of some sites into jetmon_endpoint_check_config
// and keeps what stood there before. A row of that table has a revision, which every change makes
// greater; whoever changed a row since is told by it, and is never overwritten unseen.
namespace jetmon::store {

namespace stage_state {
inline constexpr char kApplying[] = "applying";
inline constexpr char kApplied[] = "applied";
inline constexpr char kRollingBack[] = "rolling_back";
inline constexpr char kRolledBack[] = "rolled_back";
}  // namespace stage_state

struct PolicyStage {
  std::string stage_id;  // "rstg_" + ULID
  std::string run_id;
  uint32_t number = 0;  // in its run, from 1: assigned
  Range range;
  std::string method, profile;
  std::string size;  // as it was asked for
  std::string state;
  std::string job_id;           // applies it
  std::string rollback_job_id;  // "" until it is to be rolled back
  uint64_t eligible = 0, cohort = 0;
  uint64_t changed = 0, restored = 0, conflicts = 0;  // sites
  int64_t created_at_ms = 0, paused_at_ms = 0, rolled_back_at_ms = 0;
};

// The number that the next stage of a run gets.
absl::StatusOr<uint32_t> NextStageNumber(sql::Transaction& tx, std::string_view run_id);
// Inserts a stage, `applying`, with the next number of its run.
absl::StatusOr<PolicyStage> InsertPolicyStage(sql::Transaction& tx, PolicyStage stage);
// The stages of a run that are not rolled back, newest first, at most 1,000.
absl::StatusOr<std::vector<PolicyStage>> ListStandingStages(sql::Transaction& tx,
                                                            std::string_view run_id);
absl::StatusOr<std::optional<PolicyStage>> GetStageOfJob(sql::Transaction& tx,
                                                         std::string_view job_id);
// How many sites it goes over, once that is known.
absl::Status SetStageSize(sql::Transaction& tx, std::string_view stage_id, uint64_t eligible,
                          uint64_t cohort);
// applying -> applied; false if it was not applying.
absl::StatusOr<bool> EndStage(sql::Transaction& tx, std::string_view stage_id);
// The stage of a job that was cancelled before it began, if it is one's: applying -> applied.
absl::Status EndStageOfJob(sql::Transaction& tx, std::string_view job_id);
// Any but rolled_back -> rolling_back, by that job; false if it is rolled back.
absl::StatusOr<bool> BeginRollback(sql::Transaction& tx, std::string_view stage_id,
                                   std::string_view job_id);
// The stages that the job is to roll back and has not yet, newest first.
absl::StatusOr<std::vector<PolicyStage>> StagesToRollBack(sql::Transaction& tx,
                                                          std::string_view job_id);
// rolling_back -> rolled_back; false if it was not.
absl::StatusOr<bool> EndRollback(sql::Transaction& tx, std::string_view stage_id, int64_t now_ms);
// Marks the standing stages of a run as paused since `now_ms`; 0: as not.
absl::Status PauseStages(sql::Transaction& tx, std::string_view run_id, int64_t now_ms);

// The policy row of a site, and whether the newest standing stage of a run that wrote it still
// stands there.
struct PolicySite {
  uint64_t site_id = 0;
  uint32_t bucket = 0;
  bool has_row = false;
  std::optional<std::string> method, profile;  // of the row; no value = the default
  uint64_t revision = 0;                       // of the row
  // By the run: the stage's number (0 = none wrote this site), and what it wrote.
  uint32_t staged_by = 0;
  uint64_t staged_revision = 0;
  std::string staged_method, staged_profile;
};
// The active sites of a slice.
absl::StatusOr<std::vector<PolicySite>> PolicySitesIn(sql::Transaction& tx, const Slice& slice,
                                                      std::string_view run_id);
// Only their ids.
absl::StatusOr<std::vector<uint64_t>> SiteIdsIn(sql::Transaction& tx, const Slice& slice);

// Writes the stage's policy for these sites, as they were read in the same transaction, and keeps
// what stood there. Aborted (to be run again) if one of them is not as it was read.
absl::Status WritePolicy(sql::Transaction& tx, const PolicyStage& stage,
                         const std::vector<PolicySite>& sites, int64_t now_ms);

// What a stage wrote for a site and nobody restored yet.
struct StagedSite {
  uint64_t site_id = 0;
  bool had_row = false;
  // Nobody changed the site's row since.
  bool stands = false;
};
// Of the stage, behind a site id, by site id, at most `limit`.
absl::StatusOr<std::vector<StagedSite>> StagedSites(sql::Transaction& tx, const PolicyStage& stage,
                                                    uint64_t after, int limit);
// Restores what stood before the stage for those of the sites that stand, and marks the others as
// conflicts. Aborted (to be run again) if one is not as it was read.
absl::Status RestorePolicy(sql::Transaction& tx, const PolicyStage& stage,
                           const std::vector<StagedSite>& sites, int64_t now_ms);
// Which of the sites a stage that the job rolls back has met as a conflict.
absl::StatusOr<std::set<uint64_t>> ConflictsOfRollback(sql::Transaction& tx,
                                                       std::string_view job_id,
                                                       const std::vector<uint64_t>& sites);

}  // namespace jetmon::store

#endif  // JETMON_STORE_POLICY_STAGES_H_
