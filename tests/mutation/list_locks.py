"""Mutations of ranges, parts and the fence: store/locks.cc, store/parts.cc."""
from weave import Mutation, insert, sql, swap  # noqa: F401

LOCKS = "store/locks.cc"
PARTS = "store/parts.cc"
STATES = "//store:locks_states_test"
TESTS = ["//store:locks_test", STATES]
PART_TESTS = ["//store:parts_test"]

RENEW = ("lease_seq = lease_seq + 1 WHERE epoch = ? AND owner_instance = ? AND revision = ? AND state IN "
         "('activating', 'active', 'draining')")
ACKNOWLEDGE = ("acknowledged_at_ms = ? WHERE epoch = ? AND owner_instance = ? AND revision = ? AND "
               "state = 'activating'")
DRAINED = ("lease_seq = lease_seq + 1, revision = revision + 1 WHERE epoch = ? AND owner_instance = ? AND "
           "state = 'draining' AND drained = 0")
TAKE_OVER = ("WHERE epoch = ? AND owner_instance = ? AND lease_seq = ? AND state IN ('activating', "
             "'active', 'draining')")
FENCE = ("touched = touched + 1 WHERE bucket_no = ? AND epoch = ? AND owner_instance = ? AND state IN "
         "('active', 'draining')")
GRANT = "changed_at_ms = ? WHERE bucket_no BETWEEN ? AND ? AND pool = ? AND owner_host IS NULL"
BEGIN_PART = ("WHERE epoch = ? AND state = 'active' AND part_job_id = '' AND (muted_job_id = '' OR "
              "(muted_min = ? AND muted_max = ?)) AND ((bucket_min = ? AND bucket_max > ?) OR "
              "(bucket_max = ? AND bucket_min < ?))")
ANY = "? IS NOT NULL"

