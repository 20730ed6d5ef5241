#ifndef JETMON_STORE_MIGRATIONS_0003_OPEN_EVENTS_H_
#define JETMON_STORE_MIGRATIONS_0003_OPEN_EVENTS_H_

// The open event of a site, and the open events of sites from here to there, found at once however
// many events have ended.
namespace jetmon::store::migrations {

inline constexpr const char* k0003OpenEvents[] = {
    "CREATE INDEX IF NOT EXISTS jetmon_events_open_site ON jetmon_events (ended_at_ms, site_id)",
};

}  // namespace jetmon::store::migrations

#endif  // JETMON_STORE_MIGRATIONS_0003_OPEN_EVENTS_H_
