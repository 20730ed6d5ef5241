"""Check policies: who wrote them, and whether the sites are asked as they say."""
from __future__ import annotations

import dataclasses

from judging.excuses import Excuses
from judging.story import FOREVER, Row, Story, covers, overlap_ms
from judging.tenure import Holders

OPERATION = "stage_policy"
DEFAULT = ("HEAD", "legacy")
# Stages give revisions from here on; what is below was counted by hand.
FIRST_REVISION = 1_000_000_000


def name_of(stage: Row) -> str:
    return f"stage {stage['number']} of {stage['run_id']}"


def judge_stages(story: Story) -> list[str]:
    """A stage, and what takes it back, is what a job does that was started by a token (judge_jobs)."""
    jobs = {job["job_id"]: job for job in story.jobs if job["operation"] == OPERATION}
    rows: dict[str, list[Row]] = {}
    for row in story.stage_rows:
        rows.setdefault(row["stage_id"], []).append(row)
    result = []
    for stage in story.stages:
        name = name_of(stage)
        job = jobs.get(stage["job_id"])
        if job is None or any(job[k] != stage[k] for k in ("run_id", "bucket_min", "bucket_max")):
            result.append(f"{name} was applied by no job of its own")
        mine = rows.pop(stage["stage_id"], [])
        states = [row["state"] for row in mine]
        for count, found in (("changed", len(mine)), ("restored", states.count("restored")),
                             ("conflicts", states.count("conflict"))):
            if stage[count] != found:
                result.append(f"{name} says {count}: {stage[count]}, and has {found} such rows")
        result += [f"{name} wrote site {row['site_id']} of bucket {row['bucket_no']}, outside of "
                   "its range" for row in mine if not covers(stage, row["bucket_no"])]
        taken_back = stage["state"] == "rolled_back"
        if (taken_back or states.count("changed") < len(mine)) and \
                stage["rollback_job_id"] not in jobs:
            result.append(f"{name} was rolled back by no job")
        if taken_back and "changed" in states:
            result.append(f"{name} is rolled back, and {states.count('changed')} sites are not")
    result += [f"{len(some)} policies were written by {stage_id!r}, which is no stage"
               for stage_id, some in rows.items()]
    return result


def judge_configs(story: Story) -> list[str]:
    """Every policy is what a stage wrote and did not take back, or an edit that is on the record."""
    stages = {stage["stage_id"]: stage for stage in story.stages}
    written = {(row["site_id"], row["revision"]): row for row in story.stage_rows}
    result = []
    for config in story.configs:
        site, revision = config["site_id"], config["revision"]
        row = written.get((site, revision))
        name = f"the policy of site {site} (revision {revision})"
        if row is None:
            if site not in story.edits and revision >= FIRST_REVISION:
                result.append(f"{name} was written by no stage")
            continue
        stage = stages.get(row["stage_id"])
        if stage is None or row["state"] == "restored":
            result.append(f"{name} stands, though its stage was taken back")
        elif (config["method"], config["profile"]) != (stage["method"], stage["profile"]) \
                and site not in story.edits:
            result.append(f"{name} is not what {name_of(stage)} wrote")
    for site, revision in {(c["site_id"], c["revision"]) for c in story.configs}:
        written.pop((site, revision), None)
    # What stands in no row any more was written over by a later stage, or edited.
    later = {(row["site_id"], row["previous_revision"]) for row in story.stage_rows
             if row["state"] == "changed"}
    result += [f"what {row['stage_id']} wrote for site {row['site_id']} is gone"
               for (site, revision), row in written.items()
               if row["state"] == "changed" and (site, revision) not in later
               and site not in story.edits]
    return result


@dataclasses.dataclass(frozen=True)
class Change:
    """A site's method changes while a job runs, and a Monitor sees it some time after its end."""
    from_ms: float
    until_ms: float
    method: str
    why: str
    order: int  # among those of one job


def changes_of(story: Story) -> dict[int, list[Change]]:
    """By site, in the order of time."""
    jobs = {job["job_id"]: job for job in story.jobs}
    stages = {stage["stage_id"]: stage for stage in story.stages}
    result: dict[int, list[Change]] = {}

    def add(site: int, job_id: str, method: str, why: str, order: int) -> None:
        job = jobs.get(job_id)
        if job is None:
            return  # judge_stages says so
        end = job["finished_at_ms"] or FOREVER
        result.setdefault(site, []).append(
            Change(job["created_at_ms"], end, method, why, order))

    for row in story.stage_rows:
        stage = stages.get(row["stage_id"])
        if stage is None:
            continue
        number = stage["number"]
        add(row["site_id"], stage["job_id"], stage["method"], name_of(stage), number)
        if row["state"] == "restored":
            add(row["site_id"], stage["rollback_job_id"], row["previous_method"] or DEFAULT[0],
                f"the rollback of {name_of(stage)}", -number)
    for changes in result.values():
        # A rollback of several stages ends with what the oldest one found.
        changes.sort(key=lambda change: (change.from_ms, change.order))
    return result


def judge_methods(story: Story) -> list[str]:
    """Before a change a site's owner asks by the old method; after it, and the time that a Monitor
    has to see it, by the new one. What somebody edited by hand is left out from then on."""
    changes = changes_of(story)
    first: dict[int, str] = {}
    for row in story.stage_rows:
        if row["previous_revision"] < FIRST_REVISION:
            first[row["site_id"]] = row["previous_method"] or DEFAULT[0]
    wrong: dict[str, int] = {}
    excuses = Excuses(Holders(story))
    away = {s.host: story.stalls + excuses.of_host(s.host) for s in story.senders.values()}
    for request in story.requests:
        sender = story.senders.get(request.source)
        at = request.at_ms
        if sender is None or sender.role != "monitor" or request.hop != 0 \
                or request.site_id not in changes or not request.method \
                or any(edit <= at for edit in story.edits.get(request.site_id, [])):
            continue
        expected, why, settled = first.get(request.site_id, DEFAULT[0]), "any stage", True
        for change in changes[request.site_id]:
            if at < change.from_ms:
                break
            seen_by = change.until_ms + story.policy_seen_ms
            late = overlap_ms(away[sender.host], change.until_ms, at) \
                if at > change.until_ms else 0
            settled = at > seen_by + late
            expected, why = change.method, change.why
        if settled and request.method != expected:
            text = f"{sender.name} asked for site {request.site_id} by {request.method} after {why}"
            wrong[text] = wrong.get(text, 0) + 1
    return [f"{text} ({n} times)" for text, n in wrong.items()]


def judge_policies(story: Story) -> list[str]:
    return judge_stages(story) + judge_configs(story) + judge_methods(story)
