#include "store/sessions.h"

#include "store/locks.h"
#include "store/rows.h"

namespace jetmon::store {
namespace {

constexpr char kSessionColumns[] =
    "run_id, bucket_min, bucket_max, owner_host, change_ref, metadata, state, sequence, key_id, "
    "consumer, close_reason, created_at_ms, updated_at_ms, closed_at_ms";
constexpr char kCheckpointColumns[] =
    "ordinal, run_id, kind, bucket_min, bucket_max, owner_host, job_id, started_ordinal, note, "
    "key_id, consumer, created_at_ms";

Range RangeOf(const sql::Row& row, int column) {
  return {static_cast<uint32_t>(row.Int(column)), static_cast<uint32_t>(row.Int(column + 1))};
}

Session SessionOf(const sql::Row& row) {
  Session s;
  s.run_id = row.Text(0);
  s.range = RangeOf(row, 1);
  s.owner_host = row.Text(3);
  s.change_ref = row.Text(4);
  s.metadata_json = row.Text(5);
  s.state = row.Text(6);
  s.sequence = row.Uint(7);
  s.key_id = row.Text(8);
  s.consumer = row.Text(9);
  s.close_reason = row.Text(10);
  s.created_at_ms = row.Int(11);
  s.updated_at_ms = row.Int(12);
  s.closed_at_ms = row.Int(13);
  return s;
}

Checkpoint CheckpointOf(const sql::Row& row) {
  Checkpoint c;
  c.ordinal = row.Uint(0);
  c.run_id = row.Text(1);
  c.kind = row.Text(2);
  c.range = RangeOf(row, 3);
  c.owner_host = row.Text(5);
  c.job_id = row.Text(6);
  c.started_ordinal = row.Uint(7);
  c.note = row.Text(8);
  c.key_id = row.Text(9);
  c.consumer = row.Text(10);
  c.created_at_ms = row.Int(11);
  return c;
}

absl::StatusOr<std::optional<Checkpoint>> OneCheckpoint(sql::Transaction& tx,
                                                        const std::string& condition,
                                                        sql::Params params) {
  std::optional<Checkpoint> checkpoint;
  auto s = tx.Query(std::string("SELECT ") + kCheckpointColumns +
                        " FROM jetmon_rollout_checkpoints WHERE " + condition +
                        " ORDER BY ordinal DESC LIMIT 1",
                    params, [&](const sql::Row& row) {
                      checkpoint = CheckpointOf(row);
                      return absl::OkStatus();
                    });
  if (!s.ok()) return s;
  return checkpoint;
}

}  // namespace

absl::Status InsertSession(sql::Transaction& tx, const Session& s) {
  return tx
      .Execute(std::string("INSERT INTO jetmon_rollout_sessions (") + kSessionColumns +
                   ") VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
               {s.run_id, s.range.min, s.range.max, s.owner_host, s.change_ref, s.metadata_json,
                s.state, s.sequence, s.key_id, s.consumer, s.close_reason, s.created_at_ms,
                s.updated_at_ms, s.closed_at_ms})
      .status();
}

absl::StatusOr<std::optional<Session>> GetSession(sql::Transaction& tx, std::string_view run_id) {
  std::optional<Session> session;
  auto found = tx.QueryOne(
      std::string("SELECT ") + kSessionColumns + " FROM jetmon_rollout_sessions WHERE run_id = ?",
      {run_id}, [&](const sql::Row& row) {
        session = SessionOf(row);
        return absl::OkStatus();
      });
  if (!found.ok()) return found.status();
  return session;
}

absl::StatusOr<Page<Session>> ListSessions(sql::Transaction& tx, std::string_view state,
                                           const PageRequest& page) {
  auto after = KeyOfPageToken(page.token);
  if (!after.ok()) return after.status();
  std::vector<Session> rows;
  const PageQuery query({{"state", state}}, "run_id", *after, page.size + 1);
  auto s = tx.Query(
      std::string("SELECT ") + kSessionColumns + " FROM jetmon_rollout_sessions " + query.rest(),
      query.values(), [&](const sql::Row& row) {
        rows.push_back(SessionOf(row));
        return absl::OkStatus();
      });
  if (!s.ok()) return s;
  return MakePage(std::move(rows), page.size, [](const Session& r) { return r.run_id; });
}

absl::StatusOr<bool> BumpSession(sql::Transaction& tx, std::string_view run_id, uint64_t sequence,
                                 std::string_view owner_host, int64_t now_ms) {
  return tx.ExecuteOne(
      "UPDATE jetmon_rollout_sessions SET sequence = sequence + 1, updated_at_ms = ?, owner_host = "
      "CASE WHEN ? = '' THEN owner_host ELSE ? END WHERE run_id = ? AND sequence = ? AND state = "
      "'open'",
      {now_ms, owner_host, owner_host, run_id, sequence});
}

absl::Status TouchSession(sql::Transaction& tx, std::string_view run_id, int64_t now_ms) {
  auto matched = tx.ExecuteOne(
      "UPDATE jetmon_rollout_sessions SET sequence = sequence + 1, updated_at_ms = ? WHERE run_id "
      "= ?",
      {now_ms, run_id});
  if (!matched.ok()) return matched.status();
  return *matched ? absl::OkStatus() : absl::NotFoundError("no such run");
}

absl::StatusOr<bool> CloseSession(sql::Transaction& tx, std::string_view run_id,
                                  std::string_view reason, int64_t now_ms) {
  return tx.ExecuteOne(
      "UPDATE jetmon_rollout_sessions SET state = 'closed', sequence = sequence + 1, close_reason "
      "= ?, closed_at_ms = ?, updated_at_ms = ? WHERE run_id = ? AND state = 'open'",
      {reason, now_ms, now_ms, run_id});
}

absl::StatusOr<Checkpoint> InsertCheckpoint(sql::Transaction& tx, Checkpoint c) {
  auto ordinal = NextCounter(tx, "ordinal");
  if (!ordinal.ok()) return ordinal.status();
  c.ordinal = *ordinal;
  auto inserted =
      tx.Execute(std::string("INSERT INTO jetmon_rollout_checkpoints (") + kCheckpointColumns +
                     ") VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                 {c.ordinal, c.run_id, c.kind, c.range.min, c.range.max, c.owner_host, c.job_id,
                  c.started_ordinal, c.note, c.key_id, c.consumer, c.created_at_ms});
  if (!inserted.ok()) return inserted.status();
  return c;
}

