#ifndef JETMON_STORE_MIGRATIONS_0001_INITIAL_H_
#define JETMON_STORE_MIGRATIONS_0001_INITIAL_H_

// Migration 1: v2's own tables, and on an embedded database the legacy table as v1 made it (on a
// server it is v1's own, and nothing that we run touches its shape). `{AUTO_ID}` is the dialect's
// "auto-increment primary key" column type, `{OPEN_KEY}` the dialect's generated column that is
// blog_id/site_id/check_type/discriminator while ended_at_ms IS NULL, else NULL. Times are BIGINT
// Unix milliseconds, UTC; a 0 or NULL means "not yet", as said.

namespace jetmon::store::migrations {

inline constexpr const char* k0001Initial[] = {
    // --- legacy: v1 reads and writes it; v2 writes only site_status and last_status_change.
    // last_status_change is 'YYYY-MM-DD HH:MM:SS' UTC or NULL.
    R"sql(CREATE TABLE IF NOT EXISTS jetpack_monitor_sites (
      jetpack_monitor_site_id {AUTO_ID},
      blog_id BIGINT UNSIGNED NOT NULL,
      bucket_no SMALLINT UNSIGNED NOT NULL,
      monitor_url VARCHAR(300) NOT NULL,
      monitor_active TINYINT NOT NULL DEFAULT 1,
      site_status TINYINT NOT NULL DEFAULT 1,
      last_status_change TIMESTAMP NULL DEFAULT NULL,
      check_interval TINYINT NOT NULL DEFAULT 5))sql",
    "CREATE INDEX IF NOT EXISTS blog_id_monitor_url ON jetpack_monitor_sites (blog_id, "
    "monitor_url)",
    "CREATE INDEX IF NOT EXISTS bucket_no_monitor_active_check_interval ON jetpack_monitor_sites "
    "(bucket_no, monitor_active, check_interval)",

    // --- counters: values that only grow, taken by a conditional update in the transaction that
    // uses them. 'epoch' numbers range locks, 'ordinal' orders evidence and lock changes.
    R"sql(CREATE TABLE IF NOT EXISTS jetmon_counters (
      name VARCHAR(64) NOT NULL PRIMARY KEY,
      value BIGINT NOT NULL))sql",

    // --- hosts: one row a Monitor host name. generation is bumped by every grant to it.
    R"sql(CREATE TABLE IF NOT EXISTS jetmon_hosts (
      host VARCHAR(128) NOT NULL PRIMARY KEY,
      generation BIGINT NOT NULL DEFAULT 0,
      created_at_ms BIGINT NOT NULL))sql",

    // --- process health: one row a process (instance). seq grows with every report; whoever
    // wants to know whether the process lives watches seq on its own clock.
    R"sql(CREATE TABLE IF NOT EXISTS jetmon_process_health (
      instance VARCHAR(64) NOT NULL PRIMARY KEY,
      kind VARCHAR(32) NOT NULL,
      host VARCHAR(128) NOT NULL,
      version VARCHAR(64) NOT NULL,
      protocol INT NOT NULL,
      mode VARCHAR(32) NOT NULL,
      state VARCHAR(32) NOT NULL,
      seq BIGINT NOT NULL,
      goodbye TINYINT NOT NULL DEFAULT 0,
      pid BIGINT NOT NULL,
      bucket_min INT NULL,
      bucket_max INT NULL,
      epoch BIGINT NOT NULL DEFAULT 0,
      targets BIGINT NOT NULL DEFAULT 0,
      due_backlog BIGINT NOT NULL DEFAULT 0,
      oldest_due_ms BIGINT NOT NULL DEFAULT 0,
      checks_per_s DOUBLE NOT NULL DEFAULT 0,
      in_flight BIGINT NOT NULL DEFAULT 0,
      rss_bytes BIGINT NOT NULL DEFAULT 0,
      notify_configured TINYINT NOT NULL DEFAULT 0,
      warnings TEXT NOT NULL,
      started_at_ms BIGINT NOT NULL,
      updated_at_ms BIGINT NOT NULL))sql",
    "CREATE INDEX IF NOT EXISTS jetmon_process_health_host ON jetmon_process_health (host)",

    // --- ownership
    R"sql(CREATE TABLE IF NOT EXISTS jetmon_rollout_range_locks (
      epoch BIGINT NOT NULL PRIMARY KEY,
      bucket_min INT NOT NULL,
      bucket_max INT NOT NULL,
      owner_host VARCHAR(128) NOT NULL,
      owner_instance VARCHAR(64) NOT NULL,
      state VARCHAR(16) NOT NULL,
      revision BIGINT NOT NULL,
      lease_seq BIGINT NOT NULL,
      run_id VARCHAR(64) NOT NULL,
      activate_job_id VARCHAR(64) NOT NULL,
      release_job_id VARCHAR(64) NOT NULL DEFAULT '',
      gave_up TINYINT NOT NULL DEFAULT 0,
      drained TINYINT NOT NULL DEFAULT 0,
      notifications_left BIGINT NOT NULL DEFAULT 0,
      overrides MEDIUMTEXT NOT NULL,
      granted_at_ms BIGINT NOT NULL,
      activating_at_ms BIGINT NOT NULL DEFAULT 0,
      acknowledged_at_ms BIGINT NOT NULL DEFAULT 0,
      draining_at_ms BIGINT NOT NULL DEFAULT 0,
      drained_at_ms BIGINT NOT NULL DEFAULT 0,
      revoked_at_ms BIGINT NOT NULL DEFAULT 0,
      released_at_ms BIGINT NOT NULL DEFAULT 0))sql",
    "CREATE INDEX IF NOT EXISTS jetmon_rollout_range_locks_owner ON jetmon_rollout_range_locks "
    "(state, owner_host)",
    // changed_ordinal: the 'ordinal' of the last change of who owns the bucket; evidence with a
    // smaller ordinal is void.
    R"sql(CREATE TABLE IF NOT EXISTS jetmon_rollout_bucket_locks (
      bucket_no INT NOT NULL PRIMARY KEY,
      pool VARCHAR(16) NOT NULL,
      owner_host VARCHAR(128) NULL,
      owner_instance VARCHAR(64) NULL,
      epoch BIGINT NOT NULL DEFAULT 0,
      state VARCHAR(16) NOT NULL,
      touched BIGINT NOT NULL DEFAULT 0,
      changed_ordinal BIGINT NOT NULL DEFAULT 0,
      changed_at_ms BIGINT NOT NULL DEFAULT 0))sql",
    "CREATE INDEX IF NOT EXISTS jetmon_rollout_bucket_locks_epoch ON jetmon_rollout_bucket_locks "
    "(epoch)",
    // One row a bucket, written by its owner every 5 s: what the activity gate reads.
    R"sql(CREATE TABLE IF NOT EXISTS jetmon_bucket_activity (
      bucket_no INT NOT NULL PRIMARY KEY,
      epoch BIGINT NOT NULL,
      sites BIGINT NOT NULL,
      checked BIGINT NOT NULL,
      late BIGINT NOT NULL,
      not_available BIGINT NOT NULL DEFAULT 0,
      oldest_check_ms BIGINT NOT NULL,
      first_check_ms BIGINT NOT NULL DEFAULT 0,
      updated_at_ms BIGINT NOT NULL))sql",

    // --- rollout records
    R"sql(CREATE TABLE IF NOT EXISTS jetmon_rollout_sessions (
      run_id VARCHAR(64) NOT NULL PRIMARY KEY,
      bucket_min INT NOT NULL,
      bucket_max INT NOT NULL,
      owner_host VARCHAR(128) NOT NULL DEFAULT '',
      change_ref VARCHAR(255) NOT NULL DEFAULT '',
      metadata TEXT NOT NULL,
      state VARCHAR(16) NOT NULL,
      sequence BIGINT NOT NULL,
      key_id VARCHAR(64) NOT NULL,
      consumer VARCHAR(128) NOT NULL,
      close_reason VARCHAR(255) NOT NULL DEFAULT '',
      created_at_ms BIGINT NOT NULL,
      updated_at_ms BIGINT NOT NULL,
      closed_at_ms BIGINT NOT NULL DEFAULT 0))sql",
    "CREATE INDEX IF NOT EXISTS jetmon_rollout_sessions_created ON jetmon_rollout_sessions "
    "(created_at_ms, run_id)",
    R"sql(CREATE TABLE IF NOT EXISTS jetmon_rollout_checkpoints (
      ordinal BIGINT NOT NULL PRIMARY KEY,
      run_id VARCHAR(64) NOT NULL,
      kind VARCHAR(32) NOT NULL,
      bucket_min INT NOT NULL,
      bucket_max INT NOT NULL,
      owner_host VARCHAR(128) NOT NULL DEFAULT '',
      job_id VARCHAR(64) NOT NULL DEFAULT '',
      started_ordinal BIGINT NOT NULL DEFAULT 0,
      note TEXT NOT NULL,
      key_id VARCHAR(64) NOT NULL,
      consumer VARCHAR(128) NOT NULL,
      created_at_ms BIGINT NOT NULL))sql",
    "CREATE INDEX IF NOT EXISTS jetmon_rollout_checkpoints_run ON jetmon_rollout_checkpoints "
    "(run_id, ordinal)",
    "CREATE INDEX IF NOT EXISTS jetmon_rollout_checkpoints_kind ON jetmon_rollout_checkpoints "
    "(kind, ordinal)",
    R"sql(CREATE TABLE IF NOT EXISTS jetmon_rollout_jobs (
      job_id VARCHAR(64) NOT NULL PRIMARY KEY,
      operation VARCHAR(32) NOT NULL,
      run_id VARCHAR(64) NOT NULL,
      bucket_min INT NOT NULL,
      bucket_max INT NOT NULL,
      owner_host VARCHAR(128) NOT NULL DEFAULT '',
      epoch BIGINT NOT NULL DEFAULT 0,
      state VARCHAR(16) NOT NULL,
      done BIGINT NOT NULL DEFAULT 0,
      total BIGINT NOT NULL DEFAULT 0,
      job_cursor VARCHAR(255) NOT NULL DEFAULT '',
      request MEDIUMBLOB NOT NULL,
      progress MEDIUMBLOB NOT NULL,
      result MEDIUMBLOB NOT NULL,
      error TEXT NOT NULL,
      lease_owner VARCHAR(64) NOT NULL DEFAULT '',
      attempt BIGINT NOT NULL DEFAULT 0,
      seq BIGINT NOT NULL DEFAULT 0,
      started_ordinal BIGINT NOT NULL DEFAULT 0,
      cancel_requested TINYINT NOT NULL DEFAULT 0,
      key_id VARCHAR(64) NOT NULL,
      consumer VARCHAR(128) NOT NULL,
      created_at_ms BIGINT NOT NULL,
      started_at_ms BIGINT NOT NULL DEFAULT 0,
      finished_at_ms BIGINT NOT NULL DEFAULT 0))sql",
    "CREATE INDEX IF NOT EXISTS jetmon_rollout_jobs_state ON jetmon_rollout_jobs (state, job_id)",
    "CREATE INDEX IF NOT EXISTS jetmon_rollout_jobs_run ON jetmon_rollout_jobs (run_id, job_id)",
    R"sql(CREATE TABLE IF NOT EXISTS jetmon_rollout_confirmation_tokens (
      token_hash CHAR(64) NOT NULL PRIMARY KEY,
      key_id VARCHAR(64) NOT NULL,
      operation VARCHAR(32) NOT NULL,
      run_id VARCHAR(64) NOT NULL,
      bucket_min INT NOT NULL,
      bucket_max INT NOT NULL,
      request_hash CHAR(64) NOT NULL,
      plan_digest CHAR(64) NOT NULL,
      plan_counts TEXT NOT NULL,
      created_at_ms BIGINT NOT NULL,
      expires_at_ms BIGINT NOT NULL,
      consumed_at_ms BIGINT NOT NULL DEFAULT 0,
      job_id VARCHAR(64) NOT NULL DEFAULT ''))sql",

    // --- access
    R"sql(CREATE TABLE IF NOT EXISTS jetmon_api_keys (
      key_id VARCHAR(64) NOT NULL PRIMARY KEY,
      consumer VARCHAR(128) NOT NULL,
      scope VARCHAR(16) NOT NULL,
      token_hash CHAR(64) NOT NULL UNIQUE,
      created_at_ms BIGINT NOT NULL,
      expires_at_ms BIGINT NOT NULL DEFAULT 0,
      revoked_at_ms BIGINT NOT NULL DEFAULT 0))sql",
    R"sql(CREATE TABLE IF NOT EXISTS jetmon_idempotency (
      key_id VARCHAR(64) NOT NULL,
      idempotency_key VARCHAR(255) NOT NULL,
      operation VARCHAR(64) NOT NULL,
      request_hash CHAR(64) NOT NULL,
      state VARCHAR(16) NOT NULL,
      attempt BIGINT NOT NULL,
      resource_kind VARCHAR(16) NOT NULL DEFAULT '',
      resource_id VARCHAR(128) NOT NULL DEFAULT '',
      created_at_ms BIGINT NOT NULL,
      lease_at_ms BIGINT NOT NULL,
      PRIMARY KEY (key_id, idempotency_key)))sql",
    R"sql(CREATE TABLE IF NOT EXISTS jetmon_audit_log (
      audit_id {AUTO_ID},
      at_ms BIGINT NOT NULL,
      consumer VARCHAR(128) NOT NULL,
      key_id VARCHAR(64) NOT NULL,
      operation VARCHAR(64) NOT NULL,
      run_id VARCHAR(64) NOT NULL DEFAULT '',
      bucket_min INT NULL,
      bucket_max INT NULL,
      request_id VARCHAR(64) NOT NULL,
      outcome VARCHAR(64) NOT NULL,
      latency_ms BIGINT NOT NULL,
      detail TEXT NOT NULL))sql",
    "CREATE INDEX IF NOT EXISTS jetmon_audit_log_at ON jetmon_audit_log (at_ms)",
    "CREATE INDEX IF NOT EXISTS jetmon_audit_log_run ON jetmon_audit_log (run_id, audit_id)",

    // --- sites, v2's side
    R"sql(CREATE TABLE IF NOT EXISTS jetmon_check_targets (
      site_id BIGINT NOT NULL PRIMARY KEY,
      blog_id BIGINT NOT NULL,
      bucket_no INT NOT NULL,
      url VARCHAR(300) NOT NULL,
      interval_minutes INT NOT NULL,
      phase BIGINT NOT NULL,
      config_hash CHAR(16) NOT NULL,
      updated_at_ms BIGINT NOT NULL))sql",
    "CREATE INDEX IF NOT EXISTS jetmon_check_targets_bucket ON jetmon_check_targets (bucket_no, "
    "site_id)",
    R"sql(CREATE TABLE IF NOT EXISTS jetmon_endpoint_check_config (
      site_id BIGINT NOT NULL PRIMARY KEY,
      method VARCHAR(8) NULL,
      profile VARCHAR(16) NULL,
      keyword VARCHAR(255) NULL,
      forbidden_keyword VARCHAR(255) NULL,
      maintenance_from_ms BIGINT NULL,
      maintenance_until_ms BIGINT NULL,
      headers TEXT NULL,
      timeout_ms BIGINT NULL,
      redirect_policy VARCHAR(16) NULL,
      cooldown_ms BIGINT NULL,
      revision BIGINT NOT NULL DEFAULT 0,
      updated_at_ms BIGINT NOT NULL))sql",
    R"sql(CREATE TABLE IF NOT EXISTS jetmon_endpoint_runtime (
      site_id BIGINT NOT NULL PRIMARY KEY,
      bucket_no INT NOT NULL,
      last_checked_at_ms BIGINT NOT NULL DEFAULT 0,
      next_check_at_ms BIGINT NOT NULL DEFAULT 0,
      certificate_end_ms BIGINT NULL))sql",

    // --- incidents. open_key is NULL once the event has ended, so that at most one is open per
    // (blog, site, check type, discriminator). notified: 0 no down was queued, 1 queued by v2,
    // 2 adopted as Down from v1, which told people itself.
    R"sql(CREATE TABLE IF NOT EXISTS jetmon_events (
      event_id {AUTO_ID},
      blog_id BIGINT NOT NULL,
      site_id BIGINT NOT NULL,
      bucket_no INT NOT NULL,
      check_type VARCHAR(16) NOT NULL,
      discriminator VARCHAR(64) NOT NULL DEFAULT '',
      severity TINYINT NOT NULL,
      source VARCHAR(32) NOT NULL,
      notified TINYINT NOT NULL DEFAULT 0,
      error_code INT NOT NULL DEFAULT 0,
      http_code INT NOT NULL DEFAULT 0,
      failure_class VARCHAR(32) NOT NULL DEFAULT '',
      started_at_ms BIGINT NOT NULL,
      confirmed_at_ms BIGINT NOT NULL DEFAULT 0,
      ended_at_ms BIGINT NULL,
      end_reason VARCHAR(32) NOT NULL DEFAULT '',
      last_seq BIGINT NOT NULL,
      projected_status TINYINT NULL,
      projected_change VARCHAR(32) NULL,
      open_key VARCHAR(160) {OPEN_KEY}))sql",
    "CREATE UNIQUE INDEX IF NOT EXISTS jetmon_events_open ON jetmon_events (open_key)",
    "CREATE INDEX IF NOT EXISTS jetmon_events_bucket ON jetmon_events (bucket_no, ended_at_ms, "
    "site_id)",
    "CREATE INDEX IF NOT EXISTS jetmon_events_site ON jetmon_events (site_id, event_id)",
    R"sql(CREATE TABLE IF NOT EXISTS jetmon_event_transitions (
      transition_id {AUTO_ID},
      event_id BIGINT NOT NULL,
      seq BIGINT NOT NULL,
      site_id BIGINT NOT NULL,
      reason VARCHAR(32) NOT NULL,
      from_severity TINYINT NOT NULL,
      to_severity TINYINT NOT NULL,
      notified TINYINT NOT NULL,
      ended TINYINT NOT NULL,
      source VARCHAR(32) NOT NULL,
      epoch BIGINT NOT NULL,
      instance VARCHAR(64) NOT NULL,
      detail VARCHAR(255) NOT NULL DEFAULT '',
      at_ms BIGINT NOT NULL,
      UNIQUE (event_id, seq)))sql",
    R"sql(CREATE TABLE IF NOT EXISTS jetmon_check_history (
      history_id {AUTO_ID},
      site_id BIGINT NOT NULL,
      bucket_no INT NOT NULL,
      at_ms BIGINT NOT NULL,
      source VARCHAR(64) NOT NULL,
      outcome VARCHAR(16) NOT NULL,
      http_code INT NOT NULL,
      error_code INT NOT NULL,
      failure_class VARCHAR(32) NOT NULL,
      total_us BIGINT NOT NULL,
      detail VARCHAR(255) NOT NULL DEFAULT ''))sql",
    "CREATE INDEX IF NOT EXISTS jetmon_check_history_site ON jetmon_check_history (site_id, "
    "history_id)",
    R"sql(CREATE TABLE IF NOT EXISTS jetmon_false_positives (
      event_id BIGINT NOT NULL PRIMARY KEY,
      site_id BIGINT NOT NULL,
      up_votes INT NOT NULL,
      down_votes INT NOT NULL,
      at_ms BIGINT NOT NULL))sql",
    // state: queued, delivered, recorded (no receiver was configured: kept, not sent).
    R"sql(CREATE TABLE IF NOT EXISTS jetmon_notifications (
      notification_id VARCHAR(64) NOT NULL PRIMARY KEY,
      event_id BIGINT NOT NULL,
      kind VARCHAR(8) NOT NULL,
      site_id BIGINT NOT NULL,
      blog_id BIGINT NOT NULL,
      bucket_no INT NOT NULL,
      url VARCHAR(300) NOT NULL,
      status_id TINYINT NOT NULL,
      status_change_ms BIGINT NOT NULL,
      checks TEXT NOT NULL,
      state VARCHAR(16) NOT NULL,
      attempts INT NOT NULL DEFAULT 0,
      next_attempt_at_ms BIGINT NOT NULL,
      created_at_ms BIGINT NOT NULL,
      delivered_at_ms BIGINT NOT NULL DEFAULT 0,
      UNIQUE (event_id, kind)))sql",
    "CREATE INDEX IF NOT EXISTS jetmon_notifications_due ON jetmon_notifications (state, "
    "bucket_no, next_attempt_at_ms)",

    // --- Verifliers
    R"sql(CREATE TABLE IF NOT EXISTS jetmon_veriflier_vantages (
      vantage_id VARCHAR(64) NOT NULL PRIMARY KEY,
      trust VARCHAR(16) NOT NULL,
      endpoint VARCHAR(255) NOT NULL DEFAULT '',
      region VARCHAR(64) NOT NULL DEFAULT '',
      provider VARCHAR(64) NOT NULL DEFAULT '',
      token_hash CHAR(64) NOT NULL DEFAULT '',
      token_fingerprint VARCHAR(32) NOT NULL DEFAULT '',
      approved_by VARCHAR(128) NOT NULL DEFAULT '',
      revision BIGINT NOT NULL,
      created_at_ms BIGINT NOT NULL,
      updated_at_ms BIGINT NOT NULL))sql",
    R"sql(CREATE TABLE IF NOT EXISTS jetmon_veriflier_agents (
      agent_id VARCHAR(64) NOT NULL PRIMARY KEY,
      vantage_id VARCHAR(64) NOT NULL,
      endpoint VARCHAR(255) NOT NULL,
      state VARCHAR(16) NOT NULL,
      lease_id VARCHAR(64) NOT NULL,
      seq BIGINT NOT NULL,
      server_instance VARCHAR(64) NOT NULL,
      protocol_min INT NOT NULL,
      protocol_max INT NOT NULL,
      build VARCHAR(64) NOT NULL DEFAULT '',
      region VARCHAR(64) NOT NULL DEFAULT '',
      provider VARCHAR(64) NOT NULL DEFAULT '',
      max_concurrency INT NOT NULL DEFAULT 0,
      queue_capacity INT NOT NULL DEFAULT 0,
      in_flight INT NOT NULL DEFAULT 0,
      queue_depth INT NOT NULL DEFAULT 0,
      completed BIGINT NOT NULL DEFAULT 0,
      failed BIGINT NOT NULL DEFAULT 0,
      connected_at_ms BIGINT NOT NULL,
      updated_at_ms BIGINT NOT NULL))sql",
    "CREATE INDEX IF NOT EXISTS jetmon_veriflier_agents_vantage ON jetmon_veriflier_agents "
    "(vantage_id)",
};

}  // namespace jetmon::store::migrations

#endif  // JETMON_STORE_MIGRATIONS_0001_INITIAL_H_
