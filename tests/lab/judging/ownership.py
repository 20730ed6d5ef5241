"""Invariant 1: who may ask for which site when."""
from __future__ import annotations

from collections import Counter

from judging import agreement, bounds
from judging.lease import Leases
from judging.story import FOREVER, Request, Row, Sender, Story, Verdict, covers, lock_end_ms
from judging.tenure import Holders, checked_until_ms

PROBING_JOBS = ("preflight", "smoke", "compare_methods")


def owns(lock: Row, host: str, at_ms: float) -> bool:
    return (lock["owner_host"] == host and lock["acknowledged_at_ms"] > 0
            and lock["acknowledged_at_ms"] - bounds.ROUNDING <= at_ms
            <= checked_until_ms(lock) + bounds.ROUNDING)


def describe(request: Request, sender: Sender, bucket: int) -> str:
    return f"{sender.name} asked for site {request.site_id} (bucket {bucket}) at {request.at_ms:.0f}"


class Ownership:
    """Judges single requests."""

    def __init__(self, holders: Holders):
        self.story, self.holders = holders.story, holders
        self.leases = Leases(holders)
        self.probing = [job for job in self.story.jobs if job["operation"] in PROBING_JOBS]
        self.events_of: dict[int, list[Row]] = {}
        for event in self.story.events:
            self.events_of.setdefault(event["site_id"], []).append(event)
        self.switches_of: dict[int, list] = {}
        for switch in sorted(self.story.v1_switches, key=lambda s: s.at_ms):
            for bucket in range(switch.bucket_min, switch.bucket_max + 1):
                self.switches_of.setdefault(bucket, []).append(switch)

    def fault_of(self, request: Request, sender: Sender) -> str | None:
        """What is wrong with a request; None: nothing."""
        bucket = self.story.bucket_of(request.site_id)
        judged = {"monitor": self._monitor, "v1": self._v1, "veriflier": self._veriflier,
                  "controlplane": self._controlplane}
        if sender.role not in judged:
            return f"{describe(request, sender, bucket)}, who is no checker"
        why = judged[sender.role](request, sender, bucket)
        return None if why is None else f"{describe(request, sender, bucket)} {why}"

    def _monitor(self, request: Request, sender: Sender, bucket: int) -> str | None:
        if not request.agent.startswith("jetmon/2."):
            return f"as {request.agent!r}"
        locks = self.holders.of_bucket.get(bucket, [])
        for lock in locks:
            if owns(lock, sender.host, request.at_ms):
                return self._instance(request, sender, lock) or self.leases.fault_of(
                    request, lock, bounds.LEASE)
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

    def _instance(self, request: Request, sender: Sender, lock: Row) -> str | None:
        """Only the instance that holds the range asks, of all that its host runs."""
        mine = self.holders.processes.instance(sender.name, request.at_ms)
        if not mine:
            return "as an instance that nobody knows"
        tenures = self.holders.tenures(lock["epoch"])
        holder = tenures.at(request.at_ms)
        if holder is None:
            return f"while no instance held epoch {lock['epoch']}"
        if holder["owner_instance"] == mine:
            return None
        before = tenures.at(request.at_ms - bounds.COMMIT)
        if before is not None and before["owner_instance"] == mine:
            return None
        return f"as instance {mine} while {holder['owner_instance']} held it"

    def _v1(self, request: Request, sender: Sender, bucket: int) -> str | None:
        for lock in self.holders.of_bucket.get(bucket, []):
            if lock["granted_at_ms"] - bounds.ROUNDING <= request.at_ms <= lock_end_ms(lock):
                return f"while {lock['owner_host']} held it (epoch {lock['epoch']})"
        last = None
        for switch in self.switches_of.get(bucket, []):
            if switch.at_ms <= request.at_ms:
                last = switch
        if last is None:
            return "before it was started"
        if last.kind == "v1_stopped":
            return "after it had acknowledged its stop"
        return None

    def _veriflier(self, request: Request, sender: Sender, bucket: int) -> str | None:
        lock = next((lock for lock in self.holders.of_bucket.get(bucket, [])
                     if lock["acknowledged_at_ms"] > 0
                     and lock["acknowledged_at_ms"] - bounds.ROUNDING
                     <= request.at_ms <= checked_until_ms(lock) + bounds.ROUNDING), None)
        if lock is None:
            return "while no Monitor held it"
        open_then = [e for e in self.events_of.get(request.site_id, [])
                     if e["started_at_ms"] <= request.at_ms
                     <= (e["ended_at_ms"] or FOREVER) + bounds.CONFIRMATION_LAG]
        if not open_then:
            return "outside of an open event"
        round_ms = bounds.round_ms(self.story.unit_s)
        if all(e["confirmed_at_ms"] and request.at_ms > e["confirmed_at_ms"] + round_ms
               + bounds.CONFIRMATION_LAG for e in open_then):
            return f"long after event {open_then[0]['event_id']} had been confirmed"
        return self.leases.fault_of(request, lock, bounds.LEASE + round_ms)

    def _controlplane(self, request: Request, sender: Sender, bucket: int) -> str | None:
        for job in self.probing:
            if covers(job, bucket) and within(job, request.at_ms):
                return None
        return "outside of a smoke, compare or preflight job"

    def strays(self) -> list[str]:
        """Whoever asks for what is no site of ours. A canary may be any URL: preflight and smoke
        have some."""
        result: Counter[str] = Counter()
        for stray in self.story.strays:
            sender = self.story.senders.get(stray.source)
            canary = sender is not None and sender.role == "controlplane" and any(
                job["operation"] in ("preflight", "smoke") and within(job, stray.at_ms)
                for job in self.probing)
            if not canary:
                name = stray.source if sender is None else sender.name
                result[f"{name} asked for {stray.path!r}, which is no site of the lab"] += 1
        return [f"{text} ({n} times)" for text, n in result.items()]


