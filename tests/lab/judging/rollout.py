"""Invariant 8: rollout state changes only by an execute with a token that was good for it."""
from __future__ import annotations

from judging import agreement, bounds
from judging.audit import judge_audit
from judging.incidents import during
from judging.policy import judge_policies
from judging.story import (ADOPTING_JOBS, FOREVER, Row, Story, Verdict, covers, lock_end_ms,
                           range_text)
from judging.tenure import Holders, judge_tenures

EXECUTED = ("seed", "final_reconcile", "activate_buckets", "release_buckets", "stage_policy")
# A plan's token and the job that it starts name the same range, run and key.
BOUND = ("operation", "run_id", "key_id", "bucket_min", "bucket_max")


def token_fault(token: Row, job: Row) -> str | None:
    """What is wrong with the token that a job was started with."""
    if not token["created_at_ms"] <= token["consumed_at_ms"] <= token["expires_at_ms"]:
        return "used outside of its time"
    for name in BOUND:
        if token[name] != job[name]:
            return f"of another {name}: {token[name]}"
    return None


def judge_jobs(story: Story) -> list[str]:
    by_job: dict[str, list[Row]] = {}
    for token in story.tokens:
        if token["consumed_at_ms"]:
            by_job.setdefault(token["job_id"], []).append(token)
    result = []
    for job in story.jobs:
        tokens = by_job.pop(job["job_id"], [])
        if job["operation"] not in EXECUTED:
            continue
        wanted = 0 if is_consequence(story, job) else 1
        if len(tokens) != wanted:
            result.append(f"{job['operation']} {job['job_id']} was started by {len(tokens)} tokens")
        for token in tokens:
            fault = token_fault(token, job)
            if fault is not None:
                result.append(f"{job['operation']} {job['job_id']} was started by a token {fault}")
    result += [f"a token was consumed by job {job_id!r}, which is not there" for job_id in by_job]
    return result


def is_consequence(story: Story, job: Row) -> bool:
    """A release of what an activation gave up is what that activation started."""
    return any(lock["release_job_id"] == job["job_id"] and lock["gave_up"] for lock in story.locks)


def judge_locks(story: Story) -> list[str]:
    jobs = {job["job_id"]: job for job in story.jobs}
    result = []
    last = None
    for lock in sorted(story.locks, key=lambda row: row["epoch"]):
        name = f"range {range_text(lock)} (epoch {lock['epoch']})"
        granted = jobs.get(lock["activate_job_id"])
        if granted is None or granted["operation"] != "activate_buckets":
            result.append(f"{name} was granted by no activation")
        elif granted["epoch"] not in (0, lock["epoch"]):
            result.append(f"{name} was granted by a job of epoch {granted['epoch']}")
        result += [f"{name} {what}" for what in given_up_faults(lock, granted)]
        leaving = lock["state"] in ("draining", "revoked", "released")
        released = jobs.get(lock["release_job_id"])
        if leaving and (released is None or released["operation"] != "release_buckets"):
            result.append(f"{name} is {lock['state']} without a release")
        if lock["state"] == "released" and released is not None:
            if released["state"] == "completed" and released["finished_at_ms"] < \
                    lock["released_at_ms"]:
                result.append(f"{name}: its release job completed before it was v1's")
        if last is not None and lock["granted_at_ms"] < last:
            result.append(f"{name} was granted before an older epoch")
        last = lock["granted_at_ms"]
    return result


def judge_overlaps(story: Story) -> list[str]:
    """No bucket is granted twice at once, and no host has two ranges at once."""
    result = []
    grants = sorted(story.grants(), key=lambda lock: lock["granted_at_ms"])
    held: list[Row] = []
    for lock in grants:
        held = [h for h in held if lock_end_ms(h) > lock["granted_at_ms"]]
        for other in held:
            if other["epoch"] == lock["epoch"]:
                continue
            both = f"epochs {other['epoch']} and {lock['epoch']}"
            if other["owner_host"] == lock["owner_host"]:
                result.append(f"{lock['owner_host']} held {both} at once")
            if other["bucket_min"] <= lock["bucket_max"] and \
                    lock["bucket_min"] <= other["bucket_max"]:
                result.append(f"{both} held buckets of {range_text(lock)} at once")
        held.append(lock)
    return result