absl::StatusOr<std::vector<std::string>> ClosedSessionsWithJobs(sql::Transaction& tx,
                                                                int64_t closed_before_ms,
                                                                int limit) {
  std::vector<std::string> run_ids;
  auto s = tx.Query(
      "SELECT s.run_id FROM jetmon_rollout_sessions s WHERE s.closed_at_ms > 0 AND "
      "s.closed_at_ms < ? AND EXISTS (SELECT 1 FROM jetmon_rollout_jobs j WHERE j.run_id = "
      "s.run_id) ORDER BY s.closed_at_ms LIMIT ?",
      {closed_before_ms, limit}, [&](const sql::Row& row) {
        run_ids.push_back(row.Text(0));
        return absl::OkStatus();
      });
  if (!s.ok()) return s;
  return run_ids;
}

absl::StatusOr<std::vector<Checkpoint>> ListCheckpoints(sql::Transaction& tx,
                                                        std::string_view run_id, uint64_t after) {
  std::vector<Checkpoint> rows;
  auto s =
      tx.Query(std::string("SELECT ") + kCheckpointColumns +
                   " FROM jetmon_rollout_checkpoints WHERE run_id = ? AND ordinal > ? ORDER BY "
                   "ordinal LIMIT 10000",
               {run_id, after}, [&](const sql::Row& row) {
                 rows.push_back(CheckpointOf(row));
                 return absl::OkStatus();
               });
  if (!s.ok()) return s;
  return rows;
}

absl::StatusOr<std::optional<Checkpoint>> LatestCheckpoint(sql::Transaction& tx,
                                                           std::string_view kind, Range range,
                                                           std::string_view owner_host) {
  return OneCheckpoint(
      tx, "kind = ? AND bucket_min <= ? AND bucket_max >= ? AND (? = '' OR owner_host = ?)",
      {kind, range.min, range.max, owner_host, owner_host});
}

absl::StatusOr<std::optional<Checkpoint>> LatestOverlappingCheckpoint(sql::Transaction& tx,
                                                                      std::string_view kind,
                                                                      Range range) {
  return OneCheckpoint(tx, "kind = ? AND bucket_min <= ? AND bucket_max >= ?",
                       {kind, range.max, range.min});
}

}  // namespace jetmon::store
