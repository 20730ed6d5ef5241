"""Invariant 2: every site of an active range is checked in time, soon after the activation, and not
too often."""
from __future__ import annotations

from collections import Counter

from judging import bounds, gaps
from judging.excuses import Excuses
from judging.often import Often
from judging.story import Request, Row, Site, Story, Verdict, covers, overlap_ms, range_text
from judging.tenure import Holders, checked_until_ms

SLICES = 5
# So few first checks may fall together by chance.
SPREAD_FROM = 50


def allowed_after_s(site: Site, before: Request) -> float:
    """Until the next check: one that still ran when it was due delayed it."""
    return bounds.allowed_s(site.interval_s) + min(before.delay_ms, 10_000) / 1000


class Pace:
    """Judges how often the owner of one range, or of a part that left one, checked its sites."""

    def __init__(self, excuses: Excuses, lock: Row):
        self.story, self.excuses, self.lock = excuses.story, excuses, lock
        self.from_ms = float(lock["acknowledged_at_ms"])
        ends = [e for e in (lock["draining_at_ms"], lock["released_at_ms"]) if e]
        self.until_ms = min([self.story.end_ms, *map(float, ends)])
        later = [row["from_ms"] for row in excuses.holders.tenures(lock["epoch"]).rows
                 if self.from_ms < row["from_ms"] < self.until_ms]
        ends_of_turns = [*later, self.until_ms]
        self.turns = list(zip([self.from_ms, *later], ends_of_turns))
        self.first_s: dict[int, float] = {}
        self.worst_s, self.worst_site = 0.0, 0
        self.faults: list[str] = []

    def away_ms(self, site: Site, from_ms: float, until_ms: float, first: bool = False) -> float:
        """How much of a time the owner could not check that site, through no fault of its own."""
        spans = self.excuses.spans(self.lock, first)
        return overlap_ms(spans + self.excuses.of_edits(site.site_id), from_ms, until_ms)

    def _gap(self, site: Site, from_ms: float, gap_s: float, allowed_s: float, what: str,
             first: bool = False) -> None:
        if gap_s <= allowed_s:
            return
        limit_s = allowed_s + self.away_ms(site, from_ms, from_ms + gap_s * 1000, first) / 1000
        if gap_s > limit_s:
            self.faults.append(f"site {site.site_id} (bucket {site.bucket}) of "
                               f"{self.lock['owner_host']} {what} for {gap_s:.2f} s from "
                               f"{from_ms:.0f} on, {limit_s:.2f} s allowed")

    def site(self, site: Site, requests: list[Request]) -> None:
        """Looks at the owner's requests for one site within the grant, in order."""
        begin = 0
        for i, (from_ms, until_ms) in enumerate(self.turns):
            end = begin
            while end < len(requests) and requests[end].at_ms < until_ms:
                end += 1
            self._turn(site, requests[begin:end], from_ms, until_ms, i > 0)
            begin = end
        for before, after in zip(requests, requests[1:]):
            gap_s = (after.boot_ms - before.boot_ms) / 1000
            if gap_s > self.worst_s:
                self.worst_s, self.worst_site = gap_s, site.site_id

    def _turn(self, site: Site, requests: list[Request], from_ms: float, until_ms: float,
              successor: bool) -> None:
        """What one instance of the owner did, from its acknowledgement or take-over on."""
        first_s = bounds.allowed_s(bounds.first_window_s(site.interval_s))
        if successor:
            first_s += bounds.LOAD / 1000
        whole_s = (until_ms - from_ms) / 1000
        if not requests:
            self._gap(site, from_ms, whole_s, first_s, "was never checked", first=True)
            return
        found_s = (requests[0].at_ms - from_ms) / 1000
        if not successor:
            self.first_s[site.site_id] = found_s
        self._gap(site, from_ms, found_s, first_s, "was first checked late, and not", first=True)
        for before, after in zip(requests, requests[1:]):
            self._gap(site, before.at_ms, (after.boot_ms - before.boot_ms) / 1000,
                      allowed_after_s(site, before), "went unchecked")
        last = requests[-1]
        self._gap(site, last.at_ms, (until_ms - last.at_ms) / 1000, allowed_after_s(site, last),
                  "went unchecked")

    def spread_fault(self, sites: list[Site]) -> str | None:
        """First checks come evenly: no fifth of the time holds over half of them."""
        interval_s = min((bounds.first_window_s(s.interval_s) for s in sites), default=0)
        if len(self.first_s) < SPREAD_FROM or interval_s <= 0:
            return None
        # Whoever was away while they came due sent them together.
        if overlap_ms(self.excuses.spans(self.lock, True), self.from_ms,
                      self.from_ms + 1000 * interval_s) > 1000 * interval_s / SLICES:
            return None
        slices = Counter(min(int(t / interval_s * SLICES), SLICES) for t in self.first_s.values())
        fullest = max(slices.values())
        if fullest * 2 <= len(self.first_s):
            return None
        return (f"{fullest} of {len(self.first_s)} first checks of {range_text(self.lock)} came in "
                f"one fifth of {interval_s:.0f} s")


def judge_2(story: Story) -> Verdict:
    """Every active site of an active range is checked in time, and soon after a hand-off."""
    verdict = Verdict(2)
    by_site = story.by_site()
    holders = Holders(story)
    excuses = Excuses(holders)
    hosts = {source: s.host for source, s in story.senders.items() if s.role == "monitor"}
    often = Often(excuses)
    notes = []
    for lock in holders.grants:
        if not lock["acknowledged_at_ms"]:
            continue
        pace = Pace(excuses, lock)
        sites = [s for s in story.sites.values() if s.active and covers(lock, s.bucket)]
        for site in sites:
            mine = [r for r in by_site.get(site.site_id, [])
                    if hosts.get(r.source) == lock["owner_host"]
                    and r.at_ms >= pace.from_ms - bounds.ROUNDING]
            pace.site(site, [r for r in mine if r.at_ms <= pace.until_ms])
            verdict.violations += often.faults_of(
                lock, site, [r for r in mine if r.at_ms <= checked_until_ms(lock)])
        spread = pace.spread_fault(sites)
        verdict.violations += pace.faults + ([spread] if spread else [])
        first = max(pace.first_s.values(), default=0.0)
        notes.append(f"{range_text(lock)} of {lock['owner_host']}: {len(sites)} sites, the last "
                     f"first check after {first:.2f} s, the longest gap {pace.worst_s:.2f} s "
                     f"(site {pace.worst_site})")
    verdict.violations += gaps.judge_gaps(excuses, by_site)
    verdict.evidence = "; ".join(notes) or "no range was active"
    if story.stalls:
        total = sum(s.until_ms - s.from_ms for s in story.stalls) / 1000
        verdict.evidence += f"; the machine stalled {len(story.stalls)} times, {total:.1f} s in all"
    return verdict
