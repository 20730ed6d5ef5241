#ifndef JETMON_STORE_SESSIONS_H_
#define JETMON_STORE_SESSIONS_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "store/page.h"
#include "store/range.h"
#include "store/sql/database.h"

// Sessions (rollout attempts) and what was recorded in them: checkpoints and evidence.
namespace jetmon::store {

struct Session {
  std::string run_id;  // "rol_" + ULID
  Range range;
  std::string owner_host;  // "" until known
  std::string change_ref;
  std::string metadata_json = "{}";
  std::string state;  // open, closed
  uint64_t sequence = 0;
  std::string key_id, consumer;  // who created it
  std::string close_reason;
  int64_t created_at_ms = 0, updated_at_ms = 0, closed_at_ms = 0;
};

absl::Status InsertSession(sql::Transaction& tx, const Session& s);
absl::StatusOr<std::optional<Session>> GetSession(sql::Transaction& tx, std::string_view run_id);
// Newest first. state "" = any.
absl::StatusOr<Page<Session>> ListSessions(sql::Transaction& tx, std::string_view state,
                                           const PageRequest& page);
// sequence + 1 where it is `sequence` and the session is open; owner_host is set when not empty.
// False: somebody else changed the run (plan again), or it is closed.
absl::StatusOr<bool> BumpSession(sql::Transaction& tx, std::string_view run_id, uint64_t sequence,
                                 std::string_view owner_host, int64_t now_ms);
// sequence + 1 whatever it was and whatever the state (release is legal in a closed run too).
absl::Status TouchSession(sql::Transaction& tx, std::string_view run_id, int64_t now_ms);
// open -> closed.
absl::StatusOr<bool> CloseSession(sql::Transaction& tx, std::string_view run_id,
                                  std::string_view reason, int64_t now_ms);

// Sessions that were closed before then and still have jobs, the one closed longest ago first, at
// most `limit`.
absl::StatusOr<std::vector<std::string>> ClosedSessionsWithJobs(sql::Transaction& tx,
                                                                int64_t closed_before_ms,
                                                                int limit);

// Kinds that the evidence rules know, those of a check policy, and those of what was decided about
// notifications; an operator's own checkpoint may have any other kind of [a-z0-9_]{1,32}.
namespace checkpoint {
inline constexpr char kPreflight[] = "preflight_passed";
inline constexpr char kSmoke[] = "smoke_passed";
inline constexpr char kSeed[] = "seed_completed";
inline constexpr char kFinalReconcile[] = "final_reconcile_completed";
inline constexpr char kV1Stopped[] = "v1_stopped";
inline constexpr char kV1Started[] = "v1_started";
inline constexpr char kActivated[] = "activated";
inline constexpr char kReleased[] = "released";
inline constexpr char kPolicyStaged[] = "policy_staged";
inline constexpr char kPolicyPaused[] = "policy_paused";
inline constexpr char kPolicyRolledBack[] = "policy_rolled_back";
inline constexpr char kNotificationsTold[] = "notifications_told";
inline constexpr char kNotificationsUntold[] = "notifications_untold";
// Those that are recorded by the operation itself.
inline constexpr const char* kOwn[] = {
    kPreflight,          kSmoke,        kSeed,         kFinalReconcile,   kActivated,
    kReleased,           kPolicyStaged, kPolicyPaused, kPolicyRolledBack, kNotificationsTold,
    kNotificationsUntold};
}  // namespace checkpoint

struct Checkpoint {
  uint64_t ordinal = 0;  // filled by InsertCheckpoint: the counter 'ordinal', orders everything
  std::string run_id;
  std::string kind;
  Range range;
  std::string owner_host;
  std::string job_id;
  uint64_t started_ordinal = 0;  // of a job's evidence: the ordinal when the job started
  std::string note;
  std::string key_id, consumer;
  int64_t created_at_ms = 0;
};

// Inserts and fills in the ordinal.
absl::StatusOr<Checkpoint> InsertCheckpoint(sql::Transaction& tx, Checkpoint c);
// A run's checkpoints with an ordinal above `after`, in order, at most 10,000.
absl::StatusOr<std::vector<Checkpoint>> ListCheckpoints(sql::Transaction& tx,
                                                        std::string_view run_id,
                                                        uint64_t after = 0);
// The newest checkpoint of a kind whose range covers `range`, over all runs; with an owner_host
// not "", only those of that owner.
absl::StatusOr<std::optional<Checkpoint>> LatestCheckpoint(sql::Transaction& tx,
                                                           std::string_view kind, Range range,
                                                           std::string_view owner_host);
// The newest checkpoint of a kind whose range OVERLAPS `range` (for what voids evidence).
absl::StatusOr<std::optional<Checkpoint>> LatestOverlappingCheckpoint(sql::Transaction& tx,
                                                                      std::string_view kind,
                                                                      Range range);

}  // namespace jetmon::store

#endif  // JETMON_STORE_SESSIONS_H_
