#ifndef JETMON_STORE_LOCKS_H_
#define JETMON_STORE_LOCKS_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "store/legacy_words.h"
#include "store/range.h"
#include "store/sql/database.h"

// Who owns a bucket: the permanent bucket rows and one range lock row a grant (design: "the life
// of a range"). Every function runs inside the caller's write transaction, changes state by
// conditional updates only and looks at the matched-row count. A function that answers `bool`
// answers false, having changed nothing, when its condition did not hold: the caller reads again
// and decides. Each change of a range's state also changes its bucket rows' state, and bumps the
// range's revision.
//
//   (v1's) -Grant-> preparing -BeginActivating-> activating -Acknowledge-> active
//   preparing|activating -GiveUp-> draining;  preparing|activating|active -BeginRelease-> draining
//   draining -ReportDrained (drained=1)-> Free -> released;  draining -Revoke-> revoked -> Free...
//
// A part of an active range leaves it in its own row: parts.h.
namespace jetmon::store {

namespace range_state {
inline constexpr char kPreparing[] = "preparing";
inline constexpr char kActivating[] = "activating";
inline constexpr char kActive[] = "active";
inline constexpr char kDraining[] = "draining";
inline constexpr char kRevoked[] = "revoked";
inline constexpr char kReleased[] = "released";
}  // namespace range_state

// A bucket row's pool and state while nobody of ours owns it.
inline constexpr char kPoolV1[] = "v1";
inline constexpr char kPoolApi[] = "api";
inline constexpr char kBucketFree[] = "free";

// A part that leaves a range lock, or has left it: see parts.h.
struct RangePart {
  std::string job_id;  // of its release
  uint64_t epoch = 0;
  Range range;
  std::string state;                // draining, revoked, released
  bool drained = false;             // the owner has reported that it is done with the part
  uint64_t notifications_left = 0;  // counted when it drained
  int64_t draining_at_ms = 0, drained_at_ms = 0, revoked_at_ms = 0, released_at_ms = 0;
};

// Buckets of a range whose owner checks on and tells nothing more (dialect v1): a release of them
// is on its way.
struct Mute {
  std::string job_id;  // of the release
  Range range;
  int64_t at_ms = 0;
};

struct RangeLock {
  uint64_t epoch = 0;
  Range range;
  std::string owner_host;
  std::string owner_instance;
  std::string state;
  uint64_t revision = 0;
  uint64_t lease_seq = 0;
  std::string run_id;
  std::string activate_job_id;
  std::string release_job_id;
  bool gave_up = false;             // activation was given up: its job must end `failed`
  bool drained = false;             // the owner has reported that it is done with the range
  uint64_t notifications_left = 0;  // counted when it drained
  std::string overrides;            // JSON of the overrides that the activation used
  std::optional<RangePart> part;    // the one that is on its way out; `range` has it until then
  LegacyDialect dialect = LegacyDialect::kJetmon2;  // that it was granted under
  int64_t hold_tells_ms =
      0;  // after its first sight of the range an owner tells nothing for so long
  std::optional<Mute> mute;
  int64_t granted_at_ms = 0, activating_at_ms = 0, acknowledged_at_ms = 0, draining_at_ms = 0,
          drained_at_ms = 0, revoked_at_ms = 0, released_at_ms = 0;
};

struct BucketLock {
  uint32_t bucket = 0;
  std::string pool;
  std::string owner_host;      // "" when nobody
  std::string owner_instance;  // "" when nobody
  uint64_t epoch = 0;
  std::string state;
  uint64_t changed_ordinal = 0;
  int64_t changed_at_ms = 0;
};

// Takes the next value of the named counter ('epoch', 'ordinal'); the row is made if missing.
absl::StatusOr<uint64_t> NextCounter(sql::Transaction& tx, std::string_view name);

// The first statement of every control-plane transaction that decides by what it reads (may this
// run be closed, is this evidence good, has this range a job): such transactions run one after the
// other, on every engine, whichever replica they are of. An embedded database has one writer at a
// time anyway; a server's transactions otherwise see each other only at their commits, and two
// that read before they write could both go on.
absl::Status BeginDecision(sql::Transaction& tx);

// Makes the rows of buckets 0..total-1 that are missing, as v1's. Run at every control-plane
// start. FailedPrecondition when rows at or past `total` exist that are not v1's.
absl::Status EnsureBuckets(sql::Transaction& tx, uint32_t total, int64_t now_ms);

// --- reads (also good inside a read transaction)
absl::StatusOr<std::optional<RangeLock>> GetRangeLock(sql::Transaction& tx, uint64_t epoch);
// All range locks that are not released, by bucket_min.
absl::StatusOr<std::vector<RangeLock>> ListHeldRanges(sql::Transaction& tx);
// Those of one host.
absl::StatusOr<std::vector<RangeLock>> ListHeldRangesOfHost(sql::Transaction& tx,
                                                            std::string_view host);
// The bucket rows of a range, ascending; fewer than range.size() if rows are missing.
absl::StatusOr<std::vector<BucketLock>> ListBuckets(sql::Transaction& tx, Range range);
// Holds the buckets of a range as they are until the transaction ends: true if all are v1's (epoch
// 0), or are held under that epoch and `preparing`. Whoever changes their owner meanwhile waits, or
// fails and tries again.
absl::StatusOr<bool> HoldBuckets(sql::Transaction& tx, Range range, uint64_t epoch);
// The greatest changed_ordinal in a range: evidence recorded up to it is void.
absl::StatusOr<uint64_t> LastChangeOrdinal(sql::Transaction& tx, Range range);

// --- control plane
struct Grant {
  Range range;
  std::string owner_host;
  std::string owner_instance;     // the one live instance that the plan saw
  uint64_t owner_generation = 0;  // of jetmon_hosts, as the plan saw it
  std::string run_id;
  std::string job_id;
  std::string overrides;
  int64_t now_ms = 0;
  LegacyDialect dialect = LegacyDialect::kJetmon2;
  int64_t hold_tells_ms = 0;
};
// What a grant met. Anything but kGranted changed something already: the caller must roll the
// transaction back (return a non-OK status from its body).
enum class GrantOutcome {
  kGranted,
  kBucketsTaken,   // a bucket of the range is not v1's
  kOwnerHasRange,  // the owner holds another range
  kOwnerChanged,   // generation moved: plan again
};
struct GrantResult {
  GrantOutcome outcome = GrantOutcome::kGranted;
  RangeLock lock;  // valid when granted
};
// Takes the buckets for the owner in state preparing: bucket rows (one conditional update whose
// count must be the range's size), the host's generation, the owner's only range, the epoch.
// Records the owner's instance as the first one that holds the range
// (jetmon_rollout_range_tenures).
absl::StatusOr<GrantResult> GrantRange(sql::Transaction& tx, const Grant& grant);

// preparing -> activating: from now on the owner's Monitor sees it.
absl::StatusOr<bool> BeginActivating(sql::Transaction& tx, uint64_t epoch, int64_t now_ms);
// preparing|activating -> draining with gave_up = 1. `release_job_id` is the job that carries the
// range back to v1; the caller inserts it in the same transaction.
absl::StatusOr<bool> GiveUpActivation(sql::Transaction& tx, uint64_t epoch,
                                      std::string_view release_job_id, int64_t now_ms);
// Dialect v1: the owner tells nothing more of these buckets, one end of an active range or all of
// it, from now on; it checks them on. False unless the range is active and no other release of it
// is on its way.
absl::StatusOr<bool> MuteRange(sql::Transaction& tx, uint64_t epoch, Range range,
                               std::string_view job_id, int64_t now_ms);
// preparing|activating|active -> draining, for `job_id`; not while a part of it is on its way, nor
// while a part of it is muted. A range that the Monitor never saw (preparing) is marked
// drained at once.
absl::StatusOr<bool> BeginRelease(sql::Transaction& tx, uint64_t epoch, std::string_view job_id,
                                  int64_t now_ms);
// draining, not drained -> revoked: its lease can't be renewed any more.
absl::StatusOr<bool> RevokeRange(sql::Transaction& tx, uint64_t epoch, int64_t now_ms);
// draining and drained -> released, buckets v1's.
absl::StatusOr<bool> FreeDrained(sql::Transaction& tx, uint64_t epoch, int64_t now_ms);
// draining|revoked whose lease_seq still is what the observer saw unchanged for a grace ->
// released, buckets v1's.
absl::StatusOr<bool> FreeDead(sql::Transaction& tx, uint64_t epoch, uint64_t lease_seq_seen,
                              int64_t now_ms);

// --- Monitor
// Renews the lease: lease_seq + 1 where epoch, instance, revision are these and the state is
// activating, active or draining. False: read the lock again.
absl::StatusOr<bool> RenewLease(sql::Transaction& tx, uint64_t epoch, std::string_view instance,
                                uint64_t revision);
// activating -> active where instance and revision are these. False: read again; own epoch and
// instance already active is success (an answer was lost).
absl::StatusOr<bool> AcknowledgeRange(sql::Transaction& tx, uint64_t epoch,
                                      std::string_view instance, uint64_t revision, int64_t now_ms);
// draining -> drained = 1 where the instance is this.
absl::StatusOr<bool> ReportDrained(sql::Transaction& tx, uint64_t epoch, std::string_view instance,
                                   uint64_t notifications_left, int64_t now_ms);
// Takes a range over from another instance of the same host, conditional on that instance and on
// the lease_seq that was seen (unchanged for a grace, or its process said goodbye: the caller's
// to know). Rewrites the instance on range and bucket rows, bumps revision and lease_seq, and
// records the new instance's time in jetmon_rollout_range_tenures. A range that is draining is
// marked drained in the same transaction, as is a part that is. Not for revoked ranges; a revoked
// part stays as it is.
absl::StatusOr<bool> TakeOverRange(sql::Transaction& tx, uint64_t epoch,
                                   std::string_view old_instance, uint64_t lease_seq_seen,
                                   std::string_view new_instance, int64_t now_ms);
// The fence: touched + 1 on the bucket row where epoch and instance are these and the state is
// active or draining. A transaction whose fence answers false must roll back.
absl::StatusOr<bool> FenceBucket(sql::Transaction& tx, uint32_t bucket, uint64_t epoch,
                                 std::string_view instance);
// The same for a transaction that tells people something: the bucket must be active, and not muted.
absl::StatusOr<bool> FenceTell(sql::Transaction& tx, uint32_t bucket, uint64_t epoch,
                               std::string_view instance);

}  // namespace jetmon::store

#endif  // JETMON_STORE_LOCKS_H_
