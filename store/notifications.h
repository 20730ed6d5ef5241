#ifndef JETMON_STORE_NOTIFICATIONS_H_
#define JETMON_STORE_NOTIFICATIONS_H_

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "store/legacy_words.h"
#include "store/page.h"
#include "store/range.h"
#include "store/sql/database.h"

// The outbox. Rows are written by ConfirmDown and CloseEvent (store/events.h), unique per
// (event, kind); id "ntf_<event id>_<kind>".
namespace jetmon::store {

struct Notification {
  std::string notification_id;
  uint64_t event_id = 0, site_id = 0, blog_id = 0;
  std::string kind;  // down, up
  uint32_t bucket = 0;
  std::string url;
  int status_id = 1;
  int64_t status_change_ms = 0;
  std::string checks_json;
  // queued, delivered, recorded; in dialect v1 also sending, cancelled, superseded (tells.h)
  std::string state;
  LegacyDialect dialect = LegacyDialect::kJetmon2;
  int attempts = 0;
  int64_t next_attempt_at_ms = 0, created_at_ms = 0, delivered_at_ms = 0;
  int64_t sent_at_ms = 0;  // dialect v1: when people counted as told (tells.h); 0 before
};
// One of the six of Notification::state.
bool IsNotificationState(std::string_view state);

// Inserts unless (event, kind) is there already; true if inserted.
absl::StatusOr<bool> QueueNotification(sql::Transaction& tx, const Notification& n);
// Those of a range that are queued or sending and due, oldest first; only the first of each site
// (order per site).
absl::StatusOr<std::vector<Notification>> DueNotifications(sql::Transaction& tx, Range range,
                                                           int64_t now_ms, int limit);
// -> delivered where state and attempts are as in `n`.
absl::StatusOr<bool> MarkDelivered(sql::Transaction& tx, const Notification& n, int64_t now_ms);
// attempts + 1 and the next time, where state and attempts are as in `n`.
absl::StatusOr<bool> MarkFailedAttempt(sql::Transaction& tx, const Notification& n,
                                       int64_t next_attempt_at_ms);
// Those of a range that are queued or sending.
absl::StatusOr<uint64_t> CountQueued(sql::Transaction& tx, Range range);
// Dialect v1: cancels those of a range that are queued; v1 will tell those. How many.
absl::StatusOr<uint64_t> CancelQueued(sql::Transaction& tx, Range range);
// Whether one of the range was delivered since then.
absl::StatusOr<bool> AnyDeliveredSince(sql::Transaction& tx, Range range, int64_t since_ms);
// Those of a range that are sending are due now, however often they failed.
absl::Status HurrySending(sql::Transaction& tx, Range range, int64_t now_ms);
// Those of a range that are sending.
absl::StatusOr<uint64_t> CountSending(sql::Transaction& tx, Range range);
absl::StatusOr<std::optional<Notification>> GetNotification(sql::Transaction& tx,
                                                            std::string_view notification_id);
// Those of a range in one state, in the order of their incidents.
absl::StatusOr<Page<Notification>> ListNotifications(sql::Transaction& tx, Range range,
                                                     std::string_view state,
                                                     const PageRequest& page);

}  // namespace jetmon::store

#endif  // JETMON_STORE_NOTIFICATIONS_H_
