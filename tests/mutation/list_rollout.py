"""Mutations of the rollout's domain: plans, evidence, jobs, seed, release, gates, policies."""
from weave import Mutation, insert, sql, swap  # noqa: F401

ROOM = "controlplane/rollout/"
EVIDENCE = ROOM + "evidence.cc"
PLAN = ROOM + "plan.cc"
PLANNED = ROOM + "planned.cc"
OBSERVER = ROOM + "observer.cc"
RELEASE = ROOM + "release.cc"
ACTIVATE = ROOM + "activate.cc"
RUNNER = ROOM + "job_runner.cc"
SEED = ROOM + "seed.cc"
GATES = ROOM + "gates.cc"
RUNS = ROOM + "runs.cc"
PLAN_POLICY = ROOM + "plan_policy.cc"
T = "//controlplane/rollout:"
EVIDENCE_TESTS = [T + "evidence_test"]
PLANNED_TESTS = [T + "planned_test"]
RANGE_TESTS = [T + "range_jobs_test", T + "parts_test"]
GATE_TESTS = [T + "gates_test"]
SEED_TESTS = [T + "seed_test"]
EACH_RULE = "for (const Wanted& w : kWanted) {"


def without(what: str, why: str) -> Mutation:
    return Mutation(f"activation-without-{what.replace('_', '-')}", why,
                    [insert(EVIDENCE, EACH_RULE,
                            f'    if (MUTANT && std::string_view(w.what) == "{what}") continue;')],
                    EVIDENCE_TESTS)


