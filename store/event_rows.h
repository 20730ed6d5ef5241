#ifndef JETMON_STORE_EVENT_ROWS_H_
#define JETMON_STORE_EVENT_ROWS_H_

#include <optional>
#include <string>
#include <vector>

#include "store/events.h"

// Rows of events and transitions; for events.cc, adoption.cc and their tests only.
namespace jetmon::store {

inline constexpr size_t kMaxDetail = 255;

// Who wrote the legacy columns for an event, or took over what they say, and when; kept in the
// event's row beside what was projected, and not in Event, of which a Monitor holds many.
struct Projector {
  uint64_t epoch = 0;
  std::string instance, host;
  int64_t at_ms = 0;
};
// Of an actor that writes the columns.
Projector ProjectorOf(const Actor& actor);
// Of an actor that takes v1's word over: nobody if it is the control plane, which does not own the
// site.
Projector AdopterOf(const Actor& actor);

absl::StatusOr<std::vector<Event>> SelectEvents(sql::Transaction& tx, const std::string& rest,
                                                sql::Params params);
// Inserts the event with its first transition (from Up), fills in the id. `projector` counts if the
// event has a projected status.
absl::Status InsertEvent(sql::Transaction& tx, Event* e, const char* reason,
                         const std::string& detail, const Actor& actor, const Projector& projector);
// Inserts adopted events, of sites that have none open, with their first transitions, whose detail
// is what v1 said. Aborted if one of the sites has got one meanwhile.
absl::Status InsertAdopted(sql::Transaction& tx, const std::vector<Event>& events,
                           const Actor& actor);
// The open events of these sites, in no order.
absl::StatusOr<std::vector<Event>> OpenEventsOfSites(sql::Transaction& tx,
                                                     const std::vector<uint64_t>& site_ids);
// Writes `after` over the row that still is as `seen`, with the next last_seq. False: it is not.
// What was projected is written if there is a projector, and otherwise stays as it is.
absl::StatusOr<bool> UpdateEventRow(sql::Transaction& tx, const Event& seen, const Event& after,
                                    const std::optional<Projector>& projector);
// The transition from `seen` to `after`, numbered seen.last_seq + 1.
absl::Status InsertTransition(sql::Transaction& tx, const Event& seen, const Event& after,
                              const char* reason, const std::string& detail, const Actor& actor);
// Remembers what was projected, and by whom; no transition.
absl::Status StoreProjected(sql::Transaction& tx, const Event& e, int status,
                            const std::string& changed, const Projector& projector);

}  // namespace jetmon::store

#endif  // JETMON_STORE_EVENT_ROWS_H_
