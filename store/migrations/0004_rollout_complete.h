#ifndef JETMON_STORE_MIGRATIONS_0004_ROLLOUT_COMPLETE_H_
#define JETMON_STORE_MIGRATIONS_0004_ROLLOUT_COMPLETE_H_

// Release of a part of a range, comparison of two modes, stages of a check policy, and what the
// gates name.
namespace jetmon::store::migrations {

inline constexpr const char* k0004RolloutComplete[] = {
    // --- a part that leaves a range. The range row names the one that is on its way ('' = none);
    // once it is v1's the range row shrinks, and this row says from when to when it was held.
    "ALTER TABLE jetmon_rollout_range_locks ADD COLUMN part_job_id VARCHAR(64) NOT NULL DEFAULT ''",
    // state: draining, revoked, released.
    R"sql(CREATE TABLE IF NOT EXISTS jetmon_rollout_range_parts (
      job_id VARCHAR(64) NOT NULL PRIMARY KEY,
      epoch BIGINT NOT NULL,
      bucket_min INT NOT NULL,
      bucket_max INT NOT NULL,
      state VARCHAR(16) NOT NULL,
      drained TINYINT NOT NULL DEFAULT 0,
      notifications_left BIGINT NOT NULL DEFAULT 0,
      draining_at_ms BIGINT NOT NULL,
      drained_at_ms BIGINT NOT NULL DEFAULT 0,
      revoked_at_ms BIGINT NOT NULL DEFAULT 0,
      released_at_ms BIGINT NOT NULL DEFAULT 0))sql",
    "CREATE INDEX IF NOT EXISTS jetmon_rollout_range_parts_epoch ON jetmon_rollout_range_parts "
    "(epoch, job_id)",

    // --- one row a site of a comparison. first_mode: from, to. class: same, get_better, get_worse,
    // different_failure.
    R"sql(CREATE TABLE IF NOT EXISTS jetmon_rollout_comparison_results (
      job_id VARCHAR(64) NOT NULL,
      site_id BIGINT NOT NULL,
      bucket_no INT NOT NULL,
      url VARCHAR(300) NOT NULL,
      first_mode VARCHAR(8) NOT NULL,
      class VARCHAR(32) NOT NULL,
      from_outcome VARCHAR(16) NOT NULL,
      from_http_code INT NOT NULL,
      from_error_code INT NOT NULL,
      from_failure_class VARCHAR(32) NOT NULL,
      from_detail VARCHAR(255) NOT NULL DEFAULT '',
      from_us BIGINT NOT NULL,
      to_outcome VARCHAR(16) NOT NULL,
      to_http_code INT NOT NULL,
      to_error_code INT NOT NULL,
      to_failure_class VARCHAR(32) NOT NULL,
      to_detail VARCHAR(255) NOT NULL DEFAULT '',
      to_us BIGINT NOT NULL,
      at_ms BIGINT NOT NULL,
      PRIMARY KEY (job_id, site_id)))sql",
    "CREATE INDEX IF NOT EXISTS jetmon_rollout_comparison_results_class ON "
    "jetmon_rollout_comparison_results (job_id, class, site_id)",

    // --- one row a stage of a check policy. state: applying, applied, rolling_back, rolled_back.
    // number counts the stages of a run, 1, 2, 3 ...
    R"sql(CREATE TABLE IF NOT EXISTS jetmon_rollout_policy_stages (
      stage_id VARCHAR(64) NOT NULL PRIMARY KEY,
      run_id VARCHAR(64) NOT NULL,
      number INT NOT NULL,
      bucket_min INT NOT NULL,
      bucket_max INT NOT NULL,
      method VARCHAR(8) NOT NULL,
      profile VARCHAR(16) NOT NULL,
      size VARCHAR(16) NOT NULL,
      state VARCHAR(16) NOT NULL,
      job_id VARCHAR(64) NOT NULL,
      rollback_job_id VARCHAR(64) NOT NULL DEFAULT '',
      eligible BIGINT NOT NULL DEFAULT 0,
      cohort BIGINT NOT NULL DEFAULT 0,
      changed BIGINT NOT NULL DEFAULT 0,
      restored BIGINT NOT NULL DEFAULT 0,
      conflicts BIGINT NOT NULL DEFAULT 0,
      created_at_ms BIGINT NOT NULL,
      paused_at_ms BIGINT NOT NULL DEFAULT 0,
      rolled_back_at_ms BIGINT NOT NULL DEFAULT 0,
      UNIQUE (run_id, number)))sql",
    "CREATE INDEX IF NOT EXISTS jetmon_rollout_policy_stages_job ON jetmon_rollout_policy_stages "
    "(job_id)",
    "CREATE INDEX IF NOT EXISTS jetmon_rollout_policy_stages_rollback ON "
    "jetmon_rollout_policy_stages (rollback_job_id, number)",
    // What a stage wrote for a site, and what stood there before (NULL = the default; had_row 0 =
    // no row). state: changed, restored, conflict.
    R"sql(CREATE TABLE IF NOT EXISTS jetmon_rollout_policy_stage_rows (
      stage_id VARCHAR(64) NOT NULL,
      site_id BIGINT NOT NULL,
      bucket_no INT NOT NULL,
      had_row TINYINT NOT NULL,
      previous_method VARCHAR(8) NULL,
      previous_profile VARCHAR(16) NULL,
      previous_revision BIGINT NOT NULL DEFAULT 0,
      revision BIGINT NOT NULL,
      state VARCHAR(16) NOT NULL,
      PRIMARY KEY (stage_id, site_id)))sql",
    "CREATE INDEX IF NOT EXISTS jetmon_rollout_policy_stage_rows_site ON "
    "jetmon_rollout_policy_stage_rows (site_id, stage_id)",

    // --- up to 20 sites of the bucket that are late: "site:last_check_ms site:last_check_ms ..."
    // (0:
    // not checked since the acknowledgement).
    "ALTER TABLE jetmon_bucket_activity ADD COLUMN late_sites VARCHAR(1000) NOT NULL DEFAULT ''",

    // --- jobs of runs that were closed long ago are removed.
    "CREATE INDEX IF NOT EXISTS jetmon_rollout_sessions_closed ON jetmon_rollout_sessions "
    "(closed_at_ms)",
};

}  // namespace jetmon::store::migrations

#endif  // JETMON_STORE_MIGRATIONS_0004_ROLLOUT_COMPLETE_H_
