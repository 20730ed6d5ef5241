#ifndef JETMON_STORE_MIGRATIONS_0003_GROWN_TABLES_H_
#define JETMON_STORE_MIGRATIONS_0003_GROWN_TABLES_H_

// What tests/plans found to be read whole, on tables that grow.
namespace jetmon::store::migrations {

inline constexpr const char* k0003GrownTables[] = {
    // The open event of a site, and those of the sites from here to there, however many have ended.
    "CREATE INDEX IF NOT EXISTS jetmon_events_open_site ON jetmon_events (ended_at_ms, site_id)",
    // What is removed when it is old.
    "CREATE INDEX IF NOT EXISTS jetmon_idempotency_created ON jetmon_idempotency (created_at_ms)",
    "CREATE INDEX IF NOT EXISTS jetmon_confirmation_tokens_expires ON "
    "jetmon_rollout_confirmation_tokens (expires_at_ms)",
    // Pages by state or vantage, and the live ones among all agents.
    "CREATE INDEX IF NOT EXISTS jetmon_rollout_sessions_state ON jetmon_rollout_sessions (state, "
    "run_id)",
    "CREATE INDEX IF NOT EXISTS jetmon_veriflier_agents_state ON jetmon_veriflier_agents (state, "
    "agent_id)",
    "CREATE INDEX IF NOT EXISTS jetmon_veriflier_agents_page ON jetmon_veriflier_agents "
    "(vantage_id, "
    "agent_id)",
};

}  // namespace jetmon::store::migrations

#endif  // JETMON_STORE_MIGRATIONS_0003_GROWN_TABLES_H_
