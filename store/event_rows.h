#ifndef JETMON_STORE_EVENT_ROWS_H_
#define JETMON_STORE_EVENT_ROWS_H_

#include <string>
#include <vector>

#include "store/events.h"

// Rows of events and transitions; for events.cc, adoption.cc and their tests only.
namespace jetmon::store {

inline constexpr size_t kMaxDetail = 255;

// 0 Seems Down, 1 Up, 2 Down.
int LegacyStatusOf(Severity severity);

absl::StatusOr<std::vector<Event>> SelectEvents(sql::Transaction& tx, const std::string& rest,
                                                sql::Params params);
// Inserts the event with its first transition (from Up), fills in the id.
absl::Status InsertEvent(sql::Transaction& tx, Event* e, const char* reason,
                         const std::string& detail, const Actor& actor);
// Inserts adopted events, of sites that have none open, with their first transitions, whose detail
// is what v1 said. Aborted if one of the sites has got one meanwhile.
absl::Status InsertAdopted(sql::Transaction& tx, const std::vector<Event>& events,
                           const Actor& actor);
// The open events of these sites, in no order.
absl::StatusOr<std::vector<Event>> OpenEventsOfSites(sql::Transaction& tx,
                                                     const std::vector<uint64_t>& site_ids);
// Writes `after` over the row that still is as `seen`, with the next last_seq. False: it is not.
absl::StatusOr<bool> UpdateEventRow(sql::Transaction& tx, const Event& seen, const Event& after);
// The transition from `seen` to `after`, numbered seen.last_seq + 1.
absl::Status InsertTransition(sql::Transaction& tx, const Event& seen, const Event& after,
                              const char* reason, const std::string& detail, const Actor& actor);
// Remembers what was projected; no transition.
absl::Status StoreProjected(sql::Transaction& tx, const Event& e, int status,
                            const std::string& changed);

}  // namespace jetmon::store

#endif  // JETMON_STORE_EVENT_ROWS_H_
