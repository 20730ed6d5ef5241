"""Invariants 3 to 7: what was written about sites, by whom, and what people were told."""
from __future__ import annotations

import bisect
from collections import Counter

from judging import agreement
from judging.bounds import SAME
from judging.dialect import DOWN, TOLD_STATES, V1, Columns, Outbox, tells_down
from judging.story import ADOPTING_JOBS, FOREVER, Row, Story, Verdict, covers, lock_end_ms
from judging.told import judge_told
from judging.writers import judge_writers

CONFIRMS = ("verifier_confirmed", "local_confirmed", "quorum_degraded")
# What a Monitor concludes from a check of its own -> in words.
ON_A_CHECK = {"opened": "opened", "recovered": "ended", "probe_cleared": "ended",
              "verifier_confirmed": "confirmed", "local_confirmed": "confirmed",
              "quorum_degraded": "confirmed"}
ADOPTS = ("adopted", "promoted", "v1_recovered", "superseded")
READ_ONLY_JOBS = ("preflight", "smoke", "compare_methods")


def ends(job: Row) -> float:
    return job["finished_at_ms"] or FOREVER


def during(job: Row, at_ms: float) -> bool:
    return job["created_at_ms"] <= at_ms <= ends(job)


class Explained:
    """Tells whether somebody had the right to write about a bucket at a moment."""

    def __init__(self, story: Story):
        self.story = story
        self.grants = story.grants()
        self.bucket_of_event = {e["event_id"]: e["bucket_no"] for e in story.events}

    def by_monitor(self, bucket: int, at_ms: float) -> bool:
        return any(covers(lock, bucket) and lock["acknowledged_at_ms"] > 0
                   and lock["acknowledged_at_ms"] <= at_ms <= lock_end_ms(lock)
                   for lock in self.grants)

    def by_adoption(self, bucket: int, at_ms: float) -> bool:
        return any(job["operation"] in ADOPTING_JOBS and covers(job, bucket) and during(job, at_ms)
                   for job in self.story.jobs)

    def at_all(self, bucket: int, at_ms: float) -> bool:
        return self.by_monitor(bucket, at_ms) or self.by_adoption(bucket, at_ms)


def written(story: Story, explained: Explained) -> list[tuple[str, int, float]]:
    """(what, bucket, when) of every row that a read-only check must not write."""
    buckets = explained.bucket_of_event
    rows = [(f"transition {t['reason']} of event {t['event_id']}",
             buckets.get(t["event_id"], -1), t["at_ms"]) for t in story.transitions]
    rows += [(f"history of site {h['site_id']} by {h['source']}", h["bucket_no"], h["at_ms"])
             for h in story.history]
    rows += [(f"notification {n['notification_id']}", n["bucket_no"], n["created_at_ms"])
             for n in story.notifications]
    rows += [(f"false positive of event {f['event_id']}", story.bucket_of(f["site_id"]), f["at_ms"])
             for f in story.false_positives]
    rows += [(f"runtime of site {r['site_id']}", r["bucket_no"], r["last_checked_at_ms"])
             for r in story.runtime if r["last_checked_at_ms"]]
    return rows


def judge_3(story: Story) -> Verdict:
    """Smoke, compare and canary checks leave no trace on a site; what does, its holder wrote."""
    verdict = Verdict(3)
    explained = Explained(story)
    jobs = [job for job in story.jobs if job["operation"] in READ_ONLY_JOBS]
    rows = written(story, explained)
    for what, bucket, at_ms in rows:
        if explained.at_all(bucket, at_ms):
            continue
        blamed = [job for job in jobs if covers(job, bucket) and during(job, at_ms)]
        reason = f"during {blamed[0]['operation']} {blamed[0]['job_id']}" if blamed else \
            "when nothing had the right to"
        verdict.violations.append(f"{what} was written at {at_ms} {reason}")
    verdict.violations += unseen_checks(story) + judge_writers(story)
    verdict.evidence = (f"{len(jobs)} read-only jobs; {len(rows)} rows about sites, each explained "
                        "and by the instance that held its bucket")
    return verdict


def unseen_checks(story: Story) -> list[str]:
    """Incidents and freshness must rest on a Monitor's own request."""
    hosts = {source: s.host for source, s in story.senders.items() if s.role == "monitor"}
    asked: dict[tuple[int, str], list[float]] = {}
    for request in sorted(story.requests, key=lambda r: r.at_ms):
        if request.source in hosts:
            asked.setdefault((request.site_id, hosts[request.source]), []).append(request.at_ms)
    acknowledged = {lock["epoch"]: lock["acknowledged_at_ms"] for lock in story.locks}
    result = []
    for t in story.transitions:
        if t["reason"] not in ON_A_CHECK:
            continue
        # Since the owner has the range, and before it wrote.
        since = acknowledged.get(t["epoch"], FOREVER) - 1
        times = asked.get((t["site_id"], t["host"]), [])
        at = bisect.bisect_right(times, t["at_ms"] + 1) - 1
        if at < 0 or times[at] < since:
            result.append(f"event {t['event_id']} of site {t['site_id']} was "
                          f"{ON_A_CHECK[t['reason']]} without a check of {t['host'] or 'anybody'}")
    return result + agreement.Freshness(story).faults()


