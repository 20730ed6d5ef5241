"""Invariants 1 and 2: who checked which site when, and whether often enough."""
from __future__ import annotations

from collections import Counter

from judging.story import (FOREVER, Request, Row, Sender, Site, Span, Story, Verdict, covers,
                           lock_end_ms, overlap_ms, range_text)

# The database keeps whole milliseconds.
ROUNDING_MS = 1.0
# A confirmation leaves while its event is open, and may be seen by the fixture so much later.
CONFIRMATION_LAG_MS = 1000.0
PROBING_JOBS = ("preflight", "smoke", "compare_methods")
# A site edited in the legacy table is left out until its owner must have seen it.
EDIT_MS = 60_000.0
# What is missed in the time that a successor or a resumed process needs is not held against it:
# a grace of 30 s, a poll, a load, and the first round of checks.
RECOVERY_MS = 60_000.0
FIRST_CHECK_S = 60.0
SLICES = 5


def was_edited(story: Story, site_id: int, at_ms: float) -> bool:
    return any(t <= at_ms <= t + EDIT_MS for t in story.edits.get(site_id, []))


def checked_until_ms(lock: Row) -> float:
    """The last moment at which the owner of a range may send."""
    return lock["drained_at_ms"] or lock_end_ms(lock)


def owns(lock: Row, host: str, at_ms: float) -> bool:
    return (lock["owner_host"] == host and lock["acknowledged_at_ms"] > 0
            and lock["acknowledged_at_ms"] - ROUNDING_MS <= at_ms
            <= checked_until_ms(lock) + ROUNDING_MS)


def describe(request: Request, sender: Sender, bucket: int) -> str:
    return f"{sender.name} asked for site {request.site_id} (bucket {bucket}) at {request.at_ms:.0f}"


class Ownership:
    """Judges single requests."""

    def __init__(self, story: Story):
        self.story = story
        self.locks_of: dict[int, list[Row]] = {}
        for lock in story.grants():
            for bucket in range(lock["bucket_min"], lock["bucket_max"] + 1):
                self.locks_of.setdefault(bucket, []).append(lock)
        self.events_of: dict[int, list[Row]] = {}
        for event in story.events:
            self.events_of.setdefault(event["site_id"], []).append(event)
        self.switches_of: dict[int, list] = {}
        for switch in sorted(story.v1_switches, key=lambda s: s.at_ms):
            for bucket in range(switch.bucket_min, switch.bucket_max + 1):
                self.switches_of.setdefault(bucket, []).append(switch)

    def fault_of(self, request: Request, sender: Sender) -> str | None:
        """What is wrong with a request; None: nothing."""
        bucket = self.story.bucket_of(request.site_id)
        judged = {"monitor": self._monitor, "v1": self._v1, "veriflier": self._veriflier,
                  "controlplane": self._controlplane}
        why = judged[sender.role](request, sender, bucket)
        return None if why is None else f"{describe(request, sender, bucket)} {why}"

    def _monitor(self, request: Request, sender: Sender, bucket: int) -> str | None:
        if not request.agent.startswith("jetmon/2."):
            return f"as {request.agent!r}"
        locks = self.locks_of.get(bucket, [])
        if any(owns(lock, sender.host, request.at_ms) for lock in locks):
            return None
        holder = [lock for lock in locks
                  if lock["granted_at_ms"] <= request.at_ms <= lock_end_ms(lock)]
        if not holder:
            return "while nobody of v2 held it"
        lock = holder[0]
        if lock["owner_host"] != sender.host:
            return f"while {lock['owner_host']} held it"
        acknowledged = lock["acknowledged_at_ms"]
        if not acknowledged or request.at_ms < acknowledged:
            return "before it had acknowledged the range"
        return "after it had drained the range"

    def _v1(self, request: Request, sender: Sender, bucket: int) -> str | None:
        for lock in self.locks_of.get(bucket, []):
            if lock["granted_at_ms"] - ROUNDING_MS <= request.at_ms <= lock_end_ms(lock):
                return f"while {lock['owner_host']} held it (epoch {lock['epoch']})"
        last = None
        for switch in self.switches_of.get(bucket, []):
            if switch.at_ms <= request.at_ms:
                last = switch
        if last is not None and last.kind == "v1_stopped":
            return "after it had acknowledged its stop"
        return None

    def _veriflier(self, request: Request, sender: Sender, bucket: int) -> str | None:
        held = any(lock["acknowledged_at_ms"] > 0 and lock["acknowledged_at_ms"] - ROUNDING_MS
                   <= request.at_ms <= checked_until_ms(lock) + ROUNDING_MS
                   for lock in self.locks_of.get(bucket, []))
        if not held:
            return "while no Monitor held it"
        for event in self.events_of.get(request.site_id, []):
            ended = event["ended_at_ms"] or FOREVER
            if event["started_at_ms"] <= request.at_ms <= ended + CONFIRMATION_LAG_MS:
                return None
        return "outside of an open event"

    def _controlplane(self, request: Request, sender: Sender, bucket: int) -> str | None:
        for job in self.story.jobs:
            if (job["operation"] in PROBING_JOBS and covers(job, bucket)
                    and job["created_at_ms"] - ROUNDING_MS <= request.at_ms
                    <= (job["finished_at_ms"] or FOREVER) + ROUNDING_MS):
                return None
        return "outside of a smoke, compare or preflight job"


