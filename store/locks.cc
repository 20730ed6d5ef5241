#include "store/locks.h"

#include <set>

#include "absl/strings/str_cat.h"
#include "store/lock_sql.h"
#include "store/parts.h"

namespace jetmon::store {
namespace {

constexpr char kRangeColumns[] =
    "epoch, bucket_min, bucket_max, owner_host, owner_instance, state, revision, lease_seq, "
    "run_id, activate_job_id, release_job_id, gave_up, drained, notifications_left, overrides, "
    "granted_at_ms, activating_at_ms, acknowledged_at_ms, draining_at_ms, drained_at_ms, "
    "revoked_at_ms, released_at_ms, part_job_id, dialect, hold_tells_ms, muted_job_id, muted_min, "
    "muted_max, muted_at_ms";

// Every state but released, one by one: those that are held are few, and an index finds them among
// all that ever were.
constexpr char kIsHeld[] = "state IN ('preparing', 'activating', 'active', 'draining', 'revoked')";

// `part` holds the job id alone: its row is read next.
RangeLock RangeLockOf(const sql::Row& row) {
  RangeLock l;
  l.epoch = row.Uint(0);
  l.range = {static_cast<uint32_t>(row.Int(1)), static_cast<uint32_t>(row.Int(2))};
  l.owner_host = row.Text(3);
  l.owner_instance = row.Text(4);
  l.state = row.Text(5);
  l.revision = row.Uint(6);
  l.lease_seq = row.Uint(7);
  l.run_id = row.Text(8);
  l.activate_job_id = row.Text(9);
  l.release_job_id = row.Text(10);
  l.gave_up = row.Bool(11);
  l.drained = row.Bool(12);
  l.notifications_left = row.Uint(13);
  l.overrides = row.Text(14);
  l.granted_at_ms = row.Int(15);
  l.activating_at_ms = row.Int(16);
  l.acknowledged_at_ms = row.Int(17);
  l.draining_at_ms = row.Int(18);
  l.drained_at_ms = row.Int(19);
  l.revoked_at_ms = row.Int(20);
  l.released_at_ms = row.Int(21);
  if (!row.Text(22).empty()) l.part.emplace().job_id = row.Text(22);
  l.dialect = ParseLegacyDialect(row.Text(23)).value_or(LegacyDialect::kJetmon2);
  l.hold_tells_ms = row.Int(24);
  if (!row.Text(25).empty()) {
    l.mute = Mute{row.Text(25),
                  {static_cast<uint32_t>(row.Int(26)), static_cast<uint32_t>(row.Int(27))},
                  row.Int(28)};
  }
  return l;
}

absl::StatusOr<std::vector<RangeLock>> Ranges(sql::Transaction& tx, const std::string& rest,
                                              sql::Params params) {
  std::vector<RangeLock> locks;
  auto s =
      tx.Query(absl::StrCat("SELECT ", kRangeColumns, " FROM jetmon_rollout_range_locks ", rest),
               params, [&](const sql::Row& row) {
                 locks.push_back(RangeLockOf(row));
                 return absl::OkStatus();
               });
  if (!s.ok()) return s;
  for (RangeLock& lock : locks) {
    if (!lock.part.has_value()) continue;
    auto part = GetRangePart(tx, lock.part->job_id);
    if (!part.ok()) return part.status();
    if (!part->has_value()) {
      return absl::InternalError(absl::StrCat("epoch ", lock.epoch, " names a part, ",
                                              lock.part->job_id, ", that has no row"));
    }
    lock.part = std::move(*part);
  }
  return locks;
}

// Brings the bucket rows of a range lock to a state: as many as the range has, or the transaction
// must not commit.
absl::Status SetBuckets(sql::Transaction& tx, const RangeLock& lock, std::string_view state) {
  auto matched = tx.Execute(
      "UPDATE jetmon_rollout_bucket_locks SET state = ?, touched = touched + 1 WHERE epoch = ?",
      {state, lock.epoch});
  if (!matched.ok()) return matched.status();
  if (*matched != lock.range.size()) {
    return absl::InternalError(absl::StrCat("range ", lock.range.ToString(), " of epoch ",
                                            lock.epoch, " holds ", *matched, " bucket rows"));
  }
  return absl::OkStatus();
}

// After a conditional change of the range row that matched: the bucket rows follow.
absl::StatusOr<bool> Follow(sql::Transaction& tx, uint64_t epoch, absl::StatusOr<bool> matched) {
  if (!matched.ok() || !*matched) return matched;
  auto lock = GetRangeLock(tx, epoch);
  if (!lock.ok()) return lock.status();
  if (!lock->has_value()) return absl::InternalError("a range lock is gone");
  if (auto s = SetBuckets(tx, **lock, (*lock)->state); !s.ok()) return s;
  return true;
}

// After a conditional change to `released` that matched: the buckets are v1's again.
absl::StatusOr<bool> FreeBuckets(sql::Transaction& tx, uint64_t epoch, int64_t now_ms,
                                 absl::StatusOr<bool> matched) {
  if (!matched.ok() || !*matched) return matched;
  auto lock = GetRangeLock(tx, epoch);
  if (!lock.ok()) return lock.status();
  if (!lock->has_value()) return absl::InternalError("a range lock is gone");
  auto ordinal = NextCounter(tx, "ordinal");
  if (!ordinal.ok()) return ordinal.status();
  auto freed = tx.Execute(
      "UPDATE jetmon_rollout_bucket_locks SET pool = ?, owner_host = NULL, owner_instance = NULL, "
      "epoch = 0, state = ?, muted = 0, touched = touched + 1, changed_ordinal = ?, changed_at_ms "
      "= "
      "? WHERE epoch = ?",
      {kPoolV1, kBucketFree, *ordinal, now_ms, epoch});
  if (!freed.ok()) return freed.status();
  if (*freed != (*lock)->range.size()) {
    return absl::InternalError(absl::StrCat("epoch ", epoch, " freed ", *freed, " bucket rows of ",
                                            (*lock)->range.size()));
  }
  return true;
}

// Voids the evidence of a range whose activation failed.
absl::Status MarkChanged(sql::Transaction& tx, uint64_t epoch, int64_t now_ms) {
  auto ordinal = NextCounter(tx, "ordinal");
  if (!ordinal.ok()) return ordinal.status();
  return tx
      .Execute(
          "UPDATE jetmon_rollout_bucket_locks SET changed_ordinal = ?, changed_at_ms = ? WHERE "
          "epoch = ?",
          {*ordinal, now_ms, epoch})
      .status();
}

// Records that the lock's owner_instance holds the range from now on. The rows are never changed or
// removed: they are as few as the range locks, which are kept too.
absl::Status RecordTenure(sql::Transaction& tx, const RangeLock& lock, int64_t now_ms) {
  auto inserted = tx.Execute(
      "INSERT INTO jetmon_rollout_range_tenures (epoch, revision, owner_host, owner_instance, "
      "from_ms) VALUES (?, ?, ?, ?, ?)",
      {lock.epoch, lock.revision, lock.owner_host, lock.owner_instance, now_ms});
  if (!inserted.ok()) return inserted.status();
  if (*inserted == 1) return absl::OkStatus();
  return absl::InternalError(
      absl::StrCat("epoch ", lock.epoch, " got ", *inserted, " tenure rows instead of one"));
}

absl::Status BumpCounter(sql::Transaction& tx, std::string_view name) {
  constexpr char kBump[] = "UPDATE jetmon_counters SET value = value + 1 WHERE name = ?";
  auto bumped = tx.ExecuteOne(kBump, {name});
  if (!bumped.ok() || *bumped) return bumped.status();
  // The first of its name; somebody else may make it at the same time.
  auto made = tx.InsertIfNew("INSERT INTO jetmon_counters (name, value) VALUES (?, 0)", {name});
  if (!made.ok()) return made.status();
  bumped = tx.ExecuteOne(kBump, {name});
  if (!bumped.ok()) return bumped.status();
  return *bumped ? absl::OkStatus() : absl::InternalError("a counter row is gone");
}

absl::StatusOr<uint64_t> CountHeld(sql::Transaction& tx, std::string_view host) {
  uint64_t count = 0;
  auto s = tx.Query(
      absl::StrCat("SELECT COUNT(*) FROM jetmon_rollout_range_locks WHERE owner_host = ? AND ",
                   kIsHeld),
      {host}, [&](const sql::Row& row) {
        count = row.Uint(0);
        return absl::OkStatus();
      });
  if (!s.ok()) return s;
  return count;
}

}  // namespace

absl::StatusOr<uint64_t> NextCounter(sql::Transaction& tx, std::string_view name) {
  if (auto s = BumpCounter(tx, name); !s.ok()) return s;
  uint64_t value = 0;
  auto found = tx.QueryOne("SELECT value FROM jetmon_counters WHERE name = ?", {name},
                           [&](const sql::Row& row) {
                             value = row.Uint(0);
                             return absl::OkStatus();
                           });
  if (!found.ok()) return found.status();
  return value;
}

absl::Status BeginDecision(sql::Transaction& tx) { return BumpCounter(tx, "decision"); }

absl::Status EnsureBuckets(sql::Transaction& tx, uint32_t total, int64_t now_ms) {
  uint64_t beyond = 0;
  auto s = tx.Query(
      "SELECT COUNT(*) FROM jetmon_rollout_bucket_locks WHERE bucket_no >= ? AND pool <> ?",
      {total, kPoolV1}, [&](const sql::Row& row) {
        beyond = row.Uint(0);
        return absl::OkStatus();
      });
  if (!s.ok()) return s;
  if (beyond > 0) {
    return absl::FailedPreconditionError(
        absl::StrCat(beyond, " buckets at or past --bucket_total=", total,
                     " are held; start with the bucket_total that they were granted under"));
  }
  std::set<uint32_t> known;
  s = tx.Query("SELECT bucket_no FROM jetmon_rollout_bucket_locks WHERE bucket_no < ?", {total},
               [&](const sql::Row& row) {
                 known.insert(static_cast<uint32_t>(row.Int(0)));
                 return absl::OkStatus();
               });
  if (!s.ok()) return s;
  for (uint32_t bucket = 0; bucket < total; ++bucket) {
    if (known.contains(bucket)) continue;
    auto made = tx.InsertIfNew(
        "INSERT INTO jetmon_rollout_bucket_locks (bucket_no, pool, epoch, state, changed_at_ms) "
        "VALUES (?, ?, 0, ?, ?)",
        {bucket, kPoolV1, kBucketFree, now_ms});
    if (!made.ok()) return made.status();
  }
  return absl::OkStatus();
}

absl::StatusOr<std::optional<RangeLock>> GetRangeLock(sql::Transaction& tx, uint64_t epoch) {
  auto locks = Ranges(tx, "WHERE epoch = ?", {epoch});
  if (!locks.ok()) return locks.status();
  return locks->empty() ? std::nullopt : std::optional((*locks)[0]);
}

absl::StatusOr<std::vector<RangeLock>> ListHeldRanges(sql::Transaction& tx) {
  return Ranges(tx, absl::StrCat("WHERE ", kIsHeld, " ORDER BY bucket_min"), {});
}

absl::StatusOr<std::vector<RangeLock>> ListHeldRangesOfHost(sql::Transaction& tx,
                                                            std::string_view host) {
  return Ranges(tx, absl::StrCat("WHERE owner_host = ? AND ", kIsHeld, " ORDER BY bucket_min"),
                {host});
}

absl::StatusOr<std::vector<BucketLock>> ListBuckets(sql::Transaction& tx, Range range) {
  std::vector<BucketLock> buckets;
  auto s = tx.Query(
      "SELECT bucket_no, pool, owner_host, owner_instance, epoch, state, changed_ordinal, "
      "changed_at_ms FROM jetmon_rollout_bucket_locks WHERE bucket_no BETWEEN ? AND ? ORDER BY "
      "bucket_no",
      {range.min, range.max}, [&](const sql::Row& row) {
        BucketLock b;
        b.bucket = static_cast<uint32_t>(row.Int(0));
        b.pool = row.Text(1);
        b.owner_host = row.Text(2);
        b.owner_instance = row.Text(3);
        b.epoch = row.Uint(4);
        b.state = row.Text(5);
        b.changed_ordinal = row.Uint(6);
        b.changed_at_ms = row.Int(7);
        buckets.push_back(std::move(b));
        return absl::OkStatus();
      });
  if (!s.ok()) return s;
  return buckets;
}

// A change, though of nothing: what was only read is nobody's to keep on a server.
absl::StatusOr<bool> HoldBuckets(sql::Transaction& tx, Range range, uint64_t epoch) {
  auto held = epoch == 0 ? tx.Execute(
                               "UPDATE jetmon_rollout_bucket_locks SET touched = touched + 1 WHERE "
                               "bucket_no BETWEEN ? AND ? AND pool = ? AND owner_host IS NULL",
                               {range.min, range.max, kPoolV1})
                         : tx.Execute(
                               "UPDATE jetmon_rollout_bucket_locks SET touched = touched + 1 WHERE "
                               "bucket_no BETWEEN ? AND ? AND epoch = ? AND state = ?",
                               {range.min, range.max, epoch, range_state::kPreparing});
  if (!held.ok()) return held.status();
  return static_cast<uint64_t>(*held) == range.size();
}

absl::StatusOr<uint64_t> LastChangeOrdinal(sql::Transaction& tx, Range range) {
  uint64_t ordinal = 0;
  auto s = tx.Query(
      "SELECT COALESCE(MAX(changed_ordinal), 0) FROM jetmon_rollout_bucket_locks WHERE bucket_no "
      "BETWEEN ? AND ?",
      {range.min, range.max}, [&](const sql::Row& row) {
        ordinal = row.Uint(0);
        return absl::OkStatus();
      });
  if (!s.ok()) return s;
  return ordinal;
}

absl::StatusOr<GrantResult> GrantRange(sql::Transaction& tx, const Grant& g) {
  GrantResult result;
  auto bumped = tx.ExecuteOne(
      "UPDATE jetmon_hosts SET generation = generation + 1 WHERE host = ? AND generation = ?",
      {g.owner_host, g.owner_generation});
  if (!bumped.ok()) return bumped.status();
  if (!*bumped) {
    result.outcome = GrantOutcome::kOwnerChanged;
    return result;
  }
  auto held = CountHeld(tx, g.owner_host);
  if (!held.ok()) return held.status();
  if (*held > 0) {
    result.outcome = GrantOutcome::kOwnerHasRange;
    return result;
  }
  auto epoch = NextCounter(tx, "epoch");
  if (!epoch.ok()) return epoch.status();
  auto ordinal = NextCounter(tx, "ordinal");
  if (!ordinal.ok()) return ordinal.status();
  auto taken = tx.Execute(
      "UPDATE jetmon_rollout_bucket_locks SET pool = ?, owner_host = ?, owner_instance = ?, epoch "
      "= ?, state = ?, touched = touched + 1, changed_ordinal = ?, changed_at_ms = ? WHERE "
      "bucket_no BETWEEN ? AND ? AND pool = ? AND owner_host IS NULL",
      {kPoolApi, g.owner_host, g.owner_instance, *epoch, range_state::kPreparing, *ordinal,
       g.now_ms, g.range.min, g.range.max, kPoolV1});
  if (!taken.ok()) return taken.status();
  if (*taken != g.range.size()) {
    result.outcome = GrantOutcome::kBucketsTaken;
    return result;
  }
  auto inserted = tx.Execute(
      "INSERT INTO jetmon_rollout_range_locks (epoch, bucket_min, bucket_max, owner_host, "
      "owner_instance, state, revision, lease_seq, run_id, activate_job_id, overrides, "
      "granted_at_ms, dialect, hold_tells_ms) VALUES (?, ?, ?, ?, ?, ?, 1, 0, ?, ?, ?, ?, ?, ?)",
      {*epoch, g.range.min, g.range.max, g.owner_host, g.owner_instance, range_state::kPreparing,
       g.run_id, g.job_id, g.overrides, g.now_ms, NameOf(g.dialect), g.hold_tells_ms});
  if (!inserted.ok()) return inserted.status();
  auto lock = GetRangeLock(tx, *epoch);
  if (!lock.ok()) return lock.status();
  if (!lock->has_value()) return absl::InternalError("a range lock is gone");
  if (auto s = RecordTenure(tx, **lock, g.now_ms); !s.ok()) return s;
  result.lock = **lock;
  return result;
}

absl::StatusOr<bool> BeginActivating(sql::Transaction& tx, uint64_t epoch, int64_t now_ms) {
  return Follow(
      tx, epoch,
      tx.ExecuteOne("UPDATE jetmon_rollout_range_locks SET state = 'activating', revision "
                    "= revision + 1, activating_at_ms = ? WHERE epoch = ? AND state = "
                    "'preparing'",
                    {now_ms, epoch}));
}

absl::StatusOr<bool> GiveUpActivation(sql::Transaction& tx, uint64_t epoch,
                                      std::string_view release_job_id, int64_t now_ms) {
  auto changed = Follow(
      tx, epoch,
      tx.ExecuteOne("UPDATE jetmon_rollout_range_locks SET drained = CASE WHEN state = 'preparing' "
                    "THEN 1 ELSE 0 END, state = 'draining', gave_up = 1, release_job_id = ?, "
                    "revision = revision + 1, draining_at_ms = ? WHERE epoch = ? AND state IN "
                    "('preparing', 'activating')",
                    {release_job_id, now_ms, epoch}));
  if (!changed.ok() || !*changed) return changed;
  if (auto s = MarkChanged(tx, epoch, now_ms); !s.ok()) return s;
  return true;
}

absl::StatusOr<bool> BeginRelease(sql::Transaction& tx, uint64_t epoch, std::string_view job_id,
                                  int64_t now_ms) {
  return Follow(
      tx, epoch,
      tx.ExecuteOne(
          "UPDATE jetmon_rollout_range_locks SET drained = CASE WHEN state = 'preparing' "
          "THEN 1 ELSE 0 END, state = 'draining', release_job_id = ?, revision = revision "
          "+ 1, draining_at_ms = ? WHERE epoch = ? AND part_job_id = '' AND (muted_job_id = '' OR "
          "(muted_min = bucket_min AND muted_max = bucket_max)) AND (state IN ('preparing', "
          "'activating') OR (state = 'active' AND (dialect <> 'v1' OR muted_job_id <> '')))",
          {job_id, now_ms, epoch}));
}

absl::StatusOr<bool> RevokeRange(sql::Transaction& tx, uint64_t epoch, int64_t now_ms) {
  return Follow(tx, epoch,
                tx.ExecuteOne("UPDATE jetmon_rollout_range_locks SET state = 'revoked', revision = "
                              "revision + 1, revoked_at_ms = ? WHERE epoch = ? AND state = "
                              "'draining' AND drained = 0",
                              {now_ms, epoch}));
}

absl::StatusOr<bool> FreeDrained(sql::Transaction& tx, uint64_t epoch, int64_t now_ms) {
  return FreeBuckets(
      tx, epoch, now_ms,
      tx.ExecuteOne(
          "UPDATE jetmon_rollout_range_locks SET state = 'released', revision = revision "
          "+ 1, released_at_ms = ? WHERE epoch = ? AND state = 'draining' AND drained = 1",
          {now_ms, epoch}));
}

absl::StatusOr<bool> FreeDead(sql::Transaction& tx, uint64_t epoch, uint64_t lease_seq_seen,
                              int64_t now_ms) {
  return FreeBuckets(
      tx, epoch, now_ms,
      tx.ExecuteOne(
          absl::StrCat("UPDATE jetmon_rollout_range_locks SET notifications_left = CASE WHEN "
                       "drained = 1 THEN notifications_left ELSE ",
                       kCountQueued,
                       " END, state = 'released', revision = revision + 1, released_at_ms = ? "
                       "WHERE epoch = ? AND lease_seq = ? AND state IN ('draining', 'revoked')"),
          {now_ms, epoch, lease_seq_seen}));
}

absl::StatusOr<bool> RenewLease(sql::Transaction& tx, uint64_t epoch, std::string_view instance,
                                uint64_t revision) {
  return tx.ExecuteOne(
      "UPDATE jetmon_rollout_range_locks SET lease_seq = lease_seq + 1 WHERE epoch = ? AND "
      "owner_instance = ? AND revision = ? AND state IN ('activating', 'active', 'draining')",
      {epoch, instance, revision});
}

absl::StatusOr<bool> AcknowledgeRange(sql::Transaction& tx, uint64_t epoch,
                                      std::string_view instance, uint64_t revision,
                                      int64_t now_ms) {
  return Follow(
      tx, epoch,
      tx.ExecuteOne("UPDATE jetmon_rollout_range_locks SET state = 'active', lease_seq = lease_seq "
                    "+ 1, revision = revision + 1, acknowledged_at_ms = ? WHERE epoch = ? AND "
                    "owner_instance = ? AND revision = ? AND state = 'activating'",
                    {now_ms, epoch, instance, revision}));
}

absl::StatusOr<bool> ReportDrained(sql::Transaction& tx, uint64_t epoch, std::string_view instance,
                                   uint64_t notifications_left, int64_t now_ms) {
  return tx.ExecuteOne(
      "UPDATE jetmon_rollout_range_locks SET drained = 1, notifications_left = ?, drained_at_ms = "
      "?, lease_seq = lease_seq + 1, revision = revision + 1 WHERE epoch = ? AND owner_instance = "
      "? AND state = 'draining' AND drained = 0",
      {notifications_left, now_ms, epoch, instance});
}

absl::StatusOr<bool> TakeOverRange(sql::Transaction& tx, uint64_t epoch,
                                   std::string_view old_instance, uint64_t lease_seq_seen,
                                   std::string_view new_instance, int64_t now_ms) {
  // MySQL assigns from left to right: `drained` comes after what asks for its old value.
  auto matched = tx.ExecuteOne(
      absl::StrCat("UPDATE jetmon_rollout_range_locks SET owner_instance = ?, lease_seq = "
                   "lease_seq + 1, revision = revision + 1, drained_at_ms = CASE WHEN state = "
                   "'draining' AND drained = 0 THEN ? ELSE drained_at_ms END, notifications_left = "
                   "CASE WHEN state = 'draining' AND drained = 0 THEN ",
                   kCountQueued,
                   " ELSE notifications_left END, drained = CASE WHEN state = 'draining' THEN 1 "
                   "ELSE drained END WHERE epoch = ? AND owner_instance = ? AND lease_seq = ? AND "
                   "state IN ('activating', 'active', 'draining')"),
      {new_instance, now_ms, epoch, old_instance, lease_seq_seen});
  if (!matched.ok() || !*matched) return matched;
  auto lock = GetRangeLock(tx, epoch);
  if (!lock.ok()) return lock.status();
  auto rows = tx.Execute(
      "UPDATE jetmon_rollout_bucket_locks SET owner_instance = ?, touched = touched + 1 WHERE "
      "epoch = ?",
      {new_instance, epoch});
  if (!rows.ok()) return rows.status();
  if (!lock->has_value() || *rows != (*lock)->range.size()) {
    return absl::InternalError(absl::StrCat("epoch ", epoch, " holds ", *rows, " bucket rows"));
  }
  if (auto s = RecordTenure(tx, **lock, now_ms); !s.ok()) return s;
  if (!(*lock)->part.has_value()) return true;
  // The successor never loads it. A part that is revoked, or drained already, is left alone.
  auto drained = tx.ExecuteOne(
      absl::StrCat("UPDATE jetmon_rollout_range_parts SET drained = 1, drained_at_ms = ?, "
                   "notifications_left = ",
                   kCountQueued, " WHERE job_id = ? AND state = 'draining' AND drained = 0"),
      {now_ms, (*lock)->part->job_id});
  if (!drained.ok()) return drained.status();
  return true;
}

absl::StatusOr<bool> FenceBucket(sql::Transaction& tx, uint32_t bucket, uint64_t epoch,
                                 std::string_view instance) {
  return tx.ExecuteOne(
      "UPDATE jetmon_rollout_bucket_locks SET touched = touched + 1 WHERE bucket_no = ? AND epoch "
      "= ? AND owner_instance = ? AND state IN ('active', 'draining')",
      {bucket, epoch, instance});
}

}  // namespace jetmon::store
