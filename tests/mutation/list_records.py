"""Mutations of the store's other aggregates: tokens, runs, jobs, keys, events, adoption, outbox,
policies, vantages."""
from weave import Mutation, insert, sql, swap  # noqa: F401

ANY = "? IS NOT NULL"
SESSIONS = "store/sessions.cc"
JOBS = "store/jobs.cc"
KEYS = "store/keys.cc"
ADOPTION = "store/adoption.cc"
EVENTS = "store/events.cc"
COLUMNS = "store/legacy_columns.cc"
PROJECTION = "store/projection.cc"
OUTBOX = "store/notifications.cc"
POLICY = "store/policy_stages.cc"
ADOPTION_TESTS = ["//store:adoption_test", "//store:events_test", "//store:telling_test",
                  "//store:slices_test"]
EVENT_TESTS = ["//store:events_test", "//store:telling_test", "//store:adoption_test"]
POLICY_TESTS = ["//store:policy_stages_test"]

OWNED = "WHERE job_id = ? AND lease_owner = ? AND attempt = ? AND state = 'running'"
TELLS_NO_END = "word != transition::kRecovered || !told || actor.muted"
SETTLED = "WHERE key_id = ? AND idempotency_key = ? AND attempt = ? AND state = 'running'"

MUTATIONS = [
    # Confirmation tokens.
    Mutation("token-is-never-used-up", "a confirmation token executes twice",
             [sql("store/tokens.cc", "SET consumed_at_ms = ?, job_id = ?", "consumed_at_ms = ?",
                  "consumed_at_ms = 0 * ?")], ["//store:tokens_test"]),
    Mutation("token-is-consumed-twice", "of two executions at once both use the token",
             [sql("store/tokens.cc", "AND consumed_at_ms = 0 AND expires_at_ms > ?",
                  "AND consumed_at_ms = 0 ", "")], ["//store:tokens_test"]),
    Mutation("token-is-consumed-late", "a token is used after it expired",
             [sql("store/tokens.cc", "AND consumed_at_ms = 0 AND expires_at_ms > ?",
                  "expires_at_ms > ?", ANY)], ["//store:tokens_test"]),
    # Runs.
    Mutation("run-bumped-on-any-sequence", "of two changes of a run at once both go through",
             [sql(SESSIONS, "WHERE run_id = ? AND sequence = ? AND state = 'open'", "sequence = ?", ANY)],
             ["//store:sessions_test", "//store:records_race_test RecordsRaceTest.ARuns*"]),
    Mutation("run-bumped-though-closed", "a closed run is changed",
             [sql(SESSIONS, "WHERE run_id = ? AND sequence = ? AND state = 'open'",
                  " AND state = 'open'", "")], ["//store:sessions_test"]),
    Mutation("run-sequence-stays", "what happens in a run leaves its plans valid",
             [sql(SESSIONS, "SET sequence = sequence + 1, updated_at_ms = ?, owner_host =",
                  "sequence + 1", "sequence")], ["//store:sessions_test"]),
    Mutation("run-closed-twice", "a run is closed twice",
             [sql(SESSIONS, "closed_at_ms = ?, updated_at_ms = ? WHERE run_id = ? AND state = 'open'",
                  " AND state = 'open'", "")], ["//store:sessions_test"]),
    Mutation("checkpoint-of-any-range", "evidence of some buckets counts for all",
             [sql(SESSIONS, "kind = ? AND bucket_min <= ? AND bucket_max >= ? AND (? = '' OR",
                  "bucket_min <= ? AND bucket_max >= ?", "? >= 0 AND ? >= 0")],
             ["//store:sessions_test", "//controlplane/rollout:evidence_test"]),
    # Jobs.
    Mutation("job-written-by-any-worker", "a worker writes a job that is another one's",
             [sql(JOBS, OWNED, "lease_owner = ?", ANY)], ["//store:jobs_test"]),
    Mutation("job-written-by-any-attempt", "a worker that lost a job and got it back goes on twice",
             [sql(JOBS, OWNED, "attempt = ?", ANY)], ["//store:jobs_test"]),
    Mutation("job-written-when-ended", "a job that has ended ends again",
             [sql(JOBS, OWNED, " AND state = 'running'", "")], ["//store:jobs_test"]),
    Mutation("job-claimed-twice", "two workers claim a job",
             [sql(JOBS, "WHERE job_id = ? AND state = 'queued'", " AND state = 'queued'", "")],
             ["//store:jobs_test"]),
    Mutation("job-taken-over-from-the-living", "a job is taken from a worker that showed its life",
             [sql(JOBS, "AND state = 'running' AND seq = ?", "seq = ?", ANY)], ["//store:jobs_test"]),
    Mutation("job-removed-while-it-runs", "a job under way is removed",
             [sql(JOBS, "WHERE job_id = ? AND state NOT IN ('queued', 'running')",
                  " AND state NOT IN ('queued', 'running')", "")], ["//store:jobs_test"]),
    Mutation("job-cancelled-when-ended", "a job that has ended is cancelled",
             [sql(JOBS, "'cancelled' ELSE state END WHERE job_id = ? AND state IN ('queued', 'running')",
                  " AND state IN ('queued', 'running')", "")], ["//store:jobs_test"]),
    Mutation("job-begins-anew", "a reconcile that goes on after v1 stopped counts as begun after it",
             [sql(JOBS, "started_ordinal = CASE WHEN started_ordinal = 0 THEN ? ELSE started_ordinal END",
                  "started_ordinal = 0 THEN", "1 = 1 THEN")], ["//store:jobs_test"]),
    # Idempotency records.
    Mutation("request-completed-by-any-attempt", "a request that was taken over completes it too",
             [sql(KEYS, "resource_id = ? " + SETTLED, "attempt = ?", ANY)], ["//store:keys_test"]),
    Mutation("request-taken-over-twice", "of two retries at once both run",
             [sql(KEYS, "lease_at_ms = ? " + SETTLED, "attempt = ?", ANY)], ["//store:keys_test"]),
    Mutation("request-abandoned-by-any-attempt", "a request removes the record of who took it over",
             [sql(KEYS, "DELETE FROM jetmon_idempotency " + SETTLED, "attempt = ?", ANY)],
             ["//store:keys_test"]),
    Mutation("request-forgotten-when-completed", "a completed request runs again",
             [sql(KEYS, "DELETE FROM jetmon_idempotency " + SETTLED, " AND state = 'running'", "")],
             ["//store:keys_test", "//controlplane/access:idempotency_test"]),
    # Events.
    Mutation("event-not-as-it-was-seen", "an incident is changed that is not as it was seen",
             [swap(EVENTS, "(*current)->last_seq != seen.last_seq || (*current)->severity != "
                           "seen.severity", "false"),
              sql("store/event_rows.cc", "WHERE event_id = ? AND last_seq = ? AND severity = ? AND "
                  "ended_at_ms IS NULL", "last_seq = ? AND severity = ?",
                  "? IS NOT NULL AND ? IS NOT NULL")], EVENT_TESTS),
    Mutation("event-opened-twice", "a site has two incidents",
             [swap(EVENTS, "open->has_value()", "false",
                   within="if (open->has_value()) return ChangeOutcome::kStale;"),
              sql("store/migrations/0001_initial.h",
                  "CREATE UNIQUE INDEX IF NOT EXISTS jetmon_events_open", "UNIQUE ", "")], EVENT_TESTS),
    Mutation("event-not-unique-by-schema", "a second writer opens a second incident of a site",
             [sql("store/migrations/0001_initial.h",
                  "CREATE UNIQUE INDEX IF NOT EXISTS jetmon_events_open ON", "UNIQUE ", "")], EVENT_TESTS),
    Mutation("event-forgets-that-it-told", "the end of an outage that was told is not",
             [swap(EVENTS, "tells", "false", within="if (tells) change.after.notified = 1;")], EVENT_TESTS),
    Mutation("up-without-down", "the end of an outage is told of which nobody heard",
             [swap(EVENTS, "!told", "false", within=TELLS_NO_END)], EVENT_TESTS),
    Mutation("up-whatever-ended-it", "a site that was removed is told to be up",
             [swap(EVENTS, "word != transition::kRecovered", "false", within=TELLS_NO_END)], EVENT_TESTS),
    Mutation("down-is-not-queued", "a confirmed outage reaches no outbox",
             [swap(EVENTS, "*outcome != ChangeOutcome::kChanged", "true",
                   within="*outcome != ChangeOutcome::kChanged || !tells")], EVENT_TESTS),
    Mutation("projection-into-any-bucket", "a site that moved gets the word of its former owner",
             [sql(COLUMNS, "WHERE jetpack_monitor_site_id = ? AND bucket_no = ? AND monitor_active = 1",
                  "bucket_no = ?", ANY)], EVENT_TESTS),
    Mutation("projection-of-a-site-switched-off", "a site that was switched off gets a word of ours",
             [sql(COLUMNS, "WHERE jetpack_monitor_site_id = ? AND bucket_no = ? AND monitor_active = 1",
                  " AND monitor_active = 1", "")], EVENT_TESTS),
    Mutation("projection-over-v1s-newer-word", "what v1 wrote after our incident ended is overwritten",
             [swap(PROJECTION, "ParseLegacyTime(site.last_status_change) > *e.ended_at_ms", "false")],
             EVENT_TESTS),
    Mutation("projection-whoever-ended-it", "an incident that v1 ended is written as ours",
             [swap(PROJECTION, "!ours", "false", within="!e.ended_at_ms.has_value() || !ours")], EVENT_TESTS),
    # Adoption.
    Mutation("adopted-down-is-untold", "an outage that v1 told is told again, or its end is not",
             [swap(ADOPTION, "e.notified = kAdoptedDown", "e.notified = 0")], ADOPTION_TESTS),
    Mutation("promoted-is-untold", "an incident that v1 confirmed meanwhile is confirmed again",
             [swap(ADOPTION, "after.notified = kAdoptedDown", "after.notified = 0")], ADOPTION_TESTS),
    Mutation("v1s-up-is-not-heard", "an incident stays open that v1 has ended",
             [swap(ADOPTION, "v1 == Severity::kUp", "false")], ADOPTION_TESTS),
    Mutation("v1s-down-is-not-heard", "an incident that v1 confirmed only seems down",
             [swap(ADOPTION, "v1 > open.severity", "false")], ADOPTION_TESTS),
    Mutation("v1s-next-incident-is-not-heard", "v1's next incident is taken for the one before",
             [swap(ADOPTION, "V1BeganNewer(open, site)", "false")], ADOPTION_TESTS),
    Mutation("event-elsewhere-goes-on", "an incident stays in the bucket that its site has left",
             [swap(ADOPTION, "open.bucket != site.bucket", "false",
                   within="open.bucket != site.bucket || V1BeganNewer")], ADOPTION_TESTS),
    Mutation("v1s-word-is-not-kept", "what v1 wrote last is not remembered, and is news the next time",
             [swap(ADOPTION, "V1HasSpoken(open, site)", "false")], ADOPTION_TESTS),
    Mutation("our-own-word-is-v1s", "what we projected is taken for an incident of v1's",
             [swap(ADOPTION, "!V1HasSpoken(e, site)", "false")], ADOPTION_TESTS),
    Mutation("clocks-are-compared-to-the-millisecond", "v1's whole seconds make an older incident newer",
             [swap(ADOPTION, "changed / 1000 > e.started_at_ms / 1000", "changed >= e.started_at_ms - 999")],
             ADOPTION_TESTS),
    Mutation("a-time-to-come-is-believed", "an incident begins in the future",
             [swap(ADOPTION, "std::min(changed, actor.now_ms)", "changed")], ADOPTION_TESTS),
    Mutation("gone-sites-keep-their-events", "a site that was switched off stays down for ever",
             [sql(ADOPTION, "s.bucket_no + 0 = jetmon_events.bucket_no AND s.monitor_active + 0 = 1",
                  " AND s.monitor_active + 0 = 1", "")], ADOPTION_TESTS),
    # The outbox.
    Mutation("outbox-marked-by-any-claim", "two that deliver one notification both count it as theirs",
             [sql(OUTBOX, "SET attempts = attempts + 1, next_attempt_at_ms = ? WHERE notification_id = ? "
                          "AND attempts = ?", "attempts = ?", ANY)], ["//store:notifications_test"]),
    Mutation("outbox-delivered-by-any-claim", "who lost its claim marks the notification as delivered",
             [sql(OUTBOX, "delivered_at_ms = ? WHERE notification_id = ? AND attempts = ?",
                  "attempts = ?", ANY)], ["//store:notifications_test"]),
    Mutation("outbox-forgets-the-order", "a later outage of a site is told before an earlier one",
             [swap(OUTBOX, "row.Uint(0) < n.event_id", "false")], ["//store:notifications_test"]),
    Mutation("outbox-tells-up-before-down", "the end of an outage is told before it",
             [swap(OUTBOX, "row.Text(1) < n.kind", "false")], ["//store:notifications_test"]),
    Mutation("outbox-does-not-wait", "a receiver that fails is asked without a pause",
             [sql(OUTBOX, "next_attempt_at_ms + 0 <= ?", "<= ?", "<= ? + 1000000000")],
             ["//store:notifications_test", "//monitor:notifier_test"]),
    Mutation("outbox-is-not-unique", "one event is told twice",
             [sql("store/migrations/0001_initial.h", "UNIQUE (event_id, kind)", "UNIQUE (event_id, kind)",
                  "CHECK (1 = 1)")], ["//store:notifications_test"]),
    # Policies of sites.
    Mutation("policy-written-unseen", "a stage overwrites what somebody has just changed",
             [swap(POLICY, 'absl::StrCat(" AND revision = ", OfStageRow("previous_revision"))',
                   'absl::StrCat(" AND 0 <= ", OfStageRow("previous_revision"))')], POLICY_TESTS),
    Mutation("rollback-of-another-editors-revision", "a rollback undoes what somebody changed since",
             [sql(POLICY, "CASE WHEN c.revision = r.revision AND", "c.revision = r.revision",
                  "c.revision > 0"),
              swap(POLICY, 'OfStageRow("revision")', 'std::string("revision")',
                   within='absl::StrCat(" AND revision = ", OfStageRow("revision")),\n'
                          '      {stage.stage_id, stage.stage_id, now_ms')], POLICY_TESTS),
    Mutation("rollback-restores-unseen", "a rollback overwrites what somebody has just changed",
             [swap(POLICY, 'OfStageRow("revision")', 'std::string("revision")',
                   within='absl::StrCat(" AND revision = ", OfStageRow("revision")),\n'
                          '      {stage.stage_id, stage.stage_id, now_ms')], POLICY_TESTS),
    # Vantages.
    Mutation("every-vantage-votes", "a Veriflier votes that nobody approved",
             [sql("store/vantages.cc", "WHERE trust = 'trusted' ORDER BY vantage_id",
                  "WHERE trust = 'trusted' ", "")], ["//store:vantages_test"]),
    Mutation("vantage-of-any-revision", "of two changes of a vantage at once one is lost",
             [sql("store/vantages.cc", "WHERE vantage_id = ? AND revision = ?", "revision = ?", ANY)],
             ["//store:vantages_test"]),
    Mutation("agent-ended-by-any-lease", "an old stream's end ends the agent's new one",
             [sql("store/vantages.cc", "WHERE agent_id = ? AND lease_id = ? AND state = 'live'",
                  "lease_id = ?", ANY)], ["//store:vantages_test"]),
]
