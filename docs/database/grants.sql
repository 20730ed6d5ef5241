-- The database users of Jetmon 2 on a server, one a role, each with what it needs and no more. An
-- embedded database has no users.
--
-- Fill in what stands in braces (a password holds no quote): {database}, the one that version 1 uses;
-- {host}, where the programs run ('10.1.%' or one line a host); a user and a password for each role:
--   migrate       the operator's `jetmon2 migrate`, `validate-config` and `keys`; the only one that
--                 may make or change a table, and none of version 1's
--   controlplane  jetmon-controlplane
--   monitor       jetmon-monitor
-- Run part 1, then `jetmon2 migrate` as the migrate user, then part 2: a right on a table can be
-- given when there is such a table. A release that adds a table comes with its lines here; run both
-- parts again then, before and after `jetmon2 migrate`.
--
-- The lab runs this file as it is (tests/lab/launcher/servers.py), and its tests show that each role
-- gets by on it.

-- part 1: before `jetmon2 migrate`

CREATE USER IF NOT EXISTS '{migrate}'@'{host}' IDENTIFIED BY '{migrate_password}';
CREATE USER IF NOT EXISTS '{controlplane}'@'{host}' IDENTIFIED BY '{controlplane_password}';
CREATE USER IF NOT EXISTS '{monitor}'@'{host}' IDENTIFIED BY '{monitor_password}';

-- Which migrations have run, and who runs them now.
GRANT CREATE, ALTER, INDEX, SELECT, INSERT, UPDATE ON {database}.jetmon_schema_migrations TO '{migrate}'@'{host}';
GRANT CREATE, ALTER, INDEX, SELECT, INSERT, UPDATE ON {database}.jetmon_schema_lock TO '{migrate}'@'{host}';
-- API keys: `jetmon2 keys`.
GRANT CREATE, ALTER, INDEX, SELECT, INSERT, UPDATE ON {database}.jetmon_api_keys TO '{migrate}'@'{host}';
-- Our other tables: their shape, not their rows.
GRANT CREATE, ALTER, INDEX ON {database}.jetmon_counters TO '{migrate}'@'{host}';
GRANT CREATE, ALTER, INDEX ON {database}.jetmon_hosts TO '{migrate}'@'{host}';
GRANT CREATE, ALTER, INDEX ON {database}.jetmon_process_health TO '{migrate}'@'{host}';
GRANT CREATE, ALTER, INDEX ON {database}.jetmon_rollout_range_locks TO '{migrate}'@'{host}';
GRANT CREATE, ALTER, INDEX ON {database}.jetmon_rollout_range_tenures TO '{migrate}'@'{host}';
GRANT CREATE, ALTER, INDEX ON {database}.jetmon_rollout_bucket_locks TO '{migrate}'@'{host}';
GRANT CREATE, ALTER, INDEX ON {database}.jetmon_bucket_activity TO '{migrate}'@'{host}';
GRANT CREATE, ALTER, INDEX ON {database}.jetmon_rollout_sessions TO '{migrate}'@'{host}';
GRANT CREATE, ALTER, INDEX ON {database}.jetmon_rollout_checkpoints TO '{migrate}'@'{host}';
GRANT CREATE, ALTER, INDEX ON {database}.jetmon_rollout_jobs TO '{migrate}'@'{host}';
GRANT CREATE, ALTER, INDEX ON {database}.jetmon_rollout_confirmation_tokens TO '{migrate}'@'{host}';
GRANT CREATE, ALTER, INDEX ON {database}.jetmon_rollout_range_parts TO '{migrate}'@'{host}';
GRANT CREATE, ALTER, INDEX ON {database}.jetmon_rollout_comparison_results TO '{migrate}'@'{host}';
GRANT CREATE, ALTER, INDEX ON {database}.jetmon_rollout_policy_stages TO '{migrate}'@'{host}';
GRANT CREATE, ALTER, INDEX ON {database}.jetmon_rollout_policy_stage_rows TO '{migrate}'@'{host}';
GRANT CREATE, ALTER, INDEX ON {database}.jetmon_idempotency TO '{migrate}'@'{host}';
GRANT CREATE, ALTER, INDEX ON {database}.jetmon_audit_log TO '{migrate}'@'{host}';
GRANT CREATE, ALTER, INDEX ON {database}.jetmon_check_targets TO '{migrate}'@'{host}';
GRANT CREATE, ALTER, INDEX ON {database}.jetmon_endpoint_check_config TO '{migrate}'@'{host}';
GRANT CREATE, ALTER, INDEX ON {database}.jetmon_endpoint_runtime TO '{migrate}'@'{host}';
GRANT CREATE, ALTER, INDEX ON {database}.jetmon_events TO '{migrate}'@'{host}';
GRANT CREATE, ALTER, INDEX ON {database}.jetmon_event_transitions TO '{migrate}'@'{host}';
GRANT CREATE, ALTER, INDEX ON {database}.jetmon_check_history TO '{migrate}'@'{host}';
GRANT CREATE, ALTER, INDEX ON {database}.jetmon_false_positives TO '{migrate}'@'{host}';
GRANT CREATE, ALTER, INDEX ON {database}.jetmon_notifications TO '{migrate}'@'{host}';
GRANT CREATE, ALTER, INDEX ON {database}.jetmon_veriflier_vantages TO '{migrate}'@'{host}';
GRANT CREATE, ALTER, INDEX ON {database}.jetmon_veriflier_agents TO '{migrate}'@'{host}';

