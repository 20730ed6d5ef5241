"""Of invariants 3, 6 and 8: rows that tell of one thing agree about it, and none is missing."""
from __future__ import annotations

import bisect
from collections import Counter

from judging import bounds
from judging.story import FOREVER, Story, covers, overlap_ms, range_text

NOT_TOLD, QUEUED, ADOPTED = 0, 1, 2
LIFE = ("granted_at_ms", "activating_at_ms", "acknowledged_at_ms", "draining_at_ms",
        "drained_at_ms", "released_at_ms")
# What must be done for a range before it is activated, if nothing of it was overridden.
STEPS = ("preflight", "smoke", "seed", "final_reconcile")


def judge_buckets_there(story: Story) -> list[str]:
    """Each bucket has one row, for ever."""
    rows = Counter(row["bucket_no"] for row in story.buckets)
    there = set(rows)
    result = [f"bucket {b} has {n} rows" for b, n in rows.items() if n > 1]
    wanted = {b for lock in story.locks for b in range(lock["bucket_min"], lock["bucket_max"] + 1)}
    wanted |= {site.bucket for site in story.sites.values() if there and site.bucket <= max(there)}
    return result + [f"bucket {b} has no row" for b in sorted(wanted - there)]


def judge_grants(story: Story) -> list[str]:
    """A range is its activation's: of the same run and owner; and what had to be done before was."""
    jobs = {job["job_id"]: job for job in story.jobs}
    result = []
    for lock in story.grants():
        times = [lock[column] for column in LIFE if lock[column]]
        if times != sorted(times):
            result.append(f"range {range_text(lock)} (epoch {lock['epoch']}) has times out of order")
    for lock in story.locks:
        name = f"range {range_text(lock)} (epoch {lock['epoch']})"
        granted = jobs.get(lock["activate_job_id"])
        if granted is None:
            continue  # judge_locks says so
        for column in ("run_id", "owner_host"):
            if lock[column] != granted[column]:
                result.append(f"{name} has {column} {lock[column]!r}, its activation "
                              f"{granted[column]!r}")
        if lock["overrides"] not in ("", "[]", None):
            continue
        for step in STEPS:
            if not any(job["operation"] == step and job["run_id"] == lock["run_id"]
                       and job["state"] == "completed"
                       and job["finished_at_ms"] <= lock["granted_at_ms"] + bounds.ROUNDING
                       for job in story.jobs):
                result.append(f"{name} was granted without a {step} of its run")
    return result


def judge_targets(story: Story) -> list[str]:
    """What a Monitor holds was seeded: each active site has its target, as the legacy table has it."""
    targets = {row["site_id"]: row for row in story.targets}
    held = [lock for lock in story.grants() if lock["state"] == "active"]
    seeded = [lock for lock in held if lock["overrides"] in ("", "[]", None)]
    result = []
    for site in story.sites.values():
        if not site.active or site.site_id in story.edits \
                or not any(covers(lock, site.bucket) for lock in seeded):
            continue
        target = targets.get(site.site_id)
        if target is None:
            result.append(f"site {site.site_id} (bucket {site.bucket}) is held and has no target")
        elif (target["bucket_no"], target["url"]) != (site.bucket, site.url):
            result.append(f"the target of site {site.site_id} says bucket {target['bucket_no']}, "
                          f"{target['url']}; the legacy table {site.bucket}, {site.url}")
    return result


