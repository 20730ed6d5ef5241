#ifndef JETMON_STORE_LATE_WORDS_H_
#define JETMON_STORE_LATE_WORDS_H_

#include <cstdint>

#include "absl/status/statusor.h"
#include "store/events.h"
#include "store/sql/database.h"

// Dialect v1: the receiver of notifications writes the columns, too, and later than anybody tells
// it: what v1 told right before it was stopped, and what we told.
namespace jetmon::store {

// What was found in the columns of a site that its owner looked at, and what was done about it.
enum class LateWord {
  kNone,     // they say what we wrote or read last, or nothing that matters
  kAdopted,  // v1's last word: the site was taken over as it says
  kEcho,     // a late write of what we told, over a newer word of ours: the columns are ours again
  kForeign,  // somebody else's: the columns are ours again
};
// Looks at the columns of a site that the actor owns. `v1_may_speak`: the receiver may still be
// writing what v1 told (--legacy_receiver_delay after the activation).
absl::StatusOr<LateWord> TakeLateWord(sql::Transaction& tx, uint64_t site_id, uint32_t bucket,
                                      bool v1_may_speak, const Actor& actor);

}  // namespace jetmon::store

#endif  // JETMON_STORE_LATE_WORDS_H_
