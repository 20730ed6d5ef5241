#include "store/parts.h"

#include "absl/strings/str_cat.h"
#include "store/lock_sql.h"

namespace jetmon::store {
namespace {

constexpr char kPartColumns[] =
    "job_id, epoch, bucket_min, bucket_max, state, drained, notifications_left, draining_at_ms, "
    "drained_at_ms, revoked_at_ms, released_at_ms";

RangePart RangePartOf(const sql::Row& row) {
  RangePart p;
  p.job_id = row.Text(0);
  p.epoch = row.Uint(1);
  p.range = {static_cast<uint32_t>(row.Int(2)), static_cast<uint32_t>(row.Int(3))};
  p.state = row.Text(4);
  p.drained = row.Bool(5);
  p.notifications_left = row.Uint(6);
  p.draining_at_ms = row.Int(7);
  p.drained_at_ms = row.Int(8);
  p.revoked_at_ms = row.Int(9);
  p.released_at_ms = row.Int(10);
  return p;
}

absl::StatusOr<std::optional<RangePart>> One(sql::Transaction& tx, const std::string& rest,
                                             sql::Params params) {
  std::optional<RangePart> part;
  auto found = tx.QueryOne(
      absl::StrCat("SELECT ", kPartColumns, " FROM jetmon_rollout_range_parts WHERE ", rest),
      params, [&](const sql::Row& row) {
        part = RangePartOf(row);
        return absl::OkStatus();
      });
  if (!found.ok()) return found.status();
  return part;
}

// Of the range row that a part is leaving.
constexpr char kWhereLeaving[] = " WHERE epoch = ? AND state = 'active' AND part_job_id = ?";

// A change that follows from one that matched: of as many rows as there are, or the transaction
// must not commit.
absl::Status Expect(const absl::StatusOr<int64_t>& matched, uint64_t expected,
                    const std::string& what) {
  if (!matched.ok()) return matched.status();
  if (static_cast<uint64_t>(*matched) == expected) return absl::OkStatus();
  return absl::InternalError(
      absl::StrCat(what, " changed ", *matched, " rows instead of ", expected));
}

absl::Status SetBuckets(sql::Transaction& tx, uint64_t epoch, Range range, std::string_view from,
                        std::string_view to) {
  return Expect(tx.Execute("UPDATE jetmon_rollout_bucket_locks SET state = ?, touched = touched + "
                           "1 WHERE bucket_no BETWEEN ? AND ? AND epoch = ? AND state = ?",
                           {to, range.min, range.max, epoch, from}),
                range.size(), absl::StrCat("part ", range.ToString(), " of epoch ", epoch));
}

// The part's row becomes `released`, where it is as `condition` says. Conditions are asked of a row
// by an update of that row: on a server a subquery may see it as it was before the update waited.
absl::StatusOr<int64_t> ReleaseRow(sql::Transaction& tx, std::string_view job_id,
                                   const std::string& condition, int64_t now_ms) {
  return tx.Execute(absl::StrCat("UPDATE jetmon_rollout_range_parts SET notifications_left = CASE "
                                 "WHEN drained = 1 THEN notifications_left ELSE ",
                                 kCountQueued,
                                 " END, state = 'released', released_at_ms = ? WHERE job_id = ? "
                                 "AND ",
                                 condition),
                    {now_ms, job_id});
}

// The range is the rest, where its lease is as it was seen, if that is given.
absl::StatusOr<int64_t> ShrinkRange(sql::Transaction& tx, const RangePart& p,
                                    std::optional<uint64_t> lease_seq) {
  const int64_t before = static_cast<int64_t>(p.range.min) - 1;
  const int64_t after = static_cast<int64_t>(p.range.max) + 1;
  const std::string update = absl::StrCat(
      "UPDATE jetmon_rollout_range_locks SET bucket_min = CASE WHEN bucket_min = ? THEN ? ELSE "
      "bucket_min END, bucket_max = CASE WHEN bucket_max = ? THEN ? ELSE bucket_max END, "
      "part_job_id = '', muted_job_id = '', revision = revision + 1",
      kWhereLeaving);
  if (!lease_seq.has_value()) {
    return tx.Execute(update, {p.range.min, after, p.range.max, before, p.epoch, p.job_id});
  }
  return tx.Execute(absl::StrCat(update, " AND lease_seq = ?"),
                    {p.range.min, after, p.range.max, before, p.epoch, p.job_id, *lease_seq});
}

// The part's buckets are v1's and the range is the rest, where the part is as `condition` says and,
// if given, the range's lease is as it was seen. What may not hold is asked first: the other row
// then follows.
absl::StatusOr<bool> Free(sql::Transaction& tx, std::string_view job_id,
                          const std::string& condition, std::optional<uint64_t> lease_seq,
                          int64_t now_ms) {
  auto part = GetRangePart(tx, job_id);
  if (!part.ok()) return part.status();
  if (!part->has_value()) return false;
  const RangePart& p = **part;  // what is used of it never changes
  const auto first = lease_seq.has_value() ? ShrinkRange(tx, p, lease_seq)
                                           : ReleaseRow(tx, job_id, condition, now_ms);
  if (!first.ok()) return first.status();
  if (*first == 0) return false;
  auto s = Expect(lease_seq.has_value() ? ReleaseRow(tx, job_id, condition, now_ms)
                                        : ShrinkRange(tx, p, lease_seq),
                  1, absl::StrCat("part ", p.range.ToString(), " of epoch ", p.epoch));
  if (!s.ok()) return s;
  auto ordinal = NextCounter(tx, "ordinal");
  if (!ordinal.ok()) return ordinal.status();
  s = Expect(
      tx.Execute(
          "UPDATE jetmon_rollout_bucket_locks SET pool = ?, owner_host = NULL, owner_instance = "
          "NULL, epoch = 0, state = ?, muted = 0, touched = touched + 1, changed_ordinal = ?, "
          "changed_at_ms = ? WHERE bucket_no BETWEEN ? AND ? AND epoch = ?",
          {kPoolV1, kBucketFree, *ordinal, now_ms, p.range.min, p.range.max, p.epoch}),
      p.range.size(), absl::StrCat("freeing part ", p.range.ToString(), " of epoch ", p.epoch));
  if (!s.ok()) return s;
  return true;
}

}  // namespace

absl::StatusOr<std::optional<RangePart>> GetRangePart(sql::Transaction& tx,
                                                      std::string_view job_id) {
  return One(tx, "job_id = ?", {job_id});
}

absl::StatusOr<std::optional<RangePart>> FindRangePart(sql::Transaction& tx, uint64_t epoch,
                                                       Range range) {
  return One(tx, "epoch = ? AND bucket_min = ? AND bucket_max = ?", {epoch, range.min, range.max});
}

absl::StatusOr<bool> BeginPartRelease(sql::Transaction& tx, uint64_t epoch, Range part,
                                      std::string_view job_id, int64_t now_ms) {
  if (job_id.empty()) return absl::InvalidArgumentError("a part's release needs its job");
  auto matched = tx.ExecuteOne(
      "UPDATE jetmon_rollout_range_locks SET part_job_id = ?, revision = revision + 1 WHERE epoch "
      "= ? AND state = 'active' AND part_job_id = '' AND (muted_job_id = '' OR (muted_min = ? AND "
      "muted_max = ?)) AND ((bucket_min = ? AND bucket_max > ?) OR (bucket_max = ? AND bucket_min "
      "< ?))",
      {job_id, epoch, part.min, part.max, part.min, part.max, part.max, part.min});
  if (!matched.ok() || !*matched) return matched;
  auto s = SetBuckets(tx, epoch, part, range_state::kActive, range_state::kDraining);
  if (!s.ok()) return s;
  s = Expect(tx.Execute("INSERT INTO jetmon_rollout_range_parts (job_id, epoch, bucket_min, "
                        "bucket_max, state, draining_at_ms) VALUES (?, ?, ?, ?, ?, ?)",
                        {job_id, epoch, part.min, part.max, range_state::kDraining, now_ms}),
             1, "a part's row");
  if (!s.ok()) return s;
  return true;
}

absl::StatusOr<bool> RevokePart(sql::Transaction& tx, std::string_view job_id, int64_t now_ms) {
  auto part = GetRangePart(tx, job_id);
  if (!part.ok()) return part.status();
  if (!part->has_value()) return false;
  const RangePart& p = **part;  // what is used of it never changes
  auto matched = tx.ExecuteOne(
      "UPDATE jetmon_rollout_range_parts SET state = 'revoked', revoked_at_ms = ? WHERE job_id = ? "
      "AND state = 'draining' AND drained = 0",
      {now_ms, job_id});
  if (!matched.ok() || !*matched) return matched;
  auto s = Expect(
      tx.Execute(absl::StrCat("UPDATE jetmon_rollout_range_locks SET revision = revision + 1",
                              kWhereLeaving),
                 {p.epoch, job_id}),
      1, "a range that a part leaves");
  if (!s.ok()) return s;
  s = SetBuckets(tx, p.epoch, p.range, range_state::kDraining, range_state::kRevoked);
  if (!s.ok()) return s;
  return true;
}

absl::StatusOr<bool> FreePartDrained(sql::Transaction& tx, std::string_view job_id,
                                     int64_t now_ms) {
  return Free(tx, job_id, "state = 'draining' AND drained = 1", std::nullopt, now_ms);
}

absl::StatusOr<bool> FreePartRevoked(sql::Transaction& tx, std::string_view job_id,
                                     int64_t now_ms) {
  return Free(tx, job_id, "state = 'revoked'", std::nullopt, now_ms);
}

absl::StatusOr<bool> FreePartDead(sql::Transaction& tx, std::string_view job_id,
                                  uint64_t lease_seq_seen, int64_t now_ms) {
  return Free(tx, job_id, "state IN ('draining', 'revoked')", lease_seq_seen, now_ms);
}

absl::StatusOr<bool> ReportPartDrained(sql::Transaction& tx, std::string_view job_id,
                                       std::string_view instance, uint64_t notifications_left,
                                       int64_t now_ms) {
  auto part = GetRangePart(tx, job_id);
  if (!part.ok()) return part.status();
  if (!part->has_value()) return false;
  auto matched = tx.ExecuteOne(
      "UPDATE jetmon_rollout_range_parts SET drained = 1, notifications_left = ?, drained_at_ms = "
      "? "
      "WHERE job_id = ? AND state = 'draining' AND drained = 0",
      {notifications_left, now_ms, job_id});
  if (!matched.ok() || !*matched) return matched;
  auto renewed = tx.ExecuteOne(absl::StrCat("UPDATE jetmon_rollout_range_locks SET lease_seq = "
                                            "lease_seq + 1, revision = revision + 1",
                                            kWhereLeaving, " AND owner_instance = ?"),
                               {(*part)->epoch, job_id, instance});
  if (!renewed.ok() || *renewed) return renewed;
  // Another instance's: the part's row is again what it was.
  auto s = Expect(tx.Execute("UPDATE jetmon_rollout_range_parts SET drained = 0, "
                             "notifications_left = 0, drained_at_ms = 0 WHERE job_id = ?",
                             {job_id}),
                  1, "a part");
  if (!s.ok()) return s;
  return false;
}

}  // namespace jetmon::store
