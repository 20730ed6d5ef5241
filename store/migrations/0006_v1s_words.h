#ifndef JETMON_STORE_MIGRATIONS_0006_V1S_WORDS_H_
#define JETMON_STORE_MIGRATIONS_0006_V1S_WORDS_H_

// What v1's columns mean (store/legacy_words.h), and who was told what.
namespace jetmon::store::migrations {

inline constexpr const char* k0006V1sWords[] = {
    // --- the dialect: "v1", or "jetmon2"; empty: a row of an older build, which knew jetmon2 only.
    "ALTER TABLE jetmon_rollout_range_locks ADD COLUMN dialect VARCHAR(8) NOT NULL DEFAULT ''",
    "ALTER TABLE jetmon_events ADD COLUMN dialect VARCHAR(8) NOT NULL DEFAULT ''",
    "ALTER TABLE jetmon_notifications ADD COLUMN dialect VARCHAR(8) NOT NULL DEFAULT ''",
    // Of a process: what it was started with.
    "ALTER TABLE jetmon_process_health ADD COLUMN dialect VARCHAR(8) NOT NULL DEFAULT ''",

    // --- when people were told that the site is down, by v1 or by a tell of ours that passed its
    // commit point; 0: they were not.
    "ALTER TABLE jetmon_events ADD COLUMN told_at_ms BIGINT NOT NULL DEFAULT 0",

    // --- the commit point of a tell: when it passed, and what the columns
    // said before. In dialect v1 the states are queued, sending, delivered, recorded, cancelled and superseded.
    "ALTER TABLE jetmon_notifications ADD COLUMN sent_at_ms BIGINT NOT NULL DEFAULT 0",
    "ALTER TABLE jetmon_notifications ADD COLUMN prior_status INT",
    "ALTER TABLE jetmon_notifications ADD COLUMN prior_change VARCHAR(32)",

    "CREATE INDEX IF NOT EXISTS jetmon_notifications_delivered ON jetmon_notifications "
    "(delivered_at_ms)",

    // --- how long after its first sight of the range an owner sends no tell: v1's last words may
    // still be on their way.
    "ALTER TABLE jetmon_rollout_range_locks ADD COLUMN hold_tells_ms BIGINT NOT NULL DEFAULT 0",
    // --- the buckets of it whose owner checks on and tells nothing more, for the release of that
    // job; '': none.
    "ALTER TABLE jetmon_rollout_range_locks ADD COLUMN muted_job_id VARCHAR(64) NOT NULL DEFAULT "
    "''",
    "ALTER TABLE jetmon_rollout_range_locks ADD COLUMN muted_min INT NOT NULL DEFAULT 0",
    "ALTER TABLE jetmon_rollout_range_locks ADD COLUMN muted_max INT NOT NULL DEFAULT 0",
    "ALTER TABLE jetmon_rollout_range_locks ADD COLUMN muted_at_ms BIGINT NOT NULL DEFAULT 0",
    "ALTER TABLE jetmon_rollout_bucket_locks ADD COLUMN muted INT NOT NULL DEFAULT 0",
};

}  // namespace jetmon::store::migrations

#endif  // JETMON_STORE_MIGRATIONS_0006_V1S_WORDS_H_
