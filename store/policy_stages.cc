#include "store/policy_stages.h"

#include <algorithm>
#include <unordered_map>

#include "absl/strings/str_cat.h"
#include "store/locks.h"
#include "store/rows.h"

namespace jetmon::store {
namespace {

// Revisions that stages give begin here, so that they never meet those that people count by hand.
constexpr uint64_t kFirstRevision = 1'000'000'000;

constexpr char kColumns[] =
    "SELECT stage_id, run_id, number, bucket_min, bucket_max, method, profile, size, state, "
    "job_id, "
    "rollback_job_id, eligible, cohort, changed, restored, conflicts, created_at_ms, paused_at_ms, "
    "rolled_back_at_ms FROM jetmon_rollout_policy_stages ";

PolicyStage StageOf(const sql::Row& row) {
  PolicyStage s;
  s.stage_id = row.Text(0);
  s.run_id = row.Text(1);
  s.number = static_cast<uint32_t>(row.Int(2));
  s.range = {static_cast<uint32_t>(row.Int(3)), static_cast<uint32_t>(row.Int(4))};
  s.method = row.Text(5);
  s.profile = row.Text(6);
  s.size = row.Text(7);
  s.state = row.Text(8);
  s.job_id = row.Text(9);
  s.rollback_job_id = row.Text(10);
  s.eligible = row.Uint(11);
  s.cohort = row.Uint(12);
  s.changed = row.Uint(13);
  s.restored = row.Uint(14);
  s.conflicts = row.Uint(15);
  s.created_at_ms = row.Int(16);
  s.paused_at_ms = row.Int(17);
  s.rolled_back_at_ms = row.Int(18);
  return s;
}

absl::StatusOr<std::vector<PolicyStage>> Stages(sql::Transaction& tx, std::string_view where,
                                                sql::Params params) {
  std::vector<PolicyStage> stages;
  auto s = tx.Query(absl::StrCat(kColumns, absl::string_view(where.data(), where.size())), params,
                    [&](const sql::Row& row) {
                      stages.push_back(StageOf(row));
                      return absl::OkStatus();
                    });
  if (!s.ok()) return s;
  return stages;
}

absl::Status NotAsRead() { return absl::AbortedError("a site's policy changed meanwhile"); }

// Runs a statement with an IN list of ids; Aborted unless it matched each of them. `values` go
// before the ids, `more` behind.
absl::Status MatchEach(sql::Transaction& tx, const std::string& head, const std::string& tail,
                       const std::vector<sql::Value>& values, const std::vector<uint64_t>& ids,
                       const std::vector<sql::Value>& more) {
  return InPieces(ids.size(), [&](size_t at, size_t n) -> absl::Status {
    std::vector<sql::Value> all = values;
    all.insert(all.end(), ids.begin() + at, ids.begin() + at + n);
    all.insert(all.end(), more.begin(), more.end());
    auto matched = tx.Execute(absl::StrCat(head, " IN ", Marks(n), tail), all);
    if (!matched.ok()) return matched.status();
    return static_cast<size_t>(*matched) == n ? absl::OkStatus() : NotAsRead();
  });
}

// What a stage wrote for the site of a row of jetmon_endpoint_check_config.
std::string OfStageRow(std::string_view column) {
  return absl::StrCat("(SELECT r.", absl::string_view(column.data(), column.size()),
                      " FROM jetmon_rollout_policy_stage_rows r WHERE r.stage_id = ? AND r.site_id "
                      "= jetmon_endpoint_check_config.site_id)");
}

// Nothing else is configured for the site.
constexpr char kNothingElse[] =
    "keyword IS NULL AND forbidden_keyword IS NULL AND maintenance_from_ms IS NULL AND "
    "maintenance_until_ms IS NULL AND headers IS NULL AND timeout_ms IS NULL AND redirect_policy "
    "IS "
    "NULL AND cooldown_ms IS NULL";

absl::Status InsertConfigs(sql::Transaction& tx, const PolicyStage& stage,
                           const std::vector<PolicySite>& sites, uint64_t revision,
                           int64_t now_ms) {
  std::vector<std::vector<sql::Value>> rows;
  for (const PolicySite& s : sites) {
    if (s.has_row) continue;
    rows.push_back({s.site_id, stage.method, stage.profile, revision, now_ms});
  }
  auto s = InsertRows(tx,
                      "INSERT INTO jetmon_endpoint_check_config (site_id, method, profile, "
                      "revision, updated_at_ms) VALUES ",
                      "", 5, rows);
  return absl::IsAlreadyExists(s) ? NotAsRead() : s;
}

absl::Status UpdateConfigs(sql::Transaction& tx, const PolicyStage& stage,
                           const std::vector<PolicySite>& sites, int64_t now_ms) {
  std::vector<uint64_t> ids;
  for (const PolicySite& s : sites) {
    if (s.has_row) ids.push_back(s.site_id);
  }
  return MatchEach(
      tx,
      absl::StrCat("UPDATE jetmon_endpoint_check_config SET method = ?, profile = ?, revision = ",
                   OfStageRow("revision"), ", updated_at_ms = ? WHERE site_id"),
      absl::StrCat(" AND revision = ", OfStageRow("previous_revision")),
      {stage.method, stage.profile, stage.stage_id, now_ms}, ids, {stage.stage_id});
}

}  // namespace

absl::StatusOr<uint32_t> NextStageNumber(sql::Transaction& tx, std::string_view run_id) {
  uint32_t number = 0;
  auto s =
      tx.Query("SELECT COALESCE(MAX(number), 0) FROM jetmon_rollout_policy_stages WHERE run_id = ?",
               {run_id}, [&](const sql::Row& row) {
                 number = static_cast<uint32_t>(row.Int(0)) + 1;
                 return absl::OkStatus();
               });
  if (!s.ok()) return s;
  return number;
}

absl::StatusOr<PolicyStage> InsertPolicyStage(sql::Transaction& tx, PolicyStage stage) {
  auto number = NextStageNumber(tx, stage.run_id);
  if (!number.ok()) return number.status();
  stage.number = *number;
  stage.state = stage_state::kApplying;
  auto s =
      tx.Execute(
            "INSERT INTO jetmon_rollout_policy_stages (stage_id, run_id, number, bucket_min, "
            "bucket_max, method, profile, size, state, job_id, eligible, cohort, created_at_ms) "
            "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            {stage.stage_id, stage.run_id, stage.number, stage.range.min, stage.range.max,
             stage.method, stage.profile, stage.size, stage.state, stage.job_id, stage.eligible,
             stage.cohort, stage.created_at_ms})
          .status();
  if (!s.ok()) return s;
  return stage;
}

