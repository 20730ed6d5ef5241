#ifndef JETMON_MONITOR_INCIDENTS_H_
#define JETMON_MONITOR_INCIDENTS_H_

#include <optional>
#include <set>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "clock/clock.h"
#include "monitor/votes.h"
#include "store/events.h"
#include "store/late_words.h"
#include "store/sites.h"
#include "store/sql/database.h"

namespace jetmon::monitor {

// Who writes: the range lock that every transaction is fenced by, and how changes are recorded.
struct Writer {
  uint64_t epoch = 0;
  std::string instance, host;
  bool project = true;        // --legacy_projection
  bool notify_sends = false;  // --notify_url is set
  store::LegacyDialect dialect = store::LegacyDialect::kJetmon2;
  int64_t echo_ms = 0, still_down_after_ms = 0;  // dialect v1: see store::Actor, WriteStillDown
  std::optional<store::Range> muted;             // of these buckets nothing new is told
  bool v1_may_speak = false;                     // the receiver may still be writing what v1 told
};

// One change of a site's incident, decided from checks; what it did is filled in.
struct IncidentOp {
  // kLook and kStillDown, dialect v1: the columns are not what was seen last; people were told long
  // ago.
  enum class Kind { kOpen, kConfirm, kClose, kFalseAlarm, kRemove, kLook, kStillDown };
  Kind kind = Kind::kOpen;
  size_t index = 0;  // of the site in the table
  store::Site site;
  std::optional<store::Event> seen;  // the open event that was decided on; none for kOpen
  std::string reason;                // a transition's
  store::Failure why;
  std::string checks_json = "[]";
  Votes votes;

  bool is_new = false;  // of kLook: the site was not this owner's before, its columns are v1's

  store::ChangeOutcome outcome = store::ChangeOutcome::kStale;
  store::LateWord word = store::LateWord::kNone;  // of kLook
  std::optional<store::Event> now;  // the open event after the change, whatever came of it
};

// The writer as the store's actor, its source "monitor".
store::Actor ActorOf(const Writer& writer, int64_t now_ms);

// The fence of a bucket did not match: this Monitor does not own it (any more).
absl::Status FencedOut(uint32_t bucket);
bool IsFencedOut(const absl::Status& status);
// The bucket whose fence did not match; none if it is another status.
std::optional<uint32_t> FencedOutBucket(const absl::Status& status);

// Passes the fence of each bucket, ascending. FencedOut if one does not match; the transaction must
// then roll back.
absl::Status PassFences(sql::Transaction& tx, const Writer& writer,
                        const std::set<uint32_t>& buckets);

// Applies the changes (at most 500) in one fenced transaction, in order. OK: all outcomes are
// filled in and committed. FencedOut: nothing was written. Unavailable: the database did not take
// it by the deadline; may be tried again.
absl::Status WriteIncidents(sql::Database& db, const Clock& clock, BootTime deadline,
                            const Writer& writer, std::vector<IncidentOp>* ops);

// The body's checks[] of a notification: [{type, host, status, rtt, code}].
struct CheckRecord {
  int type = 1;  // 1 local, 2 Veriflier
  std::string host;
  int status = 0;  // 0 down, 1 up
  int64_t rtt_ms = 0;
  int code = 0;
};
std::string ChecksJson(const std::vector<CheckRecord>& checks);

}  // namespace jetmon::monitor

#endif  // JETMON_MONITOR_INCIDENTS_H_
