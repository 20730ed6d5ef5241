#ifndef JETMON_STORE_MIGRATIONS_0002_NOTIFICATIONS_ORDER_H_
#define JETMON_STORE_MIGRATIONS_0002_NOTIFICATIONS_ORDER_H_

// What delivery asks: what is queued in the order of events, and for each row whether an older one
// of its site waits. In an outage of many sites thousands are queued.
namespace jetmon::store::migrations {

inline constexpr const char* k0002NotificationsOrder[] = {
    "CREATE INDEX IF NOT EXISTS jetmon_notifications_order ON jetmon_notifications (state, "
    "event_id, kind)",
    "CREATE INDEX IF NOT EXISTS jetmon_notifications_site ON jetmon_notifications (site_id, state, "
    "event_id)",
};

}  // namespace jetmon::store::migrations

#endif  // JETMON_STORE_MIGRATIONS_0002_NOTIFICATIONS_ORDER_H_
