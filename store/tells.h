#ifndef JETMON_STORE_TELLS_H_
#define JETMON_STORE_TELLS_H_

#include <cstdint>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "store/events.h"
#include "store/notifications.h"
#include "store/sql/database.h"

// Telling people, in dialect v1. A tell is a row of the outbox; it has one commit point:
//
//   queued --CommitTell--> sending --MarkDelivered--> delivered
//     |  ^                    |
//     |  +----TakeBackTell----+   (the receiver was not reached: no byte was sent)
//     |--cancelled    the incident ended untold, the site left, or the range is about to be v1's
//     +--superseded   somebody else wrote the columns first
//
// Of a range that is about to be v1's an operator may say how a row ended that is sending
// (tell_decisions.h).
//
// Before the commit point a tell can be cancelled, and nobody knows of it. After it people count as
// told: the legacy columns say so, and all that can still be done is to deliver the row, by the
// same id. `recorded` stands for `delivered` where no receiver is configured.
//
// Each function runs inside the caller's transaction, which has passed the fence of the site's
// bucket.
namespace jetmon::store {

enum class TellOutcome {
  kCommitted,
  kToldByTwin,  // the same, but nothing is to be sent: another row of this (blog, URL) told it. The
                // row is superseded
  kStale,       // the row is not as the caller saw it: nothing was written, read again
  kCancelled,   // its site or its incident is gone; the row says so now
  kSuperseded,  // the columns did not say what we wrote or read last: whoever wrote them has told.
                // The row says so now, and the site was adopted
};
// Turns `n` from queued to sending (recorded if the actor has no receiver) and writes the columns:
// 1 -> 0 for a down, 0 or 2 -> 1 for an up. An echo counts as what we wrote.
absl::StatusOr<TellOutcome> CommitTell(sql::Transaction& tx, const Notification& n,
                                       const Actor& actor);
// sending -> queued, and the columns as they were before the commit. For the process alone that
// committed `n`, and whose first request since then reached nobody. A down whose incident has ended
// meanwhile is cancelled, with its up. False, and nothing was written, if the row or the columns
// are not as the commit left them: then the row stays sending.
absl::StatusOr<bool> TakeBackTell(sql::Transaction& tx, const Notification& n, const Actor& actor,
                                  int64_t next_attempt_at_ms);

// Whether what a row that is sending says is still so, by the columns of its site: whoever tells
// people after us writes them. If not, it is superseded, and nobody sends it again. False also if
// the row is not as the caller saw it.
absl::StatusOr<bool> StillStands(sql::Transaction& tx, const Notification& n, const Actor& actor);

// Ends the queued down of an incident that nobody was told of. Nothing to do if it was cancelled or
// superseded. Aborted if people were told meanwhile: the caller's transaction must run again, it
// finds the incident told.
absl::Status CancelQueuedDown(sql::Transaction& tx, uint64_t event_id);

// Whether the columns were written by the receiver of a tell of ours about the same (blog, URL):
// they say what it said, and were written while it was being sent, or at most the actor's `echo_ms`
// after it was delivered.
absl::StatusOr<bool> IsEcho(sql::Transaction& tx, const Site& site, const Actor& actor);
// Whether people were told of the end of an incident.
absl::StatusOr<bool> EndWasTold(sql::Transaction& tx, const Event& e);
// What people know of a site without an open incident, by the last one that they were told of.
enum class LastWord {
  kNone,       // nothing of ours
  kStillTold,  // that it is down: its end was not told, and the columns are as we left them
  kEndTold,    // that it is up again
};
absl::StatusOr<LastWord> LastWordOf(sql::Transaction& tx, const Site& site);
// Whether the end of an incident of this site, in that bucket, waits to be told: what its columns
// say of it is ours.
absl::StatusOr<bool> UpIsQueued(sql::Transaction& tx, uint64_t site_id, uint32_t bucket);

// 0 -> 2 for an incident that people were told of `kStillDownAfterMinutes` (`after_ms`) ago.
// Nobody is told. False if the columns do not say 0 of it any more.
absl::StatusOr<bool> WriteStillDown(sql::Transaction& tx, const Event& e, int64_t after_ms,
                                    const Actor& actor);

}  // namespace jetmon::store

#endif  // JETMON_STORE_TELLS_H_
