#ifndef JETMON_STORE_TELL_DECISIONS_H_
#define JETMON_STORE_TELL_DECISIONS_H_

#include "absl/status/statusor.h"
#include "store/events.h"
#include "store/notifications.h"
#include "store/sql/database.h"

// What an operator says of a tell that is sending, when nobody can know whether it arrived. For a
// range that is muted: no Monitor commits a tell of it, and what becomes queued is v1's.
namespace jetmon::store {

enum class TellDecision {
  kTold,    // people heard of it: the row counts as delivered
  kUntold,  // nobody did: the row is cancelled, the columns are put back, and v1 tells it
};
enum class DecisionOutcome {
  kDecided,
  // Nothing was put back: the receiver has written the columns since, so it has got what it wrote.
  // The row is superseded.
  kToldSince,
  kNotSending,  // the row is not as the caller saw it; nothing was written
};
// Of an untold down the twins are taken back, too: rows of the same blog and URL that counted as
// told by it (twins.h).
absl::StatusOr<DecisionOutcome> DecideTell(sql::Transaction& tx, const Notification& n,
                                           TellDecision decision, const Actor& actor);

// For a Monitor, behind the fence of the bucket: the receiver has taken `n`, which it sent when an
// operator called it untold. People know: the row is delivered, and the columns say so again.
// False: that is not what became of the row, and nothing was written.
absl::StatusOr<bool> TakenAfterAll(sql::Transaction& tx, const Notification& n, const Actor& actor);

}  // namespace jetmon::store

#endif  // JETMON_STORE_TELL_DECISIONS_H_
