#ifndef JETMON_STORE_EVENTS_H_
#define JETMON_STORE_EVENTS_H_

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "store/range.h"
#include "store/sites.h"
#include "store/slices.h"
#include "store/sql/database.h"

// Incidents. Every change writes, in the caller's transaction: the event row (conditional on the
// severity and last_seq that the caller saw), its transition row, the legacy projection if asked
// for, and the notification if the change owes one. A Monitor's transaction has passed
// FenceBucket for each bucket first; seed and reconcile run only while the range is v1's or the
// lock is `preparing`.
namespace jetmon::store {

namespace transition {
inline constexpr char kOpened[] = "opened";                         // -> Seems Down
inline constexpr char kVerifierConfirmed[] = "verifier_confirmed";  // -> Down, notifies
inline constexpr char kLocalConfirmed[] = "local_confirmed";        // no vantage enabled; notifies
inline constexpr char kQuorumDegraded[] = "quorum_degraded";        // decided by majority; notifies
inline constexpr char kFalseAlarm[] = "false_alarm";                // ends
inline constexpr char kProbeCleared[] = "probe_cleared";            // ends, before confirmation
inline constexpr char kRecovered[] = "recovered";                   // ends, after; notifies
inline constexpr char kAdopted[] = "adopted";                       // opened from v1's view, silent
inline constexpr char kPromoted[] = "promoted";                     // v1 says worse, silent
inline constexpr char kV1Recovered[] = "v1_recovered";              // ends, silent
inline constexpr char kSuperseded[] = "superseded";     // v1 began a newer one; ends, silent
inline constexpr char kSiteRemoved[] = "site_removed";  // ends, silent
}  // namespace transition

inline constexpr int kAdoptedDown = 2;  // Event.notified: v1 told people

struct Event {
  uint64_t event_id = 0, site_id = 0, blog_id = 0;
  uint32_t bucket = 0;
  Severity severity = Severity::kSeemsDown;
  std::string source;  // "monitor" or "rollout:seed"
  int notified = 0;    // 0 no, 1 a down was queued, 2 adopted as Down (v1 told people)
  int error_code = 0, http_code = 0;
  std::string failure_class;
  int64_t started_at_ms = 0, confirmed_at_ms = 0;
  std::optional<int64_t> ended_at_ms;
  std::string end_reason;
  uint64_t last_seq = 0;
  // What v2 last wrote into the legacy columns for this event; nullopt = nothing yet.
  std::optional<int> projected_status;
  std::string projected_change;
  // When people were told that the site is down: by a tell of ours that passed its commit point
  // (store/tells.h), or by v1. 0: they were not. Always 0 in dialect jetmon2, where `notified`
  // alone counts.
  int64_t told_at_ms = 0;
  LegacyDialect dialect = LegacyDialect::kJetmon2;  // in which it was opened
};

// Who changes an event, and how.
struct Actor {
  std::string source;         // "monitor" or "rollout:seed"
  uint64_t epoch = 0;         // 0 when no range lock is involved
  std::string instance;       // Monitor or control-plane instance
  std::string host;           // the Monitor's; "": the control plane writes
  bool project = true;        // write the legacy columns too
  bool notify_sends = false;  // a receiver is configured: notifications are queued, else recorded
  LegacyDialect dialect = LegacyDialect::kJetmon2;
  bool muted = false;   // dialect v1: the range is about to be v1's, so nothing new is told
  int64_t echo_ms = 0;  // dialect v1: a receiver writes what we tell it at most this late
  // Of ProjectBucket in dialect jetmon2: v1 reads the columns next, and takes 0 for told.
  bool hand_to_v1 = false;
  int64_t now_ms = 0;
};

absl::StatusOr<std::optional<Event>> OpenEventOfSite(sql::Transaction& tx, uint64_t site_id);
// Open events of a bucket by site id.
absl::StatusOr<std::vector<Event>> OpenEventsOfBucket(sql::Transaction& tx, uint32_t bucket);

// What one change did.
enum class ChangeOutcome {
  kChanged,
  kStale,     // the event is not as the caller saw it: read again, never repeat blindly
  kSiteGone,  // the legacy row is not active in that bucket any more: nothing was written,
              // drop the target (and CloseEvent with kSiteRemoved, project = false)
};

struct Failure {
  int error_code = 0, http_code = 0;
  std::string failure_class, detail;  // detail bounded to 255
};
// Opens `Seems Down` for a site without an open event. kStale: it has one already.
absl::StatusOr<ChangeOutcome> OpenEvent(sql::Transaction& tx, const Site& site, const Failure& why,
                                        const Actor& actor, Event* opened);
// Seems Down -> Down. Queues the `down` notification (reason: kVerifierConfirmed,
// kLocalConfirmed, kQuorumDegraded). checks_json: the body's checks[] as JSON.
absl::StatusOr<ChangeOutcome> ConfirmDown(sql::Transaction& tx, const Event& seen,
                                          std::string_view reason, std::string_view url,
                                          std::string_view checks_json, const Actor& actor);
// Ends the event. kRecovered queues the `up` notification, if its down was queued or adopted.
absl::StatusOr<ChangeOutcome> CloseEvent(sql::Transaction& tx, const Event& seen,
                                         std::string_view reason, std::string_view url,
                                         std::string_view checks_json, const Actor& actor);
absl::Status InsertFalsePositive(sql::Transaction& tx, const Event& e, int up_votes, int down_votes,
                                 int64_t now_ms);

// Takes v1's view of the sites of a slice over, silently (no notification in any case).
// v1 has spoken since we did if the columns differ from what was projected last for the open event.
// Rules in dialect jetmon2, the first that fits:
//  * site_status 1 with an open event: closed v1_recovered;
//  * not 1 without an open event: opened (0 Seems Down, 2 Down; other values count as Seems Down:
//    it will be checked), started at last_status_change (now if it gives no time, or a later one),
//    an adopted Down has notified = 2;
//  * worse than the open event: promoted, with notified = 2;
//  * an incident that v1 began after ours: closed as superseded and opened anew. v1 did if it has
//    spoken since, and gave another time (where we never projected, a later one than the event's
//    start), or says 0 of what is Down: it gets there by way of 1 only. A value that is no word of
//    v1's does not end a Down that people know of;
//  * an event of a bucket that the site has left (nobody who owns the old one will end it):
//    superseded and opened anew;
//  * else the event stays, and what the columns say counts as projected.
// Rules in dialect v1, where 0 and 2 say that people were told, and when:
//  * 1 with an open event: closed v1_recovered, whether it was told or not;
//  * 0 or 2 without an open event: opened as Down and told (notified = 2);
//  * 0 or 2, and nobody was told of the open event: promoted to Down and told, and what is queued
//    about it is cancelled;
//  * an event of a bucket that the site has left, which is not told: closed (the next failing check
//    opens a new one); told: superseded and opened anew as told;
//  * any other value proves nothing: an open event stays, and none is opened.
// It also ends, silently, the slice's open events whose site is not active in their bucket any
// more. `actor.project` is ignored: adoption stores the site's columns as projected, and writes
// none. A Monitor that adopts on load stands as who projected them; after a seed (no host) nobody
// does. Aborted if another transaction changes one of these events at the same moment.
struct AdoptionCounts {
  // Events of the slice's buckets. One that is reopened was open there before.
  uint64_t opened = 0, promoted = 0, closed = 0, reopened = 0;
  uint64_t gone = 0;                  // ended: their site is not active in their bucket any more
  std::map<uint32_t, uint64_t> left;  // ended, by bucket: of others, which sites of the slice left
  uint64_t seems_down = 0, down = 0;  // sites that v1 has so; seems_down also for unknown values
};
absl::StatusOr<AdoptionCounts> AdoptSlice(sql::Transaction& tx, const Slice& slice,
                                          const Actor& actor);
absl::StatusOr<uint64_t> CountOpenEvents(sql::Transaction& tx, Range range);

// Brings the legacy columns of a bucket to what v1 must find when it has the bucket back. How many
// sites were written. Of `actor`, everything but `project` counts. Dialect jetmon2: those of every
// open event that differ, and those that still tell of an incident which a check of ours has ended.
// Dialect v1: those that a receiver wrote late, over a newer word of ours.
absl::StatusOr<uint64_t> ProjectBucket(sql::Transaction& tx, uint32_t bucket, const Actor& actor);

struct Drift {
  uint64_t site_id = 0;
  uint32_t bucket = 0;
  int site_status = 1, expected_status = 1;
  uint64_t event_id = 0;  // 0 = no open event
  // missing_event (in a range of dialect v1: foreign_write), stale_projection, unexpected_status
  // (none of 0, 1, 2), event_elsewhere (the open event is of a bucket that the site has left).
  std::string cause;
};
inline constexpr size_t kMostDriftGroups = 2000;
struct DriftReport {
  uint64_t count = 0;
  struct Group {
    uint32_t bucket = 0;
    std::string cause;
    uint64_t count = 0;
  };
  std::vector<Group> groups;  // by bucket; at most kMostDriftGroups
  std::vector<Drift> rows;    // by bucket; at most `limit`
};
// Active sites of the range whose site_status differs from what their open event says (Up without
// one; the worst of several). A statement a bucket.
absl::StatusOr<DriftReport> FindDrift(sql::Transaction& tx, Range range, int limit);

struct CheckHistoryRow {
  uint64_t site_id = 0;
  uint32_t bucket = 0;
  int64_t at_ms = 0;
  std::string source;  // host or vantage id
  std::string outcome;
  int http_code = 0, error_code = 0;
  std::string failure_class, detail;
  int64_t total_us = 0;
};
// `actor` is who writes them, which each row says too: its epoch, instance and host.
absl::Status InsertHistory(sql::Transaction& tx, const std::vector<CheckHistoryRow>& rows,
                           const Actor& actor);

}  // namespace jetmon::store

#endif  // JETMON_STORE_EVENTS_H_