MUTATIONS = [
    # Evidence.
    without("preflight", "a range is activated that preflight has not looked at"),
    without("smoke", "a range is activated whose sites nobody probed"),
    without("seed", "a range is activated that was never seeded"),
    without("v1_stopped", "a range is activated while v1 runs"),
    without("final_reconcile", "a range is activated without what v1 saw last"),
    Mutation("evidence-from-before-the-change", "evidence counts that is older than a change of owner",
             [swap(EVIDENCE, "(*found)->ordinal <= *changed", "false")], EVIDENCE_TESTS),
    Mutation("evidence-for-ever", "a preflight of last week counts",
             [swap(EVIDENCE, "now_ms - (*found)->created_at_ms > kDayMs", "false")], EVIDENCE_TESTS),
    Mutation("evidence-over-v1s-start", "v1 was started since it was recorded as stopped",
             [swap(EVIDENCE, "(*found)->ordinal <= v1_started", "false")], EVIDENCE_TESTS),
    Mutation("reconcile-before-the-stop", "a final reconcile counts that began while v1 ran",
             [swap(EVIDENCE, "(*found)->started_ordinal <= evidence.v1_stopped", "false")], EVIDENCE_TESTS),
    Mutation("evidence-of-any-owner", "another owner's preflight counts",
             [swap(EVIDENCE, 'w.of_owner ? owner_host : ""', "std::string()")], EVIDENCE_TESTS),
    # Plans and tokens.
    Mutation("token-of-any-key", "a token is used by another key",
             [swap(PLANNED, "t->key_id != caller.key_id", "false")], PLANNED_TESTS),
    Mutation("token-for-any-request", "a token of one request executes another",
             [swap(PLANNED, "t->request_hash != request_hash", "false"),
              swap(PLANNED, "t->operation != OperationName(call.op) || t->run_id != call.run_id", "false"),
              swap(PLANNED, "!(t->range == call.range)", "false")], PLANNED_TESTS),
    Mutation("token-with-other-overrides", "a token executes with an override that was not planned",
             [swap(PLANNED, "t->request_hash != request_hash", "false",
                   within="if (t->request_hash != request_hash) {")], PLANNED_TESTS),
    Mutation("token-answers-without-its-job", "who executes again does not learn what became of it",
             [swap(PLANNED, "t->consumed_at_ms != 0", "false")], PLANNED_TESTS),
    Mutation("plan-of-long-ago", "what was confirmed has changed and is executed",
             [swap(PLANNED, "plan.digest != token.plan_digest", "false")], PLANNED_TESTS),
    Mutation("figures-may-grow", "twice as many sites are activated as were shown",
             [swap(PLANNED, "grown.empty()", "true")], PLANNED_TESTS),
    Mutation("blocked-is-executed", "an operation is executed that its plan blocks",
             [swap(PLANNED, "plan->blocked()", "false",
                   within="if (plan->blocked()) return RollBack();")], PLANNED_TESTS),
    Mutation("plan-without-the-runs-sequence", "what happened in the run does not void its plans",
             [swap(PLAN, 'absl::StrCat("seq:", session.sequence)', 'std::string("seq")')], PLANNED_TESTS),
    Mutation("plan-without-evidence", "other evidence than was shown leaves the plan valid",
             [swap(PLAN, "evidence.ids.begin()", "evidence.ids.end()",
                   within="evidence.ids.begin(), evidence.ids.end()")], PLANNED_TESTS),
    Mutation("plan-without-the-instance", "another process of the owner gets what was planned",
             [swap(PLAN, 'absl::StrCat("instance:", plan->owner_instance)', 'std::string("instance")')],
             PLANNED_TESTS),
    Mutation("plan-without-the-locks", "a range is released that is in another state than was shown",
             [swap(PLAN, "AddLocks(tx, plan.range, &digest)", "absl::OkStatus()")],
             [T + "planned_test", T + "parts_test"]),
    Mutation("release-by-another-run", "a range is released by a run that did not get it",
             [swap(PLAN, "l.run_id != plan->session.run_id", "false")], PLANNED_TESTS),
    Mutation("second-range-is-planned", "a plan shows an owner's second range as possible",
             [swap(PLAN, "l.owner_host != plan->owner_host", "true",
                   within="l.owner_host != plan->owner_host || l.range.Overlaps")],
             [T + "planned_test", T + "parts_test"]),
    Mutation("answer-before-the-record", "an execution is not kept with its idempotency key",
             [swap(PLANNED, "caller.on_commit", "decltype(caller.on_commit)()", within="if (caller.on_commit) {")],
             [T + "service_test"]),
    # Runs.
    Mutation("run-closed-over-its-range", "a run is closed while its range is held",
             [swap(RUNS, "l.run_id != request.run_id()", "true")], [T + "service_test"]),
    Mutation("run-closed-over-its-jobs", "a run is closed while a job of it runs",
             [swap(RUNS, "*jobs > 0", "false")], [T + "service_test"]),
    Mutation("v1-started-where-v2-holds", "v1 is recorded as started in buckets that v2 checks",
             [swap(RUNS, "kind == store::checkpoint::kV1Started", "false")],
             [T + "service_test", T + "overrides_test"]),
    # Who is dead.
    Mutation("observer-counts-while-blind", "time in which nothing was read makes an owner dead",
             [swap(OBSERVER, "before - last_read_ > kBlind", "false")], [T + "observer_test"]),
    Mutation("observer-counts-to-now", "an owner is dead whose renewal was not read yet",
             [swap(OBSERVER, "last_read_ - at->second.since", "clock_.Boot() - at->second.since")],
             [T + "observer_test"]),
    Mutation("observer-counts-from-before", "the time that a read takes makes an owner dead early",
             [swap(OBSERVER, "after", "before", within="Merge(&leases_, leases, after)")],
             [T + "observer_test"]),
    Mutation("observer-misses-renewals", "an owner that renews is dead after a grace",
             [swap(OBSERVER, "known->second.seq == seen.seq", "true")], [T + "observer_test"]),
    Mutation("observer-halves-the-grace", "an owner is dead after half a grace",
             [swap(OBSERVER, "unchanged", "unchanged * 2",
                   within="Sight{at->second.seq, unchanged, at->second.changed}")], [T + "observer_test"]),
    # Activation and release.
    Mutation("activation-skips-adoption", "a Monitor gets a range without what v1 has open",
             [swap(ACTIVATE, "SeedPass(run, lock.epoch, /*save=*/false, &counts, &conflict)",
                   "absl::OkStatus()")], [T + "range_jobs_test"]),
    Mutation("activation-is-given-up-twice", "a range that was acknowledged gets a release job",
             [swap(ACTIVATE, "!given_up.ok() || !*given_up", "!given_up.ok()")],
             [T + "range_jobs_test"]),
    Mutation("activation-waits-for-ever", "a range that nobody acknowledges is stuck",
             [swap(ACTIVATE, "now - *waiting_since >= run.options.times.acknowledge_within", "false")],
             [T + "range_jobs_test *GivenUp*"]),
    Mutation("activation-is-given-up-at-once", "a Monitor has no time to acknowledge",
             [swap(ACTIVATE, "now - *waiting_since >= run.options.times.acknowledge_within", "true",
                   within="if (now - *waiting_since >= run.options.times.acknowledge_within) {")],
             [T + "range_jobs_test"]),
    Mutation("release-frees-the-living", "a range is freed whose owner neither drained nor is dead",
             [swap(RELEASE, "view.leaving.drained", "true", within="if (view.leaving.drained ||")], RANGE_TESTS),
    Mutation("release-by-an-old-sight", "an owner counts as dead that renewed after it was looked at",
             [swap(RELEASE, "sight->seq == view.lock.lease_seq", "true")], RANGE_TESTS),
    Mutation("release-revokes-at-once", "a Monitor has no time to drain",
             [swap(RELEASE, "now - *draining_since >= run.options.times.drain_within", "true")],
             RANGE_TESTS),
    Mutation("release-frees-what-was-just-revoked", "a revoked part is freed before its owner can know",
             [swap(RELEASE, "revoked_since = now",
                   "revoked_since = BootTime{now.ns - std::chrono::nanoseconds(2 * "
                   "run.options.times.grace).count()}")], [T + "parts_test"]),
    Mutation("release-projects-nothing", "v1 starts without what v2 saw",
             [swap(RELEASE, "first <= range.max", "false")], RANGE_TESTS),
    Mutation("release-misses-the-last-writes", "what a dead owner wrote last is not projected",
             [swap(RELEASE, "seen.leaving.drained", "true",
                   within="if (seen.leaving.drained) return absl::OkStatus();")], RANGE_TESTS),
    # Jobs.
    Mutation("job-goes-on-without-its-lease", "a worker that lost its job writes",
             [swap(RUNNER, "!*ours", "false", within="if (!*ours) return NotOurs(); return body(tx);")],
             [T + "range_jobs_test", T + "job_runner_test"]),
    Mutation("job-ends-without-its-lease", "a worker that lost its job records evidence",
             [swap(RUNNER, "!*ours", "false", within="if (!*ours) return NotOurs(); if (also) {")],
             [T + "range_jobs_test", T + "job_runner_test"]),
    Mutation("job-taken-from-the-living-worker", "a job runs twice at a time",
             [swap(RUNNER, "!queued && !observer_.Dead(sight)", "!queued && !sight.has_value()")],
             [T + "job_runner_test"]),
    Mutation("sweep-makes-a-job-each-time", "a range gets more and more jobs",
             [swap(RUNNER, "has_job", "false", within="if (has_job) continue;")], [T + "job_runner_test"]),
    Mutation("probing-outlives-its-lease", "a probing job sends though it may be another worker's",
             [swap(ROOM + "job_life.cc", "until_ns_ = (before + term_).ns",
                   "until_ns_ = (before + term_ * 100).ns")], [T + "job_life_test"]),
    # Seed.
    Mutation("seed-saves-its-cursor-early", "sites are skipped after a worker died",
             [swap(SEED, "batch->after.ToString()",
                   "SliceCursor{batch->after.by_site, batch->after.bucket + 1, batch->after.after + 1}"
                   ".ToString()")], SEED_TESTS),
    Mutation("seed-forgets-its-cursor", "a job that goes on begins again, and counts twice",
             [swap(SEED, "save_ && !run_.job.cursor.empty()", "false")], SEED_TESTS),
    Mutation("seed-over-an-owner", "a range is seeded that is not v1's",
             [swap(SEED, "!held.ok() || *held", "true")],
             [T + "seed_test *IsRefusedWhereTheRangeIsNotV1s*", T + "seed_test"]),
    Mutation("seed-goes-on-though-cancelled", "a cancelled seed runs to its end",
             [swap(SEED, "*cancelled", "false", within="if (*cancelled) {")], SEED_TESTS),
    Mutation("slice-skips-a-bucket", "a bucket is never looked at",
             [swap(ROOM + "slice_cursor.cc", "bucket + 1", "bucket + 2")], SEED_TESTS),
    Mutation("slice-skips-a-site", "a site between two slices is never looked at",
             [swap(ROOM + "slice_cursor.cc", "slice.upto", "slice.upto + 1",
                   within="SliceCursor{by_site, bucket, slice.upto}")], SEED_TESTS),
    # Gates.
    Mutation("gate-lets-late-sites-pass", "a range with late sites is ok",
             [swap(GATES, "result_->late() > 0", "false")], GATE_TESTS),
    Mutation("gate-does-not-wait", "a range is ok of which not every site was checked",
             [swap(GATES, "silent_ > 0 || result_->checked() < result_->sites()", "false")], GATE_TESTS),
    Mutation("gate-lets-the-dead-pass", "a range is ok whose owner is dead",
             [swap(GATES, "!observer.Dead(observer.Lease(epoch))", "true")], GATE_TESTS),
    Mutation("gate-counts-anybodys-buckets", "a bucket of another owner counts as covered",
             [swap(GATES, "b.owner_host == owner_host", "true",
                   within="b.state == rs::kActive && b.owner_host == owner_host")], GATE_TESTS),
    Mutation("gate-counts-what-drains", "a bucket on its way back counts as covered",
             [swap(GATES, "b.state == rs::kActive", "true",
                   within="b.state == rs::kActive && b.owner_host == owner_host")], GATE_TESTS),
    Mutation("gate-believes-an-earlier-epoch", "a summary of the owner before counts",
             [swap(GATES, "row->epoch != bucket.epoch", "false")], GATE_TESTS),
    Mutation("gate-believes-an-old-summary", "a summary that is not kept up counts",
             [swap(GATES, "owner.now_ms - row->updated_at_ms > kSummarySilentMs", "false")], GATE_TESTS),
    Mutation("gate-ignores-since", "sites count as checked that were not since then",
             [swap(GATES, "row->oldest_check_ms < From(owner)", "false")], GATE_TESTS),
    Mutation("gate-lets-drift-pass", "v1's columns that say something else are ok",
             [swap(GATES, "result->count() > 0", "false")], GATE_TESTS),
    # Policies.
    Mutation("policy-beside-another-job", "two jobs work at a run's stages at once",
             [swap(PLAN_POLICY, "!*busy", "true", within="if (!*busy) continue;")],
             [T + "policy_jobs_test"]),
    Mutation("rollback-of-other-buckets", "a stage is taken back whose buckets were not named",
             [swap(PLAN_POLICY, "plan->range.Covers(stage.range)", "true")], [T + "policy_test"]),
    Mutation("rollback-of-all-stages", "rollback-last-stage takes all stages back",
             [swap(PLAN_POLICY, "!all", "false", within="if (!all) plan->stages.resize(1);")],
             [T + "policy_test"]),
    Mutation("stage-goes-on-though-paused", "a stage that was paused runs to its end",
             [swap(ROOM + "policy.cc", "batch.cancelled", "false",
                   within="if (batch.cancelled) return absl::OkStatus();"),
              swap(ROOM + "policy.cc", "cancelled = batch.cancelled", "cancelled = false",
                   within="cancelled = batch.cancelled; if (cancelled)")], [T + "policy_jobs_test"]),
]
