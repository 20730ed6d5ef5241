"""The page's own words: what each exchange of the story shows. The order is the story's."""
from __future__ import annotations

import dataclasses


@dataclasses.dataclass(frozen=True)
class Entry:
    key: str
    rpc: str  # of RolloutService
    title: str
    text: str
    # Below `jetmon2 api rollout`; what else the request holds is added as flags. {run_id} and
    # {job_id} are taken from the path.
    command: str
    no_flag: tuple[str, ...] = ()  # fields that the command can't send
    # A list of the answer of which only items of these kinds are shown.
    kept: tuple[str, tuple[str, ...]] | None = None


@dataclasses.dataclass(frozen=True)
class Section:
    title: str
    entries: tuple[Entry, ...]


SECTIONS = (
    Section("Before anything", (
        Entry("capabilities", "GetCapabilities", "What this control plane can do",
              "`features` lists the calls that work; a script looks here first.", "capabilities"),
    )),
    Section("A run", (
        Entry("create_session", "CreateSession", "Open a session",
              "One attempt on one range. `owner_host` may be left out until the activation; "
              "`metadata` is yours. Opening a session locks nothing.",
              "sessions create", no_flag=("metadata",)),
        Entry("get_session", "GetSession", "Look at a session",
              "`sequence` grows with whatever happens in the run, and a plan is bound to it.",
              "sessions get {run_id}"),
        Entry("list_sessions", "ListSessions", "List sessions",
              "Newest first. Every list takes `page_size` (50, at most 200) and `page_token`; "
              "`next_page_token` is empty at the end.", "sessions list"),
    )),
    Section("Could it be handed over?", (
        Entry("preflight_blocked", "Preflight", "A preflight that is blocked",
              "Nobody reports as `monitor-x`. Each blocker has a stable `code`, a sentence with "
              "figures, and what to do; `preflight.items` has all that was looked at.",
              "preflight"),
        Entry("preflight", "Preflight", "A preflight that passes, with a canary",
              "The owner is the session's if none is named. A canary is a check of a known URL whose "
              "outcome is known; for the command the list stands in a file. A preflight that passed "
              "counts as evidence for 24 hours.", "preflight"),
        Entry("run_range_mismatch", "Preflight", "Error: run_range_mismatch",
              "An operation stays within its run's range.", "preflight"),
        Entry("smoke", "Smoke", "Smoke: probe a sample",
              "Sites that v1 also has as down do not block. `read_only` must be true: a smoke writes "
              "nothing about a site.", "smoke"),
        Entry("smoke_canary", "Smoke", "A smoke whose canary fails",
              "It was expected to answer 503. Each mismatch is a blocker.", "smoke"),
        Entry("invalid_size", "Smoke", "Error: invalid_size",
              "Sizes are strings that hold a count.", "smoke"),
        Entry("invalid_canary", "Preflight", "Error: invalid_canary",
              "Canaries are URLs whose answer you know, for preflight and smoke; the text names "
              "which of them and its field. The command takes them from a file, and would say the "
              "same before it sends anything.", "preflight"),
        Entry("compare", "CompareMethods", "Compare two modes on a sample",
              "Information, so it never blocks and needs no token. The second check of a site begins "
              "when the first has ended, and the modes go first by turns.", "compare-methods"),
        Entry("comparison_results", "ListComparisonResults", "Rows of a comparison",
              "By site. `comparison_class` takes `same`, `get_better`, `get_worse` or "
              "`different_failure`. The command writes all rows to a file with `--csv FILE`.",
              "jobs comparison-results {job_id}"),
    )),
    Section("Seed: plan and execute", (
        Entry("seed_plan", "Seed", "Plan a seed",
              "A plan changes nothing. Its answer says what would happen and holds the "
              "`confirmation_token`.", "seed"),
        Entry("missing_confirmation", "Seed", "Error: missing_confirmation",
              "Nothing is executed without the token of a plan.", "seed"),
        Entry("seed", "Seed", "Execute the seed",
              "The same request with `execute` and the token in `confirm`. `wait` says how long the "
              "answer may wait for the job. Incidents that v1 has open are adopted; nobody is "
              "notified.", "seed"),
        Entry("invalid_confirmation", "Seed", "Error: invalid_confirmation",
              "A token is good for one execution. That of a used one names the job that it started: "
              "if an answer was lost, that job is yours.", "seed"),
        Entry("get_job", "GetJob", "Look at a job",
              "The operation's own answer, as of now, under its `status_url`.", "jobs get {job_id}"),
        Entry("list_jobs", "ListJobs", "List a run's jobs", "Newest first.", "jobs list"),
    )),
    Section("v1 stops", (
        Entry("activate_blocked", "ActivateBuckets", "An activation that lacks evidence",
              "Each thing that is missing is a blocker of its own. A blocked plan has no token.",
              "activate-buckets"),
        Entry("activate_override", "ActivateBuckets", "The same with an override",
              "`evidence_missing` for all of them, or one as `evidence_missing.v1_stopped`. The "
              "reason is audited and shown in status; overlaps, a dead owner and the like can't be "
              "overridden. This plan is not executed here.", "activate-buckets"),
        Entry("checkpoint", "RecordCheckpoint", "Record that v1 has stopped",
              "After it has: whoever has v1's switch records it. Any other word of yours is kept as a "
              "note.", "checkpoint --run-id {run_id}"),
        Entry("reconcile_plan", "FinalReconcile", "Plan the final reconcile",
              "The seed once more, over what v1 changed since.", "final-reconcile"),
        Entry("reconcile", "FinalReconcile", "Execute the final reconcile",
              "It counts only if it began after `v1_stopped`.", "final-reconcile"),
    )),
    Section("The range changes hands", (
        Entry("activate_plan", "ActivateBuckets", "Plan the activation", "Now nothing is missing.",
              "activate-buckets"),
        Entry("plan_changed", "ActivateBuckets", "Error: plan_changed",
              "Somebody recorded a checkpoint between plan and execution, so what was confirmed is "
              "not what would be done. Plan again and look at it; the token stays unused.",
              "activate-buckets"),
        Entry("activate", "ActivateBuckets", "Execute the activation",
              "The job completes when the owner's Monitor has acknowledged the range. `epoch` is the "
              "grant's number and only grows.", "activate-buckets"),
        Entry("status", "GetStatus", "Who has what",
              "Ranges that are held, open sessions, and Monitors as they last reported.", "status"),
        Entry("coverage", "GetBucketCoverage", "Gate: coverage",
              "Is every bucket active under the owner? `gaps` says who has the others.",
              "bucket-coverage"),
        Entry("activity", "CheckActivity", "Gate: activity",
              "Blocked with `not_yet_due` until every site could have been checked once. `since` is "
              "cut at the acknowledgement.", "activity-check"),
        Entry("drift", "GetProjectionDrift", "Gate: drift",
              "Does the legacy table say what the open incidents say?", "projection-drift"),
    )),
    Section("Another check policy, in stages", (
        Entry("size_required", "StagePolicy", "Error: size_required",
              "How many sites a stage is of must be said.", "stage-policy"),
        Entry("stage_plan", "StagePolicy", "Plan a stage",
              "`size` is of all stages together, a count or a percentage of the range's active sites: "
              "a later stage of 50% would take these 25% in.", "stage-policy"),
        Entry("stage", "StagePolicy", "Execute the stage",
              "The Monitor asks these sites by the new method from its next reading on, within 60 s.",
              "stage-policy"),
        Entry("stage_back", "StagePolicy", "Take the last stage back",
              "Planned like any other, not shown. A site that somebody else has changed since keeps "
              "that, and is counted under `conflicts`.", "stage-policy"),
    )),
    Section("Back to v1", (
        Entry("release_part_plan", "ReleaseBuckets", "Plan the release of a part",
              "From either end of a held range; the owner keeps the rest, and goes on with it "
              "meanwhile.", "release-buckets"),
        Entry("release_part", "ReleaseBuckets", "Execute the release of the part",
              "The Monitor ends what it has in flight first. Start v1 when `v1_may_start` is true, "
              "not before.", "release-buckets"),
        Entry("checkpoint_part", "RecordCheckpoint", "Record that v1 starts with the part",
              "Refused while the buckets are not v1's.", "checkpoint --run-id {run_id}"),
        Entry("release_plan", "ReleaseBuckets", "Plan the release of the rest",
              "Legal whatever the session's state.", "release-buckets"),
        Entry("release", "ReleaseBuckets", "Execute the release of the rest",
              "The run has no range any more.", "release-buckets"),
        Entry("notifications", "ListNotifications", "Which notifications are under way",
              "Dialect `v1`, here none. A release whose notifications are not confirmed by their "
              "receiver within 60 s shows the blocker `notifications_undecided`, and waits until "
              "they are, or until somebody says what came of them.", "notifications list"),
        Entry("not_undecided", "DecideNotifications", "Error: not_undecided",
              "What came of them is said as `told` (people heard of it) or `untold` (nobody did: "
              "`site_status` is put back, and v1 tells it), of those named or of `all`. Here no "
              "release waits.", "notifications decide"),
        Entry("timeline", "GetTimeline", "What happened in the run",
              "Oldest first, in pages. Of its entries only those of kind `session`, `checkpoint` and "
              "`range` are shown here; jobs and audited calls are there too.",
              "sessions timeline {run_id}", kept=("entries", ("session", "checkpoint", "range"))),
        Entry("close_session", "CloseSession", "Close the session",
              "Refused while its range is held or its jobs run.", "sessions close {run_id}"),
    )),
    Section("A job that takes longer", (
        Entry("smoke_running", "Smoke", "Asked again, with an idempotency key",
              "The first request with this key started the job and did not wait for it. The second one "
              "starts nothing: it answers with the same job as it is now, and the header "
              "`idempotency-replayed: true`.", "smoke"),
        Entry("watch_job", "WatchJob", "Follow it",
              "One JSON object a line, at once and at every change, then the end; "
              "`text/event-stream` if you ask for that. Between the first line and the last two there "
              "may be more. Here it is cancelled meanwhile.", "jobs watch {job_id}"),
        Entry("cancel_job", "CancelJob", "Cancel it",
              "The worker ends it at its next look; activations and releases can't be cancelled.",
              "jobs cancel {job_id}"),
        Entry("not_cancellable", "CancelJob", "Error: not_cancellable",
              "It has ended already.", "jobs cancel {job_id}"),
    )),
)
ENTRIES = {entry.key: entry for section in SECTIONS for entry in section.entries}
