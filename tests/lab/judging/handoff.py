"""How smooth each handoff was: figures; the verdict on the gaps that it left is gaps.py's."""
from __future__ import annotations

import dataclasses

from judging.story import Request, Row, Story, covers, lock_end_ms, range_text
from judging.tenure import checked_until_ms


@dataclasses.dataclass
class Handoff:
    """Of one grant, or of a part that left one. Seconds; None where it did not come to it."""
    buckets: str
    owner: str
    epoch: int
    activate_to_first_check_s: float | None = None
    activate_to_all_checked_s: float | None = None
    longest_unchecked_at_activation_s: float | None = None
    release_to_drained_s: float | None = None
    release_to_v1_may_start_s: float | None = None
    longest_unchecked_at_release_s: float | None = None

    def lines(self) -> list[str]:
        def text(value: float | None) -> str:
            return "never" if value is None else f"{value:.2f} s"
        lines = [f"handoff {self.buckets} to {self.owner}: activate to first check "
                 f"{text(self.activate_to_first_check_s)}, to every site checked once "
                 f"{text(self.activate_to_all_checked_s)}, longest unchecked "
                 f"{text(self.longest_unchecked_at_activation_s)}"]
        if self.release_to_v1_may_start_s is not None:
            lines.append(f"handoff {self.buckets} to v1: release to drained "
                         f"{text(self.release_to_drained_s)}, to v1 may start "
                         f"{text(self.release_to_v1_may_start_s)}, longest unchecked "
                         f"{text(self.longest_unchecked_at_release_s)}")
        return lines


def longest(gaps: list[float | None]) -> float | None:
    """None if a site was never checked again, or there is none."""
    known = [gap for gap in gaps if gap is not None]
    return max(known) if known and len(known) == len(gaps) else None


def gap_around(requests: list[Request], last_by: float, first_from: float) -> float | None:
    """From the last check up to a moment to the first from another one on; 0 if there was none
    before: then nothing went missing."""
    before = [r for r in requests if r.at_ms <= last_by]
    after = [r for r in requests if r.at_ms >= first_from]
    if not after:
        return None
    return 0.0 if not before else (after[0].boot_ms - before[-1].boot_ms) / 1000


def measure(story: Story, lock: Row, by_site: dict[int, list[Request]]) -> Handoff:
    result = Handoff(range_text(lock), lock["owner_host"], lock["epoch"])
    checkers = {source for source, s in story.senders.items()
                if s.role == "v1" or s.host == lock["owner_host"]}
    sites = [[r for r in by_site.get(s.site_id, []) if r.source in checkers]
             for s in story.sites.values() if s.active and covers(lock, s.bucket)]
    tokens = {t["job_id"]: t for t in story.tokens if t["consumed_at_ms"]}
    granted, acknowledged = lock["granted_at_ms"], lock["acknowledged_at_ms"]
    executed = tokens.get(lock["activate_job_id"], {}).get("consumed_at_ms", granted)
    if acknowledged:
        firsts = [next((r.at_ms for r in requests if r.at_ms >= acknowledged - 1), None)
                  for requests in sites]
        known = [first for first in firsts if first is not None]
        if known:
            result.activate_to_first_check_s = (min(known) - executed) / 1000
        if known and len(known) == len(firsts):
            result.activate_to_all_checked_s = (max(known) - executed) / 1000
        result.longest_unchecked_at_activation_s = longest(
            [gap_around(requests, granted, acknowledged - 1) for requests in sites])
    if lock["released_at_ms"]:
        asked = tokens.get(lock["release_job_id"], {}).get("consumed_at_ms",
                                                          lock["draining_at_ms"])
        if lock["drained_at_ms"]:
            result.release_to_drained_s = (lock["drained_at_ms"] - asked) / 1000
        result.release_to_v1_may_start_s = (lock_end_ms(lock) - asked) / 1000
        result.longest_unchecked_at_release_s = longest(
            [gap_around(requests, checked_until_ms(lock) + 1, lock_end_ms(lock))
             for requests in sites])
    return result


def measure_all(story: Story) -> list[Handoff]:
    by_site = story.by_site()
    return [measure(story, lock, by_site) for lock in sorted(story.grants(), key=lambda r: r["epoch"])]