def judge_told_columns(story: Story) -> list[str]:
    """Transitions and notifications are their event's, and `notified` changes by what tells alone."""
    events = {event["event_id"]: event for event in story.events}
    result = []
    before: dict[int, int] = {}
    for t in sorted(story.transitions, key=lambda t: (t["event_id"], t["seq"])):
        event = events.get(t["event_id"])
        if event is not None and event["site_id"] != t["site_id"]:
            result.append(f"{t['reason']} of event {t['event_id']} is of site {t['site_id']}, the "
                          f"event of site {event['site_id']}")
        was = before.get(t["event_id"], NOT_TOLD)
        before[t["event_id"]] = t["notified"]
        tells = {"verifier_confirmed": QUEUED, "local_confirmed": QUEUED, "quorum_degraded": QUEUED,
                 "adopted": ADOPTED, "promoted": ADOPTED}.get(t["reason"], was)
        if t["notified"] not in (was, tells):
            result.append(f"event {t['event_id']}: {t['reason']} turned notified from {was} to "
                          f"{t['notified']}")
    for n in story.notifications:
        event = events.get(n["event_id"])
        if event is not None and (event["site_id"], event["bucket_no"]) != (
                n["site_id"], n["bucket_no"]):
            result.append(f"{n['notification_id']} is of site {n['site_id']}, its event of site "
                          f"{event['site_id']}")
    return result


class Freshness:
    """A last check that was written is one that the fixture saw."""

    def __init__(self, story: Story):
        self.story = story
        monitors = {source for source, s in story.senders.items() if s.role == "monitor"}
        self.asked: dict[int, list[float]] = {}
        for request in sorted(story.requests, key=lambda r: r.at_ms):
            if request.source in monitors:
                self.asked.setdefault(request.site_id, []).append(request.at_ms)
        # From the start of a check to its request: a connection is made, at most in the whole time.
        self.within_ms = bounds.check_timeout(story.unit_s) + bounds.SAME

    def was_made(self, site_id: int, at_ms: float) -> bool:
        times = self.asked.get(site_id, [])
        after = bisect.bisect_left(times, at_ms - bounds.SAME)
        return after < len(times) and times[after] <= at_ms + self.within_ms or overlap_ms(
            self.story.stalls, at_ms, at_ms + self.within_ms) > 0

    def faults(self) -> list[str]:
        result = []
        for row in self.story.runtime:
            if not row["last_checked_at_ms"]:
                continue
            site = self.story.sites.get(row["site_id"])
            if not self.was_made(row["site_id"], row["last_checked_at_ms"]):
                result.append(f"site {row['site_id']} has a last check that no Monitor made, at "
                              f"{row['last_checked_at_ms']}")
            elif site is not None and site.bucket != row["bucket_no"] \
                    and site.site_id not in self.story.edits:
                result.append(f"runtime of site {site.site_id} says bucket {row['bucket_no']}, it is "
                              f"in {site.bucket}")
        for row in self.story.history:
            site = self.story.sites.get(row["site_id"])
            if site is not None and site.bucket != row["bucket_no"] \
                    and site.site_id not in self.story.edits:
                result.append(f"history of site {site.site_id} says bucket {row['bucket_no']}, it is "
                              f"in {site.bucket}")
        return result


def gone_spans(story: Story, name: str) -> list[tuple[float, float, str]]:
    """(from, until, what) of each time at which a process could not send."""
    starts = sorted(s.at_ms for s in story.starts if s.name == name)
    result = [(-FOREVER, starts[0] if starts else FOREVER, "before it was started")]
    for fault in story.faults:
        if fault.what != name:
            continue
        until = fault.until_ms
        if fault.how == "killed":
            until = min([at for at in starts if at > fault.from_ms], default=FOREVER)
        result.append((fault.from_ms + bounds.WAKE, until, f"after it had been {fault.how}"))
    return result


def judge_senders(story: Story) -> list[str]:
    """Who is not running does not ask. A second is for what the fixture had not read yet."""
    away = {source: gone_spans(story, s.name) for source, s in story.senders.items()}
    result: dict[str, int] = {}
    for request in story.requests:
        for begin, end, what in away.get(request.source, []):
            if begin < request.at_ms < end:
                late = overlap_ms(story.stalls, begin, request.at_ms) if begin > 0 else 0
                if request.at_ms - begin > late:
                    text = f"{story.senders[request.source].name} asked {what}"
                    result[text] = result.get(text, 0) + 1
                break
    return [f"{text} ({n} times)" for text, n in result.items()]