def judge_4(story: Story) -> Verdict:
    """Taking v1's incidents over tells nobody anything."""
    verdict = Verdict(4)
    changes: dict[int, list[Row]] = {}
    for transition in story.transitions:
        changes.setdefault(transition["event_id"], []).append(transition)
    for n in story.notifications:
        wanted = CONFIRMS if n["kind"] == "down" else ("recovered",)
        causes = [t for t in changes.get(n["event_id"], []) if t["reason"] in wanted]
        if not any(abs(t["at_ms"] - n["created_at_ms"]) <= SAME for t in causes):
            verdict.violations.append(
                f"notification {n['notification_id']} comes from no confirmation or recovery")
    for t in story.transitions:
        if t["reason"] in ADOPTS and t["notified"] == 1 and not was_notified_before(t, changes):
            verdict.violations.append(f"event {t['event_id']}: {t['reason']} queued a notification")
    known = {n["notification_id"] for n in story.notifications}
    for seen in sorted(set(story.deliveries) - known):
        verdict.violations.append(f"the receiver got {seen!r}, which is not in the outbox")
    adopted = [t for t in story.transitions if t["reason"] in ADOPTS]
    down = sum(1 for t in adopted if t["to_severity"] == DOWN)
    verdict.evidence = (f"{len(adopted)} changes by adoption, {down} of them to Down; "
                        f"{len(story.notifications)} notifications, none of them from those")
    return verdict


def was_notified_before(transition: Row, changes: dict[int, list[Row]]) -> bool:
    return any(t["seq"] < transition["seq"] and t["notified"] == 1
               for t in changes[transition["event_id"]])


def judge_5(story: Story) -> Verdict:
    """One down and one up an incident, no more and no fewer, an up only after a down, v1's alerts
    included; and each outage has its incident."""
    verdict = Verdict(5)
    outbox = Outbox(story)
    per_kind = Counter((n["event_id"], n["kind"]) for n in outbox.rows)
    for (event_id, kind), count in per_kind.items():
        if count > 1:
            verdict.violations.append(f"event {event_id} has {count} {kind} notifications")
    notified = {e["event_id"]: e["notified"] for e in story.events}
    told_at = {(n["event_id"], n["kind"]): n["created_at_ms"] for n in outbox.rows}
    known = {e["event_id"] for e in story.events if outbox.has_twin(e, "down")}
    for event_id, kind in per_kind:
        if kind == "up" and not (
                per_kind[event_id, "down"] or notified.get(event_id) == 2 or event_id in known):
            verdict.violations.append(f"event {event_id} has an up, but nobody was told a down")
        if kind == "up" and told_at[event_id, kind] < told_at.get((event_id, "down"), 0):
            verdict.violations.append(f"event {event_id} has an up before its down")
        if event_id not in notified:
            verdict.violations.append(f"a notification names event {event_id}, which is not there")
    verdict.violations += double_alerts(story) + judge_told(story)
    repeated = sum(c - 1 for c in Counter(story.deliveries).values())
    verdict.evidence = (f"{len(story.notifications)} in the outbox, {len(story.deliveries)} "
                        f"delivered ({repeated} again, under the same id), {len(story.v1_alerts)} "
                        "by v1")
    return verdict


def double_alerts(story: Story) -> list[str]:
    """What people heard of a site, from either version, must alternate. In dialect v1 version 1
    repeats itself: then this looks at v2's own tells, and invariant 9 at both."""
    heard: dict[int, list[tuple[float, str, str]]] = {}
    for n in story.notifications:
        if story.dialect != V1 or n["state"] in TOLD_STATES:
            heard.setdefault(n["site_id"], []).append((n["created_at_ms"], n["kind"], "v2"))
    for a in story.v1_alerts:
        said = "down" if tells_down(story, a.status) else "up"
        heard.setdefault(a.site_id, []).append((a.at_ms, said, "v1"))
    result = []
    for site_id, alerts in sorted(heard.items()):
        alerts.sort()
        for (_, kind, who), (_, again, second) in zip(alerts, alerts[1:]):
            if kind == again and (story.dialect != V1 or "v1" not in (who, second)):
                result.append(f"site {site_id}: people heard {kind} twice, from {who} and {second}")
    return result