def judge_starts(story: Story) -> list[str]:
    """v1 is started only for what is v1's: after the release, and not again before the next one."""
    return [f"v1 was started for {switch.bucket_min}-{switch.bucket_max} at {switch.at_ms:.0f}, while "
            f"{lock['owner_host']} held {range_text(lock)}"
            for switch in story.v1_switches if switch.kind == "v1_started"
            for lock in story.grants()
            if lock["granted_at_ms"] <= switch.at_ms < lock_end_ms(lock)
            and lock["bucket_min"] <= switch.bucket_max and switch.bucket_min <= lock["bucket_max"]]


def given_up_faults(lock: Row, granted: Row | None) -> list[str]:
    """An activation is given up when nobody has acknowledged it in 60 s, and has failed then. What
    was acknowledged is the owner's, whatever its job says."""
    acknowledged = lock["acknowledged_at_ms"]
    if not lock["gave_up"]:
        # Somebody may release it before its activation has seen the acknowledgement.
        failed = granted is not None and granted["state"] == "failed"
        released = 0 < lock["draining_at_ms"] <= (granted or {}).get("finished_at_ms", 0)
        return ["was acknowledged, and its activation failed"] if (
            acknowledged and failed and not released) else []
    result = []
    if acknowledged:
        result.append("was given up, and acknowledged")
    if lock["state"] in ("preparing", "activating", "active"):
        result.append(f"was given up, and is {lock['state']}")
    elif lock["draining_at_ms"] - (lock["activating_at_ms"] or lock["granted_at_ms"]) < \
            bounds.ACKNOWLEDGE - bounds.SAME:
        result.append("was given up before its owner had had 60 s to acknowledge it")
    if granted is not None and granted["state"] not in ("failed", "running", "queued"):
        result.append(f"was given up, and its activation is {granted['state']}")
    return result


def judge_parts(story: Story) -> list[str]:
    """Each part was released by a job of its own, and with the rest they are what was granted."""
    jobs = {job["job_id"]: job for job in story.jobs}
    result = []
    for part in story.parts:
        name = f"part {range_text(part)} of epoch {part['epoch']}"
        job = jobs.get(part["job_id"])
        if job is None or job["operation"] != "release_buckets":
            result.append(f"{name} left without a release")
            continue
        if (job["bucket_min"], job["bucket_max"], job["epoch"]) != (
                part["bucket_min"], part["bucket_max"], part["epoch"]):
            result.append(f"{name} was released by a job of {range_text(job)}, epoch "
                          f"{job['epoch']}")
        if job["state"] == "completed" and not 0 < part["released_at_ms"] <= job["finished_at_ms"]:
            result.append(f"{name}: its release job completed before it was v1's")
    for lock in story.locks:
        granted = jobs.get(lock["activate_job_id"])
        pieces = sorted((p for p in [lock, *story.parts] if p["epoch"] == lock["epoch"]
                         and (p is lock or p["state"] == "released")),
                        key=lambda p: p["bucket_min"])
        whole = all(a["bucket_max"] + 1 == b["bucket_min"] for a, b in zip(pieces, pieces[1:]))
        if granted is not None and not (
                whole and pieces[0]["bucket_min"] == granted["bucket_min"]
                and pieces[-1]["bucket_max"] == granted["bucket_max"]):
            result.append(f"epoch {lock['epoch']} was granted {range_text(granted)}, and has "
                          f"{', '.join(map(range_text, pieces))}")
    return result