absl::StatusOr<std::vector<PolicyStage>> ListStandingStages(sql::Transaction& tx,
                                                            std::string_view run_id) {
  return Stages(tx, "WHERE run_id = ? AND state <> ? ORDER BY number DESC LIMIT 1000",
                {run_id, stage_state::kRolledBack});
}

absl::StatusOr<std::optional<PolicyStage>> GetStageOfJob(sql::Transaction& tx,
                                                         std::string_view job_id) {
  auto stages = Stages(tx, "WHERE job_id = ?", {job_id});
  if (!stages.ok()) return stages.status();
  return stages->empty() ? std::nullopt : std::optional(std::move((*stages)[0]));
}

absl::Status SetStageSize(sql::Transaction& tx, std::string_view stage_id, uint64_t eligible,
                          uint64_t cohort) {
  auto set = tx.ExecuteOne(
      "UPDATE jetmon_rollout_policy_stages SET eligible = ?, cohort = ? WHERE stage_id = ?",
      {eligible, cohort, stage_id});
  if (!set.ok()) return set.status();
  return *set ? absl::OkStatus() : absl::InternalError("a policy stage is gone");
}

absl::StatusOr<bool> EndStage(sql::Transaction& tx, std::string_view stage_id) {
  return tx.ExecuteOne(
      "UPDATE jetmon_rollout_policy_stages SET state = ? WHERE stage_id = ? AND state = ?",
      {stage_state::kApplied, stage_id, stage_state::kApplying});
}

absl::Status EndStageOfJob(sql::Transaction& tx, std::string_view job_id) {
  return tx
      .ExecuteOne(
          "UPDATE jetmon_rollout_policy_stages SET state = ? WHERE job_id = ? AND state = ?",
          {stage_state::kApplied, job_id, stage_state::kApplying})
      .status();
}

absl::StatusOr<bool> BeginRollback(sql::Transaction& tx, std::string_view stage_id,
                                   std::string_view job_id) {
  return tx.ExecuteOne(
      "UPDATE jetmon_rollout_policy_stages SET state = ?, rollback_job_id = ? WHERE stage_id = ? "
      "AND state <> ?",
      {stage_state::kRollingBack, job_id, stage_id, stage_state::kRolledBack});
}

absl::StatusOr<std::vector<PolicyStage>> StagesToRollBack(sql::Transaction& tx,
                                                          std::string_view job_id) {
  return Stages(tx, "WHERE rollback_job_id = ? AND state = ? ORDER BY number DESC",
                {job_id, stage_state::kRollingBack});
}