-- part 2: after `jetmon2 migrate`

-- migrate: validate-config reads version 1's table.
GRANT SELECT ON {database}.jetpack_monitor_sites TO '{migrate}'@'{host}';

-- controlplane: version 1's table, of which Jetmon 2 changes two columns.
GRANT SELECT, UPDATE (site_status, last_status_change) ON {database}.jetpack_monitor_sites TO '{controlplane}'@'{host}';
-- Who may do what.
GRANT SELECT ON {database}.jetmon_schema_migrations TO '{controlplane}'@'{host}';
GRANT SELECT ON {database}.jetmon_api_keys TO '{controlplane}'@'{host}';
GRANT SELECT, INSERT, UPDATE, DELETE ON {database}.jetmon_idempotency TO '{controlplane}'@'{host}';
GRANT SELECT, INSERT ON {database}.jetmon_audit_log TO '{controlplane}'@'{host}';
-- Rollouts.
GRANT SELECT, INSERT, UPDATE ON {database}.jetmon_counters TO '{controlplane}'@'{host}';
GRANT SELECT, INSERT, UPDATE ON {database}.jetmon_hosts TO '{controlplane}'@'{host}';
GRANT SELECT, INSERT, UPDATE, DELETE ON {database}.jetmon_process_health TO '{controlplane}'@'{host}';
GRANT SELECT, INSERT, UPDATE ON {database}.jetmon_rollout_range_locks TO '{controlplane}'@'{host}';
GRANT INSERT ON {database}.jetmon_rollout_range_tenures TO '{controlplane}'@'{host}';
GRANT SELECT, INSERT, UPDATE ON {database}.jetmon_rollout_bucket_locks TO '{controlplane}'@'{host}';
GRANT SELECT, INSERT, UPDATE ON {database}.jetmon_rollout_sessions TO '{controlplane}'@'{host}';
GRANT SELECT, INSERT ON {database}.jetmon_rollout_checkpoints TO '{controlplane}'@'{host}';
GRANT SELECT, INSERT, UPDATE, DELETE ON {database}.jetmon_rollout_jobs TO '{controlplane}'@'{host}';
GRANT SELECT, INSERT, UPDATE, DELETE ON {database}.jetmon_rollout_confirmation_tokens TO '{controlplane}'@'{host}';
GRANT SELECT, INSERT, UPDATE ON {database}.jetmon_rollout_range_parts TO '{controlplane}'@'{host}';
GRANT SELECT, INSERT, DELETE ON {database}.jetmon_rollout_comparison_results TO '{controlplane}'@'{host}';
GRANT SELECT, INSERT, UPDATE ON {database}.jetmon_rollout_policy_stages TO '{controlplane}'@'{host}';
GRANT SELECT, INSERT, UPDATE ON {database}.jetmon_rollout_policy_stage_rows TO '{controlplane}'@'{host}';
GRANT SELECT ON {database}.jetmon_bucket_activity TO '{controlplane}'@'{host}';
-- Seed, adoption and release.
GRANT SELECT, INSERT, UPDATE, DELETE ON {database}.jetmon_check_targets TO '{controlplane}'@'{host}';
GRANT SELECT, INSERT, UPDATE, DELETE ON {database}.jetmon_endpoint_runtime TO '{controlplane}'@'{host}';
GRANT SELECT, INSERT, UPDATE, DELETE ON {database}.jetmon_endpoint_check_config TO '{controlplane}'@'{host}';
GRANT SELECT, INSERT, UPDATE ON {database}.jetmon_events TO '{controlplane}'@'{host}';
GRANT SELECT, INSERT ON {database}.jetmon_event_transitions TO '{controlplane}'@'{host}';
GRANT SELECT, UPDATE (state, attempts, next_attempt_at_ms, sent_at_ms, delivered_at_ms) ON {database}.jetmon_notifications TO '{controlplane}'@'{host}';
-- Verifliers.
GRANT SELECT, INSERT, UPDATE, DELETE ON {database}.jetmon_veriflier_vantages TO '{controlplane}'@'{host}';
GRANT SELECT, INSERT, UPDATE ON {database}.jetmon_veriflier_agents TO '{controlplane}'@'{host}';