def judge_buckets(story: Story) -> list[str]:
    result = []
    grants = story.grants()
    for bucket in story.buckets:
        held = [lock for lock in grants
                if lock["state"] != "released" and covers(lock, bucket["bucket_no"])]
        name = f"bucket {bucket['bucket_no']}"
        if len(held) > 1:
            result.append(f"{name} is held by epochs {[lock['epoch'] for lock in held]}")
        elif held:
            for mine, theirs in (("epoch", "epoch"), ("owner_host", "owner_host"),
                                 ("owner_instance", "owner_instance"), ("state", "state")):
                if bucket[mine] != held[0][theirs]:
                    result.append(f"{name} has {mine} {bucket[mine]!r}, its range lock "
                                  f"{held[0][theirs]!r}")
        elif bucket["owner_host"] or bucket["pool"] != "v1":
            result.append(f"{name} belongs to {bucket['owner_host']!r} ({bucket['pool']}) without "
                          "a range lock")
    return result


def judge_adoption(story: Story) -> list[str]:
    """Targets and adopted events lie where a seed, reconcile or activation put them."""
    adopting = [job for job in story.jobs if job["operation"] in ADOPTING_JOBS]
    result = []
    for target in story.targets:
        started = [job["created_at_ms"] for job in adopting if covers(job, target["bucket_no"])]
        if not started or target["updated_at_ms"] < min(started):
            result.append(f"the target of site {target['site_id']} was written by no seed")
    buckets = {event["event_id"]: event["bucket_no"] for event in story.events}
    grants = story.grants()
    for t in story.transitions:
        if t["source"] != "rollout:seed":
            continue
        bucket = buckets.get(t["event_id"], -1)
        by_job = any(covers(job, bucket) and during(job, t["at_ms"]) for job in adopting)
        by_load = any(lock["epoch"] == t["epoch"] and covers(lock, bucket)
                      and 0 < lock["acknowledged_at_ms"] <= t["at_ms"] for lock in grants)
        if not by_job and not by_load:
            result.append(f"event {t['event_id']}: {t['reason']} outside of any seed, reconcile or "
                          "first load")
    return result


def judge_completion(story: Story) -> list[str]:
    """A completed activation was acknowledged before, and each grant's time lies within its job."""
    locks = {lock["activate_job_id"]: lock for lock in story.locks}
    result = []
    for job in story.jobs:
        if job["operation"] != "activate_buckets":
            continue
        lock = locks.get(job["job_id"])
        if lock is None:
            if job["epoch"]:
                result.append(f"activation {job['job_id']} is of epoch {job['epoch']}, which is not "
                              "there")
            continue
        if job["state"] == "completed" and not (
                0 < lock["acknowledged_at_ms"] <= job["finished_at_ms"]):
            result.append(f"activation {job['job_id']} completed before its owner had acknowledged")
        if not job["created_at_ms"] - bounds.SAME <= lock["granted_at_ms"] <= (
                job["finished_at_ms"] or FOREVER):
            result.append(f"epoch {lock['epoch']} was granted outside of its activation")
    return result


def judge_8(story: Story) -> Verdict:
    verdict = Verdict(8)
    verdict.violations = (judge_jobs(story) + judge_locks(story) + judge_parts(story)
                          + judge_buckets(story) + judge_adoption(story) + judge_audit(story)
                          + judge_tenures(Holders(story)) + judge_completion(story)
                          + judge_overlaps(story) + judge_starts(story)
                          + agreement.judge_buckets_there(story) + agreement.judge_grants(story)
                          + agreement.judge_targets(story)
                          + judge_policies(story))
    used = sum(1 for token in story.tokens if token["consumed_at_ms"])
    verdict.evidence = (f"{len(story.locks)} grants, {len(story.jobs)} jobs, {used} of "
                        f"{len(story.tokens)} tokens used, {len(story.targets)} targets, "
                        f"{len(story.stages)} policy stages of {len(story.stage_rows)} writes")
    return verdict