absl::StatusOr<bool> EndRollback(sql::Transaction& tx, std::string_view stage_id, int64_t now_ms) {
  return tx.ExecuteOne(
      "UPDATE jetmon_rollout_policy_stages SET state = ?, rolled_back_at_ms = ? WHERE stage_id = ? "
      "AND state = ?",
      {stage_state::kRolledBack, now_ms, stage_id, stage_state::kRollingBack});
}

absl::Status PauseStages(sql::Transaction& tx, std::string_view run_id, int64_t now_ms) {
  return tx
      .Execute(
          "UPDATE jetmon_rollout_policy_stages SET paused_at_ms = ? WHERE run_id = ? AND state <> "
          "?",
          {now_ms, run_id, stage_state::kRolledBack})
      .status();
}

absl::StatusOr<std::vector<PolicySite>> PolicySitesIn(sql::Transaction& tx, const Slice& slice,
                                                      std::string_view run_id) {
  const SliceCondition in = SitesIn(slice);
  std::vector<sql::Value> values = {run_id};
  values.insert(values.end(), in.values.begin(), in.values.end());
  std::vector<PolicySite> sites;
  std::unordered_map<uint64_t, size_t> index;
  // A site that several stages wrote comes several times.
  auto s = tx.Query(
      absl::StrCat("SELECT s.jetpack_monitor_site_id, s.bucket_no, c.site_id, c.method, c.profile, "
                   "c.revision, p.number, r.revision, p.method, p.profile FROM "
                   "jetpack_monitor_sites s LEFT JOIN jetmon_endpoint_check_config c ON c.site_id "
                   "= s.jetpack_monitor_site_id LEFT JOIN jetmon_rollout_policy_stage_rows r ON "
                   "r.site_id = s.jetpack_monitor_site_id AND r.state = 'changed' LEFT JOIN "
                   "jetmon_rollout_policy_stages p ON p.stage_id = r.stage_id AND p.run_id = ? "
                   "WHERE ",
                   in.sql),
      values, [&](const sql::Row& row) {
        const auto [at, is_new] = index.try_emplace(row.Uint(0), sites.size());
        if (is_new) {
          sites.push_back({row.Uint(0), static_cast<uint32_t>(row.Int(1)), !row.IsNull(2),
                           row.OptText(3), row.OptText(4), row.Uint(5), 0, 0, "", ""});
        }
        PolicySite& site = sites[at->second];
        const uint32_t number = static_cast<uint32_t>(row.Int(6));
        if (!row.IsNull(6) && number > site.staged_by) {
          site.staged_by = number;
          site.staged_revision = row.Uint(7);
          site.staged_method = row.Text(8);
          site.staged_profile = row.Text(9);
        }
        return absl::OkStatus();
      });
  if (!s.ok()) return s;
  return sites;
}

absl::StatusOr<std::vector<uint64_t>> SiteIdsIn(sql::Transaction& tx, const Slice& slice) {
  const SliceCondition in = SitesIn(slice);
  std::vector<uint64_t> ids;
  auto s = tx.Query(
      absl::StrCat("SELECT s.jetpack_monitor_site_id FROM jetpack_monitor_sites s WHERE ", in.sql),
      in.values, [&](const sql::Row& row) {
        ids.push_back(row.Uint(0));
        return absl::OkStatus();
      });
  if (!s.ok()) return s;
  return ids;
}

absl::Status WritePolicy(sql::Transaction& tx, const PolicyStage& stage,
                         const std::vector<PolicySite>& sites, int64_t now_ms) {
  if (sites.empty()) return absl::OkStatus();
  auto counted = NextCounter(tx, "config_revision");
  if (!counted.ok()) return counted.status();
  const uint64_t revision = kFirstRevision + *counted;
  std::vector<std::vector<sql::Value>> rows;
  for (const PolicySite& s : sites) {
    // Greater than the row's own, also where somebody counted by himself.
    const uint64_t written = std::max(revision, s.revision + 1);
    rows.push_back({stage.stage_id, s.site_id, s.bucket, s.has_row, s.method, s.profile, s.revision,
                    written, "changed"});
  }
  auto s = InsertRows(tx,
                      "INSERT INTO jetmon_rollout_policy_stage_rows (stage_id, site_id, bucket_no, "
                      "had_row, previous_method, previous_profile, previous_revision, revision, "
                      "state) VALUES ",
                      "", 9, rows);
  if (!s.ok()) return s;
  if (s = InsertConfigs(tx, stage, sites, revision, now_ms); !s.ok()) return s;
  if (s = UpdateConfigs(tx, stage, sites, now_ms); !s.ok()) return s;
  return tx
      .ExecuteOne(
          "UPDATE jetmon_rollout_policy_stages SET changed = changed + ? WHERE stage_id = ?",
          {sites.size(), stage.stage_id})
      .status();
}