MUTATIONS = [
    # The lease.
    Mutation("renew-of-any-revision", "a Monitor renews by a revision that it has not read",
             [sql(LOCKS, RENEW, "revision = ?", ANY)], TESTS),
    Mutation("renew-of-any-instance", "another instance renews",
             [sql(LOCKS, RENEW, "owner_instance = ?", ANY)], TESTS),
    Mutation("renew-in-any-state", "a revoked range is renewed",
             [sql(LOCKS, RENEW, " AND state IN ('activating', 'active', 'draining')", "")], TESTS),
    Mutation("renew-leaves-the-sequence", "a renewal shows nobody that its owner lives",
             [sql(LOCKS, RENEW, "lease_seq = lease_seq + 1", "lease_seq = lease_seq")], TESTS),
    Mutation("acknowledge-of-any-revision", "a range is acknowledged as it was",
             [sql(LOCKS, ACKNOWLEDGE, "revision = ?", ANY)], TESTS),
    Mutation("acknowledge-of-any-instance", "another instance acknowledges",
             [sql(LOCKS, ACKNOWLEDGE, "owner_instance = ?", ANY)], TESTS),
    Mutation("acknowledge-what-drains", "a range that was given up becomes active",
             [sql(LOCKS, ACKNOWLEDGE, "state = 'activating'", "state IN ('activating', 'draining')")],
             TESTS),
    # The fence.
    Mutation("fence-of-any-epoch", "who held the bucket in an earlier epoch writes",
             [sql(LOCKS, FENCE, "epoch = ?", ANY)], TESTS),
    Mutation("fence-of-any-instance", "who was taken over from writes",
             [sql(LOCKS, FENCE, "owner_instance = ?", ANY)], TESTS),
    Mutation("fence-in-any-state", "who was revoked writes",
             [sql(LOCKS, FENCE, " AND state IN ('active', 'draining')", "")], TESTS),
    Mutation("fence-by-reading", "what was only read may change before the commit",
             [insert(LOCKS, "absl::StatusOr<bool> FenceBucket(sql::Transaction& tx, uint32_t bucket, "
                            "uint64_t epoch, std::string_view instance) {",
                     """  if (MUTANT) {
    return tx.QueryOne("SELECT bucket_no FROM jetmon_rollout_bucket_locks WHERE bucket_no = ? AND "
                       "epoch = ? AND owner_instance = ? AND state IN ('active', 'draining')",
                       {bucket, epoch, instance},
                       [](const sql::Row&) { return absl::OkStatus(); });
  }""")],
             ["//store:locks_race_test@mariadb LocksRaceTest.NothingFencedCommits*"]),
    # Granting.
    Mutation("grant-what-is-held", "a bucket is taken from its owner",
             [sql(LOCKS, GRANT, "pool = ? AND owner_host IS NULL", ANY)], TESTS),
    Mutation("grant-some-buckets", "a range is granted of which another one has a bucket",
             [swap(LOCKS, "*taken != g.range.size()", "false")], TESTS),
    Mutation("grant-to-any-generation", "two ranges are granted to one owner at once",
             [sql(LOCKS, "generation = generation + 1 WHERE host = ? AND generation = ?",
                  " AND generation = ?", " AND ? IS NOT NULL")], TESTS),
    Mutation("grant-a-second-range", "an owner gets a second range",
             [swap(LOCKS, "*held > 0", "false")], TESTS),
    Mutation("activate-in-any-state", "a range that drains is activated again",
             [sql(LOCKS, "activating_at_ms = ? WHERE epoch = ? AND state = 'preparing'",
                  " AND state = 'preparing'", "")], TESTS),
    Mutation("hold-what-changed-hands", "seed writes into a range that somebody got meanwhile",
             [swap(LOCKS, "static_cast<uint64_t>(*held) == range.size()", "true")],
             [STATES, "//store:locks_race_test LocksRaceTest.NothingThatHoldsBuckets*",
              "//controlplane/rollout:seed_test *IsRefusedWhereTheRangeIsNotV1s*"]),
    Mutation("hold-by-reading", "seed decides by bucket rows that change before its commit",
             [insert(LOCKS, "absl::StatusOr<bool> HoldBuckets(sql::Transaction& tx, Range range, "
                            "uint64_t epoch) {",
                     """  if (MUTANT && epoch == 0) {
    uint64_t rows = 0;
    auto s = tx.Query("SELECT bucket_no FROM jetmon_rollout_bucket_locks WHERE bucket_no BETWEEN ? "
                      "AND ? AND pool = ?",
                      {range.min, range.max, kPoolV1}, [&](const sql::Row&) {
                        ++rows;
                        return absl::OkStatus();
                      });
    if (!s.ok()) return s;
    return rows == range.size();
  }""")],
             ["//store:locks_race_test@mariadb LocksRaceTest.NothingThatHoldsBuckets*"]),
    Mutation("decisions-at-once", "two decide by what they read, and neither sees the other",
             [swap(LOCKS, 'BumpCounter(tx, "decision")', "absl::OkStatus()")],
             ["//store:locks_race_test@mariadb LocksRaceTest.OfDecisions*"]),
    Mutation("buckets-do-not-follow", "a bucket row that is lost is not noticed",
             [swap(LOCKS, "*matched != lock.range.size()", "false")], TESTS),
    Mutation("buckets-are-not-freed", "fewer bucket rows are freed than the range has",
             [swap(LOCKS, "*freed != (*lock)->range.size()", "false")], TESTS),
    Mutation("first-change-voids-evidence", "evidence counts though a bucket changed hands after it",
             [sql(LOCKS, "COALESCE(MAX(changed_ordinal), 0)", "MAX", "MIN")],
             [*TESTS, "//controlplane/rollout:evidence_test", *PART_TESTS]),
    # Giving back.
    Mutation("give-up-what-is-active", "an activation that was acknowledged is given up",
             [sql(LOCKS, "draining_at_ms = ? WHERE epoch = ? AND state IN ('preparing', 'activating')",
                  "'activating'", "'activating', 'active'")], TESTS),
    Mutation("give-up-keeps-evidence", "a range that was given up is activated again on old evidence",
             [sql(LOCKS, "SET changed_ordinal = ?, changed_at_ms = ? WHERE epoch = ?", "epoch = ?",
                  "epoch = ? AND 1 = 0")], TESTS),
    Mutation("release-over-a-part", "a range is released of which a part is on its way",
             [sql(LOCKS, "draining_at_ms = ? WHERE epoch = ? AND part_job_id = '' AND (muted_job_id",
                  " AND part_job_id = ''", "")], [*TESTS, *PART_TESTS]),
    Mutation("revoke-what-is-drained", "a drained range is revoked, and its owner's report is lost",
             [sql(LOCKS, "revoked_at_ms = ? WHERE epoch = ? AND state = 'draining' AND drained = 0",
                  " AND drained = 0", "")], TESTS),
    Mutation("free-before-the-drain", "a range is freed while its owner still checks",
             [sql(LOCKS, "released_at_ms = ? WHERE epoch = ? AND state = 'draining' AND drained = 1",
                  " AND drained = 1", "")], TESTS),
    Mutation("free-who-renewed", "a range is freed as a dead owner's that has just renewed",
             [sql(LOCKS, "WHERE epoch = ? AND lease_seq = ? AND state IN ('draining', 'revoked')",
                  "lease_seq = ?", ANY)], TESTS),
    Mutation("free-dead-in-any-state", "an active range is freed as a dead owner's",
             [sql(LOCKS, "WHERE epoch = ? AND lease_seq = ? AND state IN ('draining', 'revoked')",
                  " AND state IN ('draining', 'revoked')", "")], TESTS),
    Mutation("free-keeps-evidence", "evidence from before a hand-over counts for the next one",
             [sql(LOCKS, "epoch = 0, state = ?, muted = 0, touched = touched + 1, changed_ordinal = ?, "
                         "changed_at_ms = ? WHERE epoch = ?", "changed_ordinal = ?",
                  "changed_ordinal = changed_ordinal + 0 * ?")], TESTS),
    Mutation("drained-by-any-instance", "another instance says that the range is drained",
             [sql(LOCKS, DRAINED, "owner_instance = ?", ANY)], TESTS),
    Mutation("drained-in-any-state", "a range that nobody drains is reported as drained",
             [sql(LOCKS, DRAINED, "state = 'draining' AND ", "")], TESTS),
    # Taking over.
    Mutation("take-over-of-any-sequence", "a range is taken over from an owner that has just renewed",
             [sql(LOCKS, TAKE_OVER, "lease_seq = ?", ANY)], TESTS),
    Mutation("take-over-of-any-instance", "a range is taken over from another one than was seen dead",
             [sql(LOCKS, TAKE_OVER, "owner_instance = ?", ANY)], TESTS),
    Mutation("take-over-what-is-revoked", "a revoked range finds a new owner",
             [sql(LOCKS, TAKE_OVER, "'draining'", "'draining', 'revoked'")], TESTS),
    Mutation("take-over-leaves-the-fence", "the successor is fenced out, its predecessor is not",
             [sql(LOCKS, "SET owner_instance = ?, touched = touched + 1 WHERE epoch = ?",
                  "owner_instance = ?", "owner_instance = COALESCE(owner_instance, ?)")], TESTS),
    Mutation("take-over-drains-not", "a draining range that is taken over is never drained",
             [sql(LOCKS, "drained = CASE WHEN state = 'draining' THEN 1 ELSE drained END",
                  "THEN 1", "THEN 0")], TESTS),
    Mutation("take-over-drains-no-part", "a part whose owner died is never drained",
             [swap(LOCKS, "!(*lock)->part.has_value()", "true")], PART_TESTS),
    # Parts of ranges.
    Mutation("part-in-any-state", "a part of a range that is not active begins to leave",
             [sql(PARTS, BEGIN_PART, "state = 'active' AND ", "")], PART_TESTS),
    Mutation("part-beside-another", "a second part leaves while the first is on its way",
             [sql(PARTS, BEGIN_PART, "part_job_id = '' AND ", "")], PART_TESTS),
    Mutation("part-of-any-shape", "a part is taken out of the middle",
             [sql(PARTS, BEGIN_PART,
                  "((bucket_min = ? AND bucket_max > ?) OR (bucket_max = ? AND bucket_min < ?))",
                  "? + ? + ? + ? >= 0")], PART_TESTS),
    Mutation("part-freed-before-the-drain", "a part is freed while its owner still checks it",
             [swap(PARTS, "\"state = 'draining' AND drained = 1\"", "\"state = 'draining'\"")],
             PART_TESTS),
    Mutation("part-freed-though-not-revoked", "a part that drains is freed as if it were revoked",
             [swap(PARTS, "\"state = 'revoked'\"", "\"state IN ('draining', 'revoked')\"")], PART_TESTS),
    Mutation("part-freed-of-who-renewed", "a part is freed as a dead owner's that has just renewed",
             [swap(PARTS, "\" AND lease_seq = ?\"", "\" AND ? >= 0\"")], PART_TESTS),
    Mutation("part-drained-by-any-instance", "another instance says that the part is drained",
             [swap(PARTS, "\" AND owner_instance = ?\"", "\" AND ? IS NOT NULL\"")], PART_TESTS),
    Mutation("part-revoked-though-drained", "a part that is drained is revoked",
             [sql(PARTS, "revoked_at_ms = ? WHERE job_id = ? AND state = 'draining' AND drained = 0",
                  " AND drained = 0", "")], PART_TESTS),
    Mutation("part-loses-a-bucket", "a part whose bucket row is lost is not noticed",
             [swap(PARTS, "static_cast<uint64_t>(*matched) == expected", "true")], PART_TESTS),
]
