#ifndef JETMON_STORE_MIGRATIONS_0005_WHO_WROTE_IT_H_
#define JETMON_STORE_MIGRATIONS_0005_WHO_WROTE_IT_H_

// Which instance of which host held a range from when on, and which one wrote a transition, a
// history row and a projection. What a Veriflier's longest check is, and
// which agent of which vantage a row is of.
namespace jetmon::store::migrations {

inline constexpr const char* k0005WhoWroteIt[] = {
    // One row when a range is granted and one for each take-over by another instance. `revision` is
    // the range lock's own after that change.
    R"sql(CREATE TABLE IF NOT EXISTS jetmon_rollout_range_tenures (
      epoch BIGINT NOT NULL,
      revision BIGINT NOT NULL,
      owner_host VARCHAR(128) NOT NULL,
      owner_instance VARCHAR(64) NOT NULL,
      from_ms BIGINT NOT NULL,
      PRIMARY KEY (epoch, revision)))sql",
    // Empty and 0: by no Monitor (a seed), or before this migration.
    "ALTER TABLE jetmon_event_transitions ADD COLUMN host VARCHAR(128) NOT NULL DEFAULT ''",
    "ALTER TABLE jetmon_check_history ADD COLUMN epoch BIGINT NOT NULL DEFAULT 0",
    "ALTER TABLE jetmon_check_history ADD COLUMN instance VARCHAR(64) NOT NULL DEFAULT ''",
    "ALTER TABLE jetmon_check_history ADD COLUMN host VARCHAR(128) NOT NULL DEFAULT ''",
    // Of the last projection of the event: who wrote it, and when.
    "ALTER TABLE jetmon_events ADD COLUMN projected_epoch BIGINT NOT NULL DEFAULT 0",
    "ALTER TABLE jetmon_events ADD COLUMN projected_instance VARCHAR(64) NOT NULL DEFAULT ''",
    "ALTER TABLE jetmon_events ADD COLUMN projected_host VARCHAR(128) NOT NULL DEFAULT ''",
    "ALTER TABLE jetmon_events ADD COLUMN projected_at_ms BIGINT NOT NULL DEFAULT 0",

    // --- the longest check that an agent makes, ms; 0: an agent that does not say makes 10,000.
    "ALTER TABLE jetmon_veriflier_agents ADD COLUMN longest_check_ms INT NOT NULL DEFAULT 0",
    // --- the agent's own id. agent_id, the key, says vantage and agent since: the same id under
    // two
    // vantages is two agents. Empty: a row of an older build, whose agent_id is the agent's own id.
    "ALTER TABLE jetmon_veriflier_agents ADD COLUMN agent_name VARCHAR(64) NOT NULL DEFAULT ''",
};

}  // namespace jetmon::store::migrations

#endif  // JETMON_STORE_MIGRATIONS_0005_WHO_WROTE_IT_H_