def within(job: Row, at_ms: float) -> bool:
    return (job["created_at_ms"] - bounds.ROUNDING <= at_ms
            <= (job["finished_at_ms"] or FOREVER) + bounds.ROUNDING)


def confirmation_counts(story: Story, holders: Holders,
                        by_site: dict[int, list[Request]]) -> list[str]:
    """A Monitor asks the Verifliers after a failed check of its own: none of them asks more often
    for a site, while an event is open, than the Monitors did."""
    roles = {source: s.role for source, s in story.senders.items()}
    names = {source: s.name for source, s in story.senders.items()}
    result = []
    for event in story.events:
        until = (event["ended_at_ms"] or FOREVER) + bounds.CONFIRMATION_LAG
        failed, asked = 0, Counter()
        for request in by_site.get(event["site_id"], []):
            if not event["started_at_ms"] - bounds.COMMIT <= request.at_ms <= until:
                continue
            role = roles.get(request.source)
            if role == "monitor":
                failed += 1
            elif role == "veriflier":
                asked[request.source] += 1
                if asked[request.source] > failed:
                    result.append(f"{names[request.source]} asked for site {event['site_id']} at "
                                  f"{request.at_ms:.0f} more often than a Monitor had found it down")
                    break
    return result


def probe_counts(story: Story, ownership: Ownership) -> list[str]:
    """A job asks for a site once a mode, and again only what a worker that died had not written."""
    asked: Counter[tuple[int, int]] = Counter()
    for request in story.requests:
        sender = story.senders.get(request.source)
        if sender is None or sender.role != "controlplane" or request.hop != 0:
            continue
        bucket = story.bucket_of(request.site_id)
        for i, job in enumerate(ownership.probing):
            if job["operation"] == "compare_methods" and covers(job, bucket) \
                    and within(job, request.at_ms):
                asked[i, request.site_id] += 1
    other = [job for job in ownership.probing if job["operation"] != "compare_methods"]
    result = []
    for (i, site_id), count in asked.items():
        job = ownership.probing[i]
        if count <= 2 * max(job["attempt"], 1):
            continue
        if any(covers(o, story.bucket_of(site_id)) and o["created_at_ms"] <= (
                job["finished_at_ms"] or FOREVER) and job["created_at_ms"] <= (
                o["finished_at_ms"] or FOREVER) for o in other):
            continue  # a smoke at the same time may have been the one
        result.append(f"comparison {job['job_id']} asked {count} times for site {site_id}")
    return result


def judge_1(story: Story) -> Verdict:
    """Only who owns a site checks it; who owned it, and who confirms, only when they may."""
    verdict = Verdict(1)
    holders = Holders(story)
    ownership = Ownership(holders)
    by_site = story.by_site()
    seen: Counter[str] = Counter()
    strangers: Counter[str] = Counter()
    for request in story.requests:
        sender = story.senders.get(request.source)
        if sender is None:
            strangers[request.source] += 1
            continue
        seen[sender.name] += 1
        fault = ownership.fault_of(request, sender)
        if fault is not None:
            verdict.violations.append(fault)
    verdict.violations += [f"{source}, which is no process of the lab, asked for sites {n} times"
                           for source, n in strangers.items()]
    verdict.violations += (ownership.strays() + ownership.leases.silences(by_site)
                           + agreement.judge_senders(story)
                           + confirmation_counts(story, holders, by_site)
                           + probe_counts(story, ownership))
    counts = ", ".join(f"{name} {count}" for name, count in sorted(seen.items()))
    parts = f", {len(story.parts)} parts of them" if story.parts else ""
    verdict.evidence = (f"{len(story.locks)} grants{parts}, {len(story.tenures)} tenures; requests: "
                        f"{counts or 'none'}")
    return verdict