def instance_faults(story: Story, by_site: dict[int, list[Request]]) -> list[str]:
    """Within one grant, a host's processes (told by address) follow one another, never mix."""
    result = []
    grants = story.grants()
    for site_id, requests in by_site.items():
        bucket = story.bucket_of(site_id)
        for lock in grants:
            if not covers(lock, bucket):
                continue
            order: list[str] = []
            for request in requests:
                sender = story.senders.get(request.source)
                if (sender and sender.role == "monitor" and owns(lock, sender.host, request.at_ms)
                        and (not order or order[-1] != sender.name)):
                    order.append(sender.name)
            if len(order) != len(set(order)):
                result.append(f"site {site_id} was checked by turns by {', '.join(order)}")
    return result


def judge_1(story: Story) -> Verdict:
    """Only who owns a site checks it; who owned it, and who confirms, only when they may."""
    verdict = Verdict(1)
    ownership = Ownership(story)
    seen: Counter[str] = Counter()
    for request in story.requests:
        sender = story.senders.get(request.source)
        if sender is None:
            if request.source.startswith("127.0.1."):
                verdict.violations.append(f"{request.source}, an address that the lab did not "
                                          f"give out, asked for site {request.site_id}")
            continue
        seen[sender.name] += 1
        if was_edited(story, request.site_id, request.at_ms):
            continue
        fault = ownership.fault_of(request, sender)
        if fault is not None:
            verdict.violations.append(fault)
    verdict.violations += instance_faults(story, story.by_site())
    counts = ", ".join(f"{name} {count}" for name, count in sorted(seen.items()))
    parts = f", {len(story.parts)} parts of them" if story.parts else ""
    verdict.evidence = f"{len(story.locks)} grants{parts}; requests: {counts or 'none'}"
    return verdict


def dead_spans(story: Story, host: str) -> list[Span]:
    """When a host's Monitor, or the database, was away, with the time to come back."""
    names = {s.name for s in story.senders.values() if s.role == "monitor" and s.host == host}
    return [Span(f.from_ms, f.until_ms + RECOVERY_MS, f.what) for f in story.faults
            if f.what in names or f.what == "database"]


def allowed_s(interval_s: float) -> float:
    return interval_s + max(0.1 * interval_s, 1.0)


def is_judgeable(site: Site) -> bool:
    """Sites that this build of v2 can check: http, and an IPv4 literal for a host."""
    host = site.url.removeprefix("http://").split("/")[0].split(":")[0]
    return site.url.startswith("http://") and host.replace(".", "").isdigit()


