#ifndef JETMON_STORE_MIGRATIONS_0002_NOTIFICATIONS_SITE_H_
#define JETMON_STORE_MIGRATIONS_0002_NOTIFICATIONS_SITE_H_

// What a site has queued: delivery asks for each row whether an older one of its site waits, and in
// an outage of many sites a bucket holds thousands.
namespace jetmon::store::migrations {

inline constexpr const char* k0002NotificationsSite[] = {
    "CREATE INDEX IF NOT EXISTS jetmon_notifications_site ON jetmon_notifications (site_id, state, "
    "event_id)",
};

}  // namespace jetmon::store::migrations

#endif  // JETMON_STORE_MIGRATIONS_0002_NOTIFICATIONS_SITE_H_