absl::StatusOr<std::vector<StagedSite>> StagedSites(sql::Transaction& tx, const PolicyStage& stage,
                                                    uint64_t after, int limit) {
  std::vector<StagedSite> sites;
  // A row that the stage made goes with it, unless somebody has put something else there.
  auto s = tx.Query(
      absl::StrCat("SELECT r.site_id, r.had_row, CASE WHEN c.revision = r.revision AND c.method = "
                   "? AND c.profile = ? AND (r.had_row = 1 OR ",
                   kNothingElse,
                   ") THEN 1 ELSE 0 END FROM jetmon_rollout_policy_stage_rows r LEFT JOIN "
                   "jetmon_endpoint_check_config c ON c.site_id = r.site_id WHERE r.stage_id = ? "
                   "AND r.site_id > ? AND r.state = 'changed' ORDER BY r.site_id LIMIT ?"),
      {stage.method, stage.profile, stage.stage_id, after, limit}, [&](const sql::Row& row) {
        sites.push_back({row.Uint(0), row.Bool(1), row.Bool(2)});
        return absl::OkStatus();
      });
  if (!s.ok()) return s;
  return sites;
}

absl::Status RestorePolicy(sql::Transaction& tx, const PolicyStage& stage,
                           const std::vector<StagedSite>& sites, int64_t now_ms) {
  std::vector<uint64_t> update, remove, restored, conflicts;
  for (const StagedSite& s : sites) {
    if (s.stands) (s.had_row ? update : remove).push_back(s.site_id);
    (s.stands ? restored : conflicts).push_back(s.site_id);
  }
  // The revision comes back with the very content that it had.
  auto s = MatchEach(
      tx,
      absl::StrCat(
          "UPDATE jetmon_endpoint_check_config SET method = ", OfStageRow("previous_method"),
          ", profile = ", OfStageRow("previous_profile"),
          ", updated_at_ms = ?, revision = ", OfStageRow("previous_revision"), " WHERE site_id"),
      absl::StrCat(" AND revision = ", OfStageRow("revision")),
      {stage.stage_id, stage.stage_id, now_ms, stage.stage_id}, update, {stage.stage_id});
  if (!s.ok()) return s;
  s = MatchEach(tx, "DELETE FROM jetmon_endpoint_check_config WHERE site_id",
                absl::StrCat(" AND revision = ", OfStageRow("revision"), " AND ", kNothingElse), {},
                remove, {stage.stage_id});
  if (!s.ok()) return s;
  for (const auto& [ids, state] : {std::pair{&restored, "restored"}, {&conflicts, "conflict"}}) {
    s = MatchEach(tx,
                  "UPDATE jetmon_rollout_policy_stage_rows SET state = ? WHERE stage_id = ? AND "
                  "state = 'changed' AND site_id",
                  "", {state, stage.stage_id}, *ids, {});
    if (!s.ok()) return s;
  }
  return tx
      .ExecuteOne(
          "UPDATE jetmon_rollout_policy_stages SET restored = restored + ?, conflicts = conflicts "
          "+ "
          "? WHERE stage_id = ?",
          {restored.size(), conflicts.size(), stage.stage_id})
      .status();
}

absl::StatusOr<std::set<uint64_t>> ConflictsOfRollback(sql::Transaction& tx,
                                                       std::string_view job_id,
                                                       const std::vector<uint64_t>& sites) {
  std::set<uint64_t> met;
  auto s = InPieces(sites.size(), [&](size_t at, size_t n) {
    std::vector<sql::Value> values(sites.begin() + at, sites.begin() + at + n);
    values.push_back(job_id);
    return tx.Query(
        absl::StrCat(
            "SELECT r.site_id FROM jetmon_rollout_policy_stage_rows r JOIN "
            "jetmon_rollout_policy_stages p ON p.stage_id = r.stage_id WHERE r.site_id IN ",
            Marks(n), " AND r.state = 'conflict' AND p.rollback_job_id = ?"),
        values, [&](const sql::Row& row) {
          met.insert(row.Uint(0));
          return absl::OkStatus();
        });
  });
  if (!s.ok()) return s;
  return met;
}

}  // namespace jetmon::store
