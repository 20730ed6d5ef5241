"""Of invariant 2: a hand-off leaves no site unchecked for longer than its steps may take.

An activation ends: acknowledged, or given up, in a stated time. What v1 was stopped for is v2's, or
v1's again, in a stated time; and v1 checks every site soon after it was started.
"""
from __future__ import annotations

from judging import bounds
from judging.excuses import Excuses
from judging.story import FOREVER, Request, Row, Site, Span, V1Switch, overlap_ms, range_text


class Gaps:
    def __init__(self, excuses: Excuses, by_site: dict[int, list[Request]]):
        self.excuses, self.story, self.holders = excuses, excuses.story, excuses.holders
        self.by_site = by_site
        self.v1 = {source for source, s in self.story.senders.items() if s.role == "v1"}
        # The database, and the witness, whoever owns a range.
        self.away = [*self.story.stalls, *(
            Span(f.from_ms, f.until_ms + bounds.recovery(f)) for f in self.story.faults
            if f.what in ("database", "v1"))]
        # A hand-off waits for the control plane.
        self.steered = self.away + [Span(f.from_ms, self._restarted(f) + bounds.RESUME)
                                    for f in self.story.faults if f.what == "controlplane"]

    def _restarted(self, fault: Span) -> float:
        """A killed process is back when it has been started again."""
        again = [s.at_ms for s in self.story.starts if s.name == fault.what
                 and s.at_ms > fault.from_ms]
        return min([fault.until_ms, *again])

    def steps(self) -> list[str]:
        """Each state of a range but `active` ends in time."""
        result = []
        for lock in self.holders.grants:
            name = f"range {range_text(lock)} (epoch {lock['epoch']})"
            left = lock["acknowledged_at_ms"] or lock["draining_at_ms"] or self.story.end_ms
            result += self._too_long(name, "waited for its acknowledgement", lock["granted_at_ms"],
                                     left, bounds.ACKNOWLEDGE, lock)
            if lock["draining_at_ms"]:
                free = min(lock["released_at_ms"] or FOREVER, self.story.end_ms)
                result += self._too_long(name, "drained", lock["draining_at_ms"], free,
                                         bounds.DRAIN + bounds.GRACE, lock)
        return result

    def _too_long(self, name: str, what: str, from_ms: float, until_ms: float, limit_ms: float,
                  lock: Row) -> list[str]:
        away_ms = overlap_ms(self.steered, from_ms, until_ms)
        limit_ms += bounds.POLL + bounds.WRITE + bounds.LOAD + away_ms
        if until_ms - from_ms <= limit_ms:
            return []
        return [f"{name} of {lock['owner_host']} {what} for {(until_ms - from_ms) / 1000:.1f} s, "
                f"{limit_ms / 1000:.1f} s allowed"]

    def v1_takes_up(self) -> list[str]:
        """After each start v1 checks every site of the range soon."""
        result = []
        stopped = sorted((s for s in self.story.v1_switches if s.kind == "v1_stopped"),
                         key=lambda s: s.at_ms)
        for switch in self.story.v1_switches:
            if switch.kind != "v1_started":
                continue
            for site in self._active(switch):
                until = next((s.at_ms for s in stopped if s.at_ms > switch.at_ms
                              and s.bucket_min <= site.bucket <= s.bucket_max), self.story.end_ms)
                limit_ms = switch.at_ms + 1000 * bounds.allowed_s(
                    bounds.first_window_s(site.interval_s))
                limit_ms += overlap_ms(self.away + self.excuses.of_edits(site.site_id),
                                       switch.at_ms, until)
                first = self._first(site, switch.at_ms, self.v1)
                if min(first, until) > limit_ms:
                    result.append(f"site {site.site_id} (bucket {site.bucket}) was not checked by "
                                  f"v1 within {(limit_ms - switch.at_ms) / 1000:.1f} s of its start "
                                  f"at {switch.at_ms:.0f}")
        return result

    def handed_over(self) -> list[str]:
        """What v1 was stopped for, or what was released, is checked again by whoever has it then."""
        result = []
        for switch in self.story.v1_switches:
            if switch.kind == "v1_stopped":
                for site in self._active(switch):
                    result += self._checked_after(site, switch.at_ms, "v1 was stopped")
        for lock in self.holders.grants:
            released = lock["released_at_ms"]
            if not released:
                continue
            for site in self._active(lock):
                # A rehearsal on buckets that v1 was never to check leaves them as they were.
                if self._was_v1s(site, lock["granted_at_ms"]):
                    result += self._checked_after(site, released, f"epoch {lock['epoch']} was released")
        return result

    def _checked_after(self, site: Site, from_ms: float, since: str) -> list[str]:
        """`since`: what left the site without an owner."""
        grant = min((lock for lock in self.holders.of_bucket.get(site.bucket, [])
                     if lock["granted_at_ms"] >= from_ms), key=lambda g: g["granted_at_ms"],
                    default=None)
        taken = min((s.at_ms for s in self.story.v1_switches if s.kind == "v1_started"
                     and s.at_ms > from_ms and s.bucket_min <= site.bucket <= s.bucket_max),
                    default=FOREVER)
        granted = grant["granted_at_ms"] if grant else FOREVER
        owner_ms = min(taken, granted)  # from then on another rule watches over it
        limit_ms = from_ms + bounds.OPERATOR
        limit_ms += overlap_ms(self.steered + self.excuses.of_edits(site.site_id), from_ms,
                               min(owner_ms, self.story.end_ms))
        if min(owner_ms, self.story.end_ms) <= limit_ms:
            return []
        return [f"site {site.site_id} (bucket {site.bucket}) was nobody's for "
                f"{(min(owner_ms, self.story.end_ms) - from_ms) / 1000:.1f} s after {since}, "
                f"{(limit_ms - from_ms) / 1000:.1f} s allowed"]

    def _was_v1s(self, site: Site, at_ms: float) -> bool:
        return any(s.kind == "v1_started" and s.at_ms <= at_ms
                   and s.bucket_min <= site.bucket <= s.bucket_max for s in self.story.v1_switches)

    def _active(self, row: V1Switch | Row) -> list[Site]:
        low, high = (row.bucket_min, row.bucket_max) if isinstance(row, V1Switch) else (
            row["bucket_min"], row["bucket_max"])
        return [s for s in self.story.sites.values() if s.active and low <= s.bucket <= high]

    def _first(self, site: Site, from_ms: float, sources: set[str]) -> float:
        """The first request of these sources from then on."""
        return next((r.at_ms for r in self.by_site.get(site.site_id, [])
                     if r.at_ms >= from_ms - bounds.ROUNDING and r.source in sources), FOREVER)


def judge_gaps(excuses: Excuses, by_site: dict[int, list[Request]]) -> list[str]:
    gaps = Gaps(excuses, by_site)
    return gaps.steps() + gaps.v1_takes_up() + gaps.handed_over()