REPLAYED = ("severity", "notified", "last_seq", "end_reason", "ended_at_ms", "started_at_ms",
            "confirmed_at_ms")


def replay(changes: list[Row]) -> tuple[Row, str | None]:
    """The event row that its transitions make, and what is wrong with their order. None: they do
    not say (v1's own times of what was adopted)."""
    row: Row = {"severity": 0, "notified": 0, "last_seq": 0, "end_reason": "", "ended_at_ms": None,
                "started_at_ms": None, "confirmed_at_ms": 0}
    for t in sorted(changes, key=lambda t: t["seq"]):
        if t["seq"] != row["last_seq"] + 1:
            return row, f"transition {row['last_seq'] + 1} is missing"
        if row["ended_at_ms"] is not None:
            return row, f"transition {t['seq']} comes after its end"
        if t["from_severity"] != row["severity"]:
            return row, (f"transition {t['seq']} starts from severity {t['from_severity']}, "
                         f"not {row['severity']}")
        row.update(severity=t["to_severity"], notified=t["notified"], last_seq=t["seq"])
        if t["reason"] == "opened":
            row["started_at_ms"] = t["at_ms"]
        elif t["reason"] in CONFIRMS:
            row["confirmed_at_ms"] = t["at_ms"]
        elif t["reason"] in ("adopted", "promoted") and t["to_severity"] == DOWN:
            row["confirmed_at_ms"] = None
        if t["ended"]:
            row.update(end_reason=t["reason"], ended_at_ms=t["at_ms"])
    return row, None


def judge_6(story: Story) -> Verdict:
    """The transitions, replayed in order, make every event row."""
    verdict = Verdict(6)
    changes: dict[int, list[Row]] = {}
    for transition in story.transitions:
        changes.setdefault(transition["event_id"], []).append(transition)
    for event in story.events:
        row, wrong = replay(changes.pop(event["event_id"], []))
        if wrong is not None:
            verdict.violations.append(f"event {event['event_id']}: {wrong}")
            continue
        for name in REPLAYED:
            unknown = row[name] is None and name in ("started_at_ms", "confirmed_at_ms")
            if event[name] != row[name] and not unknown:
                verdict.violations.append(f"event {event['event_id']}: {name} is {event[name]!r}, "
                                          f"its transitions say {row[name]!r}")
    for event_id in changes:
        verdict.violations.append(f"transitions of event {event_id}, which is not there")
    verdict.violations += two_at_once(story) + agreement.judge_told_columns(story)
    verdict.evidence = f"{len(story.events)} events from {len(story.transitions)} transitions"
    return verdict


def two_at_once(story: Story) -> list[str]:
    """A site has one open incident at most; a new one begins when the one before has ended."""
    opened: dict[int, float] = {}
    for t in story.transitions:
        opened[t["event_id"]] = min(opened.get(t["event_id"], FOREVER), t["at_ms"])
    of_site: dict[int, list[tuple[float, float, int]]] = {}
    for e in story.events:
        ended = FOREVER if e["ended_at_ms"] is None else e["ended_at_ms"]
        of_site.setdefault(e["site_id"], []).append(
            (opened.get(e["event_id"], FOREVER), ended, e["event_id"]))
    return [f"site {site_id} had events {first} and {second} open at once"
            for site_id, events in of_site.items()
            for (_, ended, first), (begun, _, second) in zip(sorted(events), sorted(events)[1:])
            if begun < ended - SAME]


def judge_7(story: Story) -> Verdict:
    """At rest the legacy columns of every site that v2 holds say what its open event says."""
    verdict = Verdict(7)
    open_event = {e["site_id"]: e for e in story.events if e["ended_at_ms"] is None}
    held = [lock for lock in story.grants() if lock["state"] == "active"]
    looked_at = 0
    columns = Columns(story)
    for site in story.sites.values():
        if not site.active or not any(covers(lock, site.bucket) for lock in held):
            continue
        looked_at += 1
        event = open_event.get(site.site_id)
        expected = columns.allowed(site, event)
        if site.status not in expected:
            cause = "no open event" if event is None else f"event {event['event_id']}"
            verdict.violations.append(f"site {site.site_id} (bucket {site.bucket}) has site_status "
                                      f"{site.status}, {cause} says "
                                      f"{' or '.join(map(str, expected))}")
        elif columns.time_differs(site, event):
            verdict.violations.append(
                f"site {site.site_id} has last_status_change {site.status_change!r}, event "
                f"{event['event_id']} projected {event['projected_change']!r}")
    verdict.evidence = f"{looked_at} sites under v2, {len(open_event)} open events"
    return verdict