-- monitor: version 1's table, as above.
GRANT SELECT, UPDATE (site_status, last_status_change) ON {database}.jetpack_monitor_sites TO '{monitor}'@'{host}';
GRANT SELECT ON {database}.jetmon_schema_migrations TO '{monitor}'@'{host}';
-- Its range: acknowledged, renewed, drained, taken over; never granted, revoked or freed.
GRANT SELECT, UPDATE (state, owner_instance, revision, lease_seq, drained, notifications_left, acknowledged_at_ms, drained_at_ms) ON {database}.jetmon_rollout_range_locks TO '{monitor}'@'{host}';
GRANT INSERT ON {database}.jetmon_rollout_range_tenures TO '{monitor}'@'{host}';
GRANT SELECT, UPDATE (state, owner_instance, touched) ON {database}.jetmon_rollout_bucket_locks TO '{monitor}'@'{host}';
GRANT SELECT, UPDATE (drained, notifications_left, drained_at_ms) ON {database}.jetmon_rollout_range_parts TO '{monitor}'@'{host}';
GRANT SELECT, INSERT ON {database}.jetmon_hosts TO '{monitor}'@'{host}';
GRANT SELECT, INSERT, UPDATE ON {database}.jetmon_process_health TO '{monitor}'@'{host}';
GRANT SELECT, INSERT, UPDATE ON {database}.jetmon_bucket_activity TO '{monitor}'@'{host}';
-- Sites and incidents.
GRANT SELECT, INSERT, UPDATE, DELETE ON {database}.jetmon_check_targets TO '{monitor}'@'{host}';
GRANT SELECT, INSERT, UPDATE, DELETE ON {database}.jetmon_endpoint_runtime TO '{monitor}'@'{host}';
GRANT SELECT ON {database}.jetmon_endpoint_check_config TO '{monitor}'@'{host}';
GRANT SELECT, INSERT, UPDATE ON {database}.jetmon_events TO '{monitor}'@'{host}';
GRANT INSERT ON {database}.jetmon_event_transitions TO '{monitor}'@'{host}';
GRANT INSERT ON {database}.jetmon_check_history TO '{monitor}'@'{host}';
GRANT INSERT ON {database}.jetmon_false_positives TO '{monitor}'@'{host}';
GRANT SELECT, INSERT, UPDATE ON {database}.jetmon_notifications TO '{monitor}'@'{host}';
-- Whom it asks to confirm an outage.
GRANT SELECT ON {database}.jetmon_veriflier_vantages TO '{monitor}'@'{host}';
GRANT SELECT ON {database}.jetmon_veriflier_agents TO '{monitor}'@'{host}';
