#ifndef JETMON_STORE_TELL_ROWS_H_
#define JETMON_STORE_TELL_ROWS_H_

#include <optional>
#include <string>

#include "store/events.h"
#include "store/legacy_columns.h"
#include "store/notifications.h"

// Rows of incidents and of their tells; for tells.cc and tell_decisions.cc only.
namespace jetmon::store {

// queued -> cancelled.
absl::StatusOr<bool> CancelRow(sql::Transaction& tx, const std::string& notification_id);
// sending -> superseded, where the row is as in `n`: somebody else has told what it says, or the
// opposite.
absl::StatusOr<bool> SupersedeSending(sql::Transaction& tx, const Notification& n);
// Whether the row is sending, after as many attempts as in `n`.
absl::StatusOr<bool> IsSendingAs(sql::Transaction& tx, const Notification& n);
// What the columns said before the row was committed.
absl::StatusOr<LegacyColumns> PriorOf(sql::Transaction& tx, const std::string& notification_id);
// What a tell says of its site.
LegacyMeaning SaidBy(const Notification& n);
absl::StatusOr<std::optional<Event>> EventOf(sql::Transaction& tx, uint64_t event_id);
// What we wrote into the columns, or read there, last.
LegacyColumns Expected(const Event& e);
// Remembers what the columns say for the event, and when people were told of it.
absl::Status Remember(sql::Transaction& tx, const Event& e, const LegacyColumns& columns,
                      int64_t told_at_ms, const Actor& actor);
// An incident that began before the end of the one before was told: the columns that it found are
// not those any more.
absl::Status MoveOn(sql::Transaction& tx, const Event& ended, const LegacyColumns& before,
                    const LegacyColumns& now, const Actor& actor);

}  // namespace jetmon::store

#endif  // JETMON_STORE_TELL_ROWS_H_