class Pace:
    """Judges how often the owner of one range, or of a part that left one, checked its sites."""

    def __init__(self, story: Story, lock: Row):
        self.story, self.lock = story, lock
        self.from_ms = float(lock["acknowledged_at_ms"])
        ends = [e for e in (lock["draining_at_ms"], lock["released_at_ms"]) if e]
        self.until_ms = min([story.end_ms, *map(float, ends)])
        self.dead = dead_spans(story, lock["owner_host"])
        self.first_s: dict[int, float] = {}
        self.worst_s, self.worst_site = 0.0, 0
        self.faults: list[str] = []

    def excused(self, site: Site, from_ms: float, until_ms: float) -> bool:
        return (overlap_ms(self.dead, from_ms, until_ms) > 0
                or any(from_ms - EDIT_MS <= t <= until_ms
                       for t in self.story.edits.get(site.site_id, [])))

    def _gap(self, site: Site, from_ms: float, gap_s: float, extra_ms: float, what: str) -> None:
        until_ms = from_ms + gap_s * 1000
        if self.excused(site, from_ms, until_ms):
            return
        if gap_s > self.worst_s:
            self.worst_s, self.worst_site = gap_s, site.site_id
        stalled_ms = overlap_ms(self.story.stalls, from_ms, until_ms)
        limit_s = allowed_s(site.interval_s) + (min(extra_ms, 10_000) + stalled_ms) / 1000
        if gap_s > limit_s:
            self.faults.append(f"site {site.site_id} (bucket {site.bucket}) of "
                               f"{self.lock['owner_host']} {what} for {gap_s:.2f} s from "
                               f"{from_ms:.0f} on, {limit_s:.2f} s allowed")

    def site(self, site: Site, requests: list[Request]) -> None:
        """Looks at the owner's requests for one site within the grant, in order."""
        first_limit = min(site.interval_s, FIRST_CHECK_S)
        if requests:
            first_s = (requests[0].at_ms - self.from_ms) / 1000
            self.first_s[site.site_id] = first_s
            stalled_s = overlap_ms(self.story.stalls, self.from_ms, requests[0].at_ms) / 1000
            limit_s = allowed_s(first_limit) + stalled_s
            if first_s > limit_s and not self.excused(site, self.from_ms, requests[0].at_ms):
                self.faults.append(f"site {site.site_id} was first checked {first_s:.2f} s after "
                                   f"the acknowledgement, {limit_s:.2f} s allowed")
        else:
            gap_s = (self.until_ms - self.from_ms) / 1000
            self._gap(site, self.from_ms, gap_s, 0, "was never checked")
            return
        for before, after in zip(requests, requests[1:]):
            gap_s = (after.boot_ms - before.boot_ms) / 1000
            self._gap(site, before.at_ms, gap_s, before.delay_ms, "went unchecked")
        last = requests[-1]
        self._gap(site, last.at_ms, (self.until_ms - last.at_ms) / 1000, last.delay_ms,
                  "went unchecked")

    def spread_fault(self, sites: list[Site]) -> str | None:
        """First checks come evenly: no fifth of the time holds over half of them."""
        interval_s = min((min(s.interval_s, FIRST_CHECK_S) for s in sites), default=0)
        if len(self.first_s) < 50 or interval_s <= 0 or self.dead:
            return None
        slices = Counter(min(int(t / interval_s * SLICES), SLICES) for t in self.first_s.values())
        fullest = max(slices.values())
        if fullest * 2 <= len(self.first_s):
            return None
        return (f"{fullest} of {len(self.first_s)} first checks of {range_text(self.lock)} came in "
                f"one fifth of {interval_s:.0f} s")


def judge_2(story: Story) -> Verdict:
    """Every active site of an active range is checked in time, and soon after the activation."""
    verdict = Verdict(2)
    by_site = story.by_site()
    hosts = {source: s.host for source, s in story.senders.items() if s.role == "monitor"}
    notes = []
    for lock in story.grants():
        if not lock["acknowledged_at_ms"]:
            continue
        pace = Pace(story, lock)
        sites = [s for s in story.sites.values()
                 if s.active and covers(lock, s.bucket) and is_judgeable(s)]
        for site in sites:
            pace.site(site, [r for r in by_site.get(site.site_id, [])
                             if hosts.get(r.source) == lock["owner_host"]
                             and pace.from_ms - ROUNDING_MS <= r.at_ms <= pace.until_ms])
        spread = pace.spread_fault(sites)
        verdict.violations += pace.faults + ([spread] if spread else [])
        first = max(pace.first_s.values(), default=0.0)
        notes.append(f"{range_text(lock)} of {lock['owner_host']}: {len(sites)} sites, the last "
                     f"first check after {first:.2f} s, the longest gap {pace.worst_s:.2f} s "
                     f"(site {pace.worst_site})")
    verdict.evidence = "; ".join(notes) or "no range was active"
    if story.stalls:
        total = sum(s.until_ms - s.from_ms for s in story.stalls) / 1000
        verdict.evidence += f"; the machine stalled {len(story.stalls)} times, {total:.1f} s in all"
    return verdict
